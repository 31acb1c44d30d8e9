"""What nodes say to each other about a slot, as it goes over the wire and onto a disk."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE, Ballot
from chordnet.core.store.base.configurations import (
    Configuration,
    Head,
    Member,
    Recovery,
    Vote,
    blank,
)
from chordnet.core.store.base.messages import Why
from chordnet.core.store.base.records import EMPTY, GROUND, Applied, Content, Floor, Record

WIRE = {
    msg.Prepare: "address rid key ballot",
    msg.Promised: "address rid ballot accepted content floor wall",
    msg.Accept: "address rid key ballot content following",
    msg.Accepted: "address rid ballot following",
    msg.Reserve: "address rid ballot",
    msg.Reserved: "address rid ballot floor known",
    msg.Read: "address rid key whole",
    msg.Told: "address rid accepted content left_out",
    msg.Outrun: "address rid ballot promised",
    msg.Collect: "address rid tombstones",
    msg.Collectable: "address rid tombstones",
    msg.Drop: "address rid tombstones",
    msg.PrepareChange: "address rid ballot",
    msg.ChangePromised: "address rid ballot vote",
    msg.AcceptChange: "address rid ballot members",
    msg.ChangeAccepted: "address rid ballot",
    msg.Chosen: "address rid previous configuration",
    msg.Installed: "address rid",
    msg.Fetch: "address rid epoch after have",
    msg.Snapshot: "address rid after records floor more",
    msg.Forget: "address rid configuration",
    msg.Forgotten: "address rid",
    msg.Inquire: "address rid generation",
    msg.Inquired: (
        "address rid store configuration emptied newest recovering recovery keys written"
    ),
    msg.Recover: "address rid recovery",
    msg.RecoverAccepted: "address rid",
    msg.Refused: "address rid why formation store newest sealed",
}
"""The fields of each message, in the order in which they are sent."""

PARTS = {
    msg.Address: "formation slot generation epoch store",
    Ballot: "epoch counter node run",
    Member: "node store",
    Configuration: "generation epoch members",
    Vote: "ballot members",
    Head: "formation slot configuration sealed promised vote newest emptied floor recovering"
    " recovery settled",
    Recovery: "configuration left",
    Applied: "version request",
    Content: "value version expires requests",
    Record: "promised accepted content",
    Floor: "promised version",
}

THERE = msg.Address(b"f", 7, 1, 2, 3)
SENT_THERE = [b"f", 7, 1, 2, 3]


def on_the_wire(thing: object) -> object:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(thing))


class WireTests(SynchronousTestCase):
    def test_every_message_is_named_by_its_class_and_has_its_fields_in_a_fixed_order(self) -> None:
        every = {*msg.Request.__args__, *msg.Answer.__args__}
        self.assertEqual(every, set(WIRE))
        self.assertEqual(set(msg.StoreMessage.__args__), every)
        for kind, fields in WIRE.items():
            self.assertEqual(" ".join(kind.__struct_fields__), fields, kind)
            config = kind.__struct_config__
            self.assertEqual((config.tag, config.array_like), (kind.__name__, True))

    def test_every_part_of_a_message_is_a_list_of_its_fields_in_a_fixed_order(self) -> None:
        for kind, fields in PARTS.items():
            self.assertEqual(" ".join(kind.__struct_fields__), fields, kind)
            config = kind.__struct_config__
            self.assertEqual((config.tag, config.array_like), (None, True), kind)

    def test_messages_are_sent_as_they_always_were(self) -> None:
        ballot, sent_ballot = Ballot(2, 5, "A", 9), [2, 5, "A", 9]
        for message, sent in (
            (msg.Read(THERE, 4, b"k"), ["Read", SENT_THERE, 4, b"k", False]),
            (
                msg.Promised(THERE, 4, ballot, NONE, EMPTY, 0, 1.5),
                ["Promised", SENT_THERE, 4, sent_ballot, [0, 0, "", 0],
                 [None, 0, None, []], 0, 1.5],
            ),
            (
                msg.Snapshot(
                    THERE, 4, b"j", ((b"k", Record(ballot, ballot, EMPTY)),), GROUND, True
                ),
                [
                    "Snapshot", SENT_THERE, 4, b"j",
                    [[b"k", [sent_ballot, sent_ballot, [None, 0, None, []]]]],
                    [[0, 0, "", 0], 0], True,
                ],
            ),
            (
                msg.Refused(THERE, 4, Why.SEALED, b"f", 3, Configuration(1, 2, ()), True),
                ["Refused", SENT_THERE, 4, 5, b"f", 3, [1, 2, []], True],
            ),
        ):  # fmt: skip
            self.assertEqual(on_the_wire(message), sent)

    def test_the_head_of_a_member_that_has_installed_nothing_is_kept_like_this(self) -> None:
        none = [0, 0, "", 0]
        self.assertEqual(
            on_the_wire(blank(b"f", 7, 1)),
            [b"f", 7, [1, 0, []], False, none, None, None, False, [none, 0], 0, None, False],
        )

    def test_a_head_that_was_kept_before_there_were_recoveries_is_read(self) -> None:
        none = [0, 0, "", 0]
        old = [b"f", 7, [1, 0, []], False, none, None, None, False, [none, 0]]
        self.assertEqual(msgspec.convert(old, Head), blank(b"f", 7, 1))

    def test_every_reason_of_a_refusal_has_its_number(self) -> None:
        self.assertEqual(
            [(why.name, int(why)) for why in Why],
            [
                ("FORMATION", 0),
                ("SLOT", 1),
                ("GENERATION", 2),
                ("STORE", 3),
                ("MOVED", 4),
                ("SEALED", 5),
                ("NOT_INSTALLED", 6),
                ("NOT_SEALED", 7),
                ("BALLOT", 8),
                ("STRANGER", 16),
                ("RETURNED", 17),
                ("CROWDED", 18),
            ],
        )


class ConfigurationTests(SynchronousTestCase):
    def test_a_majority_is_more_than_half_of_the_members(self) -> None:
        for count, majority in enumerate((1, 1, 2, 2, 3, 3, 4, 4, 5)):
            members = tuple(Member(str(number), 1) for number in range(count))
            configuration = Configuration(1, 1, members)
            self.assertEqual(configuration.majority, majority)
            self.assertEqual(configuration.is_majority(members[:majority]), count > 0)
            self.assertFalse(configuration.is_majority(members[: majority - 1]))

    def test_members_are_counted_once_and_others_not_at_all(self) -> None:
        one, two, three, other = (Member(name, 1) for name in "ABCX")
        configuration = Configuration(1, 1, (one, two, three))
        self.assertFalse(configuration.is_majority([one, one, other]))
        self.assertTrue(configuration.is_majority([one, other, three]))

    def test_a_configuration_follows_those_of_earlier_generations_and_then_of_earlier_epochs(self):
        rising = [Configuration(*pair, ()) for pair in ((1, 1), (1, 2), (2, 0), (2, 1))]
        for at, one in enumerate(rising):
            for other in rising[:at]:
                self.assertTrue(one.follows(other))
            for other in rising[at:]:
                self.assertFalse(one.follows(other))
