//! What the tests of a disk's life share: kinds of disks, and plain system calls on files.

use crate::support::{Mount, Output, run};
use rustix::io::Errno;
use std::fs::File;
use std::io::Result;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// A disk with its own key, or one that is its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Encrypted,
    Unencrypted,
}

impl Kind {
    /// What tests use that are not about the difference.
    pub const USUAL: Kind = Kind::Encrypted;
    pub const BOTH: [Kind; 2] = [Kind::Encrypted, Kind::Unencrypted];

    /// The options of `disk create`.
    pub fn options(self) -> &'static [&'static str] {
        match self {
            Kind::Encrypted => &["--encrypted"],
            Kind::Unencrypted => &["--unencrypted"],
        }
    }
}

/// Creates a disk and does not attach it.
#[track_caller]
pub fn create(mount: &Mount, name: &str, size: &str, options: &[&str]) {
    let mut all = vec!["disk", "create", name, "--size", size];
    all.extend_from_slice(options);
    mount.evsfs(&all).ok();
}

/// Creates and attaches a disk of the usual kind of 8 MiB.
#[track_caller]
pub fn usual_disk(mount: &Mount, name: &str) -> std::path::PathBuf {
    mount.attached_disk(name, "8M", Kind::USUAL.options())
}

#[track_caller]
pub fn attach(mount: &Mount, name: &str) {
    mount.evsfs(&["disk", "attach", name]).ok();
}

#[track_caller]
pub fn detach(mount: &Mount, name: &str) {
    mount.evsfs(&["disk", "detach", name]).ok();
}

/// Detaches a disk from under those who have it open.
#[track_caller]
pub fn force_detach(mount: &Mount, name: &str) {
    mount.evsfs(&["disk", "detach", name, "--force", "--yes"]).ok();
}

#[track_caller]
pub fn status_of(mount: &Mount, name: &str) -> String {
    mount.read_control(&format!("disks/{name}/status"))
}

/// The code, and its cause, of a refusal's second line: `(EVS.2040, KMS.0209)`.
#[track_caller]
pub fn has_codes(output: Output, exit: i32, codes: &str) -> String {
    let text = output.refused(exit);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[1].ends_with(&format!("({codes})")), "{text}");
    assert!(lines[2].starts_with("fix: "), "{text}");
    text
}

pub fn open_rw(path: &Path) -> File {
    File::options().read(true).write(true).open(path).unwrap()
}

/// Opens with more flags, such as `O_DIRECT`.
pub fn open_with(path: &Path, flags: rustix::fs::OFlags) -> File {
    let flags = flags.bits().cast_signed();
    File::options().read(true).write(true).custom_flags(flags).open(path).unwrap()
}

pub fn write_at(path: &Path, offset: u64, bytes: &[u8]) {
    let file = open_rw(path);
    file.write_all_at(bytes, offset).unwrap();
}

pub fn read_at(path: &Path, offset: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0xEE; len];
    File::open(path).unwrap().read_exact_at(&mut bytes, offset).unwrap();
    bytes
}

/// The errno a call failed with.
#[track_caller]
pub fn errno<T: std::fmt::Debug>(result: Result<T>) -> Errno {
    Errno::from_io_error(&result.expect_err("this must fail")).unwrap()
}

/// Runs something that must not hang: it runs in a thread of its own and gets `limit`.
#[track_caller]
pub fn within<T: Send + 'static>(
    limit: Duration,
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    receiver.recv_timeout(limit).unwrap_or_else(|_| panic!("{what} hangs"))
}

/// Waits for a child, which must end within `limit`; its exit code, or 128 + the signal.
#[track_caller]
pub fn ends_within(limit: Duration, what: &str, child: &mut std::process::Child) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap_or_else(|| 128 + status.signal().unwrap());
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("{what} hangs");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// 4 KiB that say which block they are.
pub fn numbered_block(number: u64) -> Vec<u8> {
    let mut block = vec![0; 4096];
    for (at, word) in block.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&(number << 16 | (at as u64 + 1)).to_le_bytes());
    }
    block
}

/// Bytes that differ from their neighbours and from zero.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8 + 1).collect()
}

pub fn sha256(path: &Path) -> String {
    run("sha256sum", &[path.to_str().unwrap()]).ok()[..64].to_owned()
}
