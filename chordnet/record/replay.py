"""Replay a recorded life and check that it is the same.

The same core is made from the header's settings and seed and driven through the recorded events at
their recorded times; for each of them it has to ask for the recorded effects. The first difference
ends the replay: from there on it would be another node's life.

On the way the replay reports what an observer of the ring wants to know: changes of state and of
neighbours, deaths, broadcasts. The histories of several nodes can be merged by ``Moment.wall``.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from random import Random
from typing import Any

import attrs

from chordnet.core.base import effects as fx
from chordnet.core.base.effects import Effect
from chordnet.core.base.events import Event
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import NodeRef
from chordnet.core.base.naming import Names
from chordnet.core.node import ChordNode
from chordnet.record.recording import (
    FORMAT,
    Answers,
    End,
    Frame,
    Header,
    RecordingError,
    ReplayedNotary,
    Sealing,
    Step,
    config_from,
    describe,
    pack_effects,
    unpack_effects,
    unpack_event,
)

SHOWN = 400
"""Letters of an event or an effect in a difference."""
HEAD = 80
"""Letters of the beginning of two texts, and of those before a difference that comes late."""
CUT_OFF = "cut off"
"""The end of a recording without an :class:`End`: its node was killed."""


@attrs.frozen
class Moment:
    """Something worth reporting in a node's life."""

    wall: float
    """Seconds since 1970, by the node's own wall clock at its start."""
    node: str
    event: int
    """The number of the event that caused it, from 1."""
    kind: str
    """``state``, ``ring``, ``death``, ``record``, ``receipt``, ``gap`` or ``left``."""
    text: str


@attrs.frozen
class Difference:
    """The point where a replay and its recording differ."""

    event: int
    """From 1."""
    seconds: float
    """Since the beginning of the recording."""
    what: str
    """The event."""
    expected: str
    """The first effect that differs, as recorded."""
    got: str


class Replay:
    """One recording. Iterate over it to replay it; then look at the outcome.

    :param frames: as :func:`chordnet.record.recording.read_frames` returns them.
    :raises RecordingError: it does not begin with a header that this version understands.
    """

    def __init__(self, frames: Iterable[Frame]) -> None:
        self._frames = iter(frames)
        header = next(self._frames, None)
        if not isinstance(header, Header):
            raise RecordingError("it does not begin like a recording")
        if header.format != FORMAT:
            raise RecordingError(f"its format is {header.format}, and this version reads {FORMAT}")
        self.header = header
        config = config_from(header.config)
        names = Names(IdentifierSpace(config.bits)) if header.names else None
        first = next(self._frames, None)
        self._notary: ReplayedNotary | None = None
        if isinstance(first, Sealing):
            self._notary = ReplayedNotary(first)
        elif first is not None:
            self._frames = chain([first], self._frames)
        self.core = ChordNode(config, header.me, Random(header.seed), names, self._notary)
        self.events = 0
        """Events replayed, the one that differs included."""
        self.seconds = 0.0
        """From the beginning of the recording to the last event replayed."""
        self.end = CUT_OFF
        """Why the recording ends."""
        self.difference: Difference | None = None
        self._neighbours: tuple[str, str] | None = None

    @property
    def node(self) -> str:
        """The node's name."""
        return label(self.header.me)

    def __iter__(self) -> Iterator[Moment]:
        """Replay, and yield each moment.

        :raises RecordingError: the recording is damaged.
        """
        for frame in self._frames:
            if isinstance(frame, End):
                self.end = frame.reason
                return
            if isinstance(frame, Answers) and self._notary is not None:
                self._notary.answers(frame)
                continue
            if isinstance(frame, Header):
                raise RecordingError(f"a second header follows event {self.events}")
            if not isinstance(frame, Step):
                raise RecordingError(f"what follows event {self.events} is no event")
            yield from self._replay(frame)
            if self.difference is not None:
                return

    def run(self) -> Replay:
        """Replay all of it, and return itself."""
        for _ in self:
            pass
        return self

    def _replay(self, step: Step) -> Iterator[Moment]:
        self.events += 1
        self.seconds = step.now - self.header.clock
        event = unpack_event(step)
        error = ""
        effects: list[Effect] = []
        try:
            effects = self.core.step(event, step.now)
        except Exception as problem:  # noqa: BLE001 - must be the recorded one
            error = describe(problem)
        same = bytes(pack_effects(effects)) == bytes(step.effects)
        if error != step.error or not (error or same):
            self.difference = self._differs(event, step, effects, error)
            return
        wall = self.header.wall + self.seconds
        for effect in effects:
            for kind, text in self._told(effect):
                yield Moment(wall, self.node, self.events, kind, text)

    def _differs(self, event: Event, step: Step, effects: list[Effect], error: str) -> Difference:
        expected, got = _first_difference(step, effects, error)
        return Difference(self.events, self.seconds, shown(event), expected, got)

    def _told(self, effect: Effect) -> Iterator[tuple[str, str]]:
        if isinstance(effect, fx.RingChanged):
            neighbours = (
                label(effect.predecessor) if effect.predecessor else "nobody",
                label(effect.successors[0]) if effect.successors else self.node,
            )
            if neighbours != self._neighbours:
                self._neighbours = neighbours
                yield "ring", f"stands between {neighbours[0]} and {neighbours[1]}"
            return
        tell = _TOLD.get(type(effect))
        if tell is not None:
            yield tell(effect)


