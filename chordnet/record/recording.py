"""Record a node's life: every event, its time, and the effects that the node asked for.

A recording is a row of frames, each a length of four bytes and a MessagePack array:

- one :class:`Header`: who the node is, its settings, the seed of its randomness;
- a :class:`Sealing`, if the node has a notary;
- a :class:`Step` for every call of :meth:`ChordNode.step`, in order, each after the
  :class:`Answers` that the notary gave during it, if it was asked;
- an :class:`End`, which says why there is no more. A node that was killed leaves none.

Since the protocol is a pure machine, this is all that is needed to replay the life (``replay.py``).
Effects are kept whole if they are short, otherwise as a digest. Nothing here opens a file: frames
go to a callable and come from one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

import attrs
import msgspec

from chordnet.core.base.config import FingerUpkeep, ProtocolConfig, Safeguards
from chordnet.core.base.effects import Effect
from chordnet.core.base.errors import ChordnetError, ConfigError
from chordnet.core.base.events import Event
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import NodeRef
from chordnet.core.base.naming import Names
from chordnet.core.base.outcomes import Fault
from chordnet.core.node import ChordNode
from chordnet.core.seals.notary import Notary

FORMAT = 2
MAX_WHOLE_BYTES = 2048
"""Effects of one step that are longer than this are recorded by their digest."""
DIGEST_BYTES = 16
LENGTH_BYTES = 4
MAX_FRAME_BYTES = 64 * 1024 * 1024
"""The longest frame; a file that claims a longer one is no recording."""

Sink = Callable[[bytes], object]
"""Takes one frame."""
Read = Callable[[int], bytes]
"""Returns at most so many bytes, fewer only at the end: a binary file's ``read``."""


class RecordingError(ChordnetError):
    """A file is no recording that this version can replay; the text says why."""


