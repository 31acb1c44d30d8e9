"""Start a network of sixteen over and over, in different orders, and judge every ring from outside.

``python -m benchmarks.starts --times 50`` starts all nodes together; ``--order hubs-last`` starts
both bootstrap peers after all others, ``--order shuffled`` the nodes in random groups. Pauses and
groups come from the seed that is printed first. Exit status 1 if any start did not end in one
correct ring.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from benchmarks.stats import percentile
from chordnet.cli.base.session import connector
from chordnet.survey.description import NetworkDescription
from chordnet.survey.errors import TestbedError
from chordnet.survey.waiting import pause
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.convergence import wait_converged
from chordnet.testbed.base.home import NetworkHome

NODES = 16
MAX_PAUSE_S = 4.0
TIMEOUT_S = 60.0


def groups(order: str, rng: random.Random) -> Iterator[tuple[float, list[int]]]:
    """Yield groups of nodes, each with the pause before it is started."""
    numbers = list(range(1, NODES + 1))
    if order == "at-once":
        yield 0.0, numbers
    elif order == "hubs-last":
        yield 0.0, numbers[2:]
        yield rng.uniform(0.0, MAX_PAUSE_S), numbers[:2]
    else:
        rng.shuffle(numbers)
        while numbers:
            size = rng.randint(1, len(numbers))
            yield rng.uniform(0.0, 1.0), numbers[:size]
            numbers = numbers[size:]


async def one_start(reactor: Any, directory: Path, port: int, plan: list[Any]) -> float:
    """Start a network by ``plan``; return the seconds from its last group to one correct ring."""
    network = NetworkDescription(name="starts", engine="local", size=NODES, base_port=port)
    home = NetworkHome(directory, "starts")
    home.directory.mkdir(parents=True, exist_ok=True)
    testbed = Testbed(reactor, home, connector(reactor, "starts"))
    engine = testbed.engine("local")
    observer = testbed.observer(network)
    try:
        for wait, numbers in plan:
            await pause(reactor, wait)
            began = reactor.seconds()
            await engine.start(network, numbers)
        await wait_converged(reactor, network, observer, network.numbers, timeout=TIMEOUT_S)
        return float(reactor.seconds() - began)
    finally:
        observer.close()
        await engine.stop(network.numbers)
        await engine.clean(purge=True)


async def main(reactor: Any, options: argparse.Namespace) -> None:
    """Run all starts and report.

    :raises SystemExit: a start failed.
    """
    rng = random.Random(options.seed)
    print(f"seed {options.seed}, {options.times} starts, {options.order}")
    times, failures = [], 0
    for count in range(options.times):
        plan = list(groups(options.order, rng))
        with tempfile.TemporaryDirectory() as directory:
            try:
                times.append(await one_start(reactor, Path(directory), options.base_port, plan))
            except TestbedError as problem:
                failures += 1
                print(f"start {count + 1}, {plan}: {problem}")
    if times:
        low, middle, high = min(times), percentile(times, 50), max(times)
        print(f"{len(times)} of {options.times} ended in one correct ring:", end=" ")
        print(f"seconds: least {low:.2f}, median {middle:.2f}, most {high:.2f}")
    if failures:
        raise SystemExit(1)


def options(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.starts", description=__doc__)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--order", choices=("at-once", "hubs-last", "shuffled"), default="at-once")
    parser.add_argument("--base-port", type=int, default=9400)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor, options(sys.argv[1:]))))
