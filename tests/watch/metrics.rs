//! `.evs/metrics`.

use crate::openmetrics::{self, FORBIDDEN, Page};
use crate::support::{Mount, Needs, Setup, as_user, files, program_file, run, skipped, trial};
use libtest_mimic::Trial;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("the_reader_of_these_tests_forgives_nothing", Needs::Nothing, a_strict_reader),
        trial("m1_metrics_are_openmetrics_text", Needs::Fuse, m1_metrics_are_openmetrics_text),
        with_promtool("m1_promtool_finds_no_fault_with_metrics", Needs::Fuse, m1_promtool),
        trial("m2_what_a_disk_does_is_counted", Needs::Fuse, m2_what_a_disk_does_is_counted),
        trial("m2_a_refused_request_is_an_error", Needs::Fuse, m2_a_refused_request_is_an_error),
        trial("m3_keys_and_the_kms_are_shown", Needs::Fuse, m3_keys_and_the_kms_are_shown),
        trial("m4_a_caller_sees_the_metrics_of_what_it_may_see", Needs::Root, m4_foreign_metrics),
        trial("metrics_are_read_in_small_pieces_too", Needs::Fuse, in_small_pieces),
    ]
}

#[track_caller]
pub fn page(mount: &Mount) -> Page {
    openmetrics::parse(&std::fs::read_to_string(mount.control("metrics")).unwrap())
}

fn a_strict_reader() {
    for text in FORBIDDEN {
        let read = std::panic::catch_unwind(|| openmetrics::parse(text));
        assert!(read.is_err(), "{text:?} was read");
    }
    let page =
        openmetrics::parse("# TYPE a info\n# HELP a A.\na_info{b=\"c\\\\\\n\\\"d\"} 1\n# EOF\n");
    assert_eq!(page.value("a_info", &[("b", "c\\\n\"d")]), 1.0);
}

/// A mount with something of everything.
fn busy_mount() -> Mount {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    mount.evsfs(&["key", "create", "old"]).ok();
    mount.evsfs(&["key", "create", "own", "--external"]).ok();
    mount.evsfs(&["key", "schedule-deletion", "old", "--days", "7", "--yes"]).ok();
    let file = mount.attached_disk("db", "8M", &["--key", "finance"]);
    mount.evsfs(&["disk", "create", "spare", "--size", "1M", "--unencrypted"]).ok();
    std::fs::write(&file, files::content(1, 1 << 20)).unwrap();
    mount.evsfs(&["backup", "create", "db", "monday"]).ok();
    mount
}

/// "`.evs/metrics` is OpenMetrics text 1.0; every family is on every page, also without a sample."
fn m1_metrics_are_openmetrics_text() {
    let mount = busy_mount();
    let page = page(&mount);
    assert!(page.families.len() > 25, "{}", page.families.len());
    assert_eq!(page.value("evsfs_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    let mountpoint = mount.mountpoint();
    let labels = [("mountpoint", mountpoint.to_str().unwrap()), ("cache", "writeback")];
    assert_eq!(page.value("evsfs_mount_info", &labels), 1.0);
    assert_eq!(page.value("evsfs_agency", &[]), 1.0);
    assert!(page.value("evsfs_space_free_bytes", &[]) > 0.0);
    assert!(page.value("evsfs_start_time_seconds", &[]) > 1.7e9);
    assert_eq!(page.value("evsfs_jobs", &[("state", "done")]), 1.0);
    assert_eq!(page.value("evsfs_jobs", &[("state", "failed")]), 0.0);
    let fresh = self::page(&Mount::new());
    assert_eq!(fresh.families.keys().collect::<Vec<_>>(), page.families.keys().collect::<Vec<_>>());
    // One key is pending deletion.
    assert_eq!(page.value("evsfs_attention", &[("about", "key")]), 1.0);
    assert_eq!(page.value("evsfs_attention", &[("about", "disk")]), 0.0);
    let labels = [("disk", "db"), ("encrypted", "yes"), ("key", "finance"), ("server", "")];
    assert_eq!(page.value("evsfs_disk_info", &labels), 1.0);
    assert_eq!(page.value("evsfs_disk_size_bytes", &[("disk", "spare")]), f64::from(1 << 20));
    assert_eq!(page.value("evsfs_disk_attached", &[("disk", "db")]), 1.0);
    assert_eq!(page.value("evsfs_disk_attached", &[("disk", "spare")]), 0.0);
    assert_eq!(page.find("evsfs_disk_open_files", &[("disk", "spare")]), None);
}

/// The same, by Prometheus' own tool where it is installed.
fn m1_promtool(promtool: &str) {
    let mount = busy_mount();
    let text = std::fs::read_to_string(mount.control("metrics")).unwrap();
    // Its reader of OpenMetrics is in the import of blocks, which wants timestamps.
    let with_times: String = text
        .lines()
        .map(|line| match line.starts_with('#') {
            true => format!("{line}\n"),
            false => format!("{line} 1700000000\n"),
        })
        .collect();
    let (file, blocks) = (mount.scratch().join("metrics"), mount.scratch().join("blocks"));
    std::fs::write(&file, with_times).unwrap();
    let import = ["tsdb", "create-blocks-from", "openmetrics"];
    let places = [file.to_str().unwrap(), blocks.to_str().unwrap()];
    let imported = run(promtool, &[&import[..], &places[..]].concat()).ok();
    let samples = text.lines().filter(|line| !line.starts_with('#')).count();
    let is_count = |word: &str| word == samples.to_string();
    assert!(imported.split_whitespace().any(is_count), "{samples} samples: {imported}");

    // Its linter knows the older format alone, in which families have the names of their samples.
    std::fs::write(&file, in_older_format(&text)).unwrap();
    let script = format!("'{promtool}' check metrics < '{}'", file.display());
    let checked = run("sh", &["-c", &script]);
    assert_eq!((checked.code, checked.stderr.as_str()), (0, ""), "{}", checked.stdout);
}

fn in_older_format(text: &str) -> String {
    let mut kinds = std::collections::HashMap::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' ')) {
            kinds.insert(name, kind);
        }
    }
    let mut older = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "UNIT", ..] | ["#", "EOF"] => {}
            ["#", what, name, rest] => {
                let (suffix, kind) = match kinds[name] {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    "stateset" => ("", "gauge"),
                    kind => ("", kind),
                };
                let rest = if what == "TYPE" { kind } else { rest };
                older.push_str(&format!("# {what} {name}{suffix} {rest}\n"));
            }
            _ => older.push_str(&format!("{line}\n")),
        }
    }
    older
}

