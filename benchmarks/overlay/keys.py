"""The measuring process for keys: `P2PNetClient` puts and gets, questions from a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.connection import Connection
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from benchmarks.effort import PAYLOAD_BYTES
from benchmarks.errors import BenchmarkError
from benchmarks.overlay.client import in_flight, serve_verbs
from chordnet.client import P2PNetClient
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.errors import ChordnetError
from chordnet.core.store.base.founding import Slots

VALUE = b"v" * PAYLOAD_BYTES
BITS = ProtocolConfig().bits
Call = Callable[[str], Deferred[None]]


def run(pipe: Connection, ports: Sequence[int]) -> None:
    """Serve as the measuring process until asked to end."""
    serve_verbs(pipe, lambda reactor: KeyVerbs(reactor, ports))


class KeyVerbs:
    """What the measuring process can be asked to do.

    Args:
        reactor: Where it waits.
        ports: The nodes' ports, in the order of their numbers.
    """

    def __init__(self, reactor: IReactorTime, ports: Sequence[int]) -> None:
        self._reactor = reactor
        self._clients = [P2PNetClient(f"127.0.0.1:{port}") for port in ports]

    async def close(self) -> None:
        """End the connections."""
        for client in self._clients:
            await client.close()

    async def keys(
        self, node: int, verb: str, keys: Sequence[str], window: int
    ) -> list[float] | float:
        """Write or read keys through a node, `window` at a time.

        Returns:
            The seconds of each if that is one at a time, and otherwise how many there were a
            second.
        """
        client = self._clients[node % len(self._clients)]
        call = _putter(client) if verb == "put" else _getter(client)
        begin = time.perf_counter()
        if window == 1:
            return await _one_by_one(call, keys)
        await in_flight(call, keys, window)
        return len(keys) / (time.perf_counter() - begin)

    async def steady(
        self, nodes: Sequence[int], keys: Sequence[str], seconds: float, writers: int, readers: int
    ) -> list[tuple[str, float, float, str]]:
        """Write and read keys all the time, each program one at a time, through another node each.

        Returns:
            For each operation what it was, when it began (`time.monotonic`), the seconds that it
            took, and why it failed; empty if it did not.
        """
        done: list[tuple[str, float, float, str]] = []
        end = time.monotonic() + seconds

        async def program(verb: str, number: int) -> None:
            choice = Random(number)
            while (begin := time.monotonic()) < end:
                client = self._clients[choice.choice(nodes)]
                call = _putter(client) if verb == "put" else _getter(client)
                try:
                    await call(choice.choice(keys))
                    problem = ""
                except (ChordnetError, BenchmarkError) as error:
                    problem = f"{type(error).__name__}: {error}"
                done.append((verb, begin, time.monotonic() - begin, problem))

        programs = [program("put", number) for number in range(writers)]
        programs += [program("get", writers + number) for number in range(readers)]
        await gatherResults([Deferred.fromCoroutine(each) for each in programs])
        return done

    async def paced(
        self, nodes: Sequence[int], keys: Sequence[str], seconds: float, rate: float, puts: float
    ) -> list[tuple[str, float, float, str]]:
        """Begin so many operations a second, whether or not those before have an answer.

        Args:
            nodes: Each operation goes through one of them, drawn at random.
            keys: Each is on one of them.
            seconds: How long.
            rate: Operations a second.
            puts: The share of them that write.

        Returns:
            The same as `steady`, of those that had an answer; the last ones are waited for.
        """
        done: list[tuple[str, float, float, str]] = []
        choice, begun, began = Random(1), 0, time.monotonic()
        waiting: list[Deferred[None]] = []
        while (now := time.monotonic()) < began + seconds:
            while begun < (now - began) * rate:
                begun += 1
                verb = "put" if choice.random() < puts else "get"
                client = self._clients[choice.choice(nodes)]
                call = _putter(client) if verb == "put" else _getter(client)
                waiting.append(_noted(call, choice.choice(keys), verb, done))
            waiting = [each for each in waiting if not each.called]
            await deferLater(self._reactor, 0.001)
        await gatherResults(waiting)
        return done

    async def kept_by(self, node: int, keys: Sequence[str]) -> list[str]:
        """Return those of the keys whose slots a node holds."""
        state = await self._clients[node].store_state()
        held = {
            slot.slot
            for slot in state.slots
            if any(member.store == state.store for member in slot.members)
        }
        slots = Slots(BITS, state.slot_count)
        return [key for key in keys if slots.of(key.encode()) in held]

    async def whole(self, nodes: Sequence[int], replicas: int = 3) -> bool:
        """Return True if every slot is held by so many of these nodes, all of them up to date."""
        states = [await self._clients[node].store_state() for node in nodes]
        here = [{slot.slot: slot for slot in state.slots} for state in states]
        by_disk = {state.store: slots for state, slots in zip(states, here, strict=True)}
        for slot in range(states[0].slot_count):
            newest = max((slots[slot] for slots in here), key=lambda each: each.epoch)
            holders = [each.store for each in newest.members if each.store in by_disk]
            if len(holders) < replicas:
                return False
            if any(by_disk[disk][slot].installed != newest.epoch for disk in holders):
                return False
        return True

    async def held(self, nodes: Sequence[int]) -> list[int]:
        """Return how many slots each of these nodes holds."""
        return [(await self._clients[node].store_state()).seats for node in nodes]

    async def counted(self, nodes: Sequence[int], prefix: str) -> int:
        """Return the sum of the nodes' counters whose names begin so."""
        found = [(await self._clients[node].status()).counters for node in nodes]
        return sum(n for each in found for name, n in each.items() if name.startswith(prefix))

    async def broadcasts(self, node: int, count: int, window: int) -> tuple[list[float], float]:
        """Broadcast one at a time, and then `window` at a time.

        Returns:
            The seconds until each receipt, and the receipts a second.
        """
        client = self._clients[node]
        single = await _one_by_one(_sender(client), [f"s{index}" for index in range(count)])
        begin = time.perf_counter()
        await in_flight(_sender(client), [f"m{index}" for index in range(count * 10)], window)
        return single, count * 10 / (time.perf_counter() - begin)


def _sender(client: P2PNetClient) -> Call:
    return lambda text: client.send_message(text.ljust(PAYLOAD_BYTES, "x")).addCallback(_ignored)


async def _one_by_one(call: Call, keys: Iterable[str]) -> list[float]:
    took = []
    for key in keys:
        begin = time.perf_counter()
        await call(key)
        took.append(time.perf_counter() - begin)
    return took


def _noted(
    call: Call, key: str, verb: str, done: list[tuple[str, float, float, str]]
) -> Deferred[None]:
    """Begin an operation, and note how it ends."""
    begin = time.monotonic()

    def over(problem: object) -> None:
        text = f"{type(problem).__name__}: {problem}" if problem is not None else ""
        done.append((verb, begin, time.monotonic() - begin, text))

    return call(key).addErrback(lambda failure: failure.value).addCallback(over)


def _putter(client: P2PNetClient) -> Call:
    return lambda key: client.put(key, VALUE).addCallback(_ignored)


def _getter(client: P2PNetClient) -> Call:
    return lambda key: client.get(key).addCallback(_found)


def _ignored(_answer: Any) -> None:
    pass


def _found(entry: Any) -> None:
    if entry is None or entry.value != VALUE:
        raise BenchmarkError("a key does not have the value that was written")
