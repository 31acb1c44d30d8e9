"""What the doctor finds is a record with a word for programs and a sentence for people."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

from twisted.trial.unittest import SynchronousTestCase

from chordnet.judge.problems import WrongFinger, WrongPredecessor, WrongSuccessors
from chordnet.survey.conditions import HAS_STOPPED, Condition, Matter
from chordnet.survey.findings import (
    Capped,
    DifferentBodies,
    Fact,
    Finding,
    Insecure,
    JustStarted,
    LeftForGood,
    MoreLikeTheLast,
    NotAsked,
    NotInRing,
    OfCertificates,
    OnPurpose,
    OtherNetwork,
    RecordedTwice,
    SeveralStores,
    Silent,
    SlotsElsewhere,
    SlotsNotInStep,
    SlotsWithoutMajority,
    StoreNotBegun,
    StoreStopped,
    Unwell,
    Want,
    Wanting,
    WantingMore,
    WrongIdentifier,
    WrongRing,
    WrongRoute,
    in_words,
)

NAMES = {10: 1, 20: 2, 30: "guest"}
KEY = ("aa", 7)

SENTENCES: list[tuple[Fact, str]] = [
    (
        Unwell(4, HAS_STOPPED, "test"),
        "Node 4 has stopped by itself; bring it back with: p2pnet add-node 4 --network test",
    ),
    (
        Unwell(4, Condition(Matter.FROZEN, "is frozen"), "default"),
        "Node 4 is frozen; let it go on with: p2pnet chaos thaw 4",
    ),
    (
        Unwell(4, Condition(Matter.CUT_OFF, "is off the network"), "default"),
        "Node 4 is off the network; connect it again with: p2pnet chaos heal",
    ),
    (
        OfCertificates((4,), "renewal", "Node 4: the certificate is not renewed: nobody answers"),
        "Node 4: the certificate is not renewed: nobody answers",
    ),
    (Silent(4, "no word"), "Node 4 does not answer: no word"),
    (WrongIdentifier(4, "aa", "bb"), "Node 4: its identifier is aa, its name gives bb"),
    (OtherNetwork(4, "other"), "Node 4: it belongs to the network 'other'"),
    (NotInRing(4, "joining", ""), "Node 4 is joining, not in the ring"),
    (
        NotInRing(4, "seeking", "no peer\x1b[2J"),
        "Node 4 is seeking, not in the ring: no peer?[2J",
    ),
    (
        LeftForGood(4, "the disk is full", "test"),
        "Node 4 left the ring: its message log cannot be used; see: p2pnet logs 4 --network test",
    ),
    (
        WrongRing(WrongPredecessor(10, None, 30), NAMES),
        "Node 1: predecessor is none, should be guest",
    ),
    (
        WrongRing(WrongSuccessors(10, (30,), (20, 30)), NAMES),
        "Node 1: successor list is [guest], should be [Node 2, guest]",
    ),
    (
        WrongRing(WrongFinger(10, (0, 1, 2, 5), 30, 20), NAMES),
        "Node 1: each of fingers 0-2, 5 is guest, should be Node 2",
    ),
    (NotAsked(4, "no word"), "Node 4 cannot be asked what it has recorded: no word"),
    (NotAsked("guest", ""), "guest cannot be asked from here what it has recorded"),
    (
        Wanting(4, Want.LACKING, 1, KEY, (2, 3)),
        "Node 4 lacks 1 message of Node 1, number 2 (from aa.7.2)",
    ),
    (
        Wanting(4, Want.GIVEN_UP, "guest", KEY, (2, 4, 6, 7)),
        (
            "Node 4 has given up 3 messages of guest, numbers 2-3, 6 (from aa.7.2), "
            "which other nodes keep"
        ),
    ),
    (
        Wanting(4, Want.NOT_KEPT, 1, KEY, (2, 3, 4, 5, 6, 7, 8, 9, 10, 11)),
        (
            "Node 4 counts as recorded and does not keep 5 messages of Node 1, "
            "numbers 2, 4, 6, 8 and 1 more range (from aa.7.2)"
        ),
    ),
    (
        Wanting(4, Want.LOST, 1, KEY, (1, 2001)),
        (
            "Node 4 will never have 2,000 messages of Node 1, numbers 1-2000 (from aa.7.1): "
            "no node keeps them any more"
        ),
    ),
    (WantingMore(4, Want.LACKING, 6, 3), "Node 4 lacks 6 messages of 3 other origins"),
    (RecordedTwice(4, "aa.7.2"), "Node 4 recorded the message aa.7.2 twice"),
    (
        DifferentBodies("aa.7.2", ((4, 2), ("guest",))),
        (
            "the message aa.7.2 is not the same everywhere: it differs between "
            "Node 4, Node 2 and guest"
        ),
    ),
    (
        WrongRoute(4, "aa.7.2", 2),
        "Node 4 recorded another route of the message aa.7.2 than Node 2, which sent it",
    ),
    (MoreLikeTheLast("route", 32), "and 32 more like the last"),
    (
        StoreNotBegun((1, 2, 3)),
        "the store has not begun: its founders are Node 1, Node 2, Node 3",
    ),
    (
        SeveralStores({"aabbccddee": (1, 2), "ffee": (3,)}),
        "there are 2 stores, which do not mix: aabbccdd of Node 1, Node 2 and ffee of Node 3",
    ),
    (StoreStopped(4, "no room\x1b"), "the store of Node 4 has stopped: no room?"),
    (SlotsWithoutMajority((7,), (1, 2), "slot 7: 1 of 3"), "slot 7: 1 of 3"),
    (
        SlotsWithoutMajority((7, 8), (1, 2), "slot 7: 1 of 3"),
        "2 slots of the store have no majority, the first: slot 7: 1 of 3",
    ),
    (
        SlotsNotInStep((7, 8, 9), (1,), "slot 7: moving"),
        "3 slots of the store have not all their members in step, the first: slot 7: moving",
    ),
    (SlotsElsewhere((7,), (1, 2), "slot 7: it is there"), "slot 7: it is there"),
    (
        SlotsElsewhere((7, 8), (1, 2), "slot 7: it is there"),
        (
            "2 slots of the store have other members than the nearest, and will move when the ring "
            "is quiet, the first: slot 7: it is there"
        ),
    ),
    (JustStarted(4, 1), "Node 4 started just now and still lacks 1 message"),
    (
        Capped(83_456, (4, 31_457), (2, 34_457)),
        (
            "histories are capped: of 83,456 messages Node 4 keeps the newest 31,457, "
            "Node 2 the newest 34,457"
        ),
    ),
    (
        Capped(9, (4, 3), (4, 3)),
        "histories are capped: of 9 messages Node 4 keeps the newest 3",
    ),
    (
        OnPurpose("frozen 3", "p2pnet chaos heal"),
        "on purpose, until p2pnet chaos heal: frozen 3",
    ),
    (OfCertificates((4,), "clock", "Node 4: its clock"), "Node 4: its clock"),
    (Insecure((1, "laptop"), "none", "insecure: who"), "insecure: who"),
]
FACTS = [fact for fact, _ in SENTENCES]


class FactTests(SynchronousTestCase):
    def test_every_kind_of_fact_has_a_sentence(self) -> None:
        self.assertEqual(in_words(FACTS), [text for _, text in SENTENCES])
        self.assertEqual({type(fact) for fact in FACTS}, set(get_args(Fact)))

    def test_a_document_holds_everything_that_the_sentence_says_as_plain_data(self) -> None:
        for fact in FACTS:
            document = Finding(fact, frozenset({3, 1})).document()
            self.assertEqual(json.loads(json.dumps(document)), document)
            self.assertEqual(document["text"], f"side 1, 3: {fact.words()}")
            self.assertEqual(document["side"], [1, 3])

    def test_a_pointer_is_told_by_the_names_of_its_nodes(self) -> None:
        fact = WrongRing(WrongFinger(10, (3,), None, 30), NAMES)
        self.assertEqual(
            Finding(fact).document(),
            {
                "kind": "finger",
                "nodes": [1, "guest"],
                "side": None,
                "details": {"slots": [3], "found": None, "expected": "guest"},
                "text": "Node 1: finger 3 is none, should be guest",
            },
        )

    def test_messages_that_are_wanted_are_told_by_ranges_that_include_both_ends(self) -> None:
        fact = Wanting(4, Want.LACKING, 1, KEY, (2, 4, 6, 7))
        self.assertEqual(fact.kind, "lacking")
        self.assertEqual(
            fact.details(),
            {"messages": 3, "origin": 1, "incarnation": 7, "ranges": [[2, 3], [6, 6]]},
        )

    def test_details_of_one_node_leave_out_the_node_and_the_network_of_its_command(self) -> None:
        self.assertEqual(LeftForGood(4, "full", "test").details(), {"reason": "full"})
        self.assertEqual(WrongRoute(4, "aa.7.2", 2).nodes, (4, 2))


class PageTests(SynchronousTestCase):
    def test_the_page_about_json_explains_every_kind_of_finding_and_its_details(self) -> None:
        page = Path(__file__).parents[2] / "docs" / "reference" / "json.md"
        _, _, section = page.read_text(encoding="utf-8").partition("## doctor")
        explained = set(re.findall("`([a-z-]+)`", section.partition("\n## ")[0]))
        for fact in FACTS:
            self.assertLessEqual({fact.kind, *fact.details()}, explained)
