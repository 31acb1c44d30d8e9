"""Fakes written against the testbed's seams: an engine, clients, and a ring that is right."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import msgspec
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from chordnet.core.base import intervals
from chordnet.core.base.errors import ChordnetError, ConnectFailed, NoStore
from chordnet.core.base.outcomes import Entry
from chordnet.judge.invariants import ideal_view
from chordnet.net.handles.watching import KeyWatch
from chordnet.survey.conditions import Condition, Matter
from chordnet.survey.description import NetworkDescription
from chordnet.survey.errors import TestbedError
from chordnet.testbed.actions.context import Engines, Testbed
from chordnet.testbed.base.faults import Line
from chordnet.testbed.base.home import NetworkHome
from chordnet.wire.rpc import (
    FingerEntry,
    LookupResult,
    MessageRecord,
    MessageTrace,
    MessageTrail,
    NodeHistory,
    NodeInfo,
    NodeStatus,
    Order,
    OrderedEntry,
    OriginHistory,
    Receipt,
    RouteHop,
    TraceEvent,
    Written,
)
from chordnet.wire.stores import (
    HeldKey,
    KeyMembers,
    SlotMember,
    SlotRecovery,
    SlotState,
    StoreStanding,
    StoreState,
)

NO_ENGINE = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}
"""For commands that run apart: whatever an engine here keeps of a network, they do not see it."""


def network(size: int = 5, **settings: Any) -> NetworkDescription:
    return NetworkDescription(
        **{"name": "default", "engine": "local", "size": size, "base_port": 9001} | settings
    )


@cache
def _numbers(described: NetworkDescription) -> dict[int, int]:
    return {described.identifier(n): n for n in described.numbers}


@cache
def info(described: NetworkDescription, identifier: int) -> NodeInfo:
    number = _numbers(described).get(identifier)
    name = f"Node {number}" if number else "visitor"
    address = described.address(number) if number else "10.0.0.9:1"
    return NodeInfo(described.space.hex(identifier), name, address)


def ideal_status(
    described: NetworkDescription, identifier: int, members: Collection[int], **changes: Any
) -> NodeStatus:
    """Return what the node says when ``members`` (identifiers) are one correct ring."""
    ordered = sorted(members)
    index = ordered.index(identifier)
    view = ideal_view(ordered, index, described.space, described.successors)
    assert view.predecessor is not None
    fields: dict[str, Any] = {
        "node": info(described, identifier),
        "network": described.name,
        "version": "0",
        "bits": described.bits,
        "incarnation": 1,
        "state": "active",
        "predecessor": info(described, view.predecessor),
        "successors": [info(described, node) for node in view.successors],
        "fingers": [
            FingerEntry(slot, info(described, node)) for slot, node in view.fingers.items()
        ],
        "ring": "1:2",
        "messages": 0,
        "keys": 0,
        "uptime": 60.0,
        "counters": {},
    }
    return NodeStatus(**fields | changes)


def ideal_ring(described: NetworkDescription, numbers: Collection[int]) -> dict[int, NodeStatus]:
    members = [described.identifier(number) for number in numbers]
    return {
        number: ideal_status(described, described.identifier(number), members) for number in numbers
    }


def record(
    described: NetworkDescription, message: str, *route: int, received_at: float = 1000.0
) -> MessageRecord:
    hops = [
        RouteHop(
            described.space.hex(described.identifier(number)),
            f"Node {number}",
            "origin" if index == 0 else "finger",
        )
        for index, number in enumerate(route)
    ]
    return MessageRecord(message, f"body-of-{message}", 1000.0, received_at, hops)


def trail_of(each: MessageRecord) -> MessageTrail:
    route = [hop.id for hop in each.route]
    return MessageTrail(each.id, each.body.encode(), each.received_at, route)


def disk(number: int) -> str:
    return f"{number:016x}"


def slot_state(slot: int, *members: int, **changes: Any) -> SlotState:
    """Return what a member says of a slot that is in step."""
    fields: dict[str, Any] = {
        "slot": slot, "generation": 1, "epoch": 1,
        "members": [SlotMember(f"Node {n}", disk(n)) for n in members],
        "serves": True, "installed": 1, "sealed": False, "keys": 0, "bytes": 0,
    }  # fmt: skip
    return SlotState(**fields | changes)


def proper_members(described: NetworkDescription, running: Collection[int], slot: int) -> list[int]:
    """Return the nodes that should hold one of four slots."""
    size = described.space.size
    place = slot * (size // 4)
    return sorted(running, key=lambda n: (described.identifier(n) - place) % size)[:3]


def store_state(
    described: NetworkDescription, number: int, running: Collection[int], **changes: Any
) -> StoreState:
    """Return what a node says of a store of four slots that is in step: nothing is to be done."""
    slots = []
    for slot in range(4):
        members = proper_members(described, running, slot)
        slots.append(slot_state(slot, *members, installed=1 if number in members else None))
    fields: dict[str, Any] = {
        "formation": "0f" * 16, "reason": "", "founders": list(described.founders),
        "slot_count": 4, "replicas": 3, "store": disk(number), "run": 1, "seat": True,
        "vacating": False, "seats": 0, "changing": 0, "keys": 0, "bytes": 0, "failed": "",
        "slots": slots,
    }  # fmt: skip
    return StoreState(**fields | changes)


@attrs.define
class FakeNodes:
    """What stands behind every fake client: answers by port, and a count of the questions."""

    described: NetworkDescription
    statuses: dict[int, NodeStatus] = attrs.field(factory=dict)
    logs: dict[int, list[MessageRecord]] = attrs.field(factory=dict)
    histories: dict[int, NodeHistory] = attrs.field(factory=dict)
    """Instead of what the logs say."""
    mute: set[int] = attrs.field(factory=set)
    """Nodes that do not say what they have recorded."""
    events: dict[int, list[TraceEvent]] = attrs.field(factory=dict)
    frozen: set[int] = attrs.field(factory=set)
    failed: set[int] = attrs.field(factory=set)
    visitors: dict[str, NodeStatus] = attrs.field(factory=dict)
    lookups: dict[int, LookupResult] = attrs.field(factory=dict)
    ordered: dict[int, list[OrderedEntry]] = attrs.field(factory=dict)
    comes: list[MessageRecord | OrderedEntry] = attrs.field(factory=list)
    """What those who follow a node are handed before it ends."""
    keys: dict[int, list[Any]] = attrs.field(factory=dict)
    """What nodes answer about keys, one after the other: a result, or an error."""
    receipts: list[dict[str, Any]] = attrs.field(factory=list)
    """What the next receipts have that is not usual."""
    words: list[tuple[Any, ...]] = attrs.field(factory=list)
    """The words of questions that have any."""
    stores: dict[int, Any] = attrs.field(factory=dict)
    """What nodes say of the store, if that is not one in step: a state, states that follow each
    other, the last one for good, or an error."""
    standings: dict[int, list[Any]] = attrs.field(factory=dict)
    """What nodes say if they can be stopped, the last answer for good: or an error; usually yes."""
    inspected: dict[int, list[Any]] = attrs.field(factory=dict)
    """What nodes say that the members of a key have, one after the other, or errors."""
    recoveries: dict[int, SlotRecovery] = attrs.field(factory=dict)
    """What comes of the recovery of slots."""
    then_stores: dict[int, Any] = attrs.field(factory=dict)
    """What nodes say of the store once one is told to begin it."""
    vacated: list[int] = attrs.field(factory=list)
    cannot_vacate: str = ""
    members: Any = None
    """What answers about certificates, if the network is secured: called with a node's number."""
    asked: list[int] = attrs.field(factory=list)
    begun: list[int] = attrs.field(factory=list)
    open: int = 0

    @property
    def tellers(self) -> set[int]:
        """Nodes that say what they have recorded."""
        return {*self.statuses, *self.logs, *self.histories} - self.mute

    def history(self, number: int) -> NodeHistory:
        """Return what is recorded as numbers: a message has that of its id among its origin's."""
        if number in self.histories:
            return self.histories[number]
        if all(each.id.count(".") == 2 for log in self.logs.values() for each in log):
            return self._numbered(number)
        ids: dict[str, set[str]] = {}
        for log in self.logs.values():
            for each in log:
                ids.setdefault(each.route[0].id, set()).add(each.id)
        origins = []
        for origin, every in sorted(ids.items()):
            here = {each.id for each in self.logs.get(number, []) if each.route[0].id == origin}
            known = intervals.of(i for i, each in enumerate(sorted(every), 1) if each in here)
            if known:
                origins.append(OriginHistory(origin, 1, known, [], known))
        return NodeHistory(origins, len(self.logs.get(number, [])), 0)

    def _numbered(self, number: int) -> NodeHistory:
        lives: dict[tuple[str, int], set[int]] = {}
        for each in self.logs.get(number, []):
            origin, life, sequence = each.id.split(".")
            lives.setdefault((origin, int(life)), set()).add(int(sequence))
        origins = [
            OriginHistory(*key, intervals.of(sorted(found)), [], intervals.of(sorted(found)))
            for key, found in sorted(lives.items())
        ]
        return NodeHistory(origins, len(self.logs.get(number, [])), 0)

    def number(self, address: str) -> int:
        return int(address.rpartition(":")[2]) - self.described.base_port + 1

    def connect(self, address: str) -> FakeClient:
        self.open += 1
        return FakeClient(self, address)


