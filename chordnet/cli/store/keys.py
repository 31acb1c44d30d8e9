"""``p2pnet put``, ``p2pnet get`` and ``p2pnet delete``."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import attrs
import click
from twisted.internet.defer import Deferred

from chordnet.cli.base.failures import FAILED, complain
from chordnet.cli.base.output import print_json, rfc3339
from chordnet.cli.base.session import chosen_node, with_testbed
from chordnet.cli.base.words import (
    Command,
    SecondsType,
    StoreKeyType,
    ValueType,
    WholeNumber,
    json_option,
    network_option,
    node_argument,
    timeout_option,
)
from chordnet.core.base.errors import Conflict, Unavailable, Unconfirmed, Untold
from chordnet.core.base.limits import COUNT_LIMIT, MAX_EXPIRES_S, MAX_REQUEST_BYTES, MAX_VALUE_BYTES
from chordnet.core.base.outcomes import Entry, StaleEntry
from chordnet.draw.phrases import count, plain
from chordnet.survey.observer import Client
from chordnet.survey.store.merged import names_of
from chordnet.survey.verdict import Names
from chordnet.testbed.actions.context import Testbed
from chordnet.wire.rpc import Written

TIMEOUT_S = 10.0
ANSWER_S = 5.0
"""How much longer than an operation may take its answer is waited for."""

Read = Entry | StaleEntry | Unavailable | None
Ending = Written | Conflict | Unconfirmed | Unavailable | Untold


@attrs.frozen
class Again:
    """A write that is asked for again."""

    request: bytes
    since: int


class AgainType(click.ParamType):  # type: ignore[type-arg]
    """What names an unconfirmed write: ``REQUEST.SINCE``."""

    name = "write"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Again:
        """Return the write."""
        request, _, since = str(value).partition(".")
        right = since.isascii() and since.isdigit() and len(since) <= 18
        try:
            raw = bytes.fromhex(request)
        except ValueError:
            raw = b""
        if not 0 < len(raw) <= MAX_REQUEST_BYTES or not right:
            raise click.UsageError(
                f"--again takes what the unconfirmed command told to type, not '{value}'", ctx
            )
        return Again(raw, int(since))


F = TypeVar("F", bound=Callable[..., Any])


def key_argument(function: F) -> F:
    """Add the argument KEY."""
    return click.argument("key", type=StoreKeyType(), metavar="KEY")(function)


def if_version_option(function: F) -> F:
    """Add ``--if-version V``."""
    return click.option(
        "--if-version",
        type=WholeNumber(0, COUNT_LIMIT - 1),
        metavar="V",
        help="Only if KEY has this version; 0: only if it has no value.",
    )(function)


def again_option(function: F) -> F:
    """Add ``--again REQUEST.SINCE``."""
    return click.option(
        "--again",
        type=AgainType(),
        metavar="WRITE",
        help="Do it unless it has been done: as an unconfirmed command told.",
    )(function)


# ---- writing --------------------------------------------------------------------------------


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet put 4 config blue
  p2pnet put 4 config green --if-version 1
  p2pnet put 4 logo --file logo.png
  date | p2pnet put 4 today - --expires 3600
""",
)
@node_argument()
@key_argument
@click.argument("value", type=ValueType(), required=False, metavar="[VALUE]")
@click.option(
    "--file",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Take the value from this file; VALUE is left out.",
)
@if_version_option
@click.option(
    "--expires",
    type=SecondsType("--expires", MAX_EXPIRES_S),
    metavar="SECONDS",
    help="Have it deleted after this time.",
)
@again_option
@timeout_option(TIMEOUT_S)
@json_option
@network_option
def put(
    node: int | str,
    key: str,
    value: bytes | None,
    file: Path | None,
    if_version: int | None,
    expires: float | None,
    again: Again | None,
    timeout: float,
    as_json: bool,
    network: str,
) -> int | None:
    """Write VALUE under KEY, through NODE.

    VALUE is a text, or - for what comes on standard input. Returns when a majority of the nodes
    that hold KEY has it. The exit status is 1 if it was not written, or if that is not known.
    """
    number = chosen_node(network, node)
    content = the_value(value, file)
    request, since = _again(again)

    def ask(client: Client) -> Deferred[Written]:
        return client.put(
            key,
            content,
            if_version=if_version,
            expires_s=expires,
            request=request,
            since=since,
            timeout_s=timeout,
        )

    return _write(Asked("put", network, number, key), ask, timeout, as_json=as_json)


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet delete 4 config
  p2pnet delete 4 config --if-version 3
