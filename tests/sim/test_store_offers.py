"""Disks that are lost just before their nodes would be chosen to hold slots."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base.safeguards import StoreSafeguards
from chordnet.sim.store.trials import in_step
from chordnet.sim.store.world import ALL, StoreWorld
from tests.seeds import said_seed


def growing(seed: int, seconds: float, safeguards: StoreSafeguards) -> StoreWorld:
    """Return a store of three nodes, so many seconds after four others came."""
    world = StoreWorld(seed, ("n0", "n1", "n2"), safeguards=safeguards)
    for number in range(3):
        world.start(f"n{number}")
    assert world.run(30.0, lambda: in_step(world))
    for number in range(3, 7):
        world.start(f"n{number}")
    world.run(seconds)
    return world


def may_lose(world: StoreWorld, names: list[str]) -> bool:
    """Return True if these are no majority of the members of any slot."""
    return not any(
        sum(member.node in names for member in configuration.members) >= configuration.majority
        for listed in world.newest()
        for configuration in (listed.configuration, listed.before)
        if configuration is not None
    )


def lose_two(seed: int, seconds: float, safeguards: StoreSafeguards = ALL) -> bool | None:
    """Empty the disks of two nodes that came.

    Return True if all slots have their members again later; None if no store needs to survive it.
    """
    world = growing(seed, seconds, safeguards)
    names = world.rng.sample(["n3", "n4", "n5", "n6"], 2)
    if not may_lose(world, names):
        return None
    for name in names:
        world.restart(name, wiped=True)
    return world.run(60.0, lambda: in_step(world))


class LostDisksTests(SynchronousTestCase):
    known = ((1, 2.0), (3, 2.25), (4, 2.5), (5, 1.75))

    def test_slots_survive_that_two_nodes_lose_their_disks_before_they_would_be_chosen(
        self,
    ) -> None:
        for seed, seconds in self.known:
            self.assertTrue(lose_two(seed, seconds), (seed, seconds))

    def test_slots_are_lost_so_if_those_that_are_to_come_are_not_asked(self) -> None:
        unasked = StoreSafeguards(asked_first=False)
        for seed, seconds in self.known:
            self.assertIs(lose_two(seed, seconds, unasked), False, (seed, seconds))

    def test_slots_survive_that_two_nodes_lose_their_disks_at_any_time_of_growth(self) -> None:
        with said_seed() as rng:
            lost = 0
            while lost < 8:
                survived = lose_two(rng.getrandbits(32), 3.0 * rng.random())
                self.assertIsNot(survived, False)
                lost += survived is True
