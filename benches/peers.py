"""evsfs beside what people use today to get an encrypted disk as a FUSE file.

    python3 benches/peers.py [--rounds 5] [--seconds 3] [--write]

The same fio jobs run against each system in turn, round by round, so that a slow minute of the machine
hits all of them; what is printed is the median of the rounds. Payloads of all systems lie in the same
tmpfs, so that the way through each system is measured and no disk. Systems:

    evsfs encrypted, evsfs unencrypted   a disk of a mount
    plain file                           the tmpfs file itself: the ceiling
    qemu LUKS                            qemu-storage-daemon, LUKS1 image, FUSE export
    nbdkit LUKS                          nbdkit's luks filter on the same kind of image, through nbdfuse
    gocryptfs                            a file in a gocryptfs mount

Targets are ratios within one run. `--write` puts the tables into docs/PERFORMANCE.md between its
markers. Needs root; installs the other systems with apt where they are missing.
"""

import argparse
import contextlib
import io
import json
import os
import pathlib
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "PERFORMANCE.md"
MARKERS = ("<!-- bench-peers: begin -->", "<!-- bench-peers: end -->")
PACKAGES = {
    "fio": "fio",
    "qemu-img": "qemu-utils",
    "qemu-storage-daemon": "qemu-system-common",
    "nbdkit": "nbdkit",
    "nbdfuse": "libnbd-bin",
    "gocryptfs": "gocryptfs",
    "fusermount3": "fuse3",
    "mkfs.ext4": "e2fsprogs",
    "losetup": "mount",
}
SIZE = 1 << 30
PASSPHRASE = "correct horse battery staple"

# name, fio's rw, block size, depth
JOBS = [
    ("sequential read", "read", "1M", 8),
    ("sequential write", "write", "1M", 8),
    ("random read, depth 32", "randread", "4k", 32),
    ("random write, depth 32", "randwrite", "4k", 32),
    ("random read, depth 1", "randread", "4k", 1),
    ("random write, depth 1", "randwrite", "4k", 1),
]

ENCRYPTED, UNENCRYPTED, PLAIN = "evsfs encrypted", "evsfs unencrypted", "plain file"
QEMU, NBDKIT, GOCRYPTFS = "qemu LUKS", "nbdkit LUKS", "gocryptfs"

# A ratio of two systems in one job, and what it is wanted to be at least.
RATIOS = [
    (ENCRYPTED, UNENCRYPTED, ["sequential read", "sequential write"], 0.8),
    (ENCRYPTED, UNENCRYPTED, ["random read, depth 32", "random write, depth 32"], 0.9),
    (ENCRYPTED, QEMU, ["sequential read", "sequential write"], 15),
    (ENCRYPTED, QEMU, ["random read, depth 32", "random write, depth 32"], 4),
    (ENCRYPTED, GOCRYPTFS,
     ["sequential read", "sequential write", "random read, depth 32", "random write, depth 32"], 3),
    (ENCRYPTED, GOCRYPTFS, ["random read, depth 1", "random write, depth 1"], 1.2),
]


def run(*command, **options):
    options.setdefault("stdout", subprocess.DEVNULL)
    return subprocess.run([str(word) for word in command], check=True, text=True, **options)


def output_of(*command, **options):
    return run(*command, stdout=subprocess.PIPE, **options).stdout


def wait_until(condition, what, patience=20.0):
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"{what}: not within {patience:.0f} s")
        time.sleep(0.02)


def install_missing():
    missing = sorted({package for tool, package in PACKAGES.items() if shutil.which(tool) is None})
    if missing:
        print("installing:", *missing, file=sys.stderr)
        run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing)


