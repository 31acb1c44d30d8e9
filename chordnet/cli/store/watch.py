"""``p2pnet watch`` and ``p2pnet keys``: what becomes of a key, and the keys that a node holds."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import click
from twisted.internet.defer import Deferred

from chordnet.cli.base.output import print_json, print_json_line, rfc3339
from chordnet.cli.base.session import chosen_node, with_testbed
from chordnet.cli.base.words import (
    Command,
    WholeNumber,
    json_option,
    network_option,
    node_argument,
    timeout_option,
)
from chordnet.cli.store.keys import key_argument
from chordnet.core.base.limits import COUNT_LIMIT
from chordnet.core.base.outcomes import Revision
from chordnet.draw.phrases import count, plain
from chordnet.survey.observer import Client
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.messages import watch_key
from chordnet.wire.stores import HeldKey

TIMEOUT_S = 10.0
SHOWN = 60
"""Characters of a value on a line of text."""
PAGE = 10_000
"""Keys that are asked for at a time."""
HEAD = f"{'VERSION':>8} {'BYTES':>7} {'SLOT':>5}  {'EXPIRES':29}  KEY"


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet watch 4 config
  p2pnet watch 4 config --count 1
  p2pnet watch 4 config --since 7 --json
""",
)
@node_argument()
@key_argument
@click.option(
    "--since",
    type=WholeNumber(0, COUNT_LIMIT - 1),
    metavar="V",
    help="Begin after this version; without it with what there is.",
)
@click.option("--count", "most", type=WholeNumber(1, 10**9), metavar="N", help="End after N.")
@json_option
@network_option
def watch(
    node: int | str, key: str, since: int | None, most: int | None, as_json: bool, network: str
) -> None:
    """Print the states that KEY has, one a line, as NODE learns of them; until Ctrl-C.

    Each is certain, and they come in the order of their versions. What was overwritten before NODE
    has read it is told as versions that were not seen.
    """
    number = chosen_node(network, node)
    show = _json_printer(key) if as_json else _print_lines

    async def work(testbed: Testbed) -> None:
        await watch_key(testbed, number, key, since, show, most)

    with_testbed(network, work)


def _print_lines(revision: Revision) -> None:
    for line in revision_lines(revision):
        print(plain(line), flush=True)


def _json_printer(key: str) -> Callable[[Revision], None]:
    return lambda revision: print_json_line({"key": key, **revision_json(revision)})


def revision_lines(revision: Revision) -> Iterator[str]:
    """Return a revision in lines for people; the gap before it is one of its own."""
    if revision.gap is not None:
        first, last = revision.gap
        what = f"version {first} was" if first == last else f"versions {first} to {last} were"
        yield f"{what} not seen"
    if not revision.version:
        yield "no value"
    elif revision.value is None:
        yield f"version {revision.version}: deleted"
    else:
        until = "" if revision.expires is None else f", expires {rfc3339(revision.expires)}"
        yield f"version {revision.version}{until}: {shown(revision.value)}"


def shown(value: bytes) -> str:
    """Return a value on one line: its text, as much of it as fits, or its length."""
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return count(len(value), "byte")
    if len(text) > SHOWN or not text.isprintable():
        start = "".join(c if c.isprintable() else " " for c in text[:SHOWN])
        return f"{start}... ({count(len(value), 'byte')})"
    return text


def revision_json(revision: Revision) -> dict[str, Any]:
    """Return a revision for its JSON document; a value that is no text is in base64."""
    value, encoded = None, None
    if revision.value is not None:
        try:
            value = revision.value.decode()
        except UnicodeDecodeError:
            encoded = base64.b64encode(revision.value).decode()
    return {
        "version": revision.version,
        "absent": revision.value is None,
        "value": value,
        **({} if encoded is None else {"value_base64": encoded}),
        "expires": None if revision.expires is None else rfc3339(revision.expires),
        "gap": None if revision.gap is None else list(revision.gap),
    }


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet keys 4
  p2pnet keys 4 --owned --json
""",
)
@node_argument()
@click.option("--owned", is_flag=True, help="Only of slots whose first live node NODE is.")
@timeout_option(TIMEOUT_S)
@json_option
@network_option
def keys(node: int | str, owned: bool, timeout: float, as_json: bool, network: str) -> None:
    """List the keys that NODE holds: their versions, sizes and expiries, by slot.

    That is what its own disk has, which may lag behind. With --owned the lists of all nodes
    together have each key once.
    """
    number = chosen_node(network, node)

    async def work(testbed: Testbed) -> None:
        found: list[HeldKey] = []
        after = ""
        while True:
            ask = partial(_page, after=after, owned=owned)
            page = await testbed.ask(number, ask, timeout)
            if as_json:
                found += page
            else:
                _print_keys(page, first=not after)
            if len(page) < PAGE:
                break
            after = page[-1].key
        if as_json:
            print_json([held_json(each) for each in found])

    with_testbed(network, work)


def _page(client: Client, *, after: str, owned: bool) -> Deferred[list[HeldKey]]:
    return client.held_keys(PAGE, after, owned=owned)


def _print_keys(page: list[HeldKey], *, first: bool) -> None:
    if first:
        print(HEAD if page else "no keys")
    for each in page:
        print(plain(held_line(each)))


def held_line(held: HeldKey) -> str:
    """Return one key of a node on one line."""
    expires = "-" if held.expires is None else rfc3339(held.expires)
    return f"{held.version:>8} {held.bytes:>7} {held.slot:>5}  {expires:29}  {held.key}"


def held_json(held: HeldKey) -> dict[str, Any]:
    """Return one key of a node for the JSON document."""
    return {
        "key": held.key,
        "version": held.version,
        "bytes": held.bytes,
        "expires": None if held.expires is None else rfc3339(held.expires),
        "slot": held.slot,
    }
