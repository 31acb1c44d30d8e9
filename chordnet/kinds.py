"""The kinds of values that a node's options take: how each is read, and how it is checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import attrs
from twisted.internet.abstract import isIPAddress, isIPv6Address

from chordnet.core.base.errors import ConfigError
from chordnet.core.base.naming import usable_name
from chordnet.net.base.addresses import format_address, parse_address
from chordnet.net.base.arguments import SETTING, shown

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"", "0", "false", "no", "off"})

Check = Callable[[str, Any], object]
"""Takes a setting's name and value; raises :class:`ConfigError` if the value is wrong."""


class Kind(Protocol):
    """What values an option takes."""

    def read(self, what: str, value: Any) -> Any:
        """Return the value for what a user wrote: a text, or a TOML value.

        :param what: the option's name, for the error.
        :raises ConfigError: it is wrong; one line says what is accepted.
        """

    def check(self, what: str, value: Any) -> None:
        """Check a value that a program passed; a :data:`Check`."""


@attrs.frozen
class Whole:
    """A whole number within limits, both included."""

    low: int
    high: int

    def read(self, what: str, value: Any) -> int:
        """Return the number."""
        try:
            number = int(value) if not isinstance(value, bool | float) else None
        except (TypeError, ValueError):
            number = None
        if number is None or not self.low <= number <= self.high:
            raise self._wrong(what, value)
        return number

    def check(self, what: str, value: Any) -> None:
        """Require an ``int``; a text with a number is accepted from users only."""
        if isinstance(value, str):
            raise self._wrong(what, value)
        self.read(what, value)

    def _wrong(self, what: str, value: Any) -> ConfigError:
        limits = f"from {self.low} to {self.high}"
        return ConfigError(f"{what} must be a whole number {limits}, not {shown(value)}")


@attrs.frozen
class NumberOf:
    """One of a few whole numbers."""

    choices: tuple[int, ...]

    def read(self, what: str, value: Any) -> int:
        """Return the number."""
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
            value = int(value)
        self.check(what, value)
        return int(value)

    def check(self, what: str, value: Any) -> None:
        """Require one of the numbers."""
        if type(value) is not int or value not in self.choices:
            numbers = ", ".join(map(str, self.choices[:3]))
            limits = f"one of {numbers} and so on up to {self.choices[-1]}"
            raise ConfigError(f"{what} must be {limits}, not {shown(value)}")


@attrs.frozen
class Seconds:
    """A number of seconds within limits, both included."""

    low: float
    high: float

    def read(self, what: str, value: Any) -> float:
        """Return the number."""
        try:
            number = float(value) if not isinstance(value, bool) else None
        except (TypeError, ValueError, OverflowError):
            number = None
        if number is None or not self.low <= number <= self.high:  # NaN is not, either
            limits = f"from {self.low:g} to {self.high:g}"
            raise ConfigError(f"{what} must be a number of seconds {limits}, not {shown(value)}")
        return number

    def check(self, what: str, value: Any) -> None:
        """Require a number from 0 on; programs may wait longer than users."""
        SETTING.seconds(what, value)


@attrs.frozen
class Flag:
    """Yes or no; on the command line the option's name alone means yes."""

    def read(self, what: str, value: Any) -> bool:
        """Return True for a yes."""
        text = str(value).lower()
        if text not in _TRUE | _FALSE:
            raise ConfigError(f"{what} must be yes or no, not {shown(value)}")
        return text in _TRUE

    def check(self, what: str, value: Any) -> None:
        """Require a ``bool``."""
        SETTING.flag(what, value)


@attrs.frozen
class Text:
    """A text. Further rules, for a name say, are checked by :class:`NodeSettings`."""

    def read(self, what: str, value: Any) -> str:
        """Return the text."""
        if not isinstance(value, str):
            raise ConfigError(f"{what} must be a text, not {shown(value)}")
        return value

    def check(self, what: str, value: Any) -> None:
        """Require a ``str``, or None for the default."""
        SETTING.instance(what, value, str, optional=True)


@attrs.frozen
class OneOf:
    """One of a few words."""

    choices: tuple[str, ...]

    def read(self, what: str, value: Any) -> str:
        """Return the word."""
        if value not in self.choices:
            raise ConfigError(f"{what} must be {' or '.join(self.choices)}, not {shown(value)}")
        return str(value)

    def check(self, what: str, value: Any) -> None:
        """Require one of the words."""
        SETTING.one_of(what, value, self.choices)


@attrs.frozen
class Addresses:
    """Several HOST:PORT: a repeated option, a list, or one text with commas or spaces."""

    most: int

    def read(self, what: str, value: Any) -> list[str]:
        """Return the addresses."""
        if isinstance(value, str):
            value = value.replace(",", " ").split()
        if not isinstance(value, list | tuple) or not all(isinstance(each, str) for each in value):
            raise ConfigError(f"{what} must be a list of HOST:PORT, not {shown(value)}")
        if len(value) > self.most:
            raise ConfigError(f"at most {self.most} {what} can be given")
        return list(addresses(value))

    def check(self, what: str, value: Any) -> None:
        """Do nothing: the field's converter has checked the addresses."""


@attrs.frozen
class Names:
    """Several names: one text with commas, or a list."""

    most: int

    def read(self, what: str, value: Any) -> list[str]:
        """Return the names."""
        names = value.split(",") if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not all(isinstance(each, str) for each in names):
            raise ConfigError(f"{what} must be names with commas between, not {shown(value)}")
        return [each.strip() for each in names]

    def check(self, what: str, value: Any) -> None:
        """Require different names of nodes."""
        for name in value:
            if not usable_name(name):
                raise ConfigError(f"{what} must be names of nodes; {shown(name)} is none")
        if len(set(value)) < len(value) or len(value) > self.most:
            raise ConfigError(f"{what} must be at most {self.most} different names")


@attrs.frozen
class OwnPort:
    """A port of this machine, ``[ADDRESS:]PORT``; without an address that of this machine alone."""

    def read(self, what: str, value: Any) -> str:
        """Return the text."""
        self.check(what, value)
        return str(value)

    def check(self, what: str, value: Any) -> None:
        """Require such a text, or None for the default."""
        SETTING.instance(what, value, str, optional=True)
        if value is not None:
            read_own_port(what, value)


def read_own_port(what: str, text: str) -> tuple[str, int]:
    """Return the address and the port of ``[ADDRESS:]PORT``.

    :raises ConfigError: it is none.
    """
    whole = f"127.0.0.1:{text}" if text.isascii() and text.isdigit() else text
    try:
        host, port = parse_address(whole.replace("localhost:", "127.0.0.1:"), any_port=True)
    except ConfigError:
        host, port = "", 0
    if not isIPAddress(host) and not isIPv6Address(host):
        raise ConfigError(
            f"{what} must be a port, or an IP address of this machine and a port, such as 9101 or"
            f" 10.0.0.5:9101, not {shown(text)}"
        )
    return host, port


def addresses(value: Any) -> tuple[str, ...]:
    """Return several HOST:PORT in their usual form.

    :raises ConfigError: one of them is none.
    """
    SETTING.texts("peers", value)
    return tuple(format_address(*parse_address(each)) for each in value)


def names(value: Any) -> tuple[str, ...]:
    """Return several names as a tuple.

    :raises ConfigError: they are no texts.
    """
    SETTING.texts("founders", value)
    return tuple(value)
