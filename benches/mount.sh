#!/bin/sh
# Speed through a mount, with fio, on a backing in memory.
#
#   sh benches/mount.sh [SECONDS]
#
# Prints one line a job: encrypted and not, 1 MiB sequential and 4 KiB random at depth 32, direct
# I/O. Then memory with 10 idle disks and the time and memory of attaching 1,000.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-5}
command -v fio >/dev/null 2>&1 || { echo "fio is not installed" >&2; exit 1; }
cargo build --release --quiet --bin evsfs
PATH=${CARGO_TARGET_DIR:-$PWD/target}/release:$PATH

work=$(mktemp -d /dev/shm/evsfs-bench.XXXXXX)
mnt=$work/mnt
export EVSFS_MOUNT=$mnt
clean_up() {
    ! mountpoint -q "$mnt" || evsfs umount "$mnt" --force >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean_up EXIT INT TERM
mkdir "$mnt"
printf 'mountpoint = "%s"\nstate_dir = "%s/state"\n' "$mnt" "$work" > "$work/mount.toml"
evsfs init -c "$work/mount.toml" >/dev/null
evsfs mount -c "$work/mount.toml" >/dev/null
evsfs agency create >/dev/null
pid=$(evsfs status --json | sed -n "s/.*\"pid\": *\([0-9]*\).*/\1/p")

job() { # disk rw bs depth
    fio --name=job --filename="$mnt/$1" --rw="$2" --bs="$3" --iodepth="$4" --numjobs=1 \
        --ioengine=libaio --direct=1 --size=1G --time_based --runtime="$seconds" \
        --randrepeat=0 --output-format=terse --terse-version=3 |
        awk -F';' -v what="$2" -v disk="$1" -v bs="$3" '{
            read = what ~ /read/; kb = read ? $7 : $48; iops = read ? $8 : $49;
            printf "%-12s %-10s %-4s %8.2f GB/s %10d IOPS\n", disk, what, bs, kb * 1024 / 1e9, iops }'
}

grep -m1 'model name' /proc/cpuinfo | sed 's/.*: /machine: /'
echo "cores: $(nproc), backing: tmpfs, fio $(fio --version), ${seconds}s a job"
for kind in encrypted unencrypted; do
    evsfs disk create $kind --size 1G --$kind >/dev/null
    evsfs disk attach $kind >/dev/null
    fio --name=fill --filename="$mnt/$kind" --rw=write --bs=1M --direct=1 --size=1G >/dev/null
    job $kind read 1M 8
    job $kind write 1M 8
    job $kind randread 4k 32
    job $kind randwrite 4k 32
    evsfs disk detach $kind >/dev/null
    evsfs disk delete $kind --yes >/dev/null
done

resident() { awk '/VmRSS/ { printf "%.1f MiB", $2 / 1024 }' "/proc/$pid/status"; }
evsfs umount >/dev/null
evsfs mount -c "$work/mount.toml" >/dev/null
pid=$(evsfs status --json | sed -n "s/.*\"pid\": *\([0-9]*\).*/\1/p")
control() { printf '%s\n' "$1" | { exec 3<>"$mnt/.evs/control"; cat >&3; cat <&3 >/dev/null; exec 3>&-; }; }
for n in $(seq 1 10); do
    control "{\"op\":\"disk.create\",\"name\":\"d$n\",\"size\":\"1M\",\"encrypted\":true}"
    control "{\"op\":\"disk.attach\",\"name\":\"d$n\"}"
done
echo "resident, 10 disks attached and idle: $(resident)"
for n in $(seq 11 1000); do
    control "{\"op\":\"disk.create\",\"name\":\"d$n\",\"size\":\"1M\",\"encrypted\":true}"
done
start=$(date +%s.%N)
for n in $(seq 11 1000); do control "{\"op\":\"disk.attach\",\"name\":\"d$n\"}"; done
end=$(date +%s.%N)
echo "attaching 990 more: $(echo "$end $start" | awk '{ printf "%.1f", $1 - $2 }') s, resident: $(resident)"
