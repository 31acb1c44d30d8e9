"""What a setting or a value is where nothing is said of it.

Users leave settings out, and peers and files of other versions leave fields out: what then holds
is a promise. ``golden/defaults.txt`` has all of them, and ``golden/default_arguments.txt`` those of
functions and methods; a new one is added there by hand.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import msgspec
from twisted.trial.unittest import SynchronousTestCase

import chordnet
from chordnet.core.base.config import ProtocolConfig

GOLDEN = Path(__file__).parent / "golden" / "defaults.txt"
CALLS = Path(__file__).parent / "golden" / "default_arguments.txt"
LEFT_OUT = (
    "chordnet.cli.",
    "chordnet.draw.",
    "chordnet.sim.__main__.",
    "chordnet.sim.measured.analysis.",
    "chordnet.sim.measured.paper.",
    "chordnet.sim.search.__main__.",
    "chordnet.sim.slots.__main__.",
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
    return isinstance(value, bool | int | float | str)


def defaults() -> list[str]:
    """Return a line for every default that is a number or a text."""
    lines = []
    for module in pkgutil.walk_packages(chordnet.__path__, "chordnet."):
        if f"{module.name}.".startswith(LEFT_OUT):
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


def functions_of(module: ModuleType) -> Iterator[Callable[..., Any]]:
    """Return a module's own functions and the methods that its classes have by hand."""
    for name, value in vars(module).items():
        if name[0] == "_" or getattr(value, "__module__", "") != module.__name__:
            continue
        if inspect.isfunction(value):
            yield value
        elif isinstance(value, type):
            for each in vars(value).values():
                function = getattr(each, "__func__", each)
                if inspect.isfunction(function) and function.__module__.startswith("chordnet"):
                    yield function


def is_made(function: Callable[..., Any]) -> bool:
    """Return True for what attrs has made: its defaults are those of fields."""
    return inspect.unwrap(function).__code__.co_filename.startswith("<")


def defaults_of_calls() -> list[str]:
    """Return a line for every argument that may be left out, if it is a number or a text then."""
    lines = set()
    names = [each.name for each in pkgutil.walk_packages(chordnet.__path__, "chordnet.")]
    for module in ["chordnet", *names]:
        if f"{module}.".startswith(LEFT_OUT):
            continue
        for function in functions_of(importlib.import_module(module)):
            name = function.__name__
            if is_made(function) or (name[0] == "_" and name != "__init__"):
                continue
            lines |= {
                f"{function.__qualname__}({each.name}) = {each.default!r}"
                for each in inspect.signature(function).parameters.values()
                if is_plain(each.default)
            }
    return sorted(lines)


class DefaultTests(SynchronousTestCase):
    maxDiff = None

    def test_every_default_is_the_one_that_is_written_down(self) -> None:
        written = GOLDEN.read_text("utf-8").splitlines()
        self.assertEqual(defaults(), [line for line in written if not line.startswith("#")])

    def test_every_argument_that_is_left_out_is_what_is_written_down(self) -> None:
        written = CALLS.read_text("utf-8").splitlines()
        found = defaults_of_calls()
        self.assertEqual(found, [line for line in written if not line.startswith("#")])

    def test_no_class_of_the_program_passes_for_a_test_because_of_its_name(self) -> None:
        found = [
            kind
            for module in pkgutil.walk_packages(chordnet.__path__, "chordnet.")
            if not f"{module.name}.".startswith(LEFT_OUT)
            for name, kind in vars(importlib.import_module(module.name)).items()
            if isinstance(kind, type) and name.startswith("Test")
        ]
        self.assertGreater(len(found), 1)
        for kind in found:
            self.assertIs(kind.__dict__["__test__"], False, kind)
