"""One action performed on one state of a small ring, and its immediate consequences."""

from __future__ import annotations

import enum
from typing import NamedTuple

from chordnet.core.base import events as ev
from chordnet.core.base import messages as msg
from chordnet.core.base.messages import Status
from chordnet.core.kernel.requests import Ask
from chordnet.sim.search.cell import FRESH, LIVES, End, Message, Ref, Stimulus
from chordnet.sim.search.table import State, Table, Transition

STALE = 0


class Grain(enum.IntEnum):
    """How much happens in one step."""

    OPERATION = enum.auto()
    NOTIFICATION = enum.auto()
    MESSAGE = enum.auto()


class Action(NamedTuple):
    """Something that may happen next to the node at ``place``; ``other`` is another's place."""

    verb: str
    """join, leave, left, fail, detect, stabilise, defer or deliver."""
    place: int
    other: int = -1


class Execution:
    """One action being performed on one state."""

    def __init__(self, world: Table, state: State, end: End, *, grain: Grain, lives: int) -> None:
        self._world = world
        self._end = end
        self._grain = grain
        self._lives = lives
        self._nodes = list(state[: world.places])
        self._flight = list(state[world.places :])
        self.forked = False
        """Whether it made a difference which of two nodes has the smaller identifier."""

    def state(self) -> State:
        """Return the state reached."""
        return (*self._nodes, *self._flight)

    def perform(self, action: Action) -> bool:
        """Perform ``action``; return True if it was possible."""
        place, nodes = action.place, self._nodes
        if action.verb == "join":
            return self._join(place, action.other)
        if action.verb in ("stabilise", "defer"):
            self._feed(place, Stimulus(action.verb))
        elif action.verb == "detect":
            self._feed(place, Stimulus(ev.LinkDown, action.other))
        elif action.verb == "deliver":
            self._deliver(place, action.other)
        elif action.verb == "leave":
            self._feed(place, Stimulus(ev.Leave))
        else:
            nodes[place] = 0
            # To nodes that are gone only questions stay in flight: their askers find that out.
            flight = []
            for entry in self._flight:
                sender, envelope = self._world.in_flight(entry)
                message = envelope.message
                if message.kind is msg.GetState or self._world.runs(nodes, sender, message.to):
                    flight.append(entry)
            self._flight = flight
        return True

    def _join(self, place: int, member: int) -> bool:
        world, nodes = self._world, self._nodes
        incarnation = 1 + self._last_life(place)
        if incarnation > self._lives:
            return False
        me = (place - member) % world.places * LIVES + incarnation
        question = Stimulus(msg.GetState, me, FRESH, int(Status.JOINING))
        number, sent = self._choose(world.ran(nodes[member], question))
        answers = [message for message in sent if message.kind is msg.State and message.to == me]
        asked = world.situations[number]
        assert asked is not None
        answer = answers[0]._replace(
            predecessor=world.seen_from(member, answers[0].predecessor, place),
            successors=tuple(world.seen_from(member, s, place) for s in answers[0].successors),
        )
        ref = (member - place) % world.places * LIVES + asked.incarnation
        joined = world.cell.join(incarnation, ref, answer, self._end)
        if joined is None:
            return False
        nodes[member] = number
        nodes[place] = world.number(joined[0])
        # What its earlier life sent has arrived or is lost by now.
        self._flight = [entry for entry in self._flight if entry % world.places != place]
        for message in sent:
            if message is not answers[0]:
                self._post(member, asked.incarnation, message)
        return True

    def _last_life(self, place: int) -> int:
        """Return the highest incarnation of ``place`` that any node has heard of."""
        world, last = self._world, 0
        bits = [(world.mentioned[number], at) for at, number in enumerate(self._nodes)]
        bits += [
            (world.enclosed[entry // world.places], entry % world.places) for entry in self._flight
        ]
        for mask, at in bits:
            lives = world.turn(mask, at - place) & ((1 << LIVES) - 1)
            last = max(last, lives.bit_length() - 1)
        return last

    def _choose(self, results: tuple[Transition, Transition]) -> Transition:
        if results[0] != results[1]:
            self.forked = True
        return results[self._end]

    # ---- messages ---------------------------------------------------------------------------

    def _feed(self, place: int, stimulus: Stimulus) -> None:
        """Let the node at ``place`` take an event, and carry what it sends."""
        world, number = self._world, self._nodes[place]
        before = world.situations[number]
        assert before is not None
        after, sent = self._choose(world.ran(number, stimulus))
        self._nodes[place] = after
        if before.asking is not None:
            situation = world.situations[after]
            assert situation is not None
            if situation.asking != before.asking:
                self._give_up(place, before.incarnation)
        for message in sent:
            self._post(place, before.incarnation, message)

    def _give_up(self, place: int, incarnation: int) -> None:
        """End the question of the node at ``place``: nothing in flight answers it any more."""
        world, flight = self._world, []
        for entry in self._flight:
            sender, envelope = world.in_flight(entry)
            message = envelope.message
            if sender == place and message.kind is msg.GetState:
                message = message._replace(rid=STALE)
                stale = world.entry(sender, envelope.incarnation, message)
                if stale not in flight:
                    flight.append(stale)
            elif message.kind is not msg.State or world.target(sender, message.to)[0] != place:
                flight.append(entry)
        self._flight = flight
        for other, number in enumerate(self._nodes):
            situation = world.situations[number]
            if situation is None or not situation.deferred:
                continue
            me = (place - other) % world.places * LIVES + incarnation
            self._nodes[other] = world.number(
                situation._replace(
                    deferred=tuple(
                        dict.fromkeys(
                            (who, status, STALE if who == me else rid)
                            for who, status, rid in situation.deferred
                        )
                    )
                )
            )

    def _post(self, place: int, incarnation: int, message: Message) -> None:
        world, grain, kind = self._world, self._grain, message.kind
        lives = world.runs(self._nodes, place, message.to)
        if kind is msg.Ping:
            self._answer_ping(place, message.to)
            return
        if kind is msg.GetState:
            at_once = grain < Grain.MESSAGE and self._asks_successor(place)
        elif not lives:
            return
        elif kind is msg.State:
            if message.rid != FRESH:
                return
            at_once = grain < Grain.MESSAGE
        else:
            at_once = kind is msg.Notify and grain == Grain.OPERATION
        if at_once:
            self._arrive(place, incarnation, message)
        else:
            self._send(place, incarnation, message)

    def _asks_successor(self, place: int) -> bool:
        situation = self._world.situations[self._nodes[place]]
        assert situation is not None
        asking = situation.asking
        return asking is not None and asking[0] == Ask.STABILISE_SUCCESSOR

    def _send(self, place: int, incarnation: int, message: Message) -> None:
        entry = self._world.entry(place, incarnation, message)
        # The same message twice (another notification, another question soon given up) has no more
        # effect than once.
        if entry not in self._flight:
            self._flight.append(entry)

    def _answer_ping(self, place: int, to: Ref) -> None:
        world = self._world
        if not world.runs(self._nodes, place, to):
            self._feed(place, Stimulus(ev.LinkDown, to))
            return
        peer = world.situations[self._nodes[world.target(place, to)[0]]]
        assert peer is not None
        status = Status.LEAVING if peer.leaving else Status.ACTIVE
        self._feed(place, Stimulus(msg.Pong, to, 0, int(status)))

    def _deliver(self, place: int, to: int) -> None:
        world = self._world
        for entry in self._flight:
            sender, envelope = world.in_flight(entry)
            if sender == place and world.target(place, envelope.message.to)[0] == to:
                self._flight.remove(entry)
                self._arrive(place, envelope.incarnation, envelope.message)
                return

    def _arrive(self, place: int, incarnation: int, message: Message) -> None:
        """Hand a message to its receiver; if that is dead, the asker finds that out."""
        world, nodes = self._world, self._nodes
        if not world.runs(nodes, place, message.to):
            situation = world.situations[nodes[place]]
            if situation is not None and situation.incarnation == incarnation:
                self._feed(place, Stimulus(ev.LinkDown, message.to))
            return
        to = world.target(place, message.to)[0]
        sender = (place - to) % world.places * LIVES + incarnation
        if message.kind is msg.State:
            asker = world.situations[nodes[to]]
            assert asker is not None
            if asker.asking is None or asker.asking[1] != sender:
                return
        self._feed(
            to,
            Stimulus(
                message.kind,
                sender,
                message.rid,
                message.status,
                world.seen_from(place, message.predecessor, to),
                tuple(world.seen_from(place, s, to) for s in message.successors),
            ),
        )
