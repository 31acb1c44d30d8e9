"""The search over all states of a store's beginning, and the proof that it can fail."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base.configurations import Member
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.begin.founders import Choice, Founders
from chordnet.core.store.begin.hails import Hail
from tests.sim.founders_search import Broken, Search


def own(founders: str) -> Hail:
    """What a node says that is configured with these founders and has an empty disk."""
    return Hail(1, 1, True, False, "net", 8, 4, 3, tuple(founders), None, None, True, False)


def nodes(**founders: str) -> dict[str, Hail]:
    return {name: own(names) for name, names in founders.items()}


TWO = nodes(A="AB", B="AB")
THREE = nodes(A="ABC", B="ABC", C="ABC")


class OneStoreBegins(SynchronousTestCase):
    """In every reachable state is at most one store, and from every one a store begins.

    How many states there are is told exactly: a search that looks at fewer would not be one of all.
    """

    def check_begins(
        self, hails: dict[str, Hail], states: int, alarms: int = 0, **allowed: int
    ) -> None:
        search = Search(hails, **allowed)  # type: ignore[arg-type]
        self.assertEqual((search.run(), search.stopped), (states, 0))
        self.assertEqual(len(search.alarms), alarms, search.alarms)

    def test_three_founders_begin_one_store(self) -> None:
        self.check_begins(THREE, 226)

    def test_three_founders_and_a_crash_between_any_two_writes(self) -> None:
        self.check_begins(THREE, 452, crashes=1)

    def test_three_founders_and_a_fourth_node(self) -> None:
        self.check_begins(THREE | nodes(D=""), 290)

    def test_two_founders_and_a_crash_and_a_fourth_node_that_knows_their_names(self) -> None:
        self.check_begins(TWO | nodes(D="AB"), 36, crashes=1)

    def test_two_founders_and_a_node_that_has_an_empty_store_of_its_own(self) -> None:
        self.check_begins(TWO | nodes(D="D"), 18)

    def test_three_founders_and_a_node_that_has_an_empty_store_of_its_own_and_a_follower(
        self,
    ) -> None:
        self.check_begins(THREE | nodes(D="D", X=""), 900, alarms=4)

    def test_three_nodes_that_have_empty_stores_of_their_own_and_a_follower(self) -> None:
        self.check_begins(nodes(A="A", B="B", C="C", X=""), 1040, alarms=7)


class OneStoreOrAnAlarm(SynchronousTestCase):
    """At most one store begins, and if none can, or two nodes have their own, that is told."""

    def check_told(
        self, hails: dict[str, Hail], states: int, stopped: int, **allowed: int
    ) -> Search:
        search = Search(hails, **allowed)  # type: ignore[arg-type]
        self.assertEqual((search.run(), search.stopped), (states, stopped))
        return search

    def test_a_disk_of_two_founders_is_lost_and_one_crashes_beside_a_fourth_node(self) -> None:
        self.check_told(TWO | nodes(D=""), 508, 6, losses=1, crashes=1)

    def test_a_disk_of_three_founders_is_lost(self) -> None:
        self.check_told(THREE, 4735, 744, losses=1)

    def test_a_disk_of_three_founders_is_lost_and_one_crashes(self) -> None:
        self.check_told(THREE, 9470, 744, losses=1, crashes=1)

    def test_a_disk_of_three_founders_is_lost_and_one_crashes_beside_a_fourth_node(self) -> None:
        self.check_told(THREE | nodes(D=""), 13812, 744, losses=1, crashes=1)

    def test_a_node_with_a_store_of_its_own_that_is_filled_at_any_time_meets_two_founders(
        self,
    ) -> None:
        self.check_told(TWO | nodes(D="D", X=""), 600, 68, fills=True)

    def test_a_node_with_a_filled_store_of_its_own_meets_two_founders_and_a_disk_is_lost(
        self,
    ) -> None:
        self.check_told(TWO | nodes(D="D", X=""), 20830, 1716, fills=True, losses=1)

    def test_two_nodes_with_stores_of_their_own_that_are_filled_at_any_time(self) -> None:
        self.check_told(nodes(A="A", B="B", X=""), 180, 18, fills=True)
        allowed = {"fills": True, "losses": 1, "crashes": 1}
        self.check_told(nodes(A="A", B="B", X=""), 9836, 716, **allowed)

    def test_two_nodes_with_stores_of_their_own_of_which_one_loses_its_disk(self) -> None:
        self.check_told(nodes(A="A", B="B"), 472, 34, fills=True, losses=1, crashes=1)

    def test_two_founders_that_were_told_of_different_third_ones_begin_no_store(self) -> None:
        hails = nodes(A="ABC", B="ABD", C="ABC", D="ABD")
        search = Search(hails)
        with self.assertRaisesRegex(Broken, "no store begins: "):
            search.run()
        self.assertTrue(all("no store begins until all" in text for text in search.alarms))


class Majority(Founders):
    """Takes the votes of a majority for those of all."""

    def _all_agree(self, vote: Founding) -> bool:
        return len(self._agreed.intersection(vote.founders)) > len(vote.founders) // 2


class Unfaithful(Founders):
    """Adopts any formation that it meets, whatever it has voted for."""

    def _without(self, peer: Member, theirs: Founding, *, lasts: bool) -> Choice:
        return Choice.ADOPT


class Polite(Founders):
    """Gives up its empty formation for any other."""

    def _within(self, mine: Founding, peer: Member, theirs: Founding, *, lasts: bool) -> Choice:
        return super()._within(mine, peer, theirs, lasts=True)


class Stubborn(Founders):
    """Keeps its vote although it can never come to anything."""

    def _without(self, peer: Member, theirs: Founding, *, lasts: bool) -> Choice:
        return super()._without(Member("?", 0), theirs, lasts=lasts)


class Eager(Founders):
    """Adopts an empty formation that is none of its founders', although it is a founder."""

    def _without(self, peer: Member, theirs: Founding, *, lasts: bool) -> Choice:
        return super()._without(peer, theirs, lasts=lasts or self.vote is None)


