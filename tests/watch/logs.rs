//! The log of the daemon: to a file that is put aside, and to journald.

use crate::support::{Mount, Needs, Setup, run, trial, wait_until};
use libtest_mimic::Trial;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

pub fn trials() -> Vec<Trial> {
    vec![
        trial("every_line_of_the_log_begins_with_its_event", Needs::Nothing, lines_in_the_source),
        trial("a_long_log_is_put_aside_when_the_daemon_starts", Needs::Fuse, put_aside),
        trial(
            "under_systemd_events_are_entries_with_fields",
            Needs::RootAnd(&["unshare"]),
            journal,
        ),
    ]
}

/// So that a line can be looked for by what it is of: `event=NAME`, then `key=value`, and an error, which
/// may say anything, last.
fn lines_in_the_source() {
    let mut wrong = Vec::new();
    let mut directories = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let production = text.split("#[cfg(test)]").next().unwrap();
            for call in production.split("log::").skip(1) {
                let Some((level, rest)) = call.split_once("!(") else { continue };
                if !["error", "warn", "info", "debug", "trace"].contains(&level) {
                    continue;
                }
                let line = rest.trim_start().trim_start_matches('"');
                if !line.starts_with("event=") {
                    wrong.push(format!("{}: {}", path.display(), line.lines().next().unwrap()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn put_aside() {
    let mount = Mount::new();
    mount.stop();
    let (log, older) =
        (mount.state_dir().join("daemon.log"), mount.state_dir().join("daemon.log.1"));
    let length = std::fs::metadata(&log).unwrap().len();
    assert!(!older.exists() && length < 1 << 20);
    std::fs::File::options().write(true).open(&log).unwrap().set_len(11 << 20).unwrap();
    mount.start();
    assert_eq!(std::fs::metadata(&older).unwrap().len(), 11 << 20);
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.contains("event=mounted"), "{text}");
    assert_eq!(std::fs::metadata(&log).unwrap().mode() & 0o777, 0o600);
}

/// The daemon in a mount namespace whose journald is this test.
fn journal() {
    let mount = Setup::default().prepare();
    let journal = mount.scratch().join("journal");
    std::fs::create_dir(&journal).unwrap();
    let socket = UnixDatagram::bind(journal.join("socket")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let stderr_path = mount.scratch().join("stderr");
    let stderr = std::fs::File::create(&stderr_path).unwrap();
    let meta = stderr.metadata().unwrap();
    let script = format!(
        "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && \
         mount --bind '{}' /run/systemd/journal && exec '{}' mount -f -c '{}'",
        journal.display(),
        mount.program(),
        mount.config_path().display()
    );
    let mut daemon = Command::new("unshare")
        .args(["-m", "sh", "-c", &script])
        .env("JOURNAL_STREAM", format!("{}:{}", meta.dev(), meta.ino()))
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .unwrap();
    let mut buffer = vec![0; 65536];
    let mounted = loop {
        let len = socket.recv(&mut buffer).unwrap();
        let entry = fields(&buffer[..len]);
        if entry.get("EVSFS_EVENT").is_some_and(|event| event == "mounted") {
            break entry;
        }
    };
    run("kill", &["-TERM", &daemon.id().to_string()]).ok();
    wait_until("the daemon ends", || daemon.try_wait().unwrap().is_some());
    let mountpoint = mount.mountpoint();
    for (field, value) in [
        ("SYSLOG_IDENTIFIER", "evsfs"),
        ("PRIORITY", "5"),
        ("EVSFS_MOUNTPOINT", mountpoint.to_str().unwrap()),
        ("EVSFS_VERSION", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(mounted.get(field).map(String::as_str), Some(value), "{mounted:?}");
    }
    assert!(mounted["MESSAGE"].starts_with("event=mounted "), "{mounted:?}");
    // Nothing is told twice.
    assert_eq!(std::fs::read_to_string(&stderr_path).unwrap(), "");
}

/// The fields of an entry: `NAME=value`, or the name alone, the length of the value in 64 bits,
/// little-endian, and the value (systemd, JOURNAL_NATIVE_PROTOCOL).
fn fields(entry: &[u8]) -> BTreeMap<String, String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (mut fields, mut rest) = (BTreeMap::new(), entry);
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        if let Some(at) = line.iter().position(|byte| *byte == b'=') {
            fields.insert(text(&line[..at]), text(&line[at + 1..]));
            rest = after;
        } else {
            let (len, after) = after.split_at(8);
            let len = usize::try_from(u64::from_le_bytes(len.try_into().unwrap())).unwrap();
            fields.insert(text(line), text(&after[..len]));
            rest = &after[len + 1..];
        }
    }
    assert!(rest.is_empty());
    fields
}
