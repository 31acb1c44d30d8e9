"""What is counted: a declaration of each metric, and the numbers themselves.

A metric is declared once, as a member of an enum, and is counted by naming that member, so a
misspelt or undeclared one is a type error. The values of its labels are declared as well, so the
number of series does not depend on what peers send. An exporter is a loop over the members; for
each of them, ``series`` has the names under which a status shows the numbers.

This module has the metrics of the protocol. Those of the connections and of the log are in
:mod:`chordnet.net.base.metrics`.
"""

from __future__ import annotations

import enum
from itertools import product
from typing import Generic, TypeVar

import attrs


class Kind(enum.Enum):
    """How a number changes."""

    COUNTER = "counter"
    """It only increases, from 0 at the node's start."""
    GAUGE = "gauge"
    """It is the present amount."""


@attrs.frozen
class Label:
    """What distinguishes the numbers of one metric, and all its values."""

    name: str
    values: tuple[str, ...]
    """An empty value stands for the name of the metric alone."""


@attrs.frozen
class Metric:
    """One row of the table of metrics.

    :param unit: what is counted, in the plural.
    """

    name: str
    unit: str
    help: str
    kind: Kind = Kind.COUNTER
    labels: tuple[Label, ...] = ()

    def series(self) -> dict[tuple[str, ...], str]:
        """Return the name of each number in a status, by the values of the labels."""
        values = product(*(label.values for label in self.labels))
        return {each: "_".join((self.name, *filter(None, each))) for each in values}


class Declared(enum.Enum):
    """Base of the tables: each member is one metric."""

    def __init__(self, row: Metric) -> None:
        self.row = row
        self.series = row.series()


T = TypeVar("T", bound=Declared)


class Counters(Generic[T]):
    """The numbers of the metrics of one table."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def add(self, metric: T, *labels: str, by: int = 1) -> None:
        """Add to a number.

        :raises KeyError: the metric declares no such values of its labels.
        """
        name, numbers = metric.series[labels], self._numbers
        numbers[name] = numbers.get(name, 0) + by

    def number(self, metric: T, *labels: str) -> int:
        """Return a number.

        :raises KeyError: the metric declares no such values of its labels.
        """
        return self._numbers.get(metric.series[labels], 0)

    def named(self) -> dict[str, int]:
        """Return every number that was counted, by its name in a status."""
        return dict(self._numbers)


@enum.unique
class CoreMetric(Declared):
    """The metrics of the protocol."""

    # -- lookups -----------------------------------------------------------------------------
    LOOKUPS = Metric("lookups", "lookups", "lookups begun here, for fingers and repairs too")
    LOOKUPS_RETRIED = Metric(
        "lookups_retried",
        "lookups",
        "lookups that were continued step by step because no answer had come in time",
    )
    LOOKUPS_FAILED = Metric("lookups_failed", "lookups", "lookups that found no owner")
    LOOKUP_HOPS = Metric("lookup_hops", "hops", "hops of the lookups that found an owner, together")

    # -- the ring ----------------------------------------------------------------------------
    STABILISE_GIVEN_UP = Metric(
        "stabilise_given_up",
        "rounds",
        "rounds of stabilisation given up before the answer, because other nodes waited",
    )
    PROBES = Metric("probes", "peers", "peers that were suspected of being dead, and asked")
    DEATHS = Metric("deaths", "peers", "peers that were declared dead")
    AUDITS = Metric("audits", "lookups", "lookups of this node's own place, through another node")
    CONTESTS = Metric(
        "contests", "names", "names that two nodes claimed, so that their addresses were dialled"
    )
    MESSAGES_IGNORED = Metric(
        "messages_ignored", "messages", "messages of senders whose identity was in doubt"
    )
    OVERLOADED = Metric(
        "overloaded", "connections", "connections that were cut because the peer reads too slowly"
    )

    # -- broadcasts --------------------------------------------------------------------------
    BROADCAST_REPAIRS = Metric(
        "broadcast_repairs", "searches", "searches for a node to take over a range of a broadcast"
    )
    BROADCASTS_REFUSED = Metric(
        "broadcasts_refused",
        "copies",
        "copies of broadcasts refused because too many are under way",
    )
    LATE_COPIES = Metric(
        "late_copies", "copies", "copies of broadcasts whose recorded route has been forgotten"
    )
    CONFLICTS = Metric(
        "conflicts", "copies", "copies of broadcasts with another body than the recorded one"
    )
    GIVEN_UP_BEFORE = Metric(
        "given_up_before", "copies", "copies of broadcasts that this node had given up as lost"
    )
    OWN_NUMBERS_TAKEN = Metric(
        "own_numbers_taken",
        "messages",
        "messages of this node that failed because their numbers had been used before",
    )

    # -- the log -----------------------------------------------------------------------------
    EXCHANGES = Metric("exchanges", "exchanges", "comparisons of logs that this node began")
    CAUGHT_UP = Metric("caught_up", "messages", "messages received by anti-entropy")
    CAUGHT_UP_TWICE = Metric(
        "caught_up_twice", "messages", "messages given by another node that were here already"
    )
    WANTS_IGNORED = Metric(
        "wants_ignored", "requests", "requests for messages that came outside an exchange"
    )
    ANSWERS_IGNORED = Metric(
        "answers_ignored", "answers", "messages, bodies and reports of loss that were not asked for"
    )
    GAPS = Metric("gaps", "messages", "messages given up because no node keeps them any more")
    SPOILED = Metric("spoiled", "messages", "messages in this node's log found to be damaged")

    # -- seals -------------------------------------------------------------------------------
    SEALS_REFUSED = Metric(
        "seals_refused", "copies", "copies of messages that were dropped because of their seal"
    )
    SIGNATURES_REFUSED = Metric(
        "signatures_refused",
        "signatures",
        "signatures for receipts of this node that were invented, or are for something else",
    )
