//! Damaged, truncated, swapped and missing files of backups: refused with the file named.

use crate::rig::{directories, fill, flip, place};
use crate::support::{Mount, Needs, Setup, trial};
use libtest_mimic::Trial;
use std::fs::OpenOptions;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("damaged_files_of_a_backup_are_refused_by_name", Needs::Fuse, damaged),
        trial("a_changed_record_hides_a_backup", Needs::Fuse, changed_record),
    ]
}

fn with_backups() -> Mount {
    let mount = Setup::default().mount();
    mount.attached_disk("db", "8M", &["--encrypted"]);
    fill(&mount, "db", 0, 1);
    mount.evsfs(&["backup", "create", "db", "b"]).ok();
    fill(&mount, "db", 0, 2);
    mount.evsfs(&["backup", "create", "db", "other", "--full"]).ok();
    mount
}

type Breakage = fn(&Mount, &std::path::Path);

/// Nothing is restored in part, and the message names the file.
fn damaged() {
    let breakages: [(&str, &str, Breakage); 5] = [
        ("data", "a byte changed", |_, file| flip(file, 100)),
        ("manifest.0", "a byte changed", |_, file| flip(file, 40)),
        ("data", "cut", |_, file| {
            OpenOptions::new().write(true).open(file).unwrap().set_len(4096).unwrap();
        }),
        ("manifest.0", "gone", |_, file| std::fs::remove_file(file).unwrap()),
        ("data", "that of another backup", |mount, file| {
            std::fs::copy(place(mount, "other").join("data"), file).map(drop).unwrap();
        }),
    ];
    for (name, how, breakage) in breakages {
        let mount = with_backups();
        let file = place(&mount, "b").join(name);
        breakage(&mount, &file);
        for arguments in
            [&["backup", "verify", "b"][..], &["disk", "create", "copy", "--from", "backup:b"][..]]
        {
            let refusal = mount.evsfs(arguments).refused(7);
            assert!(refusal.contains(file.to_str().unwrap()), "{name} {how}: {refusal}");
        }
        mount.evsfs(&["disk", "show", "copy"]).refused(3);
        assert_eq!(directories(&mount, "disks").len(), 1, "{name} {how}");
        mount.evsfs(&["backup", "verify", "other"]).ok();
    }
}

fn changed_record() {
    let mount = with_backups();
    let file = place(&mount, "b").join("backup.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("name = \"b\"", "name = \"c\"")).unwrap();
    mount.evsfs(&["backup", "verify", "b"]).refused(7);
    mount.stop();
    mount.start();
    mount.evsfs(&["backup", "show", "b"]).refused(3);
    mount.evsfs(&["backup", "show", "c"]).refused(3);
    mount.evsfs(&["backup", "verify", "other"]).ok();
}
