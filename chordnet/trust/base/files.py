"""Files that hold keys: readable by their owner alone from the first byte on, replaced whole."""

from __future__ import annotations

import base64
import contextlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509 import load_pem_x509_certificates

from chordnet.trust.base.errors import IdentityError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO

FILE_LIMIT = 1 << 20
"""Bytes of the longest file that is read."""


def make_private_directory(path: Path) -> None:
    """Make a directory for its owner alone, and those above it that are missing.

    :raises IdentityError: it cannot be made.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = path.stat().st_mode
        if mode & _OTHERS and not mode & stat.S_ISVTX:
            path.chmod(stat.S_IMODE(mode) & ~_OTHERS)
    except OSError as error:
        raise IdentityError(f"{path} cannot be used: {error.strerror}") from None


def write_private(path: Path, data: bytes) -> None:
    """Write a file whole: it holds either what it held before, or ``data``.

    :raises IdentityError: it cannot be written.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.unlink(missing_ok=True)
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # the first complaint counts
            aside.unlink(missing_ok=True)
        raise IdentityError(f"{path} cannot be written: {error.strerror}") from None


def read_file(path: Path, *, what: str, secret: bool = False) -> bytes:
    """Read one file of an identity.

    :param what: it should be, for the complaint.
    :param secret: refuse it if other users may read it.
    :raises IdentityError: it is missing, damaged, or open to others.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(FILE_LIMIT + 1)
    except FileNotFoundError:
        raise IdentityError(f"{path} is missing: it should be {what}") from None
    except OSError as error:
        raise IdentityError(f"{path} cannot be read: {error.strerror}") from None
    if secret and mode & _OTHERS:
        raise IdentityError(
            f"{path} may be read by others (mode {mode:04o}): run chmod 600 {path}, and have a new"
            " identity issued if somebody else may have read it"
        )
    if len(data) > FILE_LIMIT:
        raise IdentityError(f"{path} is damaged: it should be {what}")
    return data


def key_to_pem(key: Ed25519PrivateKey) -> bytes:
    """Return a private key as PEM (PKCS #8, not encrypted)."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def key_from_pem(data: bytes, path: Path) -> Ed25519PrivateKey:
    """Read a private key.

    :raises IdentityError: it is damaged, or of another kind.
    """
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise IdentityError(f"{path} is damaged: no private key in it ({error})"[:300]) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise IdentityError(f"{path} holds a key of another kind; an Ed25519 key is needed")
    return key


def to_pem(certificates: Iterable[bytes]) -> bytes:
    """Return certificates (DER) as one PEM text."""
    lines = list[str]()
    for der in certificates:
        body = base64.b64encode(der).decode()
        lines.append("-----BEGIN CERTIFICATE-----")
        lines += (body[at : at + 64] for at in range(0, len(body), 64))
        lines.append("-----END CERTIFICATE-----")
    return "".join(f"{line}\n" for line in lines).encode()


def certificates_from_pem(data: bytes, path: Path) -> tuple[bytes, ...]:
    """Read certificates; return them as DER, in their order.

    :raises IdentityError: there is none, or one is damaged.
    """
    try:
        return tuple(each.public_bytes(Encoding.DER) for each in load_pem_x509_certificates(data))
    except ValueError as error:
        raise IdentityError(f"{path} is damaged: no certificate in it ({error})"[:300]) from None
