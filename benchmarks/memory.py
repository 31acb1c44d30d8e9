"""What readers that do not read cost the others: the memory of real nodes.

``python -m benchmarks.memory`` starts sixteen nodes and sends ten thousand messages of a thousand
bytes at a time: without any reader, while a subscriber reads nothing (and reads all of it
afterwards), while a subscriber never reads, while a member is frozen, and beside a peer that asks
and reads no answer. It takes the resident memory of the node that serves the reader before, its
peak meanwhile, and after. Exit status 1 if the memory rises by more than without a reader and the
limit of one connection's unsent bytes, with some room for handling them, or if a message was lost.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from typing import Any

from attrs import frozen
from twisted.internet.threads import deferToThread

from benchmarks.deaf import DeafPeer, DeafSubscriber
from benchmarks.errors import BenchmarkError
from benchmarks.overlay.network import NAME, Network
from benchmarks.procfs import pss_bytes, reset_peak, resident_bytes
from chordnet.cli.base.failures import Interrupted
from chordnet.cli.base.running import run_in_reactor
from chordnet.client import P2PNetClient
from chordnet.core.base.errors import ChordnetError
from chordnet.survey.waiting import gather, pause

MESSAGES = 10_000
BODY_BYTES = 1000
LINES = 32
"""Messages in flight for each of the sending clients."""
SENDERS = (3, 5, 7, 9)
SERVING = 11
"""The node that serves the reader, and whose neighbour the frozen one may be or not."""
FROZEN = 14
STALL_S = 26.0
"""After so long a subscriber that reads nothing has been cut off."""
ASKING_S = 12.0
ROOM_BYTES = 12 * 1024 * 1024
"""The limit of a connection's unsent bytes (4 MiB) and as much again twice: what is handed over is
held as frames, as one piece, and by the transport."""
REST_S = 12.0
"""What a node remembers of a finished broadcast it forgets after ten seconds."""
MB = 1e6


@frozen
class Case:
    """What one case came to, in bytes."""

    name: str
    before: int
    peak: int
    after: int
    proportional: int
    """After it, shared pages divided by their users."""
    words: str
    right: bool = True

    @property
    def rise(self) -> int:
        """How far it rose meanwhile."""
        return self.peak - self.before


class Measurement:
    """One network, and the cases measured on it.

    Args:
        reactor: Twisted's.
        network: It runs already.
        messages: How many are sent in each case.
        rest: Seconds between two cases, for what is remembered for a while.
    """

    def __init__(self, reactor: Any, network: Network, messages: int, rest: float) -> None:
        self._reactor = reactor
        self._network = network
        self._messages = messages
        self._rest = rest
        self._pids = network.pids()
        self._round = 0
        self._clients = [self._client(number) for number in SENDERS]
        self.cases: list[Case] = []

    def _client(self, number: int) -> P2PNetClient:
        port = self._network.ports[number - 1]
        return P2PNetClient(f"127.0.0.1:{port}", self._reactor, network=NAME)

    async def close(self) -> None:
        """End all connections."""
        for client in self._clients:
            await client.close()

    # ---- the load ---------------------------------------------------------------------------

    async def _load(self) -> float:
        """Send one case's messages, all confirmed; return the seconds that took."""
        self._round += 1
        began = time.perf_counter()
        left = iter(range(self._messages))
        await gather(self._line(client, left) for client in self._clients for _ in range(LINES))
        return time.perf_counter() - began

    async def _line(self, client: P2PNetClient, left: Any) -> None:
        for index in left:
            await client.send_message(f"{self._round}-{index}-".ljust(BODY_BYTES, "x"))

    async def _newest(self) -> str:
        client = self._client(SERVING)
        try:
            found = await client.get_messages(1)
        finally:
            await client.close()
        return found[0].id if found else ""

    # ---- cases ------------------------------------------------------------------------------

    async def nobody(self) -> None:
        """No client reads: what the messages themselves cost."""
        for name in ("first messages, no reader", "no reader"):
            case = await self._begin(name)
            took = await self._load()
            await self._end(case, f"{self._messages} messages confirmed in {took:.1f} s")

    async def later(self) -> None:
        """A subscriber reads nothing until all is sent, then everything."""
        case = await self._begin("subscriber behind by all of them")
        reader = await deferToThread(DeafSubscriber, self._port, await self._newest())
        took = await self._load()
        held, _ = resident_bytes(self._pids[SERVING])
        found = await deferToThread(reader.read)
        reader.close()
        ids = [record.id for record in found]
        mine = sum(record.body.startswith(f"{self._round}-") for record in found)
        right = mine == self._messages == len(set(ids)) == len(ids)
        await self._end(
            case,
            f"sent in {took:.1f} s, RSS while behind {held / MB:.1f} MB, then read {mine} of"
            f" {self._messages}, {len(ids) - len(set(ids))} twice",
            right=right,
        )

    async def never(self) -> None:
        """A subscriber never reads."""
        case = await self._begin("subscriber that never reads")
        reader = await deferToThread(DeafSubscriber, self._port, await self._newest())
        await self._load()
        await pause(self._reactor, STALL_S)
        found = await deferToThread(reader.read)
        reader.close()
        told = f"it is told: {reader.farewell!r}" if reader.farewell else "NOT cut off"
        await self._end(case, f"cut off, {len(found)} messages in its buffers; {told}",
                  right=bool(reader.farewell))  # fmt: skip

    async def frozen(self) -> None:
        """A member of the ring stops where it is; the worst of all others counts."""
        others = {n: pid for n, pid in self._pids.items() if n != FROZEN}
        await pause(self._reactor, self._rest)
        before = {n: resident_bytes(pid)[0] for n, pid in others.items()}
        for pid in others.values():
            reset_peak(pid)
        os.kill(self._pids[FROZEN], signal.SIGSTOP)
        try:
            took = await self._load()
            await pause(self._reactor, self._rest)
            after = {n: resident_bytes(pid) for n, pid in others.items()}
        finally:
            os.kill(self._pids[FROZEN], signal.SIGCONT)
        worst = max(others, key=lambda n: after[n][1] - before[n])
        proportional = pss_bytes(others[worst])
        caught_up = await self._catches_up(FROZEN)
        words = f"worst is Node {worst}; sent in {took:.1f} s; thawed, it caught up: {caught_up}"
        name = f"Node {FROZEN} frozen (SIGSTOP), all others"
        now, peak = after[worst]
        self.cases.append(Case(name, before[worst], peak, now, proportional, words, caught_up))

    async def _catches_up(self, number: int) -> bool:
        client = self._client(number)
        try:
            for _ in range(120):
                status = await client.status()
                if status.messages == self._round * self._messages:
                    return True
                await pause(self._reactor, 0.5)
        except ChordnetError as problem:
            raise BenchmarkError(f"Node {number} does not answer: {problem}") from None
        finally:
            await client.close()
        return False

    async def deaf_peer(self) -> None:
        """A peer asks as fast as it is listened to and reads no answer."""
        case = await self._begin("peer that asks and never reads")
        bits = 160
        peer = await deferToThread(DeafPeer, self._port, NAME, bits)
        until = time.perf_counter() + ASKING_S
        while time.perf_counter() < until and not peer.cut:
            peer.ask(200)
            await pause(self._reactor, 0.005)
        peer.close()
        await self._end(
            case, f"{peer.asked} questions, {'cut off' if peer.cut else 'still connected'}"
        )

    # ---- figures ----------------------------------------------------------------------------

    @property
    def _port(self) -> int:
        return self._network.ports[SERVING - 1]

    async def _begin(self, name: str) -> tuple[str, int]:
        await pause(self._reactor, self._rest)
        pid = self._pids[SERVING]
        before, _ = resident_bytes(pid)
        reset_peak(pid)
        return name, before

    async def _end(self, case: tuple[str, int], words: str, *, right: bool = True) -> None:
        name, before = case
        pid = self._pids[SERVING]
        _, peak = resident_bytes(pid)
        await pause(self._reactor, self._rest)
        after, _ = resident_bytes(pid)
        self.cases.append(Case(name, before, peak, after, pss_bytes(pid), words, right))


