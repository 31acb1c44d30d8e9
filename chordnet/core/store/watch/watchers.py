"""The nodes that want to hear when a key that this node holds is written.

A node that watches says so every few seconds and with every change of the slot's members, so what
is noted here may be lost, and is forgotten soon after it stops. It says which version it knows. If
this node has accepted a later one, it is told, a moment after the accept: what is written many
times in that moment is told once, and the writer is most likely done by then.

Any node can say that it watches, so there is a limit to what one node and all together may have
noted here. Beyond it nothing is noted, and who watches finds new versions by reading, later.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs

from chordnet.core.store.watch.host import Bell, Host
from chordnet.core.store.watch.messages import Stirred, Watch, in_pages

WATCHER_S = 15.0
"""After this time without a word a node counts as one that does not watch any more."""
HINT_S = 0.01
"""Between an accept and the hint of it."""
MOST_KEYS_OF_ONE = 1024
"""Keys that one node may watch here."""
MOST_BYTES = 4_194_304
"""Of all keys that are watched here, each counted once for every node that watches it."""
COST = 64
"""Bytes that an entry counts beside its key."""


@attrs.define
class _Watcher:
    """What one node said of one key."""

    until: float
    version: int
    """The latest that it knows, or has been told of."""


class Watchers:
    """Who watches what this node holds.

    :param version: returns the version that is accepted here, 0 for a key without a record; None
        for one that is not held here.
    """

    def __init__(self, host: Host, version: Callable[[bytes], int | None]) -> None:
        self._host = host
        self._version = version
        self._of_key: dict[bytes, dict[str, _Watcher]] = {}
        self._keys_of: dict[str, int] = {}
        self.bytes = 0
        """Of what is noted."""
        self._stirred: dict[bytes, None] = {}

    def __len__(self) -> int:
        return sum(self._keys_of.values())

    def on_watch(self, sender: str, message: Watch) -> None:
        """Note that a node watches, and tell it what it does not know."""
        for key, version in message.keys:
            present = self._version(key)
            if present is None or not self._note(sender, key, version):
                continue
            # A record that is gone was a tombstone that everybody had: later than what it buried.
            if present > version or (version and not present):
                self._stir(key)

    def _note(self, node: str, key: bytes, version: int) -> bool:
        watchers = self._of_key.get(key, {})
        until = self._host.now + WATCHER_S
        if node in watchers:
            watchers[node].until, watchers[node].version = until, version
            return True
        size = len(key) + COST
        many = self._keys_of.get(node, 0)
        if many >= MOST_KEYS_OF_ONE or self.bytes + size > MOST_BYTES:
            return False
        self._of_key.setdefault(key, watchers)[node] = _Watcher(until, version)
        self._keys_of[node] = many + 1
        self.bytes += size
        self._host.sooner(Bell.SWEEP, 0, WATCHER_S)
        return True

    def accepted(self, key: bytes) -> None:
        """Note that this node may have accepted something for a key."""
        if key in self._of_key:
            self._stir(key)

    def _stir(self, key: bytes) -> None:
        self._stirred[key] = None
        self._host.sooner(Bell.HINT, 0, HINT_S)

    def hint(self) -> None:
        """Tell the nodes that watch what was written."""
        hints: dict[str, list[tuple[bytes, int]]] = {}
        for key in self._stirred:
            version = self._version(key)
            if version is None:
                continue
            for node, watcher in self._of_key.get(key, {}).items():
                if version > watcher.version or (watcher.version and not version):
                    watcher.version = version
                    hints.setdefault(node, []).append((key, version))
        self._stirred.clear()
        for node, keys in hints.items():
            for part in in_pages(keys):
                self._host.say(node, Stirred(self._host.formation, part))

    def sweep(self) -> None:
        """Forget nodes that watch no more."""
        now = self._host.now
        for key, watchers in list(self._of_key.items()):
            for node in [node for node, each in watchers.items() if each.until <= now]:
                del watchers[node]
                self.bytes -= len(key) + COST
                self._keys_of[node] -= 1
                if not self._keys_of[node]:
                    del self._keys_of[node]
            if not watchers:
                del self._of_key[key]
        if self._of_key:
            self._host.sooner(Bell.SWEEP, 0, WATCHER_S)
