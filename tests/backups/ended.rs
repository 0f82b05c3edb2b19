//! The daemon ends while jobs run that cannot begin anew: they have failed, say why, and have left
//! nothing; asked for again, the same is done.

use crate::rig::{directories, fill};
use crate::support::{Needs, Setup, is_running, run, trial, wait_until};
use libtest_mimic::Trial;
use std::time::Instant;

pub fn trials() -> Vec<Trial> {
    let kinds = [
        ("backup", &["backup", "create", "db", "new", "--full"][..]),
        ("verify-backup", &["backup", "verify", "b"]),
        ("delete-backup", &["backup", "delete", "b", "--yes"]),
        ("disk-create", &["disk", "create", "new", "--from", "backup:b"]),
        ("image-create", &["image", "create", "new", "--disk", "db"]),
        ("image-copy", &["image", "copy", "i", "new"]),
        ("server-create", &["server", "create", "new", "--image", "i"]),
    ];
    kinds
        .into_iter()
        .map(|(kind, arguments)| {
            let name = format!("a_daemon_that_ends_leaves_nothing_of_a_job::{kind}");
            trial(&name, Needs::Fuse, move || ends(kind, arguments))
        })
        .collect()
}

/// The ways a daemon ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Unmount,
    Terminate,
    Kill,
}

fn ends(kind: &str, arguments: &[&str]) {
    // One at a time, so that the second waits.
    let mount = Setup::with("[mount]\njobs = 1\n").mount();
    mount.attached_disk("db", "8M", &["--encrypted"]);
    (0..8).for_each(|mib| fill(&mount, "db", mib, 7));
    mount.evsfs(&["backup", "create", "db", "b"]).ok();
    fill(&mount, "db", 1, 8);
    mount.evsfs(&["backup", "create", "db", "child"]).ok();
    mount.evsfs(&["image", "create", "i", "--disk", "db"]).ok();
    let before = ["disks", "backups", "images", "servers"].map(|of| directories(&mount, of));

    for end in [End::Unmount, End::Terminate, End::Kill] {
        let begin = |arguments: &[&str], limit: &str| {
            let all = [arguments, &["--no-wait", "--limit", limit]].concat();
            mount.evsfs(&all).ok().trim().to_owned()
        };
        let running = begin(arguments, "32K");
        let waiting = begin(&["image", "copy", "i", "waiting"], "32K");
        wait_until("it runs", || mount.json(&["job", "show", &running])["state"] == "running");
        assert_eq!(mount.json(&["job", "show", &waiting])["state"], "queued");
        let pid = mount.pid();
        let asked = Instant::now();
        match end {
            End::Unmount => mount.stop(),
            End::Terminate => {
                run("kill", &[&pid.to_string()]).ok();
                wait_until("it has ended", || !is_running(pid));
            }
            End::Kill => mount.kill(),
        }
        assert!(asked.elapsed().as_secs() < 25, "{end:?} has waited for the job");
        mount.start();
        for (job, of) in [(&running, kind), (&waiting, "image-copy")] {
            let job = mount.json(&["job", "show", job]);
            assert_eq!((&job["state"], &job["kind"]), (&"failed".into(), &of.into()), "{end:?}");
            let why = if end == End::Kill { "the daemon ended" } else { "the daemon was stopped" };
            let said = job["error"]["message"].as_str().unwrap();
            assert!(said.starts_with(why), "{end:?}: {said}");
            assert!(!job["finished"].is_null());
        }
        for (of, before) in ["disks", "backups", "images", "servers"].iter().zip(&before) {
            let sorted = |mut names: Vec<String>| {
                names.sort();
                names
            };
            assert_eq!(sorted(directories(&mount, of)), sorted(before.clone()), "{end:?}");
        }
        assert_eq!(mount.json(&["disk", "show", "db"])["status"], "in-use");
        for whole in ["b", "child"] {
            assert_eq!(mount.json(&["backup", "show", whole])["status"], "available");
        }
    }
    mount.evsfs(arguments).ok();
}
