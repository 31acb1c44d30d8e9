"""The file that the keys of a store are exported to: JSON lines.

The first line says what it is, and of which network and store. Then comes a line for each key, in
the order of their bytes:

    {"key": "config", "version": 3, "value": "blue", "expires": null}

A value that is no UTF-8 is ``"value": null, "value_base64": "…"``; ``expires`` is in seconds since
1970. The last line counts the keys, so a file that was cut off is told from a whole one.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from chordnet.core.base.errors import InvalidKey
from chordnet.core.base.limits import MAX_KEY_BYTES, MAX_VALUE_BYTES
from chordnet.core.base.outcomes import Entry
from chordnet.wire.keys import check_store_key

FORMAT = "chordnet keys"
VERSION = 1
MAX_LINE = 12 * (MAX_KEY_BYTES + MAX_VALUE_BYTES) + 4096
"""Characters of the longest line: each byte of a value may be an escape of six, or two of them."""


class BadBackup(ValueError):
    """The file is not one that was exported, or is damaged.

    :param line: where, counted from 1.
    """

    def __init__(self, line: int, why: str) -> None:
        super().__init__(f"line {line}: {why}")
        self.line = line


@attrs.frozen
class Saved:
    """One key of a file."""

    key: str
    entry: Entry


def head(network: str, formation: str, at: float) -> str:
    """Return the first line.

    :param at: seconds since 1970.
    """
    document = {
        "format": FORMAT,
        "version": VERSION,
        "network": network,
        "formation": formation,
        "at": at,
    }
    return json.dumps(document)


def line_of(saved: Saved) -> str:
    """Return the line of a key."""
    entry = saved.entry
    document: dict[str, Any] = {"key": saved.key, "version": entry.version}
    try:
        document["value"] = entry.value.decode()
    except UnicodeDecodeError:
        document |= {"value": None, "value_base64": base64.b64encode(entry.value).decode()}
    return json.dumps(document | {"expires": entry.expires})


def end(keys: int) -> str:
    """Return the last line."""
    return json.dumps({"end": True, "keys": keys})


def read_backup(lines: Iterable[str]) -> Iterator[Saved]:
    """Return the keys of a file, one by one.

    :param lines: of the file; longer ones than :data:`MAX_LINE` may be cut off there.
    :raises BadBackup: a line is not as it should be, or the file is not whole.
    """
    number, keys, ended = 0, 0, False
    for number, line in enumerate(lines, 1):
        if ended:
            raise BadBackup(number, "there is something after the end")
        document = _document(number, line)
        if number == 1:
            _check_head(document)
        elif document.get("end") is True:
            ended = True
            if document.get("keys") != keys:
                said = document.get("keys")
                raise BadBackup(number, f"{keys} keys came before, and there should be {said}")
        else:
            keys += 1
            yield _saved(number, document)
    if number == 0:
        raise BadBackup(1, "the file is empty")
    if not ended:
        raise BadBackup(number, "the end is missing, so the file was cut off")


def _document(number: int, line: str) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        raise BadBackup(number, "it is not JSON") from None
    if not isinstance(document, dict):
        raise BadBackup(number, "it is not a JSON object")
    return document


def _check_head(document: dict[str, Any]) -> None:
    if document.get("format") != FORMAT:
        raise BadBackup(1, "this is no file of exported keys")
    version = document.get("version")
    if version != VERSION:
        raise BadBackup(1, f"the format has version {version!r}, and {VERSION} is understood")


def _saved(number: int, document: dict[str, Any]) -> Saved:
    key = document.get("key")
    try:
        check_store_key(key)
    except InvalidKey as problem:
        raise BadBackup(number, str(problem)) from None
    version, expires = document.get("version"), document.get("expires")
    if type(version) is not int or version < 1:
        raise BadBackup(number, "the version is not a whole number from 1 on")
    if expires is not None and (type(expires) not in (int, float) or not math.isfinite(expires)):
        raise BadBackup(number, "'expires' is neither a number of seconds nor null")
    value = _value(number, document)
    if len(value) > MAX_VALUE_BYTES:
        raise BadBackup(number, f"the value has more than {MAX_VALUE_BYTES} bytes")
    assert isinstance(key, str)
    return Saved(key, Entry(value, version, None if expires is None else float(expires)))


def _value(number: int, document: dict[str, Any]) -> bytes:
    value, encoded = document.get("value"), document.get("value_base64")
    if isinstance(value, str) and encoded is None:
        try:
            return value.encode()
        except UnicodeEncodeError:
            raise BadBackup(number, "the value is no valid text; use value_base64") from None
    if value is None and isinstance(encoded, str):
        try:
            return base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise BadBackup(number, "value_base64 is not base64") from None
    raise BadBackup(number, "it needs one of value and value_base64, a text")
