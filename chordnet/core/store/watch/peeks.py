"""Reads from the past: what one member has of a key, with how old that may be.

If this node is a member it answers itself. Otherwise one member after the other is asked, those
first that were heard from last, until one has answered. What it has may have been overwritten,
long ago if it is cut off; it may even be what was accepted once and never confirmed. That is why
the answer says which epoch the member is in, and when it heard from a majority of the members.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from chordnet.core.store.base.configurations import Configuration
from chordnet.core.store.base.effects import Answered
from chordnet.core.store.base.outcomes import Stale, Unavailable
from chordnet.core.store.base.records import EMPTY
from chordnet.core.store.watch.host import Bell, Host
from chordnet.core.store.watch.messages import Peek, Peeked

NEXT_S = 0.3
"""After this time without an answer the next member is asked, too."""


@attrs.define
class _Peek:
    """One read from the past."""

    op: int
    key: bytes
    configuration: Configuration
    until: float
    waiting: list[str]
    """Members that were not asked yet."""
    asked: set[str] = attrs.field(factory=set)
    without: set[str] = attrs.field(factory=set)
    """Members that do not hold the slot."""


class Peeks:
    """The reads from the past of one node's clients.

    :param own: returns what this node has, as it answers other nodes.
    """

    def __init__(self, host: Host, own: Callable[[Peek], Peeked]) -> None:
        self._host = host
        self._own = own
        self._peeks: dict[int, _Peek] = {}

    def start(self, op: int, key: bytes, timeout: float, configuration: Configuration) -> None:
        """Begin one.

        :param configuration: the newest of the key's slot that is known here.
        """
        host = self._host
        peek = Peek(host.formation, host.rid(), key)
        mine = self._own(peek)
        if mine.epoch:
            self._end(op, host.me, mine)
            return
        others = sorted(
            (member.node for member in configuration.members if member.node != host.me),
            key=lambda node: (host.is_lost(node), -host.heard_at(node)),
        )
        self._peeks[peek.rid] = _Peek(op, key, configuration, host.now + timeout, others)
        self.go_on(peek.rid)

    def go_on(self, rid: int) -> None:
        """Ask the next member, or end."""
        peek, host = self._peeks.get(rid), self._host
        if peek is None:
            return
        if host.now >= peek.until or not (peek.waiting or peek.asked - peek.without):
            self._give_up(rid, peek)
            return
        pause = peek.until - host.now
        if peek.waiting:
            node = peek.waiting.pop(0)
            peek.asked.add(node)
            host.say(node, Peek(host.formation, rid, peek.key))
            pause = min(pause, NEXT_S)
        host.later(Bell.PEEK, rid, pause)

    def lost(self, node: str) -> None:
        """Count a node that cannot be reached as one that answers nothing."""
        for rid, peek in list(self._peeks.items()):
            if node in peek.asked and node not in peek.without:
                peek.without.add(node)
                self.go_on(rid)

    def on_peeked(self, sender: str, message: Peeked) -> None:
        """Take an answer."""
        peek = self._peeks.get(message.rid)
        if peek is None or sender not in peek.asked:
            return
        if not message.epoch:
            peek.without.add(sender)
            self.go_on(message.rid)
            return
        self._drop(message.rid)
        self._end(peek.op, sender, message)

    def close(self) -> None:
        """End all: this node leaves the formation."""
        for rid, peek in list(self._peeks.items()):
            self._give_up(rid, peek)

    def _give_up(self, rid: int, peek: _Peek) -> None:
        self._drop(rid)
        present = peek.configuration
        outcome = Unavailable(present.epoch, present.members, len(present.members))
        self._host.tell(Answered(peek.op, outcome))

    def _drop(self, rid: int) -> None:
        del self._peeks[rid]
        self._host.cancel(Bell.PEEK, rid)

    def _end(self, op: int, node: str, told: Peeked) -> None:
        age = told.age_s if told.age_s >= 0 else None
        self._host.tell(Answered(op, Stale(told.content, node, told.epoch, age)))


def nothing(peek: Peek) -> Peeked:
    """Return the answer of a node that does not hold the key."""
    return Peeked(peek.formation, peek.rid, 0, EMPTY, -1.0)
