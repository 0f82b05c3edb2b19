//! What the tests share: real small images, and looking at what is left.

use crate::support::{Mount, run};
use std::path::{Path, PathBuf};

/// Bytes of the images.
pub const SIZE: u64 = 8 << 20;

/// A raw file with an ext4 in it that holds `hello.txt` and some noise.
#[track_caller]
pub fn raw_image(mount: &Mount) -> PathBuf {
    let tree = mount.scratch().join("tree");
    if !tree.exists() {
        std::fs::create_dir(&tree).unwrap();
        std::fs::write(tree.join("hello.txt"), "hello from the image\n").unwrap();
        std::fs::write(tree.join("noise.bin"), noise(1 << 20, 7)).unwrap();
    }
    let raw = mount.scratch().join("image.raw");
    if !raw.exists() {
        std::fs::File::create(&raw).unwrap().set_len(SIZE).unwrap();
        run("mke2fs", &["-q", "-t", "ext4", "-d", text(&tree), text(&raw)]).ok();
    }
    raw
}

/// The same content as qcow2.
#[track_caller]
pub fn qcow2_image(mount: &Mount, options: &[&str]) -> PathBuf {
    let (raw, qcow2) = (raw_image(mount), mount.scratch().join("image.qcow2"));
    let mut arguments = vec!["convert", "-f", "raw", "-O", "qcow2"];
    arguments.extend_from_slice(options);
    arguments.extend_from_slice(&[text(&raw), text(&qcow2)]);
    run("qemu-img", &arguments).ok();
    qcow2
}

/// Imports the raw image; `options` are those of `image import` after the file.
#[track_caller]
pub fn import(mount: &Mount, name: &str, options: &[&str]) {
    let raw = raw_image(mount);
    let mut arguments = vec!["image", "import", name, text(&raw)];
    arguments.extend_from_slice(options);
    mount.evsfs(&arguments).ok();
}

/// The value of one of an object's members.
#[track_caller]
pub fn shown(mount: &Mount, noun: &str, name: &str, member: &str) -> serde_json::Value {
    mount.json(&[noun, "show", name])[member].clone()
}

/// The names in a part of the state directory.
pub fn left_in(mount: &Mount, part: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(mount.state_dir().join(part)) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Names of all objects of a noun.
#[track_caller]
pub fn names_of(mount: &Mount, noun: &str) -> Vec<String> {
    let listed = mount.json(&[noun, "list"]);
    listed.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
}

/// Bytes that compress badly, the same for every seed.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

#[track_caller]
pub fn same_content(one: &Path, other: &Path) {
    let (one, other) = (std::fs::read(one).unwrap(), std::fs::read(other).unwrap());
    assert_eq!(one.len(), other.len());
    assert!(one == other, "the content differs");
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
