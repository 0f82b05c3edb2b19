//! Files that were made to do harm.

use crate::rig::{import, left_in, names_of, noise, qcow2_image, shown, text};
use crate::support::{Mount, Needs, run, trial};
use libtest_mimic::Trial;
use std::os::unix::fs::FileExt;
use std::path::Path;

const TOOLS: Needs = Needs::RootAnd(&["mke2fs", "qemu-img"]);

pub fn trials() -> Vec<Trial> {
    vec![
        trial("i3_hostile_qcow2_files_are_refused_with_the_reason", TOOLS, i3_hostile_qcow2_files),
        trial("i3_damaged_qcow2_files_never_become_an_image", TOOLS, i3_damaged_qcow2_files),
        trial("i9_the_offline_check_finds_it", TOOLS, i9_the_offline_check_finds_it),
        trial("i9_a_damaged_image_makes_no_disk", TOOLS, i9_a_damaged_image_makes_no_disk),
    ]
}

fn edit(file: &Path, at: u64, bytes: &[u8]) {
    std::fs::File::options().write(true).open(file).unwrap().write_all_at(bytes, at).unwrap();
}

/// A qcow2 file with LUKS inside. `qemu-img` times its key derivation first and gives up when the
/// clock of the thread has not moved meanwhile, as on a busy machine: it is asked again.
fn luks_inside(path: &Path) -> std::path::PathBuf {
    let options = "encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10";
    let create = || {
        run(
            "qemu-img",
            &["create", "-q", "-f", "qcow2", "--object", "secret,id=s,data=abc", "-o", options]
                .into_iter()
                .chain([text(path), "2M"])
                .collect::<Vec<_>>(),
        )
    };
    let made = (0..50)
        .map(|_| create())
        .find(|output| output.code == 0 || !output.stderr.contains("accurate CPU usage"))
        .expect("qemu-img measures its key derivation in one of 50 tries");
    made.ok();
    path.to_path_buf()
}

/// I3: backing file, encryption, snapshots, external data, lies about the size; none makes an image.
fn i3_hostile_qcow2_files() {
    let mount = Mount::new();
    let secret = mount.scratch().join("secret");
    std::fs::write(&secret, noise(2 << 20, 1)).unwrap();
    let file = |name: &str| mount.scratch().join(name);
    let create = |name: &str, options: &[&str]| {
        let path = file(name);
        let mut arguments = vec!["create", "-q", "-f", "qcow2"];
        arguments.extend_from_slice(options);
        arguments.extend_from_slice(&[text(&path), "2M"]);
        run("qemu-img", &arguments).ok();
        path
    };
    let backed = create("backed", &["-b", text(&secret), "-F", "raw"]);
    let data_file = format!("data_file={}", text(&file("external")));
    let external = create("external-of", &["-o", &data_file]);
    let encrypted = luks_inside(&file("luks"));
    let snapshot = create("snapshot", &[]);
    run("qemu-img", &["snapshot", "-c", "one", text(&snapshot)]).ok();
    let large = create("large", &[]);
    edit(&large, 24, &(65u64 << 40).to_be_bytes());
    let uncovered = create("uncovered", &[]);
    edit(&uncovered, 24, &(1u64 << 40).to_be_bytes());
    let table = create("table", &[]);
    edit(&table, 40, &(1u64 << 50).to_be_bytes());
    let cut = create("cut", &[]);
    std::fs::File::options().write(true).open(&cut).unwrap().set_len(60).unwrap();
    for (path, why) in [
        (backed, "backing file"),
        (external, "another file"),
        (encrypted, "encrypted inside"),
        (snapshot, "snapshots"),
        (large, "size that no disk has"),
        (uncovered, "tables do not cover"),
        (table, "does not lie in the file"),
        (cut, "cut off"),
    ] {
        let output = mount.evsfs(&["image", "import", "bad", text(&path)]);
        assert!([2, 7].contains(&output.code), "{why}: {output:?}");
        assert!(output.stderr.contains(why), "{output:?}");
        assert_eq!(output.stderr.lines().count(), 3, "{output:?}");
        assert_eq!(names_of(&mount, "image"), [""; 0], "{why}");
    }
}

/// I3: whatever byte of the tables is wrong, the import is refused or gives an image of the size that
/// the header says; the program never panics or hangs.
fn i3_damaged_qcow2_files() {
    let mount = Mount::new();
    let sound = qcow2_image(&mount, &[]);
    let bytes = std::fs::read(&sound).unwrap();
    let damaged = mount.scratch().join("damaged");
    for round in 0..12u64 {
        let mut bytes = bytes.clone();
        // References in the first clusters: header, refcounts, first- and second-level tables.
        let noise = noise(32, round * 7919 + 1);
        let at = (round as usize * 0x8000) + 8 * (round as usize % 5);
        let end = (at + 24).min(bytes.len());
        if round == 0 {
            bytes[72..80].fill(0xff)
        } else {
            bytes[at..end].copy_from_slice(&noise[..end - at])
        }
        std::fs::write(&damaged, &bytes).unwrap();
        let output = mount.evsfs(&["image", "import", "bad", text(&damaged)]);
        assert!([0, 1, 2, 7, 9].contains(&output.code), "round {round}: {output:?}");
        assert!(!output.stderr.contains("internal error"), "round {round}: {output:?}");
        if output.code == 0 {
            mount.evsfs(&["image", "delete", "bad", "--yes"]).ok();
        }
        crate::support::wait_until("nothing is left", || left_in(&mount, "images").is_empty());
    }
}

/// I9: the file is named, the exit code is 7, and no disk is made.
fn i9_a_damaged_image_makes_no_disk() {
    let mount = Mount::new();
    import(&mount, "a", &["--encrypted"]);
    let id = shown(&mount, "image", "a", "id");
    let data = mount.state_dir().join("images").join(id.as_str().unwrap()).join("data");
    let bytes = std::fs::read(&data).unwrap();
    let at = bytes.iter().position(|byte| *byte != 0).unwrap() as u64;
    edit(&data, at + 100, b"damage");
    let refusal = mount.evsfs(&["disk", "create", "d", "--from", "image:a"]).refused(7);
    assert!(refusal.contains(text(&data)), "{refusal}");
    assert_eq!(names_of(&mount, "disk"), [""; 0]);
    mount.evsfs(&["server", "create", "s", "--image", "a"]).refused(7);
    assert_eq!(names_of(&mount, "server"), [""; 0]);
    assert_eq!(left_in(&mount, "disks").len(), 0);
}

/// I9: a manifest that was edited is found without a mount and without a key.
fn i9_the_offline_check_finds_it() {
    let mount = Mount::new();
    import(&mount, "a", &["--encrypted"]);
    let id = shown(&mount, "image", "a", "id");
    let place = mount.state_dir().join("images").join(id.as_str().unwrap());
    mount.stop();
    let config = mount.config_path();
    let check = || mount.evsfs_plain(&["check", "-c", text(&config)]);
    check().ok();
    edit(&place.join("manifest.0"), 30, b"x");
    let output = check();
    assert_ne!(output.code, 0, "{output:?}");
    assert!(format!("{output:?}").contains(id.as_str().unwrap()), "{output:?}");
}
