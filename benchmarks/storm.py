"""Six senders while nodes are killed, frozen, restarted and parted; then every log is judged.

``python -m benchmarks.storm --minutes 10 --seed S`` starts sixteen nodes of its own and lets a
storm loose on them: its blows are drawn from the seed beforehand. At the end all is mended, and
every confirmed message has to be on every node, once, by a true route. Exit status 1 if not.

The nodes of the local engine share one loopback interface, which cannot be parted: partitions come
with ``--engine docker`` only.

With ``--hostile`` a peer that means no good lies to the nodes all the while. What it says of itself
is not judged, nor are messages whose receipt is partial: it can take a number of another node.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from pathlib import Path
from typing import Any

from attrs import evolve

from benchmarks.stats import percentile
from benchmarks.storm_blows import Blows
from benchmarks.storm_command import on_field, parser_of, status_of
from benchmarks.storm_field import EVEN_HOSTILE_S, EVEN_S, NAME, NODES, Field
from benchmarks.storm_hostile import FORGED, Hostile
from benchmarks.storm_judge import Entry, Verdict, differing, judge, lacking
from benchmarks.storm_plan import DOCKER, LOCAL, plan
from benchmarks.storm_senders import LINES, SENDERS, Connect, Senders, connector, running
from chordnet.survey.waiting import pause

TELL_S = 60.0
LATE_S = 60.0
"""After which a verdict that is wrong is looked at once more, to tell late from never."""


class Storm:
    """One storm over one network.

    Args:
        field: The network.
        seed: What the blows and the senders' pauses are drawn from.
        seconds: How long the storm lasts.
        rate: Messages that the senders are to send in a second, all together.
        connect: Makes their clients.
        hostile: Whether a hostile peer lies to the nodes meanwhile.
    """

    def __init__(
        self, field: Field, seed: int, seconds: float, rate: float, connect: Connect, *,
        hostile: bool = False,
    ) -> None:  # fmt: skip
        self.field = field
        self._reactor = field.reactor
        self.taken = 0
        """Records with the hostile peer's body, on nodes that were away when it was confirmed."""
        self._seconds = seconds
        rng = random.Random(seed)
        verbs = LOCAL if field.engine.kind == "local" else DOCKER
        self.blows = Blows(field, plan(rng, seconds, list(field.network.numbers), verbs))
        self._choice = random.Random(rng.getrandbits(64))
        self.senders = Senders(
            self._reactor, connect, self._someone,
            random.Random(rng.getrandbits(64)), SENDERS * LINES / rate,
        )  # fmt: skip
        addresses = [field.network.address(number) for number in field.network.numbers]
        liar = random.Random(rng.getrandbits(64))
        self.hostile = Hostile(self._reactor, liar, addresses, NAME) if hostile else None

    def _someone(self) -> str:
        network = self.field.network
        return network.address(self._choice.choice(self.blows.up))

    async def rage(self) -> None:
        """Let the storm loose, and the senders send, for its time."""
        sending = running(self.senders.run())
        telling = running(self._tell())
        lying = running(self.hostile.run()) if self.hostile is not None else None
        try:
            await self.blows.fall(self._seconds)
            self.senders.stop()
            await sending
            if self.hostile is not None and lying is not None:
                self.hostile.stop()
                await lying
        finally:
            for deferred in (telling, sending, *([lying] if lying is not None else [])):
                deferred.addErrback(lambda _cancelled: None)
                deferred.cancel()

    async def _tell(self) -> None:
        while True:
            await pause(self._reactor, TELL_S)
            print(f"  {self.blows.done.total()} blows, {self.summary()}", flush=True)

    def promised(self) -> dict[str, str]:
        """Return the confirmed messages that every node must have, by id.

        Without a hostile peer a partial receipt is as good: the range is covered later. With one
        another body may stand under the number.
        """
        senders = self.senders
        if self.hostile is None:
            return senders.confirmed
        return {k: body for k, body in senders.confirmed.items() if k not in senders.partial}

    def judged(self, logs: dict[int, list[Entry]]) -> dict[int, list[Entry]]:
        """Return what of the logs is judged: beside a hostile peer only what was promised.

        A node that was away when a message was confirmed may have been told another body under its
        number: that is counted, and not held against the receipt.
        """
        if self.hostile is None:
            return logs
        promised = self.promised()
        found: dict[int, list[Entry]] = {}
        for number, log in logs.items():
            found[number] = [
                self._excused(number, entry, promised[entry.id])
                for entry in log if entry.id in promised
            ]  # fmt: skip
        return found

    def _excused(self, number: int, entry: Entry, body: str) -> Entry:
        sent, confirmed = self.senders.spans[entry.id]
        away = any(n == number and a <= confirmed and sent <= b for n, a, b in self.blows.absences)
        if entry.body != FORGED or not away:
            return entry
        self.taken += 1
        return evolve(entry, body=body)

    def summary(self) -> str:
        """Return what the senders were told, in one line."""
        senders = self.senders
        failed = ", ".join(f"{count} {kind}" for kind, count in senders.failed.most_common())
        return (
            f"{senders.sent} sent, {len(senders.confirmed)} confirmed"
            f" ({len(senders.partial)} partial), {senders.failed.total()} failed"
            + (f" ({failed})" if failed else "")
        )


