"""A register for every key, in memory, that answers as the real store does, or as it is told to."""

from __future__ import annotations

from collections.abc import Callable

from chordnet.core.base.errors import ChordnetError
from chordnet.core.store.base.configurations import Member
from chordnet.core.store.base.outcomes import (
    Conflict,
    Done,
    Found,
    Outcome,
    Stale,
    Unavailable,
    Unconfirmed,
    Untold,
)
from chordnet.core.store.base.records import EMPTY, Content
from chordnet.core.store.base.requests import Get, Put
from chordnet.net.base.interfaces import KeyDone, Told

Ended = Callable[[ChordnetError], None]
FORMATION = bytes(range(16))
MEMBERS = tuple(Member(f"Node {number}", number) for number in (4, 9, 12))
SLOT = 63


class FakeStore:
    """A ``KeyStore`` without nodes.

    :param wall: what time it is, for values that expire.
    :param later: calls a function after some seconds, so that watches hear of what expires.

    ``ends`` has how the next operations end, if not as usual: an outcome or an error that is told
    without anything being done, or one of the methods ``lost`` (done, and told to be unconfirmed)
    and ``silent`` (nothing is told).
    """

    def __init__(
        self, wall: Callable[[], float], later: Callable[..., object] = lambda *_: None
    ) -> None:
        self._wall = wall
        self._later = later
        self._number = 0
        self.watches: dict[int, tuple[bytes, int | None, Told, Ended]] = {}
        """By number: the key, the version that it was told last, and the callbacks."""
        self.contents: dict[bytes, Content] = {}
        self.asked: list[tuple[Get | Put, float]] = []
        """What was asked for, with its time limit."""
        self.ends: list[Outcome | ChordnetError | Callable[[Get | Put, KeyDone], None]] = []
        self.refuses: ChordnetError | None = None
        """Raised instead of beginning anything."""
        self.held: list[KeyDone] = []
        """The callbacks of operations that nothing was told of."""
        self.slot: int | None = SLOT

    def ask(self, asked: Get | Put, timeout_s: float, done: KeyDone) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.asked.append((asked, timeout_s))
        if not self.ends:
            done(self.outcome(asked))
            return
        end = self.ends.pop(0)
        if callable(end):
            end(asked, done)
        else:
            done(end)

    def watch(self, key: bytes, since: int | None, told: Told, ended: Ended) -> Callable[[], None]:
        if self.refuses is not None:
            raise self.refuses
        self._number += 1
        number = self._number
        self.watches[number] = key, since, told, ended
        self._notify(number, self.present(key))
        return lambda: self.watches.pop(number, None) and None

    def _notify(self, number: int, content: Content) -> None:
        key, last, told, ended = self.watches[number]
        if last is None or content.version > last:
            version, gap = content.version, None
            if last is not None and version > last + 1:
                gap = last + 1, version - 1
            self.watches[number] = key, version, told, ended
            if content.expires is not None:
                self._later(max(0.0, content.expires - self._wall()), self.present, key)
            told(content, gap)

    def _set(self, key: bytes, content: Content) -> None:
        self.contents[key] = content
        for number, (watched, *_) in list(self.watches.items()):
            if watched == key and number in self.watches:
                self._notify(number, content)

    def slot_of(self, key: bytes) -> int | None:
        return self.slot

    def lost(self, asked: Get | Put, done: KeyDone) -> None:
        """Do it, and tell that this is not known."""
        assert isinstance(asked, Put)
        since = asked.since if asked.since is not None else self.present(asked.key).version
        self.outcome(asked)
        done(Unconfirmed(since))

    def silent(self, asked: Get | Put, done: KeyDone) -> None:
        """Tell nothing."""
        self.held.append(done)

    def present(self, key: bytes) -> Content:
        """Return what a key has now."""
        content = self.contents.get(key, EMPTY)
        if content.expires is not None and content.expires <= self._wall():
            content = content.written(None, b"expired")
            self._set(key, content)
        return content

    def outcome(self, asked: Get | Put) -> Outcome:
        """Do what was asked for, and return how it ends."""
        present = self.present(asked.key)
        if isinstance(asked, Get):
            if asked.stale:
                return Stale(present, MEMBERS[0].node, 1, 0.5)
            return Found(present)
        version = present.version_of(asked.request)
        if version is not None:
            return self._done(version)
        if asked.since is not None and not present.reaches_back(asked.since):
            return Untold()
        if not asked.fits(present):
            return Conflict(present)
        written = present.written(asked.value, asked.request, expires=asked.expires)
        self._set(asked.key, written)
        return self._done(written.version)

    def _done(self, version: int) -> Done:
        return Done(FORMATION, SLOT, 1, version, MEMBERS[:2], MEMBERS[2:])


def unavailable(*missing: int) -> Unavailable:
    """Return the end of an operation of whose members these do not answer."""
    names = tuple(member for member in MEMBERS if member.store in missing)
    return Unavailable(1, names, len(MEMBERS))