class FakeClient:
    def __init__(self, nodes: FakeNodes, address: str) -> None:
        self.nodes = nodes
        self.address = address

    def _answer(self, values: dict[int, Any]) -> Deferred[Any]:
        number = self.nodes.number(self.address)
        self.nodes.asked.append(number)
        if number in self.nodes.frozen:
            return Deferred()
        if number not in values:
            return fail(ConnectFailed(f"nobody listens at {self.address}"))
        return succeed(values[number])

    @property
    def membership(self) -> Any:
        return self.nodes.members(self.nodes.number(self.address))

    def status(self) -> Deferred[NodeStatus]:
        if self.address in self.nodes.visitors:
            return succeed(self.nodes.visitors[self.address])
        return self._answer(self.nodes.statuses)

    def begin(self) -> Deferred[None]:
        self.nodes.begun.append(self.nodes.number(self.address))
        return self._answer(dict.fromkeys(self.nodes.statuses))

    def get_messages(self, limit: int = 0, since: str = "") -> Deferred[list[MessageRecord]]:
        self.nodes.words.append(("get_messages", limit, since))
        return self._answer(self.nodes.logs)

    def send_message(
        self, body: str, wait: bool = True, *, receipt: str = "counted", expect: Sequence[str] = ()
    ) -> Deferred[Receipt]:
        asked = (receipt, list(expect)) if receipt != "counted" or expect else ()
        self.nodes.words.append(("send_message", body, wait, *asked))
        usual = Receipt("id", body, 5, 5, 4, 2, 0.004, False, [])
        unusual = self.nodes.receipts.pop(0) if self.nodes.receipts else {}
        given = msgspec.structs.replace(usual, **unusual)
        return self._answer(dict.fromkeys(self.nodes.statuses, given))

    def store_state(self) -> Deferred[StoreState]:
        number = self.nodes.number(self.address)
        if number in self.nodes.frozen:
            return Deferred()
        if number not in self.nodes.statuses:
            return fail(ConnectFailed(f"nobody listens at {self.address}"))
        told = self.nodes.stores.get(number)
        if isinstance(told, list):
            told = told.pop(0) if len(told) > 1 else told[0]
        if isinstance(told, Exception):
            return fail(told)
        return succeed(told or store_state(self.nodes.described, number, self.nodes.statuses))

    def recover(
        self, slots: Sequence[int], *, accept_loss: bool, timeout_s: float
    ) -> Deferred[list[SlotRecovery]]:
        self.nodes.words.append(("recover", tuple(slots), accept_loss))
        return succeed([self.nodes.recoveries[slot] for slot in slots])

    def begin_store(self, founders: Sequence[str]) -> Deferred[None]:
        number = self.nodes.number(self.address)
        self.nodes.words.append(("begin_store", number, tuple(founders)))
        self.nodes.stores.update(self.nodes.then_stores)
        return succeed(None)

    def set_store_aside(self, formation: str) -> Deferred[str]:
        number = self.nodes.number(self.address)
        self.nodes.words.append(("set_store_aside", number, formation))
        return succeed(f"state/{number}/store-aside-{formation}")

    def vacate(self) -> Deferred[None]:
        number = self.nodes.number(self.address)
        self.nodes.vacated.append(number)
        refusal = self.nodes.cannot_vacate
        return fail(NoStore(refusal)) if refusal else succeed(None)

    def can_stop(self) -> Deferred[StoreStanding]:
        number = self.nodes.number(self.address)
        told = self.nodes.standings.get(number, [StoreStanding(True, 4, 0, [])])
        answer = told.pop(0) if len(told) > 1 else told[0]
        if isinstance(answer, Exception):
            return fail(answer)
        return self._answer(dict.fromkeys(self.nodes.statuses, answer))

    def inspect(self, key: str) -> Deferred[KeyMembers]:
        self.nodes.words.append(("inspect", key))
        told = self.nodes.inspected.get(self.nodes.number(self.address), [])
        if told and isinstance(told[0], Exception):
            return fail(told.pop(0))
        return self._answer({n: each.pop(0) for n, each in self.nodes.inspected.items() if each})

    def trace(self, message_id: str) -> Deferred[MessageTrace]:
        found = {
            number: MessageTrace(
                message_id, next((r for r in log if r.id == message_id), None),
                self.nodes.events.get(number, []),
            )
            for number, log in self.nodes.logs.items()
        }  # fmt: skip
        return self._answer(found)

    def history(self) -> Deferred[NodeHistory]:
        return self._answer({n: self.nodes.history(n) for n in self.nodes.tellers})

    def trails(self, limit: int = 0, since: str = "") -> Deferred[list[MessageTrail]]:
        logs = {n: self.nodes.logs.get(n, [])[-limit:] for n in self.nodes.tellers}
        return self._answer({n: [trail_of(each) for each in log] for n, log in logs.items()})

    def lookup(self, key: str, iterative: bool = False) -> Deferred[LookupResult]:
        self.nodes.words.append(("lookup", key, iterative))
        return self._answer(self.nodes.lookups)

    def get(self, key: str, **words: Any) -> Deferred[Entry | None]:
        return self._about("get", key, words)

    def put(self, key: str, value: bytes, **words: Any) -> Deferred[Written]:
        return self._about("put", key, {"value": value, **words})

    def delete(self, key: str, **words: Any) -> Deferred[Written]:
        return self._about("delete", key, words)

    def watch(self, key: str, callback: Callable[[Any], object], *, since: int | None) -> KeyWatch:
        self.nodes.words.append(("watch", key, since))
        watch = KeyWatch(lambda: None, callback, since)
        for each in self.nodes.keys.get(self.nodes.number(self.address), []):
            if isinstance(each, ChordnetError):
                watch.ended(each)
            else:
                watch.received([each])
        return watch

    def held_keys(
        self, limit: int = 0, after: str = "", *, owned: bool = False
    ) -> Deferred[list[HeldKey]]:
        return self._about("held_keys", after, {"limit": limit, "owned": owned})

    def _about(self, call: str, key: str, words: dict[str, Any]) -> Deferred[Any]:
        self.nodes.words.append((call, key, words))
        ends = self.nodes.keys.get(self.nodes.number(self.address), [])
        if ends and isinstance(ends[0], Exception):
            return fail(ends.pop(0))
        return self._answer({n: each.pop(0) for n, each in self.nodes.keys.items() if each})

    def get_ordered(self, limit: int = 0, since: str = "") -> Deferred[list[OrderedEntry]]:
        self.nodes.words.append(("get_ordered", limit, since))
        return self._answer(self.nodes.ordered)

    def follow(
        self, callback: Callable[[Any], object], since: str = "", order: Order = "received"
    ) -> Any:
        self.nodes.words.append(("follow", since, order))
        for each in self.nodes.comes:
            callback(each)
        return SimpleNamespace(finished=fail(ConnectFailed("it has ended")))

    def close(self) -> None:
        self.nodes.open -= 1


