"""A recording lived again: what it tells on the way, and where it says that two lives part."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import effects as fx
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.effects import Effect
from chordnet.core.base.events import Event, Start, Tick
from chordnet.core.base.messages import Hop, MessageId, NodeRef, Range, RingLabel, Status
from chordnet.core.base.outcomes import Failed
from chordnet.record.recording import (
    FORMAT,
    MAX_WHOLE_BYTES,
    End,
    Frame,
    Header,
    RecordingError,
    Step,
    config_fields,
    pack,
    pack_effects,
    read_frames,
)
from chordnet.record.replay import (
    CUT_OFF,
    HEAD,
    SHOWN,
    Difference,
    Moment,
    Replay,
    apart,
    merged,
    shown,
)

WALL, CLOCK = 1_700_000_000.0, 100.0
ME = NodeRef(b"\x07", 1, "10.0.0.1:1", "n7")
PEER = NodeRef(b"\x09", 1, "10.0.0.2:1", "n9")
LATER = NodeRef(b"\x0b", 1, "10.0.0.3:1", "")
ID = MessageId(b"\x09", 1, 4)


def header(**changes: object) -> Header:
    config = config_fields(ProtocolConfig(bits=8))
    usual = Header(FORMAT, "0", "3.11", ME, 5, config, WALL, CLOCK)
    return msgspec.structs.replace(usual, **changes)


def step(now: float, effects: list[Effect], event: Event | None = None, error: str = "") -> Step:
    event = Tick() if event is None else event
    return Step(now, msgspec.Raw(msgspec.msgpack.encode(event)), pack_effects(effects), error)


class Played:
    """Stands where the core stands in a replay: asks for what it is told to ask for."""

    def __init__(self, *turns: list[Effect] | Exception) -> None:
        self.turns = list(turns)
        self.times: list[float] = []

    def step(self, _event: Event, now: float) -> list[Effect]:
        self.times.append(now)
        turn = self.turns.pop(0)
        if isinstance(turn, Exception):
            raise turn
        return turn


def replay(core: Played, *frames: Frame, **changes: object) -> Replay:
    made = Replay([header(**changes), *frames])
    made.core = core  # type: ignore[assignment]
    return made


def told(*effects: Effect) -> list[tuple[str, str]]:
    """Return the kind and the text of every moment that these effects are."""
    made = replay(Played(list(effects)), step(CLOCK, list(effects)))
    return [(moment.kind, moment.text) for moment in made]


class MomentTests(SynchronousTestCase):
    def test_a_change_of_state_is_told(self) -> None:
        self.assertEqual(
            told(fx.StatusChanged(Status.JOINING, Status.ACTIVE)),
            [("state", "is active (was joining)")],
        )

    def test_new_neighbours_are_told_once(self) -> None:
        label = RingLabel(0, 1)
        between = fx.RingChanged(PEER, [LATER, PEER], label)
        self.assertEqual(
            told(between, fx.RingChanged(PEER, [LATER], RingLabel(1, 1)),
                 fx.RingChanged(None, [], label)),
            [
                ("ring", "stands between n9 and 10.0.0.3:1"),
                ("ring", "stands between nobody and n7"),
            ],
        )  # fmt: skip

    def test_deaths_and_departures_are_told(self) -> None:
        self.assertEqual(
            told(fx.PeerDied(PEER), fx.PeerDied(LATER, left=True)),
            [("death", "n9 is dead"), ("death", "10.0.0.3:1 has left")],
        )

    def test_a_recorded_message_is_told_with_its_route(self) -> None:
        route = [Hop(b"\x09", "n9", 0), Hop(bytes(range(32)), "", 1)]
        self.assertEqual(
            told(fx.Record(ID, WALL, b"a\xff", route)),
            [("record", "recorded 'a\N{REPLACEMENT CHARACTER}' (n9 -> 000102030405)")],
        )

    def test_receipts_are_told(self) -> None:
        self.assertEqual(
            told(
                fx.BroadcastDone(1, ID, recorded=5),
                fx.BroadcastDone(1, ID, recorded=4, partial=True),
                fx.BroadcastDone(1, None, reason=Failed.NOT_IN_RING),
            ),
            [
                ("receipt", "confirmed: recorded by 5"),
                ("receipt", "confirmed: recorded by 4, not everywhere"),
                ("receipt", "a broadcast failed: not in a ring"),
            ],
        )

    def test_a_gap_is_told_with_the_number_of_its_messages(self) -> None:
        ranges = [Range(b"\x09", 1, 4, 7), Range(b"\x09", 2, 1, 2)]
        self.assertEqual(
            told(fx.Gap(PEER, ranges), fx.Gap(LATER, ranges[1:])),
            [
                ("gap", "4 messages are lost, n9 says"),
                ("gap", "1 message is lost, 10.0.0.3:1 says"),
            ],
        )

    def test_the_end_of_a_life_is_told(self) -> None:
        self.assertEqual(told(fx.LeftRing()), [("left", "has left the ring")])

    def test_what_is_no_news_of_the_ring_is_not_told(self) -> None:
        self.assertEqual(told(fx.PeersKnown([PEER]), fx.Joined()), [])

    def test_each_moment_has_its_event_and_its_time_on_the_wall(self) -> None:
        died: list[Effect] = [fx.PeerDied(PEER)]
        made = replay(
            Played([], died, died), step(CLOCK, []), step(CLOCK + 1.5, died),
            step(CLOCK + 4, died), End(3, "stopped"),
        )  # fmt: skip
        self.assertEqual(
            list(made),
            [
                Moment(WALL + 1.5, "n7", 2, "death", "n9 is dead"),
                Moment(WALL + 4, "n7", 3, "death", "n9 is dead"),
            ],
        )
        self.assertEqual((made.events, made.seconds, made.end), (3, 4.0, "stopped"))
        self.assertIsNone(made.difference)
        self.assertEqual(made.core.times, [CLOCK, CLOCK + 1.5, CLOCK + 4])  # type: ignore[attr-defined]

    def test_several_lives_are_told_in_the_order_of_time(self) -> None:
        died: list[Effect] = [fx.PeerDied(PEER)]
        one = replay(Played(died, died), step(CLOCK, died), step(CLOCK + 3, died))
        two = replay(Played(died), step(CLOCK + 1, died), me=PEER)
        self.assertEqual([moment.node for moment in merged([one, two])], ["n7", "n9", "n7"])


class HeaderTests(SynchronousTestCase):
    def test_what_is_no_header_or_of_another_format_is_refused(self) -> None:
        for frames, text in (
            ([], "does not begin like a recording"),
            ([End(0, "")], "does not begin like a recording"),
            ([header(format=FORMAT + 1)], f"its format is {FORMAT + 1}, and this version reads"),
            ([header(format=FORMAT - 1)], "its format is"),
        ):
            self.assertIn(text, str(self.assertRaises(RecordingError, Replay, frames)))

    def test_settings_of_another_version_are_refused(self) -> None:
        config = config_fields(ProtocolConfig(bits=8))
        for wrong in (config | {"bits": 1}, config | {"colour": 1}, {"bits": 8}):
            error = self.assertRaises(RecordingError, Replay, [header(config=wrong)])
            self.assertIn("its settings are not this version's", str(error))

    def test_a_second_header_is_damage(self) -> None:
        made = replay(Played([]), step(CLOCK, []), header())
        self.assertIn("follows event 1", str(self.assertRaises(RecordingError, made.run)))

    def test_a_recording_without_an_end_is_cut_off(self) -> None:
        self.assertEqual(replay(Played([]), step(CLOCK, [])).run().end, CUT_OFF)

    def test_before_the_first_event_nothing_has_been_replayed_and_no_time_has_passed(self) -> None:
        made = replay(Played([]), step(CLOCK + 2.5, []))
        self.assertEqual((made.events, made.seconds, made.difference), (0, 0.0, None))
        made.run()
        self.assertEqual((made.events, made.seconds, made.difference), (1, 2.5, None))

    def test_peers_are_held_to_the_rules_for_names_if_the_recording_node_held_them(self) -> None:
        """The first recordings were made by nodes that took any name."""
        for names in (False, True):
            made = Replay([header(names=names)])
            self.assertEqual(made.core.checks._names is not None, names)


class DifferenceTests(SynchronousTestCase):
    def parted(
        self, recorded: list[Effect], got: list[Effect] | Exception, error: str = ""
    ) -> Difference:
        """Return the difference at the second event; the third is not lived."""
        core = Played([], got, [])
        event = Start(["n1"], [])
        made = replay(
            core, step(CLOCK, []), step(CLOCK + 2, recorded, event, error), step(CLOCK + 3, [])
        )
        self.assertEqual(list(made), [])
        self.assertEqual((made.events, len(core.turns)), (2, 1), "it ends there")
        assert made.difference is not None
        self.assertEqual((made.difference.event, made.difference.seconds), (2, 2.0))
        self.assertEqual(made.difference.what, repr(event))
        return made.difference

    def test_the_first_effect_that_differs_is_shown(self) -> None:
        same = fx.PeerDied(PEER)
        found = self.parted([same, fx.LeftRing()], [same, fx.Joined()])
        self.assertEqual((found.expected, found.got), (repr(fx.LeftRing()), repr(fx.Joined())))

    def test_an_effect_too_many_or_too_few_is_a_difference(self) -> None:
        same = fx.PeerDied(PEER)
        found = self.parted([same], [same, fx.Joined()])
        self.assertEqual((found.expected, found.got), ("nothing more", repr(fx.Joined())))
        found = self.parted([same, fx.Joined()], [same])
        self.assertEqual((found.expected, found.got), (repr(fx.Joined()), "nothing more"))

    def test_a_failure_where_there_was_none_is_a_difference_and_so_is_the_reverse(self) -> None:
        found = self.parted([], ValueError("no"))
        self.assertEqual((found.expected, found.got), ("effects", "ValueError: no"))
        found = self.parted([], [fx.Joined()], "ValueError: no")
        self.assertEqual((found.expected, found.got), ("ValueError: no", "1 effects"))

    def test_the_same_failure_is_the_same_life_whatever_its_effects(self) -> None:
        made = replay(Played(ValueError("no")), step(CLOCK, [fx.Joined()], error="ValueError: no"))
        self.assertIsNone(made.run().difference)

    def test_long_effects_are_known_by_their_digest(self) -> None:
        def long(letter: bytes) -> list[Effect]:
            return [fx.Record(ID, WALL, letter * MAX_WHOLE_BYTES, [])]

        self.assertIsNone(replay(Played(long(b"a")), step(CLOCK, long(b"a"))).run().difference)
        found = self.parted(long(b"a"), long(b"b"))
        self.assertEqual(found.expected, "other effects (recorded by their digest)")
        self.assertTrue(found.got.startswith("[Record("), found.got)

    def test_what_is_shown_has_a_bearable_length(self) -> None:
        self.assertEqual(len(shown("x" * 1000)), 400)
        self.assertEqual(shown("x" * 398), repr("x" * 398))
        self.assertEqual(len(shown("x" * 399)), 400)
        self.assertEqual((SHOWN, HEAD), (400, 80))


class ApartTests(SynchronousTestCase):
    """Two long texts are cut so that the place where they part is seen."""

    LETTERS = "".join(map(chr, range(0x4E00, 0x4E00 + 600)))
    """Each letter stands there once, so a piece says where it comes from."""

    def check(self, expected: str, got: str, *shown: str) -> None:
        self.assertEqual(apart(expected, got), shown)

    def test_texts_of_up_to_400_letters_are_shown_whole(self) -> None:
        whole = self.LETTERS[:400]
        self.check(whole, "x", whole, "x")
        self.check("x", whole, "x", whole)

    def test_longer_ones_that_part_in_the_first_half_are_cut_at_the_end(self) -> None:
        text = self.LETTERS
        for at in (0, 199):
            other = text[:at] + "X" + text[at + 1 :]
            self.check(text, other, text[:399] + "…", other[:399] + "…")
        self.check(text[:100], text, text[:100], text[:399] + "…")

    def test_of_those_that_part_later_the_beginning_and_what_stands_around_that_are_shown(
        self,
    ) -> None:
        text = self.LETTERS
        for at in (200, 350, 599):
            other = text[:at] + "X" + text[at + 1 :]
            pieces = [each[at - 80 :] for each in (text, other)]
            cut = [each if len(each) <= 319 else each[:318] + "…" for each in pieces]
            self.check(text, other, *(text[:80] + "…" + each for each in cut))

    def test_of_two_of_which_one_begins_like_the_other_its_end_is_where_they_part(self) -> None:
        text = self.LETTERS
        for one, other in ((450, 500), (500, 450)):
            head = text[:80] + "…"
            self.check(text[:one], text[:other], head + text[370:one], head + text[370:other])


class FrameTests(SynchronousTestCase):
    def read(self, data: bytes) -> list[Frame]:
        view = memoryview(data)
        at = 0

        def read(size: int) -> bytes:
            nonlocal at
            at += size
            return bytes(view[at - size : at])

        return list(read_frames(read))

    def test_a_frame_is_four_bytes_of_length_and_so_many_more(self) -> None:
        packed = pack(End(3, "stopped"))
        self.assertEqual(int.from_bytes(packed[:4]), len(packed) - 4)
        self.assertEqual(self.read(packed * 2), [End(3, "stopped")] * 2)

    def test_of_a_recording_cut_anywhere_what_came_before_the_cut_is_read(self) -> None:
        packed = pack(End(3, "stopped"))
        for size in range(1, len(packed)):
            self.assertEqual(self.read(packed + packed[:size]), [End(3, "stopped")], size)

    def test_a_length_of_nothing_or_of_more_than_64_mib_is_damage(self) -> None:
        for length in (0, 64 * 1024 * 1024 + 1, 0xFFFFFFFF):
            self.assertRaises(RecordingError, self.read, length.to_bytes(4) + b"\xc0")
        self.assertEqual(self.read((64 * 1024 * 1024).to_bytes(4) + b"\xc0"), [], "cut off")

    def test_whole_effects_are_kept_up_to_2048_bytes(self) -> None:
        empty = len(bytes(pack_effects([fx.Record(ID, WALL, b"x" * 300, [])]))) - 300
        longest = pack_effects([fx.Record(ID, WALL, b"x" * (2048 - empty), [])])
        self.assertEqual(len(bytes(longest)), 2048)
        digest = pack_effects([fx.Record(ID, WALL, b"x" * (2049 - empty), [])])
        self.assertEqual(len(bytes(digest)), 18, "16 bytes and their header")
