"""Reads and conditions of one epoch, about what was accepted in an earlier one."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.configurations import Configuration, Member
from chordnet.core.store.base.outcomes import Conflict, Found
from chordnet.core.store.base.records import Applied, Content
from chordnet.core.store.base.requests import Get, Put
from chordnet.core.store.slot.operations import Operation
from tests.unit.store_support import FIRST, KEY, A, B, C, Disk, Led, ballot, to

ANEW = Configuration(1, 2, (A, B, C))
ONE = Content(b"one", 1, None, (Applied(1, b"one"),))
TWO = Content(b"two", 1, None, (Applied(1, b"two"),))
HEARS = {
    msg.Told: Operation.on_told,
    msg.Promised: Operation.on_promised,
    msg.Accepted: Operation.on_accepted,
    msg.Refused: Operation.on_refused,
}
Disks = dict[str, Disk]


def create(disks: Disks, new: Content, counter: int, promising: str, taking: str) -> None:
    """Create the key; a majority promises, and only one of them is reached by the accept."""
    mine = ballot(counter)
    for name in promising:
        disks[name].take(msg.Prepare(to(), 1, KEY, mine))
    disks[taking].take(msg.Accept(to(), 1, KEY, mine, new))


def change(disks: Disks, sources: dict[str, str]) -> None:
    """Have the same members in the next epoch; each installs it from the majority given."""
    states: dict[str, msg.StoreMessage] = {}
    for name, disk in disks.items():
        disk.vote(9, *ANEW.members)
        (states[name],) = disk.take(msg.Fetch(to(), 7, 2))
    for name, majority in sources.items():
        disks[name].take(msg.Chosen(to(epoch=2), 7, FIRST, ANEW))
        for source in majority:
            disks[name].take(states[source], source)


def asked(disks: Disks, what: Get | Put, answering: str) -> object:
    """Return how an operation ends of which only these members hear."""
    led = Led(what, counter=20, where=ANEW)
    while questions := led.asks:
        for name, question in questions:
            if name in answering:
                for answer in disks[name].take(question):
                    HEARS[type(answer)](led.operation, name, answer)  # type: ignore[arg-type]
    return led.outcome


class TwoCreationsTests(SynchronousTestCase):
    """Two clients have created a key, neither was told so, and then the members change.

    What the first wrote is at two members afterwards, and what the second wrote at the third.
    """

    def setUp(self) -> None:
        self.disks = {each.node: Disk(each) for each in (A, B, C)}
        create(self.disks, ONE, 1, "AB", taking="A")
        create(self.disks, TWO, 2, "BC", taking="C")
        change(self.disks, {"A": "AB", "B": "AB", "C": "BC"})
        found = {name: disk.records[KEY].content for name, disk in self.disks.items()}
        self.assertEqual(found, {"A": ONE, "B": ONE, "C": TWO})

    def test_what_one_reader_has_found_the_next_finds_whichever_members_it_asks(self) -> None:
        self.assertEqual(asked(self.disks, Get(KEY), "AB"), Found(ONE))
        self.assertEqual(asked(self.disks, Get(KEY), "BC"), Found(ONE))

    def test_what_a_conflict_tells_of_is_what_the_next_reader_finds(self) -> None:
        again = Put(KEY, b"three", b"three", if_version=0)
        self.assertEqual(asked(self.disks, again, "AB"), Conflict(ONE))
        self.assertEqual(asked(self.disks, Get(KEY), "AC"), Found(ONE))

    def test_a_reader_that_asks_the_third_member_settles_for_what_that_one_has(self) -> None:
        self.assertEqual(asked(self.disks, Get(KEY), "AC"), Found(TWO))
        self.assertEqual(asked(self.disks, Get(KEY), "AB"), Found(TWO))


class EpochOfBallotTests(SynchronousTestCase):
    def told(self, epoch: int, *members: Member, **safeguards: bool) -> Led:
        led = Led(Get(KEY), where=ANEW, **safeguards)
        for member in members:
            accepted = ballot(3, epoch=epoch)
            led.operation.on_told(member.node, msg.Told(to(epoch=2), 5, accepted, ONE))
        return led

    def test_a_majority_that_names_a_ballot_of_the_present_epoch_is_believed(self) -> None:
        self.assertEqual(self.told(2, A, B).outcome, Found(ONE))

    def test_even_all_members_are_not_believed_about_a_ballot_of_an_earlier_epoch(self) -> None:
        self.assertIsNone(self.told(1, A, B, C).outcome)

    def test_a_majority_is_believed_in_any_case_when_that_safeguard_is_off(self) -> None:
        self.assertEqual(self.told(1, A, B, own_epoch=False).outcome, Found(ONE))
