"""When nodes join and depart: models of churn, and recorded traces.

As text (on the command line) a model is its name and its parameters::

    none
    poisson 0.1         so many nodes a second come, and so many go, one independent of the other
    weibull 600 0.6     nodes stay for 600 s on average, Weibull-distributed with shape 0.6 (below
                        1: the longer a node has stayed, the longer it will); each is replaced

A *trace* has one line for each change: ``TIME join|leave|crash NODE``, seconds and a node's number,
separated by white space or commas; ``#`` begins a comment. The nodes that the run begins with are
numbered from 1.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from random import Random
from typing import Literal

import attrs

from chordnet.core.base.errors import ConfigError
from chordnet.sim.world.latency import happens

FEWEST = 3
"""Departures are left out that would leave fewer nodes."""
MOST_CHANGES = 1_000_000
"""A run of more changes is refused."""
SHAPES = (0.2, 50.0)
"""Shapes of a Weibull distribution; beyond, stays are all but 0 or all but equal."""

Verb = Literal["join", "depart", "leave", "crash"]


@attrs.frozen(order=True)
class Change:
    """A node joins or departs; ``depart`` leaves open how."""

    at: float
    verb: Verb
    node: int


Model = Callable[[Random, int, float], list[Change]]
"""Takes a random source, the number of nodes at first and a duration; returns changes in order."""


def none(rng: Random, nodes: int, duration_s: float) -> list[Change]:
    """Return no changes at all."""
    return []


def poisson(rate: float) -> Model:
    """Return a model of ``rate`` joins and as many departures a second, two Poisson processes."""

    def draw(rng: Random, nodes: int, duration_s: float) -> list[Change]:
        _refuse_more_than_possible(2 * rate * duration_s)
        changes, here, now = [], list(range(1, nodes + 1)), 0.0
        newest = nodes
        while (now := now + rng.expovariate(2 * rate)) < duration_s:
            if happens(rng, 0.5):
                newest += 1
                here.append(newest)
                changes.append(Change(now, "join", newest))
            elif len(here) > FEWEST:
                place = rng.randrange(len(here))
                here[place], here[-1] = here[-1], here[place]
                changes.append(Change(now, "depart", here.pop()))
        return changes

    return draw


def weibull(mean_s: float, shape: float, most: int = MOST_CHANGES) -> Model:
    """Return a model of Weibull-distributed stays; every departing node is replaced.

    The run begins in the middle of the first nodes' stays, so longer stays are met more often.

    :param most: changes that a run may have.
    :raises ConfigError: ``shape`` is out of range.
    """
    if not SHAPES[0] <= shape <= SHAPES[1]:
        raise ConfigError(f"the shape of stays is from {SHAPES[0]} to {SHAPES[1]}, not {shape}")
    scale = mean_s / math.gamma(1 + 1 / shape)

    def draw(rng: Random, nodes: int, duration_s: float) -> list[Change]:
        _refuse_more_than_possible(2 * nodes * duration_s / mean_s, most)
        ends = []
        for node in range(1, nodes + 1):
            stay = scale * rng.gammavariate(1 + 1 / shape, 1.0) ** (1 / shape)
            ends.append((rng.random() * stay, node))
        heapq.heapify(ends)
        changes: list[Change] = []
        newest = nodes
        while ends and ends[0][0] < duration_s:
            now, node = heapq.heappop(ends)
            newest += 1
            _refuse_more_than_possible(len(changes), most)
            changes += [Change(now, "join", newest), Change(now, "depart", node)]
            heapq.heappush(ends, (now + rng.weibullvariate(scale, shape), newest))
        return changes

    return draw


def trace(text: str, most: int = MOST_CHANGES) -> Model:
    """Return a model that replays recorded changes.

    :param most: how many there may be.
    :raises ConfigError: a line cannot be read; the text names it.
    """
    changes = [
        change
        for number, line in enumerate(text.splitlines(), start=1)
        if (change := _change(number, line)) is not None
    ]
    _refuse_more_than_possible(len(changes), most)
    changes.sort(key=lambda change: change.at)
    return lambda rng, nodes, duration_s: [each for each in changes if each.at < duration_s]


def _change(number: int, line: str) -> Change | None:
    words = line.partition("#")[0].replace(",", " ").split()
    if not words:
        return None
    verbs: dict[str, Verb] = {"join": "join", "leave": "leave", "crash": "crash"}
    try:
        at, verb, node = words
        change = Change(float(at), verbs[verb], int(node))
    except (ValueError, KeyError):
        change = None
    if change is None or not 0 <= change.at < math.inf or change.node < 1:
        raise ConfigError(
            f"line {number} of the trace is not TIME join|leave|crash NODE: {line.strip()[:60]!r}"
        )
    return change


def _refuse_more_than_possible(changes: float, most: int = MOST_CHANGES) -> None:
    if changes > most:
        raise ConfigError(f"{changes:.0f} changes are more than the {most} that a run may have")


_KINDS: dict[str, tuple[Callable[..., Model], int]] = {
    "poisson": (poisson, 1),
    "weibull": (weibull, 2),
}


def parse(text: str) -> Model:
    """Read a model from its text.

    :raises ConfigError: the name is unknown, or the parameters are not that many positive numbers.
    """
    name, *words = text.split() or [""]
    if name == "none" and not words:
        return none
    make, count = _KINDS.get(name, (None, 0))
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    fit = len(numbers) == count and all(0 < number < math.inf for number in numbers)
    if make is None or not fit:
        raise ConfigError(f"churn is none, poisson RATE or weibull MEAN SHAPE, not {text!r}")
    return make(*numbers)
