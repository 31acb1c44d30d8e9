"""Debian's Prometheus reads sixteen real nodes, and its tool checks names and rules.

Skipped where it is not installed, unless ``CHORDNET_E2E_PROMETHEUS=1`` says that it has to be.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from chordnet.testbed.base.ports import free_range
from tests.e2e.conftest import FIRST_PORT

ROOT = Path(__file__).parents[2]
RULES = ROOT / "docs" / "examples" / "alerts.yml"
LIMIT_S = 60
FOUND = all(shutil.which(program) for program in ("prometheus", "promtool"))
pytestmark = pytest.mark.skipif(
    not FOUND and os.environ.get("CHORDNET_E2E_PROMETHEUS") != "1",
    reason="needs prometheus and promtool on the path",
)
NODES = 16


def chordnode(*words: str, log: Path) -> subprocess.Popen[bytes]:
    """Start a node as a user does by hand."""
    program = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
    with log.open("wb") as out:
        return subprocess.Popen([*program, "-n", "--pidfile=", "chordnode", *words], stdout=out)


@pytest.fixture(scope="module")
def nodes() -> list[subprocess.Popen[bytes]]:
    """The processes of the network, in the order of their names."""
    return []


@pytest.fixture(scope="module")
def pages(nodes, tmp_path_factory) -> Iterator[dict[str, str]]:
    """Where the nodes of a network serve their pages, by their names."""
    folder = tmp_path_factory.mktemp("watched")
    base = free_range(FIRST_PORT, 2 * NODES)
    pages = {}
    try:
        for number in range(1, NODES + 1):
            pages[f"Node {number}"] = f"127.0.0.1:{base + NODES + number - 1}"
            peers = [f"--peer=127.0.0.1:{base + each}" for each in range(min(2, number - 1))]
            words = ("--interface=127.0.0.1", f"--port={base + number - 1}", *peers)
            more = ("--network=watched", f"--name=Node {number}", "--founders=Node 1,Node 2,Node 3")
            web = f"--http={pages[f'Node {number}']}"
            log = folder / f"{number}.log"
            nodes.append(chordnode(*words, *more, web, "--store=memory", log=log))
        yield pages
    finally:
        for node in nodes:
            node.terminate()
        for node in nodes:
            node.wait(30)


@pytest.fixture(scope="module")
def prometheus(pages, tmp_path_factory) -> Iterator[str]:
    """The address of a Prometheus that reads them every second."""
    folder = tmp_path_factory.mktemp("prometheus")
    targets = ", ".join(f'"{address}"' for address in pages.values())
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s, evaluation_interval: 1s}\n"
        f'rule_files: ["{RULES}"]\n'
        f"scrape_configs: [{{job_name: chordnet, static_configs: [{{targets: [{targets}]}}]}}]\n"
    )
    subprocess.run(["promtool", "check", "config", folder / "prometheus.yml"], check=True)
    address = f"127.0.0.1:{free_range(FIRST_PORT + 2 * NODES, 1)}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
            ],
            stdout=log,
            stderr=log,
        )
        try:
            yield address
        finally:
            process.terminate()
            process.wait(30)


def ask(address: str, expression: str) -> list[dict]:
    """Return what Prometheus finds for an expression, once it answers."""
    query = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"http://{address}/api/v1/query?{query}", timeout=10) as answer:
        return json.load(answer)["data"]["result"]


def until(address: str, expression: str, number: int) -> list[dict]:
    """Wait until Prometheus finds so many results."""
    deadline, found = time.monotonic() + LIMIT_S, []
    while time.monotonic() < deadline:
        try:
            found = ask(address, expression)
        except (urllib.error.URLError, ConnectionError):
            found = []
        if len(found) == number:
            return found
        time.sleep(0.5)
    raise AssertionError(f"{expression}: {len(found)} results and not {number}: {found[:3]}")


def test_prometheus_reads_sixteen_nodes_and_each_is_ready(prometheus):
    ready = until(prometheus, "chordnet_ready == 1", NODES)
    assert {each["metric"]["node"] for each in ready} == {f"Node {n}" for n in range(1, NODES + 1)}
    assert {each["metric"]["network"] for each in ready} == {"watched"}
    assert len(ask(prometheus, 'up{job="chordnet"} == 1')) == NODES


def test_no_alert_is_pending_or_fires_while_all_is_well(prometheus):
    until(prometheus, "chordnet_ready == 1", NODES)
    assert ask(prometheus, 'ALERTS{alertstate="firing"}') == []


def test_every_metric_that_a_rule_names_is_there(prometheus):
    until(prometheus, "chordnet_ready == 1", NODES)
    named = set(re.findall(r"chordnet_[a-z_]+", RULES.read_text()))
    assert len(named) > 5
    for name in named:
        assert ask(prometheus, name), name


def test_the_tool_finds_nothing_wrong_with_names_and_rules(pages):
    subprocess.run(["promtool", "check", "rules", RULES], check=True)
    with urllib.request.urlopen(f"http://{pages['Node 1']}/metrics", timeout=10) as answer:
        page = answer.read()
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=page, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == b"", done.stderr


def test_a_node_that_dies_sets_off_the_alert_that_names_it(prometheus, pages, nodes):
    until(prometheus, "chordnet_ready == 1", NODES)
    nodes[-1].kill()
    (alert,) = until(prometheus, 'ALERTS{alertname="ChordnetNodeDown"}', 1)
    assert alert["metric"]["instance"] == pages[f"Node {NODES}"]
