"""A node that says anything: any frame, any field, at any time.

It is a member of the ring, and its lies are drawn from a random source of its own. Its frames are
made by :data:`KINDS`, each a way to deceive, and by :func:`mutated`, which takes a frame that it
has seen and changes single values in it. Every frame is valid on the wire.

What a kind may *withhold* is its own part in a tree: a delegate can claim a range that it did not
serve. The judge (:mod:`chordnet.sim.campaign.byzantine`) is told which frames were sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

import attrs
import msgspec

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base import messages as msg
from chordnet.core.base.messages import EdgeKind, Hop, MessageId, NodeRef, PeerMessage, Status
from chordnet.core.node import ChordNode
from chordnet.core.seals.notary import Notary
from chordnet.sim.world.latency import happens

SEEN = 200
"""Frames that it remembers."""
FAR = (1 << 20, 1 << 40, 1 << 60, (1 << 62) - 1)
NUMBERS = (0, 1, 2, 255, 1 << 16, (1 << 32) - 1, *FAR, (1 << 63) - 1, -1, -(1 << 63))
FLOATS = (0.0, -1.0, 1e300, float("nan"), float("inf"), float("-inf"))
HUGE = 250_000
"""Letters of a name that fills a frame."""

_encode = msgspec.msgpack.Encoder().encode
_read = msgspec.msgpack.Decoder(PeerMessage).decode
_values = msgspec.msgpack.Decoder().decode

Frames = list[tuple[NodeRef, PeerMessage]]
"""Receivers and messages."""


def mutated(message: PeerMessage, rng: Random, raws: list[bytes]) -> PeerMessage | None:
    """Return ``message`` with one to three of its values changed; None if the result is no message.

    :param raws: identifiers to put in the place of others.
    """
    values = _values(_encode(message))
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = _places(values)
        if not places:
            return None
        holder, index = rng.choice(places)
        holder[index] = _changed(holder[index], rng, raws)
    try:
        return _read(_encode(values))  # type: ignore[no-any-return]
    except (msgspec.MsgspecError, OverflowError, ValueError):
        return None


def _places(values: list[Any]) -> list[tuple[list[Any], int]]:
    found: list[tuple[list[Any], int]] = []
    todo = [values]
    while todo:
        holder = todo.pop()
        for index, value in enumerate(holder):
            if holder is values and not index:
                continue  # the tag
            found.append((holder, index))
            if isinstance(value, list):
                todo.append(value)
    return found


def _changed(value: Any, rng: Random, raws: list[bytes]) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        near = (value + 1, value - 1, value + rng.randrange(1000), rng.choice(NUMBERS))
        return max(-(1 << 63), min((1 << 63) - 1, rng.choice(near)))
    if isinstance(value, float):
        return rng.choice((*FLOATS, value + 1e6, value - 1e6))
    if isinstance(value, bytes):
        return rng.choice((rng.choice(raws), b"", rng.randbytes(20), value[:-1], value + b"\0"))
    if isinstance(value, str):
        return rng.choice(("", "a\nb", "n" * HUGE, "10.0.0.1:99999", value + "x"))
    if isinstance(value, list) and value:
        again = rng.randrange(len(value))
        return rng.choice(([], value[:again], [*value, value[again]], [*value] * 40, value[::-1]))
    return rng.choice((None, [], 0, b""))


@attrs.define
class Liar:
    """What the lying node knows, and how it makes frames.

    :param rng: its own random source.
    :param others: all other nodes.
    :param victim: Y, whose messages are judged.
    """

    me: NodeRef
    rng: Random
    others: list[NodeRef]
    victim: NodeRef
    notary: Notary | None = None
    """Signs with its own key, in a ring with certificates."""
    twisted_once: bool = False
    """Whether it has ever sent something else than an honest node."""
    speaker: NodeRef | None = None
    """The node whose name it uses, if not its own."""
    published: int = 0
    """How many messages the victim has published."""
    serves: bool = True
    """Whether it does its part as a node, besides lying."""
    twist: Callable[[NodeRef, PeerMessage], list[PeerMessage]] | None = None
    """Replaces what it would send as an honest node."""
    reply: Callable[[NodeRef, PeerMessage], Frames] | None = None
    """Returns its answer to a message, before anything else."""
    lies: list[PeerMessage] = attrs.field(factory=list)
    """Everything that it has sent and an honest node would not have."""
    earlier: list[PeerMessage] = attrs.field(factory=list)
    """What it saw and sent before the victim's present life."""
    seen: deque[PeerMessage] = attrs.field(factory=lambda: deque(maxlen=SEEN))

    # ---- what it can name -------------------------------------------------------------------

    @property
    def raws(self) -> list[bytes]:
        """Return identifiers of this ring, and one that no node has."""
        return [
            *(ref.raw for ref in self.others),
            self.me.raw,
            self.rng.randbytes(len(self.me.raw)),
        ]

    def someone(self) -> NodeRef:
        """Return any other node."""
        return self.rng.choice(self.others)

    def everyone(self) -> list[NodeRef]:
        """Return all other nodes, or some of them."""
        if happens(self.rng, 0.5):
            return self.others
        return self.rng.sample(self.others, self.rng.randint(1, len(self.others)))

    def id(self, ahead: int) -> MessageId:
        """Return the victim's message number that is ``ahead`` of what it has published."""
        return MessageId(self.victim.raw, self.victim.incarnation, max(1, self.published + ahead))

    def nobody(self) -> NodeRef:
        """Return a node that does not exist, at an address where no node or another one listens."""
        raw, name = self.rng.randbytes(len(self.me.raw)), f"nobody-{self.rng.randrange(1000)}"
        address = self.rng.choice((name, self.someone().address, self.me.address))
        return NodeRef(raw, self.rng.choice((1, 2, (1 << 62) - 1)), address, name)

    def pointer(self) -> NodeRef:
        """Return a pointer that may be false in any way."""
        draw = self.rng.random()
        if draw < 0.4:
            return self.nobody()
        ref = self.someone()
        if draw < 0.6:
            return msgspec.structs.replace(ref, address=self.nobody().address)
        if draw < 0.7:
            return msgspec.structs.replace(ref, incarnation=ref.incarnation + 1)
        return ref

    def pointers(self) -> list[NodeRef]:
        """Return some pointers that may be false."""
        return [self.pointer() for _ in range(self.rng.randrange(9))]

    def bcast(
        self,
        first: MessageId,
        bodies: list[bytes] | None,
        *,
        kind: int = EdgeKind.FINGER,
        count: int | None = None,
        name: str = "",
        hops: int = 0,
    ) -> msg.Bcast:
        """Return a broadcast of any node, on an invented route."""
        rng = self.rng
        route = [Hop(first.origin, name, int(EdgeKind.ORIGIN))]
        route += [Hop(rng.randbytes(20), f"{n}{name}"[:255], 2) for n in range(hops)]
        if first.origin != self.me.raw or hops:
            route.append(Hop(self.me.raw, self.me.name, int(EdgeKind.FINGER)))
        limit = rng.choice(self.raws)
        number = count or len(bodies or [b""])
        return msg.Bcast(first, number, 0.0, 60, limit, int(kind), route, bodies)

    # ---- being a node -----------------------------------------------------------------------

    def heard(self, event: ev.Event) -> Frames:
        """Note what comes in, and return the lies that it provokes."""
        if not isinstance(event, ev.Received):
            return []
        self.seen.append(event.message)
        if self.reply is None:
            return []
        frames = self.reply(event.sender, event.message)
        self.lies += [message for _, message in frames]
        return frames

    def twisted(self, effects: list[fx.Effect]) -> list[fx.Effect]:
        """Return the effects that it asks for in place of an honest node's."""
        if self.twist is None:
            return effects
        found: list[fx.Effect] = []
        for effect in effects:
            if not isinstance(effect, fx.Send):
                found.append(effect)
                continue
            said = self.twist(effect.to, effect.message)
            self.twisted_once |= said != [effect.message]
            self.lies += [each for each in said if each is not effect.message]
            found += [fx.Send(effect.to, each) for each in said]
        return found


