"""Mutation testing in one build: every mutant of cargo-mutants sleeps in one tree, behind a switch.

    python3 tests/support/mutants/run.py [all|write|reach|run|alone|summary] [--only RE] [--again missed]

`cargo mutants` builds once a mutant, which takes days here. This writes a copy of the tree in which all
mutants of crypto, kms, disk and records are, each behind a question to a switch (`switch.rs`); builds it
once; runs each test alone to learn which mutants it reaches; and then, for each mutant, the tests that
reach it, the quickest first, until one fails. What it did is kept in `target/mutants` (or in
$CARGO_TARGET_DIR/mutants), so that a run that was ended goes on where it was.

write    list, copy, and leave out what the compiler refuses
reach    which test reaches which mutants, and in what time
run      the tests of each mutant, a line of results.jsonl each
alone    those that need a build of their own: constants, and functions that return `impl Trait`
summary  caught, timeout, missed, unviable and not run, per module; the missed by name
"""

import argparse
import collections
import concurrent.futures
import itertools
import json
import os
import pathlib
import random
import re
import select
import shutil
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
TOOL = pathlib.Path(__file__).resolve().parent
HOME = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "mutants"
TREE = HOME / "switched"
LIST, STATE, RESULTS = HOME / "list.json", HOME / "state.json", HOME / "results.jsonl"
REACH, LOGS = HOME / "reach.jsonl", HOME / "reach"
MODULES = ["crypto", "kms", "disk", "records"]
# Those with libtest's own harness, which run many tests at once, and without mounts.
QUICK_SUITES = ["known_answers", "disk_model", "key_model", "archives"]
# One trial at a time, most with a mount.
SUITES = [
    *QUICK_SUITES, "unruly_hsm", "pkcs11", "passphrase", "audit", "disk_life", "semantics",
    "data_path", "verbs", "tamper",
]
# Trials that take minutes, or that other work on the machine makes fail.
LEFT_OUT = re.compile(r"(^|::)(control_|exercise)|stack|memory_of|speed|throughput|while_another")
# What is run of a mutant with a build of its own, after the library's tests.
ALONE_SUITES = ["known_answers", "disk_model", "tamper"]
# Each run of a program has a number, by which what it leaves is found.
RUNS = itertools.count()


def tool(tree, state):
    """Rewrites the tree, and says where the mutants came to stand."""
    out = subprocess.run(
        ["cargo", "run", "--quiet", "--manifest-path", TOOL / "Cargo.toml", "--",
         str(tree), str(LIST), str(state)],
        env={**os.environ, "CARGO_TARGET_DIR": str(HOME / "tool")},
        check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(out.stdout)


def copy(tree=TREE):
    """The sources as they are, with a profile for tests that run often."""
    files = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                           cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.split("\0")
    shutil.rmtree(tree, ignore_errors=True)
    for name in filter(None, files):
        source = ROOT / name
        if source.is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, tree / name)
    library = (tree / "src/lib.rs").read_text()
    # What a mutant overflows is for a test to find.
    library = "#![allow(warnings, arithmetic_overflow, unconditional_panic)]\n" + library
    (tree / "src/lib.rs").write_text(library)
    manifest = (tree / "Cargo.toml").read_text()
    manifest = re.sub(r"(?ms)^\[lints\..*?(?=^\[(?!lints))", "", manifest)
    # Debug assertions and checks of overflow stay.
    manifest = manifest.replace('[profile.dev]\n', '[profile.dev]\nopt-level = 1\n')
    manifest = manifest.replace('debug = "line-tables-only"\n\n# Ciphers', 'debug = false\n\n# Ciphers')
    (tree / "Cargo.toml").write_text(manifest)


def with_switch():
    copy()
    shutil.copy(TOOL / "switch.rs", TREE / "src/mutant_switch.rs")
    with open(TREE / "src/lib.rs", "a") as lib:
        lib.write("\n#[doc(hidden)]\npub mod mutant_switch;\n")


def cargo(*args, tree=TREE):
    """The messages of cargo in the copy."""
    out = subprocess.run(
        ["cargo", *args, "--message-format=json"], cwd=tree, text=True,
        env={**os.environ, "CARGO_TARGET_DIR": str(HOME / f"build-{tree.name}")},
        stdout=subprocess.PIPE, stderr=open(HOME / "cargo.log", "a"))
    return out.returncode, [json.loads(line) for line in out.stdout.splitlines() if line.startswith("{")]


def spans_of(message):
    """The places an error names, its own first."""
    for span in sorted(message["spans"], key=lambda span: not span["is_primary"]):
        while span:
            yield span
            span = (span.get("expansion") or {}).get("span")
    for child in message["children"]:
        yield from spans_of(child)


