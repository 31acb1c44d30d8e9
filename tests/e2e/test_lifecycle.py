"""Starts and stops that go wrong, or are cut short, leave nothing behind."""

from __future__ import annotations

import itertools
import json
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.e2e.conftest import P2PNet


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_start_in_the_middle_of_which_a_signal_comes(fresh: P2PNet, sign: int) -> None:
    nodes, cut_short = 8, 0
    for visible in (0, 1, nodes):
        starting = fresh.popen(*fresh.start_words, "--nodes", str(nodes))
        _wait_for_nodes(fresh, visible, starting)
        starting.send_signal(sign)
        out, err = starting.communicate()
        if f"{nodes} nodes in one ring" in out:  # it was quicker than we were
            assert starting.returncode in (0, 128 + sign, -sign), err
            fresh.ok("stop-network")
        else:
            assert starting.returncode == 128 + sign, err
            assert "Traceback" not in err
            progress, word, cleaning = err.partition("p2pnet: interrupted\n")
            assert word, err
            assert "p2pnet:" not in progress, err
            assert cleaning in ("", "stopping what was started\n"), err
            cut_short += 1
        assert fresh.leftovers() == [], visible
    assert cut_short > 1


def _wait_for_nodes(network: P2PNet, count: int, starting: subprocess.Popen[str]) -> None:
    """Wait until a start is under way and so many of its nodes can be seen."""
    directory = network.home / "networks" / network.name
    while starting.poll() is None:
        if directory.exists() and len(network.leftovers()) >= count:
            return
        time.sleep(0.01)


def test_a_port_that_is_taken_is_named_with_its_holder(fresh: P2PNet) -> None:
    with socket.create_server(("127.0.0.1", fresh.base_port + 2)):
        text = fresh.fails(1, *fresh.start_words, "--nodes", "4")
    assert f"Node 3 cannot have port {fresh.base_port + 2}" in text
    assert fresh.leftovers() == []


def test_a_network_of_one_and_of_two(fresh: P2PNet) -> None:
    for size in (1, 2):
        assert fresh.json(*fresh.start_words, "--nodes", str(size))["members"] == size
        receipt = fresh.json("send-message", "1", "alone")
        assert (receipt["recorded"], receipt["messages"]) == (size, size - 1)
        assert fresh.json("doctor")["ok"]
        assert fresh.json("stop-network")["stopped"] == list(range(1, size + 1))
        assert "not running" in fresh.fails(1, "status")


def test_stopping_twice_is_fine_and_data_stays_until_it_is_purged(fresh: P2PNet) -> None:
    fresh.ok(*fresh.start_words, "--nodes", "3")
    fresh.ok("stop-network")
    assert "nothing was running" in fresh.ok("stop-network")
    assert "not running" in fresh.fails(1, "send-message", "1", "x")
    assert (fresh.home / "networks" / fresh.name / "network.json").exists()
    fresh.ok("stop-network", "--purge")
    assert not (fresh.home / "networks").exists()


def test_a_network_whose_description_is_damaged_can_be_stopped(fresh: P2PNet) -> None:
    fresh.ok(*fresh.start_words, "--nodes", "3")
    fresh.ok("send-message", "1", "apple")
    description = fresh.home / "networks" / fresh.name / "network.json"
    description.write_bytes(description.read_bytes()[:50])
    for words in (["status"], ["send-message", "1", "pear"], fresh.start_words):
        problem = fresh.fails(1, *words)
        assert f"cannot read {description}: " in problem
        assert f"p2pnet stop-network --network {fresh.name}" in problem
    assert "3 nodes stopped" in fresh.ok("stop-network")
    assert fresh.leftovers() == []
    fresh.ok(*fresh.start_words, "--nodes", "3")
    assert "- apple (" in fresh.ok("get-messages", "2")


def test_two_starts_at_once_make_one_network(fresh: P2PNet) -> None:
    both = [fresh.popen(*fresh.start_words, "--nodes", "4", "--json") for _ in range(2)]
    outputs = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    started = sorted(len(json.loads(out)["started"]) for out, _ in outputs)
    assert started == [0, 4]


def test_the_last_node_can_be_removed(fresh: P2PNet) -> None:
    fresh.ok(*fresh.start_words, "--nodes", "2")
    assert fresh.json("remove-node", "1")["members"] == 1
    assert "no node is left" in fresh.ok("remove-node", "2")
    assert "not running" in fresh.fails(1, "status")


class TestLocalEngine:
    """What only processes can do."""

    @pytest.fixture
    def local(self, fresh: P2PNet) -> P2PNet:
        if fresh.engine != "local":
            pytest.skip("about processes")
        return fresh

    def test_a_node_that_dies_at_start_says_why(self, local: P2PNet) -> None:
        blocked = local.home / "networks" / local.name / "nodes" / "02"
        blocked.mkdir(parents=True)
        (blocked / "state").write_text("a file where the node wants a directory")
        done = local.run(*local.start_words, "--nodes", "3")
        assert done.returncode == 1
        assert "Node 2 ended while it was starting" in done.stderr
        assert "state directory" in done.stderr
        assert local.leftovers() == []

    def test_a_pid_file_of_somebody_else_is_left_alone(self, local: P2PNet) -> None:
        """The number in a stale pid file belongs to another process by now: this test's own."""
        local.ok(*local.start_words, "--nodes", "2")
        local.ok("stop-network")
        bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        for number in (1, 2):
            path = local.home / f"networks/{local.name}/nodes/{number:02}/pid"
            path.write_text(f"{bystander.pid} 12345@another-boot\n")
        assert "nothing was running" in local.ok("stop-network")
        assert bystander.poll() is None
        bystander.communicate(b"\n")
        assert local.leftovers() == []

    def test_a_node_started_by_hand_belongs_to_the_ring(self, local: P2PNet) -> None:
        local.ok(*local.start_words, "--nodes", "3")
        guest = subprocess.Popen(
            [
                *[sys.executable, "-c", "from twisted.scripts.twistd import run; run()"],
                *["--nodaemon", "--pidfile=", "chordnode", "--network", local.name],
                *["--name", "guest", "--interface", "127.0.0.1", "--port", "0"],
                *["--peer", f"127.0.0.1:{local.base_port}"],
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            for _ in itertools.repeat(None, 100):
                document = local.json("status")
                if document["visitors"] and document["converged"]:
                    break
                time.sleep(0.1)
            assert [v["name"] for v in document["visitors"]] == ["guest"]
            receipt = local.json("send-message", "1", "welcome")
            assert (receipt["recorded"], receipt["messages"]) == (4, 3)
            assert local.json("doctor")["nodes"] == 4
            assert "guest" in local.ok("ring")
        finally:
            guest.terminate()
            guest.wait()
        assert local.json("doctor", "--wait-converged")["nodes"] == 3


def test_the_demonstration_tells_its_story_and_leaves_nothing(fresh: P2PNet) -> None:
    words = ["demo", "--engine", fresh.engine, "--base-port", str(fresh.base_port), "--nodes", "6"]
    text = fresh.ok(*words)
    for part in ("one correct ring of 6", "recorded by 6 of 6", "It is killed", "5 of 5"):
        assert part in text
    assert not (fresh.home / "networks").exists()