class LyingNode(ChordNode):
    """An honest core under the control of a :class:`Liar`."""

    liar: Liar | None = None

    def step(self, event: ev.Event, now: float) -> list[fx.Effect]:
        """Take one event, and return the effects that the liar makes of it."""
        liar = self.liar
        if liar is None:
            return super().step(event, now)
        provoked = [fx.Send(to, message) for to, message in liar.heard(event)]
        return [*provoked, *liar.twisted(super().step(event, now))]


# ---- the kinds ------------------------------------------------------------------------------


def _range(first: MessageId, count: int) -> list[msg.Range]:
    return [msg.Range(first.origin, first.incarnation, first.sequence, first.sequence + count)]


def _known(liar: Liar, intervals: list[int]) -> msg.OriginState:
    return msg.OriginState(liar.victim.raw, liar.victim.incarnation, intervals)


def keep_still(_to: NodeRef, message: PeerMessage) -> list[PeerMessage]:
    """Send nothing that a broadcast's tree needs."""
    tree = isinstance(message, msg.Bcast | msg.Covered | msg.Ack | msg.Bodies)
    return [] if tree else [message]


def mutate(liar: Liar) -> Frames:
    """Send frames that it has seen, with values changed."""
    found: Frames = []
    for _ in range(liar.rng.randint(1, 8)):
        if liar.seen:
            frame = mutated(liar.rng.choice(liar.seen), liar.rng, liar.raws)
            if frame is not None:
                found.append((liar.someone(), frame))
    return found


