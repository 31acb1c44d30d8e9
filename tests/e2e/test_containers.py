"""What people do to containers behind the network's back, and two homes that share an engine.

Runs where ``CHORDNET_E2E_DOCKER=1`` is set.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import P2PNet

pytestmark = pytest.mark.skipif(
    os.environ.get("CHORDNET_E2E_DOCKER") != "1",
    reason="needs Docker with Compose; set CHORDNET_E2E_DOCKER=1 (make test-docker)",
)


def docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def three(fresh: P2PNet) -> P2PNet:
    if fresh.engine != "docker":
        pytest.skip("about containers")
    fresh.ok(*fresh.start_words, "--nodes", "3")
    return fresh


def container(network: P2PNet, number: int) -> str:
    return f"chordnet-{network.name}-node-{number}-1"


def problems(network: P2PNet) -> list[str]:
    found: list[str] = json.loads(network.run("doctor", "--json").stdout)["problems"]
    return found


def test_what_was_done_behind_a_networks_back_is_named_and_mended_by_one_command(
    three: P2PNet,
) -> None:
    docker("pause", container(three, 2))
    assert problems(three)[0].startswith("Node 2 is frozen (docker pause); let it go on with: ")
    assert "Node 2 is frozen" in three.fails(1, "send-message", "2", "apple")
    assert "Node 2 is frozen" in three.fails(1, "start-network")
    added = three.json("add-node")
    assert (added["node"], added["members"]) == (4, 3)
    assert three.json("chaos", "thaw")["after"][0]["nodes"] == [1, 2, 3, 4]

    docker("network", "disconnect", f"chordnet-{three.name}_default", container(three, 3))
    assert problems(three)[0].startswith("Node 3 is off the containers' network")
    assert three.json("chaos", "heal")["after"][0]["nodes"] == [1, 2, 3, 4]
    assert three.json("send-message", "3", "apple")["recorded"] == 4

    docker("kill", container(three, 1))
    assert problems(three)[0].startswith("Node 1 was killed (SIGKILL); bring it back with: ")
    assert three.json("add-node", "1")["members"] == 4
    assert three.json("doctor")["ok"]


def test_a_container_that_needs_too_much_memory_is_said_to_have_been_killed_for_it(
    three: P2PNet,
) -> None:
    name = container(three, 3)
    docker("update", "--memory", "72m", "--memory-swap", "72m", name)
    code = "list(map(bytearray, [4 << 20] * 99))"
    subprocess.run(["docker", "exec", name, "python", "-c", code], check=False, capture_output=True)
    if docker("inspect", "--format", "{{.State.Running}}", name) == "true":
        pytest.skip("the kernel has ended another process of the container")
    assert problems(three)[0].startswith("Node 3 was killed: out of memory (72 MiB); ")


def test_another_home_can_neither_use_nor_end_nor_purge_a_network(
    three: P2PNet, tmp_path: Path
) -> None:
    other = P2PNet(tmp_path / "other", "docker", three.name, three.base_port + 4)
    for words in (["status"], ["send-message", "1", "apple"], ["remove-node", "2"]):
        assert f"belong to another home, {three.home}" in other.fails(1, *words)
    refused = other.run(*other.start_words, "--nodes", "2")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"belong to another home, {three.home}" in refused.stderr
    purged = other.run("stop-network", "--purge")
    assert (purged.returncode, "belong to another home" in purged.stderr) == (0, True), purged
    assert three.json("doctor")["nodes"] == 3


def test_a_home_that_was_removed_finds_its_network_again(three: P2PNet) -> None:
    three.ok("send-message", "1", "apple")
    shutil.rmtree(three.home)
    found = three.run("status", "--json")
    assert json.loads(found.stdout)["converged"], found.stderr
    assert "left by this home" in found.stderr
    three.ok("stop-network")
    shutil.rmtree(three.home)
    # Now there are volumes alone.
    three.ok("stop-network", "--purge")
    assert (three.leftovers(), three.volumes()) == ([], [])


def test_the_log_of_a_network_that_was_stopped_is_still_there(three: P2PNet) -> None:
    three.ok("stop-network")
    assert three.leftovers() == []
    assert "is left" in three.ok("logs", "2")


def test_a_signal_in_a_containers_first_moments_is_heard(three: P2PNet) -> None:
    name = container(three, 3)
    docker("stop", name)
    docker("start", name)
    docker("stop", "--time", "15", name)
    assert docker("inspect", "--format", "{{.State.ExitCode}}", name) in ("0", "143")


def test_no_key_can_be_seen_from_outside_and_each_container_has_its_own_alone(
    three: P2PNet,
) -> None:
    home = three.home / "networks" / three.name
    keys = {path: path.read_text().split("\n")[1] for path in home.rglob("*key.pem")}
    assert len(keys) == 3 + 2 + 1  # of nodes, issuers, the operator
    shown = (home / "compose.json").read_text()
    for number in (1, 2, 3):
        shown += docker("inspect", container(three, number))
        shown += docker("logs", container(three, number))
        held = docker("exec", container(three, number), "sh", "-c", "cat identity/*key.pem")
        own = home / "identities" / f"{number:02}"
        assert {path for path, key in keys.items() if key in held} == set(own.glob("*key.pem"))
    shown += docker("history", "--no-trunc", "chordnet-node:latest")
    assert "PRIVATE KEY" not in shown
    assert not [path for path, key in keys.items() if key in shown]
    for path in (*home.rglob("*"), home):
        if not path.is_symlink():
            wanted = 0o700 if path.is_dir() else 0o600
            assert stat.S_IMODE(path.stat().st_mode) == wanted, path
