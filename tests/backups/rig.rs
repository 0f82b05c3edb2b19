//! Disks with content, and what lies at rest.

use crate::support::Mount;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Writes `byte` over 64 KiB at so many MiB of an attached disk, durably.
pub fn fill(mount: &Mount, disk: &str, mib: u64, byte: u8) {
    let file = OpenOptions::new().write(true).open(mount.mountpoint().join(disk)).unwrap();
    file.write_all_at(&[byte; 65536], mib << 20).unwrap();
    file.sync_all().unwrap();
}

/// All of an attached disk.
pub fn content(mount: &Mount, disk: &str) -> Vec<u8> {
    std::fs::read(mount.mountpoint().join(disk)).unwrap()
}

/// Restores a backup to a new disk, attaches it and reads it.
pub fn restored(mount: &Mount, backup: &str, disk: &str, options: &[&str]) -> Vec<u8> {
    let from = format!("backup:{backup}");
    let create = ["disk", "create", disk, "--from", &from];
    mount.evsfs(&[&create[..], options].concat()).ok();
    mount.evsfs(&["disk", "attach", disk]).ok();
    content(mount, disk)
}

/// The directory of a backup.
pub fn place(mount: &Mount, backup: &str) -> PathBuf {
    let shown = mount.json(&["backup", "show", backup]);
    mount.state_dir().join("backups").join(shown["id"].as_str().unwrap())
}

/// The names of the directories of all backups, or disks.
pub fn directories(mount: &Mount, of: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(mount.state_dir().join(of)) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// The 4 KiB sectors of a payload that are not all zeros.
pub fn sectors(path: &std::path::Path) -> std::collections::HashSet<Vec<u8>> {
    let bytes = std::fs::read(path).unwrap();
    let written = bytes.chunks(4096).filter(|sector| sector.iter().any(|byte| *byte != 0));
    written.map(<[u8]>::to_vec).collect()
}

/// Changes one byte of a file.
pub fn flip(path: &std::path::Path, at: u64) {
    let file: File = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

/// The directory of an image.
pub fn place_of_image(mount: &Mount, image: &str) -> PathBuf {
    let shown = mount.json(&["image", "show", image]);
    mount.state_dir().join("images").join(shown["id"].as_str().unwrap())
}

/// One way to break a file.
pub struct Breakage {
    /// Its name in the directory of a backup or image.
    pub file: &'static str,
    /// What is done to it.
    pub how: &'static str,
    /// Does it; the second is the same file of another backup or image.
    pub work: fn(&std::path::Path, &std::path::Path),
}

/// All of them, for a backup or image whose first chunk is written; `record` is its record's name.
pub fn breakages(record: &str) -> Vec<Breakage> {
    let record = if record == "backup.toml" { "backup.toml" } else { "image.toml" };
    let mut all = Vec::new();
    for file in [record, "manifest.0", "data"] {
        let mut add = |how, work| all.push(Breakage { file, how, work });
        add("a byte changed", |path, _| flip(path, 40));
        add("cut", |path, _| {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        });
        add("empty", |path, _| drop(File::create(path).unwrap()));
        add("gone", |path, _| std::fs::remove_file(path).unwrap());
        add("that of another", |path, twin| {
            std::fs::copy(twin, path).map(drop).unwrap();
        });
    }
    all
}
