"""Chance: how long messages travel, and whether something happens, from the simulation's source.

Each is a function from a random source to seconds. As text (in scenario files and on the command
line) a distribution is its name and its parameters in seconds::

    constant 0.001      uniform 0.0005 0.0015      exponential 0.02 (mean)
    lognormal 0.03 0.6 (median, sigma)             pareto 0.01 1.5 (scale, shape; at most 1000 times
                                                   the scale)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

Latency = Callable[[Random], float]

DEFAULT = "uniform 0.0005 0.0015"
"""Nodes on one machine or in one data centre."""


def happens(rng: Random, probability: float) -> bool:
    """Return True with this probability; a number is drawn in any case."""
    return rng.random() < probability


def constant(seconds: float) -> Latency:
    """Return a latency of ``seconds`` for every message."""
    return lambda rng: seconds


def uniform(low: float, high: float) -> Latency:
    """Return a latency anywhere between ``low`` and ``high`` seconds."""
    spread = high - low
    return lambda rng: low + spread * rng.random()


def exponential(mean: float) -> Latency:
    """Return a memoryless latency, ``mean`` seconds on average."""
    return lambda rng: -mean * math.log(1.0 - rng.random())


def lognormal(median: float, sigma: float) -> Latency:
    """Return the usual shape of delays across the Internet: half above ``median`` seconds."""
    tau = 2 * math.pi

    def draw(rng: Random) -> float:
        # Box-Muller without a kept second value: a draw depends on nothing but the source.
        radius = math.sqrt(-2.0 * math.log(1.0 - rng.random()))
        return median * math.exp(sigma * radius * math.cos(tau * rng.random()))

    return draw


def pareto(scale: float, shape: float) -> Latency:
    """Return a heavy tail: a few messages take very long, at most 1000 times ``scale`` seconds."""
    most, power = 1000 * scale, -1.0 / shape
    return lambda rng: min(most, scale * (1.0 - rng.random()) ** power)


_KINDS: dict[str, tuple[Callable[..., Latency], int]] = {
    "constant": (constant, 1),
    "uniform": (uniform, 2),
    "exponential": (exponential, 1),
    "lognormal": (lognormal, 2),
    "pareto": (pareto, 2),
}


def parse(text: str) -> Latency:
    """Read a distribution from its text.

    :raises ValueError: the name is unknown, or the parameters are not that many positive numbers.
    """
    name, *words = text.split()
    if name not in _KINDS:
        known = ", ".join(_KINDS)
        raise ValueError(f"latency {text!r}: the distribution is one of {known}")
    make, count = _KINDS[name]
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(number > 0 for number in numbers):
        raise ValueError(f"latency {text!r}: {name} takes {count} numbers greater than 0")
    return make(*numbers)