def lost(liar: Liar) -> Frames:
    """Say unasked that the victim's next messages are lost, give them, or hand them over."""
    rng = liar.rng
    first = liar.id(rng.choice((1, 1, 1, 2, rng.choice(FAR))))
    word = rng.choice(("lost", "lost", "given", "want"))
    frame: PeerMessage
    if word == "lost":
        frame = msg.Lost(_range(first, rng.choice((1, 16, 512, 1 << 61))))
    elif word == "given":
        frame = msg.Given(happens(rng, 0.5))
    else:
        frame = msg.Want(_range(first, rng.choice((1, 512, 1 << 61))))
    return [(to, frame) for to in liar.everyone()]


def have(liar: Liar) -> Frames:
    """Send a false ledger; answer any request for what it lacks with the word that it is lost."""

    def reply(sender: NodeRef, message: PeerMessage) -> Frames:
        if isinstance(message, msg.Want):
            return [
                (sender, msg.Lost(message.ranges)),
                (sender, msg.Given(True)),
            ]
        if isinstance(message, msg.Have):
            return [(sender, msg.Lost(_range(liar.id(1), 64))), (sender, msg.Given(False))]
        return []

    liar.reply = reply
    rng, frames = liar.rng, Frames()
    top = liar.published + rng.choice((1, 2, 100, *FAR))
    shapes: tuple[list[int], ...] = (
        [1, top + 1],
        [top, top + 5],
        [1, 1 << 62],
        [],
        [5, 3, 2, 1],
        list(range(1, 3000, 2)),
    )
    for to in liar.everyone():
        frames.append((to, msg.Compare(rng.getrandbits(64) - (1 << 63))))
        frames.append((to, msg.Have([], [], [_known(liar, list(rng.choice(shapes)))])))
    return frames


def digest(liar: Liar) -> Frames:
    """Send digests that match no other node's, all the time."""
    rng, frames = liar.rng, Frames()
    state = [m for m in liar.seen if isinstance(m, msg.State)]
    for to in liar.everyone():
        frames.append((to, msg.Compare(rng.getrandbits(63))))
        if state:
            frames.append(
                (to, msgspec.structs.replace(rng.choice(state), digest=rng.getrandbits(63)))
            )
    return frames