/// Prometheus' tool, in PATH or where `$EVSFS_PROMTOOL` says.
fn promtool() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("EVSFS_PROMTOOL") {
        return Some(named.into());
    }
    program_file("promtool")
}

/// A trial that takes promtool.
pub fn with_promtool(name: &str, needs: Needs, body: fn(&str)) -> Trial {
    match promtool() {
        Some(promtool) => trial(name, needs, move || body(promtool.to_str().unwrap())),
        None => skipped(name, "promtool is not installed (Debian: prometheus)"),
    }
}

/// "Requests of an attached disk that went well are counted with their bytes and their time in the
/// daemon, those that failed as errors; the counters begin with the attachment and go with it."
fn m2_what_a_disk_does_is_counted() {
    let mount = Setup::with("[mount]\ncache = \"none\"\n").mount();
    let path = mount.attached_disk("db", "8M", &[]);
    let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    for block in 0..10 {
        file.write_all_at(&[7; 4096], block * 4096).unwrap();
    }
    let dirty = page(&mount);
    assert_eq!(dirty.value("evsfs_disk_unflushed_bytes", &[("disk", "db")]), 40960.0);
    file.sync_all().unwrap();
    file.read_exact_at(&mut [0; 8192], 0).unwrap();
    let flags = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(&file, flags, 0, 4096).unwrap();
    let page = page(&mount);
    let of =
        |name: &str, operation: &str| page.value(name, &[("disk", "db"), ("operation", operation)]);
    assert_eq!(of("evsfs_disk_io_bytes_total", "write"), 40960.0);
    assert_eq!(of("evsfs_disk_io_bytes_total", "read"), 8192.0);
    assert_eq!(of("evsfs_disk_io_bytes_total", "discard"), 4096.0);
    assert_eq!(of("evsfs_disk_latency_seconds_count", "write"), 10.0);
    assert_eq!(of("evsfs_disk_latency_seconds_count", "discard"), 1.0);
    assert!(of("evsfs_disk_latency_seconds_count", "flush") >= 1.0);
    let sum = of("evsfs_disk_latency_seconds_sum", "write");
    assert!(sum > 0.0 && sum < 60.0, "{sum}");
    assert_eq!(page.value("evsfs_disk_unflushed_bytes", &[("disk", "db")]), 4096.0);
    assert_eq!(page.value("evsfs_disk_open_files", &[("disk", "db")]), 1.0);
    assert!(mount.read_control("disks/db/io").contains("writes: 10\nwritten-bytes: 40960\n"));
    // They go with the attachment, and the next one begins anew.
    drop(file);
    mount.evsfs(&["disk", "detach", "db"]).ok();
    let detached = self::page(&mount);
    assert_eq!(detached.find("evsfs_disk_open_files", &[("disk", "db")]), None);
    mount.evsfs(&["disk", "attach", "db"]).ok();
    let again = self::page(&mount);
    let written = [("disk", "db"), ("operation", "write")];
    assert_eq!(again.value("evsfs_disk_io_bytes_total", &written), 0.0);
}

