//! `evsfs check` of backups and images.

use crate::rig::{Breakage, breakages, directories, fill, place, place_of_image};
use crate::support::{Mount, Needs, Setup, run, trial, wait_until};
use libtest_mimic::Trial;
use serde_json::Value;
use std::io::Write;
use std::path::Path;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("b11_check_finds_every_damage", Needs::Fuse, b11_finds),
        trial("b11_check_removes_what_a_crash_left", Needs::Fuse, b11_repairs),
        trial("b11_check_keeps_what_could_be_put_back", Needs::Fuse, b11_keeps),
        trial("b11_check_tells_of_keys_that_are_gone", Needs::Fuse, b11_keys),
    ]
}

fn check(mount: &Mount, more: &[&str]) -> (i32, Value) {
    let config = mount.config_path();
    let words = ["--json", "check", "-c", config.to_str().unwrap()];
    let output = mount.evsfs_plain(&[&words[..], more].concat());
    (output.code, serde_json::from_str(&output.stdout).unwrap())
}

/// A chain of two backups and two images.
fn with_archives() -> Mount {
    let mount = Setup::with("[mount]\njobs = 4\n").mount();
    mount.attached_disk("db", "4M", &["--encrypted"]);
    [0, 3].into_iter().for_each(|mib| fill(&mount, "db", mib, 1));
    mount.evsfs(&["backup", "create", "db", "b0"]).ok();
    mount.evsfs(&["image", "create", "i0", "--disk", "db"]).ok();
    fill(&mount, "db", 0, 2);
    mount.evsfs(&["backup", "create", "db", "b1"]).ok();
    mount.evsfs(&["image", "create", "i1", "--disk", "db"]).ok();
    mount
}

/// B11: each file of each, flipped, cut, gone or exchanged: that file is named, and no other.
fn b11_finds() {
    let mount = with_archives();
    let backups = [place(&mount, "b0"), place(&mount, "b1")];
    let images = [place_of_image(&mount, "i0"), place_of_image(&mount, "i1")];
    mount.stop();
    // A key, a disk, four archives, and their jobs.
    assert_eq!(check(&mount, &[]).0, 0);
    for ([one, other], record) in [(&backups, "backup.toml"), (&images, "image.toml")] {
        for (directory, twin) in [(one, other), (other, one)] {
            for Breakage { file, how, work } in breakages(record) {
                let path = directory.join(file);
                let sound = std::fs::read(&path).unwrap();
                work(&path, &twin.join(file));
                let (code, report) = check(&mount, &[]);
                assert_eq!(code, 7, "{} {how}: {report}", path.display());
                let findings = report["findings"].as_array().unwrap();
                let named = findings.iter().any(|finding| {
                    let path = path.to_str().unwrap();
                    let tells = |member: &str| finding[member].as_str().unwrap().contains(path);
                    tells("problem") || tells("file")
                });
                assert!(named, "{} {how}: {report}", path.display());
                assert_eq!(check(&mount, &["--repair"]).0, 7, "{how}: nothing is thrown away");
                restore(&path, &sound);
            }
        }
    }
    assert_eq!(check(&mount, &[]).0, 0);
}

fn restore(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::OpenOptionsExt;
    let _ = std::fs::remove_file(path);
    let mut file =
        std::fs::File::options().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

/// B11: a copy, an import and an image that the end of the daemon cut off are removed, a merge is
/// tidied up; those that are whole stay.
fn b11_repairs() {
    let mount = with_archives();
    (0..4).for_each(|mib| fill(&mount, "db", mib, 9));
    let file = mount.scratch().join("file");
    mount.evsfs(&["backup", "export", "b1", file.to_str().unwrap()]).ok();
    let slowly = ["--no-wait", "--limit", "16K"];
    let begin = |words: &[&str]| {
        let job = mount.evsfs(&[words, &slowly[..]].concat()).ok().trim().to_owned();
        wait_until("it has begun", || {
            mount.json(&["job", "show", &job])["done"].as_u64().unwrap() > 0
        });
    };
    begin(&["backup", "create", "db", "half", "--full"]);
    begin(&["image", "copy", "i1", "half"]);
    mount.write_control("backups/create", "import=yes name=import").unwrap();
    let mut data =
        std::fs::File::options().write(true).open(mount.control("backups/import/data")).unwrap();
    data.write_all(&std::fs::read(file).unwrap()[..60_000]).unwrap();
    mount.kill();
    drop(data);
    run("umount", &["-l", mount.mountpoint().to_str().unwrap()]);
    let count = || (directories(&mount, "backups").len(), directories(&mount, "images").len());
    assert_eq!(count(), (4, 3));
    let (code, report) = check(&mount, &[]);
    assert_eq!((code, report["findings"].as_array().unwrap().len()), (7, 3), "{report}");
    assert_eq!(count(), (4, 3));
    let (code, report) = check(&mount, &["--repair"]);
    assert_eq!(code, 0, "{report}");
    assert_eq!(count(), (2, 2));
    assert_eq!(check(&mount, &[]).0, 0);
    mount.start();
    begin(&["backup", "delete", "b0", "--yes"]);
    mount.kill();
    run("umount", &["-l", mount.mountpoint().to_str().unwrap()]);
    let (code, report) = check(&mount, &[]);
    assert!(code == 7 && report.to_string().contains("in the middle of a merge"), "{report}");
    assert_eq!(check(&mount, &["--repair"]).0, 0);
    assert_eq!(check(&mount, &[]).0, 0);
    mount.start();
    for backup in ["b0", "b1"] {
        mount.evsfs(&["backup", "verify", backup]).ok();
    }
}

/// B11: data whose record is gone is not taken for something that was never finished.
fn b11_keeps() {
    let mount = with_archives();
    let places = [
        (place(&mount, "b1"), "backup.toml", ["backup", "verify", "b1"]),
        (place_of_image(&mount, "i1"), "image.toml", ["image", "show", "i1"]),
    ];
    mount.stop();
    let gone: Vec<_> = places
        .iter()
        .map(|(place, record, _)| {
            let path = place.join(record);
            let bytes = std::fs::read(&path).unwrap();
            std::fs::remove_file(&path).unwrap();
            (path, bytes)
        })
        .collect();
    assert_eq!(check(&mount, &["--repair"]).0, 7);
    // Also where the administrator has given the records up.
    check(&mount, &["--accept"]);
    assert_eq!(check(&mount, &["--repair"]).0, 7);
    mount.start();
    mount.stop();
    assert!(places.iter().all(|(place, ..)| place.join("data").exists()));
    gone.iter().for_each(|(path, bytes)| restore(path, bytes));
    assert_eq!(check(&mount, &["--accept"]).0, 0);
    mount.start();
    for (.., words) in &places {
        mount.evsfs(words).ok();
    }
}

/// B11: as for disks.
fn b11_keys() {
    let mount = with_archives();
    mount.stop();
    let keys = mount.state_dir().join("kms/keys");
    for entry in std::fs::read_dir(&keys).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    check(&mount, &["--accept"]);
    let (code, report) = check(&mount, &[]);
    assert_eq!(code, 7);
    for what in ["disk \\\"db\\\"", "backup \\\"b0\\\"", "image \\\"i1\\\""] {
        let told = format!("the key of {what} is gone");
        assert!(report.to_string().contains(&told), "{told}: {report}");
    }
}
