"""A node's state directory: its incarnation, the peers it knew, and a lock.

``incarnation``  one whole number; higher at every start, also after a crash or a clock put back
``peers.json``   the peers known last, so that a node whose bootstrap peers are gone comes back
``messages.db``  the message log, and ``store.db`` the store; each with files beside it
``store-…``      stores that were set aside (:mod:`chordnet.storage.store.aside`)
``lock``         held while a node uses the directory; the system releases it when the process ends

A file is replaced as a whole: a new one is written beside it, flushed to the disk and renamed. A
damaged file is set aside with one warning.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from chordnet.core.base.errors import ConfigError
from chordnet.core.base.limits import CLOCK_AHEAD_S, COUNT_LIMIT
from chordnet.core.base.messages import NodeRef
from chordnet.storage.base.private import make_directory, narrow, private, sync_directory
from chordnet.storage.log.memory import fresh_incarnation

_FILES = ("lock", "incarnation*", "peers.json*", "messages.db*", "store.db*", "store-*/*")
"""What a node keeps in its directory; no other user may read it."""


class StateDirectory:
    """Implements :class:`chordnet.net.base.interfaces.NodeState` on a directory.

    :param path: created if it is missing.
    :param warn: called with one line about a damaged file.
    :param wall: returns the wall clock in seconds since 1970.
    :param sync: flushes a file descriptor to the disk.
    :raises ConfigError: the directory cannot be used, or another node uses it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        warn: Callable[[str], None],
        wall: Callable[[], float] = time.time,
        sync: Callable[[int], None] = os.fsync,
    ) -> None:
        self._path = Path(path)
        self._warn = warn
        self._wall = wall
        self._sync = sync
        try:
            make_directory(self._path)
            for pattern in _FILES:
                narrow(self._path.glob(pattern))
            self._lock = _open(self._path / "lock", "a+")
        except OSError as error:
            raise ConfigError(
                f"the state directory {self._path} cannot be used: {error.strerror or error};"
                " choose another directory"
            ) from None
        self._take_lock()

    def _take_lock(self) -> None:
        try:
            _lock_file(self._lock)
        except OSError:
            self._lock.seek(0)
            holder = self._lock.read(20).strip() or "unknown"
            self._lock.close()
            raise ConfigError(
                f"the state directory {self._path} is in use by another node (process {holder});"
                " give every node its own"
            ) from None
        self._lock.truncate(0)
        self._lock.write(f"{os.getpid()}\n")
        self._lock.flush()

    def next_incarnation(self) -> int:
        """Return this start's incarnation, having written it to the disk.

        :raises ConfigError: it cannot be written.
        """
        # The clock makes it higher than in a lost directory, the file higher than with a clock that
        # was set back.
        incarnation = max(self._last_incarnation() + 1, fresh_incarnation(self._wall()))
        try:
            self._replace("incarnation", f"{incarnation}\n")
        except OSError as error:
            raise ConfigError(
                f"the state directory {self._path} cannot be written: {error.strerror or error}"
            ) from None
        return incarnation

    def _last_incarnation(self) -> int:
        try:
            last = int((self._path / "incarnation").read_text("ascii"))
        except FileNotFoundError:
            return 0
        except (OSError, ValueError):
            last = -1
        if not 0 <= last < COUNT_LIMIT:
            self._set_aside("incarnation", "going on with the clock's")
            return 0
        if last > fresh_incarnation(self._wall() + CLOCK_AHEAD_S):
            self._warn(
                f"{self._path / 'incarnation'} is from more than a day ahead of this clock;"
                " going on with the clock's"
            )
            return 0
        return last

    def known_peers(self) -> list[NodeRef]:
        """Return the peers kept last; an empty list if there are none or the file is damaged."""
        try:
            entries = json.loads((self._path / "peers.json").read_text("utf-8"))
            return [_peer(entry) for entry in entries]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            self._set_aside("peers.json", "going on with the bootstrap peers alone")
            return []

    def keep_peers(self, peers: Sequence[NodeRef]) -> None:
        """Write ``peers`` to the disk; a failure is a warning."""
        entries = [
            {"id": p.raw.hex(), "incarnation": p.incarnation, "address": p.address, "name": p.name}
            for p in peers
        ]
        try:
            self._replace("peers.json", _lines(entries), durable=False)
        except OSError as error:
            self._warn(f"the known peers could not be written to {self._path}: {error}")

    def close(self) -> None:
        """Release the directory."""
        self._lock.close()

    def _replace(self, name: str, text: str, *, durable: bool = True) -> None:
        beside = self._path / f"{name}.new"
        with _open(beside, "w") as file:
            file.write(text)
            if durable:
                file.flush()
                self._sync(file.fileno())
        beside.replace(self._path / name)
        if durable:
            sync_directory(self._path, self._sync)

    def _set_aside(self, name: str, consequence: str) -> None:
        damaged = self._path / f"{name}.damaged"
        try:
            (self._path / name).replace(damaged)
            self._warn(f"{self._path / name} is damaged; kept as {damaged.name}, {consequence}")
        except OSError as error:
            self._warn(f"{self._path / name} cannot be read ({error}), {consequence}")


def _lines(entries: Sequence[Any]) -> str:
    """Return a JSON list with one entry a line.

    The encoder's own indentation leaves a reference cycle behind each time.
    """
    return "[\n" + ",\n".join(map(json.dumps, entries)) + "\n]\n"


def _peer(entry: Any) -> NodeRef:
    peer = NodeRef(
        bytes.fromhex(entry["id"]), int(entry["incarnation"]), entry["address"], entry["name"]
    )
    texts: tuple[object, ...] = (peer.address, peer.name)
    if not peer.raw or not all(isinstance(text, str) for text in texts):
        raise ValueError(entry)
    return peer


def _open(path: Path, mode: str) -> IO[str]:
    return open(path, mode, encoding="utf-8", opener=private)


def _lock_file(file: IO[str]) -> None:
    """Lock ``file`` for as long as it is open.

    :raises OSError: another process holds it.
    """
    if os.name == "posix":
        import fcntl  # noqa: PLC0415 - exists on POSIX alone

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:  # pragma: no cover - Windows
        import msvcrt  # noqa: PLC0415 - exists on Windows alone

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
