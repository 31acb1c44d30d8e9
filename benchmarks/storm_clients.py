"""Programs that read and write keys, one operation after the other, each through another node."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from random import Random
from typing import Any

from attrs import evolve, frozen
from twisted.internet.defer import Deferred

from chordnet.client import P2PNetClient
from chordnet.client.recording import ClientHistory
from chordnet.core.base.errors import ChordnetError, Conflict, Unconfirmed, Untold
from chordnet.core.base.outcomes import Entry
from chordnet.survey.waiting import gather, pause
from chordnet.wire.rpc import Written

PROGRAMS = 16
KEYS = tuple(f"key {number}" for number in range(1, 21))
PATIENCE_S = 5.0
"""How long a node may take for an operation."""
AGAIN = 0.5
"""How often an unconfirmed write is asked for again."""
TURN_S = 0.1
"""Pause before it is."""
SHARES = {"get": 45, "put": 30, "change": 15, "delete": 10}
"""How often each is drawn. A change is a put at the version that the program has seen last."""

Connect = Callable[[str, ClientHistory], P2PNetClient]


@frozen
class Asked:
    """One operation.

    Attributes:
        value: What is put; None for any other action.
        if_version: Only at this version.
        request: Names a write that is asked for again.
        since: The version since which it may have been done.
    """

    action: str
    key: str
    value: bytes | None = None
    if_version: int | None = None
    request: bytes | None = None
    since: int | None = None

    def of(self, client: P2PNetClient) -> Deferred[Any]:
        """Ask a node."""
        if self.action == "get":
            return client.get(self.key, timeout_s=PATIENCE_S)
        more: dict[str, Any] = {"request": self.request, "since": self.since}
        if self.value is None:
            return client.delete(self.key, timeout_s=PATIENCE_S, **more)
        return client.put(
            self.key, self.value, if_version=self.if_version, timeout_s=PATIENCE_S, **more
        )


class Told:
    """What programs were told.

    Attributes:
        ended: How often each answer came.
        certain: How long it took, where it was a receipt, an entry or a conflict.
        longest: The longest wait: seconds, action, answer.
    """

    def __init__(self) -> None:
        self.ended: Counter[str] = Counter()
        self.certain: list[float] = []
        self.longest = (0.0, "", "")

    def note(self, asked: Asked, answer: object, seconds: float) -> None:
        """Count an answer."""
        words = words_of(answer)
        if asked.since is not None:
            words += " (asked again)"
        self.ended[words] += 1
        self.longest = max(self.longest, (seconds, asked.action, words))
        if not isinstance(answer, ChordnetError) or isinstance(answer, Conflict):
            self.certain.append(seconds)

    def summary(self) -> str:
        """Return how often each answer came, in one line."""
        answers = ", ".join(f"{count} {words}" for words, count in self.ended.most_common())
        return f"{self.ended.total()} answers: {answers}"


def words_of(answer: object) -> str:
    """Return what an answer is counted as."""
    if isinstance(answer, Written):
        return "done"
    if isinstance(answer, Entry):
        return "value"
    return "absent" if answer is None else type(answer).__name__


class Program:
    """One program: it does one thing at a time, and keeps its history.

    Args:
        reactor: ``IReactorTime``.
        connect: Makes a client for an address that records into a history.
        write: Takes one line of the history.
        name: Different from all others of the history.
        told: Where its answers are counted.
    """

    def __init__(
        self, reactor: Any, connect: Connect, write: Callable[[bytes], object], name: str,
        told: Told,
    ) -> None:  # fmt: skip
        self._name = name
        self._reactor = reactor
        self._connect = connect
        self._history = ClientHistory(name, write)
        self._told = told
        self._clients: dict[str, P2PNetClient] = {}
        self._seen: dict[str, int] = {}
        self._count = 0

    async def operate(self, rng: Random, choose: Callable[[], str]) -> None:
        """Ask for something, and in half of the cases again as long as its end is not known."""
        self._count += 1
        asked = self._draw(rng)
        answer = await self.ask(choose(), asked)
        while isinstance(answer, Unconfirmed) or (
            asked.since is not None and isinstance(answer, ChordnetError) and not _final(answer)
        ):
            if rng.random() >= AGAIN:
                return
            if isinstance(answer, Unconfirmed):
                asked = evolve(asked, request=answer.request, since=answer.since)
            await pause(self._reactor, TURN_S)
            answer = await self.ask(choose(), asked)

    def _draw(self, rng: Random) -> Asked:
        action = rng.choices(list(SHARES), list(SHARES.values()))[0]
        key, value = rng.choice(KEYS), f"{self._name}, {self._count}".encode()
        if action == "put":
            return Asked("put", key, value)
        if action == "change":
            return Asked("change", key, value, if_version=self._seen.get(key, 0))
        return Asked(action, key)

    async def ask(self, address: str, asked: Asked) -> object:
        """Ask one node; return the answer, which may be an error."""
        client = self._clients.get(address)
        if client is None:
            client = self._clients[address] = self._connect(address, self._history)
        began = self._reactor.seconds()
        answer: object
        try:
            answer = await asked.of(client)
        except ChordnetError as problem:
            answer = problem
        self._told.note(asked, answer, self._reactor.seconds() - began)
        self._learn(asked, answer)
        return answer

    def _learn(self, asked: Asked, answer: object) -> None:
        present = answer.present if isinstance(answer, Conflict) else answer
        if isinstance(present, Entry):
            self._seen[asked.key] = present.version
        elif present is None:
            self._seen[asked.key] = 0
        elif isinstance(present, Written):
            self._seen[asked.key] = 0 if asked.action == "delete" else present.version

    async def close(self) -> None:
        """End its connections and its history."""
        self._history.close()
        for client in self._clients.values():
            await client.close()


def _final(answer: ChordnetError) -> bool:
    """Return whether asking once more for a write says nothing new."""
    return isinstance(answer, Conflict | Untold)


class Programs:
    """All of them.

    Args:
        reactor: ``IReactorTime``.
        make: Makes a program with a name, that counts its answers.
        choose: Returns the address of a node to ask.
        rng: What is asked for, and the pauses.
        pause_s: Between two operations of a program, on average.

    Attributes:
        told: What they were told.
    """

    def __init__(
        self, reactor: Any, make: Callable[[str, Told], Program], choose: Callable[[], str],
        rng: Random, pause_s: float,
    ) -> None:  # fmt: skip
        self._reactor = reactor
        self._make = make
        self._choose = choose
        self._rng = rng
        self._pause_s = pause_s
        self._over = False
        self._looks = 0
        self.told = Told()

    async def run(self) -> None:
        """Ask until `stop`, and until the last answer is there."""
        await gather(self._run(f"program {number}") for number in range(1, PROGRAMS + 1))

    def stop(self) -> None:
        """Ask for nothing new."""
        self._over = True

    async def _run(self, name: str) -> None:
        program = self._make(name, self.told)
        try:
            while not self._over:
                await program.operate(self._rng, self._choose)
                await pause(self._reactor, 2 * self._pause_s * self._rng.random())
        finally:
            await program.close()

    async def unreadable(self, addresses: Collection[str]) -> dict[str, str]:
        """Read all keys through each node; return where that failed, and what failed first."""
        self._looks += 1
        looked = await gather(self._look(address) for address in addresses)
        return {address: text for address, text in zip(addresses, looked, strict=True) if text}

    async def _look(self, address: str) -> str:
        program = self._make(f"look {self._looks} through {address}", Told())
        try:
            for key in KEYS:
                answer = await program.ask(address, Asked("get", key))
                if isinstance(answer, ChordnetError):
                    return f"{key}: {answer}"
            return ""
        finally:
            await program.close()


def connector(reactor: Any, network: str) -> Connect:
    """Return what makes a client that records what it is told."""
    return lambda address, history: P2PNetClient(
        address, reactor, network=network, timeout_s=PATIENCE_S, history=history
    )
