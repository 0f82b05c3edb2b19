//! The same inputs through a mount, by every kind of caller at the same time.

use crate::amount::Amount;
use crate::project::{CALLERS, project};
use crate::report;
use crate::support::STRANGER;
use crate::support::mutation::Mutator;
use crate::support::{Mount, Needs, as_user, trial};
use libtest_mimic::Trial;
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Write};

pub fn trials() -> Vec<Trial> {
    vec![trial("no_request_of_anybody_harms_the_mount", Needs::Root, no_request_of_anybody)]
}

/// Half of them as JSON to `control`, half as text to the files that make things. Every refusal has a
/// code, a kind, a message and a remedy; the daemon and an attached disk go on.
fn no_request_of_anybody() {
    let mount = project();
    let (pid, disk) = (mount.pid(), mount.mountpoint().join("alice"));
    std::fs::write(&disk, [7; 4096]).unwrap();
    let each = Amount::of(400, 10_000);
    std::thread::scope(|scope| {
        for uid in CALLERS {
            let mount = &mount;
            scope.spawn(move || as_user(uid, || requests_of(mount, uid, each)));
        }
    });
    assert_eq!(mount.pid(), pid);
    report(&format!(
        "{} requests by {} uids: all answered",
        each * 2 * CALLERS.len(),
        CALLERS.len()
    ));
}

fn requests_of(mount: &Mount, uid: u32, count: usize) {
    let mut requests = Mutator::seeded("request", u64::from(uid));
    let mut commands = Mutator::seeded("command", u64::from(uid) + 1);
    for _ in 0..count {
        let request = requests.next();
        if is_harmless(&request) {
            ask(mount, uid, &request);
        }
        let command = commands.next();
        let at = command.iter().position(|byte| *byte == b' ').map_or(0, |at| at + 1);
        if is_harmless(&command) {
            write(mount, uid, &command[at..]);
        }
    }
}

/// What a caller with the right to it may do and would end the test, or its disk.
fn is_harmless(input: &[u8]) -> bool {
    let has = |word: &[u8]| input.windows(word.len()).any(|piece| piece == word);
    !has(b"stop") && !has(b"\\u00")
}

fn ask(mount: &Mount, uid: u32, request: &[u8]) {
    let opened = File::options().read(true).write(true).open(mount.control("control"));
    let mut file = match opened {
        Ok(file) => file,
        Err(error) => {
            assert!(uid == STRANGER, "{uid}: {error}");
            return;
        }
    };
    assert_ne!(uid, STRANGER, "a stranger has opened control");
    if let Err(error) = file.write_all(request) {
        let errno = Errno::from_io_error(&error).unwrap();
        assert!([Errno::INVAL, Errno::TOOBIG, Errno::MSGSIZE].contains(&errno), "{errno:?}");
        return;
    }
    let mut answer = String::new();
    file.read_to_string(&mut answer).unwrap();
    for line in answer.lines() {
        let answer: serde_json::Value = serde_json::from_str(line).unwrap();
        if let Some(error) = answer.get("error") {
            for part in ["code", "kind", "message", "remedy"] {
                let is_there = error[part].as_str().is_some_and(|text| !text.is_empty());
                assert!(is_there, "no {part}: {answer} to {:?}", String::from_utf8_lossy(request));
            }
            assert_ne!(error["kind"], "internal", "{answer}");
        } else {
            assert!(answer.get("ok").is_some(), "{answer}");
        }
    }
}

fn write(mount: &Mount, uid: u32, words: &[u8]) {
    for directory in ["disks", "keys", "images", "servers", "backups"] {
        let path = mount.control(directory).join("create");
        let Ok(mut file) = File::options().write(true).open(path) else { continue };
        assert_ne!(uid, STRANGER, "a stranger has opened {directory}/create");
        // Empty ones never reach the mount.
        if !words.is_empty() && file.write(words).is_err() {
            let error = std::fs::read_to_string(mount.control("error")).unwrap();
            assert!(error.lines().count() >= 2, "{error:?}");
        }
    }
}
