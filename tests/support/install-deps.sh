#!/bin/sh
# Installs the Debian packages that the tests, the demo and the benchmarks use, when run as root
# on a system with apt; otherwise says which are missing. Tests whose tools are missing are skipped
# aloud.
#
#   sh install-deps.sh          what all tests use
#   sh install-deps.sh slow     and what boots a guest: QEMU, and a kernel in TARGET/tmp/guest/, which
#                               is unpacked there and not installed
#
# No package is removed. QEMU's packages conflict with one another between versions, so they are
# taken together and from one place: the backports of this Debian when what is installed came from
# there, and in the slow form when the release's own is older than 9, which is the first that reads a
# LUKS1 header apart from its payload.
set -eu

missing=
qemu=
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }

need mkfs.ext4 e2fsprogs
need e2fsck e2fsprogs
need mkfs.xfs xfsprogs
need mkfs.btrfs btrfs-progs
need losetup mount
need fusermount3 fuse3
need fio fio
need cryptsetup cryptsetup-bin
need nbdkit nbdkit
need nbdcopy libnbd-bin
need gcc gcc
need softhsm2-util softhsm2
need pkcs11-tool opensc
need strace strace
need systemd-analyze systemd
need rsync rsync
need sfdisk fdisk
need readelf binutils

if [ "${1:-}" = slow ]; then
    need debootstrap debootstrap
    need busybox busybox-static
    need podman podman
    need runc runc
    need grub-mkimage grub-common
    need modprobe kmod
    [ -e /usr/lib/grub/i386-pc/boot.img ] || missing="$missing grub-pc-bin"
fi

# Whether a version of QEMU, as Debian numbers them, reads a header apart from its payload.
is_new_enough() { dpkg --compare-versions "$1" ge 1:9; }

installed_qemu() {
    dpkg-query -W -f '${db:Status-Status} ${Version}\n' qemu-utils qemu-system-x86 2>/dev/null |
        sed -n 's/^installed //p'
}

qemu_is_wanted() {
    command -v qemu-img >/dev/null 2>&1 && command -v qemu-io >/dev/null 2>&1 || return 0
    [ "$1" = slow ] || return 1
    command -v qemu-system-x86_64 >/dev/null 2>&1 || return 0
    # Made anew only where it is Debian's: another one is its owner's business.
    for version in $(installed_qemu); do
        is_new_enough "$version" || return 0
    done
    return 1
}

has_backports() { apt-cache madison qemu-utils | grep -q "$backports/"; }

# Prints the backports' name when QEMU is to come from there.
qemu_source() {
    for version in $(installed_qemu); do
        # A system may have a package of them and know them no more.
        case $version in *~bpo*) take_backports "QEMU here is"; return ;; esac
    done
    [ "$1" = slow ] || return 0
    release=$(apt-cache madison qemu-utils | grep -v -- "-backports/" | cut -d '|' -f 2 | head -1)
    is_new_enough "${release:-0}" || take_backports "a QEMU that is new enough would be"
}

# Prints the backports' name, or says how apt comes to know them.
take_backports() {
    if has_backports; then
        echo "$backports"
    else
        echo "$1 from $backports, which apt does not know" >&2
        echo "fix: echo 'deb http://deb.debian.org/debian $backports main'" \
            "> /etc/apt/sources.list.d/backports.list" >&2
    fi
}

# install FROM PACKAGE...: FROM is a release, or empty for what apt prefers.
install() {
    from=${1:+--target-release=$1}
    shift
    if [ "$(id -u)" = 0 ]; then
        echo "installing: $* $from"
        # shellcheck disable=SC2086
        apt-get install -y -qq --no-remove --no-install-recommends $from "$@" >/dev/null
    else
        echo "not installed: $*"
        echo "to have them:  sudo apt-get install --no-remove $from $*"
    fi
}

install_all() {
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "not installed: $missing $qemu"
        return
    fi
    export DEBIAN_FRONTEND=noninteractive
    backports=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")-backports
    [ "$(id -u)" != 0 ] || apt-get update -qq >/dev/null 2>&1 || true
    # Sorted and without repeats.
    missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
    # shellcheck disable=SC2086
    [ -z "${missing# }" ] || install "" $missing
    # shellcheck disable=SC2086
    [ -z "$qemu" ] || install "$(qemu_source "${1:-}")" $qemu ||
        echo "not installed: $qemu: what takes it is skipped aloud"
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

if qemu_is_wanted "${1:-}"; then
    qemu=qemu-utils
    if [ "${1:-}" = slow ] || command -v qemu-system-x86_64 >/dev/null 2>&1; then
        qemu="$qemu qemu-system-x86"
    fi
fi
[ -z "$missing$qemu" ] || install_all "${1:-}"
[ "${1:-}" != slow ] || fetch_kernel
