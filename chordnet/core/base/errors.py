"""chordnet's own exceptions; each says what went wrong and what to do about it.

:class:`LocalProtocolError` is a misuse of this program's own API, :class:`RemoteProtocolError` the
misbehaviour of a peer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command line's help loads this module, and needs none of what that needs
    from collections.abc import Sequence

    from chordnet.core.base.outcomes import Entry


class ChordnetError(Exception):
    """Base of every exception that chordnet raises on purpose."""


class LocalProtocolError(ChordnetError):
    """The embedding program asked for something the node cannot do in its present state."""


class RemoteProtocolError(ChordnetError):
    """A peer sent something that the protocol does not allow."""


class NotInRing(LocalProtocolError):
    """The node is not (or no longer) a member of a ring; wait for ``joined()`` and ask again."""


class LookupFailed(ChordnetError):
    """No owner could be found before the deadline; the ring may be repairing, ask again."""


class BroadcastFailed(ChordnetError):
    """The broadcast could not be started or was not confirmed; nothing is known to be lost."""


class LogFailed(ChordnetError):
    """The message log cannot be read or written; the text names the file and the cause."""


class StoreFailed(ChordnetError):
    """The store cannot be read or written; the text names the file and the cause."""


class Busy(ChordnetError):
    """A limit on work in flight is reached; retry after a moment."""


class ConnectFailed(ChordnetError):
    """No connection could be made to the given address; check that a node listens there."""


class Refused(ChordnetError):
    """The other side refused the greeting (version, network name or identifier width differ)."""


class ConfigError(ChordnetError, ValueError):
    """A setting is unusable; the text names the setting, the value and what is accepted."""


class InvalidMessage(LocalProtocolError, ValueError):
    """A message must be one phrase without white space, not empty, of limited length."""


class TimedOut(ChordnetError):
    """No answer came in time; the node may be busy or frozen, look at its log and ask again."""


class InvalidKey(LocalProtocolError, ValueError):
    """A key must be a text of 1 to 1,024 bytes of UTF-8."""


class InvalidValue(LocalProtocolError, ValueError):
    """A value must be bytes, at most 1,048,576 of them."""


class NotPermitted(ChordnetError):
    """This client may not do that at this node; the text says what it takes. Nothing was done."""


class NoStore(LocalProtocolError):
    """The node keeps no store, so it cannot read or write a key; the text says how to begin one."""


class NotIssuer(LocalProtocolError):
    """The node issues no certificates; the text names those that do."""


class Conflict(ChordnetError):
    """The key has another version than the write was meant for; it was not done, and never is.

    :param present: what the key has; None if it has no value.
    """

    def __init__(self, text: str, present: Entry | None = None) -> None:
        super().__init__(text)
        self.present = present


class Unconfirmed(ChordnetError):
    """The write may have been done, or be done later, or never.

    To be certain ask for it again, with the same ``request`` and ``since`` and all else as before:
    it is then done unless it has been.

    :param what: says what is not known and why; the text of the exception adds what to do.
    :param request: names the write.
    :param since: if it was done, then as a later version than this.
    """

    def __init__(self, what: str, request: bytes = b"", since: int = 0) -> None:
        super().__init__(f"{what}; to be certain ask again with the same request and since={since}")
        self.what = what
        self.request = request
        self.since = since


class Unavailable(ChordnetError):
    """Too few of the nodes that hold the key answer; nothing was done, and nothing will be.

    :param slot: the part of the keys that it belongs to, if that is known.
    :param epoch: of the slot's members that were asked.
    :param members: how many hold it.
    :param missing: the names of those that did not answer.
    """

    def __init__(
        self,
        text: str,
        slot: int | None = None,
        epoch: int = 0,
        members: int = 0,
        missing: Sequence[str] = (),
    ) -> None:
        super().__init__(text)
        self.slot = slot
        self.epoch = epoch
        self.members = members
        self.missing = tuple(missing)


class WatchEnded(ChordnetError):
    """The node has ended a watch; the text says why, and what to do about it."""


class Untold(ChordnetError):
    """It cannot be told any more whether the write was done: too many others came after it.

    It was done before this answer, or it never is. Read the key and decide again.
    """
