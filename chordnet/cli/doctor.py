"""``p2pnet doctor``: the whole ring checked from outside."""

from __future__ import annotations

import time

import attrs
import click

from chordnet.cli.output import count, print_json
from chordnet.cli.session import with_testbed
from chordnet.cli.words import Command, json_option, network_option, timeout_option
from chordnet.testbed.context import Testbed
from chordnet.testbed.faults import load_faults
from chordnet.testbed.report import Report, look, message_problems
from chordnet.testbed.waiting import pause

TIMEOUT_S = 30.0
PATIENCE_S = 2.0
RETRY_S = 0.2


@attrs.frozen
class Examination:
    """What the doctor found."""

    report: Report
    problems: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def members(self) -> int:
        """Nodes of the ring."""
        active = sum(self.report.state(n) == "active" for n in self.report.network.numbers)
        return active + len(self.report.snapshot.visitors)

    @property
    def messages(self) -> int:
        """The most messages that a node has recorded."""
        return max((s.messages for s in self.report.snapshot.statuses.values()), default=0)


async def examine(testbed: Testbed, *, wait: bool, timeout: float) -> Examination:
    """Check everything once, or until everything is right.

    :param wait: go on until nothing is wrong or ``timeout`` seconds have passed.
    """
    network = testbed.description()
    deadline = testbed.reactor.seconds() + timeout
    observer = testbed.observer(network, min(PATIENCE_S, timeout))
    try:
        while True:
            report = await look(testbed, observer, network)
            wrong, notes = await message_problems(testbed, observer, report, time.time())
            problems = (*report.problems, *wrong)
            faults = load_faults(testbed.home).with_running(report.running)
            notes += [f"on purpose, until p2pnet chaos heal: {text}" for text in faults.texts]
            if not problems or not wait or testbed.reactor.seconds() >= deadline:
                return Examination(report, problems, tuple(notes))
            await pause(testbed.reactor, RETRY_S)
    finally:
        observer.close()


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet doctor
  p2pnet doctor --wait-converged --timeout 10
""",
)
@click.option("--wait-converged", is_flag=True, help="Wait until everything is right.")
@timeout_option(TIMEOUT_S)
@json_option
@network_option
def doctor(wait_converged: bool, timeout: float, as_json: bool, network: str) -> int:
    """Check the whole ring from outside, without believing any node's own verdict.

    One ring, in order; successor lists and every finger right; every message on every node, once,
    by the route that its sender recorded. Every fault is one line, and the exit status is 1.
    """

    async def work(testbed: Testbed) -> Examination:
        return await examine(testbed, wait=wait_converged, timeout=timeout)

    found = with_testbed(network, work)
    if as_json:
        print_json(
            {
                "network": network,
                "ok": not found.problems,
                "nodes": found.members,
                "messages": found.messages,
                "problems": list(found.problems),
                "notes": list(found.notes),
            }
        )
    else:
        for line in verdict_lines(found):
            print(line)
    return 1 if found.problems else 0


def verdict_lines(found: Examination) -> list[str]:
    """Return the doctor's words, a line a fault."""
    notes = [f"note: {note}" for note in found.notes]
    if found.problems:
        return [*found.problems, *notes]
    return [
        f"{count(found.members, 'node')}: one ring, in order; every pointer right",
        f"{count(found.messages, 'message')}: each on every node, once, by a true route",
        *notes,
    ]
