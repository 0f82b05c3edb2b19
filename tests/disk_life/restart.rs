//! What a restart of the daemon finds and does: D9.

use crate::rig::{
    Kind, attach, create, numbered_block, open_rw, read_at, status_of, within, write_at,
};
use crate::support::{Mount, Needs, Setup, is_running, run, trial, wait_until};
use libtest_mimic::Trial;
use std::os::unix::fs::FileExt;
use std::time::Duration;

pub fn trials() -> Vec<Trial> {
    vec![
        trial(
            "d9_attached_disks_come_back_after_every_end_of_the_daemon",
            Needs::Fuse,
            d9_attached_disks_come_back_after_every_end_of_the_daemon,
        ),
        trial(
            "d9_a_disk_whose_key_is_disabled_stays_away_and_says_why",
            Needs::Fuse,
            d9_a_disk_whose_key_is_disabled_stays_away_and_says_why,
        ),
        trial(
            "d9_a_disk_whose_payload_has_gone_stays_away_and_says_why",
            Needs::Fuse,
            d9_a_disk_whose_payload_has_gone_stays_away_and_says_why,
        ),
        trial(
            "d9_nothing_comes_back_where_the_configuration_says_so",
            Needs::Fuse,
            d9_nothing_comes_back_where_the_configuration_says_so,
        ),
        trial(
            "d9_a_signal_ends_the_daemon_under_open_files_after_its_grace",
            Needs::Fuse,
            d9_a_signal_ends_the_daemon_under_open_files_after_its_grace,
        ),
        trial(
            "d9_what_a_crash_left_half_made_is_removed",
            Needs::Fuse,
            d9_what_a_crash_left_half_made_is_removed,
        ),
    ]
}

/// The ways a daemon ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Unmount,
    Terminate,
    Interrupt,
    Kill,
}

impl End {
    const ALL: [End; 4] = [End::Unmount, End::Terminate, End::Interrupt, End::Kill];

    #[track_caller]
    fn of(self, mount: &Mount) {
        match self {
            End::Unmount => mount.stop(),
            End::Terminate => signal(mount, "-TERM"),
            End::Interrupt => signal(mount, "-INT"),
            End::Kill => mount.kill(),
        }
    }
}

#[track_caller]
fn signal(mount: &Mount, signal: &str) {
    let pid = mount.pid();
    run("kill", &[signal, &pid.to_string()]).ok();
    wait_until("the daemon has ended", || !is_running(pid));
}

/// D9: after a restart the disks that were attached are attached again, in the same way.
fn d9_attached_disks_come_back_after_every_end_of_the_daemon() {
    let mount = Mount::new();
    let sealed = mount.attached_disk("sealed", "8M", Kind::Encrypted.options());
    let plain = mount.attached_disk("plain", "8M", Kind::Unencrypted.options());
    create(&mount, "reads", "8M", Kind::USUAL.options());
    mount.evsfs(&["disk", "attach", "reads", "--read-only"]).ok();
    create(&mount, "rests", "8M", Kind::USUAL.options());
    for (number, end) in (1..).zip(End::ALL) {
        for file in [&sealed, &plain] {
            write_at(file, number * 4096, &numbered_block(number));
        }
        end.of(&mount);
        let is_mounted = run("mountpoint", &["-q", mount.mountpoint().to_str().unwrap()]).code == 0;
        assert!(!is_mounted, "{end:?}");
        mount.start();
        for file in [&sealed, &plain] {
            for written in 1..=number {
                let read = read_at(file, written * 4096, 4096);
                assert_eq!(read, numbered_block(written), "{end:?} {written}");
            }
        }
        assert_eq!(mount.read_control("disks/reads/read-only"), "yes", "{end:?}");
        assert_eq!(status_of(&mount, "rests"), "available", "{end:?}");
        for disk in ["sealed", "plain", "reads"] {
            assert_eq!(status_of(&mount, disk), "in-use", "{end:?}");
            assert_eq!(mount.read_control(&format!("disks/{disk}/error")), "", "{end:?}");
        }
    }
}

