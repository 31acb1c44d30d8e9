"""Origins that die of kill -9 while their broadcasts are on their way, on real processes.

``python -m benchmarks.orphans --flights 5 --seed S`` starts sixteen nodes. Under the load of six
senders elsewhere, four nodes after the other are given a burst of messages and killed in the middle
of it. They stay dead until the survivors' logs are even and judged: each message of a dead origin
is on every survivor or on none, and what was confirmed is on every one. Then they are started
again, which brings back what only they had recorded, and all logs are judged once more.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredList

from benchmarks.storm_field import Field
from benchmarks.storm_judge import Entry, judge
from benchmarks.storm_senders import LINES, SENDERS, Senders, connector, running
from chordnet.cli.base.failures import Interrupted
from chordnet.cli.base.running import run_in_reactor
from chordnet.survey.errors import TestbedError
from chordnet.survey.waiting import pause

DEATHS = 4
"""Origins that die in one flight."""
BURST = 40
"""Messages that an origin is given one after the other without waiting for answers."""
BETWEEN_S = 1.5
SPAN_S = 0.03
"""An origin is killed within this time after its first message; it takes about as long to send
all of them."""


class Orphans:
    """The messages of the origins that died, and what became of them.

    Args:
        field: The network.
        rng: Who dies, and when.
        rate: Messages that the senders elsewhere are to send in a second.
    """

    def __init__(self, field: Field, rng: random.Random, rate: float) -> None:
        self._field = field
        self._rng = rng
        self._connect = connector(field.reactor, field.network.name)
        self._dead: list[int] = []
        self._senders = Senders(
            field.reactor, self._connect, self._someone, random.Random(rng.getrandbits(64)),
            SENDERS * LINES / rate,
        )  # fmt: skip
        self.confirmed: dict[str, str] = {}
        self.orphans: set[str] = set()
        """Messages of dead origins that were never confirmed."""
        self.wrong: list[str] = []

    def _someone(self) -> str:
        network = self._field.network
        up = [number for number in network.numbers if number not in self._dead]
        return network.address(self._rng.choice(up))

    async def fly(self, flights: int) -> None:
        """Let origins die under load, and judge."""
        for flight in range(1, flights + 1):
            self._senders.again()
            sending = running(self._senders.run())
            for _ in range(DEATHS):
                await pause(self._field.reactor, BETWEEN_S)
                await self._kill_one(flight)
            self._senders.stop()
            await sending
            survivors = [n for n in self._field.network.numbers if n not in self._dead]
            await self._field.settle(survivors)
            await self._judge(f"flight {flight}, survivors", survivors)
            await self._field.mend()
            self._dead.clear()
            await self._judge(f"flight {flight}, all again", self._field.network.numbers)

    async def _kill_one(self, flight: int) -> None:
        field, rng = self._field, self._rng
        number = rng.choice([n for n in field.network.numbers if n not in self._dead])
        self._dead.append(number)
        client = self._connect(field.network.address(number))
        await client.status()  # the connection stands
        end = running(self._kill(number, SPAN_S * rng.random()))
        answers = []
        for index in range(BURST):
            if end.called:
                break
            answers.append(self._sent(client, f"orphan-{flight}-{number}-{index}"))
            await pause(field.reactor, SPAN_S / BURST * rng.random())
        await end
        await DeferredList(answers)
        await client.close()

    async def _kill(self, number: int, after: float) -> None:
        await pause(self._field.reactor, after)
        await self._field.engine.kill([number])

    def _sent(self, client: Any, body: str) -> Deferred[None]:
        def confirmed(receipt: Any) -> None:
            self.confirmed[receipt.id] = body

        def orphaned(_failure: Any) -> None:
            self.orphans.add(body)

        answer: Deferred[None] = client.send_message(body).addCallbacks(confirmed, orphaned)
        return answer

    async def _judge(self, what: str, numbers: Any) -> None:
        logs = await self._field.logs(numbers)
        verdict = judge(self.confirmed | self._senders.confirmed, logs, self._field.identifiers)
        held = self.orphans & _bodies(logs)
        print(
            f"{what}: {len(self.confirmed)} confirmed by origins that died;"
            f" {len(self.orphans)} not: {len(held)} on every node, {len(self.orphans) - len(held)}"
            f" on none; {len(self._senders.confirmed)} confirmed elsewhere;"
            f" {verdict.messages} messages in {verdict.records} records", flush=True,
        )  # fmt: skip
        self.wrong += verdict.complaints
        for complaint in verdict.complaints:
            print(f"  {complaint}")


def _bodies(logs: dict[int, list[Entry]]) -> set[str]:
    return {entry.body for log in logs.values() for entry in log}


async def main(reactor: Any, options: argparse.Namespace) -> bool:
    """Run all flights; return True if all was well."""
    print(f"seed {options.seed}, {options.flights} flights of {DEATHS} deaths", flush=True)
    with tempfile.TemporaryDirectory(prefix="chordnet-orphans-") as directory:
        field = Field(reactor, Path(directory), "local", options.base_port)
        orphans = Orphans(field, random.Random(options.seed), options.rate)
        try:
            await field.start()
            await orphans.fly(options.flights)
        except TestbedError as problem:
            print(f"it ended early: {problem}", *problem.details, sep="\n  ")
            return False
        finally:
            await field.end()
    if not orphans.wrong:
        print(
            "all that was confirmed is on every node once, by true routes; the rest on all or none"
        )
    return not orphans.wrong


def options(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.orphans", description=__doc__)
    parser.add_argument("--flights", type=int, default=5)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--rate", type=float, default=60.0, help="messages a second elsewhere")
    parser.add_argument("--base-port", type=int, default=9500)
    return parser.parse_args(arguments)


def run(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    chosen = options(arguments)
    try:
        return 0 if run_in_reactor(lambda reactor: main(reactor, chosen)) else 1
    except Interrupted:
        return 130


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
