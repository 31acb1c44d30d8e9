"""The book of peers: the newest incarnation wins, the dead stay dead for a while."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.messages import NodeRef, contact
from chordnet.core.kernel.peers import PeerBook
from tests.unit.core_support import config, ids, raw, ref


def book(**changes):
    return PeerBook(config(**changes), ref(10))


class KnownTests(SynchronousTestCase):
    def test_a_new_peer_is_known(self):
        peers = book()
        self.assertIsNone(peers.note(ref(20)))
        self.assertEqual(peers.get(raw(20)), ref(20))
        self.assertTrue(peers.changed)

    def test_only_a_peer_that_has_answered_is_worth_keeping(self):
        peers = book()
        peers.note(ref(20))
        self.assertFalse(peers.answered(ref(30)))
        peers.changed = False
        self.assertEqual(peers.worth_keeping(()), [])
        self.assertEqual(peers.worth_keeping({raw(20)}), [ref(20)])
        self.assertTrue(peers.answered(ref(20)))
        self.assertEqual((peers.worth_keeping(()), peers.changed), ([ref(20)], True))
        self.assertFalse(peers.answered(ref(20)))
        peers.note(ref(20, 2))
        self.assertEqual(peers.worth_keeping(()), [ref(20, 2)])

    def test_callers_of_invented_names_take_no_place_of_those_that_have_answered(self):
        peers = book(max_known_peers=4)
        for n in (20, 21, 22):
            peers.note(ref(n))
            peers.answered(ref(n))
        for n in range(30, 60):
            peers.note(ref(n))
        self.assertEqual(ids(peers.known), [20, 21, 22, 59])
        self.assertEqual(ids(peers.worth_keeping(())), [20, 21, 22])

    def test_when_all_have_answered_a_new_one_still_gets_in(self):
        peers = book(max_known_peers=2)
        for n in (20, 21, 22):
            peers.note(ref(n))
            peers.answered(ref(n))
        self.assertEqual(ids(peers.worth_keeping(())), [21, 22])

    def test_a_peer_that_was_forgotten_has_answered_nothing(self):
        peers = book(max_known_peers=2)
        for n in (20, 21, 22):
            peers.note(ref(n))
            peers.answered(ref(n))
        peers.note(ref(20))
        self.assertEqual(ids(peers.worth_keeping(())), [22])
        self.assertTrue(peers.answered(ref(20)), "as if for the first time")

    def test_this_node_and_contacts_are_no_peers(self):
        peers = book()
        peers.note(ref(10))
        peers.note(contact("n20"))
        self.assertEqual(peers.known, [])
        self.assertFalse(peers.changed)

    def test_a_higher_incarnation_supersedes_and_is_reported(self):
        peers = book()
        peers.note(ref(20, 3))
        self.assertEqual(peers.note(ref(20, 4)), ref(20, 3))
        self.assertEqual(peers.get(raw(20)), ref(20, 4))

    def test_the_same_or_a_lower_incarnation_changes_nothing(self):
        peers = book()
        peers.note(ref(20, 3))
        peers.changed = False
        self.assertIsNone(peers.note(ref(20, 3)))
        self.assertIsNone(peers.note(ref(20, 2)))
        self.assertEqual(peers.get(raw(20)), ref(20, 3))
        self.assertFalse(peers.changed)

    def test_only_a_lower_incarnation_is_old(self):
        peers = book()
        for incarnation in (0, 1):
            self.assertFalse(peers.is_old(ref(20, incarnation)))
        peers.note(ref(20, 3))
        self.assertTrue(peers.is_old(ref(20, 2)))
        self.assertFalse(peers.is_old(ref(20, 3)))
        self.assertFalse(peers.is_old(ref(20, 4)))

    def test_an_incarnation_that_spoke_is_remembered_beyond_the_table(self):
        peers = book(max_known_peers=1)
        peers.note(ref(20, 3))
        peers.heard(ref(20, 3))
        peers.note(ref(30))
        self.assertIsNone(peers.get(raw(20)))
        self.assertTrue(peers.is_old(ref(20, 2)))

    def test_the_incarnations_of_4096_peers_that_spoke_are_remembered(self):
        peers = PeerBook(ProtocolConfig(), NodeRef(bytes(20), 1, "n0", "n0"))
        spoke = [NodeRef(n.to_bytes(20), 2, f"n{n}", "") for n in range(1, 4098)]
        for each in spoke:
            peers.heard(each)
        self.assertFalse(peers.spoken_to(spoke[0]))
        self.assertTrue(peers.spoken_to(spoke[1]))
        self.assertTrue(peers.spoken_to(spoke[-1]))

    def test_who_has_spoken_was_met_in_whatever_life_and_who_was_named_was_not(self):
        peers = book()
        peers.note(ref(20))
        peers.heard(ref(30, 2))
        self.assertEqual([peers.has_met(raw(n)) for n in (20, 30)], [False, True])

    def test_a_life_that_was_given_up_for_an_earlier_one_stays_old(self):
        peers = book()
        peers.note(ref(20, 5))
        peers.replace(ref(20, 3))
        self.assertEqual(peers.get(raw(20)), ref(20, 3))
        old = [life for life in range(1, 8) if peers.is_old(ref(20, life))]
        self.assertEqual(old, [1, 2, 4, 5])
        peers.replace(ref(20, 2))
        self.assertTrue(peers.is_old(ref(20, 5)))

    def test_the_lives_given_up_of_4096_peers_are_remembered(self):
        def life(number: int, incarnation: int) -> NodeRef:
            return NodeRef(number.to_bytes(2), incarnation, f"n{number}", f"n{number}")

        peers = book(max_known_peers=8)
        for number in range(4097):
            peers.note(life(number, 5))
            peers.replace(life(number, 3))
        for number, expected in ((1, True), (0, False)):
            peers.note(life(number, 3))
            self.assertEqual(peers.is_old(life(number, 4)), expected)

    def test_the_table_is_capped(self):
        peers = book(max_known_peers=3)
        for n in range(20, 30):
            peers.note(ref(n))
        self.assertEqual(ids(peers.known), [27, 28, 29])

    def test_the_peer_not_heard_of_for_longest_goes_first(self):
        peers = book(max_known_peers=3)
        for n in (20, 21, 22):
            peers.note(ref(n))
            peers.heard(ref(n))
        peers.note(ref(20))
        peers.note(ref(30))
        self.assertEqual(ids(peers.known), [22, 20, 30])

    def test_a_peer_that_speaks_all_the_time_stays_known(self):
        peers = book(max_known_peers=3)
        neighbour = ref(20)
        for stranger in range(30, 50):
            if not peers.is_routine(neighbour):
                peers.note(neighbour)
                peers.heard(neighbour)
            peers.note(ref(stranger))
        self.assertIn(neighbour, peers.known)


class DeathTests(SynchronousTestCase):
    def test_a_dead_incarnation_is_dead_until_its_time_is_up(self):
        peers = book(dead_memory_s=30.0)
        peers.died(ref(20, 2), 100.0)
        self.assertTrue(peers.is_dead(ref(20, 2), 129.9))
        self.assertFalse(peers.is_dead(ref(20, 2), 130.0))

    def test_earlier_incarnations_die_with_a_dead_one_and_later_ones_live(self):
        peers = book()
        peers.died(ref(20, 2), 0.0)
        self.assertTrue(peers.is_dead(ref(20, 1), 1.0))
        self.assertFalse(peers.is_dead(ref(20, 3), 1.0))

    def test_the_own_word_of_a_peer_ends_its_death(self):
        peers = book()
        peers.died(ref(20), 0.0)
        self.assertTrue(peers.heard(ref(20)), "it was believed dead")
        self.assertFalse(peers.is_dead(ref(20), 1.0))
        self.assertFalse(peers.heard(ref(20)))

    def test_who_departed_is_not_brought_back_by_its_own_word(self):
        peers = book()
        peers.departed(ref(20), 0.0)
        self.assertFalse(peers.heard(ref(20)))
        self.assertTrue(peers.is_dead(ref(20), 1.0))

    def test_who_departed_comes_back_as_a_later_incarnation(self):
        peers = book()
        peers.departed(ref(20, 1), 0.0)
        self.assertTrue(peers.heard(ref(20, 2)))
        self.assertFalse(peers.is_dead(ref(20, 2), 1.0))

    def test_the_dead_are_capped_and_the_latest_deaths_kept(self):
        peers = book(max_known_peers=2)
        for count, n in enumerate(range(20, 40), 1):
            peers.died(ref(n), 0.0)
            self.assertEqual(len(peers._dead), min(count, 8))
        self.assertEqual(peers.dead_raws(1.0, 3), [raw(39), raw(38), raw(37)])

    def test_a_second_death_counts_as_the_latest(self):
        peers = book()
        for n in (20, 21, 20):
            peers.died(ref(n), 0.0)
        self.assertEqual(peers.dead_raws(1.0, 1), [raw(20)])

    def test_deaths_whose_time_is_up_are_not_named(self):
        peers = book(dead_memory_s=30.0)
        peers.died(ref(20), 0.0)
        peers.died(ref(21), 10.0)
        self.assertEqual(peers.dead_raws(35.0, 9), [raw(21)])

    def test_departures_are_capped(self):
        peers = book(max_known_peers=2)
        for n in range(20, 40):
            peers.departed(ref(n), 0.0)
        self.assertLessEqual(len(peers._departed), 2)


class AskedTests(SynchronousTestCase):
    """A dead node is asked now and then whether it lives."""

    def setUp(self):
        self.peers = book(stabilise_idle_s=10.0)
        self.peers.died(ref(20), 0.0)

    def test_a_dead_node_is_asked_once_in_the_idle_time(self):
        asked = [now for now in (5.0, 9.9, 10.0, 19.9, 20.0) if self.peers.to_ask(ref(20), now)]
        self.assertEqual(asked, [10.0, 20.0])

    def test_each_dead_node_is_asked_at_its_own_time(self):
        self.peers.died(ref(30), 6.0)
        self.assertFalse(self.peers.to_ask(ref(20), 5.0))
        self.assertTrue(self.peers.to_ask(ref(20), 16.0))
        self.assertFalse(self.peers.to_ask(ref(30), 15.9))

    def test_who_departed_is_not_asked(self):
        self.peers.departed(ref(40), 0.0)
        self.assertFalse(self.peers.to_ask(ref(40), 100.0))


class RoutineTests(SynchronousTestCase):
    def test_the_word_of_a_stranger_is_no_routine(self):
        self.assertFalse(book().is_routine(ref(20)))

    def test_the_word_of_a_peer_that_spoke_is_routine_in_the_same_incarnation_only(self):
        peers = book()
        peers.note(ref(20, 2))
        peers.heard(ref(20, 2))
        self.assertTrue(peers.is_routine(ref(20, 2)))
        self.assertFalse(peers.is_routine(ref(20, 1)))
        self.assertFalse(peers.is_routine(ref(20, 3)))
        self.assertTrue(peers.spoken_to(ref(20, 2)))
        self.assertFalse(peers.spoken_to(ref(20, 3)))

    def test_the_word_of_a_peer_held_for_dead_is_no_routine(self):
        peers = book()
        peers.note(ref(20))
        peers.heard(ref(20))
        peers.died(ref(20), 0.0)
        self.assertFalse(peers.is_routine(ref(20)))

    def test_the_death_of_one_peer_leaves_the_word_of_the_others_routine(self):
        peers = book()
        peers.note(ref(20))
        peers.heard(ref(20))
        peers.died(ref(30), 0.0)
        self.assertTrue(peers.is_routine(ref(20)))


class VersionTests(SynchronousTestCase):
    """Who has judged pointers by the book need not do so again while its version is the same."""

    def setUp(self):
        self.peers = book(max_known_peers=2, dead_memory_s=10.0)
        self.peers.note(ref(20, 3))
        self.peers.heard(ref(20, 3))

    def test_hearing_the_same_peer_again_is_no_news(self):
        before = self.peers.version
        self.peers.note(ref(20, 3))
        self.peers.heard(ref(20, 3))
        self.assertTrue(self.peers.is_routine(ref(20, 3)))
        self.assertEqual(self.peers.version, before)

    def test_whatever_changes_a_verdict_is_news(self):
        news = {
            "a new peer": lambda: self.peers.note(ref(30)),
            "its first word": lambda: self.peers.heard(ref(30)),
            "a newer life": lambda: self.peers.note(ref(20, 4)),
            "the newer life's word": lambda: self.peers.heard(ref(20, 4)),
            "a death": lambda: self.peers.died(ref(30), 0.0),
            "its own word against it": lambda: self.peers.heard(ref(30)),
            "a departure": lambda: self.peers.departed(ref(30), 0.0),
            "its end": lambda: self.peers.forget(11.0),
        }
        for what, happen in news.items():
            before = self.peers.version
            happen()
            self.assertGreater(self.peers.version, before, what)

    def test_some_peers_count_as_dead_until_their_death_is_forgotten(self):
        self.assertFalse(self.peers.any_dead)
        self.peers.died(ref(20, 3), 0.0)
        self.assertFalse(self.peers.is_dead(ref(20, 3), 11.0))
        self.assertTrue(self.peers.any_dead)
        self.peers.forget(11.0)
        self.assertFalse(self.peers.any_dead)