def write():
    HOME.mkdir(parents=True, exist_ok=True)
    wanted = [arg for module in MODULES for arg in ("-f", f"src/{module}/**")]
    LIST.write_text(subprocess.run(["cargo", "mutants", "--list", "--json", *wanted], cwd=ROOT,
                                   check=True, stdout=subprocess.PIPE, text=True).stdout)
    mutants = json.loads(LIST.read_text())
    state = {"dropped": [], "doubled": [], "const": []}
    if STATE.exists() and json.loads(STATE.read_text()).get("names") == [m["name"] for m in mutants]:
        state = json.loads(STATE.read_text())
    else:
        # The numbers are others now.
        REACH.unlink(missing_ok=True)
    state["names"] = [mutant["name"] for mutant in mutants]
    # Two types cannot be one `impl Trait`; of one tree a mutant, cargo-mutants can build it.
    state["dropped"] = sorted({*state["dropped"], *(n for n, m in enumerate(mutants, 1) if two_types(m))})
    for attempt in range(60):
        with_switch()
        STATE.write_text(json.dumps(state))
        places = tool(TREE, STATE)
        status, messages = cargo("check", "--lib")
        if status == 0:
            print(f"compiles after {attempt} rounds, without {len(state['dropped'])} of {len(mutants)}")
            return
        errors = [m["message"] for m in messages
                  if m["reason"] == "compiler-message" and m["message"]["level"] == "error"]
        # What cannot be read makes errors everywhere.
        errors = [error for error in errors if error["code"] is None and error["spans"]] or errors
        refused, lost = set(), []
        for error in errors:
            found = blame(error, places, state)
            if found is None:
                name = re.search(r"non-const (?:associated )?(?:function|method) `(?:.*::)?(\w+)`",
                                 error["message"])
                if name and name[1] not in state["const"]:
                    state["const"].append(name[1])
                    continue
                if error["spans"]:
                    lost.append(error["rendered"])
            else:
                refused |= found
        print(f"round {attempt}: {len(errors)} errors, {len(refused)} mutants", flush=True)
        if not refused and not any("non-const" in error["message"] for error in errors):
            sys.exit("errors of no mutant:\n" + "\n".join(lost))
        doubled = set(state["doubled"])
        for mutant in refused:
            genre = mutants[mutant - 1]["genre"]
            if genre == "BinaryOperator" and mutant not in doubled:
                state["doubled"].append(mutant)
            elif mutant not in state["dropped"]:
                state["dropped"].append(mutant)


def two_types(mutant):
    return mutant["genre"] == "FnValue" and "impl " in mutant["function"]["return_type"]


def blame(error, places, state):
    """The mutants an error is of: those whose own text it names, else those of the least site."""
    for span in spans_of(error):
        file = places.get(span["file_name"])
        if file is None:
            continue
        at = range(span["byte_start"], max(span["byte_end"], span["byte_start"] + 1))

        def within(place):
            return place["start"] <= at[0] and at[-1] < max(place["end"], place["start"] + 1)

        own = {int(m) for m, ranges in file["own"].items() if any(map(within, ranges))}
        if own:
            # Of an operator that is written in another's side, the inner is to blame.
            least = min(own, key=lambda m: min(r["end"] - r["start"]
                                               for r in file["own"][str(m)] if within(r)))
            return {least}
        sites = [(p["end"] - p["start"], set(of)) for p, of in file["sites"] if of and within(p)]
        if sites:
            return min(sites, key=lambda site: site[0])[1]
    return None


def programs(suites=SUITES, tree=TREE):
    """The programs of the tests, built."""
    status, messages = cargo("test", "--no-run", "--lib", "--bins",
                             *[arg for suite in suites for arg in ("--test", suite)], tree=tree)
    if status and tree != TREE:
        return None
    if status:
        sys.exit("the copy does not build:\n" + "".join(
            m["message"]["rendered"] for m in messages if m["reason"] == "compiler-message"
            and m["message"]["level"] == "error"))
    found = {}
    for message in messages:
        if message["reason"] == "compiler-artifact" and message.get("executable"):
            target = message["target"]
            if message["profile"]["test"] and target["kind"][0] in ("lib", "test"):
                found["lib" if target["kind"][0] == "lib" else target["name"]] = message["executable"]
    return {name: found[name] for name in ["lib", *suites]}


