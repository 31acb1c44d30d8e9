"""What an examination of a network finds: one small class per kind, each with the words for it.

Nothing reads a sentence to learn what it means: for programs there are ``kind``, ``nodes`` and
``details``, and ``words`` are made where people are shown them.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeAlias

import attrs

from chordnet.core.base import intervals
from chordnet.judge.problems import Problem
from chordnet.survey.conditions import Condition, slots_words
from chordnet.survey.description import ranges
from chordnet.survey.errors import command

Ref: TypeAlias = int | str
"""A node's number, or the name of any other node."""

SHOWN_RANGES = 4
"""Ranges in one line; the rest is counted."""


def called(ref: Ref) -> str:
    """Return ``Node 4`` for 4, and a name as it is."""
    return f"Node {ref}" if isinstance(ref, int) else ref


def messages(count: int) -> str:
    """Return ``1 message`` or ``1,234 messages``."""
    return f"{count:,} message{'' if count == 1 else 's'}"


# ---- nodes ----------------------------------------------------------------------------------


@attrs.frozen
class _OfOne:
    """Something about one node."""

    node: Ref

    @property
    def nodes(self) -> tuple[Ref, ...]:
        return (self.node,)

    def details(self) -> dict[str, Any]:
        return attrs.asdict(self, filter=lambda field, _: field.name not in ("node", "network"))


@attrs.frozen
class Unwell:
    """A node that ought to run and cannot be a member, and what the engine knows of it."""

    node: int
    condition: Condition
    network: str
    """The network's name, for the command that mends it."""

    @property
    def kind(self) -> str:
        return self.condition.matter.value.replace(" ", "-")

    @property
    def nodes(self) -> tuple[Ref, ...]:
        return (self.node,)

    def words(self) -> str:
        return self.condition.line(self.node, lambda words: command(words, self.network))

    def details(self) -> dict[str, Any]:
        return {"what": self.condition.text}


@attrs.frozen
class Silent(_OfOne):
    """A node that runs and does not answer."""

    kind: ClassVar[str] = "silent"
    why: str

    def words(self) -> str:
        return f"{called(self.node)} does not answer: {self.why}"


@attrs.frozen
class WrongIdentifier(_OfOne):
    """A node whose identifier is not the hash of its name."""

    kind: ClassVar[str] = "identifier"
    found: str
    expected: str

    def words(self) -> str:
        who = called(self.node)
        return f"{who}: its identifier is {self.found}, its name gives {self.expected}"


@attrs.frozen
class OtherNetwork(_OfOne):
    """A node that belongs to another network."""

    kind: ClassVar[str] = "network"
    found: str

    def words(self) -> str:
        return f"{called(self.node)}: it belongs to the network '{self.found}'"


@attrs.frozen
class NotInRing(_OfOne):
    """A node that answers and is no member."""

    kind: ClassVar[str] = "state"
    state: str
    reason: str

    def words(self) -> str:
        # What a node says of itself is shown without characters that control a terminal.
        shown = "".join(c if c.isprintable() else "?" for c in self.reason)
        because = f": {shown}" if shown else ""
        return f"{called(self.node)} is {self.state}, not in the ring{because}"


@attrs.frozen
class LeftForGood(_OfOne):
    """A node that has left its ring because its message log failed."""

    kind: ClassVar[str] = "log-failed"
    reason: str
    network: str
    """The network's name, for the command that shows more."""

    def words(self) -> str:
        see = command(f"logs {self.node}", self.network)
        return f"{called(self.node)} left the ring: its message log cannot be used; see: {see}"


@attrs.frozen
class WrongRing:
    """A pointer that is wrong, as the judge found it, and what its nodes are called."""

    problem: Problem
    names: Mapping[int, Ref]

    @property
    def kind(self) -> str:
        return self.problem.kind

    @property
    def nodes(self) -> tuple[Ref, ...]:
        return tuple(self.names[node] for node in self.problem.nodes)

    def words(self) -> str:
        return self.problem.words(lambda node: called(self.names[node]))

    def details(self) -> dict[str, Any]:
        fields = attrs.asdict(self.problem)
        slots = {"slots": list(fields["slots"])} if "slots" in fields else {}
        return slots | {
            key: self._named(fields[key]) for key in ("found", "expected") if key in fields
        }

    def _named(self, nodes: int | tuple[int, ...] | None) -> Ref | list[Ref] | None:
        if isinstance(nodes, tuple):
            return [self.names[node] for node in nodes]
        return None if nodes is None else self.names[nodes]


