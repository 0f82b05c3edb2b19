//! All of it as a user who is not root, by fusermount3.

use crate::support::{Needs, run, trial};
use libtest_mimic::Trial;
use std::os::unix::fs::{PermissionsExt, chown};

pub fn trials() -> Vec<Trial> {
    vec![trial("an_ordinary_user_needs_no_root", Needs::Root, an_ordinary_user_needs_no_root)]
}

/// In a mount namespace of its own, /dev/fuse is what it is on ordinary systems: open to all.
const NAMESPACE: &str = r#"
mknod "$1/fuse" c 10 229 && chmod 0666 "$1/fuse" && mount --bind "$1/fuse" /dev/fuse || exit 77
cd /
exec setpriv --reuid 1000 --regid 1000 --clear-groups \
    sh -eu "$1/script" "$1" "$2"
"#;

const SCRIPT: &str = r#"
home=$1 evsfs=$2
export HOME="$home" EVSFS_CONFIG="$home/mount.toml" EVSFS_MOUNT="$home/mnt"
"$evsfs" init >/dev/null
trap '"$evsfs" umount --force >/dev/null 2>&1 || true' EXIT
"$evsfs" mount >/dev/null
"$evsfs" agency create >/dev/null
"$evsfs" disk create db --size 8M >/dev/null
"$evsfs" disk attach db >/dev/null
ls -l "$home/mnt/db"
head -c 3000000 /dev/urandom > "$home/data"
dd if="$home/data" of="$home/mnt/db" bs=1M conv=notrunc,fsync status=none
head -c 3000000 "$home/mnt/db" | cmp - "$home/data"
"$evsfs" disk detach db >/dev/null
"$evsfs" disk attach db >/dev/null
head -c 3000000 "$home/mnt/db" | cmp - "$home/data"
"$evsfs" umount >/dev/null
"$evsfs" mount >/dev/null
head -c 3000000 "$home/mnt/db" | cmp - "$home/data"
"$evsfs" disk detach db >/dev/null
"$evsfs" disk delete db --yes >/dev/null
# Passthrough takes root: asked for and not given, it is not missed.
"$evsfs" disk create plain --size 4M --unencrypted >/dev/null
"$evsfs" disk attach plain >/dev/null
dd if="$home/data" of="$home/mnt/plain" bs=1M conv=notrunc,fsync status=none
"$evsfs" disk detach plain >/dev/null
"$evsfs" disk attach plain --read-only >/dev/null
head -c 3000000 "$home/mnt/plain" | cmp - "$home/data"
grep -qx 'passthrough-opens: 0' "$home/mnt/.evs/disks/plain/io"
"$evsfs" umount >/dev/null
trap - EXIT
"$evsfs" check >/dev/null
grep -c fuse.evsfs /proc/self/mounts | grep -q 0 || ! grep "$home" /proc/self/mounts
echo done as $(id -u)
"#;

fn an_ordinary_user_needs_no_root() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().to_str().unwrap();
    let config = format!(
        "mountpoint = \"{path}/mnt\"\nstate_dir = \"{path}/state\"\n[mount]\npassthrough = true\n"
    );
    std::fs::create_dir(home.path().join("mnt")).unwrap();
    std::fs::write(home.path().join("mount.toml"), config).unwrap();
    std::fs::write(home.path().join("script"), SCRIPT).unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for file in ["", "mnt", "mount.toml"] {
        chown(home.path().join(file), Some(1000), Some(1000)).unwrap();
    }
    let program = env!("CARGO_BIN_EXE_evsfs");
    let output = run(
        "unshare",
        &["-m", "--propagation", "private", "sh", "-c", NAMESPACE, "sh", path, program],
    );
    if output.code == 77 || output.stderr.contains("unshare: ") {
        eprintln!(
            "skipped: an_ordinary_user_needs_no_root: no /dev/fuse of its own: {}",
            output.stderr
        );
        return;
    }
    let said = output.ok();
    assert!(said.contains("-rw------- 1 ") && said.ends_with("done as 1000\n"), "{said}");
}