fn m2_a_refused_request_is_an_error() {
    let mount = Setup::with("[mount]\ncache = \"none\"\n").mount();
    let path = mount.attached_disk("db", "1M", &[]);
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.write_at(&[1; 512], 1 << 20).unwrap_err();
    let labels = [("disk", "db"), ("operation", "write")];
    let page = page(&mount);
    assert_eq!(page.value("evsfs_disk_errors_total", &labels), 1.0);
    assert_eq!(page.value("evsfs_disk_latency_seconds_count", &labels), 0.0);
}

/// "The states and dates of keys are shown, and how often the KMS was asked for what, with which
/// outcome, and how long it took."
fn m3_keys_and_the_kms_are_shown() {
    let mount = busy_mount();
    mount.evsfs(&["disk", "create", "no", "--size", "1M", "--key", "old"]).refused(5);
    let page = page(&mount);
    let state = |key: &str, state: &str| {
        page.value("evsfs_key_state", &[("key", key), ("evsfs_key_state", state)])
    };
    assert_eq!((state("finance", "enabled"), state("finance", "disabled")), (1.0, 0.0));
    assert_eq!(state("old", "pending-deletion"), 1.0);
    assert_eq!(state("own", "pending-import"), 1.0);
    assert_eq!(state("own", "damaged"), 0.0);
    let shown = mount.json(&["key", "show", "old"]);
    let date: jiff::Timestamp = shown["deletion_date"].as_str().unwrap().parse().unwrap();
    let metric = page.value("evsfs_key_deletion_timestamp_seconds", &[("key", "old")]);
    assert_eq!(metric, date.as_second() as f64);
    assert_eq!(page.find("evsfs_key_deletion_timestamp_seconds", &[("key", "own")]), None);
    assert_eq!(page.value("evsfs_key_disks", &[("key", "finance")]), 1.0);
    let calls = |operation: &str, outcome: &str| {
        let labels = [("operation", operation), ("outcome", outcome)];
        page.value("evsfs_kms_call_duration_seconds_count", &labels)
    };
    assert_eq!(calls("createKey", "ok"), 3.0);
    assert_eq!(calls("decryptDatakey", "ok"), 1.0);
    assert_eq!(calls("createDatakey", "refused"), 1.0);
    assert_eq!(calls("scheduleKeyDeletion", "ok"), 1.0);
}

const USERS: &str = r#"
[mount]
allow_other = true
[[user]]
name = "alice"
uid = 1000
roles = ["evs-user"]
[[user]]
name = "bob"
uid = 1001
roles = ["evs-user", "kms-administrator"]
"#;

/// RULES A7: "A caller sees the metrics of the disks and jobs it may see, and what the KMS was asked for
/// if it may read the audit log; strangers see nothing."
fn m4_foreign_metrics() {
    let mount = Setup::with(USERS).mount();
    mount.attached_disk("roots", "1M", &["--unencrypted"]);
    mount.evsfs(&["backup", "create", "roots", "b"]).ok();
    let mountpoint = mount.mountpoint();
    for (uid, disk) in [(1000, "alices"), (1001, "bobs")] {
        let all = ["--mount", mountpoint.to_str().unwrap(), "disk", "create", disk];
        let all = [&all[..], &["--size", "1M", "--unencrypted"]].concat();
        mount.as_uid(uid, mount.program(), &all).ok();
    }
    let path = mount.control("metrics");
    let of_user =
        |uid| openmetrics::parse(&as_user(uid, || std::fs::read_to_string(&path).unwrap()));
    let (alice, bob, root) = (of_user(1000), of_user(1001), page(&mount));
    let disks = |page: &Page| page.label_values("disk").into_iter().collect::<Vec<_>>();
    assert_eq!(disks(&alice), ["alices"]);
    assert_eq!(disks(&bob), ["bobs"]);
    assert_eq!(disks(&root), ["alices", "bobs", "roots"]);
    assert_eq!(alice.value("evsfs_jobs", &[("state", "done")]), 0.0);
    assert_eq!(root.value("evsfs_jobs", &[("state", "done")]), 1.0);
    // What was asked of the KMS is for those who may read the audit log.
    let asked = |page: &Page| page.label_values("operation").contains("createAgency");
    assert!(!asked(&alice) && asked(&bob) && asked(&root));
    // Strangers see nothing.
    let denied = as_user(1002, || std::fs::read_to_string(&path)).unwrap_err();
    assert_eq!(denied.kind(), std::io::ErrorKind::PermissionDenied);
}

fn in_small_pieces() {
    let mount = busy_mount();
    let file = std::fs::File::open(mount.control("metrics")).unwrap();
    let (mut text, mut piece) = (Vec::new(), [0; 777]);
    loop {
        let read = file.read_at(&mut piece, text.len() as u64).unwrap();
        if read == 0 {
            break;
        }
        text.extend_from_slice(&piece[..read]);
    }
    assert!(text.len() > 4096);
    openmetrics::parse(std::str::from_utf8(&text).unwrap());
}
