//! A guest that boots from a disk of a mount, under QEMU's emulator: part of `make test-slow`.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[path = "../trouble/amount.rs"]
#[allow(dead_code)]
mod amount;
mod machine;
#[path = "../support/mod.rs"]
mod support;

use crate::amount::Amount;
use crate::support::{Mount, Needs, run, trial};
use libtest_mimic::Trial;
use machine::{SYSTEM_TEXT, System};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::ExitCode;

const MIB: usize = 1 << 20;
/// What the guest needs at most, emulated on a busy machine.
const PATIENCE: &str = "600";

fn main() -> ExitCode {
    let name = "a_guest_boots_from_its_system_disk_and_uses_its_data_disk";
    let is_asked_for = Amount::asked_for() == Amount::Long;
    let why_not = match is_asked_for {
        false => Some("it is part of make test-slow".to_owned()),
        true => System::missing(),
    };
    let trial: Trial = match why_not {
        Some(why) => {
            eprintln!("skipped: {name}: {why}");
            Trial::test(name, || Ok(())).with_ignored_flag(true)
        }
        None => trial(name, Needs::RootAnd(&["mke2fs", "debugfs", "sfdisk"]), guest),
    };
    support::run_trials(vec![trial])
}

/// The line that `server show --qemu` prints boots the server, with encrypted disks: firmware, boot
/// loader, kernel and file system read through the mount. What the guest writes is there when it has
/// powered off, and at rest nobody finds it.
fn guest() {
    let mount = Mount::new();
    mount.evsfs(&["key", "create", "finance"]).ok();
    let raw = System::build(mount.scratch());
    let raw = raw.to_str().unwrap();
    mount.evsfs(&["image", "import", "system", raw, "--encrypted", "--key", "finance"]).ok();
    let data_disk = "name=data,size=16M,encrypted=yes,key=finance";
    mount.evsfs(&["server", "create", "web", "--image", "system", "--data-disk", data_disk]).ok();
    let data = mount.mountpoint().join("data");
    let by_host = noise(2 * MIB);
    let file = std::fs::File::options().write(true).open(&data).unwrap();
    file.write_all_at(&by_host, 0).unwrap();
    file.write_all_at(&by_host, 8 * MIB as u64).unwrap();
    drop(file);

    // Emulated, because /dev/kvm of a machine that is virtual itself may not work.
    let line = mount.evsfs(&["server", "show", "web", "--qemu"]).ok();
    assert!(line.contains("accel=kvm:tcg"), "{line}");
    let line = line.replace("accel=kvm:tcg", "accel=tcg");
    let console = run(
        "timeout",
        &[PATIENCE, "sh", "-c", &format!("exec {} -nographic -no-reboot -nic none", line.trim())],
    );
    let said = |what: &str| console.stdout.contains(what);
    assert!(console.code == 0 && said("guest: done"), "{}\n{}", console.stdout, console.stderr);
    assert!(said(&format!("guest: system says {SYSTEM_TEXT}")), "{}", console.stdout);

    // The guest has copied the first 2 MiB to the fifth, and discarded the ninth and tenth.
    let bytes = std::fs::read(&data).unwrap();
    assert!(bytes[..2 * MIB] == by_host[..]);
    assert!(bytes[4 * MIB..6 * MIB] == by_host[..], "what the guest wrote is not there");
    assert!(bytes[8 * MIB..10 * MIB].iter().all(|byte| *byte == 0), "what it discarded is");
    let system = mount.mountpoint().join("web-system");
    let partition = format!("{}?offset={}", system.display(), machine::PARTITION);
    let written = run("debugfs", &["-R", "cat /from-guest", &partition]).ok();
    assert_eq!(written, "written by the guest\n");
    run("e2fsck", &["-fn", &partition]).ok();

    mount.evsfs(&["disk", "detach", "data"]).ok();
    let at_rest = std::fs::read(mount.payload("data")).unwrap();
    for needle in by_host.chunks(4096) {
        assert!(!at_rest.chunks(4096).any(|sector| sector == needle), "plaintext at rest");
    }
}

/// Bytes of which no two sectors are alike.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(len).collect()
}

/// A path for a command line.
fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
