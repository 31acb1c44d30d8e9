"""The benchmark of the store: what a round asks, and what is set beside what."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.effort import QUICK
from benchmarks.figures import Figure, Verdict
from benchmarks.keys import WARM, measure
from benchmarks.rounds import Results
from benchmarks.store_events import Table
from benchmarks.store_sides import DURABLE, FASTER, KEYS, LABELS, figures


class Participant:
    """Answers every question, and remembers it."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str, list[str], int]] = []

    def __call__(self, place: int, verb: str, keys: list[str], window: int) -> Any:
        self.asked.append((place, verb, keys, window))
        if window > 1:
            return 1000.0
        warm = [9.0] * WARM
        return warm + [0.002] * (len(keys) - WARM)


class RoundTests(SynchronousTestCase):
    def test_keys_are_written_through_one_node_and_read_through_another(self) -> None:
        participant = Participant()
        measure(participant, QUICK, 2)
        verbs = [(verb, window) for _place, verb, _keys, window in participant.asked]
        wide = QUICK.keys_window
        expected = [("put", 1), ("put", 1), ("get", 1), ("put", wide), ("put", wide), ("get", wide)]
        self.assertEqual(verbs, expected)
        (one, _, first, _), (other, _, again, _) = participant.asked[1:3]
        self.assertNotEqual(one % 16, other % 16)
        self.assertEqual(first, again)

    def test_the_first_operations_do_not_count(self) -> None:
        found = measure(Participant(), QUICK, 1)
        self.assertEqual(found["put p99"], 2.0)
        self.assertEqual(found["get rate"], 1000.0)

    def test_no_two_rounds_share_a_key(self) -> None:
        participant = Participant()
        measure(participant, QUICK, 1)
        measure(participant, QUICK, 1)
        reads = [set(keys) for _place, verb, keys, _window in participant.asked if verb == "get"]
        self.assertEqual(len(set.union(*reads)), sum(map(len, reads)))


def results(name: str, **numbers: float) -> Results:
    return Results(name, [{key.replace("_", " "): n for key, n in numbers.items()}])


class FigureTests(SynchronousTestCase):
    def find(self, found: list[Figure], key: str, rival: str) -> Figure:
        (figure,) = [each for each in found if (each.gauge.key, each.rival) == (key, rival)]
        return figure

    def test_rates_are_set_beside_the_faster_of_two_rivals(self) -> None:
        ours = results("chordnet", put_rate=3000.0)
        theirs = [results("OpenDHT", put_rate=500.0), results("kademlia", put_rate=900.0)]
        figure = self.find(figures(KEYS, ours, theirs), "put rate", FASTER)
        self.assertEqual((figure.rival_value, figure.verdict), (900.0, Verdict.MET))

    def test_each_target_is_for_one_rival_and_the_others_are_shown(self) -> None:
        ours = results("chordnet", put_p50=2.0)
        theirs = [results("OpenDHT", put_p50=1.0), results("kademlia", put_p50=1.0)]
        found = figures(KEYS, ours, theirs)
        self.assertIs(self.find(found, "put p50", "OpenDHT").verdict, Verdict.MISSED)
        self.assertTrue(self.find(found, "put p50", "kademlia").reference)

    def test_etcd_is_beside_what_is_on_the_disk(self) -> None:
        found = figures(DURABLE, results("power", put_p50=3.0), [results("etcd", put_p50=2.0)])
        self.assertIs(self.find(found, "put p50", "etcd").verdict, Verdict.MET)
        self.assertEqual(len(found), len(LABELS))

    def test_a_rival_that_is_missing_leaves_a_note(self) -> None:
        absent = Results("etcd", note="skipped: apt-get install etcd-server")
        found = figures(DURABLE, results("power", put_p50=3.0), [absent])
        self.assertIs(found[0].verdict, Verdict.UNKNOWN)
        self.assertIn("etcd-server", found[0].note)


class TableTests(SynchronousTestCase):
    def test_a_figure_above_its_target_is_missed(self) -> None:
        table = Table()
        table.say("well", 1.0, "s", 1.0)
        table.say("without a target", 5.0, "s")
        self.assertEqual(table.missed, 0)
        table.say("badly", 1.1, "s", 1.0)
        self.assertEqual(table.missed, 1)
