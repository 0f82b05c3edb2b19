//! Many clients at once, and a crash in the middle of them.

use crate::support::{Mount, Needs, trial};
use libtest_mimic::Trial;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

pub fn trials() -> Vec<Trial> {
    vec![trial(
        "a_kill_in_a_storm_of_attaches_damages_no_record",
        Needs::Fuse,
        a_kill_in_a_storm_of_attaches_damages_no_record,
    )]
}

/// Each record is the one before or after a verb, so every disk is attached again or available.
fn a_kill_in_a_storm_of_attaches_damages_no_record() {
    let mount = Mount::new();
    let names: Vec<String> = (0..16).map(|client| format!("disk-{client}")).collect();
    for name in &names {
        mount.write_control("disks/create", &format!("name={name} size=1M encrypted=yes")).unwrap();
    }
    let pid = mount.pid().to_string();
    for _ in 0..2 {
        let (is_over, verbs) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for name in &names {
                let (mount, is_over, verbs) = (&mount, &is_over, &verbs);
                scope.spawn(move || {
                    let mut verb = ["attach", "detach"].into_iter().cycle();
                    while !is_over.load(Ordering::Relaxed) {
                        let file = format!("disks/{name}/{}", verb.next().unwrap());
                        // The last write fails with the daemon; after a restart the first may
                        // find the disk attached already.
                        if mount.write_control(&file, "\n").is_ok() {
                            verbs.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(300));
            mount.kill();
            is_over.store(true, Ordering::Relaxed);
        });
        assert!(verbs.load(Ordering::Relaxed) > names.len(), "{verbs:?} verbs were carried out");
        mount.start();
        let disks = mount.json(&["disk", "list"]);
        let listed: BTreeSet<&str> =
            disks.as_array().unwrap().iter().map(|disk| disk["name"].as_str().unwrap()).collect();
        assert_eq!(listed, names.iter().map(String::as_str).collect());
        for disk in disks.as_array().unwrap() {
            assert!(matches!(disk["status"].as_str(), Some("available" | "in-use")), "{disk}");
            assert!(disk["error"].is_null(), "{disk}");
        }
        assert_ne!(mount.pid().to_string(), pid);
    }
    mount.stop();
    let config = mount.config_path();
    mount.evsfs_plain(&["check", "-c", config.to_str().unwrap()]).ok();
}