# ---- messages -------------------------------------------------------------------------------


@attrs.frozen
class NotAsked(_OfOne):
    """A member that could not be asked what it has recorded."""

    kind: ClassVar[str] = "not-asked"
    why: str
    """Empty if it is only from here that it cannot be asked."""

    def words(self) -> str:
        from_here, why = ("", f": {self.why}") if self.why else (" from here", "")
        return f"{called(self.node)} cannot be asked{from_here} what it has recorded{why}"


class Want(enum.Enum):
    """How a node may be without messages that it ought to have."""

    LACKING = "lacking"
    """Neither recorded nor given up, and recorded by another node."""
    GIVEN_UP = "given-up"
    """Given up, and kept by another node."""
    NOT_KEPT = "not-kept"
    """Recorded and not kept, though its log has dropped nothing."""
    LOST = "lost"
    """Given up, and kept by no node."""


_WANT_WORDS = {
    Want.LACKING: "{who} lacks {what}",
    Want.GIVEN_UP: "{who} has given up {what}, which other nodes keep",
    Want.NOT_KEPT: "{who} counts as recorded and does not keep {what}",
    Want.LOST: "{who} will never have {what}: no node keeps them any more",
}


@attrs.frozen
class Wanting(_OfOne):
    """Messages of one origin that a node ought to have."""

    want: Want
    origin: Ref
    key: tuple[str, int]
    """The origin's identifier and incarnation."""
    numbers: tuple[int, ...]
    """Intervals."""

    @property
    def kind(self) -> str:
        return self.want.value

    @property
    def count(self) -> int:
        """How many messages they are."""
        return intervals.count(list(self.numbers))

    def words(self) -> str:
        identifier, incarnation = self.key
        runs = [f"{a}" if a == b else f"{a}-{b}" for a, b in self._runs()]
        beyond = len(runs) - SHOWN_RANGES
        more = f" and {beyond} more range{'s' if beyond > 1 else ''}" if beyond > 0 else ""
        what = (
            f"{messages(self.count)} of {called(self.origin)}, "
            f"{'number' if self.count == 1 else 'numbers'} {', '.join(runs[:SHOWN_RANGES])}{more} "
            f"(from {identifier}.{incarnation}.{self.numbers[0]})"
        )
        return _WANT_WORDS[self.want].format(who=called(self.node), what=what)

    def details(self) -> dict[str, Any]:
        return {
            "messages": self.count,
            "origin": self.origin,
            "incarnation": self.key[1],
            "ranges": [list(run) for run in self._runs()],
        }

    def _runs(self) -> list[tuple[int, int]]:
        return [(first, end - 1) for first, end in intervals.pairs(list(self.numbers))]


@attrs.frozen
class WantingMore(_OfOne):
    """Messages of further origins, which are only counted."""

    want: Want
    messages: int
    origins: int

    @property
    def kind(self) -> str:
        return self.want.value

    def words(self) -> str:
        what = f"{messages(self.messages)} of {self.origins} other origins"
        return _WANT_WORDS[self.want].format(who=called(self.node), what=what)

    def details(self) -> dict[str, Any]:
        return {"messages": self.messages, "origins": self.origins}


@attrs.frozen
class RecordedTwice(_OfOne):
    """A message that a node has recorded more than once."""

    kind: ClassVar[str] = "twice"
    message: str

    def words(self) -> str:
        return f"{called(self.node)} recorded the message {self.message} twice"


