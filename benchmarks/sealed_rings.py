"""``python -m benchmarks.sealed_rings``: receipts of a plain ring, a secured one, and a sealed one.

Three rings of sixteen processes on this machine: without certificates, with them and seals only
where they are asked for, and with a seal for every message. They are measured in turn, round after
round, and what counts is the median of the rounds' ratios.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from twisted.internet import reactor as process_reactor
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.task import deferLater, react

from benchmarks.effort import NODES
from benchmarks.stats import median
from chordnet import P2PNetClient
from chordnet.trust.authority import Authority
from chordnet.trust.base.subjects import Role

PLAIN, ASKED, ALWAYS = "plain", "secured", "sealed"
RINGS = (PLAIN, ASKED, ALWAYS)
WINDOWS = (64, 256)
"""Messages in flight."""
PATIENCE_S = 60.0


@contextmanager
def ring(kind: str, base_port: int, folder: Path) -> Iterator[P2PNetClient]:
    """Run sixteen nodes; yield a client of one of them."""
    authority = None if kind == PLAIN else Authority.create("benchmark", time.time())
    nodes = []
    try:
        for number in range(NODES):
            own = folder / f"{kind}-{number}"
            words = [str(Path(sys.executable).with_name("twistd")), "--nodaemon", "--pidfile="]
            words += ["chordnode", "--port", str(base_port + number), "--name", f"n{number}"]
            words += ["--interface", "127.0.0.1", "--state-dir", str(own), "--store", "none"]
            words += ["--network", kind]
            if number:
                words += ["--peer", f"127.0.0.1:{base_port}"]
            if authority is not None:
                where = folder / f"{kind}-{number}-identity"
                authority.identity(Role.PEER, f"n{number}", time.time()).save(where)
                words += ["--identity", str(where)]
                words += ["--seals", "asked" if kind == ASKED else "always"]
            nodes.append(subprocess.Popen(words, stdout=subprocess.DEVNULL, cwd=folder))
        client = None
        if authority is not None:
            client = authority.identity(Role.OPERATE, "benchmark", time.time())
        yield P2PNetClient(f"127.0.0.1:{base_port + 3}", process_reactor, identity=client)
    finally:
        for node in nodes:
            node.terminate()
        for node in nodes:
            node.wait()


async def settled(client: P2PNetClient) -> None:
    """Wait until a receipt counts all nodes."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        try:
            if (await client.send_message("settled")).recorded == NODES:
                return
        except Exception as error:  # noqa: BLE001  shown if it does not end
            problem = error
        await deferLater(process_reactor, 0.5)  # type: ignore[arg-type]
    raise click.ClickException(f"the ring does not settle: {problem}")


async def one_at_a_time(client: P2PNetClient, messages: int) -> float:
    """Return the median time of a receipt, in milliseconds."""
    found = []
    for number in range(messages):
        began = time.perf_counter()
        await client.send_message(f"message-{number}")
        found.append(time.perf_counter() - began)
    return 1e3 * median(found)


async def in_flight(client: P2PNetClient, window: int, messages: int) -> float:
    """Return how many receipts come in a second with so many messages in flight."""
    left = iter(range(messages))

    async def sender() -> None:
        for number in left:
            await client.send_message(f"burst-{number}")

    began = time.perf_counter()
    await gatherResults([ensureDeferred(sender()) for _ in range(window)])
    return messages / (time.perf_counter() - began)


async def measure(base_port: int, rounds: int, messages: int) -> None:
    """Measure and print."""
    found: dict[str, dict[str, list[float]]] = {kind: defaultdict(list) for kind in RINGS}
    with ExitStack() as open_, TemporaryDirectory() as folder:
        clients = {
            kind: open_.enter_context(ring(kind, base_port + 100 * index, Path(folder)))
            for index, kind in enumerate(RINGS)
        }
        for client in clients.values():
            await settled(client)
        for _ in range(rounds):
            for kind, client in clients.items():
                found[kind]["receipt p50, ms"].append(await one_at_a_time(client, messages))
                for window in WINDOWS:
                    rate = await in_flight(client, window, 20 * window)
                    found[kind][f"{window} in flight, /s"].append(rate)
        for client in clients.values():
            await client.close()
        open_.close()
    for what, plain in found[PLAIN].items():
        print(f"{what}: plain {median(plain):.2f}", end="")
        for kind in (ASKED, ALWAYS):
            ratios = [a / b for a, b in zip(found[kind][what], plain, strict=True)]
            print(f", {kind} {median(found[kind][what]):.2f} ({median(ratios):.2f} x)", end="")
        print()


@click.command(help=__doc__)
@click.option("--base-port", default=26001, show_default=True)
@click.option("--rounds", default=9, show_default=True)
@click.option("--messages", default=100, show_default=True, help="One at a time, in one round.")
def main(base_port: int, rounds: int, messages: int) -> None:
    """Measure and print."""

    def run(_reactor: object) -> Deferred[None]:
        return ensureDeferred(measure(base_port, rounds, messages))

    react(run, [])


if __name__ == "__main__":
    main()
