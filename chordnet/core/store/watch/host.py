"""What watches and reads from the past need of the node that they are a part of."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Protocol

from chordnet.core.store.base.effects import NodeEffect
from chordnet.core.store.base.outcomes import Outcome
from chordnet.core.store.watch.messages import AsideMessage


class Bell(enum.IntEnum):
    """What an alarm is for."""

    RENEW = enum.auto()
    """Members are told again of what is watched here."""
    LOOK = enum.auto()
    """A watched key, by its number, is to be read."""
    HINT = enum.auto()
    """Nodes that watch keys are told what was written."""
    SWEEP = enum.auto()
    """Nodes that have not said for long that they watch are forgotten."""
    PEEK = enum.auto()
    """A read from the past, by its number, asks the next member, or ends."""


class Host(Protocol):
    """One node in a formation."""

    @property
    def formation(self) -> bytes: ...
    @property
    def me(self) -> str: ...
    @property
    def now(self) -> float:
        """Seconds on a clock that never goes back."""

    @property
    def wall(self) -> float:
        """The wall clock, seconds since 1970."""

    def rid(self) -> int:
        """Return a number that no other question of this node has."""

    def jittered(self, delay: float) -> float:
        """Return a delay of at least the half of this one."""

    def say(self, to: str, message: AsideMessage) -> None:
        """Send a message to a node, which may be this one."""

    def tell(self, effect: NodeEffect) -> None:
        """Ask for an effect at the end of this step."""

    def read(self, key: bytes, then: Callable[[Outcome], None]) -> None:
        """Read a key as every client does, and call ``then`` with the end of it."""

    def members(self, key: bytes) -> Sequence[str]:
        """Return the nodes that hold a key, as far as this node knows."""

    def heard_at(self, node: str) -> float:
        """Return when a node has said something last; if it never has, long ago."""

    def is_lost(self, node: str) -> bool:
        """Return True if a node cannot be reached."""

    def sooner(self, bell: Bell, number: int, delay: float) -> None:
        """Set an alarm, unless it rings earlier anyway."""

    def later(self, bell: Bell, number: int, delay: float) -> None:
        """Set an alarm, replacing an earlier one."""

    def cancel(self, bell: Bell, number: int) -> None:
        """Cancel an alarm."""