@attrs.define
class FakeEngine:
    """Runs nodes by writing down that they run."""

    nodes: FakeNodes
    kind: str = "local"
    alive: set[int] = attrs.field(factory=set)
    dies: set[int] = attrs.field(factory=set)
    calls: list[str] = attrs.field(factory=list)
    broken: str = ""
    breaks_as: type[TestbedError] = TestbedError
    converges: bool = True
    settles: bool = True
    cannot_shape: str = ""
    shaped: list[dict[int, Line]] = attrs.field(factory=list)
    """The lines of each order, whether or not it was done."""
    lines: dict[int, Line] = attrs.field(factory=dict)
    ailments: dict[int, Condition] = attrs.field(factory=dict)
    """What the engine knows to be the matter with nodes, beside those frozen by this engine."""
    apart: frozenset[int] = frozenset()
    """Nodes that answer, and that the others do not let in."""
    examined: int = 0
    """How often it was asked for that."""
    knows: bool = True
    kill_fails: str = ""
    clean_fails: str = ""
    tail_fails: str = ""
    words: list[str] | None = None
    """What each node has written, if it is not the usual."""
    late: set[int] = attrs.field(factory=set)
    """Nodes that have to be killed when they are told to leave."""

    def ring(self) -> None:
        """Let those that reach each other, frozen and failed ones aside, be one right ring."""
        if not self.settles:
            return
        self.nodes.statuses = {}
        off = {n for n, c in self.ailments.items() if c.matter is not Matter.ENDED}
        awake = self.alive - self.nodes.frozen - self.nodes.failed - off - self.apart
        for number in sorted(awake):
            if number not in self.nodes.statuses:
                cut = self.lines[number].cut if number in self.lines else frozenset[int]()
                self.nodes.statuses |= ideal_ring(self.nodes.described, awake - cut)
        for number in self.nodes.failed & self.alive:
            alone = ideal_ring(self.nodes.described, {number})[number]
            self.nodes.statuses[number] = msgspec.structs.replace(alone, state="failed")
        for number in self.apart & self.alive:
            self.nodes.statuses |= ideal_ring(self.nodes.described, {number})

    async def prepare(self, network: NetworkDescription, say: Callable[[str], None]) -> None:
        self.calls.append("prepare")
        if self.broken:
            raise self.breaks_as(self.broken)

    async def start(self, network: NetworkDescription, numbers: Collection[int]) -> None:
        self.calls.append(f"start {sorted(numbers)}")
        self.nodes.described = network
        self.alive |= set(numbers) - self.dies
        if self.converges:
            self.ring()

    async def running(self) -> frozenset[int]:
        return frozenset(self.alive)

    async def conditions(self) -> dict[int, Condition]:
        self.examined += 1
        if not self.knows:
            return {}
        frozen = Condition(Matter.FROZEN, "is frozen (by the test)")
        return self.ailments | dict.fromkeys(self.nodes.frozen & self.alive, frozen)

    async def stop(self, numbers: Collection[int]) -> frozenset[int]:
        self.calls.append(f"stop {sorted(numbers)}")
        self.alive -= set(numbers)
        self.ring()
        return frozenset(self.late & set(numbers))

    async def kill(self, numbers: Collection[int]) -> None:
        self.calls.append(f"kill {sorted(numbers)}")
        if self.kill_fails:
            raise TestbedError(self.kill_fails)
        self.alive -= set(numbers)
        self.ring()

    async def freeze(self, numbers: Collection[int]) -> None:
        self.calls.append(f"freeze {sorted(numbers)}")
        self.nodes.frozen |= set(numbers)
        self.ring()

    async def thaw(self, numbers: Collection[int]) -> None:
        self.calls.append(f"thaw {sorted(numbers)}")
        self.nodes.frozen -= set(numbers)
        self._well_again(numbers)

    async def connect(self, numbers: Collection[int]) -> None:
        self.calls.append(f"connect {sorted(numbers)}")
        self._well_again(numbers)

    def _well_again(self, numbers: Collection[int]) -> None:
        self.ailments = {n: c for n, c in self.ailments.items() if n not in numbers}
        self.ring()

    async def shape(self, lines: Mapping[int, Line]) -> None:
        self.calls.append(f"shape {sorted(lines)}")
        self.shaped.append(dict(lines))
        new = (line for n, line in lines.items() if line != self.lines.get(n))
        if self.cannot_shape and not all(line.sound for line in new):
            raise TestbedError(self.cannot_shape)
        self.lines |= lines
        self.ring()

    async def clean(self, *, purge: bool) -> None:
        self.calls.append(f"clean purge={purge}")
        if self.clean_fails:
            raise TestbedError(self.clean_fails)

    async def tail(self, number: int, lines: int) -> list[str]:
        if self.tail_fails:
            raise TestbedError(self.tail_fails)
        words = [f"last words of {number}"] if self.words is None else self.words
        return words[-lines:] if lines else []

    async def follow(self, number: int, lines: int, write: Callable[[str], None]) -> None:
        write(f"{lines} lines of {number}\x07")


