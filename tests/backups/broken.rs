//! Damaged, truncated, exchanged, missing and foreign files of backups and images: refused with the
//! file named, and nothing made of them.

use crate::rig::{Breakage, breakages, directories, fill, place, place_of_image};
use crate::support::{Mount, Needs, Setup, trial};
use libtest_mimic::Trial;
use std::path::{Path, PathBuf};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("b5_every_broken_file_of_a_backup_is_refused_by_name", Needs::Fuse, b5_backups),
        trial("i9_every_broken_file_of_an_image_is_refused_by_name", Needs::Fuse, i9_images),
        trial("b5_a_broken_parent_is_refused_by_name", Needs::Fuse, b5_parents),
        trial("b5_a_changed_record_hides_a_backup", Needs::Fuse, b5_changed_record),
    ]
}

/// A chain `b`, `next`, a full backup `other` and images `i` and `other`; all hold something.
fn with_archives() -> Mount {
    let mount = Setup::default().mount();
    mount.attached_disk("db", "4M", &["--encrypted"]);
    fill(&mount, "db", 0, 1);
    mount.evsfs(&["backup", "create", "db", "b"]).ok();
    mount.evsfs(&["image", "create", "i", "--disk", "db"]).ok();
    fill(&mount, "db", 2, 2);
    mount.evsfs(&["backup", "create", "db", "next"]).ok();
    fill(&mount, "db", 0, 2);
    mount.evsfs(&["backup", "create", "db", "other", "--full"]).ok();
    mount.evsfs(&["image", "create", "other", "--disk", "db"]).ok();
    mount
}

/// Breaks each file of `directory` in each way, once with the files of `twin`, once with those of
/// another project; each of `uses` is then refused with the file named and makes nothing.
fn each_breakage_is_refused(
    mount: &Mount,
    (directory, record): (&Path, &str),
    twins: &[PathBuf],
    uses: &[&[&str]],
) {
    let left = || ["disks", "backups", "images", "servers"].map(|of| directories(mount, of).len());
    let before = left();
    for twin in twins {
        for Breakage { file, how, work } in breakages(record) {
            let path = directory.join(file);
            let aside = mount.scratch().join("aside");
            std::fs::copy(&path, &aside).unwrap();
            work(&path, &twin.join(file));
            for words in uses {
                let refusal = mount.evsfs(words).refused(7);
                let named = path.to_str().unwrap();
                assert!(refusal.contains(named), "{words:?} {file} {how}: {refusal}");
            }
            assert_eq!(left(), before, "{file} {how}");
            std::fs::copy(&aside, &path).unwrap();
            crate::support::run("chmod", &["0600", path.to_str().unwrap()]).ok();
        }
    }
}

/// B5: verify, restore and export.
fn b5_backups() {
    let (mount, elsewhere) = (with_archives(), with_archives());
    let out = mount.scratch().join("out");
    let uses: [&[&str]; 3] = [
        &["backup", "verify", "b"],
        &["disk", "create", "copy", "--from", "backup:b"],
        &["backup", "export", "b", out.to_str().unwrap()],
    ];
    let twins = [place(&mount, "other"), place(&elsewhere, "b")];
    each_breakage_is_refused(&mount, (&place(&mount, "b"), "backup.toml"), &twins, &uses);
    assert!(!out.exists());
    mount.evsfs(&["disk", "show", "copy"]).refused(3);
    uses.iter().for_each(|words| drop(mount.evsfs(words).ok()));
}

/// I9: disk, copy and server.
fn i9_images() {
    let (mount, elsewhere) = (with_archives(), with_archives());
    let uses: [&[&str]; 3] = [
        &["disk", "create", "copy", "--from", "image:i"],
        &["image", "copy", "i", "copy"],
        &["server", "create", "s", "--image", "i"],
    ];
    let twins = [place_of_image(&mount, "other"), place_of_image(&elsewhere, "i")];
    each_breakage_is_refused(&mount, (&place_of_image(&mount, "i"), "image.toml"), &twins, &uses);
    uses.iter().for_each(|words| drop(mount.evsfs(words).ok()));
}

/// B5: a backup is as good as all it is built upon; the others go on.
fn b5_parents() {
    let (mount, elsewhere) = (with_archives(), with_archives());
    let twins = [place(&elsewhere, "b")];
    let uses: [&[&str]; 2] =
        [&["backup", "verify", "next"], &["disk", "create", "copy", "--from", "backup:next"]];
    each_breakage_is_refused(&mount, (&place(&mount, "b"), "backup.toml"), &twins, &uses);
    mount.evsfs(&["backup", "verify", "other"]).ok();
    uses.iter().for_each(|words| drop(mount.evsfs(words).ok()));
}

/// B5: after a restart it is not there; the others are.
fn b5_changed_record() {
    let mount = with_archives();
    let file = place(&mount, "b").join("backup.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("name = \"b\"", "name = \"c\"")).unwrap();
    mount.evsfs(&["backup", "verify", "b"]).refused(7);
    mount.stop();
    mount.start();
    mount.evsfs(&["backup", "show", "b"]).refused(3);
    mount.evsfs(&["backup", "show", "c"]).refused(3);
    mount.evsfs(&["backup", "verify", "next"]).refused(7);
    mount.evsfs(&["backup", "verify", "other"]).ok();
}
