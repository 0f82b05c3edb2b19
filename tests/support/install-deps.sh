#!/bin/sh
# Installs the Debian packages that the tests, the demo and the benchmarks use, when run as root
# on a system with apt; otherwise says which are missing. Tests whose tools are missing are skipped
# aloud.
set -eu

missing=
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }

need mkfs.ext4 e2fsprogs
need e2fsck e2fsprogs
need mkfs.xfs xfsprogs
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

[ -n "$missing" ] || exit 0
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
