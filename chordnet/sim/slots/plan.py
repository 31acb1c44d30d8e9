"""What to search: who is there, what is asked, what may go wrong."""

from __future__ import annotations

import enum
import re

import attrs

from chordnet.core.base.errors import ConfigError
from chordnet.core.store.base.safeguards import StoreSafeguards

NAMES = "ABCDE"
KEY = b"k"
EXPIRES = 1.0
"""When a lease is over, by a clock that shows 0 or twice this."""


class Kind(enum.Enum):
    """What a client or a member sets out to do."""

    PUT = "put"
    DELETE = "delete"
    CREATE = "create"
    """A put that only counts if there is no value."""
    LEASE = "lease"
    """A put that expires."""
    GET = "get"
    CHANGE = "change"
    COLLECT = "collect"
    """Have all members drop the record of the deleted key."""
    CLEAR = "clear"
    """A member drops a record that was only promised."""
    RESERVE = "reserve"
    """A coordinator has the slot's new keys promised, and then writes the key in one round."""
    LIFT = "lift"
    """A member raises its floor, because it drops another key, to the highest ballot there is."""


AT_MEMBERS = frozenset({Kind.CLEAR, Kind.LIFT})
"""What a member does by itself, in one step."""
OF_SLOTS = frozenset({Kind.CHANGE, Kind.COLLECT, *AT_MEMBERS})
"""What only a member does, and no client asks for."""


@attrs.frozen
class Job:
    """One operation or change of the search."""

    kind: Kind
    node: str
    """Who coordinates it."""
    leaver: str = ""
    """Of a change: who gives up its seat; empty: nobody."""
    comer: str = ""
    """Of a change: who gets a seat; empty: nobody. Without either the members stay the same."""
    done_at: str = ""
    """Of a write: it was done before the search begins, and these members have accepted it."""
    installed: tuple[tuple[str, str], ...] = ()
    """Of a change: it was made before the search begins, all old members voted for it, and these
    members have installed it, each from the states of the members named beside it."""

    @property
    def is_before(self) -> bool:
        """Whether it was done before the search begins."""
        return bool(self.done_at or self.installed)

    @property
    def named(self) -> frozenset[str]:
        """All nodes that it names."""
        installed = "".join(member + sources for member, sources in self.installed)
        return frozenset(self.node + self.leaver + self.comer + self.done_at + installed)


_JOB = re.compile(
    r"(put|delete|create|lease|get)@([A-E])(?:/([A-E]+))?"
    r"|change@([A-E])(?::([A-E-])([A-E-]))?((?:/[A-E]=[A-E]+)*)"
    r"|(collect|clear|lift|reserve)@([A-E])"
)


def jobs(text: str) -> tuple[Job, ...]:
    """Read jobs as they are typed: ``put@A,put@B/BC,get@C,change@A:CD,change@A:C-,change@B``.

    ``change@B/A=AB/C=BC`` was made before the search; A has installed it from A and B, C from B and
    C.

    :raises ConfigError: that is not a list of jobs.
    """
    found = []
    for word in filter(None, (word.strip() for word in text.split(","))):
        match = _JOB.fullmatch(word)
        if match is None:
            raise ConfigError(f"{word!r} is no job; there are put@A, get@C, change@A:CD")
        kind, node, done_at, leader, leaver, comer, from_, own, at = (
            each or "" for each in match.groups()
        )
        if kind:
            found.append(Job(Kind(kind), node, done_at=done_at))
        elif own:
            found.append(Job(Kind(own), at))
        else:
            pairs = (each.split("=") for each in from_.split("/")[1:])
            installed = tuple((member, sources) for member, sources in pairs)
            seats = leaver.strip("-"), comer.strip("-")
            found.append(Job(Kind.CHANGE, leader, *seats, installed=installed))
    return tuple(found)


class Property(enum.Enum):
    """What must hold in every state."""

    ONE_CONFIGURATION = "one_configuration"
    """At most one configuration is chosen for each epoch."""
    CARRIED_OVER = "carried_over"
    """Whatever was ever chosen in an epoch is at or below what members of later ones installed."""
    SILENT_WHEN_SEALED = "silent_when_sealed"
    """Nobody answers for a key after its seal, or for anything before its installation."""
    ONE_CONTENT = "one_content"
    """Equal ballots mean equal contents, and no ballot is used twice."""
    NEVER_BACK = "never_back"
    """On one disk nothing that was promised, accepted, sealed or voted goes back, nor the floor."""
    ONE_HISTORY = "one_history"
    """What clients are told is one chain of versions, in the order of real time."""
    NEVER_LATER = "never_later"
    """A write that was said never to happen does not."""
    OVER_BY_CLOCKS = "over_by_clocks"
    """A lease is over only when most members' clocks have passed its end."""
    SEALED_WHEN_SERVED = "sealed_when_served"
    """Once an epoch serves, every majority of the one before has a sealed member in it."""


VISIBLE = frozenset({Property.ONE_HISTORY, Property.NEVER_LATER, Property.OVER_BY_CLOCKS})
"""What a client sees."""


@attrs.frozen(kw_only=True)
class SlotPlan:
    """One search."""

    jobs: tuple[Job, ...]
    nodes: int = 3
    """Nodes that keep a store."""
    members: int = 3
    """Of them, the first so many are the members at the beginning."""
    attempts: int = 1
    """How often a job asks for promises with a ballot of its own."""
    crashes: int = 0
    """Restarts with the disk kept."""
    losses: int = 0
    """Disks lost."""
    clocks: int = 0
    """Nodes whose clocks pass the end of leases, at any time."""
    deadlines: bool = False
    """Whether operations may run out of time."""
    retries: bool = False
    """Whether a write that ends unconfirmed, by its deadline, is asked for again elsewhere."""
    one_round: bool = False
    """Whether a coordinator has its next write promised, and then does it in one round."""
    every_message: bool = False
    """Deliver each question by itself, and lose answers; otherwise a majority at once is asked for
    promises, contents and states."""
    safeguards: StoreSafeguards = attrs.field(factory=StoreSafeguards)
    wanted: frozenset[Property] = frozenset(Property)
    max_states: int = 1_000_000
    max_depth: int = 1_000
