"""A history found by the search, told so that a person can follow it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress

import attrs

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base import outcomes as end
from chordnet.core.store.base.ballots import NONE, Ballot
from chordnet.core.store.base.configurations import Member
from chordnet.core.store.base.records import GROUND, Content
from chordnet.sim.slots.cell import Sent
from chordnet.sim.slots.explore import Search, Verdict
from chordnet.sim.slots.judge import BrokenError, Node, record_of
from chordnet.sim.slots.plan import Job, Kind
from chordnet.sim.slots.turn import Told, after
from chordnet.sim.slots.world import Action, State, World

DOES = {
    Kind.PUT: "writes",
    Kind.DELETE: "deletes",
    Kind.CREATE: "writes, if there is nothing",
    Kind.LEASE: "writes, for a while",
    Kind.GET: "reads",
}
BY_ITSELF = {
    Kind.COLLECT: "asks which members have its tombstone, too",
    Kind.CLEAR: "drops what it has only promised",
    Kind.LIFT: "drops the tombstone of another key",
    Kind.RESERVE: "has its next ballot promised for all new keys",
}


@attrs.frozen
class Scene:
    """One step of a history."""

    sentence: str
    """What happens; empty at the beginning."""
    actor: str
    """The node that does it."""
    reached: tuple[str, ...]
    """The nodes that it reaches, in this step."""
    gives: bool
    """Whether it is they who give it something: it installs what they have."""
    changes: dict[str, tuple[str, ...]]
    """What each node is that has changed, in a few words each."""
    ends: tuple[str, ...]
    """What clients are told."""


def scenes(search: Search, verdict: Verdict) -> Iterator[Scene]:
    """Yield the steps of a history, the beginning first."""
    world = search.world
    before: State | None = None
    for action, state in verdict.history:
        changes = dict(_changes(before, state))
        if action is None or before is None:
            yield Scene("", "", (), False, changes, ())
        else:
            ends: list[Told] = []
            with suppress(BrokenError):
                after(world, before, action, ends.append)
            actor, reached = _between(world, action)
            told_ = tuple(f"{_client(world, rid)} {_outcome(outcome)}" for rid, outcome in ends)
            gives = action.sent is not None and bool(action.at)
            yield Scene(_sentence(world, action), actor, reached, gives, changes, told_)
        before = state


def told(search: Search, verdict: Verdict) -> Iterator[str]:
    """Yield the lines: what happened, and after each step what it changed."""
    for number, scene in enumerate(scenes(search, verdict)):
        yield f"{number}. {scene.sentence}" if scene.sentence else "At the beginning:"
        for name, words in scene.changes.items():
            yield f"      {name}: {', '.join(words)}"
        for end_ in scene.ends:
            yield f"      {end_}"
    yield f"Now {verdict.text}."


def _between(world: World, action: Action) -> tuple[str, tuple[str, ...]]:
    """Return who acts, and whom that reaches."""
    if action.verb in ("crash", "lose", "tick"):
        return action.node, ()
    if action.sent is not None:
        # An installation takes its states from others.
        sent = action.sent
        return (sent.to, action.at) if action.at else (sent.sender, (sent.to,))
    return world.plan.jobs[action.task].node, action.at


def _sentence(world: World, action: Action) -> str:
    answering = f"; answers: {_names(action.at)}" if action.at else ""
    at_once = {
        "expire": f"{_client(world, action.task)} runs out of time",
        "retry": f"{_client(world, action.task)} is unconfirmed, and is asked for again at the"
        " next node",
        "crash": f"{action.node} restarts with its disk",
        "lose": f"{action.node} loses its disk and restarts",
        "tick": f"the clock of {action.node} passes the end of leases",
    }
    if action.verb in at_once:
        return at_once[action.verb]
    match action.verb:
        case "begin":
            return f"{_begins(action.task, world.plan.jobs[action.task])}{answering}"
        case "round":
            return f"{_client(world, action.task)} goes on{answering}"
        case "again":
            return f"{_client(world, action.task)} tries again{answering}"
    assert action.sent is not None
    lost = "" if action.heard else "; its answer is lost"
    return f"{_arrival(action.sent, action.at)}{lost}"


def _begins(number: int, job: Job) -> str:
    if job.kind in BY_ITSELF:
        return f"{job.node} {BY_ITSELF[job.kind]}"
    if job.kind is not Kind.CHANGE:
        written = "" if job.kind is Kind.GET else f" (w{number + 1})"
        return f"{job.node} {DOES[job.kind]}{written}"
    match job.leaver, job.comer:
        case "", "":
            return f"{job.node} proposes the same members"
        case leaver, "":
            return f"{job.node} proposes to do without {leaver}"
        case "", comer:
            return f"{job.node} proposes {comer} as one more"
    return f"{job.node} proposes {job.comer} in place of {job.leaver}"


def _client(world: World, number: int) -> str:
    job = world.plan.jobs[number]
    names = {Kind.GET: "read", Kind.CHANGE: "change", Kind.COLLECT: "collection"}
    names |= {Kind.RESERVE: "reservation"}
    what = names.get(job.kind, f"w{number + 1}")
    return f"{what} of {job.node}"


def _names(nodes: Iterable[str]) -> str:
    return ", ".join(nodes)


def _members(members: Iterable[Member]) -> str:
    return _names(m.node if m.store == 1 else f"{m.node}({m.store})" for m in members)


def _arrival(sent: Sent, at: tuple[str, ...]) -> str:
    to, message = sent.to, sent.message
    match message:
        case msg.Accept():
            return f"{to} is asked by {sent.sender} to take {_content(message.content)}"
        case msg.AcceptChange():
            return f"{to} is asked by {sent.sender} to vote for {_members(message.members)}"
        case msg.Chosen():
            source = f", with the state of {_names(at)}" if at else ""
            return f"{to} is told that epoch {message.configuration.epoch} is chosen{source}"
        case msg.Collect():
            return f"{to} is asked by {sent.sender} if it has the tombstone"
        case msg.Drop():
            return f"{to} is told by {sent.sender} that all members have the tombstone"
        case msg.Forget():
            return f"{to} is told that epoch {message.configuration.epoch} serves"
    return f"{type(message).__name__} of {sent.sender} reaches {to}"


def _outcome(outcome: end.Outcome) -> str:
    match outcome:
        case end.Done():
            return f"is done, as version {outcome.version}"
        case end.Found():
            return f"finds {_content(outcome.content)}"
        case end.Conflict():
            return f"is a conflict with {_content(outcome.present)}"
        case end.Unavailable():
            return "is unavailable: it never happens"
    return f"is {type(outcome).__name__.lower()}"


def _content(content: Content) -> str:
    if not content.version:
        return "nothing"
    what = "a tombstone" if content.value is None else content.value.decode()
    return f"{what} (version {content.version})"


def _ballot(ballot: Ballot) -> str:
    return f"{ballot.epoch}.{ballot.counter}{ballot.node}"


# ---- nodes ----------------------------------------------------------------------------------


def _changes(before: State | None, state: State | None) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each node that changed, and what it is now."""
    if state is None:
        return
    for index, node in enumerate(state.nodes):
        line = _words(node)
        if before is None or line != _words(before.nodes[index]):
            yield _name(node), line


def _name(node: Node) -> str:
    return node.me.node if node.me.store == 1 else f"{node.me.node}({node.me.store})"


def _words(node: Node) -> tuple[str, ...]:
    head = node.head
    if not head.configuration.epoch:
        return ("no member",)
    words = [f"epoch {head.configuration.epoch} ({_members(head.configuration.members)})"]
    if head.vote is not None:
        words.append(f"votes for {_members(head.vote.members)}")
    if head.emptied:
        return (*words, "emptied")
    record = record_of(node.records)
    if head.floor != GROUND:
        words.append(f"floor {_ballot(head.floor.promised)} (version {head.floor.version})")
    if record is None:
        return (*words, "holds nothing")
    if record.promised > record.accepted:
        words.append(f"promised {_ballot(record.promised)}")
    accepted = f" by {_ballot(record.accepted)}" if record.accepted != NONE else ""
    return (*words, f"holds {_content(record.content)}{accepted}")