def verdict(cases: list[Case]) -> list[str]:
    """Return what is wrong, a line each."""
    most = cases[1].rise + ROOM_BYTES
    return [
        f"{case.name}: {f'it rose by {case.rise / MB:.1f} MB' if case.right else case.words}"
        for case in cases[1:]
        if not case.right or case.rise > most
    ]


def table(cases: list[Case]) -> list[str]:
    """Return the figures as lines."""
    head = " ".join(f"{word:>7}" for word in ("before", "peak", "rise", "after", "PSS"))
    lines = [f"{'resident memory of the serving node, MB':40} {head}"]
    for case in cases:
        figures = (case.before, case.peak, case.rise, case.after, case.proportional)
        cells = " ".join(f"{figure / MB:7.1f}" for figure in figures)
        lines += [f"{case.name:40} {cells}", f"    {case.words}"]
    return lines


async def measure(reactor: Any, network: Network, messages: int, rest: float) -> list[Case]:
    """Measure all cases one after the other."""
    measurement = Measurement(reactor, network, messages, rest)
    try:
        for case in (
            measurement.nobody, measurement.later, measurement.never, measurement.frozen,
            measurement.deaf_peer,
        ):  # fmt: skip
            await case()
            print(".", end="", flush=True)
    finally:
        await measurement.close()
    print()
    return measurement.cases


def main(arguments: list[str]) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--messages", type=int, default=MESSAGES, help="in each case")
    parser.add_argument("--rest", type=float, default=REST_S, help="seconds between two cases")
    parser.add_argument("--base-port", type=int, default=9600)
    options = parser.parse_args(arguments)
    network = Network(options.base_port)
    try:
        network.start()
        cases = run_in_reactor(
            lambda reactor: measure(reactor, network, options.messages, options.rest)
        )
    except BenchmarkError as problem:
        print(problem, file=sys.stderr)
        return 1
    except Interrupted:
        return 130
    finally:
        network.close()
    wrong = verdict(cases)
    print(*table(cases), *wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
