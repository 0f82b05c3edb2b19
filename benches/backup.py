"""Backups through a mount: how fast they are, and what those who use the disks notice of them.

    python3 benches/backup.py [--gib 4] [--seconds 10] [--rounds 3] [--only speed|io]

A disk half of which is written, in tmpfs, so that the figures are those of evsfs and not of a medium:
a full backup, a restore, an incremental backup after one percent of what is written has changed, memory;
a disk of 64 TiB with 1 GiB; and 4 KiB random I/O by fio with and without a backup under way, in turns.
Each figure is the median of the rounds. Beside a rate stands the one that two whole processors would
give, from the processor time used: on a machine that others use too, the first says little. Needs fio, and twice as much memory as the disk is large.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
GIB = 1 << 30


class Mount:
    """A mount of its own, in tmpfs."""

    def __init__(self, directory, program):
        self.directory, self.program = pathlib.Path(directory), program
        self.point = self.directory / "mnt"
        self.point.mkdir()
        config = self.directory / "mount.toml"
        config.write_text(f'mountpoint = "{self.point}"\nstate_dir = "{self.directory}/state"\n')
        self.evsfs("init", "-c", config)
        self.evsfs("mount", "-c", config)
        self.evsfs("agency", "create")
        self.pid = json.loads(self.evsfs("status", "--json"))["pid"]

    def evsfs(self, *arguments):
        command = [str(word) for word in (self.program, *arguments)]
        environment = os.environ | {"EVSFS_MOUNT": str(self.point)}
        done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}: {done.stderr}")
        return done.stdout

    def begin(self, *arguments):
        return self.evsfs(*arguments, "--no-wait").strip()

    def state(self, job):
        return (self.point / ".evs/jobs" / job / "state").read_text().strip()

    def job(self, *arguments):
        """Has a job done and gives the seconds from its begin to its end, to a few milliseconds, and
        those of processor time."""
        start, before = time.monotonic(), self.processor()
        job = self.begin(*arguments)
        while (state := self.state(job)) in ("queued", "running"):
            time.sleep(0.002)
        if state != "done":
            raise SystemExit(self.evsfs("job", "show", job))
        return time.monotonic() - start, self.processor() - before

    def processor(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def disk(self, name, size):
        self.evsfs("disk", "create", name, "--size", size, "--encrypted")
        self.evsfs("disk", "attach", name)

    def delete(self, name):
        self.evsfs("disk", "detach", name)
        self.evsfs("disk", "delete", name, "--yes")

    def delete_backup(self, name):
        self.evsfs("backup", "delete", name, "--yes")

    def fio(self, disk, *options):
        command = ["fio", "--name=job", f"--filename={self.point / disk}", "--ioengine=libaio",
                   "--direct=1", "--randrepeat=0", "--refill_buffers", "--output-format=json",
                   *options]
        done = subprocess.run(command, text=True, capture_output=True, check=True)
        return json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]

    def memory(self, which):
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"{which}:\s+(\d+)", status)[1]) / 1024

    def close(self):
        subprocess.run([str(self.program), "umount", str(self.point), "--force"],
                       capture_output=True, check=False)


def show(what, figure, goal, holds):
    print(f"{what:<58} {figure:>12}   {goal:<12} {'holds' if holds else 'MISSED'}", flush=True)


def median(taken, which):
    return statistics.median(seconds[which] for seconds in taken)


def show_rate(what, size, taken):
    rate, rate_of_two = size / median(taken, 0) / 1e9, 2 * size / max(median(taken, 1), 0.01) / 1e9
    show(f"{what} ({rate_of_two:.2f} by processor time)", f"{rate:.2f} GB/s", ">= 1.0", rate >= 1)


def fill(mount, disk, size, stripe="1M"):
    """Writes every other stripe of the first bytes of a disk."""
    mount.fio(disk, f"--rw=write:{stripe}", f"--bs={stripe}", "--iodepth=8", f"--size={size}",
              f"--io_size={size // 2}")


def speed(mount, gib, rounds):
    written = gib * GIB // 2
    mount.disk("db", f"{gib}G")
    fill(mount, "db", gib * GIB)
    pathlib.Path(f"/proc/{mount.pid}/clear_refs").write_text("5")
    idle = mount.memory("VmRSS")
    full, restored, incremental = [], [], []
    for number in range(rounds):
        full.append(mount.job("backup", "create", "db", f"full{number}", "--full"))
        restored.append(
            mount.job("disk", "create", "copy", "--from", f"backup:full{number}", "--encrypted"))
        mount.evsfs("disk", "delete", "copy", "--yes")
        # Scattered over what is written, in pieces of the grain in which changes are noted.
        mount.fio("db", "--rw=randwrite", "--bs=64k", "--iodepth=8", f"--size={written // 2}",
                  f"--io_size={written // 100}")
        incremental.append(mount.job("backup", "create", "db", f"next{number}", "--incremental"))
        mount.delete_backup(f"next{number}")
        mount.delete_backup(f"full{number}")
    show_rate(f"full backup of {gib} GiB, half written", written, full)
    show_rate("restore, sealed anew", written, restored)
    share = 100 * median(incremental, 0) / median(full, 0)
    show("incremental backup with 1 % changed, of a full one's time", f"{share:.1f} %", "<= 3 %",
         share <= 3)
    grown = mount.memory("VmHWM") - idle
    show("memory above idle at its highest", f"{grown:.0f} MiB", "<= 64 MiB", grown <= 64)
    mount.delete("db")

    mount.disk("huge", "64T")
    # A GiB in 64 pieces that lie a TiB apart.
    mount.fio("huge", "--rw=write:1048560M", "--bs=16M", "--iodepth=1", "--size=64T",
              f"--io_size={GIB}")
    pathlib.Path(f"/proc/{mount.pid}/clear_refs").write_text("5")
    idle = mount.memory("VmRSS")
    taken, _ = mount.job("backup", "create", "huge", "sparse")
    show("backup of 64 TiB with 1 GiB written", f"{taken:.1f} s", "<= 5 s", taken <= 5)
    grown = mount.memory("VmHWM") - idle
    show("memory above idle at its highest", f"{grown:.0f} MiB", "<= 64 MiB", grown <= 64)
    mount.delete_backup("sparse")
    mount.delete("huge")


def percentiles(mount, seconds):
    """The 99th percentile of reads and writes, in microseconds."""
    done = mount.fio("db", "--rw=randrw", "--bs=4k", "--iodepth=1", "--size=100%", "--time_based",
                     f"--runtime={seconds}")
    return [done[way]["clat_ns"]["percentile"]["99.000000"] / 1000 for way in ("read", "write")]


def while_backed_up(mount, seconds):
    """As `percentiles`, with full backups one after the other."""
    measured = []
    from threading import Thread
    thread = Thread(target=lambda: measured.extend(percentiles(mount, seconds)))
    thread.start()
    taken = []
    while thread.is_alive():
        taken.append(mount.job("backup", "create", "db", "busy", "--full")[0])
        mount.delete_backup("busy")
    thread.join()
    return measured, statistics.median(taken)


def users(mount, gib, seconds, rounds):
    mount.disk("db", f"{gib}G")
    fill(mount, "db", gib * GIB)
    quiet, busy, taken = [], [], []
    for _ in range(rounds):
        quiet.append(percentiles(mount, seconds))
        measured, backup = while_backed_up(mount, seconds)
        busy.append(measured)
        taken.append(backup)
    for at, way in enumerate(("read", "write")):
        before = statistics.median(run[at] for run in quiet)
        after = statistics.median(run[at] for run in busy)
        show(f"p99 of a 4 KiB random {way}: {before:.0f} us, with a backup {after:.0f} us",
             f"{after / before:.1f} times", "<= 3", after <= 3 * before)
    rate = gib * GIB / 2 / statistics.median(taken) / 1e9
    print(f"{'those backups':<58} {rate:>7.2f} GB/s", flush=True)
    mount.delete("db")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=int, default=4)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["speed", "io"])
    arguments = parser.parse_args()
    subprocess.run(["cargo", "build", "--release", "--quiet", "--bin", "evsfs"], cwd=ROOT, check=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    with tempfile.TemporaryDirectory(prefix="evsfs-bench.", dir="/dev/shm") as directory:
        os.chmod(directory, 0o700)
        mount = Mount(directory, target / "release/evsfs")
        print(f"backups: {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start, tmpfs, "
              f"medians of {arguments.rounds}", flush=True)
        try:
            if arguments.only != "io":
                speed(mount, arguments.gib, arguments.rounds)
            if arguments.only != "speed":
                users(mount, arguments.gib, arguments.seconds, arguments.rounds)
        finally:
            mount.close()


if __name__ == "__main__":
    main()
