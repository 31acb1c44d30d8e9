"""The keys that clients of this node watch.

A watch tells revisions of one key: in ascending order, each once, and in the end the newest. Each
is **what a read of this node has found**, a linearizable one as any client's, so only what is
confirmed is told. Revisions that were overwritten before a read saw them are told as a gap before
the next one. All watches of one key share its reads.

What makes this node read:

- A *hint* of a member of the key's slot that has accepted a later version. Members are told again
  and again what is watched here, with the version that is known here, so a hint that was lost
  comes again. A hint proves nothing. If a read finds nothing new after it, the next one is heeded
  later, so hints that promise too much cost little.
- The expiry of the value. Nobody writes the tombstone of what has expired until somebody asks.
- Time: every :data:`POLL_S` or so, if all hints are lost.

While a key is unavailable nothing is told of it; the watch goes on when it can be read again.
"""

from __future__ import annotations

from functools import partial

import attrs

from chordnet.core.store.base.effects import Revised, Unwatched, WatchEnd
from chordnet.core.store.base.outcomes import Found, Outcome
from chordnet.core.store.base.records import Content
from chordnet.core.store.watch.host import Bell, Host
from chordnet.core.store.watch.messages import Stirred, Watch, in_pages

RENEW_S = 3.0
"""Between two times that members are told what is watched here."""
POLL_S = 15.0
"""Between two reads of a key of which nothing is heard, on average."""
EXPIRED_S = 0.1
"""After the time at which a value expires it is read; and again, while other clocks are behind."""
SHORTEST_PAUSE_S = 0.02
"""Before the next read if the last one failed, or found nothing new after a hint; doubled every
time."""
LONGEST_PAUSE_S = 2.0
MOST_READS = 64
"""Reads of watched keys at the same time."""
MOST_KEYS = 1024
"""Keys that are watched through one node."""
MOST_WATCHES = 4096
"""Watches of one node."""


@attrs.define
class _Watch:
    """One watch: what it was told last."""

    last: int | None
    """The latest version that its client knows; None: it begins with whatever there is."""
    absent: bool = False
    """Whether its client knows that there was no value since."""
    begun: bool = False
    """Whether the read under way, or the last one, began after this watch. What an earlier one
    finds may be older than what the client was told before it asked for the watch."""


@attrs.define
class _Key:
    """One key that is watched."""

    key: bytes
    number: int
    watches: dict[int, _Watch] = attrs.field(factory=dict)
    content: Content | None = None
    """What was found last."""
    reading: bool = False
    again: bool = False
    """Whether a watch has begun since the read under way did."""
    hinted: int = 0
    """The latest version that was hinted at since the last read began."""
    ended: float = 0.0
    """When the last read ended."""
    vain: int = 0
    """Reads one after the other that failed, or did not find what was hinted at."""


