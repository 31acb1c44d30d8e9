"""What the message logs have in common: messages by their place, a page at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import msgspec

from chordnet.core.effects import Record
from chordnet.core.messages import MessageId


class KeptMessage(msgspec.Struct, frozen=True, eq=False, gc=False):
    """A recorded message with the place it has in this node's log."""

    position: int
    received_at: float
    """This node's wall clock, seconds since 1970."""
    record: Record


class PagedLog(ABC):
    """A log whose messages have positions, one after the other."""

    @property
    @abstractmethod
    def first(self) -> int:
        """Position of the oldest message kept (of the next one, if none is)."""

    @property
    @abstractmethod
    def last(self) -> int:
        """Position of the newest message kept (one before ``first``, if none is)."""

    @abstractmethod
    def find(self, message_id: MessageId) -> KeptMessage | None:
        """Return a message if it is kept."""

    @abstractmethod
    def beyond(self, position: int, limit: int) -> Sequence[KeptMessage]:
        """Return up to ``limit`` messages after ``position``."""

    def newest(self, limit: int) -> Sequence[KeptMessage]:
        """Return the last ``limit`` messages, oldest first, without damaged ones."""
        return self.beyond(max(self.first - 1, self.last - limit), limit)

    def after(self, message_id: str, limit: int) -> Sequence[KeptMessage]:
        """Return up to ``limit`` messages after ``message_id`` ("" for the beginning).

        :raises KeyError: no such message is kept.
        """
        return self.beyond(self.position(message_id), limit)

    def position(self, message_id: str) -> int:
        """Return where ``message_id`` stands; "" stands before everything.

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
