"""Values of 1 MiB in whole stores, in virtual time, over links that carry so much and no more."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import effects as fx
from chordnet.core.store.base import events as ev
from chordnet.core.store.base.outcomes import Done, Found, Outcome
from chordnet.core.store.base.requests import Get, Put
from chordnet.sim.store.world import Process, StoreWorld

MIB = 1_048_576
KEYS = 100
BYTES_PER_S = 100_000_000
WAITING = 4 * MIB
"""Bytes that wait for one node beyond which a letter is lost, as on a real connection."""


class Links(StoreWorld):
    """Nodes whose letters take as long as their bytes need."""

    def __init__(self, seed: int, founders: tuple[str, ...]) -> None:
        super().__init__(seed, founders, slots=1)
        self.seed = seed
        self.free_at: dict[tuple[str, str], float] = {}
        self.sent: Counter[tuple[str, str]] = Counter()
        self.lost = 0

    def _post(self, process: Process, post: fx.Post) -> None:
        link, size = (process.name, post.to), len(post.letter)
        free_at = max(self.now, self.free_at.get(link, 0.0))
        waiting = (free_at - self.now) * BYTES_PER_S
        target = self.processes.get(post.to)
        if target is None or not target.up:
            super()._post(process, post)
        elif waiting and waiting + size > WAITING:
            self.lost += 1
        else:
            self.sent[link] += size
            self.free_at[link] = free_at = free_at + size / BYTES_PER_S
            event = ev.Mail(process.name, post.letter)
            self._schedule(free_at + self.latency(self.rng), self._deliver, target, event)

    def forms(self, names: str) -> None:
        """Start nodes, and wait until the store has begun."""
        for name in names:
            self.start(name)
        self.run_until(lambda: not list(self.out_of_step()), 30.0)

    def run_until(self, done: Callable[[], bool], within_s: float) -> None:
        """Go on until ``done`` returns True."""
        assert self.run(within_s, done), f"seed {self.seed}: {list(self.out_of_step())}"

    def asked(self, name: str, operation: Get | Put) -> Outcome:
        """Have one operation done, and return how it ended."""
        ended: list[Outcome] = []
        assert self.ask(name, operation, 10.0, ended.append)
        self.run_until(lambda: bool(ended), 12.0)
        return ended[0]

    def asked_together(self, name: str, keys: list[bytes]) -> dict[bytes, Outcome]:
        """Have keys read at the same time, and return how each read ended."""
        ended: dict[bytes, Outcome] = {}
        for key in keys:
            assert self.ask(name, Get(key), 10.0, partial(ended.__setitem__, key))
        self.run_until(lambda: len(ended) == len(keys), 12.0)
        return ended

    def versions(self, name: str) -> Counter[int]:
        """Return how many records a node's disk has, by their version."""
        kept = self.processes[name].disk.records.get(0, {})
        return Counter(record.content.version for record in kept.values())


class LargeValueTests(SynchronousTestCase):
    def test_a_hundred_values_of_1_mib_in_one_slot_are_installed_repaired_and_read(self) -> None:
        seed = random.randrange(2**32)
        world = Links(seed, ("a", "b", "c"))
        rng = random.Random(seed)
        values = {b"key %d" % number: rng.randbytes(MIB) for number in range(KEYS)}
        world.forms("abc")
        for key, value in values.items():
            self.assertIsInstance(world.asked("a", Put(key, value, b"1")), Done, f"seed {seed}")
        world.run(1.0)

        world.sent.clear()
        world.kill("c")
        world.start("d")
        world.run_until(lambda: not list(world.out_of_step()), 60.0)
        self.assertEqual(world.versions("d"), {1: KEYS}, f"seed {seed}")
        to_new = sum(size for (_from, to), size in world.sent.items() if to == "d")
        self.assertLess(to_new, 1.1 * KEYS * MIB, f"a new member takes each value once; {seed=}")
        among_old = world.sent["a", "b"] + world.sent["b", "a"]
        self.assertLess(among_old, 5 * MIB, f"those that stay have them already; {seed=}")

        world.kill("b")
        values = {key: value[::-1] for key, value in values.items()}
        for key, value in values.items():
            self.assertIsInstance(world.asked("d", Put(key, value, b"2")), Done, f"seed {seed}")
        world.restart("b")
        world.run_until(lambda: world.versions("b")[2] == KEYS, 90.0)
        for key, value in values.items():
            found = world.asked("b", Get(key))
            assert isinstance(found, Found), f"seed {seed}"
            self.assertTrue(found.content.value == value, f"{key!r} is another; seed {seed}")

    def test_a_hundred_values_read_together_arrive_once_each_and_none_where_they_are(self) -> None:
        seed = random.randrange(2**32)
        world = Links(seed, ("a", "b", "c"))
        rng = random.Random(seed)
        values = {b"key %d" % number: rng.randbytes(MIB) for number in range(KEYS)}
        world.forms("abc")
        for key, value in values.items():
            self.assertIsInstance(world.asked("a", Put(key, value, b"1")), Done, f"seed {seed}")
        for name in "de":
            world.start(name)
        world.run(20.0)
        (members,) = [{m.node for m in each.configuration.members} for each in world.newest()]
        # After a change the first read of each has it accepted again.
        for outcome in world.asked_together("a", [*values]).values():
            self.assertIsInstance(outcome, Found, f"seed {seed}")
        for name in "abcde":
            world.sent.clear()
            found = world.asked_together(name, [*values])
            for key, outcome in found.items():
                assert isinstance(outcome, Found), f"seed {seed}"
                self.assertTrue(outcome.content.value == values[key], f"{key!r}; seed {seed}")
            once = 0.05 * KEYS if name in members else 1.05 * KEYS
            self.assertLess(sum(world.sent.values()), once * MIB, f"{name}; seed {seed}")
        self.assertEqual(world.lost, 0, f"seed {seed}")
