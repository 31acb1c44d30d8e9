"""What a user keeps on a machine for all networks, under ``$CHORDNET_HOME``.

Without that variable it is the platform's directory for a user's state. Programs that run for the
same user find each other's networks, cookies and identities there::

    HOME/cookie                  of the nodes that the user starts by hand
        /identities/ID/          the user's identity in the network with this id
        /networks/NAME/cookie    of the nodes of a network that p2pnet start-network made

A cookie is a random text in a file that its owner alone can read: 64 hexadecimal digits.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from chordnet.core.base.errors import ConfigError
from chordnet.storage.base.private import make_directory, narrow, private

COOKIE = "cookie"
"""The name of the file with a cookie."""
COOKIE_BYTES = 32
MOST_COOKIES = 8
"""The most that a client shows at a time."""

_COOKIE = re.compile(rb"[0-9a-f]{%d}\n?" % (2 * COOKIE_BYTES))


def home_directory(environment: Mapping[str, str]) -> Path:
    """Return the directory under which the user keeps networks, cookies and identities.

    :raises ConfigError: there is none, or it cannot be used; the text says what to do.
    """
    home = _chosen(environment.get("CHORDNET_HOME"))
    if not is_utf8(home):
        raise ConfigError(f"{str(home)!r} is not UTF-8; name another directory with CHORDNET_HOME")
    return home


def is_utf8(path: Path) -> bool:
    """Return True if a path can be written into a description, an order or a log."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _chosen(chosen: str | None) -> Path:
    if chosen:
        try:
            return Path(chosen).expanduser().absolute()
        except RuntimeError:
            user = chosen.partition("/")[0]
            raise ConfigError(
                f"CHORDNET_HOME is '{chosen}', and '{user}' has no home directory here; "
                "name a directory in full"
            ) from None
    import platformdirs  # noqa: PLC0415 - most commands of a script set CHORDNET_HOME

    nowhere = "this user has no home directory; name a directory for networks with CHORDNET_HOME"
    try:
        home = Path(platformdirs.user_state_dir("chordnet", appauthor=False))
    except RuntimeError:  # newer versions of platformdirs raise this
        raise ConfigError(nowhere) from None
    if not home.is_absolute():  # older ones leave "~" as it is
        raise ConfigError(nowhere)
    return home


def network_directory(home: Path, name: str) -> Path:
    """Return the directory of the network with this name."""
    return home / "networks" / name


def identity_directory(home: Path, network: str) -> Path:
    """Return the directory of the user's identity in the network with this id."""
    return home / "identities" / network


# ---- cookies --------------------------------------------------------------------------------


def read_cookie(path: Path) -> bytes:
    """Return the cookie in a file.

    :raises ConfigError: it cannot be read, or holds something else.
    """
    try:
        with path.open("rb") as file:
            text = file.read(4 * COOKIE_BYTES)
    except OSError as error:
        why = error.strerror or error
        raise ConfigError(f"the cookie {path} cannot be read: {why}") from None
    if not _COOKIE.fullmatch(text):
        digits = 2 * COOKIE_BYTES
        raise ConfigError(
            f"{path} holds no cookie of {digits} hexadecimal digits;"
            " remove it, and the node makes another when it starts"
        )
    return bytes.fromhex(text.decode())


def make_cookie(path: Path) -> bytes:
    """Return the cookie in a file, which is made if it is missing; no other user may read it.

    :raises ConfigError: it cannot be made or read.
    """
    if path.exists():
        narrow([path])
        return read_cookie(path)
    try:
        make_directory(path.parent)
        _write_new(path, f"{secrets.token_hex(COOKIE_BYTES)}\n")
    except OSError as error:
        why = error.strerror or error
        raise ConfigError(f"the cookie {path} cannot be made: {why}") from None
    return read_cookie(path)


def _write_new(path: Path, text: str) -> None:
    """Write a file that comes into being with all of its text; leave one alone that exists.

    Several nodes may start at the same time and share it.
    """
    beside = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
    with open(beside, "x", encoding="ascii", opener=private) as file:
        file.write(text)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(beside, path)
    finally:
        beside.unlink()


def cookie_paths(home: Path, network: str = "") -> list[Path]:
    """Return where a client looks for cookies, those that are there first.

    :param network: the name of the network that it wants; empty for any.
    """
    own = home / COOKIE
    if network:
        return [network_directory(home, network) / COOKIE, own]
    found = sorted((home / "networks").glob(f"*/{COOKIE}"), key=_changed, reverse=True)
    return [*found[: MOST_COOKIES - 1], own]


def cookies_in(paths: list[Path]) -> list[bytes]:
    """Return the cookies in those of the files that can be read."""
    found = []
    for path in paths:
        with contextlib.suppress(ConfigError):
            found.append(read_cookie(path))
    return found


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # it has just been removed
        return 0.0
