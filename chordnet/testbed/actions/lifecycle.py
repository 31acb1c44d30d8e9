"""Start and stop a whole network.

A start either ends with every node in one correct ring or leaves nothing behind: if anything goes
wrong, or the start is interrupted, the nodes that it started are stopped again. If some nodes of
the network run already, the missing ones are added and nothing else changes.
"""

from __future__ import annotations

import enum
from collections.abc import Collection
from pathlib import Path

import attrs

from chordnet.home import is_utf8
from chordnet.survey.description import (
    HOST,
    MAX_NODES,
    MAX_PORT,
    NetworkDescription,
    ranges,
    usable_host,
)
from chordnet.survey.errors import ImpossibleNetwork, TestbedError, UnreadableNetwork
from chordnet.survey.findings import LeftForGood
from chordnet.survey.observer import NoAnswer, Observer, Snapshot
from chordnet.survey.waiting import first_of, pause
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.convergence import wait_converged
from chordnet.testbed.actions.store import Settle, wait_for_store
from chordnet.testbed.base.descriptors import provide_descriptors
from chordnet.testbed.base.engine import Engine
from chordnet.testbed.base.faults import forget_faults
from chordnet.testbed.base.lock import locked
from chordnet.testbed.engines.choice import Choice
from chordnet.testbed.engines.code import code_digest

DEFAULT_NODES = 16
DEFAULT_BASE_PORT = 7001
WATCH_PAUSE_S = 0.2
BEGIN_PAUSE_S = 0.05
TAIL_LINES = 10


@attrs.frozen(kw_only=True)
class Wish:
    """What the user wants of a network; ``None`` for what was not given."""

    nodes: int | None = None
    base_port: int | None = None
    engine: str = "auto"
    record: Path | None = None
    """The directory in which the nodes are to record their events."""
    secured: bool | None = None
    """Whether nodes and clients are to prove who they are."""
    advertise: str | None = None
    """By which name or address other hosts are to reach the nodes."""


@attrs.frozen(kw_only=True)
class Started:
    """The outcome of a start."""

    network: NetworkDescription
    started: tuple[int, ...]
    """Nodes that did not run before."""
    members: int
    """Nodes in the ring."""
    seconds: float
    """From the moment the first node was told to start to one correct ring."""


@attrs.frozen(kw_only=True)
class Stopped:
    """The outcome of a stop."""

    stopped: tuple[int, ...]
    killed: tuple[int, ...]
    """Those among them that took too long to leave in order."""
    existed: bool
    """Whether anything of the network existed here, running or not."""


async def start_network(
    testbed: Testbed, wish: Wish, timeout: float, settle: Settle = Settle.IN_STEP
) -> Started:
    """Start all nodes that are not running, and wait for one correct ring.

    :param timeout: seconds for the nodes to become a ring, and to wait for another command.
    :param settle: what is waited for of the store.
    :raises TestbedError: it could not be done; what was started is stopped again.
    """
    async with locked(testbed.reactor, testbed.home.lock_path, timeout):
        old = testbed.home.load()
        running = await testbed.engine(old.engine).running() if old else frozenset()
        if old is not None and running:
            _refuse_other(old, wish)
            # A ring with a frozen node cannot form, so do not wait for one.
            conditions = await testbed.conditions(old, running)
            for number in sorted(running & conditions.keys()):
                raise TestbedError(conditions[number].line(number, testbed.command))
            network = attrs.evolve(old, removed=frozenset(), stopped=False)
        else:
            network = await _new_network(testbed, wish, old)
            forget_faults(testbed.home)
        missing = set(network.numbers) - running
        check_ports(testbed, network, missing, fixed=bool(running))
        _make_record_directory(network)
        if missing:
            await testbed.engine(network.engine).prepare(network, testbed.say)
        return await bring_up(testbed, network, missing, timeout, settle)


