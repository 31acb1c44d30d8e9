"""One node as a function: from its situation and an event to its next situation and its messages.

The function is the real :class:`ChordNode`: a fresh one is put into the situation, takes the event
through :meth:`ChordNode.step`, and its situation is read back. Nothing of the protocol is modelled
here. As the node is a pure machine, each pair of situation and event is run once and remembered,
which is what makes millions of ring states affordable.

A situation names another node by the number of places that it is clockwise of this one, so that a
ring turned by some places is the same ring. The protocol looks at the order of identifiers round
the ring only, with one exception: of two nodes that ask each other simultaneously, the one with the
smaller identifier gives up. So every event is run twice, at the low and at the high end of the
identifier space (:class:`End`); if that makes a difference, the search follows both.

What is left out: time (any alarm may ring at any moment), fingers, lookups, the audit and
broadcasts, which the ring does not depend on.
"""

from __future__ import annotations

import enum
from random import Random
from typing import NamedTuple

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base import messages as msg
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import NodeRef, Status
from chordnet.core.kernel.requests import Ask, Question
from chordnet.core.kernel.timers import Alarm
from chordnet.core.lookup.lookup import Purpose, Result
from chordnet.core.node import ChordNode

Ref = int
"""A pointer: places clockwise of the node that holds it, times :data:`LIVES`, plus incarnation."""
LIVES = 8
"""Incarnations of one identifier that can be distinguished at the same time, from 1."""
NOBODY: Ref = -1
LABEL = msg.RingLabel(0, 1)
FRESH = 1
"""The request number of a node's pending question; any other is a question given up."""
PROBING = frozenset({Ask.RECTIFY, Ask.OFFERED_PREDECESSOR})


class End(enum.IntEnum):
    """The end of the identifier space at which a node runs its event."""

    LOW = 0
    HIGH = 1


class Situation(NamedTuple):
    """All of a node's state that the ring depends on."""

    incarnation: int
    leaving: bool
    predecessor: Ref
    successors: tuple[Ref, ...]
    asking: tuple[int, Ref, Ref] | None
    """The node's own pending question: an :class:`Ask`, the node asked, and what it is about."""
    deferred: tuple[tuple[Ref, int, int], ...]
    """Others' questions that wait for it: the asker, its status, its request number."""
    pings: tuple[tuple[int, Ref, Ref], ...]
    """Unanswered pings that decide something: an :class:`Ask`, the node asked, what it is about."""
    suspects: tuple[Ref, ...]
    dead: tuple[Ref, ...]
    departed: tuple[Ref, ...]
    heard: tuple[Ref, ...]
    """Newest incarnations heard of, besides those that the pointers name."""

    def pointers(self) -> list[Ref]:
        """Return every node that the situation names, except those known to be dead."""
        named = [self.predecessor, *self.successors]
        if self.asking is not None:
            named += self.asking[1:]
        named += [ref for ref, _, _ in self.deferred]
        named += [ref for _, target, subject in self.pings for ref in (target, subject)]
        named += self.suspects
        return [ref for ref in named if ref != NOBODY]


class Message(NamedTuple):
    """A message sent. Pointers are as the sender sees them."""

    kind: type[msg.PeerMessage]
    to: Ref
    rid: int = 0
    status: int = 0
    predecessor: Ref = NOBODY
    successors: tuple[Ref, ...] = ()


class Stimulus(NamedTuple):
    """An event; pointers are as the receiver sees them."""

    kind: type[msg.PeerMessage] | type[ev.Event] | str
    """A message's type, :class:`LinkDown`, :class:`Leave`, or the name of an alarm."""
    peer: Ref = NOBODY
    rid: int = 0
    status: int = 0
    predecessor: Ref = NOBODY
    successors: tuple[Ref, ...] = ()


class Reaction(NamedTuple):
    """The result of an event."""

    situation: Situation
    sent: tuple[Message, ...]


