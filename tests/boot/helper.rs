//! `mount.evsfs`, called by mount(8).
//!
//! mount(8) finds helpers in /sbin only, so each test has a mount namespace of its own with an overlay
//! there.

use crate::support::{Mount, Needs, Output, Setup, run, trial, wait_until};
use libtest_mimic::Trial;

const TOOLS: Needs = Needs::RootAnd(&["unshare", "mount", "findmnt", "mkfs.ext4"]);

pub fn trials() -> Vec<Trial> {
    vec![
        trial("mount_8_mounts_and_umount_8_unmounts", TOOLS, mount_8_mounts_and_umount_8_unmounts),
        trial("lines_of_fstab_are_mounted_once", TOOLS, lines_of_fstab_are_mounted_once),
        trial(
            "options_of_mount_8_are_taken_or_refused",
            TOOLS,
            options_of_mount_8_are_taken_or_refused,
        ),
        trial("a_helper_that_is_refused_says_why", TOOLS, a_helper_that_is_refused_says_why),
        trial(
            "a_mount_of_an_ordinary_command_names_its_configuration",
            TOOLS,
            the_source_is_listed,
        ),
    ]
}

/// Runs a script with the built program as /sbin/mount.evsfs and /sbin/mount.fuse.evsfs. `$C` is the
/// configuration, `$M` the mountpoint, `$D` a scratch directory.
fn script(mount: &Mount, text: &str) -> Output {
    let (program, scratch) = (mount.program(), mount.scratch().to_str().unwrap().to_owned());
    let text = format!(
        "set -eu; PATH=$PATH:/usr/sbin:/sbin; D={scratch}; C=$D/mount.toml; M=$D/mnt
         export EVSFS_MOUNT=$M
         evsfs() {{ {program} \"$@\"; }}
         sbin=$(realpath /sbin); mkdir -p $D/helpers $D/files
         ln -sf {program} $D/helpers/mount.evsfs; ln -sf {program} $D/helpers/mount.fuse.evsfs
         mount -t overlay -o lowerdir=$D/helpers:$sbin overlay $sbin
         trap 'umount $D/files 2>/dev/null || :; evsfs umount --force >/dev/null 2>&1 || :' EXIT
         {text}"
    );
    let private = ["--mount", "--propagation", "private", "sh", "-c", &text];
    run("unshare", &private)
}

fn mount_8_mounts_and_umount_8_unmounts() {
    let mount = Setup::default().prepare();
    let said = script(
        &mount,
        "mount -t evsfs $C $M -o noatime,nosuid
         evsfs status --json | grep -o '\"pid\":[0-9]*'
         findmnt -n -o SOURCE,FSTYPE,TARGET $M
         umount $M
         findmnt $M || echo gone
         until mount -v -t fuse.evsfs $C $M; do sleep 0.1; done
         findmnt -n -o FSTYPE $M",
    );
    let scratch = mount.scratch().display();
    let text = said.ok();
    let words: Vec<&str> = text.split_whitespace().collect();
    assert!(words[0].starts_with("\"pid\":"), "{text}");
    let listed = [format!("{scratch}/mount.toml"), "fuse.evsfs".into(), format!("{scratch}/mnt")];
    assert_eq!(words[1..4], listed, "{text}");
    assert_eq!(words[4], "gone", "{text}");
    assert!(text.contains(&format!("mounted {scratch}/mnt (pid ")), "{text}");
    assert!(text.ends_with("fuse.evsfs\n"), "{text}");
}

/// The documented lines, twice: what is mounted already is not mounted again.
fn lines_of_fstab_are_mounted_once() {
    let mount = Setup::default().prepare();
    let said = script(
        &mount,
        "mount -t evsfs $C $M
         evsfs agency create; evsfs disk create db --size 16M --encrypted; evsfs disk attach db
         mkfs.ext4 -q $M/db
         evsfs umount
         cat > $D/fstab <<END
$C $M evsfs nofail,_netdev 0 0
$M/db $D/files ext4 loop,nofail,x-systemd.requires-mounts-for=$M 0 0
END
         mount -a -T $D/fstab
         echo content > $D/files/file
         mount -a -T $D/fstab
         findmnt -n -t fuse.evsfs $M | wc -l
         findmnt -n $D/files | wc -l
         umount $D/files
         umount $M
         until mount -a -T $D/fstab && mountpoint -q $D/files; do sleep 0.2; done
         cat $D/files/file",
    );
    let text = said.ok();
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    assert_eq!(lines, ["content", "1", "1"], "{text}");
}

fn options_of_mount_8_are_taken_or_refused() {
    let mount = Setup::default().prepare();
    let said = script(
        &mount,
        "set +e
         mount -t evsfs -o what $C $M; echo $?
         mount -t evsfs -o ro $C $M; echo $?
         mount -f -t evsfs $C $M; echo $?
         findmnt -n $M || echo not mounted
         mount -s -t evsfs -o rw,what,dev,suid,user,auto,nofail,x-systemd.automount,allow_other $C $M; echo $?
         findmnt -n -o OPTIONS $M",
    );
    let text = said.clone().ok();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..5], ["1", "1", "0", "not mounted", "0"], "{said:?}");
    assert!(lines[5].contains("allow_other"), "{said:?}");
    assert!(said.stderr.contains("mount option \"what\" is unknown"), "{said:?}");
}

fn a_helper_that_is_refused_says_why() {
    let mount = Setup::default().prepare();
    let said = script(
        &mount,
        "set +e
         mount -t evsfs $D/none.toml $M; echo $?
         echo 'threds = 1' > $D/bad.toml; mount -t evsfs $D/bad.toml $M; echo $?
         mount -t evsfs $C $M; mount.evsfs $C $D/files; echo $?
         mount.evsfs $C; echo $?
         mount.evsfs --help | head -1; echo $?",
    );
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(
        lines,
        ["32", "1", "32", "1", "Mount an evsfs: a helper of mount(8)", "0"],
        "{said:?}"
    );
    assert!(said.stderr.contains("there is no ") && said.stderr.contains("threds"), "{said:?}");
}

fn the_source_is_listed() {
    let mount = Mount::new();
    let mountpoint = mount.mountpoint();
    let listed = run("findmnt", &["-n", "-o", "SOURCE", mountpoint.to_str().unwrap()]).ok();
    assert_eq!(listed.trim(), mount.config_path().to_str().unwrap());
    mount.stop();
    wait_until("it is unmounted", || {
        run("mountpoint", &["-q", mountpoint.to_str().unwrap()]).code != 0
    });
}