def merged(replays: Iterable[Replay]) -> Iterator[Moment]:
    """Replay several recordings side by side and yield their moments in the order of time.

    Within one node the order is that of its events, also where its clock stood still.
    """
    return heapq.merge(*replays, key=lambda moment: moment.wall)


def label(ref: NodeRef) -> str:
    """Return what to call a node."""
    return ref.name or ref.address


def shown(value: object) -> str:
    """Return an event or effect as text of limited length."""
    return _cut(repr(value), SHOWN)


def apart(expected: str, got: str) -> tuple[str, str]:
    """Return both texts at limited length, cut so that the first difference can be seen."""
    if max(len(expected), len(got)) <= SHOWN:
        return expected, got
    pairs = enumerate(zip(expected, got, strict=False))
    parted = next((index for index, (a, b) in pairs if a != b), min(len(expected), len(got)))
    if parted < SHOWN // 2:
        return _cut(expected, SHOWN), _cut(got, SHOWN)
    # The beginning says what it is; then come the letters before the difference, and the
    # difference.
    head, middle = expected[:HEAD] + "…", slice(parted - HEAD, None)
    room = SHOWN - len(head)
    return head + _cut(expected[middle], room), head + _cut(got[middle], room)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _first_difference(step: Step, effects: list[Effect], error: str) -> tuple[str, str]:
    if step.error or error:
        return apart(step.error or "effects", error or f"{len(effects)} effects")
    recorded = unpack_effects(step)
    if recorded is None:
        return "other effects (recorded by their digest)", shown(effects)
    for expected, got in zip(recorded, effects, strict=False):
        # Not by ==: to that, 0.0 and -0.0 are the same, and NaN and NaN are not.
        if bytes(pack_effects([expected])) != bytes(pack_effects([got])):
            return apart(repr(expected), repr(got))
    if len(recorded) == len(effects):
        return "effects that read the same, in other bytes", shown(effects)
    theirs = [*map(shown, recorded[len(effects) :]), "nothing more"]
    ours = [*map(shown, effects[len(recorded) :]), "nothing more"]
    return theirs[0], ours[0]


def _record(effect: fx.Record) -> tuple[str, str]:
    body = effect.body.decode(errors="replace")
    route = " -> ".join(hop.name or hop.raw.hex()[:12] for hop in effect.route)
    return "record", f"recorded {shown(body)} ({route})"


def _gap(effect: fx.Gap) -> tuple[str, str]:
    lost = sum(each.end - each.first for each in effect.ranges)
    what = "1 message is" if lost == 1 else f"{lost} messages are"
    return "gap", f"{what} lost, {label(effect.peer)} says"


def _receipt(effect: fx.BroadcastDone) -> tuple[str, str]:
    if effect.id is None:
        return "receipt", f"a broadcast failed: {effect.reason}"
    partial = ", not everywhere" if effect.partial else ""
    return "receipt", f"confirmed: recorded by {effect.recorded}{partial}"


_TOLD: dict[type, Callable[[Any], tuple[str, str]]] = {
    fx.StatusChanged: lambda e: ("state", f"is {e.new.name.lower()} (was {e.old.name.lower()})"),
    fx.PeerDied: lambda e: ("death", f"{label(e.peer)} {'has left' if e.left else 'is dead'}"),
    fx.Record: _record,
    fx.BroadcastDone: _receipt,
    fx.Gap: _gap,
    fx.LeftRing: lambda _: ("left", "has left the ring"),
}