""",
)
@node_argument()
@key_argument
@if_version_option
@again_option
@timeout_option(TIMEOUT_S)
@json_option
@network_option
def delete(
    node: int | str,
    key: str,
    if_version: int | None,
    again: Again | None,
    timeout: float,
    as_json: bool,
    network: str,
) -> int | None:
    """Delete KEY and its value, through NODE.

    Returns when a majority of the nodes that hold KEY has done so. The exit status is 1 if it was
    not deleted, or if that is not known.
    """
    number = chosen_node(network, node)
    request, since = _again(again)

    def ask(client: Client) -> Deferred[Written]:
        return client.delete(
            key, if_version=if_version, request=request, since=since, timeout_s=timeout
        )

    return _write(Asked("delete", network, number, key), ask, timeout, as_json=as_json)


@attrs.frozen
class Asked:
    """What was asked for."""

    command: str
    network: str
    node: int
    key: str


def _again(again: Again | None) -> tuple[bytes | None, int | None]:
    return (None, None) if again is None else (again.request, again.since)


def the_value(value: bytes | None, file: Path | None) -> bytes:
    """Return the value from where the words say that it is.

    :raises UsageError: they do not say it, or it cannot be read or is too long.
    """
    if (value is None) == (file is None):
        raise click.UsageError("give one of VALUE, - for standard input, or --file PATH")
    if file is not None:
        try:
            with file.open("rb") as opened:
                value = _read(opened)
        except OSError as problem:
            raise click.UsageError(plain(f"{file}: {problem.strerror or problem}")) from None
    elif value == b"-":
        value = _read(sys.stdin.buffer)
    assert value is not None
    if len(value) > MAX_VALUE_BYTES:
        raise click.UsageError(
            f"the value has more than {MAX_VALUE_BYTES} bytes (1 MiB), which are allowed"
        )
    return value


def _read(source: BinaryIO) -> bytes:
    """Return what is there, or enough of it to see that it is too long."""
    return source.read(MAX_VALUE_BYTES + 1)


def _write(
    asked: Asked,
    ask: Callable[[Client], Deferred[Written]],
    timeout: float,
    *,
    as_json: bool,
) -> int | None:
    async def work(testbed: Testbed) -> tuple[Ending, Names]:
        names = Names(testbed.checked(asked.node))
        try:
            return await testbed.ask(asked.node, ask, timeout + ANSWER_S), names
        except (Conflict, Unconfirmed, Unavailable, Untold) as ending:
            return ending, names

    ending, names = with_testbed(asked.network, work)
    if as_json:
        print_json({"key": asked.key, **ending_json(ending, names)})
    elif isinstance(ending, Written):
        print(written_text(asked, ending, names))
    if isinstance(ending, Written):
        return None
    complain(ending_text(asked, ending))
    return FAILED


def written_text(asked: Asked, written: Written, names: Names) -> str:
    """Return ``config is version 3, on Node 4, Node 9 and Node 12``."""
    version = f"version {written.version}"
    what = version if asked.command == "put" else f"deleted ({version})"
    text = f"{asked.key} is {what}, on {names_of(names.all_named(written.acknowledged))}"
    if written.others:
        text += f"; not confirmed by {names_of(names.all_named(written.others))} yet"
    return plain(text)


def ending_text(asked: Asked, ending: Conflict | Unconfirmed | Unavailable | Untold) -> str:
    """Return the line about a write that is not known to be done."""
    if not isinstance(ending, Unconfirmed):
        return str(ending)
    words = f"--again {again_word(ending)}"
    return f"{ending.what}; to be certain repeat the command with {words}"


def again_word(ending: Unconfirmed) -> str:
    """Return what ``--again`` takes."""
    return f"{ending.request.hex()}.{ending.since}"


def ending_json(ending: Ending, names: Names) -> dict[str, Any]:
    """Return how a write ended, for its JSON document."""
    if isinstance(ending, Written):
        return {
            "outcome": "done",
            "version": ending.version,
            "formation": ending.formation,
            "slot": ending.slot,
            "epoch": ending.epoch,
            "acknowledged": names.all_named(ending.acknowledged),
            "others": names.all_named(ending.others),
            "at": rfc3339(ending.at),
        }
    if isinstance(ending, Conflict):
        present = ending.present
        return {
            "outcome": "conflict",
            "present": None if present is None else entry_json(present),
        }
    if isinstance(ending, Unconfirmed):
        return {"outcome": "unconfirmed", "again": again_word(ending)}
    if isinstance(ending, Unavailable):
        return {"outcome": "unavailable", **unavailable_json(ending, names)}
    return {"outcome": "untold"}


def unavailable_json(ending: Unavailable, names: Names) -> dict[str, Any]:
    """Return why a key is unavailable, for a JSON document."""
    return {
        "slot": ending.slot,
        "epoch": ending.epoch,
        "members": ending.members,
        "missing": names.all_named(ending.missing),
    }


# ---- reading --------------------------------------------------------------------------------


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet get 8 config
  p2pnet get 8 config --json
  p2pnet get 8 config --stale
  p2pnet get 8 logo --output logo.png
""",
)
@node_argument()
@key_argument
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write the value into this file.",
)
@click.option(
    "--stale",
    is_flag=True,
    help="Whatever one of the nodes that hold KEY has, and how old that may be.",
)
@timeout_option(TIMEOUT_S)
@json_option
@network_option
def get(
    node: int | str,
    key: str,
    output: Path | None,
    stale: bool,
    timeout: float,
    as_json: bool,
    network: str,
) -> int | None:
    """Print the value of KEY, asked of NODE.

    The value's bytes are printed as they are, without a line feed; a terminal is given one, and no
    characters that would control it. The exit status is 1 if KEY has no value.
    """
    number = chosen_node(network, node)

    ask = partial(_get, key=key, stale=stale, timeout=timeout)

    async def work(testbed: Testbed) -> tuple[Read, Names]:
        names = Names(testbed.checked(number))
        try:
            return await testbed.ask(number, ask, timeout + ANSWER_S), names
        except Unavailable as ending:
            return ending, names

    told, names = with_testbed(network, work)
    found, age = (told.entry, told) if isinstance(told, StaleEntry) else (told, None)
    if isinstance(found, Entry) and output is not None:
        try:
            output.write_bytes(found.value)
        except OSError as problem:
            complain(f"{output}: {problem.strerror or problem}")
            return FAILED
    if as_json:
        about = {} if age is None else {"stale": stale_json(age, names)}
        print_json({"key": key, **found_json(found, names), **about})
    elif isinstance(found, Entry):
        _show(found, output)
    if age is not None and not as_json:
        complain(stale_text(age, names))
    if isinstance(found, Entry):
        return None
    complain(f"there is no key {key}" if found is None else str(found))
    return FAILED


