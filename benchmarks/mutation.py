"""How many small faults the test suite notices: ``python -m benchmarks.mutation --seed 1``.

A sample of mutants (:mod:`benchmarks.mutants`) of ``chordnet/`` is drawn from the seed, by files in
proportion to their lines. Each is put into a copy of the working tree, and the tests that run the
function concerned are run there, without ``tests/e2e``, until the first fails. Which test file
runs which function is found beforehand by one traced run of the suite; ``--map FILE`` keeps that
for the next time. A mutant that no test notices survives; one that no test could notice is
equivalent, and ``mutation_equivalents.txt`` says why. Exit status 1 if fewer than ``--target`` of
the others are killed.
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

from attrs import frozen

from benchmarks.mutants import Mutant, mutants

ROOT = Path(__file__).parents[1]
EQUIVALENTS = Path(__file__).with_name("mutation_equivalents.txt")
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
LIMIT_FACTOR, LIMIT_S = 6.0, 120.0
"""Tests that take longer than so many times their usual time, and so many seconds, hang."""
TEST_S = 45
"""So does one test that takes longer than this."""
PYTEST = ("-x", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=no")

ALARMED = f"""
import signal, sys
import pytest
class Alarm:
    def pytest_runtest_setup(self, item):
        signal.alarm({TEST_S})
sys.exit(pytest.main(sys.argv[1:], plugins=[Alarm()]))
"""
TRACED = """
import json, os, sys, threading, time
root, out, name = sys.argv[1:4]
seen = {}
def call(frame, event, arg):
    seen[frame.f_code] = None
threading.settrace(call)
sys.settrace(call)
import pytest
began = time.monotonic()
status = pytest.main(["-q", "-p", "no:cacheprovider", "--no-header", "--tb=line", name])
sys.settrace(None)
prefix = os.path.join(root, "chordnet") + os.sep
ran = sorted({(c.co_filename[len(root) + 1:], c.co_qualname) for c in list(seen)
              if c.co_filename.startswith(prefix)})
with open(out, "w") as stream:
    json.dump({"status": int(status), "seconds": time.monotonic() - began, "ran": ran}, stream)
"""


@frozen
class TestFile:
    """What one file of tests runs."""

    __test__ = False

    name: str
    seconds: float
    ran: frozenset[tuple[str, str]]
    """Functions, by file and qualified name."""

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


def concerned(mutant: Mutant, tests: Iterable[TestFile], budget: float) -> list[TestFile]:
    """Return tests that run the function changed: those named after its module, then quick ones.

    Where none runs it in this process, those that run anything of its file.

    :param budget: their usual time in all, in seconds; the first is taken whatever it costs.
    """
    words = set(Path(mutant.path).stem.split("_"))

    def order(test: TestFile) -> tuple[bool, float]:
        return not words <= set(Path(test.name).stem.split("_")), test.seconds

    tests = list(tests)
    place = (mutant.path, mutant.function)
    hit = [test for test in tests if place in test.ran]
    hit = hit or [test for test in tests if mutant.path in test.files]
    chosen: list[TestFile] = []
    for test in sorted(hit, key=order):
        budget -= test.seconds
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


def trace(tree: Path, name: str) -> TestFile:
    """Run one file of tests and note what it runs."""
    out = tree / "traced.json"
    out.unlink(missing_ok=True)
    _status, output = execute(
        [sys.executable, "-c", TRACED, str(tree), str(out), name], tree, 1800.0
    )
    if not out.exists():
        raise SystemExit(f"{name} did not end; its last words:\n{output[-2000:]}")
    found = json.loads(out.read_text())
    if found["status"]:
        print(f"  {name} fails without any change and is left out", flush=True)
        return TestFile(name, 0.0, frozenset())
    return TestFile(name, found["seconds"], frozenset((p, n) for p, n in found["ran"]))


def all_tests(tree: Path, kept: Path | None) -> list[TestFile]:
    """Return every file of tests with what it runs; what ``kept`` says is not traced again."""
    found: dict[str, TestFile] = {}
    if kept is not None and kept.exists():
        for name, seconds, ran in json.loads(kept.read_text()):
            found[name] = TestFile(name, seconds, frozenset((p, n) for p, n in ran))
    names = sorted(
        str(path.relative_to(tree))
        for room in ("unit", "sim", "net")
        for path in (tree / "tests" / room).glob("test_*.py")
        if path.name not in TEXT_TESTS
    )
    new = [name for name in names if name not in found]
    if new:
        print(f"tracing {len(new)} files of tests, once", flush=True)
        found |= {name: trace(tree, name) for name in new}
    tests = [found[name] for name in names]
    if kept is not None:
        kept.write_text(json.dumps([(t.name, t.seconds, sorted(t.ran)) for t in tests]))
    return tests


def outcome(tree: Path, mutant: Mutant, source: str, tests: Sequence[TestFile]) -> str:
    """Return what became of a mutant: killed, hangs, survived or untested."""
    if not tests:
        return "untested"
    path = tree / mutant.path
    path.write_text(mutant.applied(source))
    limit = LIMIT_S + LIMIT_FACTOR * sum(test.seconds for test in tests)
    command = [sys.executable, "-c", ALARMED, *PYTEST, *(test.name for test in tests)]
    try:
        status, _output = execute(command, tree, limit)
    finally:
        path.write_text(source)
    if status is None or status == -signal.SIGALRM:
        return "hangs"
    return "killed" if status else "survived"


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
        result = (
            "equivalent" if key in known
            else outcome(tree, mutant, source, concerned(mutant, tests, options.budget))
        )  # fmt: skip
        rooms.setdefault(Path(mutant.path).parts[1], Counter())[result] += 1
        took = time.monotonic() - began
        where = f"{mutant.path}:{mutant.line}"
        print(f"{index:4} {result:10} {where} ({mutant.kind}, {took:.0f} s)", flush=True)
        if result in ("survived", "untested"):
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
    parser.add_argument("--budget", type=float, default=60.0, help="seconds of tests for a mutant")
    parser.add_argument("--target", type=float, default=0.95)
    return parser.parse_args(arguments)


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit status."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(143))  # ends the tests, too
    with tempfile.TemporaryDirectory(prefix="chordnet-mutation-") as directory:
        return measure(parsed(arguments), copied(Path(directory)))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
