"""The identity that a client shows to a network that turns out to be secured.

A node that is secured refuses whoever speaks without TLS, and says which network it belongs to. If
the user keeps an identity for that network, the client comes again with it. What it then meets has
to prove that it is a node of the network, so nothing is risked by following such an answer.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from chordnet.core.base.errors import ConfigError
from chordnet.home import home_directory, identity_directory
from chordnet.net.tls.credentials import Credentials, credentials_of
from chordnet.trust.identity import CERTIFICATE, Identity
from chordnet.wire.greeting import Refuse

SECURED, DISTRUSTED = "secured", "certificate"
_NETWORK = re.compile(r"[0-9a-f]{32}")


class Identities:
    """Finds what a client shows.

    :param identity: what the program has named; None to look in the user's own directory.
    :param environment: names the user's directory.
    :param wall: returns the wall clock in seconds since 1970.
    :raises ConfigError: what was named cannot be used.
    """

    def __init__(
        self,
        identity: str | os.PathLike[str] | Identity | None = None,
        environment: Mapping[str, str] = os.environ,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._environment = environment
        self._wall = wall
        self._named = credentials_of(identity, wall, peer=False)
        self._found: Credentials | None = None

    def current(self) -> Credentials | None:
        """Return what is shown now; None to speak without TLS.

        If another program has renewed it, it is read again.
        """
        shown = self._named or self._found
        if shown is not None:
            shown.refresh()
        return shown

    def find(self, refusal: Refuse | None) -> tuple[bool, str]:
        """Take note that a node has refused; return if there is something new to show.

        The second value is what else the user should know, in words.
        """
        if refusal is None or self._named is not None:
            return False, ""
        if self._found is not None:
            # It may have been renewed in the user's directory since: look again the next time.
            if refusal.code == DISTRUSTED:
                self._found = None
            return False, ""
        if refusal.code != SECURED or not _NETWORK.fullmatch(refusal.trust):
            return False, ""
        try:
            directory = identity_directory(home_directory(self._environment), refusal.trust)
            self._found = self._load(directory)
        except ConfigError as problem:
            return False, str(problem)
        if self._found is None:
            return False, f"no identity for it is kept in {directory}"
        return True, ""

    def _load(self, directory: Path) -> Credentials | None:
        if not (directory / CERTIFICATE).exists():
            return None
        return credentials_of(directory, self._wall, peer=False)
