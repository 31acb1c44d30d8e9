"""What has been recorded, and what has been given up: intervals of numbers for each origin.

Every incarnation of an origin numbers its broadcasts 1, 2, 3, … For each the ledger keeps two sets:

- *known*: the numbers recorded, and those given up.
- *lost*, a part of these: the numbers given up, because no node keeps them any more. A lost number
  is not asked for again and never counts as recorded. If its message comes after all, it is
  recorded, and the number is no longer lost.

A number far ahead of the others opens an interval of its own and changes nothing else. There is
room for ``MAX_INTERVALS`` intervals of each kind. Beyond that, the narrowest gap between two known
intervals is closed as lost; if there are too many lost intervals, the two nearest are joined and
what was recorded between them counts as lost, too. From then on the lost numbers of that origin are
*blurred*: a message may have been recorded before, so no lost number is recorded any more.

The number of origins is limited, too. Origins with few messages are forgotten first, the least
recently recorded of them before the others; origins that this node has met are forgotten last. So
a peer cannot flush an origin out by inventing others.

Two ledgers are compared by a digest of 64 bits, the sum of a polynomial of the sequence number for
every number known. Its coefficients are drawn from the origin, and sums of powers have closed
forms, so an interval costs a few multiplications.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

from chordnet.core.base import intervals
from chordnet.core.base.intervals import Intervals
from chordnet.core.base.messages import LedgerState, MessageId, OriginState, Range
from chordnet.core.log.digests import Digests

MASK = (1 << 64) - 1
MAX_INTERVALS = 1024
"""Intervals of known numbers, and of lost ones, that one origin may have."""
MAX_BOUNDS = 262_144
"""Bounds of known intervals of all origins together: 10 MB at most."""
FEW = 64
"""An origin with fewer numbers than that is among the first to be forgotten."""

OriginKey = tuple[bytes, int]


class _Origin:
    __slots__ = ("blurred", "coefficients", "count", "known", "lost")

    def __init__(self, key: OriginKey) -> None:
        self.known: Intervals = []
        self.lost: Intervals = []
        self.blurred = False
        self.count = 0
        """Numbers added one by one; not exact, because it only has to tell few from many."""
        seed = hashlib.blake2b(key[0] + b"%d" % key[1], digest_size=24).digest()
        self.coefficients = tuple(int.from_bytes(seed[i : i + 8]) for i in (0, 8, 16))

    def weight(self, n: int) -> int:
        """Return the number's share of the digest."""
        a, b, c = self.coefficients
        return n * (a + n * (b + n * c))

    def weight_of(self, first: int, end: int) -> int:
        """Return the sum of ``weight`` from ``first`` to before ``end``."""
        return self._weight_to(end - 1) - self._weight_to(first - 1)

    def _weight_to(self, n: int) -> int:
        a, b, c = self.coefficients
        triangle = n * (n + 1) // 2
        return a * triangle + b * (triangle * (2 * n + 1) // 3) + c * triangle * triangle

    def total(self) -> int:
        """Return the origin's share of the digest."""
        return sum(self.weight_of(first, end) for first, end in intervals.pairs(self.known))


class Ledger:
    """Tells new messages from recorded ones in bounded space.

    :param max_origins: how many origins are remembered.
    :param is_met: returns True if this node has met the node with an identifier; such go last.
    """

    def __init__(
        self, max_origins: int, is_met: Callable[[bytes], bool] = lambda _raw: False
    ) -> None:
        self._max_origins = max_origins
        self._is_met = is_met
        self._few: OrderedDict[OriginKey, _Origin] = OrderedDict()
        self._many: OrderedDict[OriginKey, _Origin] = OrderedDict()
        self._keys: list[OriginKey] = []
        """All origins in order, so that comparing does not have to sort them."""
        self._bounds = 0
        self._sum = 0
        self.digests = Digests()
        """Which bodies were recorded."""
        self.given_up: list[Range] = []
        """Gaps that were closed because there was no room, until they are reported."""

    def __contains__(self, message_id: MessageId) -> bool:
        """Return True if the message was recorded."""
        origin = self._get((message_id.origin, message_id.incarnation))
        number = message_id.sequence
        return (
            origin is not None
            and intervals.contains(origin.known, number)
            and not (origin.lost and intervals.contains(origin.lost, number))
        )

    def __len__(self) -> int:
        """Return the number of origins."""
        return len(self._keys)

    @property
    def digest(self) -> int:
        """A digest of everything known, 64 bits."""
        return self._sum & MASK

    @property
    def bounds(self) -> int:
        """Bounds of known intervals that are held, of all origins together."""
        return self._bounds

    def lost(self) -> Iterator[Range]:
        """Yield what was given up."""
        for key in self._keys:
            for first, end in intervals.pairs(self._origin(key).lost):
                yield Range(*key, first, end)

    def is_known(self, message_id: MessageId) -> bool:
        """Return True if the message was recorded or given up."""
        origin = self._get((message_id.origin, message_id.incarnation))
        return origin is not None and intervals.contains(origin.known, message_id.sequence)

    def may_record(self, message_id: MessageId) -> bool:
        """Return True if the message is new, or was given up and can be told from a recorded one.

        :raises KeyError: its number is not known.
        """
        origin = self._origin((message_id.origin, message_id.incarnation))
        return not origin.blurred and intervals.contains(origin.lost, message_id.sequence)

    def weight(self, message_id: MessageId) -> int:
        """Return a known message's share of the digest."""
        origin = self._get((message_id.origin, message_id.incarnation))
        return origin.weight(message_id.sequence) if origin is not None else 0

    def add(self, message_id: MessageId, body: bytes | None = None) -> int | None:
        """Count ``message_id`` as recorded, with ``body`` if that is to be remembered.

        :returns: its share of the digest; None if it was recorded before, or cannot be told from
            one that was.
        """
        key = message_id.origin, message_id.incarnation
        number = message_id.sequence
        origin = self._many.get(key)
        if origin is not None:
            self._many.move_to_end(key)
        else:
            origin = self._seldom(key)
        known = origin.known
        if known and known[-1] == number:  # the usual way: the next one
            known[-1] = number + 1
        elif intervals.contains(known, number):
            if origin.blurred or not intervals.contains(origin.lost, number):
                return None
            intervals.remove(origin.lost, number, number + 1)
            self._sum -= origin.weight(number)
        else:
            self._extend(key, origin, number, number + 1)
        # As _Origin.weight, without a call: this runs for every message at every node.
        a, b, c = origin.coefficients
        weight = number * (a + number * (b + number * c))
        self._sum += weight
        if body is not None:
            self.digests.put(key, number, body)
        return weight

    def lose(self, given_up: Range) -> int:
        """Give up what is not known of a range; return how many numbers that are."""
        key = given_up.origin, given_up.incarnation
        origin = self._get(key) or self._seldom(key)
        missing = intervals.minus([given_up.first, given_up.end], origin.known)
        for first, end in intervals.pairs(missing):
            intervals.add(origin.lost, first, end)
            self._sum += origin.weight_of(first, end)
            self._extend(key, origin, first, end)
        return intervals.count(missing)

    def forget(self, message_id: MessageId) -> bool:
        """Count a recorded message as missing; return whether that could be done.

        It cannot if there is no room for another interval.
        """
        origin = self._get((message_id.origin, message_id.incarnation))
        number = message_id.sequence
        if origin is None or message_id not in self:
            return False
        if len(origin.known) >= 2 * MAX_INTERVALS:
            return False
        before = len(origin.known)
        intervals.remove(origin.known, number, number + 1)
        self._bounds += len(origin.known) - before
        self._sum -= origin.weight(number)
        return True

    def restore(self, states: Iterable[LedgerState]) -> None:
        """Take over what an earlier life of this node recorded."""
        for state in states:
            key = state.origin, state.incarnation
            origin = self._get(key) or self._seldom(key)
            recorded = intervals.minus(state.known, state.lost)
            # What is recorded here stays recorded, whatever the states say.
            gone = intervals.minus(state.lost, origin.known)
            for first, end in intervals.pairs(gone):
                intervals.add(origin.lost, first, end)
            for first, end in intervals.pairs(recorded):
                intervals.remove(origin.lost, first, end)
            for first, end in intervals.pairs(intervals.minus(state.known, origin.known)):
                self._sum += origin.weight_of(first, end)
                self._extend(key, origin, first, end)
            origin.count += intervals.count(recorded)
            if origin.count >= FEW and key in self._few:
                self._many[key] = self._few.pop(key)

    def last(self, origin: bytes, incarnation: int) -> int:
        """Return the highest number known of an origin; 0 if there is none."""
        entry = self._get((origin, incarnation))
        return entry.known[-1] - 1 if entry is not None and entry.known else 0

    # ---- comparing --------------------------------------------------------------------------

    def state(self, key: OriginKey) -> LedgerState | None:
        """Return what is known of one origin; None if nothing is (any more)."""
        origin = self._get(key)
        if origin is None:
            return None
        return LedgerState(*key, list(origin.known), list(origin.lost))

    def states(self) -> list[LedgerState]:
        """Return what is known of every origin, in order."""
        return [state for key in self._keys if (state := self.state(key)) is not None]

    def page(self, after: OriginKey | None, origins: int, bounds: int) -> list[LedgerState]:
        """Return what is known of up to ``origins`` origins after ``after``, in order.

        Stop early once they hold ``bounds`` bounds of known intervals.
        """
        start = 0 if after is None else bisect_right(self._keys, after)
        page: list[LedgerState] = []
        for key in self._keys[start : start + origins]:
            origin = self._origin(key)
            bounds -= len(origin.known)
            if page and bounds < 0:
                break
            page.append(LedgerState(*key, list(origin.known), list(origin.lost)))
        return page

    def any_after(self, key: OriginKey) -> bool:
        """Return True if there is an origin after ``key``."""
        return bool(self._keys) and self._keys[-1] > key

    def missing_from(
        self, states: Iterable[OriginState], after: OriginKey | None, last: OriginKey | None
    ) -> Iterator[tuple[OriginKey, Intervals, Intervals]]:
        """Yield what is known here and not in another ledger's ``states``.

        :param after: the states are of origins after this key; None for all of them.
        :param last: they are of origins up to this key; None for all of them.
        :returns: origin by origin: what was recorded, and what was given up.
        """
        theirs = {(s.origin, s.incarnation): s.known for s in states}
        start = 0 if after is None else bisect_right(self._keys, after)
        end = len(self._keys) if last is None else bisect_right(self._keys, last)
        for key in self._keys[start:end]:
            origin = self._origin(key)
            other = theirs.get(key, [])
            if other != origin.known:
                missing = intervals.minus(origin.known, other)
                if missing:
                    lost = intervals.both(missing, origin.lost)
                    yield key, intervals.minus(missing, lost), lost

    def lacking(self, states: Iterable[OriginState]) -> Iterator[Range]:
        """Yield what another ledger's ``states`` know and this one does not."""
        for state in states:
            origin = self._get((state.origin, state.incarnation))
            lacked = intervals.minus(state.known, origin.known) if origin else state.known
            for first, end in intervals.pairs(lacked):
                yield Range(state.origin, state.incarnation, first, end)

    def known_of(self, asked: Range) -> tuple[Intervals, Intervals]:
        """Return which numbers of a range were recorded, and which were given up."""
        origin = self._get((asked.origin, asked.incarnation))
        if origin is None:
            return [], []
        within = intervals.both([asked.first, asked.end], origin.known)
        lost = intervals.both(within, origin.lost)
        return intervals.minus(within, lost), lost

    # ---- room -------------------------------------------------------------------------------

    def _get(self, key: OriginKey) -> _Origin | None:
        return self._many.get(key) or self._few.get(key)

    def _origin(self, key: OriginKey) -> _Origin:
        origin = self._get(key)
        if origin is None:
            raise KeyError(key)
        return origin

    def _seldom(self, key: OriginKey) -> _Origin:
        """Return the origin, new or one of those with few numbers."""
        origin = self._few.get(key)
        if origin is None:
            origin = self._few[key] = _Origin(key)
            insort(self._keys, key)
            if len(self._keys) > self._max_origins:
                self._forget_one(key)
        else:
            self._few.move_to_end(key)
        origin.count += 1
        if origin.count >= FEW:
            self._many[key] = self._few.pop(key)
        return origin

    def _forget_one(self, newest: OriginKey) -> None:
        # An origin that was met moves to those with many numbers when its turn comes.
        while (key := next(iter(self._few))) != newest:
            if not self._is_met(key[0]):
                self._forget(key)
                return
            self._many[key] = self._few.pop(key)
        self._forget(next(iter(self._many)) if self._many else newest)

    def _forget(self, key: OriginKey) -> None:
        origin = self._few.pop(key, None) or self._many.pop(key)
        del self._keys[bisect_left(self._keys, key)]
        self._sum -= origin.total()
        self._bounds -= len(origin.known)
        self.digests.forget(key)

    def _extend(self, key: OriginKey, origin: _Origin, first: int, end: int) -> None:
        """Add to the known numbers, and make room for another interval."""
        known, before = origin.known, len(origin.known)
        intervals.add(known, first, end)
        most = 2 * MAX_INTERVALS
        if self._bounds + len(known) - before > MAX_BOUNDS:
            # All origins together have no more room: this one is reduced to one interval.
            most = 2
        while len(known) > most:
            gap = intervals.narrowest_gap(known)
            intervals.add(known, *gap)
            intervals.add(origin.lost, *gap)
            self._sum += origin.weight_of(*gap)
            self.given_up.append(Range(*key, *gap))
        while len(origin.lost) > 2 * MAX_INTERVALS:
            intervals.add(origin.lost, *intervals.narrowest_gap(origin.lost))
            origin.blurred = True
        self._bounds += len(known) - before
