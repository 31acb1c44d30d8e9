"""How many small faults the test suite notices: ``python -m benchmarks.mutation --seed 1``.

A sample of mutants (:mod:`benchmarks.mutants`) of ``chordnet/`` is drawn from the seed, by files in
proportion to their lines. Each is put into a copy of the working tree, and the tests that run the
function concerned are run there, without ``tests/e2e``, until the first fails. Which test runs
which function is found beforehand by one watched run of the suite (quick with Python 3.12 or
later); ``--map FILE`` keeps that for the next time. A mutant that no test notices survives; one
that no test could notice is equivalent, and ``mutation_equivalents.txt`` says why. Tests that go on
for too long count as a kill only if without the mutant they pass in that time. Exit status 1 if
fewer than ``--target`` of the others are killed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import hypothesis
import pytest
import twisted.trial.unittest
from attrs import frozen

from benchmarks.mutants import Mutant, mutants

ROOT = Path(__file__).parents[1]
EQUIVALENTS = Path(__file__).with_name("mutation_equivalents.txt")
PRELOADED = (hypothesis, pytest, twisted.trial.unittest)
"""What most tests import; none of it may import a reactor, which each run of tests has to make."""
LEFT_OUT = {
    ".git",
    ".venv-make",
    ".mypy_cache",
    ".ruff_cache",
    "__pycache__",
    "_build",
    "_trial_temp",
}
TEXT_TESTS = {"test_docs.py", "test_architecture.py", "test_packaging.py", "test_ci_scripts.py"}
"""Tests of what the source looks like: they notice a change of anything, right or wrong."""
FIGURE_TESTS = {"test_limits.py", "test_defaults.py"}
"""Tests of figures in any module: they are asked about whatever stands outside of functions."""
LIMIT_FACTOR, LIMIT_S = 6.0, 120.0
"""Tests that take longer than so many times their usual time, and so many seconds, hang."""
TEST_S = 60
"""So does one test that takes longer than this."""
OVERHEAD_S = 0.01
"""What a test costs besides."""
PYTEST = ("-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no")

TRACED = """
import json, os, sys, threading, time
import pytest
root, out, *names = sys.argv[1:]
prefix = os.path.join(root, "chordnet") + os.sep
seen, tests, failed = {}, [], set()
if hasattr(sys, "monitoring"):
    watch = sys.monitoring
    watch.use_tool_id(watch.COVERAGE_ID, "mutation")
    def start(code, _offset):
        seen[code] = None
        return watch.DISABLE  # until the next test
    watch.register_callback(watch.COVERAGE_ID, watch.events.PY_START, start)
    def begin():
        watch.set_events(watch.COVERAGE_ID, watch.events.PY_START)
        watch.restart_events()
    def end():
        watch.set_events(watch.COVERAGE_ID, 0)
else:
    def call(frame, event, arg):
        seen[frame.f_code] = None
    threading.settrace(call)
    begin, end = lambda: sys.settrace(call), lambda: sys.settrace(None)
class Each:
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        seen.clear()
        began = time.process_time()
        begin()
        try:
            return (yield)
        finally:
            end()
            took = time.process_time() - began
            ran = {(c.co_filename[len(root) + 1:], c.co_qualname) for c in list(seen)
                   if c.co_filename.startswith(prefix)}
            tests.append((item.nodeid, took, sorted(ran)))
    def pytest_runtest_logreport(self, report):
        if report.failed:
            failed.add(report.nodeid)
options = ["-q", "-p", "no:cacheprovider", "--no-header", "--tb=line"]
pytest.main([*options, *names], plugins=[Each()])
with open(out, "w") as stream:
    kept = [each for each in tests if each[0] not in failed]
    json.dump({"failed": sorted(failed), "tests": kept}, stream)
