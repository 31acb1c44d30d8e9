"""From an address in a configuration to a port that listens, and what can go wrong on the way."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import ServerFactory
from twisted.python.failure import Failure

from chordnet.core.errors import ChordnetError, ConfigError, NotInRing
from chordnet.net.greeters import Door


class Entrance(ServerFactory):
    """What the endpoint is given before the node exists; lets nobody in until it does."""

    noisy = False
    door: Door | None = None

    def buildProtocol(self, addr: Any) -> Any:
        return self.door.buildProtocol(addr) if self.door is not None else None


def server_endpoint(reactor: Any, listen: Any) -> Any:
    """Return the server endpoint that ``listen`` describes, or is.

    :raises ConfigError: it describes none.
    """
    if not isinstance(listen, str):
        return listen
    from twisted.internet.endpoints import serverFromString  # noqa: PLC0415 - loads plugins

    try:
        return serverFromString(reactor, listen)
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"listen {listen!r} is no server endpoint such as tcp:7001 ({error})"
        ) from None


def start_problem(failure: Failure, listen: str) -> ChordnetError | None:
    """Return what a user should read; None if the failure is a bug."""
    if failure.check(ChordnetError):
        problem = failure.value
        assert isinstance(problem, ChordnetError)
        return problem
    if failure.check(CannotListenError):
        error: Any = failure.value
        reason = getattr(error.socketError, "strerror", None) or str(error.socketError)
        where = f"{error.interface or '*'}:{error.port}"
        return ConfigError(f"cannot listen on {where}: {reason}; is another program using it?")
    if failure.check(CancelledError):
        return NotInRing("the node was stopped")
    if failure.check(OSError):
        return ConfigError(f"cannot listen on {listen}: {failure.getErrorMessage()}")
    return None
