"""``p2pnet store export`` and ``p2pnet store import``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from chordnet.cli.base.failures import FAILED, complain
from chordnet.cli.base.output import print_json
from chordnet.cli.base.session import with_testbed
from chordnet.cli.base.words import Command, json_option, network_option, timeout_option
from chordnet.draw.phrases import count, plain
from chordnet.testbed.actions.backup import Exported, Imported, export_keys, import_keys
from chordnet.testbed.actions.context import Testbed

TIMEOUT_S = 10.0
SHOWN = 5
"""Keys that are told one by one."""


def file_argument(function: Any) -> Any:
    """Add the argument FILE."""
    return click.argument("file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE")(
        function
    )


@click.command(
    "export",
    cls=Command,
    epilog="""\b
Examples:
  p2pnet store export keys.jsonl
  p2pnet store export keys.jsonl --partial --network other
""",
)
@file_argument
@click.option(
    "--partial", is_flag=True, help="Leave out keys that cannot be read, and say which they are."
)
@timeout_option(TIMEOUT_S)
@json_option
@network_option
def export(file: Path, partial: bool, timeout: float, as_json: bool, network: str) -> int:
    """Write all keys and their values into FILE.

    Each key is read as it is at some moment meanwhile; the timeout is that of one read. FILE
    appears when it is whole. If a key cannot be read there is no file, unless --partial is given,
    and the exit status is 1.
    """

    async def work(testbed: Testbed) -> Exported:
        return await export_keys(testbed, file, time.time(), timeout, allow_gaps=partial)

    done = with_testbed(network, work)
    if as_json:
        print_json(exported_json(network, file, done))
    else:
        keys, size = count(done.keys, "key"), count(done.bytes, "byte")
        print(plain(f"{keys} ({size}) exported to {file}"))
    _complain("left out", list(done.unread))
    return FAILED if done.unread else 0


@click.command(
    "import",
    cls=Command,
    epilog="""\b
Examples:
  p2pnet store import keys.jsonl
  p2pnet store import keys.jsonl --overwrite --network other
""",
)
@file_argument
@click.option("--overwrite", is_flag=True, help="Write keys as well that have another value.")
@timeout_option(TIMEOUT_S)
@json_option
@network_option
def import_(file: Path, overwrite: bool, timeout: float, as_json: bool, network: str) -> int:
    """Write the keys in FILE, which was exported.

    A key that has another value is left, unless --overwrite is given; then the exit status is 1, as
    it is if a key could not be written. What has expired meanwhile is left out, and versions begin
    anew. The timeout is that of one write. Nothing is written from a FILE that is damaged.
    """

    async def work(testbed: Testbed) -> Imported:
        return await import_keys(testbed, file, time.time, timeout, overwrite=overwrite)

    done = with_testbed(network, work)
    if as_json:
        print_json(imported_json(network, file, done))
    else:
        print(plain(f"{imported_text(done)}, from {file}"))
    _complain("left as it is, since it has another value", done.conflicts)
    _complain("not written", done.failed)
    return FAILED if done.conflicts or done.failed else 0


def _complain(what: str, found: list[str]) -> None:
    for each in found[:SHOWN]:
        complain(plain(f"{what}: {each}"))
    if len(found) > SHOWN:
        complain(f"{what}: {len(found) - SHOWN} more")


def imported_text(done: Imported) -> str:
    """Return ``990 keys imported; 5 had their value already; 3 have another value``."""
    text = f"{count(done.written + done.overwritten, 'key')} imported"
    for number, words in (
        (done.overwritten, "of them over another value"),
        (done.same, "had {its} value already"),
        (done.expired, "{has} expired"),
        (len(done.conflicts), "{has} another value and {was} left"),
        (len(done.failed), "could not be written"),
    ):
        if number:
            one = {"its": "its", "has": "has", "was": "was"}
            several = {"its": "their", "has": "have", "was": "were"}
            text += f"; {number} {words.format_map(one if number == 1 else several)}"
    return text


def exported_json(network: str, file: Path, done: Exported) -> dict[str, Any]:
    """Return the outcome of an export as its JSON document."""
    return {
        "network": network,
        "file": str(file),
        "keys": done.keys,
        "bytes": done.bytes,
        "unread": list(done.unread),
    }


def imported_json(network: str, file: Path, done: Imported) -> dict[str, Any]:
    """Return the outcome of an import as its JSON document."""
    return {
        "network": network,
        "file": str(file),
        "written": done.written,
        "overwritten": done.overwritten,
        "same": done.same,
        "expired": done.expired,
        "conflicts": list(done.conflicts),
        "failed": list(done.failed),
    }
