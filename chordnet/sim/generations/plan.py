"""What a search of recoveries tries, the states that it sees, and how it ends."""

from __future__ import annotations

import enum
from typing import NamedTuple

import attrs

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.configurations import (
    Configuration,
    Head,
    Member,
    Recovery,
)
from chordnet.core.store.base.records import Content, Record
from chordnet.core.store.base.safeguards import StoreSafeguards
from chordnet.core.store.slot.attempts import Attempt
from chordnet.core.store.slot.reconfigure import Underway
from chordnet.core.store.slot.recovery import Findings

NAMES = "ABCD"


class Property(enum.Enum):
    """What must hold in every state."""

    ONE_CONFIGURATION = "one_configuration"
    """At most one configuration is chosen for each generation and epoch."""
    ONE_OF_TWO = "one_of_two"
    """Two recoveries from the same disks take place only if one was made knowing of the other, and
    took most of its members for lost, too."""
    NOTHING_BEHIND = "nothing_behind"
    """A generation begins with the newest of what its disks had, at every member."""
    STEPS_DOWN = "steps_down"
    """Who knows of a later generation answers for no key in an earlier one."""
    NEVER_BACK = "never_back"
    """Generation, epoch and promises of one disk never go back."""
    ONE_HISTORY = "one_history"
    """What clients are told in one generation is one chain of versions, in real time; no version of
    it was told in an earlier one."""


class BrokenError(Exception):
    """Something that must hold does not."""

    def __init__(self, lacking: Property, text: str) -> None:
        super().__init__(text)
        self.lacking = lacking


class Job(NamedTuple):
    """What is ordered or asked."""

    kind: str
    node: str
    done_at: str = ""
    seats: str = ""
    """Of a change: who gives up its seat, and who gets it; empty: the members stay the same."""


class Disk(NamedTuple):
    """A node: all of it is on its disk."""

    me: Member
    head: Head
    records: tuple[tuple[bytes, Record], ...] = ()


class Sent(NamedTuple):
    """A message on its way."""

    sender: str
    to: str
    message: msg.Request


class Task(NamedTuple):
    """A job, and how far it has come."""

    state: Attempt | Findings | Underway | None = None
    over: bool = False
    bound: tuple[tuple[int, int], ...] = ()
    """By generation the highest version that was told when it began."""


class Past(NamedTuple):
    """What has to be remembered."""

    chosen: tuple[tuple[Recovery, frozenset[Configuration]], ...] = ()
    """Recoveries that have taken place, and which others their coordinators knew of."""
    kept: tuple[tuple[int, Content | None], ...] = ()
    """By generation, what it begins with."""
    told: tuple[tuple[int, int, bytes], ...] = ()
    """Generation, version, and the request that made it."""
    highest: tuple[tuple[int, int], ...] = ()
    """By generation the highest version that was told."""
    changes: tuple[Configuration, ...] = ()
    """Configurations that members have chosen."""


class State(NamedTuple):
    """All there is."""

    disks: tuple[Disk, ...]
    tasks: tuple[Task, ...]
    sent: frozenset[Sent]
    past: Past


@attrs.frozen(kw_only=True)
class Plan:
    """One search."""

    jobs: tuple[Job, ...]
    nodes: int = 3
    behind: str = ""
    promises: bool = True
    """Off, disks forget what they promised to recoveries; for a test of the search."""
    safeguards: StoreSafeguards = attrs.field(factory=StoreSafeguards)
    max_states: int = 1_000_000


@attrs.frozen
class Verdict:
    """How a search ended."""

    states: int
    steps: int
    depth: int
    broken: Property | None = None
    text: str = ""
    history: tuple[str, ...] = ()
    complete: bool = True