"""


@frozen
class Test:
    """What one test runs."""

    __test__ = False

    name: str
    """As pytest names it."""
    seconds: float
    ran: frozenset[tuple[str, str]]
    """Functions, by file and qualified name."""

    @property
    def file(self) -> str:
        """The file that it is in."""
        return self.name.partition("::")[0]

    @property
    def files(self) -> frozenset[str]:
        """The files of which it runs a function."""
        return frozenset(path for path, _name in self.ran)


# ---- which tests are concerned, pure -----------------------------------------------------------


def sample(sources: Mapping[str, str], rng: random.Random, size: int) -> list[Mutant]:
    """Return ``size`` different mutants of these files: each line of the program is as likely."""
    found = {path: mutants(path, source) for path, source in sources.items()}
    found = {path: each for path, each in found.items() if each}
    chosen: dict[Mutant, None] = {}
    paths = list(found)
    weights = [sources[path].count("\n") for path in paths]
    size = min(size, sum(map(len, found.values())))
    while len(chosen) < size:
        path = rng.choices(paths, weights)[0]
        chosen[rng.choice(found[path])] = None
    return list(chosen)


def concerned(mutant: Mutant, tests: Iterable[Test], budget: float) -> list[Test]:
    """Return tests that run the function changed: those named after its module, then quick ones.

    Then those that run anything of its file or are named after it; outside of functions, also those
    of figures in any module.

    :param budget: their usual time in all, in seconds; the first is taken whatever it costs.
    """
    words = set(Path(mutant.path).stem.split("_"))

    def figures(test: Test) -> bool:
        return not mutant.function and Path(test.file).name in FIGURE_TESTS

    def named(test: Test) -> bool:
        return words <= set(Path(test.file).stem.split("_"))

    def order(test: Test) -> tuple[bool, bool, float]:
        return not figures(test), not named(test), test.seconds

    tests = list(tests)
    place = (mutant.path, mutant.function)
    hit = [test for test in tests if place in test.ran]
    # A table made at import, or a process of its own, is run by no test that was watched doing so.
    others = [t for t in tests if mutant.path in t.files or named(t) or figures(t)]
    near = {test.name for test in hit}
    rest = [test for test in others if test.name not in near]
    chosen: list[Test] = []
    for test in [*sorted(hit, key=order), *sorted(rest, key=order)]:
        budget -= test.seconds + OVERHEAD_S
        if chosen and budget < 0:
            break
        chosen.append(test)
    return chosen


def equivalents(text: str) -> dict[str, str]:
    """Return why each mutant listed in ``text`` changes nothing, by its key.

    Two lines each: the key, and the reason, indented.
    """
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {
        key: reason.strip() for key, reason in zip(lines[::2], lines[1::2], strict=True)
    }  # fmt: skip


# ---- running -----------------------------------------------------------------------------------


def copied(directory: Path) -> Path:
    """Return a copy of the working tree."""
    tree = directory / "tree"
    shutil.copytree(ROOT, tree, ignore=lambda _at, names: LEFT_OUT & set(names), symlinks=True)
    return tree


def environment(tree: Path) -> dict[str, str]:
    """Return the environment in which the copy's program is the one imported."""
    return {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}


def execute(command: Sequence[str], tree: Path, limit: float) -> tuple[int | None, str]:
    """Run a command in the copy; return its status (None if the time was up) and its output."""
    process = subprocess.Popen(
        command, cwd=tree, env=environment(tree), text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
    )  # fmt: skip
    try:
        output, _none = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        return None, ""
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return process.returncode, output


class _Alarm:
    """Ends a test that takes too long."""

    def pytest_runtest_setup(self) -> None:
        signal.alarm(TEST_S)


def run_tests(names: Sequence[str], tree: Path, limit: float) -> tuple[int | None, str]:
    """Run these tests in a fork of this process until the first fails; as :func:`execute`.

    What tests need besides the program has been imported once, which saves a mutant two seconds.
    """
    log = tree / "tests.log"
    pid = os.fork()
    if pid == 0:
        _be_the_tests(names, tree, log)
    end, status = time.monotonic() + limit, None
    try:
        while status is None and time.monotonic() < end:
            ended, code = os.waitpid(pid, os.WNOHANG)
            status = os.waitstatus_to_exitcode(code) if ended else None
            time.sleep(0.02)
    finally:
        if status is None:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return status, log.read_text(errors="replace")


def _be_the_tests(names: Sequence[str], tree: Path, log: Path) -> NoReturn:
    status = 3
    try:
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.chdir(tree)
        os.environ |= environment(tree)
        sys.dont_write_bytecode = True
        sys.path.insert(0, str(tree))
        for name in list(sys.modules):
            if name.partition(".")[0] in ("benchmarks", "chordnet", "tests"):
                del sys.modules[name]
        status = int(pytest.main([*PYTEST, *names], plugins=[_Alarm()]))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def trace(tree: Path, names: Sequence[str]) -> list[Test]:
    """Run files of tests and note what each test runs."""
    out = tree / "traced.json"
    _status, output = execute(
        [sys.executable, "-c", TRACED, str(tree), str(out), *names], tree, 7200.0
    )
    if not out.exists():
        raise SystemExit(f"the tests did not end; their last words:\n{output[-2000:]}")
    found = json.loads(out.read_text())
    for failed in found["failed"]:
        print(f"  {failed} fails without any change and is left out", flush=True)
    return _tests(found["tests"])


def _tests(rows: Iterable[tuple[str, float, list[list[str]]]]) -> list[Test]:
    return [Test(name, took, frozenset((p, n) for p, n in ran)) for name, took, ran in rows]


