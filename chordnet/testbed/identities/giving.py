"""Give files to the user who needs them, when a container of root's has made them."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from chordnet.testbed.identities.archive import IDENTITY


def give_identity(identity: Path, state: Path, owner: os.stat_result) -> None:
    """Copy an identity into the state directory of its node, which becomes the owner's too.

    :param owner: whose it is to be; the uid and the gid are used.
    :raises OSError: it cannot be written.
    """
    directory = state / IDENTITY
    directory.mkdir(exist_ok=True)
    for path in (state, directory):
        os.chown(path, owner.st_uid, owner.st_gid)
        path.chmod(0o700)
    for source in sorted(identity.iterdir()):
        content, target = source.read_bytes(), directory / source.name
        if target.exists() and target.read_bytes() == content:
            continue
        new = directory / f"{source.name}.new"
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            file.write(content)
        new.replace(target)


def give_tree(root: Path, names: Collection[str]) -> None:
    """Give everything under those directories of ``root`` to the owner of ``root``.

    :raises OSError: it cannot be given away.
    """
    owner = root.stat()
    for name in names:
        for path in (root / name, *(root / name).rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
