"""An identity as an archive, which Docker unpacks into a container's volume.

A key must neither be in the image nor in the environment, and nobody on the host but its user may
read it, so it cannot be mounted: the node runs as another user. So the files are sent to the engine
and belong to the node's user in its volume, where the node also keeps what it renews.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from chordnet.survey.errors import CannotWrite

IDENTITY = "identity"
"""The directory of a node's identity, in its state directory."""
ISSUER_FILES = ("issuer-key.pem", "issuer.pem", "bundle.json")
"""What it takes to issue certificates (:mod:`chordnet.trust.issuing`)."""
LIMIT_BYTES = 1024 * 1024
"""The longest archive of an identity that is read."""
NODE_USER = 10001
"""The user that the image runs a node as."""


def archive_of(contents: Mapping[str, Path], user: int = NODE_USER) -> bytes:
    """Return files and directories as a tar archive, each under its new name.

    In it everything belongs to ``user`` and is readable by that user alone.

    :raises CannotWrite: a file cannot be read.
    """
    unpacked = io.BytesIO()
    with tarfile.open(fileobj=unpacked, mode="w") as archive:
        for name, top in contents.items():
            try:
                _add(archive, top, name, user)
                # A file whose name begins with a dot is one that was being written.
                for path in sorted(top.rglob("[!.]*")):
                    _add(archive, path, f"{name}/{path.relative_to(top).as_posix()}", user)
            except OSError as problem:
                raise CannotWrite(top, problem, f"cannot read {top}") from problem
    return unpacked.getvalue()


def _add(archive: tarfile.TarFile, path: Path, name: str, user: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.uid = entry.gid = user
    entry.mtime = int(path.stat().st_mtime)
    if path.is_dir():
        entry.type, entry.mode = tarfile.DIRTYPE, 0o700
        archive.addfile(entry)
    else:
        content = path.read_bytes()
        entry.mode, entry.size = 0o600, len(content)
        archive.addfile(entry, io.BytesIO(content))


def issuer_files(archive: Iterable[bytes]) -> dict[str, bytes]:
    """Return the files of an issuer that are in an archive of an identity; empty if one lacks."""
    data = b""
    for chunk in archive:
        data += chunk
        if len(data) > LIMIT_BYTES:
            return {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as opened:
            found = {
                entry.name.rpartition("/")[2]: opened.extractfile(entry)
                for entry in opened
                if entry.isfile()
            }
            files = {name: file.read() for name, file in found.items() if file is not None}
    except tarfile.TarError:
        return {}
    return {name: files[name] for name in ISSUER_FILES} if files.keys() >= set(ISSUER_FILES) else {}
