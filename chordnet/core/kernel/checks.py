"""The checks that every message of a peer must pass before any part sees it.

An impossible pointer would be followed, listed and passed on as long as any node answers at its
address; a name ends up in logs and on terminals; a long list is kept and sent on. So it is checked
that

- identifiers are of this ring;
- every pointer and every hop has a name that a node may have, and the identifier that belongs to
  the name, and every pointer an address that can be dialled (:class:`NamingRules`);
- lists are no longer than an honest node's;
- numbers are in their range.

A part itself checks if a message fits what was asked, and what only that part knows: broadcast and
anti-entropy check ids and bodies, because not every number can be stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from chordnet.core.base import intervals
from chordnet.core.base import messages as msg
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.limits import (
    COUNT_LIMIT,
    DIGEST_LIMIT,
    HINT_TTL,
    LABEL_LIMIT,
    MAX_EXCLUDE,
    MAX_LISTED,
    MAX_POINTERS,
    MAX_RANGES,
    MAX_REASON,
    MAX_TTL,
    MAX_UNREACHED,
    MERGE_TTL,
    NODES_LIMIT,
)
from chordnet.core.base.messages import (
    EdgeKind,
    FindKind,
    Hop,
    MessageId,
    NodeRef,
    OriginState,
    Range,
    Status,
)
from chordnet.core.base.outcomes import Fault
from chordnet.core.kernel.marks import mark_fault, proof_fault, witnesses_fault

FINE = Fault.NONE
CACHE_BYTES = 1 << 20
"""Memory, about, for pointers and hops that were found good."""
_ENTRY_BYTES = 400

_LAST_STATUS = max(Status)
_LAST_FIND = max(FindKind)
_LAST_EDGE = max(EdgeKind)


class NamingRules(Protocol):
    """What names and addresses may be; :class:`chordnet.core.base.naming.Names` in reality."""

    def identifier(self, name: str) -> bytes | None:
        """Return the one identifier of a node with this name; None if no node may have it."""

    def reachable(self, address: str) -> bool:
        """Return True if a node can be dialled at ``address``."""


def is_message_id(message_id: MessageId, space: IdentifierSpace) -> bool:
    """Return True if a message may have this id."""
    return (
        len(message_id.origin) == space.width
        and 0 <= message_id.incarnation < COUNT_LIMIT
        and 0 < message_id.sequence < COUNT_LIMIT
    )


def is_origin_state(state: OriginState, space: IdentifierSpace) -> bool:
    """Return True if this may have been recorded of an origin."""
    return (
        len(state.origin) == space.width
        and 0 <= state.incarnation < COUNT_LIMIT
        and intervals.is_sound(state.known, COUNT_LIMIT)
    )


def is_range(asked: Range, space: IdentifierSpace) -> bool:
    """Return True if there may be messages with these numbers."""
    return (
        len(asked.origin) == space.width
        and 0 <= asked.incarnation < COUNT_LIMIT
        and 0 < asked.first < asked.end <= COUNT_LIMIT
    )


class Checks:
    """The checks of one node.

    :param names: the rules for names and addresses. None accepts all of them: for simulators and
        tests, whose nodes may have any.
    """

    def __init__(
        self, config: ProtocolConfig, space: IdentifierSpace, names: NamingRules | None = None
    ) -> None:
        self._space = space
        self._names = names
        self._max_route = config.max_route
        self._max_ttl = max(MAX_TTL, config.max_hops)
        self._max_pointers = max(MAX_POINTERS, 2 * config.successors)
        self._good: set[NodeRef | Hop] = set()
        """Pointers and hops that were found good."""
        self._room = CACHE_BYTES
        table: dict[type, Callable[[Any], Fault]] = {
            msg.Ping: self._request,
            msg.Pong: self._answer,
            msg.GetState: self._answer,
            msg.State: self._state,
            msg.Leaving: self._leaving,
            msg.FingerHint: self._finger_hint,
            msg.TryMerge: self._try_merge,
            msg.Find: self._find,
            msg.Found: self._found,
            msg.FindFailed: self._find_failed,
            msg.FindNext: self._find_next,
            msg.Next: self._next,
            msg.Bcast: self._bcast,
            msg.Ack: self._limit,
            msg.Covered: self._covered,
            msg.Compare: self._compare,
            msg.Have: self._have,
            msg.Want: self._ranges,
            msg.Lost: self._ranges,
            msg.Caught: self._caught,
            msg.MarkedBcast: self._marked_bcast,
            msg.MarkedCovered: self._marked_covered,
            msg.MarkedCaught: lambda m: proof_fault(m.proof) or self._caught(m),
        }
        self.of: Callable[[type], Callable[[Any], Fault] | None] = table.get
        """Returns the check of a type of message; None for a type without anything to check."""

    @property
    def remembered(self) -> int:
        """About how many bytes the pointers and hops found good take."""
        return CACHE_BYTES - self._room

    def fault(self, message: object) -> Fault:
        """Return what is wrong with ``message``; ``Fault.NONE`` if nothing is."""
        check = self.of(type(message))
        return check(message) if check is not None else FINE

    def accepts(self, node: NodeRef) -> bool:
        """Return True if ``node`` can be a node of this ring."""
        return not self._nodes((node,))

    # ---- pointers, hops, numbers ------------------------------------------------------------

    # Usually all pointers and hops of a message have been met before, and one call finds that out:
    # this runs for every hop of every broadcast.

    def _nodes(self, nodes: Sequence[NodeRef]) -> Fault:
        """Return what is wrong with any of these pointers."""
        if self._good.issuperset(nodes):
            return FINE
        names, width, whole = self._names, self._space.width, self._space.whole_bytes
        for node in nodes:
            if len(node.raw) != width or not (whole or self._space.valid_raw(node.raw)):
                return Fault.WRONG_IDENTIFIER
            if not 0 <= node.incarnation < COUNT_LIMIT:
                return Fault.WRONG_NUMBER
            if names is not None and node not in self._good:
                if names.identifier(node.name) != node.raw or not names.reachable(node.address):
                    return Fault.WRONG_NODE
                self._remember(node, len(node.name) + len(node.address))
        return FINE

    def _hops(self, hops: Sequence[Hop]) -> Fault:
        """Return what is wrong with a route."""
        if self._good.issuperset(hops):
            return FINE if len(hops) <= self._max_route else Fault.TOO_LONG
        if len(hops) > self._max_route:
            return Fault.TOO_LONG
        names, width, whole = self._names, self._space.width, self._space.whole_bytes
        for hop in hops:
            if len(hop.raw) != width or not (whole or self._space.valid_raw(hop.raw)):
                return Fault.WRONG_IDENTIFIER
            if not 0 <= hop.kind <= _LAST_EDGE:
                return Fault.WRONG_NUMBER
            if names is not None and hop not in self._good:
                if names.identifier(hop.name) != hop.raw:
                    return Fault.WRONG_NODE
                self._remember(hop, len(hop.name))
        return FINE

    def _remember(self, good: NodeRef | Hop, letters: int) -> None:
        """Remember a pointer or hop; if there is no room, forget all, to be checked again."""
        cost = 4 * letters + _ENTRY_BYTES
        if cost > self._room:
            self._good.clear()
            self._room = CACHE_BYTES
        self._room -= cost
        self._good.add(good)

    def _pointers(self, nodes: Sequence[NodeRef], *others: NodeRef | None) -> Fault:
        """Return what is wrong with a list of pointers, or with others that may be missing."""
        if len(nodes) > self._max_pointers:
            return Fault.TOO_LONG
        return self._nodes([*nodes, *(node for node in others if node is not None)])

    def _path(self, path: Sequence[NodeRef]) -> Fault:
        return Fault.TOO_LONG if len(path) > self._max_route else self._nodes(path)

    def _keys(self, *keys: bytes) -> Fault:
        return FINE if all(map(self._space.valid_raw, keys)) else Fault.WRONG_IDENTIFIER

    # ---- messages ---------------------------------------------------------------------------

    def _request(self, message: Any) -> Fault:
        return FINE if 0 <= message.rid < COUNT_LIMIT else Fault.WRONG_NUMBER

    def _answer(self, message: msg.Pong | msg.GetState) -> Fault:
        possible = 0 <= message.rid < COUNT_LIMIT and 0 <= message.status <= _LAST_STATUS
        return FINE if possible else Fault.WRONG_NUMBER

    def _state(self, message: msg.State) -> Fault:
        if not (
            0 <= message.rid < COUNT_LIMIT
            and 0 <= message.status <= _LAST_STATUS
            and 0 <= message.digest < DIGEST_LIMIT
            and _is_label(message.label)
        ):
            return Fault.WRONG_NUMBER
        return self._pointers(message.successors, message.predecessor, message.candidate)

    def _leaving(self, message: msg.Leaving) -> Fault:
        return self._pointers(message.successors, message.predecessor)

    def _finger_hint(self, message: msg.FingerHint) -> Fault:
        if not 0 <= message.ttl <= HINT_TTL:
            return Fault.WRONG_NUMBER
        return self._nodes((message.subject,)) or self._keys(message.low, message.high)

    def _try_merge(self, message: msg.TryMerge) -> Fault:
        if not 0 <= message.ttl <= MERGE_TTL:
            return Fault.WRONG_NUMBER
        return self._nodes((message.candidate,))

    def _find(self, message: msg.Find) -> Fault:
        if not (
            0 <= message.lookup < COUNT_LIMIT
            and 0 <= message.kind <= _LAST_FIND
            and 0 <= message.ttl <= self._max_ttl
        ):
            return Fault.WRONG_NUMBER
        if not self._space.valid_raw(message.key):
            return Fault.WRONG_IDENTIFIER
        return self._nodes((message.origin,)) or self._path(message.path)

    def _found(self, message: msg.Found) -> Fault:
        if not (0 <= message.lookup < COUNT_LIMIT and _is_label(message.label)):
            return Fault.WRONG_NUMBER
        return self._nodes((message.node,)) or self._path(message.path)

    def _find_failed(self, message: msg.FindFailed) -> Fault:
        if not 0 <= message.lookup < COUNT_LIMIT:
            return Fault.WRONG_NUMBER
        fits = len(message.reason) <= MAX_REASON and message.reason.isprintable()
        return FINE if fits else Fault.TOO_LONG

    def _find_next(self, message: msg.FindNext) -> Fault:
        if len(message.exclude) > MAX_EXCLUDE:
            return Fault.TOO_LONG
        if not (0 <= message.rid < COUNT_LIMIT and 0 <= message.kind <= _LAST_FIND):
            return Fault.WRONG_NUMBER
        return self._keys(message.key, *message.exclude)

    def _next(self, message: msg.Next) -> Fault:
        if not (0 <= message.rid < COUNT_LIMIT and _is_label(message.label)):
            return Fault.WRONG_NUMBER
        return self._pointers(message.nodes)

    def _bcast(self, message: msg.Bcast) -> Fault:
        if message.detours:
            hops = sum(len(detour.hops) for detour in message.detours)
            if max(hops, len(message.detours)) > self._max_route:
                return Fault.TOO_LONG
            for detour in message.detours:
                fault = self._hops(detour.hops)
                if fault:
                    return fault
        if not 0 <= message.ttl <= self._max_ttl or not 0 <= message.kind <= _LAST_EDGE:
            return Fault.WRONG_NUMBER
        # The usual case, without another call: every broadcast at every node comes through here.
        if self._good.issuperset(message.hops) and len(message.hops) <= self._max_route:
            return FINE
        return self._hops(message.hops)

    def _limit(self, message: msg.Ack) -> Fault:
        return self._keys(message.limit)

    def _covered(self, message: msg.Covered) -> Fault:
        space = self._space
        if len(message.limit) != space.width or not (
            space.whole_bytes or space.valid_raw(message.limit)
        ):
            return Fault.WRONG_IDENTIFIER
        if not (
            0 <= message.count < NODES_LIMIT
            and 0 <= message.messages < NODES_LIMIT
            and 0 <= message.depth < NODES_LIMIT
            and 0 <= message.conflict < NODES_LIMIT
            and 0 <= message.lost < NODES_LIMIT
        ):
            return Fault.WRONG_NUMBER
        if not message.unreached:
            return FINE
        if len(message.unreached) > MAX_UNREACHED:
            return Fault.TOO_LONG
        return self._nodes(message.unreached)

    def _marked_bcast(self, message: msg.MarkedBcast) -> Fault:
        return mark_fault(message.seal, message.ask) or self._bcast(message)

    def _marked_covered(self, message: msg.MarkedCovered) -> Fault:
        fault = witnesses_fault(message.witnesses) or self._covered(message)
        if not fault and message.witnesses:
            # One by one, because there may be more of them than a route has hops.
            hops = [Hop(each.raw, each.name, 0) for each in message.witnesses]
            fault = next(filter(None, (self._hops((hop,)) for hop in hops)), FINE)
        return fault

    def _compare(self, message: msg.Compare) -> Fault:
        return FINE if 0 <= message.digest < DIGEST_LIMIT else Fault.WRONG_NUMBER

    def _have(self, message: msg.Have) -> Fault:
        if max(len(message.after), len(message.last)) > 1 or len(message.origins) > MAX_LISTED:
            return Fault.TOO_LONG
        for origin, incarnation in (*message.after, *message.last):
            if not self._space.valid_raw(origin):
                return Fault.WRONG_IDENTIFIER
            if not 0 <= incarnation < COUNT_LIMIT:
                return Fault.WRONG_NUMBER
        return FINE

    def _ranges(self, message: msg.Want | msg.Lost) -> Fault:
        if len(message.ranges) > MAX_RANGES:
            return Fault.TOO_LONG
        return (
            FINE
            if all(is_range(each, self._space) for each in message.ranges)
            else Fault.WRONG_NUMBER
        )

    def _caught(self, message: msg.Caught) -> Fault:
        return self._hops(message.hops)


def _is_label(label: msg.RingLabel | None) -> bool:
    return label is None or (0 <= label.epoch < COUNT_LIMIT and 0 <= label.ring_id < LABEL_LIMIT)