async def _new_network(
    testbed: Testbed, wish: Wish, old: NetworkDescription | None
) -> NetworkDescription:
    # A network that was not stopped has lost its nodes to a crash: it goes on as it was.
    lost = old if old is not None and not old.stopped else None
    if lost is not None and wish.engine == "auto":
        wish = attrs.evolve(wish, engine=lost.engine)
    kept = lost.advertise if lost is not None else None
    network = NetworkDescription(
        name=testbed.home.name,
        engine=wish.engine,
        size=wish.nodes or (lost.size if lost is not None else DEFAULT_NODES),
        base_port=wish.base_port or (lost.base_port if lost is not None else DEFAULT_BASE_PORT),
        record=_record(wish) or (lost.record if lost is not None else None),
        advertise=kept if wish.advertise is None else wish.advertise,
    )
    check_size(network)
    _check_wish(network, wish)
    only_local = "which can record" if network.record is not None else ""
    only_local = "which other hosts can reach" if network.advertise is not None else only_local
    if network.engine == "auto" and only_local:
        choice = Choice("local", only_local)
    else:
        choice = await testbed.engines.choose(testbed.reactor, network.engine)
    if wish.engine == "auto":
        testbed.say(f"engine: {choice.kind} ({choice.why})")
    secured = network.advertise is not None or _secured(wish, old, choice.kind)
    network = attrs.evolve(network, engine=choice.kind, code=code_digest(), secured=secured)
    if old is not None and (old.size, old.base_port) != (network.size, network.base_port):
        testbed.say(
            f"last time it had {old.size} nodes from port {old.base_port}; "
            f"now {network.size} from port {network.base_port}"
        )
    return network


def _check_wish(network: NetworkDescription, wish: Wish) -> None:
    """Make sure that what is wished goes together.

    :raises ImpossibleNetwork: it does not; the text says what to do.
    """
    if network.record is not None and network.engine == "docker":
        raise ImpossibleNetwork(
            "nodes in containers cannot record to a directory here; use --engine local"
        )
    if network.advertise is None:
        return
    if not usable_host(network.advertise):
        raise ImpossibleNetwork(
            f"other hosts cannot reach {network.advertise[:80]!r}: name this machine, or its"
            " address in their network, without a port"
        )
    if network.engine == "docker":
        raise ImpossibleNetwork(
            "other hosts do not reach nodes in containers here; use --engine local"
        )
    if wish.secured is False:
        raise ImpossibleNetwork("a network that other hosts reach has to be secured")


def _secured(wish: Wish, old: NetworkDescription | None, kind: str) -> bool:
    """Return whether a network is to be secured.

    What once was is not opened unasked, and what has lost its nodes goes on as it was. Otherwise
    containers are secured: they listen on more than the loopback interface.
    """
    if wish.secured is not None:
        return wish.secured
    if old is not None and (old.secured or not old.stopped):
        return old.secured
    return kind == "docker"


def _record(wish: Wish) -> str | None:
    """Return the directory for recordings in full: nodes have another current directory."""
    return None if wish.record is None else str(wish.record.absolute())


def _make_record_directory(network: NetworkDescription) -> None:
    """Make the directory, readable by this user alone: it will hold every message."""
    if network.record is None:
        return
    if not is_utf8(Path(network.record)):
        raise TestbedError(f"cannot record to {network.record!r}: the name is not UTF-8")
    try:
        Path(network.record).mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise TestbedError(f"cannot make {network.record}: {problem.strerror}") from None


def _refuse_other(old: NetworkDescription, wish: Wish) -> None:
    differences = [
        (wish.nodes not in (None, old.size), f"{old.size} nodes"),
        (wish.base_port not in (None, old.base_port), f"base port {old.base_port}"),
        (wish.engine not in ("auto", old.engine), f"the {old.engine} engine"),
        (
            _record(wish) not in (None, old.record),
            "no recording" if old.record is None else f"recordings in {old.record}",
        ),
        (
            wish.secured not in (None, old.secured),
            "identities" if old.secured else "no identities",
        ),
        (
            wish.advertise not in (None, old.advertise),
            f"nodes that other hosts reach at {old.advertise}"
            if old.advertise
            else "nodes that no other host reaches",
        ),
    ]
    found = [text for differs, text in differences if differs]
    if found:
        resize = ", or change its size with add-node and remove-node"
        raise TestbedError(
            f"network '{old.name}' is running with {' and '.join(found)}; "
            f"stop it first{resize if found == [f'{old.size} nodes'] else ''}"
        )


def check_ports(
    testbed: Testbed, network: NetworkDescription, numbers: Collection[int], *, fixed: bool = False
) -> None:
    """Make sure that those nodes can listen.

    :param fixed: True if the network runs, so that its ports cannot be chosen any more.
    :raises TestbedError: a port is taken; the text names the port, its node and the program.
    """
    for number in sorted(numbers):
        port = network.port(number)
        holder = testbed.taken_by(port)
        if holder is not None:
            raise TestbedError(
                f"Node {number} cannot have port {port} on {HOST}: it is taken by "
                f"{holder}; stop that, or {_OTHER_PORTS[fixed]}"
            )