def all_tests(tree: Path, kept: Path | None) -> list[Test]:
    """Return every test with what it runs; files of tests that ``kept`` has are not run again."""
    known = _tests(json.loads(kept.read_text())) if kept is not None and kept.exists() else []
    names = {
        str(path.relative_to(tree))
        for room in ("unit", "sim", "net")
        for path in (tree / "tests" / room).rglob("test_*.py")
        if path.name not in TEXT_TESTS
    }
    new = sorted(names - {test.file for test in known})
    if new:
        print(f"watching {len(new)} files of tests, once", flush=True)
        known += trace(tree, new)
    if kept is not None:
        kept.write_text(json.dumps([(t.name, t.seconds, sorted(t.ran)) for t in known]))
    return [test for test in known if test.file in names]


def outcome(tree: Path, mutant: Mutant, source: str, tests: Sequence[Test]) -> tuple[str, str]:
    """Return what became of a mutant (killed, hangs, unclear, survived or untested), and how."""
    if not tests:
        return "untested", ""
    path = tree / mutant.path
    path.write_text(mutant.applied(source))
    limit = LIMIT_S + LIMIT_FACTOR * sum(test.seconds for test in tests)
    names = [test.name for test in tests]
    try:
        status, output = run_tests(names, tree, limit)
    finally:
        path.write_text(source)
    if status is None or status == -signal.SIGALRM:
        fine, _output = run_tests(names, tree, limit)
        return ("hangs", "") if fine == 0 else ("unclear", "they take too long without it, too")
    if not status:
        return "survived", ""
    lines = [line.split(" - ")[0] for line in output.splitlines()]
    failed = [line.split()[-1] for line in lines if line.startswith(("FAILED ", "ERROR "))]
    return "killed", failed[0] if failed else f"status {status}"


# ---- the command -------------------------------------------------------------------------------


def sources(tree: Path, only: Sequence[str]) -> dict[str, str]:
    """Return the program's files (those whose path contains one of ``only``)."""
    paths = sorted((tree / "chordnet").rglob("*.py"))
    found = {str(path.relative_to(tree)): path.read_text() for path in paths}
    return {p: s for p, s in found.items() if not only or any(part in p for part in only)}


def measure(options: argparse.Namespace, tree: Path) -> int:
    """Try the sample and report."""
    tests = all_tests(tree, options.map)
    texts = sources(tree, options.only)
    known = equivalents(EQUIVALENTS.read_text())
    drawn = sample(texts, random.Random(options.seed), options.sample)
    print(f"seed {options.seed}: {len(drawn)} mutants of {len(texts)} files", flush=True)
    rooms: dict[str, Counter[str]] = {}
    for index, mutant in enumerate(drawn, 1):
        source = texts[mutant.path]
        key, began = mutant.key(source), time.monotonic()
        result, how = (
            ("equivalent", known[key]) if key in known
            else outcome(tree, mutant, source, concerned(mutant, tests, options.budget))
        )  # fmt: skip
        rooms.setdefault(Path(mutant.path).parts[1], Counter())[result] += 1
        took = time.monotonic() - began
        where = f"{mutant.path}:{mutant.line}"
        print(f"{index:4} {result:10} {where} ({mutant.kind}, {took:.0f} s) {how}", flush=True)
        if result in ("survived", "untested", "unclear"):
            print(f"       {key}", flush=True)
    return report(rooms, options)


def report(rooms: Mapping[str, Counter[str]], options: argparse.Namespace) -> int:
    """Print the counts; return 1 if too few are killed."""
    total: Counter[str] = Counter()
    for room, counts in sorted(rooms.items()):
        total += counts
        print(f"{room}: {counts['killed'] + counts['hangs']} of {_able(counts)} killed")
    killed, able = total["killed"] + total["hangs"], _able(total)
    share = killed / able if able else 1.0
    print(
        f"seed {options.seed}: {killed} of {able} killed ({share:.1%}),"
        f" {total['hangs']} of them by the time limit; {total['equivalent']} equivalent"
    )
    return 0 if share >= options.target else 1


def _able(counts: Counter[str]) -> int:
    return counts.total() - counts["equivalent"]


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutation", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--sample", type=int, default=120, help="how many mutants")
    parser.add_argument("--only", nargs="*", default=[], help="files whose path contains this")
    parser.add_argument("--map", type=Path, help="where to keep which test runs what")
    parser.add_argument("--budget", type=float, default=30.0, help="seconds of tests for a mutant")
    parser.add_argument("--target", type=float, default=0.95)
    return parser.parse_args(arguments)


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit status."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))  # ends the tests, too
    with tempfile.TemporaryDirectory(prefix="chordnet-mutation-") as directory:
        return measure(parsed(arguments), copied(Path(directory)))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
