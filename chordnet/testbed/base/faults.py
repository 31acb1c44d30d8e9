"""Faults made on purpose in a running network: kept beside its description, undone by healing.

Every fault is a wanted state of a node or of its line, so applying it again does no harm, and any
later command can show and undo what is in force.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs

from chordnet.survey.conditions import Condition, Matter
from chordnet.survey.description import ranges
from chordnet.survey.errors import TestbedError
from chordnet.testbed.base.home import NetworkHome, write_atomically

MAX_DELAY_MS = 10_000.0
FILE = "faults.json"


class WrongFault(TestbedError):
    """A fault that is wanted makes no sense."""

    wrong_words = True


@attrs.frozen
class Line:
    """The faults of one node's line to the others."""

    cut: frozenset[int] = frozenset()
    """The nodes that its packets do not reach."""
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    """The delay varies by up to this much either way."""
    loss_percent: float = 0.0

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return self == Line()


@attrs.frozen(kw_only=True)
class Faults:
    """Everything that is broken on purpose."""

    killed: frozenset[int] = frozenset()
    frozen: frozenset[int] = frozenset()
    off: frozenset[int] = frozenset()
    """Nodes that something else took off the network: the engine knows them, they are not kept."""
    sides: tuple[frozenset[int], ...] = ()
    """The sides of a partition; a node that is on none of them belongs to the last."""
    delays: Mapping[int, tuple[float, float]] = attrs.field(factory=dict)
    """Delay and jitter of what a node sends, in milliseconds."""
    losses: Mapping[int, float] = attrs.field(factory=dict)
    """Loss of what a node sends, in percent."""

    def with_running(self, running: Collection[int]) -> Faults:
        """Return the part of this that is possible if exactly these nodes run."""
        return attrs.evolve(
            self, killed=self.killed - set(running), frozen=self.frozen & set(running)
        )

    def as_seen(self, conditions: Mapping[int, Condition]) -> Faults:
        """Return this as the engine reports it, whatever has changed it meanwhile."""
        by_matter = {
            matter: frozenset(n for n, c in conditions.items() if c.matter is matter)
            for matter in Matter
        }
        return attrs.evolve(self, frozen=by_matter[Matter.FROZEN], off=by_matter[Matter.CUT_OFF])

    def with_delay(self, numbers: Collection[int], delay_ms: float, jitter_ms: float) -> Faults:
        """Return this with a new delay at those nodes; 0 ends it."""
        if not 0 <= delay_ms <= MAX_DELAY_MS or not 0 <= jitter_ms <= max(delay_ms, 0.0):
            raise WrongFault(
                f"a delay is from 0 to {MAX_DELAY_MS:g} ms and its jitter no longer than itself"
            )
        kept = {n: delay for n, delay in self.delays.items() if n not in numbers}
        new = dict.fromkeys(numbers, (delay_ms, jitter_ms)) if delay_ms else {}
        return attrs.evolve(self, delays=kept | new)

    def with_loss(self, numbers: Collection[int], percent: float) -> Faults:
        """Return this with a new loss at those nodes; 0 ends it."""
        if not 0 <= percent <= 100:
            raise WrongFault("a loss is from 0 to 100 percent")
        kept = {n: loss for n, loss in self.losses.items() if n not in numbers}
        return attrs.evolve(
            self, losses=kept | (dict.fromkeys(numbers, percent) if percent else {})
        )

    def with_partition(self, groups: Sequence[Collection[int]], everybody: range) -> Faults:
        """Return this with the network parted into ``groups``; the other nodes form one more."""
        sides = [frozenset(group) for group in groups]
        named = [number for side in sides for number in side]
        if len(named) != len(set(named)):
            raise WrongFault("a node can be on one side of a partition only")
        if rest := frozenset(everybody) - set(named):
            sides.append(rest)
        if len(sides) < 2:
            raise WrongFault("a partition has two sides; name the nodes of one, such as 1-8")
        return attrs.evolve(self, sides=tuple(sides))

    def side(self, number: int) -> int:
        """Return which side of the partition a node is on."""
        return next((i for i, side in enumerate(self.sides) if number in side), len(self.sides) - 1)

    def line(self, number: int, everybody: Collection[int]) -> Line:
        """Return what is wrong with a node's line."""
        cut = {n for n in everybody if self.side(n) != self.side(number)}
        delay_ms, jitter_ms = self.delays.get(number, (0.0, 0.0))
        return Line(frozenset(cut), delay_ms, jitter_ms, self.losses.get(number, 0.0))

    def parts(self, running: Collection[int]) -> list[frozenset[int]]:
        """Return the groups of running nodes each of which ought to be a ring."""
        groups: dict[int, set[int]] = {}
        for number in sorted(set(running) - self.frozen - self.off):
            groups.setdefault(self.side(number), set()).add(number)
        return [frozenset(group) for _, group in sorted(groups.items())]

    def sides_of(self, running: Collection[int]) -> list[frozenset[int]]:
        """Return the running nodes of each side of the partition, frozen ones too."""
        return attrs.evolve(self, frozen=frozenset()).parts(running)

    @property
    def texts(self) -> list[str]:
        """The faults in force, a text each."""
        words: list[tuple[str, Collection[int]]] = [
            ("killed", self.killed),
            ("frozen", self.frozen),
            ("disconnected", self.off),
        ]
        for (delay, jitter), ns in _inverted(self.delays).items():
            words.append((f"delay of {delay:g} ms{f' +- {jitter:g} ms' if jitter else ''} at", ns))
        for percent, ns in _inverted(self.losses).items():
            words.append((f"loss of {percent:g} % at", ns))
        found = [f"{word} {ranges(ns)}" for word, ns in words if ns]
        if self.sides:
            found.append(f"partition {' | '.join(ranges(side) for side in self.sides)}")
        return found

    def document(self) -> dict[str, Any]:
        """Return this as plain data for JSON."""
        return {
            "killed": sorted(self.killed),
            "frozen": sorted(self.frozen),
            "sides": [sorted(side) for side in self.sides],
            "delays": {str(n): list(delay) for n, delay in sorted(self.delays.items())},
            "losses": {str(n): loss for n, loss in sorted(self.losses.items())},
        }

    @classmethod
    def from_document(cls, fields: dict[str, Any]) -> Faults:
        """Read what :meth:`document` returned.

        :raises KeyError, TypeError, ValueError, AttributeError: it is something else.
        """
        return cls(
            killed=frozenset(fields["killed"]),
            frozen=frozenset(fields["frozen"]),
            sides=tuple(frozenset(side) for side in fields["sides"]),
            delays={int(n): (float(d), float(j)) for n, (d, j) in fields["delays"].items()},
            losses={int(n): float(loss) for n, loss in fields["losses"].items()},
        )


def load_faults(home: NetworkHome) -> Faults:
    """Return the faults in force in a network.

    :raises TestbedError: the file of faults is unusable.
    """
    path = home.directory / FILE
    try:
        return Faults.from_document(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Faults()
    except OSError as problem:
        raise TestbedError(f"cannot read {path}: {problem.strerror or problem}") from problem
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise TestbedError(f"{path} is damaged ({problem}); remove it") from problem


def save_faults(home: NetworkHome, faults: Faults) -> None:
    """Save the faults in force.

    :raises TestbedError: the file cannot be written.
    """
    if faults == Faults():
        forget_faults(home)
    else:
        text = json.dumps(faults.document(), indent=2) + "\n"
        write_atomically(home.directory / FILE, text)


def forget_faults(home: NetworkHome) -> None:
    """Remove the file of faults: the nodes have ended."""
    (home.directory / FILE).unlink(missing_ok=True)


def _inverted(table: Mapping[int, Any]) -> dict[Any, list[int]]:
    found: dict[Any, list[int]] = {}
    for number, value in table.items():
        found.setdefault(value, []).append(number)
    return found
