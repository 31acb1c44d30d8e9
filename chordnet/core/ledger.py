"""What has been recorded: a watermark and a window of sequence numbers for each origin.

Every incarnation of an origin numbers its broadcasts 1, 2, 3, … All numbers up to the watermark
count as recorded, and those in the window above it. Both the window and the number of origins are
capped; the origin not recorded from for longest goes first. When the window is full the watermark
moves over the gap below it, and ``gaps`` counts the numbers that were given up: reported, never
silent.
"""

from __future__ import annotations

from collections import OrderedDict

from chordnet.core.messages import MessageId


class _Origin:
    __slots__ = ("above", "watermark")

    def __init__(self) -> None:
        self.watermark = 0
        self.above: set[int] = set()


class Ledger:
    """Tells new messages from recorded ones in bounded space."""

    def __init__(self, max_window: int, max_origins: int) -> None:
        self._max_window = max_window
        self._max_origins = max_origins
        self._origins: OrderedDict[tuple[bytes, int], _Origin] = OrderedDict()
        self.gaps = 0

    def __contains__(self, message_id: MessageId) -> bool:
        origin = self._origins.get((message_id.origin, message_id.incarnation))
        if origin is None:
            return False
        return message_id.sequence <= origin.watermark or message_id.sequence in origin.above

    def add(self, message_id: MessageId) -> None:
        """Count ``message_id`` as recorded."""
        key = (message_id.origin, message_id.incarnation)
        origin = self._origins.get(key)
        if origin is None:
            origin = self._origins[key] = _Origin()
            if len(self._origins) > self._max_origins:
                self._origins.popitem(last=False)
        else:
            self._origins.move_to_end(key)
        sequence = message_id.sequence
        if sequence == origin.watermark + 1:
            origin.watermark = sequence
        elif sequence > origin.watermark:
            origin.above.add(sequence)
            if len(origin.above) > self._max_window:
                lowest = min(origin.above)
                self.gaps += lowest - origin.watermark - 1
                origin.watermark = lowest - 1
        self._slide(origin)

    def watermark(self, origin: bytes, incarnation: int) -> int:
        """Return the number up to which everything of this origin is recorded."""
        entry = self._origins.get((origin, incarnation))
        return entry.watermark if entry else 0

    @staticmethod
    def _slide(origin: _Origin) -> None:
        above = origin.above
        while above and origin.watermark + 1 in above:
            origin.watermark += 1
            above.remove(origin.watermark)
