//! What `tests/support/install-deps.sh` asks apt for, with an apt that only writes it down.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

const RELEASE: &str = "1:7.2+dfsg-7+deb12u18+b3";
const BACKPORTS: &str = "1:10.0.2+ds-2+deb13u1~bpo12+1";

/// A machine: which of QEMU's programs it has, the version they are of, and what apt knows.
#[derive(Debug, Clone, Copy)]
struct Machine {
    programs: &'static [&'static str],
    installed: &'static str,
    knows_backports: bool,
}

/// What was asked of apt to have QEMU, and of apt at all; `None` where there is no dpkg, aloud.
fn asked(machine: Machine, form: &[&str]) -> Option<(Option<String>, String)> {
    let dpkg = Path::new("/usr/bin/dpkg");
    if !dpkg.exists() {
        eprintln!("skipped: dpkg is not installed");
        return None;
    }
    let scratch = tempfile::tempdir().unwrap();
    let bin = scratch.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for program in ["sed", "grep", "cut", "head", "sort", "tr", "dirname", "cat"] {
        let place = ["/usr/bin", "/bin"].map(|it| Path::new(it).join(program));
        symlink(place.iter().find(|it| it.exists()).unwrap(), bin.join(program)).unwrap();
    }
    symlink(dpkg, bin.join("dpkg")).unwrap();
    let script = |name: &str, body: &str| {
        std::fs::write(bin.join(name), format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(bin.join(name), PermissionsExt::from_mode(0o755)).unwrap();
    };
    machine.programs.iter().for_each(|program| script(program, ""));
    script("id", "echo 0");
    let log = scratch.path().join("log");
    script("apt-get", &format!("echo \"$*\" >> {}", log.display()));
    let newer = match machine.knows_backports {
        true => {
            format!(
                ". /etc/os-release\n\
                 echo \" qemu-utils | {BACKPORTS} | http://d/debian $VERSION_CODENAME-backports/main\""
            )
        }
        false => String::new(),
    };
    script(
        "apt-cache",
        &format!("{newer}\necho ' qemu-utils | {RELEASE} | http://d/debian a/main'"),
    );
    let installed = match machine.installed {
        "" => String::new(),
        version => format!("echo 'installed {version}'"),
    };
    script("dpkg-query", &installed);
    // The guest's kernel is there.
    std::fs::create_dir_all(scratch.path().join("tmp/guest")).unwrap();
    std::fs::write(scratch.path().join("tmp/guest/complete"), "").unwrap();
    let ran = Command::new("/bin/sh")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/install-deps.sh"))
        .args(form)
        .env_clear()
        .env("PATH", &bin)
        .env("CARGO_TARGET_DIR", scratch.path())
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let asked = std::fs::read_to_string(&log).unwrap();
    let qemu = asked.lines().find(|line| line.contains("qemu")).map(str::to_owned);
    Some((qemu, asked))
}

#[test]
fn the_slow_form_took_away_a_newer_qemu_img() {
    let machine =
        Machine { programs: &["qemu-img", "qemu-io"], installed: BACKPORTS, knows_backports: true };
    let Some((qemu, all)) = asked(machine, &["slow"]) else { return };
    let qemu = qemu.unwrap();
    assert!(qemu.contains("qemu-utils qemu-system-x86"), "{qemu}");
    assert!(qemu.contains("--target-release=") && qemu.contains("-backports"), "{qemu}");
    for line in all.lines().filter(|line| line.starts_with("install")) {
        assert!(line.contains("--no-remove"), "{line}");
    }
}

#[test]
fn a_release_whose_qemu_reads_no_detached_header_is_passed_over_in_the_slow_form_only() {
    let none = Machine { programs: &[], installed: "", knows_backports: true };
    let Some((slow, _)) = asked(none, &["slow"]) else { return };
    assert!(slow.unwrap().contains("-backports qemu-utils qemu-system-x86"));
    let (plain, _) = asked(none, &[]).unwrap();
    let plain = plain.unwrap();
    assert!(plain.ends_with(" qemu-utils") && !plain.contains("-backports"), "{plain}");
    // Apt knows no other: that one, then.
    let (slow, _) = asked(Machine { knows_backports: false, ..none }, &["slow"]).unwrap();
    let slow = slow.unwrap();
    assert!(slow.ends_with("qemu-utils qemu-system-x86"), "{slow}");
    assert!(!slow.contains("--target-release"), "{slow}");
}

#[test]
fn qemu_that_is_there_and_new_enough_is_left_alone() {
    let all = Machine {
        programs: &["qemu-img", "qemu-io", "qemu-system-x86_64"],
        installed: BACKPORTS,
        knows_backports: true,
    };
    let Some((slow, _)) = asked(all, &["slow"]) else { return };
    assert_eq!(slow, None);
    let old = Machine { installed: RELEASE, ..all };
    assert_eq!(asked(old, &[]).unwrap().0, None);
    assert!(asked(old, &["slow"]).unwrap().0.unwrap().contains("-backports"));
}

/// A QEMU of the backports was installed, and apt does not know them any more: nothing else was installed
/// then either.
#[test]
fn what_else_is_missing_is_installed_where_qemu_cannot_be() {
    let machine = Machine {
        programs: &["qemu-img", "qemu-io"],
        installed: BACKPORTS,
        knows_backports: false,
    };
    let Some((qemu, all)) = asked(machine, &["slow"]) else { return };
    assert!(!qemu.unwrap().contains("--target-release"), "{all}");
    let installed: Vec<&str> = all.lines().filter(|line| line.starts_with("install")).collect();
    assert!(installed[0].contains("debootstrap") && !installed[0].contains("qemu"), "{all}");
}
