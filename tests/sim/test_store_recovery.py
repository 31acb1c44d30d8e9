"""Slots that have lost their majority for good, recovered in virtual time."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base.outcomes import Conflict, Done, Fate, Found, Outcome, Salvage
from chordnet.core.store.base.requests import Get, Put
from chordnet.sim.store.world import StoreWorld

NAMES = [f"Node {number}" for number in range(1, 6)]
KEYS = [b"key %d" % number for number in range(40)]
SLOTS = tuple(range(32))
JUMP = 1 << 32
"""Every version of a generation is above this for each recovery before it."""


class Ring:
    """Five nodes that hold forty keys."""

    def __init__(self, test: SynchronousTestCase, seed: int) -> None:
        self.test, self.seed = test, seed
        self.world = StoreWorld(seed, tuple(NAMES[:3]), slots=len(SLOTS))
        for name in NAMES:
            self.world.start(name)
        self.settle()
        for key in KEYS:
            test.assertIsInstance(self.ask(NAMES[0], Put(key, b"of " + key, b"1 " + key)), Done)

    def settle(self) -> None:
        world = self.world
        since = world.now + 10
        right = world.run(90.0, lambda: world.now > since and not [*world.out_of_step()])
        self.test.assertTrue(right, f"seed {self.seed}: {[*world.out_of_step()]}")

    def ask(self, name: str, asked: Get | Put) -> Outcome:
        ends: list[Outcome] = []
        self.test.assertTrue(self.world.ask(name, asked, 10.0, ends.append))
        self.world.run(12.0, lambda: bool(ends))
        (end,) = ends
        return end

    def recover(self, name: str, *, accept_loss: bool = True) -> dict[int, Salvage]:
        ends: list[tuple[Salvage, ...]] = []
        self.world.recover(name, SLOTS, ends.append, accept_loss=accept_loss)
        self.world.run(25.0, lambda: bool(ends))
        ((*salvages,),) = ends
        return {each.slot: each for each in salvages}

    def lose_two(self) -> set[int]:
        """Kill the two nodes that hold most slots together; return the slots that have none left.

        Afterwards ``gone`` and ``rest`` are their names, and those of the others.
        """
        pairs = Counter(
            pair
            for listed in self.world.newest()
            for pair in combinations([m.node for m in listed.configuration.members], 2)
        )
        self.gone = list(max(sorted(pairs), key=pairs.__getitem__))
        self.rest = [name for name in NAMES if name not in self.gone]
        for name in self.gone:
            self.world.kill(name)
        self.world.run(2.0)
        lost = self.lost()
        self.test.assertTrue(lost)
        return lost

    def lost(self) -> set[int]:
        """Return the slots of which a majority of the members does not run."""
        world = self.world
        found = set()
        for listed in world.newest():
            members = listed.configuration.members
            live = [
                m
                for m in members
                if world.processes[m.node].up and world.processes[m.node].disk.store == m.store
            ]
            if not listed.configuration.is_majority(live):
                found.add(listed.slot)
        return found


class RecoveryTests(SynchronousTestCase):
    def test_slots_that_lost_two_of_three_disks_are_recovered_from_the_third(self) -> None:
        for seed in range(3):
            with self.subTest(seed=seed):
                self.recovered(seed)

    def recovered(self, seed: int) -> None:
        ring = Ring(self, seed)
        lost = ring.lose_two()
        told = ring.recover(ring.rest[0], accept_loss=False)
        fates = {slot: each.fate for slot, each in told.items()}
        self.assertEqual({slot for slot, fate in fates.items() if fate is Fate.LOSES}, lost)
        rest = {fate for slot, fate in fates.items() if slot not in lost}
        self.assertLessEqual(rest, {Fate.HAS_MAJORITY})
        done = ring.recover(ring.rest[1])
        fates = {slot: each.fate for slot, each in done.items()}
        self.assertEqual({slot for slot, f in fates.items() if f is Fate.RECOVERED}, lost, fates)
        ring.settle()
        self.assertEqual(ring.lost(), set())
        for key in KEYS:
            entry = ring.ask(ring.rest[2], Get(key))
            assert isinstance(entry, Found)
            self.assertEqual(entry.content.value, b"of " + key, f"seed {seed}")

    def test_a_member_that_was_lost_steps_down_when_it_comes_back_with_its_disk(self) -> None:
        ring = Ring(self, 7)
        world = ring.world
        lost = ring.lose_two()
        ring.recover(ring.rest[0])
        for name in ring.gone:
            world.restart(name)
        ring.settle()
        for name in ring.gone:
            notes = [note.text for note in world.processes[name].notes if note.alarming]
            self.assertTrue(any("recovered without this disk" in note for note in notes), notes)
        for process in world.live():
            for listed in process.node.listed():
                recovered = listed.configuration.generation >> 40
                self.assertEqual(recovered, int(listed.slot in lost), listed)
        for key in KEYS:
            entry = ring.ask(ring.gone[0], Get(key))
            assert isinstance(entry, Found)
            self.assertEqual(entry.content.value, b"of " + key)

    def test_a_recovered_key_has_a_new_version_so_a_write_onto_the_old_one_is_a_conflict(
        self,
    ) -> None:
        ring = Ring(self, 8)
        world = ring.world
        lost = ring.lose_two()
        ring.recover(ring.rest[0])
        formation = world.processes[ring.rest[0]].node.formation
        assert formation is not None
        slot_of = formation.asking._slots.of
        key = next(key for key in KEYS if slot_of(key) in lost)
        ended = ring.ask(ring.rest[0], Put(key, b"new", b"2", if_version=1))
        assert isinstance(ended, Conflict)
        self.assertEqual(ended.present.version, JUMP + 1)
        ended = ring.ask(ring.rest[0], Put(key, b"new", b"3", if_version=JUMP + 1))
        assert isinstance(ended, Done)
        self.assertEqual(ended.version, JUMP + 2)

    def test_a_slot_of_which_nothing_is_left_is_recovered_empty_and_goes_on(self) -> None:
        ring = Ring(self, 9)
        world = ring.world
        # Not all three founders: with empty disks they would begin another store.
        held = Counter(
            tuple(sorted(member.node for member in listed.configuration.members))
            for listed in world.newest()
        )
        del held[tuple(NAMES[:3])]
        gone = max(sorted(held), key=held.__getitem__)
        for name in gone:
            world.kill(name)
        world.run(1.0)
        for name in gone:
            world.restart(name, wiped=True)
        world.run(20.0)
        stays = next(name for name in NAMES if name not in gone)
        done = ring.recover(stays)
        empty = [slot for slot, each in done.items() if not each.left]
        self.assertTrue(empty)
        ring.settle()
        formation = world.processes[stays].node.formation
        assert formation is not None
        slot_of = formation.asking._slots.of
        key = next(key for key in KEYS if slot_of(key) in empty)
        found = ring.ask(NAMES[0], Get(key))
        assert isinstance(found, Found)
        self.assertIsNone(found.content.value)
        ended = ring.ask(NAMES[0], Put(key, b"again", b"4"))
        assert isinstance(ended, Done)
        self.assertGreater(ended.version, JUMP)

    def test_two_orders_at_two_nodes_at_the_same_time_come_to_one_generation(self) -> None:
        for seed in range(4):
            with self.subTest(seed=seed):
                self.both(seed)

    def both(self, seed: int) -> None:
        ring = Ring(self, 20 + seed)
        world = ring.world
        lost = ring.lose_two()
        ends: list[tuple[Salvage, ...]] = []
        for name in ring.rest:
            world.recover(name, SLOTS, ends.append)
        world.run(30.0, lambda: len(ends) == 3)
        self.assertEqual(len(ends), 3)
        world.run(5.0)
        self.assertEqual(ring.lost(), set())
        chosen: dict[tuple[int, int], set[object]] = {}
        for process in world.processes.values():
            for slot, head in process.disk.heads.items():
                if head.configuration.generation > 1:
                    chosen.setdefault((slot, head.configuration.epoch), set()).add(
                        head.configuration.generation
                    )
        first = {slot: min(e for s, e in chosen if s == slot) for slot in lost}
        for slot in lost:
            self.assertEqual(len(chosen[slot, first[slot]]), 1, f"seed {seed}, slot {slot}")
        for each in ends:
            fates = {salvage.fate for salvage in each if salvage.slot in lost}
            self.assertLessEqual(fates, {Fate.RECOVERED, Fate.HAS_MAJORITY}, f"seed {seed}")
        ring.settle()

    def test_disks_of_both_sides_of_a_partition_end_in_the_later_generation(self) -> None:
        ring = Ring(self, 31)
        world = ring.world
        world.kill(NAMES[0])
        world.run(1.0)
        world.restart(NAMES[0], wiped=True)
        world.partition(NAMES[:2], NAMES[2:])
        world.run(5.0)
        for name in (NAMES[1], NAMES[3]):
            ring.recover(name)
        world.heal()
        ring.settle()
        world.run(30.0)
        for listed in world.newest():
            for process in world.live():
                formation = process.node.formation
                assert formation is not None
                known = formation.directory.of(listed.slot).configuration
                self.assertEqual(known, listed.configuration, process.name)