class Bench:
    """The systems, each mounted, and their files by name."""

    def __init__(self, work, evsfs):
        self.work, self.evsfs = work, evsfs
        self.stack = contextlib.ExitStack()
        self.files = {}
        self.versions = {}
        self.daemon = None

    def __enter__(self):
        try:
            self.start_evsfs()
            self.start_plain()
            self.start_qemu()
            self.start_nbdkit()
            self.start_gocryptfs()
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *failure):
        self.stack.close()

    def directory(self, name):
        path = self.work / name
        path.mkdir()
        return path

    def spawn(self, *command):
        process = subprocess.Popen([str(word) for word in command],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

        def end():
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

        self.stack.callback(end)
        return process

    def unmount_at_end(self, mountpoint):
        self.stack.callback(lambda: subprocess.run(["fusermount3", "-u", "-z", str(mountpoint)],
                                                   check=False, stderr=subprocess.DEVNULL))

    def start_evsfs(self):
        home = self.directory("evsfs")
        mount = self.mount = home / "mnt"
        mount.mkdir()
        config = home / "mount.toml"
        config.write_text(f'mountpoint = "{mount}"\nstate_dir = "{home}/state"\n')
        os.environ["EVSFS_MOUNT"] = str(mount)
        run(self.evsfs, "init", "-c", config)
        run(self.evsfs, "mount", "-c", config)
        self.stack.callback(lambda: run(self.evsfs, "umount", mount, "--force"))
        self.daemon = json.loads(output_of(self.evsfs, "status", "--json"))["pid"]
        run(self.evsfs, "agency", "create")
        for name, kind in (("encrypted", ENCRYPTED), ("unencrypted", UNENCRYPTED)):
            self.new_disk(name, SIZE, f"--{name}")
            self.files[kind] = mount / name
        self.versions["evsfs"] = output_of(self.evsfs, "--version").split()[-1]

    def new_disk(self, name, size, *words):
        run(self.evsfs, "disk", "create", name, "--size", size, *words)
        run(self.evsfs, "disk", "attach", name)

    def drop_disk(self, name):
        run(self.evsfs, "disk", "detach", name)
        run(self.evsfs, "disk", "delete", name, "--yes")

    def start_plain(self):
        file = self.files[PLAIN] = self.directory("plain") / "file"
        with file.open("wb") as plain:
            plain.truncate(SIZE)

    def luks_image(self, home):
        secret = home / "passphrase"
        secret.write_text(PASSPHRASE)
        image = home / "image.luks"
        run("qemu-img", "create", "-q", "-f", "luks", "--object", f"secret,id=s,file={secret}",
            "-o", "key-secret=s,iter-time=10", image, SIZE)
        return secret, image

    def start_qemu(self):
        home = self.directory("qemu")
        secret, image = self.luks_image(home)
        file = home / "disk"
        file.touch()
        daemon = self.spawn(
            "qemu-storage-daemon", "--object", f"secret,id=s,file={secret}",
            "--blockdev", f"file,node-name=f,filename={image}",
            "--blockdev", "luks,node-name=l,file=f,key-secret=s",
            "--export", f"fuse,id=e,node-name=l,mountpoint={file},writable=on")
        wait_until(lambda: file.stat().st_size == SIZE or daemon.poll() is not None, "qemu's export")
        self.files[QEMU] = file
        self.versions["qemu-storage-daemon"] = output_of(
            "qemu-storage-daemon", "--version").split()[2]

    def start_nbdkit(self):
        home = self.directory("nbdkit")
        secret, image = self.luks_image(home)
        mount = home / "mnt"
        mount.mkdir()
        daemon = self.spawn("nbdfuse", mount, "[", "nbdkit", "--exit-with-parent", "file", image,
                            "--filter=luks", f"passphrase=+{secret}", "]")
        self.unmount_at_end(mount)
        file = mount / "nbd"
        wait_until(lambda: file.exists() or daemon.poll() is not None, "nbdfuse")
        self.files[NBDKIT] = file
        self.versions["nbdkit"] = output_of("nbdkit", "--version").split()[1]

    def start_gocryptfs(self):
        home = self.directory("gocryptfs")
        cipher, mount, secret = home / "cipher", home / "mnt", home / "passphrase"
        cipher.mkdir()
        mount.mkdir()
        secret.write_text(PASSPHRASE)
        run("gocryptfs", "-q", "-init", "-scryptn", "10", "-passfile", secret, cipher)
        daemon = self.spawn("gocryptfs", "-q", "-fg", "-passfile", secret, cipher, mount)
        self.unmount_at_end(mount)
        wait_until(lambda: os.path.ismount(mount) or daemon.poll() is not None, "gocryptfs")
        self.files[GOCRYPTFS] = mount / "file"
        self.versions["gocryptfs"] = output_of("gocryptfs", "--version").split()[1].strip(";")


def fio(file, rw, block, depth, seconds):
    """Bytes and operations a second of one fio run."""
    return fio_run(rw, block, depth, seconds, SIZE, ["--name=job", f"--filename={file}"])


def fio_of_many(places, rw, block, depth, seconds, size):
    """As `fio`, with a job for each (file, offset)."""
    return fio_run(rw, block, depth, seconds, size, [
        word for n, (file, offset) in enumerate(places)
        for word in (f"--name=job{n}", f"--filename={file}", f"--offset={offset}")])


def fio_run(rw, block, depth, seconds, size, jobs):
    words = ["fio", f"--rw={rw}", f"--bs={block}", f"--iodepth={depth}", f"--size={size}",
             "--ioengine=libaio", "--direct=1", "--time_based", f"--runtime={seconds}",
             "--randrepeat=0", "--group_reporting", "--output-format=json", "--invalidate=1", *jobs]
    report = json.loads(output_of(*words, stderr=subprocess.DEVNULL))["jobs"][0]
    side = report["read" if "read" in rw else "write"]
    return side["bw_bytes"], side["iops"]


def fill(file):
    run("fio", "--name=fill", f"--filename={file}", "--rw=write", "--bs=1M", f"--size={SIZE}",
        "--ioengine=psync", "--end_fsync=1", "--refill_buffers")


def measure_jobs(bench, rounds, seconds):
    """Median figures: job -> system -> (bytes/s, operations/s)."""
    figures = {job[0]: {system: [] for system in bench.files} for job in JOBS}
    for number in range(rounds):
        for name, rw, block, depth in JOBS:
            # Each round another system begins.
            systems = list(bench.files)
            for system in systems[number % len(systems):] + systems[:number % len(systems)]:
                print(f"round {number + 1}/{rounds}: {name}: {system}", file=sys.stderr)
                figures[name][system].append(fio(bench.files[system], rw, block, depth, seconds))
    return {name: {system: tuple(statistics.median(column) for column in zip(*found))
                   for system, found in systems.items()} for name, systems in figures.items()}


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def buffered_dd(bench, rounds):
    """Bytes a second of `dd bs=4k` into the page cache of an encrypted disk, its fsync included."""
    found = []
    for _ in range(rounds):
        start = time.monotonic()
        run("dd", "if=/dev/zero", f"of={bench.files[ENCRYPTED]}", "bs=4k", f"count={SIZE // 8192}",
            "conv=notrunc,fsync", stderr=subprocess.DEVNULL)
        found.append(SIZE / 2 / (time.monotonic() - start))
    return statistics.median(found)


def source_tree(path):
    """A tar file of 12,000 files in 400 directories, sizes as a source tree has them."""
    chance = random.Random(7)
    with tarfile.open(path, "w") as archive:
        for n in range(12_000):
            data = chance.randbytes(min(int(chance.lognormvariate(8.3, 1.3)), 1 << 20))
            member = tarfile.TarInfo(f"tree/{n % 20}/{n % 400}/file{n}.c")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def untar(bench, rounds):
    """Seconds of unpacking that tree and syncing: ext4 on a loop device over each file."""
    archive = bench.work / "tree.tar"
    source_tree(archive)
    bench.new_disk("tree", SIZE, "--encrypted")
    plain = bench.work / "plain" / "tree"
    with plain.open("wb") as file:
        file.truncate(SIZE)
    target = bench.directory("loop")
    times = {ENCRYPTED: [], PLAIN: []}
    for _ in range(rounds):
        for system, file in ((ENCRYPTED, bench.mount / "tree"), (PLAIN, plain)):
            device = output_of("losetup", "--find", "--show", file).strip()
            try:
                run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", device)
                run("mount", device, target)
                try:
                    os.sync()
                    start = time.monotonic()
                    run("tar", "-xf", archive, "-C", target)
                    run("sync", "-f", target)
                    times[system].append(time.monotonic() - start)
                finally:
                    run("umount", target)
            finally:
                run("losetup", "--detach", device)
    bench.drop_disk("tree")
    return {system: statistics.median(found) for system, found in times.items()}


def cost_of_many(bench, seconds):
    """Nanoseconds of the daemon's CPU per KiB read and written by 64 clients: of one disk, and of 64."""
    clients, costs = 64, {}
    for count in (1, clients):
        names = [f"many{count}-{n}" for n in range(count)]
        for name in names:
            bench.new_disk(name, SIZE // count, "--encrypted")
        part = SIZE // clients
        places = [(bench.mount / names[n % count], n // count * part) for n in range(clients)]
        costs[count] = []
        for rw in ("write", "read"):
            before = cpu_seconds(bench.daemon)
            rate, _ = fio_of_many(places, rw, "256k", 4, seconds, part)
            costs[count].append((cpu_seconds(bench.daemon) - before) / (rate * seconds / 1024) * 1e9)
        for name in names:
            bench.drop_disk(name)
    return costs


def idle_cpu(bench):
    """Seconds of CPU the daemon uses in ten seconds without requests, two disks attached."""
    # What the jobs before have used is closed by then.
    time.sleep(2)
    before = cpu_seconds(bench.daemon)
    time.sleep(10)
    return cpu_seconds(bench.daemon) - before


def kernels():
    """GB/s by kernel for a seal of 1 MiB in sectors of 4096, and OpenSSL's on one unit of 1 MiB."""
    report = output_of("cargo", "bench", "--quiet", "--bench", "sector_kernels", cwd=ROOT)
    found = {}
    for line in report.splitlines():
        row = re.match(r"\s*(\w+)\s+4096\s+1 MiB\s+([\d.]+)", line)
        if row:
            found[row[1]] = float(row[2])
    with tempfile.TemporaryDirectory() as home:
        try:
            run(sys.executable, "-m", "venv", home)
            run(f"{home}/bin/pip", "install", "-q", "cryptography")
            report = output_of(f"{home}/bin/python", ROOT / "benches" / "openssl_xts.py")
        except (subprocess.CalledProcessError, OSError) as failure:
            print(f"OpenSSL was not measured: {failure}", file=sys.stderr)
            return found, None
    version = report.splitlines()[0]
    rows = [line.split() for line in report.splitlines() if line.strip().startswith("1048576")]
    speed = float(rows[0][-2]) if rows else None
    return found, (version, speed)


def amount(value, job):
    bytes_a_second, operations = value
    return f"{bytes_a_second / 1e9:.2f} GB/s" if "sequential" in job else f"{operations:,.0f}"


def table(header, rows):
    return "\n".join(["| " + " | ".join(header) + " |", "|" + "---|" * len(header),
                      *("| " + " | ".join(row) + " |" for row in rows)])


def judged(name, value, wanted, at_most=False, unit=""):
    holds = value <= wanted if at_most else value >= wanted
    sign = "≤" if at_most else "≥"
    return [name, f"{value:.2f}{unit}", f"{sign} {wanted}{unit}", "yes" if holds else "**no**"]


def machine():
    model = next(line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo")
                 if line.startswith("model name"))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, Linux {os.uname().release}"


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--seconds", type=int, default=3)
    arguments.add_argument("--write", action="store_true", help="update docs/PERFORMANCE.md")
    chosen = arguments.parse_args()
    if os.geteuid() != 0:
        sys.exit("needs root: it mounts and uses loop devices")
    install_missing()
    run("cargo", "build", "--release", "--quiet", "--bin", "evsfs", cwd=ROOT)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    load = os.getloadavg()[0]
    speeds, openssl = kernels()
    work = pathlib.Path(tempfile.mkdtemp(prefix="evsfs-peers.", dir="/dev/shm"))
    try:
        with Bench(work, target / "release" / "evsfs") as bench:
            for file in bench.files.values():
                fill(file)
            figures = measure_jobs(bench, chosen.rounds, chosen.seconds)
            idle = idle_cpu(bench)
            written = buffered_dd(bench, chosen.rounds)
            costs = cost_of_many(bench, chosen.seconds)
            bench.files.pop(GOCRYPTFS).unlink()
            unpacking = untar(bench, chosen.rounds)
            versions = bench.versions
    finally:
        shutil.rmtree(work, ignore_errors=True)

    systems = [ENCRYPTED, UNENCRYPTED, PLAIN, QEMU, NBDKIT, GOCRYPTFS]
    speed_table = table(["direct I/O", *systems], [
        [job, *(amount(found[system], job) for system in systems)] for job, found in figures.items()])
    targets = []
    fused = max((name for name in speeds if name.startswith("vaes")), key=speeds.get, default=None)
    if fused:
        targets.append(judged(f"kernel `{fused}` : `batched`, 1 MiB, sectors of 4096",
                              speeds[fused] / speeds["batched"], 1.6))
        if openssl and openssl[1]:
            targets.append(judged(f"kernel `{fused}` : {openssl[0]}", speeds[fused] / openssl[1], 0.9))
    for ours, theirs, jobs, wanted in RATIOS:
        for job in jobs:
            column = 0 if "sequential" in job else 1
            ratio = figures[job][ours][column] / figures[job][theirs][column]
            targets.append(judged(f"{ours} : {theirs}, {job}", ratio, wanted))
    targets.append(judged("buffered `dd bs=4k` into an encrypted disk", written / 1e9, 0.6, unit=" GB/s"))
    targets.append(judged("untar and sync, ext4 on loop, time against the plain file",
                          unpacking[ENCRYPTED] / unpacking[PLAIN], 1.3, at_most=True))
    targets.append(judged("CPU of the idle daemon in 10 s", idle, 0.0, at_most=True, unit=" s"))
    for side, word in ((0, "write"), (1, "read")):
        targets.append(judged(f"CPU per byte of 64 clients on 64 disks against one, {word}",
                              costs[64][side] / costs[1][side], 1.2, at_most=True))
    target_table = table(["target", "measured", "wanted", "holds"], targets)
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    text = "\n\n".join([
        f"{machine()}; payloads in tmpfs; load {load:.1f} at the start. {named}, "
        f"{output_of('fio', '--version').strip()}.",
        f"`make bench-peers`: fio, libaio, direct I/O, 1 GiB a file, {chosen.seconds} s a job, median "
        f"of {chosen.rounds} rounds in which the systems take turns. Random jobs are 4 KiB, in "
        "operations a second; sequential ones 1 MiB at depth 8.",
        speed_table, target_table])
    print(text)
    if chosen.write:
        document = DOCUMENT.read_text()
        before, rest = document.split(MARKERS[0])
        after = rest.split(MARKERS[1])[1]
        DOCUMENT.write_text(f"{before}{MARKERS[0]}\n{text}\n{MARKERS[1]}{after}")


if __name__ == "__main__":
    main()
