"""What the message logs have in common: messages by their position, a page at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import msgspec

from chordnet.core.base.effects import Record
from chordnet.core.base.messages import MessageId


class KeptMessage(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A recorded message with its position in this node's log."""

    position: int
    received_at: float
    """This node's wall clock, seconds since 1970."""
    record: Record


class PagedLog(ABC):
    """A log whose messages have positions, in the order received. Dropped messages leave holes."""

    @property
    @abstractmethod
    def first(self) -> int:
        """Position of the oldest message kept (of the next one, if none is)."""

    @property
    @abstractmethod
    def last(self) -> int:
        """Position of the newest message kept (one before ``first``, if none is)."""

    @property
    @abstractmethod
    def dropped_to(self) -> int:
        """The highest position whose message was dropped because of a limit; -1 if none was."""

    @property
    def dropped(self) -> int:
        """How many messages were here and are not any more."""
        return self.last + 1 - len(self)

    @abstractmethod
    def __len__(self) -> int: ...
    @abstractmethod
    def find(self, message_id: MessageId) -> KeptMessage | None:
        """Return a message if it is kept."""

    @abstractmethod
    def beyond(self, position: int, limit: int) -> Sequence[KeptMessage]:
        """Return up to ``limit`` messages after ``position``."""

    def newest(self, limit: int) -> Sequence[KeptMessage]:
        """Return the last ``limit`` messages, oldest first, without damaged ones."""
        return self.beyond(self.before_newest(limit), limit)

    def before_newest(self, limit: int) -> int:
        """Return the position after which the newest ``limit`` messages begin."""
        return self.first - 1 if limit >= len(self) else self._before_newest(limit)

    @abstractmethod
    def missing_beyond(self, position: int) -> int:
        """Return how many messages after ``position`` were here and are not any more."""

    @abstractmethod
    def _before_newest(self, limit: int) -> int:
        """Return the same for a ``limit`` lower than the number of messages."""

    def after(self, message_id: str, limit: int) -> Sequence[KeptMessage]:
        """Return up to ``limit`` messages after ``message_id`` ("" for the beginning).

        :raises KeyError: no such message is kept.
        """
        return self.beyond(self.position(message_id), limit)

    def position(self, message_id: str) -> int:
        """Return the position of ``message_id``, or for "" the one before the oldest.

        :raises KeyError: no such message is kept.
        """
        if not message_id:
            return self.first - 1
        try:
            kept = self.find(MessageId.parse(message_id))
        except ValueError:
            kept = None
        if kept is None:
            raise KeyError(message_id)
        return kept.position
