"""Letters to the stores of other nodes, which are called by their names.

Where a node is, is known from what it has sent. Any other name is looked up in the ring, since the
node owns the key that is its name, and what is to be sent there waits. Letters may be lost: the
store says again what has to arrive.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from chordnet.core.base.errors import Busy, ChordnetError, NotInRing
from chordnet.core.base.messages import NodeRef
from chordnet.net.base.interfaces import Core, LookupDoneWith, Transport
from chordnet.net.base.shared import Shared
from chordnet.wire.rpc import LookupResult

MAX_WAITING_BYTES = 1 << 20
"""Letters that wait until the node they are for is found."""
MAX_NAMES = 4096
"""Nodes of which the pointer is remembered."""


class Ring(Protocol):
    """What a store needs of the node that it belongs to."""

    @property
    def core(self) -> Core: ...
    @property
    def transport(self) -> Transport: ...
    def find(self, key: str, done: LookupDoneWith) -> None:
        """Look up the owner of a key."""


class Letters:
    """Sends the letters of one store.

    :param lost: called with a name that no node has.
    """

    def __init__(self, shared: Shared, ring: Ring, lost: Callable[[str], None]) -> None:
        self._space = shared.space
        self._turn = shared.turn
        self._ring = ring
        self._lost = lost
        self._refs: dict[str, NodeRef] = {}
        """In the order in which they were heard of last."""
        self._looked_up: dict[str, list[bytes]] = {}
        """Nodes that are being looked up, and the letters that wait for them."""
        self._waiting_bytes = 0

    def heard(self, node: NodeRef) -> None:
        """Remember where a node is."""
        self._refs.pop(node.name, None)
        if len(self._refs) >= MAX_NAMES:
            del self._refs[next(iter(self._refs))]
        self._refs[node.name] = node

    def forget(self, name: str) -> None:
        """Look the node up before the next letter to it."""
        self._refs.pop(name, None)

    def send(self, name: str, letter: bytes) -> None:
        """Send a letter to the node of this name."""
        ref = self._refs.get(name)
        if ref is not None:
            self._ring.transport.mail(ref, letter)
            return
        if self._waiting_bytes + len(letter) > MAX_WAITING_BYTES:
            return
        self._waiting_bytes += len(letter)
        letters = self._looked_up.get(name)
        if letters is not None:
            letters.append(letter)
            return
        self._looked_up[name] = [letter]
        # Not in the middle of a step: the ring's machine may be in one itself.
        self._turn.before(partial(self._look_up, name))

    def _look_up(self, name: str) -> None:
        try:
            self._ring.find(name, partial(self._found, name))
        except ChordnetError as problem:
            self._found(name, problem)

    def _found(self, name: str, found: LookupResult | ChordnetError) -> None:
        letters = self._looked_up.pop(name)
        self._waiting_bytes -= sum(map(len, letters))
        if isinstance(found, Busy | NotInRing):
            return  # this says nothing of the other node
        ref = self._ring.core.known(self._space.raw(self._space.hash(name.encode())))
        if isinstance(found, ChordnetError) or found.owner.name != name or ref is None:
            self._lost(name)
            return
        self.heard(ref)
        for letter in letters:
            self._ring.transport.mail(ref, letter)
