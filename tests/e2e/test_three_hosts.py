"""A secured network over three hosts: one starts it, the others join it with one command each.

A host is a network namespace with a home of its own, so this needs root and iproute2.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chordnet.trust.authority import Authority
from chordnet.trust.identity import Identity

DAY = 86_400.0
PATIENCE_S = 60.0
COMMAND_LIMIT_S = 120
PREFIX = f"chord{os.getpid()}"


def ip(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=False)


def can_make_hosts() -> bool:
    """Return whether this user may make network namespaces."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    made = ip("netns", "add", f"{PREFIX}-try").returncode == 0
    return ip("netns", "del", f"{PREFIX}-try").returncode == 0 and made


pytestmark = pytest.mark.skipif(not can_make_hosts(), reason="needs root and iproute2")


class Host:
    """A machine of its own, as far as the network goes."""

    def __init__(self, number: int, directory: Path) -> None:
        self.namespace = f"{PREFIX}-{number}"
        self.address = f"10.93.0.{number}"
        self.home = directory / f"home-{number}"
        self.log = directory / f"log-{number}"
        self.node: subprocess.Popen[bytes] | None = None

    def plug_in(self, switch: str, number: int) -> None:
        inside, outside = f"host{number}", f"port{number}"
        for words in (
            ["netns", "add", self.namespace],
            ["-n", switch, "link", "add", outside, "type", "veth", "peer", "name", inside],
            ["-n", switch, "link", "set", inside, "netns", self.namespace],
            ["-n", switch, "link", "set", outside, "master", "switch", "up"],
            ["-n", self.namespace, "address", "add", f"{self.address}/24", "dev", inside],
            ["-n", self.namespace, "link", "set", inside, "up"],
            ["-n", self.namespace, "link", "set", "lo", "up"],
            # A node asks the routes which address others reach it at.
            ["-n", self.namespace, "route", "add", "default", "dev", inside],
        ):
            assert ip(*words).returncode == 0, words

    def _words(self, *words: str) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, *words]

    @property
    def _environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CHORDN")}
        return kept | {"CHORDNET_HOME": str(self.home), "NO_COLOR": "1"}

    def p2pnet(self, *words: str) -> str:
        """Run a command that has to succeed, and return what it printed."""
        program = [sys.executable, "-c", "from chordnet.cli import main; main()"]
        done = subprocess.run(
            self._words(*program, *words),
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_LIMIT_S,
            env=self._environment,
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.p2pnet(words[0], "--json", *words[1:]))

    def start(self, *words: str) -> None:
        """Start a node by hand."""
        program = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
        with self.log.open("ab") as log:
            self.node = subprocess.Popen(
                self._words(*program, "-n", "--pidfile=", "chordnode", *words),
                stdout=log,
                stderr=log,
                cwd=self.home,
                env=self._environment,
            )

    def stop(self) -> None:
        if self.node is not None:
            self.node.terminate()
            self.node.wait(30)
            self.node = None


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[list[Host]]:
    switch = f"{PREFIX}-switch"
    made = [Host(number, tmp_path) for number in (1, 2, 3)]
    try:
        assert ip("netns", "add", switch).returncode == 0
        assert ip("-n", switch, "link", "add", "switch", "type", "bridge").returncode == 0
        assert ip("-n", switch, "link", "set", "switch", "up").returncode == 0
        for number, host in enumerate(made, 1):
            host.home.mkdir()
            host.plug_in(switch, number)
        yield made
        for host in made[1:]:
            host.stop()
        made[0].p2pnet("stop-network", "--purge")
    finally:
        for host in made:
            if host.node is not None:
                host.node.kill()
        for namespace in (*(host.namespace for host in made), switch):
            for pid in ip("netns", "pids", namespace).stdout.split():
                os.kill(int(pid), 9)
            ip("netns", "del", namespace)


def wait_for(first: Host, members: int, hosts: list[Host]) -> None:
    """Wait until the ring has so many members and is in order."""
    deadline = time.monotonic() + PATIENCE_S
    found: Any = None
    while time.monotonic() < deadline:
        found = first.json("status")
        if found["converged"] and len(found["nodes"]) + len(found["visitors"]) == members:
            return
        time.sleep(0.5)
    pytest.fail(f"{found} {[host.log.read_text() for host in hosts if host.log.exists()]}")


def grow_old(host: Host, name: str, authority: Authority, days: float) -> None:
    """Let the certificate of a node that does not run be as old as if it had been off so long."""
    directory = host.home / name / "identity"
    identity = Identity.load(directory)
    then = time.time() - days * DAY
    chain = authority.root.renew(identity.key.public_key(), identity.subject, then)
    identity.with_chain(chain).save(directory)


def test_two_hosts_join_a_third_with_one_command_each_and_come_back_after_a_long_time(
    hosts: list[Host],
) -> None:
    first, second, third = hosts
    first.p2pnet("start-network", "--nodes", "3", "--advertise", first.address)
    for host, name in ((second, "berlin"), (third, "tokyo")):
        token = first.p2pnet("invite", "--name", name).strip()
        host.start("--state-dir", name, "--join", token)
    wait_for(first, 5, hosts)
    assert first.json("send-message", "1", "apple")["recorded"] == 5

    # A week is nothing to a certificate. One that has expired is renewed before the node joins.
    authority = Authority.load(first.home / "networks" / "default" / "authority")
    for days, fruit in ((8, "banana"), (37, "cherry")):
        third.stop()
        wait_for(first, 4, hosts)
        grow_old(third, "tokyo", authority, days)
        third.start("--state-dir", "tokyo", "--identity", "tokyo/identity")
        wait_for(first, 5, hosts)
        assert first.json("send-message", "2", fruit)["recorded"] == 5
    assert "cherry" in first.p2pnet("get-messages", "3")