def number(liar: Liar) -> Frames:
    """Take the victim's next numbers, with other bodies."""
    rng = liar.rng
    first = liar.id(rng.choice((1, 1, 1, 2, 3)))
    count = rng.choice((1, 1, 4))
    bodies = [b"forged"] * count
    route = [Hop(first.origin, liar.victim.name, 0), Hop(liar.me.raw, liar.me.name, 2)]
    frames: Frames = []
    for to in liar.everyone():
        word = rng.choice(("bcast", "bcast", "caught", "bodies"))
        if word == "bcast":
            frames.append((to, liar.bcast(first, bodies)))
        elif word == "caught":
            frames.append((to, msg.Caught(first, 0.0, route, b"forged")))
        else:
            frames += [(to, liar.bcast(first, None, count=count)), (to, msg.Bodies(first, bodies))]
    return frames


def ahead(liar: Liar) -> Frames:
    """Use numbers of the victim far ahead of those that it has used, together or scattered."""
    rng = liar.rng
    if happens(rng, 0.15):
        to, base, step = liar.someone(), rng.choice(FAR) // 2, rng.choice((2, 1000))
        return [(to, liar.bcast(liar.id(base + step * k), [b"x"])) for k in range(150)]
    first = liar.id(rng.choice(FAR) - rng.randrange(300, 1 << 19))
    bodies = [b"x"] * rng.choice((1, 16, 256))
    return [(to, liar.bcast(first, bodies)) for to in liar.everyone()]


def origins(liar: Liar) -> Frames:
    """Send messages of origins that do not exist, by the hundred."""
    rng, frames = liar.rng, Frames()
    for _ in range(rng.randint(1, 60)):
        first = MessageId(rng.randbytes(20), rng.choice((1, *FAR)), rng.choice((1, 2, *FAR)))
        kind = rng.choice((EdgeKind.FINGER, EdgeKind.SUCCESSOR, EdgeKind.BACKFILL))
        frames.append((liar.someone(), liar.bcast(first, [b"x"], kind=kind)))
    return frames


def headers(liar: Liar) -> Frames:
    """Send headers of messages whose bodies never come, with the longest names and routes."""
    rng, to = liar.rng, liar.someone()
    frames: Frames = []
    for _ in range(rng.randint(1, 20)):
        first = rng.choice((liar.id(rng.randint(1, 3)), MessageId(rng.randbytes(20), 1, 1)))
        frames.append(
            rng.choice(
                (
                    (to, liar.bcast(first, None, name=f"{rng.random()}".ljust(HUGE, "n"))),
                    (to, liar.bcast(first, None, name=f"{rng.random()}".ljust(255, "n"), hops=150)),
                    (to, liar.bcast(first, None, kind=EdgeKind.REASSIGN, count=256)),
                )
            )
        )
    return frames


def vouch(liar: Liar) -> Frames:
    """Report every range that it is given as covered immediately, and send nothing to its nodes."""
    rng = liar.rng

    def reply(sender: NodeRef, message: PeerMessage) -> Frames:
        if not isinstance(message, msg.Bcast) or message.id.origin != liar.victim.raw:
            return []
        return [
            (sender, msg.Covered(message.id, message.limit, rng.randint(1, 9), 0, 1, False, []))
        ]

    liar.serves, liar.reply, liar.twist = False, reply, keep_still
    return []


def covered(liar: Liar) -> Frames:
    """Send reports and acknowledgements of ranges that are false in every field, or none at all."""
    rng = liar.rng
    mode = rng.choice(("silent", "ack", "false", "false"))

    def reply(sender: NodeRef, message: PeerMessage) -> Frames:
        if not isinstance(message, msg.Bcast) or mode == "silent":
            return []
        if mode == "ack":
            return [(sender, msg.Ack(message.id, message.limit, happens(rng, 0.5)))]
        limit = rng.choice((message.limit, rng.choice(liar.raws)))
        huge = rng.choice((0, 1, -5, 1 << 40))
        frame = msg.Covered(message.id, limit, huge, huge, huge, happens(rng, 0.5), liar.pointers())
        return [(sender, frame)] * rng.choice((1, 2, 50))

    liar.serves, liar.reply, liar.twist = False, reply, keep_still
    return []


