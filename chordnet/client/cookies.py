"""The cookies that a client shows, so that it may operate the nodes of its user."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from chordnet.core.base.errors import ChordnetError, ConfigError, NotPermitted
from chordnet.home import cookie_paths, cookies_in, home_directory, read_cookie
from chordnet.net.base.addresses import is_loopback, parse_address
from chordnet.wire.trust.cookies import Shown, show

E = TypeVar("E", bound=ChordnetError)


class Cookies:
    """Finds cookies, and shows them to nodes.

    What is found in the user's own directory is shown to nodes of this machine alone, since only
    those can be meant.

    :param cookie: a file, or its bytes; None for those of the user's directory.
    :param network: the name of the network; empty for any.
    :param environment: names the user's directory.
    :param wall: returns the wall clock in seconds since 1970.
    :raises ConfigError: the file cannot be used.
    """

    def __init__(
        self,
        cookie: str | os.PathLike[str] | bytes | None = None,
        network: str = "",
        environment: Mapping[str, str] = os.environ,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._network = network
        self._environment = environment
        self._wall = wall
        self._given: bytes | None = None
        self._from = ""
        """Where the cookie that was given comes from."""
        if isinstance(cookie, bytes):
            self._given, self._from = cookie, "the program's own"
        elif cookie is not None:
            self._given, self._from = read_cookie(Path(cookie)), os.fspath(cookie)

    def shown(self, address: str) -> Shown | None:
        """Return what is shown to the node at an address; None for nothing."""
        host, port = parse_address(address)
        if self._given is not None:
            return show([self._given], self._wall(), port)
        if not is_loopback(host):
            return None
        paths, _why = self._places()
        return show(cookies_in(paths), self._wall(), port)

    def explained(self, error: E) -> E | NotPermitted:
        """Return an error with where the cookie was looked for, if it is for want of that."""
        if not isinstance(error, NotPermitted):
            return error
        return NotPermitted(f"{error} ({self._looked_for()})")

    def _places(self) -> tuple[list[Path], str]:
        """Return where cookies are looked for, or why nowhere."""
        try:
            return cookie_paths(home_directory(self._environment), self._network), ""
        except ConfigError as problem:
            return [], str(problem)

    def _looked_for(self) -> str:
        if self._from:
            return f"shown was {self._from}"
        paths, why = self._places()
        if why:
            return f"it was looked for nowhere: {why}"
        return f"it was looked for in {' and '.join(map(str, paths))}, for nodes of this machine"
