"""Ask the nodes of a ring what they have recorded, and judge it (:mod:`.histories`)."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from chordnet.survey.findings import Fact, NotAsked, Ref
from chordnet.survey.histories import (
    CHECKED,
    Comparison,
    Told,
    confirmed,
    faults,
    find,
    headline,
    notes,
)
from chordnet.survey.observer import NoAnswer, Observer
from chordnet.survey.report import Report, Side
from chordnet.survey.waiting import Clock, gather, pause
from chordnet.wire.rpc import NodeInfo, NodeStatus

SETTLE_S = 0.5
"""Pause before a missing message is looked for again: it may be on its way."""
CATCH_UP_S = 10.0
"""A node that started less than this ago may still lack messages from before its start."""
PATIENCE_S = 10.0
"""How long one node may take to say what it has recorded."""


@attrs.frozen
class Messages:
    """What was found of the messages of one ring."""

    problems: tuple[Fact, ...]
    notes: tuple[Fact, ...]
    """Everything that is worth knowing and no fault."""
    compared: Comparison
    asked_all: bool
    """Whether every member could be asked what it has recorded."""

    @property
    def headline(self) -> str:
        """What was found right, if there are no problems."""
        return headline(self.compared, self.asked_all)

    @property
    def messages(self) -> int:
        """Different messages that nodes have recorded."""
        return self.compared.messages

    @property
    def asked(self) -> int:
        """Nodes whose messages were compared."""
        return self.compared.nodes


async def examine_messages(
    clock: Clock, observer: Observer, report: Report, side: Side, patience: float = PATIENCE_S
) -> Messages:
    """Check that every node of one ring has every message, and the newest ones in detail.

    :param patience: seconds that one node may take to answer.
    """
    asked = _members(report, side)
    told, silent = await _ask(observer, asked, patience)
    found = find(told, report.names)
    if found.suspicious:
        await pause(clock, SETTLE_S)
        told, silent = await _ask(observer, asked, patience)
        found = confirmed(found, find(told, report.names))
    return _said(report, side, found, told, silent)


def _members(report: Report, side: Side) -> dict[Ref, tuple[str, float]]:
    """Return the members that answered, with their addresses and how long they have been up."""
    statuses = side.snapshot.statuses
    own: dict[Ref, tuple[str, float]] = {
        number: (report.network.address(number), statuses[number].uptime)
        for number in sorted(statuses)
        if statuses[number].state == "active" and number in side.numbers
    }
    guests: dict[Ref, tuple[str, float]] = {
        report.names.ref(each.node.id, each.node.name): (each.node.address, each.uptime)
        for each in side.snapshot.visitors.values()
        if isinstance(each, NodeStatus) and each.state == "active"
    }
    return own | guests


async def _ask(
    observer: Observer, members: Mapping[Ref, tuple[str, float]], patience: float
) -> tuple[dict[Ref, Told], dict[Ref, str]]:
    async def one(address: str, uptime: float) -> Told | NoAnswer:
        history = await observer.history(address, patience)
        if isinstance(history, NoAnswer):
            return history
        trails = await observer.ask(address, lambda client: client.trails(CHECKED), patience)
        if isinstance(trails, NoAnswer):
            return trails
        return Told(history, trails, just_started=uptime < CATCH_UP_S)

    answers = await gather(one(*where) for where in members.values())
    found = dict(zip(members, answers, strict=True))
    return (
        {ref: answer for ref, answer in found.items() if isinstance(answer, Told)},
        {ref: answer.why for ref, answer in found.items() if isinstance(answer, NoAnswer)},
    )


def _said(
    report: Report,
    side: Side,
    found: Comparison,
    told: Mapping[Ref, Told],
    silent: Mapping[Ref, str],
) -> Messages:
    unasked = [NotAsked(ref, why) for ref, why in silent.items()]
    guests = [
        NotAsked(report.names.ref(guest.id, guest.name), "")
        for guest in side.snapshot.visitors.values()
        if isinstance(guest, NodeInfo)
    ]
    return Messages(
        (*unasked, *faults(found, told)),
        (*guests, *notes(found, told)),
        found,
        asked_all=not silent and not guests,
    )
