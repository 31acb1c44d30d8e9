"""A run's history, as a hash of every byte of it and as lines to read.

The hash covers every step: its time, the host, the event and all effects. Two runs with the same
hash went through the same history.
"""

from __future__ import annotations

import hashlib
import struct
from collections import deque
from typing import TYPE_CHECKING

import msgspec

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base.messages import NodeRef

if TYPE_CHECKING:
    from chordnet.sim.world.host import Host
    from chordnet.sim.world.network import Network

_PREFIX = struct.Struct(">dI")
WIDEST = 160
"""Characters of one line of history."""


class TraceHash:
    """A watcher that hashes every step of ``network``."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._hash = hashlib.blake2b(digest_size=16)
        self._encode = msgspec.msgpack.Encoder().encode
        network.watchers.append(self)

    def stepped(self, host: Host, event: ev.Event, effects: list[fx.Effect]) -> None:
        """Take a step in."""
        self._hash.update(_PREFIX.pack(self._network.now, host.number))
        self._hash.update(self._encode((event, effects)))

    def faulted(self, host: Host, what: str) -> None:
        """Take in what was done to ``host``."""
        self._hash.update(f"{self._network.now!r} {host.number} {what}".encode())

    def digest(self) -> str:
        """Return the hash so far, as hex."""
        return self._hash.hexdigest()


class History:
    """A watcher that keeps the last ``length`` steps of ``network`` as lines to read."""

    def __init__(self, network: Network, length: int = 200) -> None:
        self._network = network
        self._lines: deque[str] = deque(maxlen=length)
        network.watchers.append(self)

    def stepped(self, host: Host, event: ev.Event, effects: list[fx.Effect]) -> None:
        """Write a step down."""
        self._add(host, _describe(event))
        for effect in effects:
            if not isinstance(effect, fx.FingersChanged | fx.PeersKnown):
                self._lines.append(_cut(f"{'':26}-> {_describe(effect)}"))

    def faulted(self, host: Host, what: str) -> None:
        """Write down what was done to ``host``."""
        self._add(host, what.upper())

    def _add(self, host: Host, text: str) -> None:
        self._lines.append(_cut(f"{self._network.now:12.6f} {host.ref.name:>12} {text}"))

    def lines(self) -> list[str]:
        """Return the kept lines, the latest last."""
        return list(self._lines)


def _cut(line: str) -> str:
    return line if len(line) <= WIDEST else line[: WIDEST - 1] + "…"


def _describe(thing: object) -> str:
    """Return a short text for an event, an effect or a message: nodes by name, ids left out."""
    if isinstance(thing, ev.Received):
        return f"got {_describe(thing.message)} from {thing.sender.name}"
    if isinstance(thing, fx.Send):
        return f"{_describe(thing.message)} to {thing.to.name or thing.to.address}"
    if isinstance(thing, NodeRef):
        return thing.name or thing.address
    if isinstance(thing, list | tuple):
        return "[" + " ".join(map(_describe, thing)) + "]"
    if isinstance(thing, bytes):
        return thing[:4].hex()
    if isinstance(thing, msgspec.Struct):
        values = ((name, getattr(thing, name)) for name in thing.__struct_fields__)
        shown = [f"{name}={_describe(value)}" for name, value in values if value not in (None, [])]
        return f"{type(thing).__name__}({', '.join(shown)})"
    return str(thing)
