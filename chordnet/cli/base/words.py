"""The arguments that commands share: NODE, MESSAGE, --network, --timeout and --json."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from chordnet.core.base.errors import InvalidKey
from chordnet.core.base.limits import PHRASE_BYTES
from chordnet.wire.keys import check_store_key

F = TypeVar("F", bound=Callable[..., Any])

MAX_TIMEOUT_S = 86400.0
_NEGATIVE = re.compile(r"-[0-9]")
_MARK = "\0"
"""Hides a minus sign from the parser; no argument from the system contains this character."""
_NETWORK_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


class Command(click.Command):
    """A command for which ``-1`` is an argument, such as a wrong NODE, not an unknown option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as problem:
            if not _NEGATIVE.match(problem.option_name):
                raise
            marked = [_MARK + word if _NEGATIVE.match(word) else word for word in given]
            return super().parse_args(ctx, marked)


def _unmarked(value: object) -> str:
    return str(value).removeprefix(_MARK)


class NodeType(click.ParamType):  # type: ignore[type-arg]
    """The number of a node. If the network has such a node is checked later."""

    name = "node"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        text = _unmarked(value)
        # A number with too many digits for any network is as wrong as a word.
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else text


class WholeNumber(click.IntRange):
    """A whole number from ``min`` to ``max``."""

    name = "whole number"


class MessageType(click.ParamType):  # type: ignore[type-arg]
    """One phrase without white space, at most 64 KiB."""

    name = "message"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = _unmarked(value)
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            self.fail("MESSAGE must be UTF-8 text", None, ctx)
        if not text:
            self.fail("MESSAGE must not be empty", None, ctx)
        if any(character.isspace() for character in text):
            self.fail(
                "MESSAGE must be one phrase without white space (join its words with - or _)",
                None,
                ctx,
            )
        if size > PHRASE_BYTES:
            self.fail(
                f"MESSAGE has {size} bytes, and {PHRASE_BYTES} (64 KiB) are allowed", None, ctx
            )
        return text

    def fail(self, message: str, param: Any = None, ctx: click.Context | None = None) -> Any:
        raise click.UsageError(message, ctx)


class KeyType(click.ParamType):  # type: ignore[type-arg]
    """Any text."""

    name = "key"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = _unmarked(value)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise click.UsageError("KEY must be UTF-8 text", ctx) from None
        return text


class StoreKeyType(KeyType):
    """A key that can have a value."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = super().convert(value, param, ctx)
        try:
            check_store_key(text)
        except InvalidKey as problem:
            raise click.UsageError(str(problem), ctx) from None
        return text


class ValueType(click.ParamType):  # type: ignore[type-arg]
    """A value: the bytes of the word."""

    name = "value"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> bytes:
        return _unmarked(value).encode("utf-8", "surrogateescape")


class NetworkType(click.ParamType):  # type: ignore[type-arg]
    """The name of a network."""

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not _NETWORK_NAME.fullmatch(str(value)):
            raise click.UsageError(
                "--network takes up to 32 small letters, digits, - and _, "
                f"a letter or digit first, not '{value}'",
                ctx,
            )
        return str(value)


class SecondsType(click.ParamType):  # type: ignore[type-arg]
    """A number of seconds.

    :param option: whose value it is.
    :param most: the longest that is allowed.
    """

    name = "seconds"

    def __init__(self, option: str, most: float) -> None:
        self._option = option
        self._most = most

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            seconds = float(value)
        except ValueError:
            seconds = 0.0
        if not 0 < seconds <= self._most:  # NaN fails this as well
            raise click.UsageError(
                f"{self._option} takes seconds, more than 0 and at most {self._most:.0f}, "
                f"not '{value}'",
                ctx,
            )
        return seconds


def node_argument(*, required: bool = True) -> Callable[[F], F]:
    """Add the argument NODE."""
    metavar = "NODE" if required else "[NODE]"
    return click.argument("node", type=NodeType(), required=required, metavar=metavar)


DEFAULT_NETWORK = "default"
NETWORK_VARIABLE = "P2PNET_NETWORK"
"""The variable that names the network if no option does."""


def network_option(function: F) -> F:
    """Add ``--network NAME``."""
    text = "Which network, where several run side by side."
    return network_named(DEFAULT_NETWORK, text, NETWORK_VARIABLE)(function)


def network_named(default: str, text: str, variable: str | None = None) -> Callable[[F], F]:
    """Add ``--network NAME`` with a default and a help of its own."""
    return click.option(
        "--network",
        type=NetworkType(),
        default=default,
        envvar=variable,
        metavar="NAME",
        help=f"{text}  [default: {f'${variable} or ' if variable else ''}{default}]",
    )


def no_wait_option(what: str) -> Callable[[F], F]:
    """Add ``--no-wait``.

    :param what: what is otherwise waited for: ``until …``.
    """
    text = f"Do not wait {what}; what still moves is told."
    return click.option("--no-wait", is_flag=True, help=text)


def json_option(function: F) -> F:
    """Add ``--json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="One JSON document on stdout, nothing else there."
    )(function)


def timeout_option(default: float) -> Callable[[F], F]:
    """Add ``--timeout SECONDS``."""
    return click.option(
        "--timeout",
        type=SecondsType("--timeout", MAX_TIMEOUT_S),
        default=default,
        show_default=True,
        metavar="SECONDS",
        help="How long to wait.",
    )
