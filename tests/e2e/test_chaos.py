"""Real nodes frozen, killed and parted, and what healing makes of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import P2PNet


def rings(outcome: dict[str, Any], when: str = "after") -> list[list[int]]:
    """The nodes of each ring, all of them right."""
    assert all(part["ok"] for part in outcome[when]), outcome
    return [part["nodes"] for part in outcome[when]]


@pytest.fixture
def five(fresh: P2PNet) -> P2PNet:
    fresh.ok(*fresh.start_words, "--nodes", "5")
    return fresh


def test_freezing_killing_and_healing(five: P2PNet) -> None:
    frozen = five.json("chaos", "freeze", "3")
    assert rings(frozen, "before") == [[1, 2, 3, 4, 5]]
    assert rings(frozen) == [[1, 2, 4, 5]]
    assert frozen["in_force"]["frozen"] == [3]
    examined = five.run("doctor", "--timeout", "1")
    hint = f"p2pnet chaos heal --network {five.name}: frozen 3"
    assert (examined.returncode, hint in examined.stdout) == (1, True), examined
    assert five.json("send-message", "1", "while-frozen")["recorded"] == 4
    killed = five.json("chaos", "kill", "5")
    assert rings(killed) == [[1, 2, 4]]
    thawed = five.json("chaos", "thaw", "3")
    assert rings(thawed) == [[1, 2, 3, 4]]
    assert thawed["after"][0]["messages"] == 1
    healed = five.json("chaos", "heal")
    assert rings(healed) == [[1, 2, 3, 4, 5]]
    assert healed["in_force"]["killed"] == []
    assert five.json("doctor", "--wait-converged")["ok"]


def test_a_frozen_network_stops_all_the_same_and_forgets(five: P2PNet) -> None:
    five.ok("chaos", "freeze", "1-2")
    assert five.json("stop-network")["stopped"] == [1, 2, 3, 4, 5]
    assert five.leftovers() == []
    assert list(five.home.glob("networks/*/faults.json")) == []
    assert "not running" in five.fails(1, "chaos", "heal")


def test_a_partition_and_its_end(five: P2PNet) -> None:
    if five.engine == "local":
        for words in (
            ["partition", "1-2"],
            ["delay", "1", "--ms", "5"],
            ["loss", "1", "--percent", "5"],
        ):
            assert "the docker engine can" in five.fails(1, "chaos", *words)
        assert five.json("doctor")["ok"]
        return
    assert rings(five.json("chaos", "partition", "1-2")) == [[1, 2], [3, 4, 5]]
    assert five.json("send-message", "1", "left")["recorded"] == 2
    assert five.json("send-message", "5", "right")["recorded"] == 3
    healed = five.json("chaos", "heal")
    assert rings(healed, "before") == [[1, 2], [3, 4, 5]]
    assert rings(healed) == [[1, 2, 3, 4, 5]]
    assert healed["after"][0]["messages"] == 2
    assert five.json("doctor")["ok"]


def test_words_that_do_not_fit(five: P2PNet) -> None:
    assert "from 1 to 5, not 6" in five.fails(2, "chaos", "freeze", "6")
    assert "two sides" in five.fails(2, "chaos", "partition", "1-5")
    five.ok("remove-node", "4")
    assert "Node 4 is stopped" in five.fails(1, "chaos", "freeze", "4")


class TestRecording:
    """Nodes started by hand, as only processes can be."""

    def node(self, network: P2PNet, number: int, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [
                *[sys.executable, "-c", "from twisted.scripts.twistd import run; run()"],
                *["--nodaemon", "--pidfile=", "chordnode", "--network", network.name],
                *["--name", f"recorded {number}", "--interface", "127.0.0.1"],
                *["--port", str(network.base_port + 4 + number), *words],
                *["--peer", f"127.0.0.1:{network.base_port}"],
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def test_what_real_nodes_record_is_replayed_with_the_same_effects(
        self, fresh: P2PNet, tmp_path: Path
    ) -> None:
        if fresh.engine != "local":
            pytest.skip("about processes")
        fresh.ok(*fresh.start_words, "--nodes", "3")
        files = [tmp_path / f"{n}.rec" for n in (1, 2)]
        nodes = [self.node(fresh, n, "--record", str(f)) for n, f in enumerate(files, 1)]
        try:
            for _ in range(100):
                if len(fresh.json("status")["visitors"]) == 2:
                    break
                time.sleep(0.1)
            fresh.ok("doctor", "--wait-converged")
            fresh.ok("send-message", "1", "recorded-everywhere")
            nodes[0].send_signal(signal.SIGKILL)
            fresh.ok("doctor", "--wait-converged")
        finally:
            for node in nodes:
                node.terminate()
                node.wait()
        environment = {"PYTHONHASHSEED": "7"} | os.environ
        words = fresh.command("replay", "--steps", *map(str, files))
        words = [word for word in words if word not in ("--network", fresh.name)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "cut off" in done.stdout
        assert "the node was stopped" in done.stdout
        assert done.stdout.count("recorded 'recorded-everywhere'") == 2
        assert "recorded 2: recorded 1 is dead" in done.stdout

    def test_a_whole_network_records_and_replays_with_the_same_effects(
        self, fresh: P2PNet, tmp_path: Path
    ) -> None:
        """A kill, messages before and after it, the killed node's second life, and one more."""
        directory = tmp_path / "recordings"
        words = [*fresh.start_words, "--nodes", "4", "--record", str(directory)]
        if fresh.engine != "local":
            assert "cannot record" in fresh.fails(2, *words)
            return
        assert fresh.json(*words)["record"] == str(directory)
        fresh.ok("send-message", "1", "before")
        fresh.ok("remove-node", "3", "--kill")
        fresh.ok("send-message", "2", "meanwhile")
        fresh.ok("add-node", "3")
        assert fresh.json("add-node")["node"] == 5
        fresh.ok("doctor", "--wait-converged")
        assert fresh.json("stop-network")["killed"] == []
        replayed = self.replayed(fresh, directory)
        assert replayed["same"], replayed["files"]
        ends = {Path(file["file"]).name: file["end"] for file in replayed["files"]}
        stopped = "the node was stopped"
        assert ends == {f"node-{n:02}.rec": stopped for n in range(1, 6)} | {
            "node-03.rec.1": "cut off"
        }
        told = [(step["node"], step["text"]) for step in replayed["steps"]]
        times = [step["wall"] for step in replayed["steps"]]
        assert times == sorted(times)
        assert any(text == "Node 3 is dead" for _, text in told), told
        heard = [node for node, text in told if text.startswith("recorded 'before'")]
        assert sorted(heard)[:4] == ["Node 1", "Node 2", "Node 3", "Node 4"]

    def replayed(self, network: P2PNet, directory: Path) -> Any:
        words = network.command("replay", "--json", "--steps", str(directory))
        words = [word for word in words if word not in ("--network", network.name)]
        # Another seed of hashes than any node had.
        environment = os.environ | {"PYTHONHASHSEED": "7"}
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)
