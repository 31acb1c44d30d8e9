"""What survives: every process killed under load, a full disk, a damaged file."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from chordnet.client import P2PNetClient
from chordnet.core.base.errors import ChordnetError
from chordnet.wire.rpc import Receipt
from tests.e2e.conftest import SIZE, P2PNet

LOG = logging.getLogger(__name__)
SENDERS = 6
IN_FLIGHT = 8
LOAD_S = 2.0


class Load:
    """Clients that send one message after the other, and what was confirmed to them."""

    def __init__(self, network: P2PNet) -> None:
        self.confirmed: list[Receipt] = []
        self.unconfirmed = 0
        self._over = False
        addresses = [f"127.0.0.1:{network.base_port + 2 * n}" for n in range(SENDERS)]
        self._clients = [
            P2PNetClient(address, reactor, identity=network.identity) for address in addresses
        ]

    def start(self) -> Deferred[list[None]]:
        """Send until :meth:`stop`, or until the node at hand is gone."""
        lines = [
            Deferred.fromCoroutine(self._send(client, f"{sender}-{line}"))
            for sender, client in enumerate(self._clients)
            for line in range(IN_FLIGHT)
        ]
        return gatherResults(lines, consumeErrors=True)

    async def _send(self, client: P2PNetClient, name: str) -> None:
        count = 0
        while not self._over:
            count += 1
            try:
                self.confirmed.append(await client.send_message(f"load-{name}-{count}"))
            except ChordnetError:
                self.unconfirmed += 1
                return

    async def stop(self) -> None:
        self._over = True
        await gatherResults([client.close() for client in self._clients])


@pytest_twisted.ensureDeferred
async def test_all_nodes_are_killed_at_once_under_load_and_nothing_confirmed_is_missing(
    unstarted: P2PNet,
) -> None:
    assert unstarted.json(*unstarted.start_words)["members"] == SIZE
    pids = unstarted.pids()
    assert len(pids) == SIZE
    load = Load(unstarted)
    ended = load.start()
    await deferLater(reactor, LOAD_S)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    await ended
    await load.stop()
    assert all(not receipt.partial for receipt in load.confirmed)
    assert len(load.confirmed) > 100
    assert load.unconfirmed > 0  # it was in the middle of it
    LOG.info("%d confirmed, %d in flight when killed", len(load.confirmed), load.unconfirmed)
    again = unstarted.json(*unstarted.start_words)
    assert (len(again["started"]), again["members"]) == (SIZE, SIZE)
    unstarted.ok("doctor", "--wait-converged")
    confirmed = {receipt.id: receipt.body for receipt in load.confirmed}
    for number in range(1, SIZE + 1):
        messages = unstarted.json("get-messages", str(number))
        times = Counter(message["id"] for message in messages)
        assert max(times.values()) == 1, number
        bodies = {message["id"]: message["body"] for message in messages}
        missing = [key for key, body in confirmed.items() if bodies.get(key) != body]
        assert missing == [], (number, len(missing))
    assert unstarted.json("send-message", "5", "after-all-that")["recorded"] == SIZE


@pytest.fixture
def small_disk(unstarted: P2PNet) -> Iterator[Path]:
    """The state directory of Node 3 on a disk of one mebibyte."""
    path = unstarted.state_directory(3)
    path.mkdir(parents=True)
    words = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(path)]
    mounted = subprocess.run(words, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    yield path
    unstarted.run("stop-network")
    subprocess.run(["umount", str(path)], check=True)


def fill_up(path: Path) -> None:
    """Write to ``path`` until there is no room left."""
    file = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        while True:
            os.write(file, bytes(1024))
    except OSError as problem:
        if problem.errno != errno.ENOSPC:
            raise
    finally:
        os.close(file)


def test_a_node_with_a_full_disk_says_so_and_nothing_is_lost_elsewhere(
    unstarted: P2PNet, small_disk: Path
) -> None:
    network = unstarted
    network.ok(*network.start_words, "--nodes", "5")
    assert network.json("send-message", "1", "before")["recorded"] == 5
    ballast = small_disk / "ballast"
    fill_up(ballast)
    long = "x" * 60_000
    receipt = network.json("send-message", "1", long)
    assert (receipt["recorded"], receipt["partial"]) == (4, False)
    states = {node["node"]: node["state"] for node in network.json("status")["nodes"]}
    assert states == {1: "active", 2: "active", 3: "failed", 4: "active", 5: "active"}
    # What it says, and that what it has kept can still be read.
    for words in (("send-message", "3", "plum"), ("lookup", "3", "plum")):
        line = network.fails(1, *words)
        assert "Node 3 has left its ring: the message log" in line
        assert "No space left on device" in line
    assert "left the ring: the message log" in network.ok("logs", "3")
    assert [m["body"] for m in network.json("get-messages", "3")] == ["before"]
    assert network.json("send-message", "2", "after")["recorded"] == 4
    verdict = network.run("doctor")
    assert verdict.returncode == 1
    expected = "Node 3 left the ring: its message log cannot be used; see: p2pnet logs 3"
    assert verdict.stdout.splitlines()[0] == f"{expected} --network {network.name}"
    # With room again it comes back and is given what it missed.
    network.ok("remove-node", "3")
    ballast.unlink()
    network.ok("add-node", "3")
    network.ok("doctor", "--wait-converged")
    bodies = sorted(m["body"] for m in network.json("get-messages", "3"))
    assert bodies == sorted(["before", "after", long])


def test_a_damaged_file_is_set_aside_and_the_neighbours_give_back_what_was_in_it(
    unstarted: P2PNet,
) -> None:
    network = unstarted
    network.ok(*network.start_words, "--nodes", "5")
    for number in range(20):
        network.ok("send-message", "1", "--no-wait", f"{number}-" + "y" * 4000)
    network.ok("doctor", "--wait-converged")
    network.ok("remove-node", "2")
    path = network.state_directory(2) / "messages.db"
    data = bytearray(path.read_bytes())
    assert len(data) > 80_000
    for page in range(8192, len(data), 16384):
        data[page : page + 64] = os.urandom(64)
    path.write_bytes(data)
    network.ok("add-node", "2")
    (line,) = [line for line in network.ok("logs", "2").splitlines() if "is damaged" in line]
    assert "messages.db is damaged (" in line
    assert "neighbours give back what they keep" in line
    (aside,) = path.parent.glob("messages.db.damaged-*")
    assert len(aside.read_bytes()) == len(data)
    deadline = time.monotonic() + 30
    while len(network.json("get-messages", "2")) < 20 and time.monotonic() < deadline:
        time.sleep(0.2)
    network.ok("doctor", "--wait-converged")
    assert len(network.json("get-messages", "2")) == 20
    assert network.json("send-message", "2", "as-before")["recorded"] == 5
