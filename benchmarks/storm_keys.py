"""Sixteen programs read and write keys while nodes are killed, frozen, removed and wiped.

``python -m benchmarks.storm_keys --minutes 10 --seed S`` starts sixteen nodes of its own. The blows
are drawn from the seed beforehand. Every operation goes through another node, and is written to one
history with what its program was told. At the end all nodes are brought back, every key has to be
readable through every node, and the history is judged: each key has to have behaved as one
register. Exit status 1 if it has not, or if a key cannot be read.

Disks are wiped with the local engine only, one at a time. After each the nodes are left in peace,
so that others hold what it held before anything else happens: the store promises no more.
Partitions come with ``--engine docker`` only.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.stats import percentile
from benchmarks.storm_blows import Blows
from benchmarks.storm_clients import PROGRAMS, Program, Programs, Told, connector
from benchmarks.storm_command import on_field, parser_of, status_of
from benchmarks.storm_field import NAME, Field
from benchmarks.storm_plan import DOCKER_KEYS, LOCAL_KEYS, plan
from benchmarks.storm_senders import running
from chordnet.cli.lab.check_history import found_lines
from chordnet.judge.store.anomalies import Verdict
from chordnet.judge.store.check import check_history
from chordnet.judge.store.history import read_history
from chordnet.survey.errors import TestbedError
from chordnet.survey.waiting import pause

TELL_S = 60.0
BEGIN_S = 90.0
"""How long the store may take to begin."""
AGAIN_S = 150.0
"""How long the keys may take to be readable through every node when all are back."""
LOOK_S = 0.5
HISTORY = "history.jsonl"
ANYONE = 0.05
"""How often a program asks a node without regard to whether it is up."""


class KeyStorm:
    """One storm over one network.

    Args:
        field: The network.
        seed: What the blows and the operations are drawn from.
        seconds: How long the storm lasts.
        rate: Operations that the programs would begin in a second, all together, if every answer
            came at once.
        make: Makes a program with a name, that counts its answers.
    """

    def __init__(
        self, field: Field, seed: int, seconds: float, rate: float,
        make: Callable[[str, Told], Program],
    ) -> None:  # fmt: skip
        self.field = field
        self._reactor = field.reactor
        self._seconds = seconds
        rng = random.Random(seed)
        verbs = LOCAL_KEYS if field.engine.kind == "local" else DOCKER_KEYS
        self.blows = Blows(field, plan(rng, seconds, list(field.network.numbers), verbs))
        self._choice = random.Random(rng.getrandbits(64))
        operations = random.Random(rng.getrandbits(64))
        self.programs = Programs(
            field.reactor, make, self._someone, operations, PROGRAMS / rate
        )  # fmt: skip

    def _someone(self) -> str:
        network, choice = self.field.network, self._choice
        anyone = choice.random() < ANYONE
        return network.address(choice.choice(network.numbers if anyone else self.blows.up))

    async def rage(self) -> None:
        """Let the storm loose, and the programs work, for its time."""
        working, telling = running(self.programs.run()), running(self._tell())
        try:
            await self.blows.fall(self._seconds)
            self.programs.stop()
            await working
        finally:
            for deferred in (telling, working):
                deferred.addErrback(lambda _cancelled: None)
                deferred.cancel()

    async def readable(self, within: float) -> float:
        """Wait until every key can be read through every node; return the seconds that it took.

        Raises:
            TestbedError: It could not in time.
        """
        network, began = self.field.network, self._reactor.seconds()
        while True:
            failed = await self.programs.unreadable([network.address(n) for n in network.numbers])
            took = self._reactor.seconds() - began
            if not failed:
                return took
            if took > within:
                words = tuple(f"{address}, {text}" for address, text in failed.items())
                raise TestbedError(f"keys cannot be read after {took:.0f} s", words)
            await pause(self._reactor, LOOK_S)

    async def _tell(self) -> None:
        while True:
            await pause(self._reactor, TELL_S)
            told = self.programs.told.summary()
            print(f"  {self.blows.done.total()} blows, {told}", flush=True)


# ---- the command ----------------------------------------------------------------------------


async def main(reactor: Any, options: argparse.Namespace) -> bool:
    """Run one storm and report; return True if all was well."""

    async def work(field: Field) -> bool:
        path = field.directory / HISTORY
        connect, seconds = connector(reactor, NAME), 60 * options.minutes
        with path.open("wb") as history:
            make = partial(Program, reactor, connect, history.write)
            storm = KeyStorm(field, options.seed, seconds, options.rate, make)
            well = await _weather(storm)
        right = _report(path)
        if options.keep is not None and not (well and right):
            await field.keep(options.keep)
            shutil.copy(path, options.keep / HISTORY)
        return well and right

    return await on_field(reactor, options, work)


async def _weather(storm: KeyStorm) -> bool:
    field, began = storm.field, time.monotonic()
    await field.start()
    await storm.readable(BEGIN_S)
    print(f"one right ring with a store after {time.monotonic() - began:.1f} s;"
          f" {len(storm.blows.planned)} blows are to come", flush=True)  # fmt: skip
    await storm.rage()
    told = storm.programs.told
    print(told.summary())
    print(storm.blows.summary())
    if told.certain:
        p50, p99 = percentile(told.certain, 50) * 1e3, percentile(told.certain, 99) * 1e3
        print(f"certain answers: p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    longest, action, answer = told.longest
    print(f"longest wait: {longest:.1f} s, {action}, {answer}", flush=True)
    await field.bring_back()
    try:
        took = await storm.readable(AGAIN_S)
    except TestbedError as problem:
        print(problem, *problem.details, sep="\n  ")
        return False
    print(f"every key is readable through every node {took:.1f} s after all are back")
    return True


def _report(path: Path) -> bool:
    with path.open("rb") as lines:
        history = list(read_history(lines))
    found = check_history(history)
    print(*found_lines(found, history), sep="\n")
    return found.verdict is not Verdict.WRONG


def options(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of("storm_keys", __doc__)
    parser.add_argument("--rate", type=float, default=60.0, help="operations a second, in all")
    return parser.parse_args(arguments)


def run(arguments: list[str]) -> int:
    """Run the command and return its exit status; a Ctrl-C ends it and every node."""
    return status_of("storm_keys", options(arguments), main)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
