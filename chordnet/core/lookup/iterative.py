"""The progress of an iterative lookup: which nodes it has asked, and which it could ask next.

- The nodes that the last answer named come first; those that earlier answers named are kept as
  alternatives, up to a limit.
- A node is asked at most twice: once as a node on the way, once as the supposed owner.
- A silent node is left out from then on, and every node asked is told of it. The node that named it
  knows others, and is asked again. A silent node counts as alive again if its own neighbour vouches
  for it, because the silence may have been one lost message.
- When no node is left to ask, the lookup begins again, and also asks those that were silent but are
  not known to be dead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from chordnet.core.base.limits import MAX_EXCLUDE
from chordnet.core.base.messages import NodeRef

MAX_STEPS = 512
"""Questions that one iterative lookup may ask."""
MAX_CANDIDATES = 16
"""Nodes that an iterative lookup keeps as alternatives."""

Stop = tuple[NodeRef, bool]
"""A node, and whether it is asked as the supposed owner."""


@attrs.define
class Walk:
    """The progress of one iterative lookup."""

    silent: dict[bytes, None]
    """Nodes found silent, the latest at the end; at first those known to be dead."""
    trail: list[Stop] = attrs.field(factory=list)
    """Nodes that answered so far."""
    candidates: list[Stop] = attrs.field(factory=list)
    last: bool = False
    """Whether the node that is being asked is the supposed owner."""
    _asked: set[tuple[bytes, bool]] = attrs.field(factory=set)
    _steps: int = 0

    @property
    def path(self) -> list[NodeRef]:
        """The nodes that answered so far."""
        return [node for node, _ in self.trail]

    @property
    def exclude(self) -> list[bytes]:
        """The silent nodes that the next question names."""
        return list(self.silent)[-MAX_EXCLUDE:]

    def may_go_on(self) -> bool:
        """Count one more step; return True if it may be taken."""
        self._steps += 1
        return self._steps <= MAX_STEPS

    def best(self) -> Stop | None:
        """Remove candidates up to the first that is worth asking, and return that one."""
        while self.candidates:
            node, last = self.candidates.pop(0)
            if node.raw not in self.silent and (node.raw, last) not in self._asked:
                self._asked.add((node.raw, last))
                return node, last
        return None

    def advised(self, nodes: Iterable[NodeRef], *, last: bool) -> None:
        """Add ``nodes``, named by this node itself; ``last`` if as supposed owners."""
        self.candidates[:0] = [(node, last) for node in nodes]

    def offered(self, nodes: Sequence[NodeRef], *, last: bool) -> None:
        """Add ``nodes``, named by the node asked; ``last`` if as supposed owners."""
        if self.last and last:
            # The neighbour vouches for these nodes: their silence may have been a lost message.
            for node in nodes:
                self.silent.pop(node.raw, None)
                self._asked.discard((node.raw, True))
        self.candidates = [*((node, last) for node in nodes), *self.candidates][:MAX_CANDIDATES]

    def ask_again(self) -> None:
        """Put the last node of the trail first in line, to be asked once more."""
        node, last = self.trail.pop()
        self._asked.discard((node.raw, last))
        self.candidates.insert(0, (node, last))

    def begin_again(self, me: NodeRef, dead: dict[bytes, None]) -> bool:
        """Begin again here with all but the ``dead``; return False if that leads no further."""
        if self.silent.keys() <= dead.keys():
            return False
        self.silent = dead
        self._asked.clear()
        self.trail = [(me, False)]
        return True
