//! Long work: jobs, how they are watched and cancelled, and what becomes of them when the daemon ends.

use crate::rig::{as_user, ask, errno, evsfs_as, names_in};
use crate::support::{Mount, Needs, Setup, USERS, run, trial, wait_until};
use libtest_mimic::Trial;
use rustix::io::Errno;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("a_job_is_seen_and_watched_to_its_end", Needs::Fuse, seen_and_watched),
        trial("a_job_is_held_to_its_limit", Needs::Fuse, held_to_its_limit),
        trial("a_cancelled_job_ends_and_what_it_did_stays_whole", Needs::Fuse, cancelled),
        trial("so_many_jobs_run_and_the_others_wait", Needs::Fuse, so_many_at_a_time),
        trial("a_job_goes_on_after_a_crash", Needs::Fuse, goes_on_after_a_crash),
        trial("a_job_goes_on_after_a_stop", Needs::Fuse, goes_on_after_a_stop),
        trial("the_last_hundred_jobs_are_remembered", Needs::Fuse, the_last_hundred),
        trial("a_damaged_record_hides_one_job_only", Needs::Fuse, a_damaged_record),
        trial("a7_foreign_jobs_do_not_exist", Needs::Root, a7_foreign_jobs_do_not_exist),
    ]
}

/// A mount with so many encrypted disks that a rewrap moves to version 2.
fn with_disks(setup: &Setup, count: usize) -> Mount {
    let mount = setup.mount();
    mount.evsfs(&["key", "create", "finance"]).ok();
    for number in 0..count {
        let request = json!({"op": "disk.create", "name": format!("d{number}"), "size": "1M",
                             "encrypted": true, "key": "finance"});
        assert!(ask(&mount, &request)["ok"].is_object());
    }
    mount.evsfs(&["key", "rotate", "finance"]).ok();
    mount
}

