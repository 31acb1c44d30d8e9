"""What is measured beside which rival, and what chordnet should reach."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from attrs import frozen

from benchmarks.figures import Bound, Figure, Gauge, Target
from benchmarks.overlay.sides import OverlaySide
from benchmarks.rivals.kademlia import Kademlia
from benchmarks.rivals.nats import Nats, NatsFlooded
from benchmarks.rivals.nats_confirmed import (
    JetStream,
    JetStreamFlooded,
    NatsRecorded,
    NatsRecordedFlooded,
)
from benchmarks.rivals.nats_sockets import NatsSockets
from benchmarks.rivals.redis import Redis
from benchmarks.rivals.redis_sockets import RedisSockets
from benchmarks.rounds import Results
from benchmarks.sides import Side


class Rival(Protocol):
    """A class of participants."""

    name: str
    promise: str

    def __call__(self, port: int) -> Side:
        """Make one whose server listens on a port."""


@frozen
class Contest:
    """A benchmark that chordnet and its rivals take side by side.

    Attributes:
        name: As given to ``--only``.
        gauges: What each round yields; a rival need not have all of them.
        rivals: The class of each rival, which makes one on a port given; targets refer to the
            first one, the others are shown for comparison.
        method: How it is measured, for the report.
    """

    name: str
    gauges: tuple[Gauge, ...]
    rivals: tuple[Rival, ...]
    method: str

    def figures(self, ours: Results | None, theirs: list[Results]) -> list[Figure]:
        """Put our results beside each rival's."""
        return [
            Figure(
                name=self.name,
                gauge=gauge,
                ours=ours.numbers(gauge.key) if ours else [],
                rival=rival.name if gauge.rivals else "",
                theirs=rival.numbers(gauge.key),
                reference=index > 0,
                note="; ".join(filter(None, [ours.note if ours else "", rival.note])),
            )
            for gauge in self.gauges
            for index, rival in enumerate(theirs)
            if index == 0 or rival.numbers(gauge.key)
        ]


CONTESTS = (
    Contest(
        "broadcast",
        (
            Gauge(
                "p50",
                "broadcast, all 16 have it, p50",
                "ms",
                Target(Bound.AT_MOST, 1.2, aim=1.0, relative=True),
            ),
            Gauge("p99", "the same, p99", "ms"),
            Gauge(
                "receipt",
                "until its sender has the receipt, p50",
                "ms",
                Target(Bound.AT_MOST, 2.0, relative=True),
            ),
        ),
        (Nats, NatsSockets, NatsRecorded, JetStream),
        "100 bytes, one at a time at a steady pace, from a client process to 16 processes. From "
        "the wall clock before the call to send until the last of the 16 has it, by their own "
        "clocks: NATS's subscribers when their application is called, chordnet's nodes when they "
        "record it, as do the subscribers that record and answer; JetStream's when they have "
        "acknowledged it. The sender knows: by chordnet's receipt, or by the 16th answer. Plain "
        "NATS confirms nothing, and its delivery is set beside the receipt.",
    ),
    Contest(
        "confirmed",
        (
            Gauge(
                "rate",
                "broadcasts, 50 in flight",
                "/s",
                Target(Bound.AT_LEAST, 0.25, aim=0.5, relative=True),
            ),
        ),
        (Redis, RedisSockets),
        "100 bytes from one client process. chordnet: until the last receipt, each of which says "
        "that all 16 recorded it. Redis: plain delivery, until the last subscriber has the last "
        "one; in flight are those that the server has not yet taken.",
    ),
    Contest(
        "durable",
        (
            Gauge(
                "rate",
                "broadcasts, 256 in flight",
                "/s",
                Target(Bound.AT_LEAST, 5000.0, aim=20000.0),
            ),
        ),
        (NatsFlooded, NatsRecordedFlooded, JetStreamFlooded),
        "100 bytes from one client process. chordnet: until the last receipt. NATS, recorded or "
        "acknowledged, and answered: until the 16th answer to the last one, in flight are those "
        "that lack one of 16 answers. NATS: plain delivery, until the last subscriber has the last "
        "one; in flight are those that the server has not yet taken.",
    ),
    Contest(
        "lookup",
        (
            Gauge(
                "rate",
                "lookups, 64 in flight",
                "/s",
                Target(Bound.AT_LEAST, 3.0, aim=5.0, relative=True),
            ),
        ),
        (Kademlia,),
        "Random keys through one of four nodes after another, other four each round; the median of "
        "the four. Only what needs the network is counted: lookups of keys that another node owns, "
        "gets of values (4 replicas) that other nodes hold. chordnet is asked by a client in "
        "another process, kademlia in the node's own process.",
    ),
)


def promises(names: Collection[str]) -> dict[str, str]:
    """Return what each participant of these benchmarks promises of a message, by its name."""
    rivals = [rival for each in CONTESTS if each.name in names for rival in each.rivals]
    return {each.name: each.promise for each in (OverlaySide, *rivals)} if rivals else {}
