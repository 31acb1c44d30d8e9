"""What the commands that let a storm loose have in common."""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from benchmarks.storm_field import Field
from chordnet.cli.base.failures import Interrupted
from chordnet.cli.base.running import run_in_reactor
from chordnet.survey.errors import TestbedError

Main = Callable[[Any, argparse.Namespace], Any]


def parser_of(module: str, doc: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that every storm has."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{module}", description=doc)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--engine", choices=("local", "docker"), default="local")
    parser.add_argument("--base-port", type=int, default=9500)
    parser.add_argument("--keep", type=Path, help="where the nodes' logs go if all is not well")
    return parser


async def on_field(
    reactor: Any, options: argparse.Namespace, work: Callable[[Field], Awaitable[bool]]
) -> bool:
    """Do something with a network of its own; return True if all was well."""
    print(f"seed {options.seed}, {options.minutes:g} minutes, {options.engine}", flush=True)
    with tempfile.TemporaryDirectory(prefix="chordnet-storm-") as directory:
        field = Field(reactor, Path(directory), options.engine, options.base_port)
        try:
            return await work(field)
        except TestbedError as problem:
            print(f"the storm ended early: {problem}", *problem.details, sep="\n  ")
            return False
        finally:
            try:
                await field.end()
            except TestbedError as problem:
                print(f"the nodes could not be ended: {problem}")


def status_of(module: str, chosen: argparse.Namespace, main: Main, more: str = "") -> int:
    """Run a command and return its exit status; a Ctrl-C ends it and every node."""
    try:
        right = run_in_reactor(lambda reactor: main(reactor, chosen))
    except Interrupted:
        return 130
    if not right:
        print(f"again: python -m benchmarks.{module} --minutes {chosen.minutes:g}"
              f" --seed {chosen.seed} --engine {chosen.engine}{more}")  # fmt: skip
    return 0 if right else 1