def answers(liar: Liar) -> Frames:
    """Send false answers to lookups, to those it was asked and to those it was not."""
    rng = liar.rng
    label = msg.RingLabel(0, rng.getrandbits(62))

    def reply(sender: NodeRef, message: PeerMessage) -> Frames:
        if isinstance(message, msg.Find):
            return [
                (message.origin, msg.Found(message.lookup, liar.pointer(), liar.pointers(), label))
            ]
        if isinstance(message, msg.FindNext):
            done = happens(rng, 0.3)
            return [(sender, msg.Next(message.rid, done, liar.pointers(), True, label))]
        return []

    liar.reply = reply
    frames: Frames = []
    for guess in range(rng.randint(1, 40)):
        frame: PeerMessage = rng.choice(
            (
                msg.Found(guess, liar.pointer(), liar.pointers(), label),
                msg.FindFailed(guess, "x" * 1000),
                msg.Next(guess, True, liar.pointers(), False, label),
                msg.Find(guess, liar.pointer(), rng.randbytes(20), 0, liar.pointers(), 9, True),
                msg.Pong(guess, int(Status.LEFT)),
            )
        )
        frames.append((liar.someone(), frame))
    return frames


def pointers(liar: Liar) -> Frames:
    """Name false neighbours, rings to merge with that do not exist, and hints about any node."""
    rng = liar.rng
    frames: Frames = []
    for to in liar.everyone():
        low, high = rng.choice(liar.raws), rng.choice(liar.raws)
        frame: PeerMessage = rng.choice(
            (
                msg.TryMerge(liar.pointer(), rng.choice((1, 8, 1 << 40))),
                msg.FingerHint(liar.pointer(), happens(rng, 0.5), low, high, 64),
                msg.Notify(),
                msg.Changed(),
                msg.State(
                    rng.randrange(200),
                    int(Status.ACTIVE),
                    msg.RingLabel(0, 1),
                    liar.pointer(),
                    liar.pointers(),
                    None,
                ),
            )
        )
        frames.append((to, frame))
    return frames


def state(liar: Liar) -> Frames:
    """Answer questions about its neighbours with nodes that do not exist."""

    def twist(to: NodeRef, message: PeerMessage) -> list[PeerMessage]:
        if not isinstance(message, msg.State) or happens(liar.rng, 0.3):
            return [message]
        mixed = [*message.successors, *liar.pointers()]
        liar.rng.shuffle(mixed)
        return [msgspec.structs.replace(message, predecessor=liar.pointer(), successors=mixed)]

    liar.twist = twist
    return []


def leaving(liar: Liar) -> Frames:
    """Say that it leaves and stay, again and again; or name others as its heirs."""
    frame = msg.Leaving(liar.pointer(), liar.pointers())
    return [(to, frame) for to in liar.everyone()]


def twin(liar: Liar) -> Frames:
    """Greet under other nodes' names, with later starts than theirs."""
    rng, ref = liar.rng, liar.rng.choice((liar.victim, liar.someone()))
    later = rng.choice((ref.incarnation + 1, ref.incarnation + 1000, (1 << 62) - 1))
    address = rng.choice((liar.me.address, ref.address))
    liar.speaker = msgspec.structs.replace(ref, incarnation=later, address=address)
    words = (msg.Ping(1), msg.Notify(), msg.GetState(1, int(Status.ACTIVE)), msg.Leaving(None, []))
    return [(to, rng.choice(words)) for to in liar.everyone() if to.raw != ref.raw]


def replay(liar: Liar) -> Frames:
    """Repeat what was said before the victim's present life began."""
    rng = liar.rng
    if not liar.earlier:
        return []
    return [(liar.someone(), rng.choice(liar.earlier)) for _ in range(rng.randint(1, 30))]


def mixed(liar: Liar) -> Frames:
    """Lie in another way every time."""
    name = liar.rng.choice([name for name in KINDS if name != "mixed"])
    return KINDS[name](liar)


KINDS: dict[str, Callable[[Liar], Frames]] = {
    each.__name__: each
    for each in (
        mutate,
        lost,
        have,
        digest,
        number,
        ahead,
        origins,
        headers,
        vouch,
        covered,
        answers,
        pointers,
        state,
        leaving,
        twin,
        replay,
        mixed,
    )
}
"""The ways to lie, by name; each is called again and again while the attack lasts."""
