#!/bin/sh
# The life of an encrypted disk, from an empty directory to files read back.
#
# Everything happens in a temporary directory, which is removed at the end, also on failure.
# Exit 0 means that every step did what it says.
set -eu

cd "$(dirname "$0")/.."
repository=$PWD

# ---------------------------------------------------------------------------- words for people
if [ -t 1 ]; then bold=$(printf '\033[1m') dim=$(printf '\033[2m') plain=$(printf '\033[0m')
else bold= dim= plain=; fi
step_number=0
step() { step_number=$((step_number + 1)); printf '\n%s%2d. %s%s\n' "$bold" "$step_number" "$1" "$plain"; }
say() { printf '    %s\n' "$*"; }
show() { printf '    %s$ %s%s\n' "$dim" "$*" "$plain"; "$@" 2>&1 | sed 's/^/    /'; }
fail() { printf '\ndemo failed: %s\n' "$*" >&2; exit 1; }

# ------------------------------------------------------------------------------------- what it needs
command -v cargo >/dev/null 2>&1 || fail "cargo is not installed; see https://rustup.rs"
[ -e /dev/fuse ] || fail "/dev/fuse is missing; as root: modprobe fuse"
packages=
need() { command -v "$1" >/dev/null 2>&1 || packages="$packages $2"; }
PATH=$PATH:/usr/sbin:/sbin
need cc gcc
need mkfs.ext4 e2fsprogs
need losetup mount
[ "$(id -u)" = 0 ] || need fusermount3 fuse3
if [ -n "$packages" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "installing:$packages"
        apt-get update -qq >/dev/null 2>&1 || true
        # shellcheck disable=SC2086
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
    else
        fail "these packages are missing; run: sudo apt-get install$packages"
    fi
fi

say "building evsfs (a minute or two the first time)"
cargo build --release --quiet --bin evsfs
target=${CARGO_TARGET_DIR:-$repository/target}
PATH=$target/release:$PATH

# ------------------------------------------------------------------------------------------- clean-up
work=$(mktemp -d "${TMPDIR:-/tmp}/evsfs-demo.XXXXXX")
mnt=$work/mnt files=$work/files back=$work/back loop=
export EVSFS_MOUNT=$mnt
let_go() {
    ! mountpoint -q "$files" 2>/dev/null || umount "$files" || umount -l "$files"
    [ -z "$loop" ] || losetup -d "$loop" 2>/dev/null || true
    loop=
}
clean_up() {
    status=$?
    trap - EXIT INT TERM
    let_go
    ! mountpoint -q "$mnt" 2>/dev/null || evsfs umount "$mnt" --force >/dev/null 2>&1 || true
    rm -rf "$work"
    exit $status
}
trap clean_up EXIT
trap 'exit 130' INT TERM
mkdir "$mnt" "$files" "$back"

# ------------------------------------------------------------------------------------------- the tour
step "Make a state directory and mount it"
cat > "$work/mount.toml" <<EOF
mountpoint = "$mnt"
state_dir  = "$work/state"
EOF
evsfs init -c "$work/mount.toml" >/dev/null
show evsfs mount -c "$work/mount.toml"

step "Give EVS its agency, make a master key, make an encrypted disk"
show evsfs agency create
show evsfs key create finance
show evsfs disk create db --size 64M --encrypted --key finance

step "Attach it: the data key goes into locked memory, the disk is a file"
evsfs disk attach db >/dev/null
show ls -l "$mnt"

# Real files to keep: the sources of this project.
mkdir "$work/papers"
cp -r "$repository/src" "$repository/Cargo.toml" "$work/papers/"
echo "the secret plan: attack at dawn" > "$work/papers/plan.txt"

if [ "$(id -u)" = 0 ]; then
    step "Put ext4 on it through a loop device and copy files in"
    loop=$(losetup --find --show "$mnt/db")
    mkfs.ext4 -q "$loop"
    mount "$loop" "$files"
    cp -r "$work/papers" "$files/"
    sync -f "$files"
    show df -h --output=source,fstype,size,used "$files"
else
    step "Put ext4 with files on it (without root there is no loop device)"
    mkfs.ext4 -q -F -d "$work/papers" "$mnt/db"
fi
say "$(find "$work/papers" -type f | wc -l) files written"

step "Look at what lies at rest: ciphertext"
payload=$(echo "$work"/state/disks/*/payload)
# The ext4 superblock starts at byte 1024; its magic number 53 ef is at byte 1080.
say "through the mount:  $(od -An -tx1 -j1080 -N8 "$mnt/db")   (53 ef: ext4)"
say "in the payload:     $(od -An -tx1 -j1080 -N8 "$payload")"
[ "$(od -An -tx1 -j1080 -N2 "$mnt/db" | tr -d ' ')" = 53ef ] || fail "no ext4 in the mount"
! grep -q -a "attack at dawn" "$payload" || fail "plaintext found in the payload"
grep -q -a "attack at dawn" "$mnt/db" || fail "the plan is not readable through the mount"
say "\"attack at dawn\" is in the mount and not in the payload"

step "Disable the key: the attached disk goes on"
evsfs key disable finance --yes >/dev/null
say "key finance is $(cat "$mnt/.evs/keys/finance/state"), disk db is $(cat "$mnt/.evs/disks/db/status")"
if [ "$(id -u)" = 0 ]; then
    echo "written while the key is disabled" > "$files/papers/late.txt"
    sync -f "$files"
    say "wrote and synced: $(cat "$files/papers/late.txt")"
    let_go
else
    printf 'x' | dd of="$mnt/db" bs=1 seek=67108863 conv=notrunc,fsync 2>/dev/null
    say "wrote and synced the last byte of the disk"
fi

step "Detach it: the data key is wiped; it cannot be attached again"
evsfs disk detach db --yes >/dev/null
[ ! -e "$mnt/db" ] || fail "the disk's file is still there"
if evsfs disk attach db 2>"$work/refusal"; then fail "attached under a disabled key"; else code=$?; fi
sed 's/^/    /' "$work/refusal"
[ "$code" = 5 ] || fail "exit code $code instead of 5"
grep -q 'KMS.0209' "$work/refusal" || fail "no KMS.0209 in the refusal"
grep -q '^fix: ' "$work/refusal" || fail "no remedy in the refusal"
say "(exit code $code)"

step "Enable the key, attach, read the files back"
evsfs key enable finance >/dev/null
evsfs disk attach db >/dev/null
if [ "$(id -u)" = 0 ]; then
    loop=$(losetup --find --show "$mnt/db")
    mount "$loop" "$files"
    diff -r "$work/papers" "$files/papers" -x late.txt || fail "the files differ"
    [ "$(cat "$files/papers/late.txt")" = "written while the key is disabled" ] || fail "late.txt"
    let_go
else
    debugfs -R "rdump / $back" "$mnt/db" >/dev/null 2>&1
    diff -r "$work/papers" "$back" -x lost+found || fail "the files differ"
fi
say "every file is back, byte for byte"

step "Clean up"
evsfs disk detach db >/dev/null
evsfs disk delete db --yes >/dev/null
show evsfs umount "$mnt"
printf '\n%sAll of it held.%s Next: README.md, section "Five-minute tour".\n' "$bold" "$plain"