class Careless(Founders):
    """Believes that its own formation is empty, whatever it keeps of it."""

    def _within(self, mine: Founding, peer: Member, theirs: Founding, *, lasts: bool) -> Choice:
        empty, self.empty = self.empty, True
        choice = super()._within(mine, peer, theirs, lasts=lasts)
        self.empty = empty
        return choice


class Forgetful(Search):
    """Votes are not on disk."""

    def _start(self, who: int, own: Hail) -> int:
        return super()._start(who, replace(own, vote=None))


class ItCanFail(SynchronousTestCase):
    def check_found(self, text: str, search: Search, *, ends: bool = True) -> None:
        with self.assertRaisesRegex(Broken, text):
            search.run(ends=ends)

    def test_a_count_of_a_majority_makes_two_stores_when_a_disk_is_lost(self) -> None:
        search = Search(THREE, losses=1, founders=Majority)
        self.check_found("two stores have begun", search, ends=False)

    def test_votes_that_are_not_on_disk_are_cast_twice_after_a_crash(self) -> None:
        search = Forgetful(THREE, losses=1, crashes=1)
        self.check_found("has voted twice", search, ends=False)

    def test_a_founder_that_adopts_what_it_has_not_voted_for_is_missed_in_its_store(self) -> None:
        search = Search(TWO | nodes(D="D"), fills=True, founders=Unfaithful)
        self.check_found("belongs to another store than the one that begun with it", search)

    def test_two_empty_formations_of_which_each_gives_way_never_become_one(self) -> None:
        self.check_found(
            "back in a formation that it had left", Search(nodes(A="A", B="B"), founders=Polite)
        )

    def test_a_vote_that_binds_for_ever_stops_a_founder_whose_fellow_is_elsewhere(self) -> None:
        search = Search(TWO | nodes(D="D"), fills=True, founders=Stubborn)
        self.check_found("no store begins: ", search)

    def test_a_founder_that_adopts_what_should_be_given_up_leaves_another_waiting(self) -> None:
        search = Search(TWO | nodes(D="D"), losses=1, founders=Eager)
        self.check_found("no store begins, and this is not told", search)

    def test_a_formation_that_is_given_up_although_something_is_kept_of_it_is_missed(self) -> None:
        search = Search(nodes(A="A", B="B"), fills=True, founders=Careless)
        self.check_found("has left a store that it must not leave", search)