@attrs.define
class FakeIdentities:
    """Makes identities by writing down whose."""

    provided: list[list[int]] = attrs.field(factory=list)
    broken: str = ""
    cut: frozenset[int] = frozenset()
    """The nodes whose certificates are revoked."""

    def revoked(self, numbers: Collection[int]) -> frozenset[int]:
        if self.broken:
            raise TestbedError(self.broken)
        return self.cut.intersection(numbers)

    def provide(self, numbers: Collection[int]) -> None:
        if self.broken:
            raise TestbedError(self.broken)
        self.provided.append(sorted(numbers))


@attrs.define
class World:
    """A testbed whose every part is a fake, on a clock that stands still."""

    root: Path
    described: NetworkDescription = attrs.field(factory=network)
    clock: Clock = attrs.field(factory=Clock)
    said: list[str] = attrs.field(factory=list)
    kinds: list[str] = attrs.field(factory=list)
    """Which engines were made."""
    taken: dict[int, str] = attrs.field(factory=dict)
    """Ports that another program listens on, and which; this machine's own do not matter."""
    identities: FakeIdentities = attrs.field(factory=FakeIdentities)
    nodes: FakeNodes = attrs.field(init=False)
    engine: FakeEngine = attrs.field(init=False)
    testbed: Testbed = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.nodes = FakeNodes(self.described)
        self.engine = FakeEngine(self.nodes)
        self.testbed = Testbed(
            self.clock,
            NetworkHome(self.root, self.described.name),
            self.nodes.connect,
            say=self.said.append,
            engines=Engines(self._make_engine, identities=lambda _: self.identities),
            taken_by=self.taken.get,
        )

    def _make_engine(self, kind: str, *_: object) -> FakeEngine:
        self.kinds.append(kind)
        return self.engine

    def up(self) -> None:
        """Let the network be running and right."""
        self.testbed.home.save(self.described)
        self.engine.alive = set(self.described.numbers)
        self.engine.ring()

    def run(self, network: str, work: Callable[[Testbed], Coroutine[Any, Any, Any]]) -> Any:
        """Do a command's work: this is what :class:`chordnet.cli.base.session.Bench` asks for."""
        assert network == self.described.name
        done = Deferred.fromCoroutine(work(self.testbed))
        ends: list[Any] = []
        done.addBoth(ends.append)
        for _ in range(1000):
            if ends:
                break
            self.clock.advance(0.1)
        (end,) = ends
        if isinstance(end, Failure):
            end.raiseException()
        return end
