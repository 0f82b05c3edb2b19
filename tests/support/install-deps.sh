#!/bin/sh
# Installs the Debian packages that the tests, the demo and the benchmarks use, when run as root
# on a system with apt; otherwise says which are missing. Tests whose tools are missing are skipped
# aloud.
#
#   sh install-deps.sh          what all tests use
#   sh install-deps.sh slow     and what boots a guest: QEMU, and a kernel in TARGET/tmp/guest/, which
#                               is unpacked there and not installed
set -eu

missing=
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }

need mkfs.ext4 e2fsprogs
need e2fsck e2fsprogs
need mkfs.xfs xfsprogs
need mkfs.btrfs btrfs-progs
need losetup mount
need fusermount3 fuse3
need fio fio
need cryptsetup cryptsetup-bin
need qemu-img qemu-utils
need nbdkit nbdkit
need nbdcopy libnbd-bin
need gcc gcc
need softhsm2-util softhsm2
need pkcs11-tool opensc
need strace strace
need systemd-analyze systemd
need rsync rsync
need sfdisk fdisk
need qemu-io qemu-utils
need gdb gdb
need readelf binutils

if [ "${1:-}" = slow ]; then
    need debootstrap debootstrap
    need qemu-system-x86_64 qemu-system-x86
    need busybox busybox-static
    need podman podman
    need runc runc
    need grub-mkimage grub-common
    need modprobe kmod
    [ -e /usr/lib/grub/i386-pc/boot.img ] || missing="$missing grub-pc-bin"
fi

install() {
    # Sorted and without repeats.
    missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "installing: $missing"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq >/dev/null 2>&1 || true
        # shellcheck disable=SC2086
        apt-get install -y -qq --no-install-recommends $missing >/dev/null
    else
        echo "not installed: $missing"
        echo "to have them:  sudo apt-get install $missing"
    fi
}

# The kernel of Debian's cloud images, with its modules: small, and made for virtio.
fetch_kernel() {
    root=$(cd "$(dirname "$0")/../.." && pwd)
    guest=${CARGO_TARGET_DIR:-$root/target}/tmp/guest
    [ ! -e "$guest/complete" ] || return 0
    command -v apt-get >/dev/null 2>&1 || return 0
    rm -rf "$guest"
    mkdir -p "$guest"
    package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: //p' | head -1)
    echo "unpacking: $package"
    (cd "$guest" && apt-get -o APT::Sandbox::User=root download -qq "$package" && dpkg-deb -x ./*.deb . && rm ./*.deb) ||
        { echo "no kernel for a guest: $package cannot be fetched"; return 0; }
    touch "$guest/complete"
}

[ -z "$missing" ] || install
[ "${1:-}" != slow ] || fetch_kernel
