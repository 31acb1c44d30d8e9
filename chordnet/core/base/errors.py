"""chordnet's own exceptions; each says what went wrong and what to do about it.

:class:`LocalProtocolError` is a misuse of this program's own API, :class:`RemoteProtocolError` the
misbehaviour of a peer.
"""

from __future__ import annotations


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