@attrs.frozen
class DifferentBodies:
    """A message that is not the same on every node."""

    kind: ClassVar[str] = "bodies"
    message: str
    groups: tuple[tuple[Ref, ...], ...]
    """Nodes that have the same body."""

    @property
    def nodes(self) -> tuple[Ref, ...]:
        return tuple(node for group in self.groups for node in group)

    def words(self) -> str:
        parts = " and ".join(", ".join(map(called, group)) for group in self.groups)
        return f"the message {self.message} is not the same everywhere: it differs between {parts}"

    def details(self) -> dict[str, Any]:
        return {"message": self.message, "groups": [list(group) for group in self.groups]}


@attrs.frozen
class WrongRoute(_OfOne):
    """A route that is not its sender's own and one step more."""

    kind: ClassVar[str] = "route"
    message: str
    sender: Ref

    @property
    def nodes(self) -> tuple[Ref, ...]:
        return (self.node, self.sender)

    def words(self) -> str:
        return (
            f"{called(self.node)} recorded another route of the message {self.message} "
            f"than {called(self.sender)}, which sent it"
        )


@attrs.frozen
class MoreLikeTheLast:
    """Findings that are only counted."""

    nodes: ClassVar[tuple[Ref, ...]] = ()
    kind: str
    count: int

    def words(self) -> str:
        return f"and {self.count} more like the last"

    def details(self) -> dict[str, Any]:
        return {"more": self.count}


# ---- the store ------------------------------------------------------------------------------


@attrs.frozen
class StoreNotBegun:
    """Founders are named, and the store has not begun."""

    kind: ClassVar[str] = "store-not-begun"
    nodes: tuple[Ref, ...]
    """The founders."""

    def words(self) -> str:
        return f"the store has not begun: its founders are {', '.join(map(called, self.nodes))}"

    def details(self) -> dict[str, Any]:
        return {}


@attrs.frozen
class SeveralStores:
    """Nodes of one network that belong to different stores."""

    kind: ClassVar[str] = "several-stores"
    groups: Mapping[str, tuple[Ref, ...]]
    """The nodes of each formation."""

    @property
    def nodes(self) -> tuple[Ref, ...]:
        return tuple(node for group in self.groups.values() for node in group)

    def words(self) -> str:
        parts = [
            f"{formation[:8]} of {', '.join(map(called, group))}"
            for formation, group in self.groups.items()
        ]
        return f"there are {len(parts)} stores, which do not mix: {' and '.join(parts)}"

    def details(self) -> dict[str, Any]:
        return {"formations": {key: list(group) for key, group in self.groups.items()}}


@attrs.frozen
class StoreStopped(_OfOne):
    """A node whose store has stopped."""

    kind: ClassVar[str] = "store-stopped"
    why: str

    def words(self) -> str:
        shown = "".join(c if c.isprintable() else "?" for c in self.why)
        return f"the store of {called(self.node)} has stopped: {shown}"


@attrs.frozen
class _OfSlots:
    """Something about slots of the store."""

    slots: tuple[int, ...]
    nodes: tuple[Ref, ...]
    """The members that are the reason, or theirs."""
    example: str
    """What there is to say of the first."""

    def details(self) -> dict[str, Any]:
        return {"slots": list(self.slots)}


@attrs.frozen
class SlotsWithoutMajority(_OfSlots):
    """Slots whose keys can be neither read nor written."""

    kind: ClassVar[str] = "slots-without-majority"

    def words(self) -> str:
        return slots_words(len(self.slots), "no majority", self.example)


@attrs.frozen
class SlotsNotInStep(_OfSlots):
    """Slots that work and have not their full number of members, all up to date."""

    kind: ClassVar[str] = "slots-not-in-step"

    def words(self) -> str:
        return slots_words(len(self.slots), "not all their members in step", self.example)


@attrs.frozen
class SlotsElsewhere(_OfSlots):
    """Slots in step that other nodes hold than those that are nearest to them."""

    kind: ClassVar[str] = "slots-elsewhere"

    def words(self) -> str:
        what = "other members than the nearest, and will move when the ring is quiet"
        return slots_words(len(self.slots), what, self.example)


# ---- worth knowing, and no fault ------------------------------------------------------------


