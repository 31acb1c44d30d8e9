"""From an address in a configuration to a port that listens, and what can go wrong on the way."""

from __future__ import annotations

import errno

from twisted.internet.defer import CancelledError
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IAddress, IStreamServerEndpoint
from twisted.internet.protocol import ServerFactory
from twisted.python.failure import Failure

from chordnet.core.base.errors import ChordnetError, ConfigError, NotInRing
from chordnet.net.base.arguments import SETTING
from chordnet.net.base.interfaces import IReactor
from chordnet.net.links.greeters import Door
from chordnet.net.links.protocol import Connection
from chordnet.net.streams.layer import SecureLayer
from chordnet.net.streams.sockets import try_to_listen


class Entrance(ServerFactory):
    """The factory that the endpoint gets before the node exists; refuses connections until then."""

    noisy = False
    door: Door | None = None

    def buildProtocol(self, addr: IAddress | None) -> Connection | SecureLayer | None:
        return self.door.buildProtocol(addr) if self.door is not None else None


def server_endpoint(
    reactor: IReactor, listen: str | IStreamServerEndpoint
) -> IStreamServerEndpoint:
    """Return the server endpoint that ``listen`` describes, or is.

    :raises ConfigError: it describes none.
    """
    if not isinstance(listen, str):
        SETTING.methods("listen", listen, ["listen"], '"tcp:7001", or a server endpoint')
        return listen
    from twisted.internet.endpoints import serverFromString  # noqa: PLC0415 - loads plugins

    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, listen)
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"listen {listen!r} is not a server endpoint such as tcp:7001 ({error})"
        ) from None
    return endpoint


def check_port(port: int, interface: str | None) -> None:
    """Make sure that a TCP port can be listened on now, without keeping it.

    :param interface: an address; None, "*" or "auto" for all of IPv4.
    :raises ConfigError: it cannot; the text says why.
    """
    host = "" if interface in (None, "*", "auto") else str(interface).strip("[]")
    try:
        try_to_listen(host, port)
    except OSError as error:
        problem = start_problem(Failure(CannotListenError(host, port, error)), "")
        assert problem is not None
        raise problem from None


_HINTS = {
    errno.EADDRINUSE: "; is another program using it?",
    errno.EACCES: "; ports below 1024 are for privileged users, choose a higher one",
    errno.EADDRNOTAVAIL: "; this machine has no such address",
    errno.EMFILE: "; raise the limit of open files (ulimit -n)",
}
"""What to do about a port that cannot be used, by the number of the error."""


def start_problem(failure: Failure, listen: str) -> ChordnetError | None:
    """Return what a user should read; None if the failure is a bug."""
    if failure.check(ChordnetError):
        problem = failure.value
        assert isinstance(problem, ChordnetError)
        return problem
    if failure.check(CannotListenError):
        error = failure.value
        assert isinstance(error, CannotListenError)
        reason = getattr(error.socketError, "strerror", None) or str(error.socketError)
        where = f"{error.interface or '*'}:{error.port}"
        hint = _HINTS.get(getattr(error.socketError, "errno", None) or 0, "")
        return ConfigError(f"cannot listen on {where}: {reason}{hint}")
    if failure.check(CancelledError):
        return NotInRing("the node was stopped")
    if failure.check(OSError):
        return ConfigError(f"cannot listen on {listen}: {failure.getErrorMessage()}")
    return None