/// Starts a rewrap of so many disks a second and returns its id.
#[track_caller]
fn start(mount: &Mount, limit: u64) -> String {
    let answer = ask(mount, &json!({"op": "disk.rewrap", "all": true, "limit": limit}));
    answer["ok"]["job"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[track_caller]
fn state(mount: &Mount, id: &str) -> String {
    mount.read_control(&format!("jobs/{id}/state"))
}

/// How many disks each version of the key holds.
fn held(mount: &Mount) -> (u64, u64) {
    let shown = mount.json(&["key", "show", "finance"]);
    let count = |at: usize| shown["versions"][at]["disks"].as_u64().unwrap();
    (count(0), count(1))
}

fn seen_and_watched() {
    let mount = with_disks(&Setup::default(), 3);
    assert_eq!(mount.json(&["job", "list"]), json!([]));
    let id = mount.evsfs(&["disk", "rewrap", "--all", "--limit", "3", "--no-wait"]).ok();
    let id = id.trim_end();
    let text = mount.evsfs(&["job", "watch", id]).ok();
    assert_eq!(text, "rewrap-all of all data keys is done: 3\n");
    assert_eq!(held(&mount), (0, 3));
    // In all four ways: command line, request, control files, list.
    let shown = mount.json(&["job", "show", id]);
    assert_eq!(ask(&mount, &json!({"op": "job.show", "id": id}))["ok"], shown);
    assert_eq!(mount.json(&["job", "list"]), json!([shown]));
    for (file, member) in [
        ("id", "id"),
        ("kind", "kind"),
        ("subject", "subject"),
        ("state", "state"),
        ("progress", "progress"),
        ("done", "done"),
        ("total", "total"),
        ("unit", "unit"),
        ("limit", "limit"),
        ("owner", "owner"),
        ("created", "created"),
        ("started", "started"),
        ("finished", "finished"),
    ] {
        let value = match &shown[member] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        assert_eq!(mount.read_control(&format!("jobs/{id}/{file}")), value, "{file}");
    }
    assert_eq!((&shown["kind"], &shown["progress"]), (&json!("rewrap-all"), &json!(100)));
    assert_eq!(
        (&shown["error"], mount.read_control(&format!("jobs/{id}/error"))),
        (&Value::Null, String::new())
    );
    let table = mount.evsfs(&["job", "list"]).ok();
    assert!(
        table.starts_with("ID ") && table.contains(" rewrap-all  all data keys  done "),
        "{table}"
    );
    // `jobs` holds jobs alone: nothing is made by `create`.
    assert_eq!(names_in(&mount.control("jobs")), [id]);
    // It has ended: nothing is left to cancel.
    assert_eq!(errno(mount.write_control(&format!("jobs/{id}/cancel"), "\n")), Errno::INVAL);
    assert_eq!(mount.evsfs(&["job", "cancel", id]).code, 4);
    assert_eq!(mount.evsfs(&["job", "show", "12"]).code, 2);
    let other = "0f0e0d0c-0b0a-4908-8706-050403020100";
    assert_eq!(mount.evsfs(&["job", "show", other]).code, 3);
    assert_eq!(errno(std::fs::metadata(mount.control(&format!("jobs/{other}")))), Errno::NOENT);
    assert_eq!(
        errno(std::fs::metadata(mount.control(&format!("jobs/{}", id.to_uppercase())))),
        Errno::NOENT
    );
    // Listed as it was after a restart.
    mount.stop();
    mount.start();
    assert_eq!(mount.json(&["job", "list"]), json!([shown]));
}

fn held_to_its_limit() {
    let mount = with_disks(&Setup::default(), 5);
    let before = Instant::now();
    mount.evsfs(&["disk", "rewrap", "--all", "--limit", "4"]).ok();
    // The last is waited for too; a tenth of a second may be caught up.
    assert!(before.elapsed() >= Duration::from_millis(1100), "{:?}", before.elapsed());
    for limit in ["0", "-1", "fast"] {
        let refused = ask(&mount, &json!({"op": "disk.rewrap", "all": true, "limit": limit}));
        assert_eq!(refused["error"]["kind"], "invalid", "{limit}");
    }
}

fn cancelled() {
    let mount = with_disks(&Setup::default(), 5);
    let id = start(&mount, 1);
    wait_until("the first is rewrapped", || held(&mount).1 >= 1);
    mount.write_control(&format!("jobs/{id}/cancel"), "\n").unwrap();
    wait_until("it has ended", || state(&mount, &id) == "cancelled");
    let (old, new) = held(&mount);
    assert!(old >= 1 && old + new == 5, "{old} {new}");
    let watched = mount.evsfs(&["job", "watch", &id]).refused(4);
    assert!(watched.contains(" was cancelled (EVSFS.wrong-status)\n"), "{watched}");
    for number in 0..5 {
        assert_eq!(mount.read_control(&format!("disks/d{number}/status")), "available");
    }
    mount.evsfs(&["disk", "rewrap", "--all"]).ok();
    assert_eq!(held(&mount), (0, 5));
}

fn so_many_at_a_time() {
    let mount = with_disks(&Setup::with("[mount]\njobs = 2\n"), 5);
    let ids: Vec<String> = (0..4).map(|_| start(&mount, 1)).collect();
    let states = || ids.iter().map(|id| state(&mount, id)).collect::<Vec<_>>();
    wait_until("two run", || states() == ["running", "running", "queued", "queued"]);
    // One that waits is gone at once, and the next takes its turn.
    let answer = ask(&mount, &json!({"op": "job.cancel", "id": ids[2]}));
    assert_eq!(answer["ok"]["state"], "cancelled");
    mount.evsfs(&["job", "cancel", &ids[0]]).ok();
    wait_until("the last runs", || states()[3] == "running");
    assert_eq!(states()[2], "cancelled");
    // A disk is served meanwhile.
    let file = mount.attached_disk("busy", "4M", &["--unencrypted"]);
    std::fs::write(&file, vec![7; 4 << 20]).unwrap();
    assert_eq!(std::fs::read(&file).unwrap()[..], vec![7; 4 << 20]);
}

fn goes_on_after_a_crash() {
    let mount = with_disks(&Setup::default(), 5);
    let id = start(&mount, 2);
    wait_until("some are rewrapped", || held(&mount).1 >= 2);
    mount.kill();
    run("umount", &["-l", mount.mountpoint().to_str().unwrap()]).ok();
    mount.start();
    wait_until("it is done", || state(&mount, &id) == "done");
    assert_eq!(held(&mount), (0, 5));
    assert_eq!(mount.read_control(&format!("jobs/{id}/done")), "5");
}

fn goes_on_after_a_stop() {
    let mount = with_disks(&Setup::with("[mount]\njobs = 1\n"), 5);
    let (running, waiting) = (start(&mount, 1), start(&mount, 100));
    wait_until("it runs", || state(&mount, &running) == "running");
    let before = Instant::now();
    mount.stop();
    assert!(before.elapsed() < Duration::from_secs(10), "{:?}", before.elapsed());
    mount.start();
    mount.evsfs(&["job", "cancel", &running]).ok();
    wait_until("the other is done", || state(&mount, &waiting) == "done");
    assert_eq!(held(&mount), (0, 5));
}

fn the_last_hundred() {
    let mount = Mount::new();
    let mut last = String::new();
    for _ in 0..103 {
        last = start(&mount, 1000);
    }
    wait_until("all are done", || {
        let jobs = mount.json(&["job", "list"]);
        jobs.as_array().unwrap().iter().all(|job| job["state"] == "done")
    });
    assert_eq!(state(&mount, &last), "done");
    // The older ones are forgotten by the last of them, once it has ended.
    wait_until("a hundred are left", || names_in(&mount.control("jobs")).len() == 100);
    assert_eq!(names_in(&mount.state_dir().join("jobs")).len(), 100);
}

fn a_damaged_record() {
    let mount = Mount::new();
    let (damaged, whole) = (start(&mount, 1), start(&mount, 1));
    wait_until("both are done", || [&damaged, &whole].iter().all(|id| state(&mount, id) == "done"));
    mount.stop();
    let record = mount.state_dir().join(format!("jobs/{damaged}.toml"));
    let text = std::fs::read_to_string(&record).unwrap();
    assert!(text.contains("state = \"done\""), "{text}");
    std::fs::write(&record, text.replace("state = \"done\"", "state = \"queued\"")).unwrap();
    let config = mount.config_path();
    let checked = mount.evsfs_plain(&["check", "-c", config.to_str().unwrap()]);
    assert!(checked.code == 7 && checked.stdout.contains(&damaged), "{checked:?}");
    assert!(!checked.stdout.contains(&whole), "{checked:?}");
    mount.start();
    assert_eq!(names_in(&mount.control("jobs")), [whole]);
}

/// RULES A7: own jobs and own disks in them; an evs-administrator sees and rewraps all.
fn a7_foreign_jobs_do_not_exist() {
    let mount = with_disks(&Setup::with(USERS), 1);
    let alices =
        evsfs_as(&mount, 1000, &["disk", "create", "alices", "--size", "1M", "--key", "finance"]);
    alices.ok();
    mount.evsfs(&["key", "rotate", "finance"]).ok();
    let id = evsfs_as(&mount, 1000, &["disk", "rewrap", "--all", "--limit", "1", "--no-wait"]).ok();
    let id = id.trim_end().to_owned();
    assert_eq!(evsfs_as(&mount, 1001, &["job", "cancel", &id]).code, 3);
    assert_eq!(evsfs_as(&mount, 1001, &["job", "list", "--json"]).ok(), "[]\n");
    assert!(as_user(1001, || names_in(&mount.control("jobs"))).is_empty());
    let path = mount.control(&format!("jobs/{id}/state"));
    assert_eq!(errno(as_user(1001, || std::fs::read(&path))), Errno::NOENT);
    assert!(as_user(1000, || std::fs::read_to_string(&path)).is_ok());
    // Who may not use disks begins no job on them.
    assert_eq!(evsfs_as(&mount, 1002, &["disk", "rewrap", "--all"]).code, 6);
    evsfs_as(&mount, 1000, &["job", "watch", &id]).ok();
    // Only her own disk was moved.
    assert_eq!(mount.read_control("disks/alices/key-version"), "3");
    assert_eq!(mount.read_control("disks/d0/key-version"), "1");
    assert_eq!(mount.json(&["job", "list"])[0]["owner"], 1000);
    mount.evsfs(&["disk", "rewrap", "--all"]).ok();
    assert_eq!(mount.read_control("disks/d0/key-version"), "3");
}
