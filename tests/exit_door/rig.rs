//! What the tests share: other programs reading a payload, and volumes that other programs made.

use crate::support::{Mount, Needs, Setup, run};
use serde_json::Value;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The programs of the tests.
pub const TOOLS: Needs = Needs::RootAnd(&["cryptsetup", "qemu-img", "nbdkit", "nbdcopy", "strace"]);

pub const PASSPHRASE: &str = "correct horse";

/// The least work for a passphrase that cryptsetup does: nobody attacks these.
pub const QUICK: [&str; 4] = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"];

/// A mount with the key `finance`, and with a directory besides its state where payloads may lie.
#[track_caller]
pub fn project(config: &str) -> (Mount, TempDir) {
    let outside = tempfile::Builder::new().prefix("evsfs-outside-").tempdir().unwrap();
    let place = outside.path().display();
    let mount = Setup::with(&format!("backing_dirs = [\"{place}\"]\n{config}")).mount();
    mount.evsfs(&["key", "create", "finance"]).ok();
    (mount, outside)
}

/// A file of the passphrase that nobody else reads.
pub fn passphrase_file(mount: &Mount) -> PathBuf {
    mount.secret_file("passphrase", PASSPHRASE.as_bytes())
}

/// An attached disk with data here and there, whose first and last sectors are written, and holes.
#[track_caller]
pub fn disk_with_data(mount: &Mount, name: &str, sector_size: &str) -> PathBuf {
    let disk = mount.attached_disk(
        name,
        "4M",
        &["--encrypted", "--key", "finance", "--sector-size", sector_size],
    );
    let file = std::fs::File::options().write(true).open(&disk).unwrap();
    for (at, len) in [(0, 70_000), (1 << 20, 4096), ((2 << 20) + 100, 5000), ((4 << 20) - 9, 9)] {
        file.write_all_at(&noise(len, at + 3), at).unwrap();
    }
    file.sync_all().unwrap();
    disk
}

/// Runs `disk export-header` with a passphrase that is quickly tried, and returns the file.
#[track_caller]
pub fn exported(mount: &Mount, disk: &str, format: &str, options: &[&str]) -> PathBuf {
    let file = mount.scratch().join(format!("{disk}-{format}-{}", options.len()));
    let passphrase = passphrase_file(mount);
    let mut all = vec!["disk", "export-header", disk, "--format", format, "--output", text(&file)];
    if format != "dk" {
        all.extend_from_slice(&["--passphrase-file", text(&passphrase), "--iter-time", "10"]);
    }
    all.extend_from_slice(options);
    mount.evsfs(&all).ok();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    file
}

/// What `cryptsetup` reads behind a detached LUKS2 header, found out without the device mapper: it
/// takes the encryption off a copy.
#[track_caller]
pub fn decrypted(mount: &Mount, header: &Path, payload: &Path) -> Vec<u8> {
    let (copy, header_copy) = (mount.scratch().join("copy"), mount.scratch().join("header-copy"));
    std::fs::copy(payload, &copy).unwrap();
    std::fs::copy(header, &header_copy).unwrap();
    let passphrase = passphrase_file(mount);
    run(
        "cryptsetup",
        &[
            "reencrypt",
            "--decrypt",
            "--force-offline-reencrypt",
            "--batch-mode",
            "--key-file",
            text(&passphrase),
            "--header",
            text(&header_copy),
            text(&copy),
        ],
    )
    .ok();
    std::fs::read(&copy).unwrap()
}

/// What a LUKS2 volume looks like that `cryptsetup` made around `plain`: header and data in one file.
#[track_caller]
pub fn luks2_volume(mount: &Mount, plain: &[u8], sector_size: &str, options: &[&str]) -> PathBuf {
    let file = mount.scratch().join(format!("luks2-{sector_size}"));
    std::fs::write(&file, plain).unwrap();
    // Data moves back by 16 MiB, for which it needs twice the room.
    let len = plain.len() as u64 + (32 << 20);
    std::fs::File::options().write(true).open(&file).unwrap().set_len(len).unwrap();
    let passphrase = passphrase_file(mount);
    let mut all = vec!["reencrypt", "--encrypt", "--batch-mode", "--type", "luks2"];
    all.extend_from_slice(&["--reduce-device-size", "32M", "--sector-size", sector_size]);
    all.extend_from_slice(&["--cipher", "aes-xts-plain64", "--key-size", "512"]);
    all.extend_from_slice(&QUICK);
    all.extend_from_slice(options);
    all.extend_from_slice(&["--key-file", text(&passphrase), text(&file)]);
    run("cryptsetup", &all).ok();
    file
}

/// A LUKS1 volume that `qemu-img` made around `plain`.
#[track_caller]
pub fn luks1_volume(mount: &Mount, plain: &[u8]) -> PathBuf {
    let (raw, file) = (mount.scratch().join("plain.raw"), mount.scratch().join("luks1"));
    std::fs::write(&raw, plain).unwrap();
    let secret = format!("secret,id=s,data={PASSPHRASE}");
    // It times its key derivation, and gives up where the clock is too coarse for that.
    let made = || {
        run(
            "qemu-img",
            &[
                "convert",
                "-f",
                "raw",
                "-O",
                "luks",
                "--object",
                &secret,
                "-o",
                "key-secret=s,iter-time=20",
                text(&raw),
                text(&file),
            ],
        )
    };
    let mut tries = 1;
    while made().code != 0 {
        assert!(tries < 20, "{}", made().stderr);
        tries += 1;
    }
    file
}

/// Runs a shell line on what nbdkit's `split` plugin serves: a header and a payload behind each other,
/// neither of them copied.
#[track_caller]
pub fn with_joined(parts: [&Path; 2], more: &[&str], line: &str) -> String {
    let mut all = vec!["-r", "-U", "-"];
    all.extend_from_slice(more);
    all.extend_from_slice(&["split", text(parts[0]), text(parts[1])]);
    if more.contains(&"--filter=luks") {
        all.push("passphrase=correct horse");
    }
    all.extend_from_slice(&["--run", line]);
    run("nbdkit", &all).ok()
}

/// The events of the audit log, each with its outcome.
#[track_caller]
pub fn audit_of(mount: &Mount) -> Vec<(String, String)> {
    let entries = mount.json(&["audit", "show"]);
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
    entries.as_array().unwrap().iter().map(|it| (text(it, "event"), text(it, "outcome"))).collect()
}

/// The names of all disks with their status.
#[track_caller]
pub fn disks_of(mount: &Mount) -> Vec<(String, String)> {
    let disks = mount.json(&["disk", "list"]);
    let text = |disk: &Value, key: &str| disk[key].as_str().unwrap().to_owned();
    disks.as_array().unwrap().iter().map(|it| (text(it, "name"), text(it, "status"))).collect()
}

/// How many disks lie in the state directory.
pub fn left_in_state(mount: &Mount) -> usize {
    std::fs::read_dir(mount.state_dir().join("disks")).map_or(0, Iterator::count)
}

/// Bytes without a pattern, the same for every seed.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

#[track_caller]
pub fn same(what: &str, found: &[u8], expected: &[u8]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let differs = found.iter().zip(expected).position(|(found, expected)| found != expected);
    assert!(differs.is_none(), "{what} differs at {differs:?}");
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
