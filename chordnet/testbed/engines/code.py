"""A digest of the code that nodes are started with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from chordnet.testbed.engines.compose_file import checkout

_BESIDE = ("pyproject.toml", "requirements/runtime.txt", "compose/Dockerfile")
"""Other files of a checkout that change how a node runs."""


def code_digest() -> str:
    """Return a text that changes when the code does, or what it is run with."""
    package = Path(__file__).parents[2]
    files = sorted(package.rglob("*.py"))
    root = checkout()
    if root is not None:
        files += [root / name for name in _BESIDE if (root / name).is_file()]
    return digest_of(files)


def digest_of(files: Iterable[Path]) -> str:
    """Return a digest of the names and contents of these files."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{path.name}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
