"""Keeps the bundle of a node up to date with that of its peers, and theirs with its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol
from weakref import WeakKeyDictionary

from chordnet.core.base.errors import RemoteProtocolError
from chordnet.net.tls.credentials import Credentials
from chordnet.trust.base.bundle import Bundle
from chordnet.trust.base.errors import Untrusted
from chordnet.wire.trust.bundles import BundleMessage, BundleText, BundleVersion


class Line(Protocol):
    """A connection with a peer."""

    def send(self, message: BundleMessage) -> None: ...


class Spreading:
    """Tells peers of the bundle that is in force here, and hears of theirs.

    :param adopt: takes a bundle over that follows the present one.
    :param tell_all: sends a message to every peer that is connected.
    """

    def __init__(
        self,
        credentials: Credentials,
        adopt: Callable[[Bundle], None],
        tell_all: Callable[[BundleMessage], None],
    ) -> None:
        self._credentials = credentials
        self._adopt = adopt
        self._tell_all = tell_all
        self._sent: WeakKeyDictionary[Line, int] = WeakKeyDictionary()
        """The version that was sent on a connection, which is sent once there."""

    def met(self, line: Line) -> None:
        """Tell a peer that has just been connected which version is in force here."""
        line.send(BundleVersion(self._credentials.current().bundle.version))

    def heard(self, line: Line, message: BundleMessage) -> None:
        """Take what a peer says of its bundle.

        :raises RemoteProtocolError: the bundle is not one that could ever be in force here.
        """
        own = self._credentials.current().bundle
        if isinstance(message, BundleVersion):
            if message.version < own.version and self._sent.get(line, 0) < own.version:
                self._sent[line] = own.version
                line.send(_text(own))
            return
        if message.version < own.version or message.bundle == own.encode():
            return
        try:
            self.take(Bundle.decode(message.bundle))
        except Untrusted as error:
            raise RemoteProtocolError(str(error)) from None

    def take(self, bundle: Bundle) -> bool:
        """Take a bundle over and pass it on, if it is newer; return True if it is.

        :raises Untrusted: it is of another network, or no trusted root has signed it.
        """
        if not bundle.follows(self._credentials.current().bundle):
            return False
        self._adopt(bundle)
        self._tell_all(_text(bundle))
        return True


def _text(bundle: Bundle) -> BundleText:
    return BundleText(bundle.version, bundle.encode())