/// D9: the others are available, with the reason in `error`, until they are attached.
fn d9_a_disk_whose_key_is_disabled_stays_away_and_says_why() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    let other = mount.attached_disk("other", "8M", Kind::USUAL.options());
    let file = mount.attached_disk("db", "8M", &["--key", "finance"]);
    for (number, end) in (1..).zip(End::ALL) {
        write_at(&file, number * 4096, &numbered_block(number));
        mount.evsfs(&["key", "disable", "finance"]).ok();
        end.of(&mount);
        mount.start();
        assert_eq!(status_of(&mount, "db"), "available", "{end:?}");
        assert!(!file.exists() && other.exists(), "{end:?}");
        let reason = mount.read_control("disks/db/error");
        assert!(reason.contains("finance") && reason.contains("disabled"), "{reason}");
        let shown = mount.json(&["disk", "show", "db"]);
        assert_eq!(shown["error"].as_str().unwrap(), reason);
        // Nobody enables it behind the user's back: a second restart finds it as it was left.
        mount.stop();
        mount.evsfs_plain(&["check", "-c", mount.config_path().to_str().unwrap()]).ok();
        mount.start();
        assert_eq!(mount.read_control("disks/db/error"), reason);

        mount.evsfs(&["key", "enable", "finance"]).ok();
        attach(&mount, "db");
        assert_eq!(mount.read_control("disks/db/error"), "");
        assert_eq!(read_at(&file, number * 4096, 4096), numbered_block(number));
    }
}

/// D9: any other obstacle is told in the same way, and hinders no other disk.
fn d9_a_disk_whose_payload_has_gone_stays_away_and_says_why() {
    let mount = Mount::new();
    let lost = mount.attached_disk("lost", "8M", Kind::USUAL.options());
    let other = mount.attached_disk("other", "8M", Kind::USUAL.options());
    let payload = mount.payload("lost");
    mount.stop();
    std::fs::rename(&payload, payload.with_extension("away")).unwrap();
    mount.start();
    assert!(!lost.exists() && other.exists());
    let reason = mount.read_control("disks/lost/error");
    assert!(reason.contains("payload"), "{reason}");
    std::fs::rename(payload.with_extension("away"), &payload).unwrap();
    attach(&mount, "lost");
    assert_eq!(mount.read_control("disks/lost/error"), "");
}

/// D9 is what `reattach = true` says; with `false` all disks are available.
fn d9_nothing_comes_back_where_the_configuration_says_so() {
    let mount = Setup::with("[mount]\nreattach = false\n").mount();
    let file = mount.attached_disk("db", "8M", Kind::USUAL.options());
    mount.kill();
    mount.start();
    assert!(!file.exists());
    assert_eq!(status_of(&mount, "db"), "available");
    attach(&mount, "db");
}

/// D9: a signal waits for open files as long as `shutdown_grace` says, then ends them like a
/// forced detach; what they wrote is there after the restart.
fn d9_a_signal_ends_the_daemon_under_open_files_after_its_grace() {
    let mount = Setup::with("[mount]\nshutdown_grace = \"1s\"\n").mount();
    let file = mount.attached_disk("db", "8M", Kind::USUAL.options());
    let open = open_rw(&file);
    open.write_all_at(&numbered_block(1), 0).unwrap();
    signal(&mount, "-TERM");
    let failed = within(Duration::from_secs(2), "I/O after the end", move || {
        (open.write_all_at(&numbered_block(2), 0), open.read_exact_at(&mut [0; 4096], 0))
    });
    assert!(failed.0.is_err() && failed.1.is_err());
    mount.start();
    assert_eq!(read_at(&file, 0, 4096), numbered_block(1));
}

/// D9: of many creations and deletions that a crash cuts short, each disk is whole or not there,
/// and the state directory is sound.
fn d9_what_a_crash_left_half_made_is_removed() {
    let mount = Mount::new();
    for round in 0..4 {
        let pid = mount.pid();
        std::thread::scope(|scope| {
            for worker in 0..3 {
                let mount = &mount;
                scope.spawn(move || {
                    for number in 0..200 {
                        let name = format!("d{round}-{worker}-{number}");
                        let made = mount
                            .write_control("disks/create", &format!("name={name} size=1M"))
                            .and_then(|()| {
                                let deleted = format!("disks/{name}/delete");
                                if number % 2 == 0 {
                                    return mount.write_control(&deleted, &name);
                                }
                                Ok(())
                            });
                        if made.is_err() {
                            break;
                        }
                    }
                });
            }
            let directories =
                || std::fs::read_dir(mount.state_dir().join("disks")).unwrap().count();
            wait_until("disks are being made", || directories() > 20 * (round + 1));
            run("kill", &["-9", &pid.to_string()]).ok();
        });
        wait_until("the daemon is gone", || !is_running(pid));
        mount.start();
        let disks = mount.json(&["disk", "list"]);
        let disks = disks.as_array().unwrap();
        assert!(!disks.is_empty(), "the load was too light to prove anything");
        assert!(disks.iter().all(|disk| disk["status"] == "available"));
        let directories = std::fs::read_dir(mount.state_dir().join("disks")).unwrap().count();
        assert_eq!(directories, disks.len());
    }
    mount.stop();
    mount.evsfs_plain(&["check", "-c", mount.config_path().to_str().unwrap()]).ok();
}
