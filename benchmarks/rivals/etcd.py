"""etcd: three members on this machine, on disk, through aetcd, a client for asyncio.

Every member calls fsync before it answers, which cannot be switched off. Reads are etcd's usual
ones, linearizable. The client is connected to one member, in each round to another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from multiprocessing.connection import Connection

from benchmarks.effort import PAYLOAD_BYTES, Effort
from benchmarks.keys import measure
from benchmarks.rivals.daemon import Daemon, missing_parts
from benchmarks.rivals.kademlia_keys import work
from benchmarks.workers import Worker, serve

MEMBERS = 3
PEERS = 10
"""Members talk to each other on ports so far above those for clients."""
VALUE = b"v" * PAYLOAD_BYTES


def _client(pipe: Connection, ports: Sequence[int]) -> None:
    asyncio.run(_run(pipe, ports))


async def _run(pipe: Connection, ports: Sequence[int]) -> None:
    import aetcd  # type: ignore[import-not-found]

    clients = [aetcd.Client(host="127.0.0.1", port=port) for port in ports]
    for client in clients:
        await client.connect()

    async def answer(place: int, verb: str, keys: list[str], window: int) -> list[float] | float:
        client = clients[place % len(clients)]

        async def put(key: str) -> bool:
            await client.put(key.encode(), VALUE)
            return True

        async def get(key: str) -> bool:
            found = await client.get(key.encode())
            return found is not None and found.value == VALUE

        return await work(put if verb == "put" else get, keys, window)

    pipe.send("ready")
    await serve(pipe, answer)
    for client in clients:
        await client.close()


class Etcd:
    """A cluster of three, and a client process."""

    name = "etcd"
    promise = (
        "a value is in the logs of two of three members, on the disk (fsync); every key behaves as "
        "one register, as chordnet's do"
    )

    def __init__(self, port: int) -> None:
        self._ports = [port + index for index in range(MEMBERS)]
        self._members: list[Daemon] = []
        self._client: Worker | None = None
        self._round = 0

    def missing(self) -> str | None:
        """Return how to install etcd and a client, or None."""
        return missing_parts({"etcd": "etcd-server"}, {"aetcd": "aetcd"})

    def start(self) -> None:
        """Start the members, all before the first is waited for, and then the client."""
        begun = [Daemon(port, self._command(port), waits=False) for port in self._ports]
        self._members = begun
        for member in begun:
            member.wait()
        self._client = Worker(_client, self._ports)

    def _command(self, port: int):  # type: ignore[no-untyped-def]
        url = "http://127.0.0.1:{}".format
        cluster = ",".join(f"m{each}={url(each + PEERS)}" for each in self._ports)

        def words(directory: str) -> list[str]:
            return [
                "etcd", "--name", f"m{port}", "--data-dir", directory, "--log-level", "error",
                "--listen-client-urls", url(port), "--advertise-client-urls", url(port),
                "--listen-peer-urls", url(port + PEERS),
                "--initial-advertise-peer-urls", url(port + PEERS),
                "--initial-cluster", cluster, "--initial-cluster-token", f"bench{self._ports[0]}",
            ]  # fmt: skip

        return words

    def measure(self, effort: Effort) -> dict[str, float]:
        """Take one round, through another member than the round before."""
        self._round += 1
        client = self._client
        assert client is not None
        return measure(lambda *question: client.ask(*question, timeout=300), effort, self._round)

    def stop(self) -> None:
        """End the client and the members."""
        if self._client is not None:
            self._client.stop()
            self._client = None
        while self._members:
            self._members.pop().stop()