@attrs.frozen
class JustStarted(_OfOne):
    """A node that has not had time to catch up."""

    kind: ClassVar[str] = "just-started"
    messages: int

    def words(self) -> str:
        return f"{called(self.node)} started just now and still lacks {messages(self.messages)}"


@attrs.frozen
class Capped:
    """Logs that have dropped their oldest messages, as they may."""

    kind: ClassVar[str] = "capped"
    messages: int
    """Recorded by any node."""
    fewest: tuple[Ref, int]
    """The node that keeps the fewest of them, and how many it keeps."""
    most: tuple[Ref, int]

    @property
    def nodes(self) -> tuple[Ref, ...]:
        return tuple(dict.fromkeys((self.fewest[0], self.most[0])))

    def words(self) -> str:
        (node, kept), (other, most) = self.fewest, self.most
        more = f", {called(other)} the newest {most:,}" if other != node else ""
        least = f"{called(node)} keeps the newest {kept:,}"
        return f"histories are capped: of {messages(self.messages)} {least}{more}"

    def details(self) -> dict[str, Any]:
        return {"messages": self.messages, "fewest": self.fewest[1], "most": self.most[1]}


@attrs.frozen
class OfCertificates:
    """Something about the certificates of a secured network."""

    kind: ClassVar[str] = "certificates"
    nodes: tuple[Ref, ...]
    matter: str
    """``renewal``, ``expiry``, ``issuers``, ``clock``, ``bundle``, ``rotation``,
    ``revoked`` or ``none``."""
    text: str

    def words(self) -> str:
        return self.text

    def details(self) -> dict[str, Any]:
        return {"matter": self.matter}


@attrs.frozen
class Insecure(OfCertificates):
    """Nodes that other machines reach, and that ask nobody for a certificate."""

    kind: ClassVar[str] = "insecure"


@attrs.frozen
class OnPurpose:
    """Something that is broken on purpose."""

    kind: ClassVar[str] = "on-purpose"
    nodes: ClassVar[tuple[Ref, ...]] = ()
    fault: str
    undo: str
    """The command that ends it."""

    def words(self) -> str:
        return f"on purpose, until {self.undo}: {self.fault}"

    def details(self) -> dict[str, Any]:
        return {"fault": self.fault, "undo": self.undo}


# ---- all of them ----------------------------------------------------------------------------

Fact: TypeAlias = (
    Unwell
    | Silent
    | WrongIdentifier
    | OtherNetwork
    | NotInRing
    | LeftForGood
    | WrongRing
    | NotAsked
    | Wanting
    | WantingMore
    | RecordedTwice
    | DifferentBodies
    | WrongRoute
    | MoreLikeTheLast
    | StoreNotBegun
    | SeveralStores
    | StoreStopped
    | SlotsWithoutMajority
    | SlotsNotInStep
    | SlotsElsewhere
    | JustStarted
    | Capped
    | OfCertificates
    | OnPurpose
    | Insecure
)
"""What was found. Each has a ``kind`` (a word that stays the same) and ``nodes`` (the one with the
fault comes first), ``details()`` for programs and ``words()`` for people."""


@attrs.frozen
class Finding:
    """A fact, and where in the network it was found."""

    fact: Fact
    side: frozenset[int] | None = None
    """The side of a partition; None if the network is not parted."""

    def words(self) -> str:
        """Return one line for people."""
        return f"{side_name(self.side)}{self.fact.words()}"

    def document(self) -> dict[str, Any]:
        """Return this as plain data for JSON."""
        return {
            "kind": self.fact.kind,
            "nodes": list(self.fact.nodes),
            "side": None if self.side is None else sorted(self.side),
            "details": self.fact.details(),
            "text": self.words(),
        }


def side_name(side: frozenset[int] | None) -> str:
    """Return the beginning of a line about one side of a partition; an empty text without one."""
    return "" if side is None else f"side {ranges(side)}: "


def in_words(found: Iterable[Fact | Finding]) -> list[str]:
    """Return the lines for people."""
    return [each.words() for each in found]
