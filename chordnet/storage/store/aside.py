"""Stores that are set aside: their files are moved into a directory of their own, untouched.

``store-aside-<formation>``  the store of a formation that people have decided against; the node
                             never joins that formation again while the directory is there
``store-copy-<number>``      the store that a node was started from a copy of
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from chordnet.core.base.errors import StoreFailed
from chordnet.storage.base.private import make_directory, sync_directory

ASIDE = "store-aside-"
COPY = "store-copy-"
_STORE = "store.db*"
_ID_BYTES = 16


def formations_aside(directory: str | os.PathLike[str]) -> tuple[bytes, ...]:
    """Return the formations whose stores were set aside in a state directory."""
    found = []
    for path in sorted(Path(directory).glob(f"{ASIDE}*")):
        name = path.name.removeprefix(ASIDE).partition(".")[0]
        try:
            formation = bytes.fromhex(name)
        except ValueError:
            continue
        if len(formation) == _ID_BYTES:
            found.append(formation)
    return tuple(dict.fromkeys(found))


def set_formation_aside(directory: str | os.PathLike[str], formation: bytes) -> Path:
    """Move the store of a formation aside; return the directory where it is.

    :raises StoreFailed: it cannot be moved.
    """
    return _moved(Path(directory), f"{ASIDE}{formation.hex()}")


def set_copy_aside(directory: str | os.PathLike[str]) -> Path | None:
    """Move a store aside that is a copy; return the directory where it is, None without a store.

    :raises StoreFailed: it cannot be moved.
    """
    path = Path(directory)
    if not any(path.glob(_STORE)):
        return None
    return _moved(path, f"{COPY}1")


def _moved(directory: Path, name: str) -> Path:
    target = directory / name
    number = 1
    while target.exists():
        number += 1
        target = directory / f"{name}.{number}"
    try:
        make_directory(target)
        for path in _files(directory):
            shutil.move(path, target / path.name)
        for changed in (target, directory):
            sync_directory(changed, os.fsync)
    except OSError as error:
        raise StoreFailed(
            f"the store in {directory} could not be moved to {target}: {error.strerror or error}"
        ) from None
    return target


def _files(directory: Path) -> Iterable[Path]:
    """Return the files of the store, the database first.

    After a crash in the middle the rest is then seen to be damaged, and not taken for an older one.
    """
    return sorted(directory.glob(_STORE), key=lambda path: (path.name != "store.db", path.name))