_OTHER_PORTS = {
    False: "choose other ports with --base-port",
    True: "stop the network and start it on other ports",
}


async def bring_up(
    testbed: Testbed,
    network: NetworkDescription,
    missing: Collection[int],
    timeout: float,
    settle: Settle = Settle.IN_STEP,
) -> Started:
    """Start the ``missing`` nodes and wait until all running nodes are one correct ring.

    The caller holds the network's lock.

    :param settle: what is waited for of the store, as long as there is time.

    :raises TestbedError: it could not be done; the missing nodes are stopped again.
    """
    provide_descriptors(network.size)
    engine = testbed.engine(network.engine)
    before = testbed.home.load()
    others = await engine.running() - set(missing)
    if missing and others:
        _tell_of_new_code(testbed, network, missing)
    began = testbed.reactor.seconds()
    testbed.home.save(network)
    try:
        if missing:
            if network.secured:
                testbed.provide_identities(missing)
            await engine.start(network, missing)
        well = others - await _unwell(testbed, network, others)
        expected = set(missing) | well - await _failed(testbed, network, well)
        alone = not others and len(missing) == 1
        snapshot = await first_of(
            _ring(testbed, network, expected, timeout, alone=alone, settle=settle),
            _deaths(testbed, engine, expected),
        )
    except BaseException:
        testbed.say("stopping what was started")
        await _undo(testbed, engine, missing, others)
        # Keep a new network's description, so that its logs can be read and its data purged.
        testbed.home.save(before or attrs.evolve(network, stopped=True))
        raise
    return Started(
        network=network,
        started=tuple(sorted(missing)),
        members=len(snapshot.statuses) + len(snapshot.visitors),
        seconds=testbed.reactor.seconds() - began,
    )


async def _undo(
    testbed: Testbed, engine: Engine, missing: Collection[int], others: Collection[int]
) -> None:
    """Stop what a failed start has started; trouble with that must not hide why it failed."""
    try:
        await engine.kill(missing)
    except TestbedError as problem:
        testbed.say(f"not all of it could be stopped: {problem}")
    if others:
        return
    try:
        await engine.clean(purge=False)
    except TestbedError as problem:
        testbed.say(f"{problem}; later: {testbed.command('stop-network')}")


def _tell_of_new_code(
    testbed: Testbed, network: NetworkDescription, numbers: Collection[int]
) -> None:
    if network.code and network.code != code_digest():
        who = f"Node {ranges(numbers)}" if len(numbers) == 1 else f"nodes {ranges(numbers)}"
        testbed.say(
            f"{who} will run other code than the nodes that run already: chordnet has changed "
            f"since the network was started (all anew: stop-network, then start-network)"
        )


async def _unwell(
    testbed: Testbed, network: NetworkDescription, numbers: Collection[int]
) -> frozenset[int]:
    """Return the running nodes that cannot be part of a ring now, and say why."""
    if not numbers:
        return frozenset()
    conditions = await testbed.conditions(network, numbers)
    unwell = frozenset(numbers) & conditions.keys()
    for number in sorted(unwell):
        testbed.say(conditions[number].line(number, testbed.command))
    return unwell


async def _failed(
    testbed: Testbed, network: NetworkDescription, numbers: Collection[int]
) -> frozenset[int]:
    """Return the running nodes that have left their ring for good, and say so."""
    observer = testbed.observer(network)
    try:
        snapshot = await observer.statuses(numbers)
    finally:
        observer.close()
    for number in sorted(snapshot.failed):
        reason = snapshot.statuses[number].reason
        testbed.say(LeftForGood(number, reason, network.name).words())
    return snapshot.failed


async def _ring(
    testbed: Testbed,
    network: NetworkDescription,
    expected: Collection[int],
    timeout: float,
    *,
    alone: bool,
    settle: Settle,
) -> Snapshot:
    observer = testbed.observer(network)
    began = testbed.reactor.seconds()
    try:
        if alone:
            await _begin(testbed, observer, network.address(min(expected)), timeout)
        snapshot = await wait_converged(
            testbed.reactor,
            network,
            observer,
            expected,
            timeout=timeout,
            since=began,
            watch=testbed.watch,
        )
        until = began + timeout
        await wait_for_store(testbed, network, observer, expected, snapshot, until, settle)
        return snapshot
    finally:
        observer.close()