def _get(client: Client, *, key: str, stale: bool, timeout: float) -> Deferred[Any]:
    if stale:
        return client.get(key, stale=True, timeout_s=timeout)
    return client.get(key, timeout_s=timeout)


def _show(found: Entry, output: Path | None) -> None:
    """Print a value, or that it was written into a file."""
    if output is None:
        print_value(found.value)
    else:
        print(plain(f"{output}: {count(len(found.value), 'byte')}, version {found.version}"))


def stale_text(found: StaleEntry, names: Names) -> str:
    """Return the line about how old a value from the past may be."""
    who = names_of(names.all_named([found.node]))
    heard = "has not heard from a majority of the slot's nodes since its start"
    if found.age_s is not None:
        heard = f"heard from a majority of the slot's nodes {found.age_s:.1f} s before"
    version = "" if found.entry is None else f", version {found.entry.version}"
    return plain(f"stale{version}: as {who} has it in epoch {found.epoch}, which {heard}")


def stale_json(found: StaleEntry, names: Names) -> dict[str, Any]:
    """Return how old a value from the past may be, for its JSON document."""
    return {
        "node": names.all_named([found.node])[0],
        "epoch": found.epoch,
        "heard_s": found.age_s,
    }


def print_value(value: bytes) -> None:
    """Print a value: its bytes and no others; on a terminal for people to read."""
    if sys.stdout.isatty():
        lines = value.decode(errors="backslashreplace").split("\n")
        print("\n".join(plain(line) for line in lines))
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(value)
    sys.stdout.buffer.flush()


def found_json(found: Entry | Unavailable | None, names: Names) -> dict[str, Any]:
    """Return what a key has, for its JSON document."""
    if isinstance(found, Unavailable):
        return {"outcome": "unavailable", **unavailable_json(found, names)}
    if found is None:
        return {"outcome": "absent"}
    return {"outcome": "value", **entry_json(found)}


def entry_json(entry: Entry) -> dict[str, Any]:
    """Return an entry as JSON; a value that is no text is in base64."""
    document: dict[str, Any] = {
        "version": entry.version,
        "expires": None if entry.expires is None else rfc3339(entry.expires),
    }
    try:
        return document | {"value": entry.value.decode()}
    except UnicodeDecodeError:
        encoded = base64.b64encode(entry.value).decode()
        return document | {"value": None, "value_base64": encoded}
