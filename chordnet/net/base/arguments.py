"""Checks of the embedding program's arguments, made before anything is done with them.

A wrong argument is reported where it was given. If it were sent, the node at the other end would
refuse it and end the connection, which all other calls share.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import ParamSpec, TypeVar, get_args

from twisted.internet.defer import Deferred, fail

from chordnet.core.base.errors import ChordnetError, ConfigError, LocalProtocolError
from chordnet.wire.receipts import ReceiptKind

P = ParamSpec("P")
T = TypeVar("T")

_SHOWN = 60


def refusing(method: Callable[P, Deferred[T]]) -> Callable[P, Deferred[T]]:
    """Return ``method`` with what it raises of chordnet's own errors as a failed Deferred."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        try:
            return method(*args, **kwargs)
        except ChordnetError as error:
            return fail(error)

    return call


class Checks:
    """Checks of values by their name.

    :param error: raised for a wrong one.
    """

    def __init__(self, error: type[ChordnetError]) -> None:
        self._error = error

    def _require(self, right: bool, what: str, kind: str, value: object) -> None:
        if not right:
            raise self._error(f"{what} must be {kind}, not {shown(value)}")

    def text(self, what: str, value: object) -> None:
        """Require a ``str``."""
        self._require(isinstance(value, str), what, "a text (str)", value)

    def texts(self, what: str, value: object) -> None:
        """Require a sequence of ``str``; a single ``str`` is refused."""
        right = (
            isinstance(value, Sequence)
            and not isinstance(value, str | bytes)
            and all(isinstance(each, str) for each in value)
        )
        self._require(right, what, "a list of texts (str)", value)

    def count(self, what: str, value: object) -> None:
        """Require a whole number from 0 on."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        right = whole and value >= 0  # type: ignore[operator]
        self._require(right, what, "a whole number from 0 on", value)

    def span(self, limit: object, since: object) -> None:
        """Require a part of a list of messages: how many, after which one."""
        self.count("limit", limit)
        self.text("since", since)

    def flag(self, what: str, value: object) -> None:
        """Require a ``bool``."""
        self._require(isinstance(value, bool), what, "True or False", value)

    def seconds(self, what: str, value: object) -> None:
        """Require a number of seconds from 0 on."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        right = number and 0 <= value < float("inf")  # type: ignore[operator]
        self._require(right, what, "a number of seconds from 0 on", value)

    def one_of(self, what: str, value: object, choices: Sequence[str]) -> None:
        """Require one of a few texts."""
        right = isinstance(value, str) and value in choices
        self._require(right, what, " or ".join(map(repr, choices)), value)

    def receipt(self, kind: object, expect: object) -> None:
        """Require a kind of receipts, and names of nodes."""
        self.one_of("receipt", kind, get_args(ReceiptKind))
        self.texts("expect", expect)

    def instance(self, what: str, value: object, *kinds: type, optional: bool = False) -> None:
        """Require an instance of one of some classes.

        :param optional: None is accepted, too.
        """
        names = " or ".join(kind.__name__ for kind in kinds)
        right = isinstance(value, kinds) or (optional and value is None)
        self._require(right, what, f"a {names}", value)

    def function(self, what: str, value: object) -> None:
        """Require something that can be called."""
        self._require(callable(value), what, "a function", value)

    def plain_function(self, what: str, value: object) -> None:
        """Require something that can be called and is not a coroutine function."""
        right = callable(value) and not inspect.iscoroutinefunction(value)
        self._require(right, what, "a plain function (def, not async def)", value)

    def methods(self, what: str, value: object, names: Sequence[str], example: str) -> None:
        """Require an object that has these methods.

        :param example: how it is usually given.
        """
        if not all(callable(getattr(value, name, None)) for name in names):
            raise self._error(f"{what} cannot be {shown(value)}; write {example}")


def shown(value: object) -> str:
    """Return the ``repr`` of a value, shortened for people to read."""
    try:
        text = repr(value)
    except ValueError:  # Python writes out no number of more than 4,300 digits
        text = "a number of very many digits"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


CALL = Checks(LocalProtocolError)
"""For the arguments of calls."""
SETTING = Checks(ConfigError)
"""For the settings of what is being made."""
