"""What a setting or a value is where nothing is said of it.

Users leave settings out, and peers and files of other versions leave fields out: what then holds
is a promise. ``golden/defaults.txt`` has all of them; a new one is added there by hand.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from typing import Any

import attrs
import msgspec
from twisted.trial.unittest import SynchronousTestCase

import chordnet
from chordnet.core.base.config import ProtocolConfig

GOLDEN = Path(__file__).parent / "golden" / "defaults.txt"
LEFT_OUT = (
    "chordnet.cli",
    "chordnet.draw",
    "chordnet.sim.__main__",
    "chordnet.sim.measured.analysis",
    "chordnet.sim.measured.paper",
    "chordnet.sim.search.__main__",
)
"""Nothing of these is kept, sent or set by anybody; the measurements need an extra besides."""


def fields_of(kind: type[Any]) -> dict[str, Any]:
    """Return the defaults of a class of values; what changes has a beginning, and no default."""
    if attrs.has(kind) and kind.__setattr__ is not object.__setattr__:
        return {f.name: f.default for f in attrs.fields(kind) if f.default is not attrs.NOTHING}
    if issubclass(kind, msgspec.Struct) and kind.__struct_config__.frozen:
        each = msgspec.structs.fields(kind)
        return {f.name: f.default for f in each if f.default is not msgspec.NODEFAULT}
    return {}


def is_plain(value: object) -> bool:
    return isinstance(value, bool | int | float | str) and not type(value).__module__.startswith(
        "chordnet"
    )


def defaults() -> list[str]:
    """Return a line for every default that is a number or a text."""
    lines = []
    for module in pkgutil.walk_packages(chordnet.__path__, "chordnet."):
        if module.name.startswith(LEFT_OUT):
            continue
        for name, kind in vars(importlib.import_module(module.name)).items():
            if not isinstance(kind, type) or kind.__module__ != module.name or name[0] == "_":
                continue
            lines += [
                f"{name}.{field} = {value!r}"
                for field, value in fields_of(kind).items()
                if is_plain(value)
            ]
    far = attrs.asdict(ProtocolConfig.wide_area(), recurse=False)
    lines += [
        f"ProtocolConfig.wide_area().{field} = {value!r}"
        for field, value in far.items()
        if is_plain(value) and value != getattr(ProtocolConfig(), field)
    ]
    return sorted(lines)


class DefaultTests(SynchronousTestCase):
    maxDiff = None

    def test_every_default_is_the_one_that_is_written_down(self) -> None:
        written = GOLDEN.read_text("utf-8").splitlines()
        self.assertEqual(defaults(), [line for line in written if not line.startswith("#")])
