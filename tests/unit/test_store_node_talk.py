"""Letters: how messages are packed, and which of them no honest node has written."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.messages import StoreMail
from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE, Ballot
from chordnet.core.store.base.configurations import Configuration, Member, Vote
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.base.messages import Address
from chordnet.core.store.base.records import GROUND, Applied, Content, Floor, Record
from chordnet.core.store.begin.hails import Hail
from chordnet.core.store.node.directory import Listed
from chordnet.core.store.node.talk import (
    Digest,
    Lists,
    Message,
    Missing,
    Stock,
    Sum,
    Where,
    letters,
    read,
)
from chordnet.wire.codec import encode_frame, frame_limit
from tests.unit.store_node_support import FIRST, FORMATION, A, B, C, address, encode, hail

TO = address()
BALLOT = Ballot(1, 2, "A", 3)
CONTENT = Content(b"value", 1, 9.5, (Applied(1, b"request"),))
RECORD = Record(BALLOT, BALLOT, CONTENT)
TOO_MUCH = 2**62
LONG_NAME = "n" * 256
TEN = tuple(Member(f"m{number}", 1) for number in range(10))
MOST = 2**62 - 1
FAR = Address(bytes(16), 4095, MOST, MOST, MOST)
LONG_KEY = bytes(1024)
LONGEST_NAME = "\U0001f600" * 255
"""A name of 1,020 bytes."""
LAST = Ballot(MOST, MOST, LONGEST_NAME, MOST)
FULL = Content(bytes(65_536), MOST, 1e300, (Applied(MOST, bytes(64)),) * 16)
NINE = [f"{LONGEST_NAME[1:]}{number}" for number in range(9)]
CROWD = tuple(Member(name, MOST) for name in NINE)
CROWDED = Configuration(MOST, MOST, CROWD)
FOUND = Founding(LONGEST_NAME, 256, 4096, 9, CROWD)
SAMPLES: list[Message] = [
    msg.Prepare(TO, 1, b"k", BALLOT),
    msg.Promised(TO, 1, BALLOT, NONE, CONTENT, 3, 7.5),
    msg.Accept(TO, 1, b"k", BALLOT, CONTENT),
    msg.Accepted(TO, 1, BALLOT),
    msg.Read(TO, 1, b"k"),
    msg.Told(TO, 1, BALLOT, CONTENT),
    msg.Outrun(TO, 1, BALLOT, BALLOT),
    msg.PrepareChange(TO, 1, BALLOT),
    msg.ChangePromised(TO, 1, BALLOT, Vote(BALLOT, (A, B))),
    msg.ChangePromised(TO, 1, BALLOT, None),
    msg.AcceptChange(TO, 1, BALLOT, (A, B)),
    msg.ChangeAccepted(TO, 1, BALLOT),
    msg.Chosen(TO, 1, FIRST, FIRST),
    msg.Installed(TO, 1),
    msg.Fetch(TO, 1, 2, b"k"),
    msg.Snapshot(TO, 1, None, ((b"k", RECORD),), GROUND, more=True),
    msg.Forget(TO, 1, FIRST),
    msg.Forgotten(TO, 1),
    msg.Refused(TO, 1, msg.Why.MOVED, FORMATION, 1, FIRST, sealed=True),
    Lists(FORMATION, (Listed(1, FIRST, serves=False, before=FIRST),)),
    Digest(FORMATION, 5),
    Where(FORMATION, (1, 2)),
    Sum(FORMATION, TO, 5),
    Stock(FORMATION, TO, 1, b"a", ((b"k", BALLOT),), more=False),
    Missing(FORMATION, TO, (b"k",), b"a"),
    hail(A),
]


class PackingTests(SynchronousTestCase):
    def test_all_that_is_said_to_a_node_at_once_is_one_letter_and_is_read_as_it_was_written(
        self,
    ) -> None:
        packed = list(letters(SAMPLES))
        self.assertEqual(len(packed), 1)
        self.assertEqual(read(packed[0]), SAMPLES)

    def test_without_messages_there_is_no_letter(self) -> None:
        self.assertEqual(list(letters([])), [])

    def test_a_question_whether_directories_differ_is_answered_unless_it_says_otherwise(
        self,
    ) -> None:
        self.assertFalse(Digest(FORMATION, 5).back)
        self.assertIsNone(Missing(FORMATION, TO, ()).after)

    def test_a_letter_is_full_with_65536_bytes_of_messages(self) -> None:
        def sized(total: int) -> Message:
            message = msg.Accept(TO, 1, b"k", BALLOT, Content(b"", 1, None, ()))
            # A longer value needs four bytes more for its length.
            value = bytes(total - len(encode(message)) - 1)
            message = msg.Accept(TO, 1, b"k", BALLOT, Content(value, 1, None, ()))
            self.assertEqual(len(encode(message)), total)
            return message

        first, second = sized(40_000), sized(25_536)
        self.assertEqual(self.packed(first, second), [[first, second]])
        more = sized(25_537)
        self.assertEqual(self.packed(first, more), [[first], [more]])
        # What begins a letter counts in it, and no letter before does.
        self.assertEqual(
            self.packed(first, more, first, second, first),
            [[first], [more], [first, second], [first]],
        )
        half = sized(32_768)
        self.assertEqual(self.packed(half, half, half, half), [[half, half], [half, half]])

    def test_one_message_goes_into_a_letter_whatever_its_size(self) -> None:
        large = msg.Accept(TO, 1, b"k", BALLOT, Content(bytes(65_536), 1, None, ()))
        small = msg.Read(TO, 1, b"k")
        self.assertEqual(self.packed(large, small), [[large], [small]])

    def test_a_letter_with_the_longest_message_of_any_kind_fits_into_every_frame(self) -> None:
        longest = [
            msg.Prepare(FAR, MOST, LONG_KEY, LAST),
            msg.Promised(FAR, MOST, LAST, LAST, FULL, MOST, 1e300),
            msg.Accept(FAR, MOST, LONG_KEY, LAST, FULL),
            msg.Read(FAR, MOST, LONG_KEY),
            msg.Told(FAR, MOST, LAST, FULL),
            msg.Outrun(FAR, MOST, LAST, LAST),
            msg.ChangePromised(FAR, MOST, LAST, Vote(LAST, CROWD)),
            msg.AcceptChange(FAR, MOST, LAST, CROWD),
            msg.Chosen(FAR, MOST, CROWDED, CROWDED),
            msg.Fetch(FAR, MOST, MOST, LONG_KEY),
            msg.Snapshot(
                FAR, MOST, LONG_KEY, msg.page([(LONG_KEY, Record(LAST, LAST, FULL))] * 2),
                Floor(LAST, MOST), more=True,
            ),
            msg.Forget(FAR, MOST, CROWDED),
            msg.Refused(FAR, MOST, msg.Why.MOVED, bytes(16), MOST, CROWDED, sealed=True),
            Lists(bytes(16), msg.page([Listed(4095, CROWDED, serves=False, before=CROWDED)] * 256)),
            Digest(bytes(16), MOST),
            Where(bytes(16), (4095,) * 256),
            Sum(bytes(16), FAR, MOST),
            Stock(bytes(16), FAR, MOST, LONG_KEY, msg.page([(LONG_KEY, LAST)] * 256), more=True),
            # Asks for keys of a Stock, which is longer.
            Missing(bytes(16), FAR, msg.page([LONG_KEY] * 256), LONG_KEY),
            Hail(
                MOST, MOST, True, True, LONGEST_NAME, 256, 4096, 9, tuple(NINE), FOUND, FOUND, True,
                True,
            ),
        ]  # fmt: skip
        for message in longest:
            (letter,) = letters([message])
            self.assertLess(len(letter), 80_000)
            frame = encode_frame(StoreMail(letter))
            self.assertLess(len(frame), frame_limit(1), type(message).__name__)
        # What follows goes into another letter.
        for letter in letters([*longest, *longest]):
            self.assertLess(len(letter), 80_000)

    def packed(self, *messages: Message) -> list[list[Message]]:
        return [read(letter) for letter in letters(messages)]


class ReadTests(SynchronousTestCase):
    def test_bytes_that_are_no_letter_are_refused(self) -> None:
        for letter in (b"", b"\xc1", b"\x91\x91\xa7Nothing", encode([1]), encode(SAMPLES)[:-1]):
            self.assertRaises(ValueError, read, letter)

    def test_a_letter_is_refused_whole_and_says_what_is_impossible_in_it(self) -> None:
        error = self.assertRaises(
            ValueError, read, encode([SAMPLES[0], Where(FORMATION, (TOO_MUCH,))])
        )
        self.assertEqual(str(error), "an impossible Where")

    def test_every_number_is_from_0_to_below_2_to_the_62(self) -> None:
        def numbers(number: int) -> list[Message]:
            at = Address(FORMATION, 0, number, 1, 1)
            return [
                msg.Prepare(TO, number, b"k", BALLOT),
                msg.Prepare(at, 1, b"k", BALLOT),
                msg.Installed(Address(FORMATION, 0, 1, number, 1), 1),
                msg.Installed(Address(FORMATION, 0, 1, 1, number), 1),
                msg.Accepted(TO, 1, Ballot(number, 2, "A", 3)),
                msg.Accepted(TO, 1, Ballot(1, number, "A", 3)),
                msg.Accepted(TO, 1, Ballot(1, 2, "A", number)),
                msg.Outrun(TO, 1, BALLOT, Ballot(1, number, "A", 3)),
                msg.Promised(TO, 1, BALLOT, NONE, CONTENT, number),
                msg.Told(TO, 1, BALLOT, Content(None, number, None, ())),
                msg.Told(TO, 1, BALLOT, Content(None, 1, None, (Applied(number, b""),))),
                msg.Fetch(TO, 1, number),
                msg.Forget(TO, 1, Configuration(number, 1, (A,))),
                msg.Forget(TO, 1, Configuration(1, number, (A,))),
                msg.Forget(TO, 1, Configuration(1, 1, (Member("A", number),))),
                msg.ChangePromised(TO, 1, BALLOT, Vote(BALLOT, (Member("A", number),))),
                msg.ChangePromised(TO, 1, BALLOT, Vote(Ballot(1, number, "A", 3), (A,))),
                msg.Snapshot(TO, 1, None, (), Floor(NONE, number), more=False),
                msg.Snapshot(
                    TO, 1, None, ((b"k", Record(Ballot(1, number, "", 0), NONE, CONTENT)),),
                    GROUND, more=False,
                ),
                Digest(FORMATION, number),
                Where(FORMATION, (1, number)),
                Sum(FORMATION, TO, number),
                Sum(FORMATION, at, 1),
                Stock(FORMATION, TO, number, None, (), more=False),
                Stock(FORMATION, TO, 1, None, ((b"k", Ballot(number, 1, "", 0)),), more=False),
                Missing(FORMATION, at, ()),
                Lists(FORMATION, (Listed(0, Configuration(1, number, (A,))),)),
                Lists(FORMATION, (Listed(0, FIRST, before=Configuration(1, number, (A,))),)),
            ]  # fmt: skip

        for number in (0, 2**62 - 1):
            self.assert_sound(numbers(number))
        for number in (-1, 2**62):
            self.assert_impossible(numbers(number))

    def test_keys_have_from_1_to_1024_bytes_wherever_they_stand(self) -> None:
        def keys(key: bytes) -> list[Message]:
            records = ((b"k", RECORD), (key, RECORD))
            return [
                msg.Prepare(TO, 1, key, BALLOT),
                msg.Accept(TO, 1, key, BALLOT, CONTENT),
                msg.Read(TO, 1, key),
                msg.Snapshot(TO, 1, None, records, GROUND, more=False),
                Stock(FORMATION, TO, 1, None, ((b"k", NONE), (key, NONE)), more=False),
                Missing(FORMATION, TO, (b"k", key)),
            ]

        self.assert_sound([*keys(b"k"), *keys(bytes(1024))])
        self.assert_impossible([*keys(b""), *keys(bytes(1025))])

    def test_an_address_names_a_formation_with_16_bytes_and_a_slot_below_4096(self) -> None:
        def addressed(at: Address) -> list[Message]:
            return [msg.Installed(at, 1), Sum(FORMATION, at, 1)]

        self.assert_sound(addressed(Address(bytes(16), 4095, 1, 1, 1)))
        self.assert_impossible(addressed(Address(bytes(15), 1, 1, 1, 1)))
        self.assert_impossible(addressed(Address(bytes(17), 1, 1, 1, 1)))
        self.assert_impossible(addressed(Address(bytes(16), 4096, 1, 1, 1)))

    def test_names_of_nodes_are_short_and_printable(self) -> None:
        def named(name: str) -> list[Message]:
            return [
                msg.AcceptChange(TO, 1, BALLOT, (A, Member(name, 1))),
                msg.Chosen(TO, 1, FIRST, Configuration(1, 2, (Member(name, 1),))),
                msg.Accepted(TO, 1, Ballot(1, 1, name, 1)),
            ]

        self.assert_sound(named("n" * 255))
        self.assert_impossible([*named(LONG_NAME), *named("a\nb"), *named("")[:2]])
        self.assert_sound([msg.Accepted(TO, 1, NONE)])

    def test_configurations_and_votes_have_9_members_at_most_of_different_names(self) -> None:
        def of(members: tuple[Member, ...]) -> list[Message]:
            configuration = Configuration(1, 2, members)
            return [
                msg.AcceptChange(TO, 1, BALLOT, members),
                msg.ChangePromised(TO, 1, BALLOT, Vote(BALLOT, members)),
                msg.Chosen(TO, 1, FIRST, configuration),
                msg.Chosen(TO, 1, configuration, FIRST),
                msg.Forget(TO, 1, configuration),
                msg.Refused(TO, 1, msg.Why.MOVED, FORMATION, 1, configuration, sealed=False),
                Lists(FORMATION, (Listed(1, configuration),)),
            ]

        self.assert_sound([*of(()), *of(TEN[:9])])
        self.assert_impossible([*of(TEN), *of((A, Member("A", 2), C))])

    def test_a_content_has_65536_bytes_16_requests_and_a_finite_expiry_at_most(self) -> None:
        def told(content: Content) -> list[Message]:
            return [
                msg.Told(TO, 1, BALLOT, content),
                msg.Promised(TO, 1, BALLOT, BALLOT, content, 1),
                msg.Accept(TO, 1, b"k", BALLOT, content),
                msg.Snapshot(
                    TO, 1, None, ((b"k", Record(NONE, NONE, content)),), GROUND, more=False
                ),
            ]

        applied = tuple(Applied(number, b"r") for number in range(17))
        self.assert_sound(told(Content(bytes(65_536), 1, None, applied[:16])))
        self.assert_sound(told(Content(None, 1, 0.0, (Applied(1, bytes(64)),))))
        self.assert_impossible(
            [
                *told(Content(bytes(1_048_577), 1, None, ())),
                *told(Content(None, 1, None, applied)),
                *told(Content(None, 1, float("inf"), ())),
                *told(Content(None, 1, float("nan"), ())),
                *told(Content(None, 1, None, (Applied(1, bytes(65)),))),
            ]
        )

    def test_a_list_of_slots_or_keys_has_256_entries_at_most(self) -> None:
        def of(many: int) -> list[Message]:
            slots = tuple(range(many))
            keys = tuple(b"%d" % number for number in slots)
            return [
                Lists(FORMATION, tuple(Listed(slot, FIRST) for slot in slots)),
                Where(FORMATION, slots),
                Stock(FORMATION, TO, 1, None, tuple((key, BALLOT) for key in keys), more=False),
                Missing(FORMATION, TO, keys),
            ]

        self.assert_sound(of(256))
        self.assert_impossible(of(257))

    def test_a_slot_that_is_listed_is_below_4096(self) -> None:
        self.assert_sound([Lists(FORMATION, (Listed(4095, FIRST),))])
        self.assert_impossible([Lists(FORMATION, (Listed(4096, FIRST),))])

    def assert_sound(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self.assertEqual(read(encode([message])), [message])

    def assert_impossible(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self.assertRaises(ValueError, read, encode([message]))