class Header(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A node's identity and settings when its recording began."""

    format: int
    version: str
    """Of chordnet."""
    python: str
    me: NodeRef
    seed: int
    config: dict[str, Any]
    wall: float
    """The wall clock at the beginning, seconds since 1970."""
    clock: float
    """The core's clock at that moment, so that several nodes' times can be compared."""
    names: bool = False
    """Whether peers must follow the rules for names and addresses; at first they did not have to.
    """


class Step(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """One event and its effects."""

    now: float
    """On the core's clock."""
    event: msgspec.Raw
    effects: msgspec.Raw
    """The list of effects; their digest, if they were long; nil, if the step failed."""
    error: str = ""
    """The exception that ended the step."""


class End(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Why a recording ends."""

    steps: int
    reason: str


class Sealing(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """What the node's notary is."""

    network: bytes
    always: bool


class Answers(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """What the notary answered during the next step, in order.

    To a signature: the chain and the signature; to a check: what was wrong. Keys, certificates and
    revocations are not in the recording.
    """

    given: list[tuple[list[bytes], bytes] | str]


Frame = Header | Step | End | Sealing | Answers

_encode = msgspec.msgpack.Encoder().encode
_decode_frame = msgspec.msgpack.Decoder(Frame).decode
_decode_event = msgspec.msgpack.Decoder(Event).decode
_decode_effects = msgspec.msgpack.Decoder(list[Effect]).decode
_NIL = msgspec.Raw(_encode(None))


def pack(frame: Frame) -> bytes:
    """Return a frame as bytes."""
    payload = _encode(frame)
    return len(payload).to_bytes(LENGTH_BYTES) + payload


def pack_effects(effects: list[Effect]) -> msgspec.Raw:
    """Return effects as they are recorded: whole, or their digest if they are long."""
    packed = _encode(effects)
    if len(packed) > MAX_WHOLE_BYTES:
        packed = _encode(hashlib.blake2b(packed, digest_size=DIGEST_BYTES).digest())
    return msgspec.Raw(packed)


def unpack_event(step: Step) -> Event:
    """Return the event of a step.

    :raises RecordingError: this version does not know it.
    """
    try:
        event: Event = _decode_event(step.event)
    except msgspec.MsgspecError as error:
        raise RecordingError(f"an event cannot be read: {error}") from None
    return event


def unpack_effects(step: Step) -> list[Effect] | None:
    """Return the effects of a step; None if only their digest is known or the step failed."""
    try:
        effects: list[Effect] = _decode_effects(step.effects)
    except msgspec.MsgspecError:
        return None
    return effects


def read_frames(read: Read) -> Iterator[Frame]:
    """Return the frames of a recording, up to its end or to where it was cut off.

    :raises RecordingError: it is no recording, or it is damaged in the middle.
    """
    while True:
        prefix = read(LENGTH_BYTES)
        size = int.from_bytes(prefix)
        if len(prefix) == LENGTH_BYTES and size > MAX_FRAME_BYTES:
            raise RecordingError("it is damaged, or no recording at all")
        payload = read(size) if len(prefix) == LENGTH_BYTES else b""
        if len(prefix) < LENGTH_BYTES or len(payload) < size:
            return
        try:
            frame: Frame = _decode_frame(payload)
        except (msgspec.MsgspecError, ValueError) as error:
            raise RecordingError(f"it is damaged, or no recording at all ({error})") from None
        yield frame


def config_fields(config: ProtocolConfig) -> dict[str, Any]:
    """Return settings as plain data."""
    return attrs.asdict(config)


def config_from(fields: dict[str, Any]) -> ProtocolConfig:
    """Return settings from :func:`config_fields`' data.

    :raises RecordingError: this version has other settings.
    """
    try:
        guards = Safeguards(**fields["safeguards"])
        upkeep = FingerUpkeep(**fields.get("finger_upkeep", {}))
        return ProtocolConfig(**fields | {"safeguards": guards, "finger_upkeep": upkeep})
    except (TypeError, KeyError, ConfigError) as error:
        raise RecordingError(f"its settings are not this version's ({error})") from None


class RecordedNode(ChordNode):
    """A node that hands every step to a sink.

    :param seed: the seed of its randomness, which the :class:`Header` has to contain.
    :param sink: takes the frames of each step. It must not raise.
    :param notary: makes and checks seals of origin; its answers are recorded.
    """

    def __init__(
        self,
        config: ProtocolConfig,
        me: NodeRef,
        seed: int,
        sink: Sink,
        notary: Notary | None = None,
    ) -> None:
        self._answers: list[tuple[list[bytes], bytes] | str] = []
        noted = None if notary is None else NotedNotary(notary, self._answers)
        super().__init__(config, me, Random(seed), Names(IdentifierSpace(config.bits)), noted)
        self._sink = sink

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take one event, as every node does, and record it."""
        # Encode before the step: the event's objects may become part of the node's own tables.
        taken = msgspec.Raw(_encode(event))
        try:
            effects = super().step(event, now)
        except Exception as error:
            self._sink(self._noted() + pack(Step(now, taken, _NIL, describe(error))))
            raise
        self._sink(self._noted() + pack(Step(now, taken, pack_effects(effects))))
        return effects

    def _noted(self) -> bytes:
        """Return the frame of the notary's answers; nothing if there are none."""
        if not self._answers:
            return b""
        frame = pack(Answers(self._answers))
        self._answers.clear()
        return frame


class NotedNotary:
    """A notary whose answers are noted.

    :param notary: the one that is asked.
    :param given: its answers are added here.
    """

    def __init__(self, notary: Notary, given: list[tuple[list[bytes], bytes] | str]) -> None:
        self._notary = notary
        self._given = given
        self.always = notary.always
        self.network = notary.network

    def sign(self, text: bytes) -> tuple[list[bytes], bytes]:
        """Return the node's chain of certificates, and its signature of ``text``."""
        signed = self._notary.sign(text)
        self._given.append(signed)
        return signed

    def check(
        self,
        raw: bytes,
        chain: Sequence[bytes],
        signature: bytes,
        text: bytes,
        at: float,
        *,
        live: bool,
    ) -> Fault:
        """Return what is wrong with a signature."""
        fault = self._notary.check(raw, chain, signature, text, at, live=live)
        self._given.append(fault.value)
        return fault


class ReplayedNotary:
    """A notary that answers as another one did.

    :param sealing: what that one is.
    """

    def __init__(self, sealing: Sealing) -> None:
        self.always = sealing.always
        self.network = sealing.network
        self._given: list[tuple[list[bytes], bytes] | str] = []

    def answers(self, given: Answers) -> None:
        """Take the answers that are to be given during the next step."""
        self._given = given.given

    def _next(self, kind: type) -> Any:
        if not self._given or not isinstance(self._given[0], kind):
            raise RecordingError("the node asks its notary for something that it had not asked for")
        return self._given.pop(0)

    def sign(self, _text: bytes) -> tuple[list[bytes], bytes]:
        """Return what was signed then."""
        chain, signature = self._next(tuple)
        return chain, signature

    def check(
        self,
        _raw: bytes,
        _chain: Sequence[bytes],
        _signature: bytes,
        _text: bytes,
        _at: float,
        *,
        live: bool,
    ) -> Fault:
        """Return what was wrong then."""
        return Fault(self._next(str))


def describe(error: Exception) -> str:
    """Return an exception's type and text, as far as they are the same in every process."""
    return f"{type(error).__name__}: {error}"
