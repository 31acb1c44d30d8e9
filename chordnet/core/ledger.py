"""What has been recorded: a watermark and a window of sequence numbers for each origin.

Every incarnation of an origin numbers its broadcasts 1, 2, 3, … All numbers up to the watermark
count as recorded, and those in the window above it. Both the window and the number of origins are
capped; the origin not recorded from for longest goes first. When the window is full the watermark
moves over the gap below it, and ``gaps`` counts the numbers that were given up: reported, never
silent.

Two ledgers are compared by a digest of 64 bits, the sum of a polynomial of the sequence number for
every number recorded. Its coefficients are drawn from the origin, and sums of powers have closed
forms, so the digest of a restored ledger costs a few multiplications for each origin.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator

from chordnet.core.messages import MessageId, OriginState

MASK = (1 << 64) - 1

OriginKey = tuple[bytes, int]


class _Origin:
    __slots__ = ("above", "coefficients", "watermark")

    def __init__(self, key: OriginKey) -> None:
        self.watermark = 0
        self.above: set[int] = set()
        seed = hashlib.blake2b(key[0] + b"%d" % key[1], digest_size=24).digest()
        self.coefficients = tuple(int.from_bytes(seed[i : i + 8]) for i in (0, 8, 16))

    def weight(self, n: int) -> int:
        """Return the number's share of the digest."""
        a, b, c = self.coefficients
        return n * (a + n * (b + n * c))

    def weight_to(self, n: int) -> int:
        """Return the sum of ``weight`` for 1, 2, …, n."""
        a, b, c = self.coefficients
        triangle = n * (n + 1) // 2
        return a * triangle + b * (triangle * (2 * n + 1) // 3) + c * triangle * triangle

    def total(self) -> int:
        """Return the origin's share of the digest."""
        return self.weight_to(self.watermark) + sum(map(self.weight, self.above))

    def has(self, sequence: int) -> bool:
        """Tell whether the number is recorded."""
        return sequence <= self.watermark or sequence in self.above


class Ledger:
    """Tells new messages from recorded ones in bounded space."""

    def __init__(self, max_window: int, max_origins: int) -> None:
        self._max_window = max_window
        self._max_origins = max_origins
        self._origins: OrderedDict[OriginKey, _Origin] = OrderedDict()
        self._sum = 0
        self.gaps = 0

    def __contains__(self, message_id: MessageId) -> bool:
        origin = self._origins.get((message_id.origin, message_id.incarnation))
        return origin is not None and origin.has(message_id.sequence)

    @property
    def digest(self) -> int:
        """A digest of everything recorded, 64 bits."""
        return self._sum & MASK

    def weight(self, message_id: MessageId) -> int:
        """Return a recorded message's share of the digest."""
        origin = self._origins.get((message_id.origin, message_id.incarnation))
        return origin.weight(message_id.sequence) if origin is not None else 0

    def add(self, message_id: MessageId) -> int | None:
        """Count ``message_id`` as recorded.

        :returns: its share of the digest; None if it was recorded before.
        """
        key = message_id.origin, message_id.incarnation
        origin = self._origins.get(key)
        if origin is None:
            origin = self._origin(key)
        else:
            self._origins.move_to_end(key)
        sequence, above = message_id.sequence, origin.above
        if sequence <= origin.watermark or sequence in above:
            return None
        weight = origin.weight(sequence)
        self._sum += weight
        if sequence == origin.watermark + 1 and not above:
            origin.watermark = sequence
        else:
            above.add(sequence)
            if len(above) > self._max_window:
                self._jump(origin)
            self._slide(origin)
        return weight

    def forget(self, message_id: MessageId) -> bool:
        """Count a recorded message as missing; return whether that could be done.

        It cannot if the numbers recorded after it are more than the window holds.
        """
        origin = self._origins.get((message_id.origin, message_id.incarnation))
        number = message_id.sequence
        if origin is None or not origin.has(number):
            return False
        if number in origin.above:
            origin.above.remove(number)
        else:
            if origin.watermark - number + len(origin.above) > self._max_window:
                return False
            origin.above.update(range(number + 1, origin.watermark + 1))
            origin.watermark = number - 1
        self._sum -= origin.weight(number)
        return True

    def restore(self, states: Iterable[OriginState]) -> None:
        """Take over what an earlier life of this node recorded."""
        for state in states:
            origin = self._origin((state.origin, state.incarnation))
            self._sum -= origin.total()
            origin.watermark = max(origin.watermark, state.watermark)
            origin.above.update(n for n in state.above if n > origin.watermark)
            self._slide(origin)
            self._sum += origin.total()

    def watermark(self, origin: bytes, incarnation: int) -> int:
        """Return the number up to which everything of this origin is recorded."""
        entry = self._origins.get((origin, incarnation))
        return entry.watermark if entry else 0

    def state(self, key: OriginKey) -> OriginState:
        """Return what is recorded of one origin."""
        origin = self._origins[key]
        return OriginState(*key, origin.watermark, sorted(origin.above))

    def states(self, after: OriginKey | None, origins: int, numbers: int) -> list[OriginState]:
        """Return up to ``origins`` states behind ``after`` in order of their keys.

        Stops early once they hold ``numbers`` numbers above the watermarks.
        """
        page: list[OriginState] = []
        for key in sorted(k for k in self._origins if after is None or k > after):
            origin = self._origins[key]
            numbers -= len(origin.above)
            if len(page) == origins or (page and numbers < 0):
                break
            page.append(self.state(key))
        return page

    def missing_from(
        self, states: Iterable[OriginState], after: OriginKey | None, last: OriginKey | None
    ) -> Iterator[MessageId]:
        """Yield what is recorded here and not in another ledger's ``states``.

        :param after: the states are of origins behind this key …
        :param last: … up to this one; None for all of them.
        """
        theirs = {(s.origin, s.incarnation): s for s in states}
        for key in sorted(self._origins):
            if (after is None or key > after) and (last is None or key <= last):
                origin, other = self._origins[key], theirs.get(key)
                start = other.watermark if other is not None else 0
                has = set(other.above) if other is not None else set[int]()
                for n in range(start + 1, origin.watermark + 1):
                    if n not in has:
                        yield MessageId(*key, n)
                for n in sorted(origin.above):
                    if n > start and n not in has:
                        yield MessageId(*key, n)

    def lacking(self, states: Iterable[OriginState]) -> Iterator[MessageId]:
        """Yield what another ledger's ``states`` have recorded and this one has not."""
        for state in states:
            origin = self._origins.get((state.origin, state.incarnation))
            start = origin.watermark if origin is not None else 0
            for n in range(start + 1, state.watermark + 1):
                if origin is None or n not in origin.above:
                    yield MessageId(state.origin, state.incarnation, n)
            for n in state.above:
                if origin is None or not origin.has(n):
                    yield MessageId(state.origin, state.incarnation, n)

    def _origin(self, key: OriginKey) -> _Origin:
        origin = self._origins.get(key)
        if origin is None:
            origin = self._origins[key] = _Origin(key)
            if len(self._origins) > self._max_origins:
                self._sum -= self._origins.popitem(last=False)[1].total()
        else:
            self._origins.move_to_end(key)
        return origin

    def _jump(self, origin: _Origin) -> None:
        """Give up the gap below the window."""
        lowest = min(origin.above)
        self.gaps += lowest - origin.watermark - 1
        self._sum += origin.weight_to(lowest - 1) - origin.weight_to(origin.watermark)
        origin.watermark = lowest - 1

    @staticmethod
    def _slide(origin: _Origin) -> None:
        above = origin.above
        while above and origin.watermark + 1 in above:
            origin.watermark += 1
            above.remove(origin.watermark)
