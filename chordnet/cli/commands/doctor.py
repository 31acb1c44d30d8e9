"""``p2pnet doctor``: the whole ring checked from outside."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs
import click

from chordnet.cli.base.output import print_json
from chordnet.cli.base.session import with_testbed
from chordnet.cli.base.words import Command, json_option, network_option, timeout_option
from chordnet.draw.phrases import count, plain
from chordnet.survey.examination import Messages, examine_messages
from chordnet.survey.findings import Fact, Finding, OnPurpose, in_words, side_name
from chordnet.survey.report import Report, Side, side_of
from chordnet.survey.store.asking import look_at_store
from chordnet.survey.store.judging import store_notes, store_problems
from chordnet.survey.store.merged import Store
from chordnet.survey.trust.judging import certificate_notes, certificate_problems
from chordnet.survey.trust.seen import Certificates, look_at_certificates
from chordnet.survey.verdict import insecure
from chordnet.survey.waiting import gather, pause
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.looking import look
from chordnet.testbed.base.faults import load_faults

TIMEOUT_S = 30.0
PATIENCE_S = 2.0
LOG_PATIENCE_S = 10.0
"""How long a node may take to report its state and its messages."""
RETRY_S = 0.2


@attrs.frozen
class Examination:
    """What the doctor found."""

    report: Report
    messages: tuple[Messages, ...]
    """Of the ring, or of each side of a partition."""
    notes: tuple[Finding, ...] = ()
    store: Store = attrs.field(factory=lambda: Store({}))
    certificates: Certificates | None = None
    """None if the network is not secured."""
    at: float = 0.0
    """This machine's wall clock."""

    @property
    def problems(self) -> tuple[Finding, ...]:
        """Everything that is wrong."""
        store = map(Finding, store_problems(self.store))
        of_ring = self._each(lambda seen: seen.problems)
        return (*self.report.problems, *of_ring, *store, *self._certified(certificate_problems))

    @property
    def all_notes(self) -> tuple[Finding, ...]:
        """Everything that is worth knowing and no fault."""
        store = map(Finding, store_notes(self.store))
        of_ring = self._each(lambda seen: seen.notes)
        return (*of_ring, *self.notes, *store, *self._certified(certificate_notes))

    def _certified(
        self, judge: Callable[[Certificates, float, str], list[Fact]]
    ) -> Iterator[Finding]:
        if self.certificates is not None:
            network = self.certificates.names.network
            yield from map(Finding, judge(self.certificates, self.at, network))

    @property
    def settled(self) -> bool:
        """Whether there is nothing that a wait would mend."""
        return not self.problems and not self.store.moving_on() and not self.store.misplaced

    def _each(self, facts: Callable[[Messages], Iterable[Fact]]) -> Iterator[Finding]:
        sides = self.report.sides
        for side, seen in zip(sides, self.messages, strict=True):
            yield from (Finding(fact, side_of(sides, side)) for fact in facts(seen))

    @property
    def members(self) -> int:
        """Nodes of the ring, of all sides together."""
        return sum(self.members_of(side) for side in self.report.sides)

    def members_of(self, side: Side) -> int:
        """Nodes of one ring."""
        active = sum(self.report.state(n) == "active" for n in side.numbers)
        return active + len(side.snapshot.visitors)

    @property
    def recorded(self) -> int:
        """Different messages that nodes have recorded; in a partition on the side with most."""
        return max(seen.messages for seen in self.messages)


async def examine(testbed: Testbed, *, wait: bool, timeout: float) -> Examination:
    """Check everything once, or until everything is right.

    :param wait: go on until nothing is wrong or ``timeout`` seconds have passed.
    """
    network = testbed.description()
    deadline = testbed.reactor.seconds() + timeout
    observer = testbed.observer(network, min(PATIENCE_S, timeout))
    patience = min(LOG_PATIENCE_S, timeout)
    try:
        while True:
            report = await look(testbed, observer, network)
            seen = await gather(
                examine_messages(testbed.reactor, observer, report, side, patience)
                for side in report.sides
            )
            heal = testbed.command("chaos heal")
            faults = load_faults(testbed.home).with_running(report.running)
            notes = [Finding(OnPurpose(text, heal)) for text in faults.texts]
            notes += map(Finding, insecure(report.snapshot, report.names))
            visitors = report.snapshot.visitors.values()
            store = await look_at_store(observer, network, report.snapshot.statuses, visitors)
            now, certified = time.time(), None
            if network.secured:
                certified = await look_at_certificates(
                    observer, network, report.snapshot.statuses, now, visitors
                )
            found = Examination(report, tuple(seen), tuple(notes), store, certified, now)
            if found.settled or not wait or testbed.reactor.seconds() >= deadline:
                return found
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

    One ring, in order; successor lists and every finger right; every message recorded by every
    node; the newest ones, and what is said of them, compared one by one; and of the nodes that hold
    a key a majority. Every fault is one line, and the exit status is 1. Under a partition made on
    purpose each side is a ring of its own.
    """

    async def work(testbed: Testbed) -> Examination:
        return await examine(testbed, wait=wait_converged, timeout=timeout)

    found = with_testbed(network, work)
    if as_json:
        print_json(examined_json(network, found))
    else:
        for line in verdict_lines(found):
            print(line)
    return 1 if found.problems else 0


def examined_json(network: str, found: Examination) -> dict[str, Any]:
    """Return what the doctor found as its JSON document."""
    return {
        "network": network,
        "ok": not found.problems,
        "nodes": found.members,
        "messages": found.recorded,
        "asked": sum(seen.asked for seen in found.messages),
        "sides": [sorted(side.numbers) for side in found.report.parted],
        "problems": in_words(found.problems),
        "notes": in_words(found.all_notes),
        "findings": [
            {"severity": severity, **finding.document()}
            for severity, findings in (
                ("problem", found.problems),
                ("note", found.all_notes),
            )
            for finding in findings
        ],
    }


def verdict_lines(found: Examination) -> list[str]:
    """Return the doctor's words, a line a fault."""
    notes = [plain(f"note: {note}") for note in in_words(found.all_notes)]
    if found.problems:
        return [*map(plain, in_words(found.problems)), *notes]
    lines = []
    sides = found.report.sides
    for side, seen in zip(sides, found.messages, strict=True):
        name, members = side_name(side_of(sides, side)), count(found.members_of(side), "node")
        lines.append(f"{name}{members}: one ring, in order; every pointer right")
        lines.append(f"{name}{seen.headline}")
    return [*lines, *notes]
