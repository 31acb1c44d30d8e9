"""Where the settings of a node come from: a TOML file, the environment, the command line.

The command line wins over the environment, and that over the file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from chordnet.core.base.errors import ConfigError
from chordnet.settings import CONFIG, OPTIONS, NodeSettings

PREFIXES = ("CHORDNODE_", "CHORDNET_")
"""Of environment variables; the first one that is set wins.

The first prefix belongs to the node alone, so a name with it that is not an option is a mistake.
The second is shared with other programs of chordnet.
"""
_INJECTED = re.compile(
    r"_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$"
)
_INJECTED_VALUE = re.compile(r"(tcp|udp|sctp)://")


@attrs.frozen
class Environment:
    """What the environment sets."""

    found: dict[str, str]
    """By key."""
    ignored: list[str]
    """Variables that Kubernetes sets for a service, whose name may begin like a prefix."""


def from_environment(environ: Mapping[str, str]) -> Environment:
    """Return what the environment sets. An empty variable counts as not set.

    :raises ConfigError: a variable with the node's own prefix is not an option.
    """
    keys = {each.variable: each.key for each in (CONFIG, *OPTIONS.values())}
    found: dict[str, dict[str, str]] = {prefix: {} for prefix in PREFIXES}
    ignored = []
    for name, value in sorted(environ.items()):
        prefix = next((each for each in PREFIXES if name.startswith(each)), "")
        key = keys.get(name.removeprefix(prefix))
        own = prefix == PREFIXES[0]
        if not prefix or not value or not (key or own):
            continue
        if _is_injected(name, value, known=key is not None):
            ignored.append(name)
        elif key is None:
            known = ", ".join(prefix + each for each in keys)
            raise ConfigError(f"the environment: {name!r} is not an option; there are {known}")
        else:
            found[prefix][key] = value
    own_words, others = (found[prefix] for prefix in PREFIXES)
    return Environment({**others, **own_words}, ignored)


def _is_injected(name: str, value: str, *, known: bool) -> bool:
    """Return True if Kubernetes set this variable, for a service named chordnode for example.

    Of the names that are options it sets only NAME_PORT; a URL as the value of another option is
    the user's mistake.
    """
    if _INJECTED.search(name):
        return True
    return bool(_INJECTED_VALUE.match(value)) and (name.endswith("_PORT") or not known)


def from_file(path: str) -> dict[str, Any]:
    """Return what a TOML file sets, by key.

    :raises ConfigError: it cannot be read, is not TOML, or has a key that is not an option.
    """
    try:
        with Path(path).open("rb") as file:
            table = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:  # also a number of too many digits
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    names = {name: each.key for each in OPTIONS.values() for name in (each.name, each.key)}
    found = {}
    for key, value in table.items():
        name = str(key).replace("_", "-")
        if name not in names:
            known = ", ".join(each.key for each in OPTIONS.values())
            raise ConfigError(f"{path}: {name!r} is not an option; there are {known}")
        found[names[name]] = value
    return found


def read_values(written: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return every option's value by key: the default, or what was written.

    :param written: what each source says, by key; later sources override earlier ones.
    :raises ConfigError: a value is wrong.
    """
    merged: dict[str, Any] = {}
    for each in written:
        merged |= each
    values = {each.key: merged.get(each.key, each.default) for each in OPTIONS.values()}
    return {
        each.key: None if values[each.key] is None else each.kind.read(each.key, values[each.key])
        for each in OPTIONS.values()
    }


def settings_of(values: Mapping[str, Any]) -> NodeSettings:
    """Return the settings for the values of all options.

    :raises ConfigError: a value is wrong.
    """
    return NodeSettings(**{field: each.into(values[each.key]) for field, each in OPTIONS.items()})