def tests_run(program, tests, limit, exact=True, cwd=TREE, **env):
    """Runs tests of a program until one fails: `passed`, `timeout` or the name of the failed."""
    began, marker = time.monotonic(), f"{os.getpid()}-{next(RUNS)}"
    env["EVSFS_MUTANTS_RUN"] = marker
    child = subprocess.Popen(
        [program, *tests, *(["--exact"] if exact else []), "--test-threads", "1"], cwd=cwd,
        start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "RUST_BACKTRACE": "0", **{name: str(value) for name, value in env.items()}})
    text, verdict = b"", None
    while verdict is None:
        left = began + limit - time.monotonic()
        ready, _, _ = select.select([child.stdout], [], [], max(left, 0))
        if not ready:
            verdict = "timeout"
            break
        more = os.read(child.stdout.fileno(), 1 << 16)
        text += more
        failed = re.search(rb"(?m)^test (.*?)\s+\.\.\. FAILED", text)
        if failed:
            verdict = failed[1].decode()
        elif not more:
            running = re.findall(rb"(?m)^test (\S+)", text)
            last = running[-1].decode() if running else "its start"
            verdict = "passed" if child.wait() == 0 else f"{last} (ended)"
    end(child, verdict != "timeout", marker)
    return verdict, text.decode(errors="replace")


def end(child, gently, run):
    """A test that failed takes away its mounts; what does not end is ended, with what it started."""
    if gently:
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            pass
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()
    child.stdout.close()
    # Daemons leave the group of the test that started them.
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if f"EVSFS_MUTANTS_RUN={run}\0".encode() not in (process / "environ").read_bytes():
                continue
            _, marked, mount = (process / "cmdline").read_bytes().partition(b"\0--\0")
            os.kill(int(process.name), signal.SIGKILL)
        except OSError:
            continue
        if marked:
            subprocess.run(["umount", "--lazy", mount.split(b"\0")[0]], stderr=subprocess.DEVNULL)


def reach(jobs):
    LOGS.mkdir(exist_ok=True)
    known = {(r["suite"], r["test"]) for r in lines(REACH)}
    todo = []
    for suite, program in programs().items():
        listed = subprocess.run([program, "--list"], cwd=TREE, check=True,
                                stdout=subprocess.PIPE, text=True).stdout
        for line in listed.splitlines():
            if line.endswith(": test"):
                test = line[:-len(": test")].strip()
                if (suite, test) not in known and not LEFT_OUT.search(test):
                    todo.append((suite, program, test))

    def one(job):
        suite, program, test = job
        seen = LOGS / f"{suite}-{re.sub(r'[^a-zA-Z0-9_]', '_', test)[-150:]}"
        seen.write_text("")
        began = time.monotonic()
        verdict, text = tests_run(program, [test], 120, EVSFS_MUTANTS_SEEN=seen)
        took = time.monotonic() - began
        reached = sorted({int(line) for line in seen.read_text().split()})
        if re.search(r"1 ignored", text):
            verdict = "ignored"
        seen.unlink()
        return {"suite": suite, "test": test, "took": took, "verdict": verdict, "reached": reached}

    with open(REACH, "a") as out, concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for result in pool.map(one, todo):
            out.write(json.dumps(result) + "\n")
            out.flush()
            if result["verdict"] != "passed":
                print(f"{result['suite']} {result['test']}: {result['verdict']}", flush=True)


def alone(only, again):
    """A build for each mutant that cannot live beside others."""
    tree = HOME / "alone"
    copy(tree)
    latest = {r["name"]: r for r in lines(RESULTS)}
    kept = viable()
    mutants = json.loads(LIST.read_text())
    for number, mutant in enumerate(mutants, 1):
        name = mutant["name"]
        # A chain with `let` has no `||`; other values than `impl Trait` were refused for their type.
        if number in kept or not (two_types(mutant) or mutant["genre"] == "BinaryOperator") \
                or mutant["replacement"] == "||" or only and not re.search(only, name) \
                or name in latest and latest[name]["verdict"] != again:
            continue
        began = time.monotonic()
        path = tree / mutant["file"]
        source = path.read_text()
        first, last = (place(source, mutant["span"][end]) for end in ("start", "end"))
        path.write_text(source[:first] + mutant["replacement"] + source[last:])
        verdict, by = "missed", None
        found = programs(ALONE_SUITES, tree)
        if found is None:
            verdict = "unviable"
        for suite, program in (found or {}).items():
            module = mutant["file"].split("/")[1] + "::"
            for filters in ([module], []) if suite == "lib" else ([],):
                failed, _ = tests_run(program, filters, 600, cwd=tree, exact=False)
                if failed != "passed":
                    verdict, by = "timeout" if failed == "timeout" else "caught", f"{suite} {failed}"
                    break
            if verdict != "missed":
                break
        path.write_text(source)
        with open(RESULTS, "a") as out:
            out.write(json.dumps({"name": name, "number": number, "verdict": verdict, "by": by,
                                  "reached_by": None, "took": round(time.monotonic() - began, 2)}) + "\n")