class Watching:
    """The watches of one node's clients."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._keys: dict[bytes, _Key] = {}
        self._by_number: dict[int, _Key] = {}
        self._of_watch: dict[int, _Key] = {}
        self._number = 0
        self._reads = 0
        self._queue: dict[int, None] = {}
        """Numbers of keys that wait for their turn to be read."""

    def __len__(self) -> int:
        return len(self._of_watch)

    @property
    def keys(self) -> int:
        """How many keys are watched."""
        return len(self._keys)

    # ---- watches ----------------------------------------------------------------------------

    def start(self, watch: int, key: bytes, since: int | None) -> None:
        """Begin a watch, unless there are too many."""
        known = self._keys.get(key)
        if len(self._of_watch) >= MOST_WATCHES or (known is None and len(self._keys) >= MOST_KEYS):
            self._host.tell(Unwatched(watch, WatchEnd.FULL))
            return
        if known is None:
            self._number += 1
            known = self._keys[key] = self._by_number[self._number] = _Key(key, self._number)
        known.watches[watch] = _Watch(since)
        self._of_watch[watch] = known
        if known.reading:
            known.again = True
        self._read(known)
        self._host.sooner(Bell.RENEW, 0, self._host.jittered(RENEW_S))

    def stop(self, watch: int) -> None:
        """End a watch, if there is one of this number."""
        known = self._of_watch.pop(watch, None)
        if known is None:
            return
        del known.watches[watch]
        if not known.watches:
            del self._keys[known.key], self._by_number[known.number]
            self._queue.pop(known.number, None)
            self._host.cancel(Bell.LOOK, known.number)

    def close(self) -> None:
        """End all watches: this node leaves the formation."""
        for watch in list(self._of_watch):
            self.stop(watch)
            self._host.tell(Unwatched(watch, WatchEnd.CLOSED))

    # ---- reading ----------------------------------------------------------------------------

    def _read(self, known: _Key) -> None:
        if known.reading:
            return
        if self._reads >= MOST_READS:
            self._queue[known.number] = None
            return
        self._reads += 1
        known.reading, known.again = True, False
        for told in known.watches.values():
            told.begun = True
        self._host.cancel(Bell.LOOK, known.number)
        hinted, known.hinted = known.hinted, 0
        self._host.read(known.key, partial(self._over, known, hinted))

    def _over(self, known: _Key, hinted: int, outcome: Outcome) -> None:
        """Take the end of a read.

        :param hinted: the version because of which it was begun; 0 if that is not the reason.
        """
        self._reads -= 1
        known.reading, known.ended = False, self._host.now
        if known.watches:
            self._heed(known, hinted, outcome)
        if self._queue:
            number = next(iter(self._queue))
            del self._queue[number]
            self._read(self._by_number[number])

    def _heed(self, known: _Key, hinted: int, outcome: Outcome) -> None:
        host, before, pause = self._host, known.content, POLL_S
        if not isinstance(outcome, Found):
            known.vain += 1
            host.later(Bell.LOOK, known.number, host.jittered(_pause(known.vain)))
            return
        content = known.content = outcome.content
        known.vain = known.vain + 1 if hinted > content.version else 0
        for watch, told in list(known.watches.items()):
            if told.begun:
                self._tell(watch, told, content)
        if not known.watches:
            return
        if before is None:
            self._announce([known])
        if content.expires is not None:
            pause = min(pause, max(content.expires - host.wall, 0.0) + EXPIRED_S)
        if known.hinted > content.version:
            pause = min(pause, _pause(known.vain))
        host.later(Bell.LOOK, known.number, 0.0 if known.again else host.jittered(pause))

    def look(self, number: int) -> None:
        """Read a key whose time has come."""
        known = self._by_number.get(number)
        if known is not None:
            self._read(known)

    def _tell(self, watch: int, told: _Watch, content: Content) -> None:
        """Tell one watch of what was found, if that is news to it."""
        version, last = content.version, told.last
        if version == 0 and last:
            # The tombstone has been collected, and its version with it.
            if not told.absent:
                told.absent = True
                self._host.tell(Revised(watch, content, None))
        elif last is None or version > last:
            gap = None if last is None or version == last + 1 else (last + 1, version - 1)
            told.last, told.absent = version, content.value is None
            self._host.tell(Revised(watch, content, gap))
        elif version < last:
            self.stop(watch)
            self._host.tell(Unwatched(watch, WatchEnd.BACK))
        else:
            told.absent = content.value is None

    # ---- hints ------------------------------------------------------------------------------

    def on_stirred(self, sender: str, message: Stirred) -> None:
        """Read what a member says that it has accepted, if that is news."""
        for key, version in message.keys:
            known = self._keys.get(key)
            if known is None or sender not in self._host.members(key):
                continue
            content = known.content
            present = 0 if content is None else content.version
            # Of a record that is gone, 0: what was known is gone with it.
            later = present + 1 if present and not version else version
            if later > max(present, known.hinted):
                self._stir(known, later)

    def _stir(self, known: _Key, version: int) -> None:
        known.hinted = version
        if known.reading:
            return  # its end looks at what was hinted at meanwhile
        left = known.ended + _pause(known.vain) - self._host.now
        if known.vain and left > 0:
            self._host.sooner(Bell.LOOK, known.number, left)
        else:
            self._read(known)

    def renew(self) -> None:
        """Tell members what is watched here."""
        if self._keys:
            self._announce(list(self._keys.values()))
            self._host.sooner(Bell.RENEW, 0, self._host.jittered(RENEW_S))

    def moved(self) -> None:
        """Tell the members soon: a slot has others."""
        if self._keys:
            self._host.sooner(Bell.RENEW, 0, SHORTEST_PAUSE_S)

    def _announce(self, some: list[_Key]) -> None:
        host = self._host
        said: dict[str, list[tuple[bytes, int]]] = {}
        for known in some:
            if known.content is None:
                continue  # the first read announces it
            for node in host.members(known.key):
                said.setdefault(node, []).append((known.key, known.content.version))
        for node, keys in said.items():
            for part in in_pages(keys):
                host.say(node, Watch(host.formation, part))


def _pause(vain: int) -> float:
    """Return how long to wait after so many reads in vain."""
    return min(LONGEST_PAUSE_S, SHORTEST_PAUSE_S * 2.0 ** min(vain, 10))