# ---- the command ----------------------------------------------------------------------------


async def main(reactor: Any, options: argparse.Namespace) -> bool:
    """Run one storm and report; return True if all was well."""

    async def work(field: Field) -> bool:
        seconds, connect = 60 * options.minutes, connector(reactor, NAME)
        storm = Storm(field, options.seed, seconds, options.rate, connect, hostile=options.hostile)
        return await _weather(storm, options.keep)

    return await on_field(reactor, options, work)


async def _weather(storm: Storm, keep: Path | None) -> bool:
    field, began = storm.field, time.monotonic()
    await field.start()
    print(f"one right ring after {time.monotonic() - began:.1f} s;"
          f" {len(storm.blows.planned)} blows are to come", flush=True)  # fmt: skip
    await storm.rage()
    print(storm.summary())
    print(storm.blows.summary())
    if seconds := storm.senders.seconds:
        p50, p99 = percentile(seconds, 50) * 1e3, percentile(seconds, 99) * 1e3
        print(f"receipts: p50 {p50:.0f} ms, p99 {p99:.0f} ms, longest {max(seconds):.1f} s")
    if storm.hostile is not None:
        print(storm.hostile.summary())
    began = time.monotonic()
    await field.mend(EVEN_S if storm.hostile is None else EVEN_HOSTILE_S)
    print(
        f"mended {time.monotonic() - began:.1f} s after the last answer: one right ring, even logs"
    )
    logs = await field.logs(field.network.numbers)
    verdict = judge(storm.promised(), storm.judged(logs), field.identifiers)
    right = _report(storm, verdict)
    if not right:
        await _explain(storm, logs)
        if keep is not None:
            await field.keep(keep)
    return right


async def _explain(storm: Storm, logs: dict[int, list[Entry]]) -> None:
    """Say what nodes that lack messages say of them, and whether they come late."""
    field = storm.field
    for line in lacking(storm.promised(), logs, await field.histories(logs)):
        print(line)
    promised, judged = storm.promised(), storm.judged(logs)
    for line in differing(promised, storm.senders.recorded, judged, field.identifiers):
        print(line)
    await pause(field.reactor, LATE_S)
    later = await field.logs(field.network.numbers)
    verdict = judge(storm.promised(), storm.judged(later), field.identifiers)
    print(f"{LATE_S:.0f} s later wrong:", dict(verdict.counts))


def _report(storm: Storm, verdict: Verdict) -> bool:
    senders = storm.senders
    for complaint in verdict.complaints:
        print(complaint)
    print(f"{verdict.messages} messages in {verdict.records} records on {NODES} nodes:"
          f" {verdict.repaired} by repair edges, {verdict.caught_up} caught up;"
          f" {verdict.unconfirmed} on every node without a receipt")  # fmt: skip
    if verdict.counts or senders.twice_confirmed:
        print("wrong:", dict(verdict.counts), f"{senders.twice_confirmed} ids confirmed twice")
        return False
    if storm.taken:
        print(f"{storm.taken} records have the hostile peer's body: those nodes were away when the"
              " message was confirmed")  # fmt: skip
    print(f"all {len(storm.promised())} confirmed messages are on every node exactly once,"
          " by true routes")  # fmt: skip
    return True


def options(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = parser_of("storm", __doc__)
    parser.add_argument("--rate", type=float, default=60.0, help="messages a second, in all")
    parser.add_argument("--hostile", action="store_true", help="with a peer that lies")
    return parser.parse_args(arguments)


def run(arguments: list[str]) -> int:
    """Run the command and return its exit status; a Ctrl-C ends it and every node."""
    chosen = options(arguments)
    return status_of("storm", chosen, main, " --hostile" if chosen.hostile else "")


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