def place(source, at):
    start = [0, *(match.end() for match in re.finditer("\n", source))][at["line"] - 1]
    return start + at["column"] - 1


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def viable():
    mutants = json.loads(LIST.read_text())
    dropped = set(json.loads(STATE.read_text())["dropped"])
    return {n: m for n, m in enumerate(mutants, 1) if n not in dropped}


def run(jobs, only, again, most, limit):
    found = programs()
    by_mutant = collections.defaultdict(list)
    for line in lines(REACH):
        if line["verdict"] == "passed":
            for mutant in line["reached"]:
                by_mutant[mutant].append((line["suite"], line["took"], line["test"]))
    latest = {r["name"]: r for r in lines(RESULTS)}
    todo = [(n, m) for n, m in viable().items()
            if (m["name"] not in latest or latest[m["name"]]["verdict"] == again)
            and (not only or re.search(only, m["name"]))]
    # Of a run that is ended early, what was run is a sample.
    random.Random(1).shuffle(todo)

    def one(job):
        number, mutant = job
        began = time.monotonic()
        module = mutant["file"].split("/")[1]
        tests = by_mutant[number]
        # Quick ones together, of the module before the others; slow ones each alone.
        batches = []
        for suite in found:
            at_once = 12 if suite in ("lib", *QUICK_SUITES) else 1
            of = sorted((not test.startswith(module), took, test)
                        for name, took, test in tests if name == suite)
            quick = [(took, test) for _, took, test in of if took < 1]
            slow = sorted((took, test) for _, took, test in of if took >= 1)
            groups = [quick[at:at + at_once] for at in range(0, len(quick), at_once)]
            groups += [[one] for one in slow]
            if at_once == 1:
                # They are many tests of the same code.
                groups = groups[:most]
            batches += [(suite, group) for group in groups]
        verdict, by = "missed", None
        for suite, batch in batches:
            time_of_all = 10 * sum(took for took, _ in batch)
            name, _ = tests_run(found[suite], [test for _, test in batch],
                                max(limit, time_of_all), EVSFS_MUTANT=number)
            if name != "passed":
                verdict, by = ("timeout", batch[0][1]) if name == "timeout" else ("caught", name)
                by = f"{suite} {by}"
                break
        return {"name": mutant["name"], "number": number, "verdict": verdict, "by": by,
                "reached_by": len(tests), "took": round(time.monotonic() - began, 2)}

    done = 0
    with open(RESULTS, "a") as out, concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for future in concurrent.futures.as_completed([pool.submit(one, job) for job in todo]):
            out.write(json.dumps(future.result()) + "\n")
            out.flush()
            done += 1
            if done % 100 == 0:
                print(f"{done} of {len(todo)}", flush=True)


def summary():
    latest = {r["name"]: r for r in lines(RESULTS)}
    mutants = json.loads(LIST.read_text())
    kept = viable()
    kinds = ["caught", "timeout", "missed", "not run", "unviable"]
    table = collections.defaultdict(collections.Counter)
    missed = []
    for number, mutant in enumerate(mutants, 1):
        module = mutant["file"].split("/")[1]
        # A build of its own counts, where it was made.
        own_build = two_types(mutant) or mutant["function"] is None
        verdict = latest.get(mutant["name"], {}).get(
            "verdict", "not run" if number in kept or own_build else "unviable")
        table[module][verdict] += 1
        if verdict == "missed":
            missed.append(f"{mutant['name']} (reached by {latest[mutant['name']]['reached_by']} tests)")
    print("\n".join(missed))
    print(f"{'':9}" + "".join(f"{kind:>10}" for kind in kinds) + "   of those run")
    total = collections.Counter()
    for module in [*MODULES, "all"]:
        count = table[module] if module != "all" else total
        total.update(table[module] if module != "all" else {})
        good = count["caught"] + count["timeout"]
        share = 100 * good / max(good + count["missed"], 1)
        print(f"{module:9}" + "".join(f"{count[kind]:>10}" for kind in kinds) + f"   {share:.1f} %")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("step", nargs="?", default="all",
                        choices=["all", "write", "reach", "run", "alone", "summary"])
    parser.add_argument("--only", help="mutants whose name matches")
    parser.add_argument("--again", help="also those with this verdict before")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--most", type=int, default=40, help="trials of each suite with mounts")
    parser.add_argument("--limit", type=int, default=20,
                        help="seconds for tests that run together, or ten times what they take otherwise")
    args = parser.parse_args()
    if args.step in ("all", "write"):
        write()
    if args.step in ("all", "reach"):
        reach(args.jobs)
    if args.step in ("all", "run"):
        run(args.jobs, args.only, args.again, args.most, args.limit)
    if args.step in ("all", "alone"):
        alone(args.only, args.again)
    if args.step in ("all", "summary"):
        summary()


if __name__ == "__main__":
    main()
