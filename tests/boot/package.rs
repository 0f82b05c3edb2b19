//! The Debian package: what is in it, and, with `EVSFS_SLOW=1`, its life in a system of its own.

use crate::support::{Needs, Output, run, trial};
use libtest_mimic::Trial;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub fn trials() -> Vec<Trial> {
    let mut trials = vec![trial(
        "the_package_has_all_it_takes",
        Needs::RootAnd(&["dpkg-deb", "objdump"]),
        the_package_has_all_it_takes,
    )];
    if std::env::var_os("EVSFS_SLOW").is_some() {
        trials.push(trial(
            "the_package_is_installed_used_and_purged",
            Needs::RootAnd(&["dpkg-deb", "objdump", "debootstrap", "unshare"]),
            the_package_is_installed_used_and_purged,
        ));
    }
    trials
}

fn package(directory: &TempDir) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/debian/build.sh");
    let (program, out) = (env!("CARGO_BIN_EXE_evsfs"), directory.path().to_str().unwrap());
    PathBuf::from(run(script.to_str().unwrap(), &[program, out]).ok().trim())
}

fn the_package_has_all_it_takes() {
    let directory = tempfile::tempdir().unwrap();
    let package = package(&directory);
    let package = package.to_str().unwrap();
    let listed = run("dpkg-deb", &["--contents", package]).ok();
    for file in [
        "./usr/bin/evsfs",
        "./usr/sbin/mount.evsfs -> ../bin/evsfs",
        "./usr/sbin/mount.fuse.evsfs -> ../bin/evsfs",
        "./usr/share/man/man1/evsfs-disk-suspend.1.gz",
        "./usr/share/man/man8/mount.evsfs.8.gz",
        "./usr/share/man/man5/mount.toml.5.gz",
        "./usr/share/bash-completion/completions/evsfs",
        "./usr/share/zsh/vendor-completions/_evsfs",
        "./usr/share/fish/vendor_completions.d/evsfs.fish",
        "./usr/lib/systemd/system/evsfs@.service",
        "./usr/lib/systemd/system/evsfs-sleep@.service",
        "./usr/lib/tmpfiles.d/evsfs.conf",
        "./usr/share/doc/evsfs/copyright",
        "./usr/share/doc/evsfs/changelog.gz",
        "./etc/evsfs/mount.toml",
    ] {
        assert!(listed.lines().any(|line| line.ends_with(file)), "{file}: {listed}");
    }
    assert!(listed.lines().all(|line| line.contains(" root/root ")), "{listed}");
    let field = |name: &str| run("dpkg-deb", &["--field", package, name]).ok();
    assert_eq!(field("Version").trim(), env!("CARGO_PKG_VERSION"));
    assert!(field("Depends").contains("libc6 (>= 2."), "{}", field("Depends"));
    assert_eq!(run("dpkg-deb", &["--info", package, "conffiles"]).ok(), "/etc/evsfs/mount.toml\n");
}

/// In a fresh Debian: install, use, purge; the state directory outlives the package.
fn the_package_is_installed_used_and_purged() {
    let directory = tempfile::Builder::new().prefix("evsfs-deb-").tempdir_in("/var/tmp").unwrap();
    let package = package(&directory);
    let root = directory.path().join("root");
    let root = root.to_str().unwrap();
    // The same release as here, so that the program finds its C library.
    let release = std::fs::read_to_string("/etc/os-release").unwrap();
    let name = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    run("debootstrap", &["--variant=minbase", name.unwrap(), root]).ok();
    std::fs::copy(&package, format!("{root}/evsfs.deb")).unwrap();
    let inside = |script: &str| -> Output {
        // With a mount namespace of its own, so that nothing mounted inside is left outside.
        let text = format!(
            "set -e; mount -t proc proc {root}/proc; mount --rbind /dev {root}/dev
             chroot {root} /bin/sh -ec '{script}'"
        );
        run("unshare", &["--mount", "--propagation", "private", "sh", "-c", &text])
    };
    inside("dpkg -i /evsfs.deb").ok();
    assert_eq!(inside("evsfs --version").ok().trim(), concat!("evsfs ", env!("CARGO_PKG_VERSION")));
    inside("evsfs init").ok();
    let used = inside(
        "mount -t evsfs /etc/evsfs/mount.toml /mnt/evs
         evsfs agency create
         evsfs disk create db --size 8M --encrypted
         evsfs disk attach db
         echo content | dd of=/mnt/evs/db conv=notrunc status=none
         evsfs umount
         mount -t evsfs /etc/evsfs/mount.toml /mnt/evs
         head -c 8 /mnt/evs/db
         evsfs umount",
    );
    assert!(used.clone().ok().contains("content\n"), "{used:?}");
    inside("test -s /usr/share/man/man1/evsfs.1.gz && test -d /var/lib/evsfs/hsm").ok();
    // A changed conffile survives an upgrade.
    inside("echo \"# mine\" >> /etc/evsfs/mount.toml; dpkg -i /evsfs.deb; grep mine /etc/evsfs/mount.toml")
        .ok();
    let purged = inside("dpkg --purge evsfs");
    assert!(purged.stderr.contains("/var/lib/evsfs is kept"), "{purged:?}");
    purged.ok();
    inside("test ! -e /usr/bin/evsfs && test ! -e /etc/evsfs/mount.toml").ok();
    inside("test -s /var/lib/evsfs/hsm/root.key && ls /var/lib/evsfs/disks/*/payload").ok();
}