async def _begin(testbed: Testbed, observer: Observer, address: str, timeout: float) -> None:
    """Tell a node to create a ring: it has bootstrap peers, and none of them runs."""
    deadline = testbed.reactor.seconds() + timeout
    while testbed.reactor.seconds() < deadline:
        answer = await observer.ask(
            address, lambda client: client.begin().addCallback(lambda _: True)
        )
        if not isinstance(answer, NoAnswer):
            return
        await pause(testbed.reactor, BEGIN_PAUSE_S)


async def _deaths(testbed: Testbed, engine: Engine, expected: Collection[int]) -> Snapshot:
    """Wait until a node ends; raise an error about it."""
    while True:
        for number in sorted(set(expected) - await engine.running()):
            raise await _last_words(engine, number)
        await pause(testbed.reactor, WATCH_PAUSE_S)


async def _last_words(engine: Engine, number: int) -> TestbedError:
    """Return the error for a node that has ended while it was starting."""
    lines: tuple[str, ...] = ()
    cause = ""
    try:
        condition = (await engine.conditions()).get(number)
        cause = f": it {condition.text}" if condition is not None else ""
        lines = tuple(await engine.tail(number, TAIL_LINES))
    except TestbedError as problem:
        lines = (f"(its log cannot be read: {problem})",)
    last = "its last words:" if lines else "it has left no word"
    return TestbedError(f"Node {number} ended while it was starting{cause}; {last}", lines)


class Left(enum.Enum):
    """Whose containers and volumes Docker has of a network."""

    NOTHING = "nothing"
    """None, or another home's."""
    OURS = "ours"
    NOBODYS = "nobody's"


async def stop_network(testbed: Testbed, *, purge: bool, timeout: float) -> Stopped:
    """Stop every node and leave nothing running; with ``purge`` remove all data too.

    :param timeout: seconds to wait for another command that is changing the network.
    :raises TestbedError: something could not be stopped or removed; the text says what.
    """
    in_docker = await _left_in_docker(testbed)
    if not testbed.home.directory.exists() and in_docker is Left.NOTHING:
        return Stopped(stopped=(), killed=(), existed=False)
    async with locked(testbed.reactor, testbed.home.lock_path, timeout):
        stopped: frozenset[int] = frozenset()
        late: frozenset[int] = frozenset()
        network: NetworkDescription | None = None
        unreadable = ""
        try:
            network = testbed.home.load()
        except UnreadableNetwork as problem:
            unreadable = problem.why
        kinds = _engines(testbed) if network is None else [network.engine]
        # What belongs to no home is left alone while this home has a network of the name elsewhere.
        if in_docker is Left.OURS or (in_docker is Left.NOBODYS and network is None):
            kinds = sorted({*kinds, "docker"}, reverse=True)
        for kind in kinds:
            engine = testbed.engine(kind)
            running = await engine.running()
            late |= await engine.stop(running)
            await engine.clean(purge=purge)
            stopped |= running
        if network is not None:
            testbed.home.save(attrs.evolve(network, stopped=True))
        elif unreadable and not purge:
            testbed.say(f"{unreadable}; it is now {testbed.home.set_aside().name}")
        forget_faults(testbed.home)
        # A start that was refused leaves its lock file, which does not count as data.
        home = testbed.home
        existed = any(path != home.lock_path for path in home.directory.iterdir())
        existed |= bool(stopped) or in_docker is not Left.NOTHING
        if purge:
            testbed.home.purge()
        return Stopped(stopped=tuple(sorted(stopped)), killed=tuple(sorted(late)), existed=existed)


async def _left_in_docker(testbed: Testbed) -> Left:
    found = await testbed.look(testbed.reactor, testbed.home)
    if found is None or not (found.containers or found.volumes or found.networks):
        return Left.NOTHING
    if not found.home:
        return Left.NOBODYS
    if found.home == str(testbed.home.root.resolve()):
        return Left.OURS
    testbed.say(testbed.elsewhere)
    return Left.NOTHING


def _engines(testbed: Testbed) -> list[str]:
    """Return the engines that may run nodes of a network without a description."""
    return ["local", "docker"] if testbed.home.compose_path.exists() else ["local"]


def check_size(network: NetworkDescription) -> None:
    """Make sure that a network of this size and with these ports is possible.

    :raises ImpossibleNetwork: it is too large.
    """
    if network.size > MAX_NODES:
        raise ImpossibleNetwork(f"a network here has at most {MAX_NODES} nodes")
    last = network.port(network.size)
    if last > MAX_PORT:
        raise ImpossibleNetwork(
            f"{network.size} nodes from port {network.base_port} would need port {last}, "
            f"and {MAX_PORT} is the last"
        )