class Cell:
    """Runs real nodes one event at a time.

    :param config: the settings of every node, safeguards included.
    :param places: identifiers on the ring, evenly spread over its ``2**bits``.
    """

    def __init__(self, config: ProtocolConfig, places: int) -> None:
        self.config = config
        self.places = places
        self.runs = 0
        self._space = IdentifierSpace(config.bits)
        step = self._space.size // places
        self._refs: dict[End, dict[Ref, NodeRef]] = {
            end: {
                place * LIVES + life: self._ref((place * step - end) % self._space.size, life)
                for place in range(places)
                for life in range(1, LIVES)
            }
            for end in End
        }
        self._codes = {
            end: {node: code for code, node in refs.items()} for end, refs in self._refs.items()
        }
        self._places = {
            end: {node.raw: code // LIVES for code, node in refs.items()}
            for end, refs in self._refs.items()
        }

    def _ref(self, identifier: int, incarnation: int) -> NodeRef:
        raw = self._space.raw(identifier)
        return NodeRef(raw, incarnation, raw.hex(), raw.hex())

    # ---- running ----------------------------------------------------------------------------

    def run(self, situation: Situation, stimulus: Stimulus, end: End) -> Reaction:
        """Let a node in this situation take this event."""
        self.runs += 1
        node = self._put(situation, end)
        rids = {q.rid for q in node.requests._open.values() if q.ask in PROBING}
        effects: list[fx.Effect] = []
        for event in self._events(node, stimulus, end):
            effects += self._step(node, event)
        rids |= {q.rid for q in node.requests._open.values() if q.ask in PROBING}
        return Reaction(self._read(node, end), tuple(self._sent(node, effects, rids, end)))

    def join(
        self, incarnation: int, member: Ref, answer: Message, end: End
    ) -> tuple[Situation, tuple[Message, ...]] | None:
        """Let a new node ask ``member`` for a place; None if the answer gives it none.

        :param answer: the member's answer, its pointers as the new node sees them.
        """
        self.runs += 1
        refs = self._refs[end]
        node = ChordNode(self.config, refs[incarnation], Random(0))
        node.ctx.set_status(Status.JOINING)
        node.joining.looked_up(Result(Purpose.JOIN, 0, refs[member], []))
        rid = next(iter(node.requests._open))
        effects = self._step(node, ev.Received(refs[member], self._state(answer, rid, end)))
        if node.status() != Status.ACTIVE:
            return None
        return self._read(node, end), tuple(self._sent(node, effects, set(), end))

    @staticmethod
    def _step(node: ChordNode, event: ev.Event) -> list[fx.Effect]:
        """Let the node take an event. A node that it dials to verify a name answers immediately:
        the latest life of a node is the one that runs, and all of its lives have one address.
        """
        effects = node.step(event, 0.0)
        for effect in effects:
            if isinstance(effect, fx.Verify):
                asked, known = effect.node, node.known(effect.node.raw)
                runs = known is None or asked.incarnation > known.incarnation
                found = ev.Standing(asked, int(Status.ACTIVE), LABEL, None) if runs else None
                effects += node.step(ev.Verified(asked, found), 0.0)
        return effects

    def _events(self, node: ChordNode, stimulus: Stimulus, end: End) -> list[ev.Event]:
        kind = stimulus.kind
        if isinstance(kind, str):
            node.ctx.alarms.set(Alarm(kind), 0.0)
            return [ev.Tick()]
        if kind is ev.Leave:
            return [ev.Leave()]
        peer = self._refs[end][stimulus.peer]
        if kind is ev.LinkDown:
            return [ev.LinkDown(peer, ev.LinkFault.REFUSED)]
        return [ev.Received(peer, message) for message in self._received(node, stimulus, end)]

    def _received(self, node: ChordNode, stimulus: Stimulus, end: End) -> list[msg.PeerMessage]:
        refs, kind, asking = self._refs[end], stimulus.kind, node.stabilise.asking
        if kind is msg.Pong:
            peer = refs[stimulus.peer]
            waiting = [
                q.rid for q in node.requests._open.values() if q.ask in PROBING and q.target == peer
            ]
            return [msg.Pong(rid, stimulus.status) for rid in waiting or [0]]
        if kind is msg.GetState:
            return [msg.GetState(stimulus.rid, stimulus.status)]
        if kind is msg.Notify:
            return [msg.Notify()]
        if kind is msg.State:
            assert asking is not None
            return [self._state(stimulus, asking.rid, end)]
        return [msg.Leaving(refs.get(stimulus.predecessor), [refs[s] for s in stimulus.successors])]

    def _state(self, answer: Message | Stimulus, rid: int, end: End) -> msg.State:
        refs = self._refs[end]
        return msg.State(
            rid,
            answer.status,
            LABEL,
            refs.get(answer.predecessor),
            [refs[s] for s in answer.successors],
            None,
        )

    # ---- a node's state, written and read ---------------------------------------------------

    def _put(self, situation: Situation, end: End) -> ChordNode:
        refs = self._refs[end]
        node = ChordNode(self.config, refs[situation.incarnation], Random(0))
        node.ctx.set_status(Status.LEAVING if situation.leaving else Status.ACTIVE)
        ring, peers = node.ring, node.ctx.peers
        ring.label = LABEL
        ring.predecessor = refs.get(situation.predecessor)
        ring.successors = [refs[s] for s in situation.successors]
        for code in (*situation.pointers(), *situation.heard):
            peers.note(refs[code])
            peers._spoken[refs[code].raw] = max(
                refs[code].incarnation, peers._spoken.get(refs[code].raw, 0)
            )
        for code in situation.dead:
            peers.died(refs[code], 0.0)
        for code in situation.departed:
            peers.departed(refs[code], 0.0)
        if situation.asking is not None:
            ask, target, subject = situation.asking
            node.stabilise.asking = self._ask(node, ask, target, subject, end)
        node.stabilise.deferred = [
            (refs[who], msg.GetState(rid, status)) for who, status, rid in situation.deferred
        ]
        for ask, target, subject in situation.pings:
            self._ask(node, ask, target, subject, end)
        for code in situation.suspects:
            node.detector.suspect(refs[code])
        node.fingers.reroute()
        return node

    def _ask(self, node: ChordNode, ask: int, target: Ref, subject: Ref, end: End) -> Question:
        refs = self._refs[end]
        return node.requests.ask(Ask(ask), refs[target], msg.Ping, subject=refs.get(subject))

    def _read(self, node: ChordNode, end: End) -> Situation:
        ring, peers, codes = node.ring, node.ctx.peers, self._codes[end]

        def code(ref: NodeRef | None) -> Ref:
            return NOBODY if ref is None else codes[ref]

        def known(table: dict[bytes, int]) -> tuple[Ref, ...]:
            places = self._places[end]
            return tuple(sorted(places[raw] * LIVES + life for raw, life in table.items()))

        asking = node.stabilise.asking
        return Situation(
            node.me.incarnation,
            node.status() != Status.ACTIVE,
            code(ring.predecessor),
            tuple(code(s) for s in ring.successors),
            None
            if asking is None
            else (int(asking.ask), code(asking.target), code(asking.subject)),
            tuple(
                (code(who), question.status, question.rid)
                for who, question in node.stabilise.deferred
            ),
            tuple(
                sorted(
                    {
                        (int(q.ask), code(q.target), code(q.subject))
                        for q in node.requests._open.values()
                        if q.ask in PROBING
                    }
                )
            ),
            tuple(sorted(code(probe.peer) for probe in node.detector.probes.values())),
            known({raw: life for raw, (life, _) in peers._dead.items()}),
            known(dict(peers._departed)),
            known(dict(peers._spoken)),
        )

    def _sent(
        self, node: ChordNode, effects: list[fx.Effect], rids: set[int], end: End
    ) -> list[Message]:
        codes, sent = self._codes[end], []
        for effect in effects:
            if not isinstance(effect, fx.Send):
                continue
            to, message = codes[effect.to], effect.message
            if isinstance(message, msg.GetState):
                sent.append(Message(msg.GetState, to, FRESH, message.status))
            elif isinstance(message, msg.Notify):
                sent.append(Message(msg.Notify, to))
            elif isinstance(message, msg.State):
                sent.append(
                    Message(
                        msg.State,
                        to,
                        message.rid,
                        message.status,
                        NOBODY if message.predecessor is None else codes[message.predecessor],
                        tuple(codes[s] for s in message.successors),
                    )
                )
            elif isinstance(message, msg.Leaving):
                sent.append(
                    Message(
                        msg.Leaving,
                        to,
                        0,
                        0,
                        NOBODY if message.predecessor is None else codes[message.predecessor],
                        tuple(codes[s] for s in message.successors),
                    )
                )
            elif isinstance(message, msg.Ping) and (
                message.rid in rids or node.detector.suspects(effect.to.raw)
            ):
                sent.append(Message(msg.Ping, to))
        return sent
