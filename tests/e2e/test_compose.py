"""``compose/compose.yaml`` by itself: sixteen secured nodes, started by Compose and nothing else.

Runs where ``CHORDNET_E2E_DOCKER=1`` is set and an engine with Compose answers. The file is taken as
it stands, but for the published ports, which are moved to a free range, and the project's name, so
that a network that somebody runs is left alone.
"""

import json
import os
import socket
import ssl
import stat
import subprocess
import time
from pathlib import Path

import pytest

from chordnet.core.base.errors import ChordnetError, RemoteProtocolError
from chordnet.wire.codec import encode_frame, frame_limit, read_answer, read_reply
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.greeting import CLIENT, GREETING_LIMIT, MAGIC, VERSION, Hello, Welcome
from chordnet.wire.rpc import GetStatus, NodeStatus, StatusReply

ROOT = Path(__file__).parents[2]
NODES = range(1, 17)
PROJECT = f"chordnet-e2e-{os.getpid()}"
PATIENCE_S = 60.0
USER = 54321 if os.geteuid() == 0 else os.geteuid()
"""Who owns the directory that the operator's identity is left in."""

pytestmark = pytest.mark.skipif(
    os.environ.get("CHORDNET_E2E_DOCKER") != "1",
    reason="needs Docker with Compose; set CHORDNET_E2E_DOCKER=1 (make test-docker)",
)


def secured(connection: socket.socket, identity: Path) -> ssl.SSLSocket:
    """Return the connection secured as any program can do it, with files of an identity."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.load_verify_locations(identity / "roots.pem")
    context.load_cert_chain(identity / "certificate.pem", identity / "key.pem")
    context.set_alpn_protocols(["chordnet/1"])
    return context.wrap_socket(connection)


def ask(connection: socket.socket) -> NodeStatus:
    """The status of the node at the other end of a fresh connection."""
    connection.sendall(encode_frame(Hello(MAGIC, VERSION, "", 0, CLIENT)))
    decoder = FrameDecoder(frame_limit(max_body_bytes=65536), GREETING_LIMIT)
    frames: list[bytes] = []

    def next_frame() -> bytes:
        while not frames:
            data = connection.recv(65536)
            if not data:
                raise ConnectionError("it closed the connection")
            frames.extend(decoder.feed(data))
        return frames.pop(0)

    if not isinstance(read_answer(next_frame()), Welcome):
        raise RemoteProtocolError("it refused")
    connection.sendall(encode_frame(GetStatus(1)))
    reply = read_reply(next_frame())
    assert isinstance(reply, StatusReply)
    return reply.status


class Network:
    """The sixteen containers, seen through Compose and the published ports."""

    def __init__(self, file: Path, base_port: int, home: Path) -> None:
        self._file = file
        self.home = home
        self.base_port = base_port

    def compose(self, *words: str) -> subprocess.CompletedProcess:
        command = ["docker", "compose", "--project-name", PROJECT, "--file", str(self._file)]
        return subprocess.run(
            [*command, *words], check=True, capture_output=True, text=True, timeout=600
        )

    def inspect(self, number: int, wanted: str) -> str:
        container = self.compose("ps", "--all", "--quiet", f"node-{number}").stdout.strip()
        command = ["docker", "inspect", "--format", wanted, container]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def status(self, number: int):
        """The node's own status, None while it does not answer."""
        try:
            address = ("127.0.0.1", self.base_port + number)
            with (
                socket.create_connection(address, 2.0) as plain,
                secured(plain, self.home / "networks/default/operator") as connection,
            ):
                return ask(connection)
        except (OSError, ChordnetError):
            return None

    def wait_for_one_ring(self, numbers=NODES) -> dict:
        """Wait until neighbours are right by their identifiers alone, and return every status."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            statuses = {number: self.status(number) for number in numbers}
            if all(statuses.values()) and in_one_ring(list(statuses.values())):
                return statuses
            time.sleep(0.2)
        seen = {n: s and (s.state, s.successors[:1], s.predecessor) for n, s in statuses.items()}
        pytest.fail(f"no ring of {len(numbers)} after {PATIENCE_S:.0f} s: {seen}")


def in_one_ring(statuses) -> bool:
    """Whether every node is active and points at its true neighbours on the circle."""
    ordered = sorted(statuses, key=lambda status: int(status.node.id, 16))
    return all(
        status.state == "active"
        and status.successors
        and status.successors[0].id == ordered[(place + 1) % len(ordered)].node.id
        and status.predecessor is not None
        and status.predecessor.id == ordered[place - 1].node.id
        for place, status in enumerate(ordered)
    )


def free_range() -> int:
    """A port after which sixteen are free on 127.0.0.1."""
    for base in range(21000, 30000, 100):
        try:
            for number in NODES:
                socket.create_server(("127.0.0.1", base + number)).close()
        except OSError:
            continue
        return base
    pytest.fail("no sixteen free ports in a row")


def moved(base_port: int, home: Path) -> dict:
    """The compose file as data, its published ports and the image's name moved out of the way."""
    file = str(ROOT / "compose" / "compose.yaml")
    shown = subprocess.run(
        ["docker", "compose", "--file", file, "config", "--format", "json"],
        check=True,
        capture_output=True,
        text=True,
    )
    project = json.loads(shown.stdout)
    project["name"] = PROJECT
    # Named after the project of the file; let Compose name them after this one.
    project["volumes"] = {name: {} for name in project["volumes"]}
    project["networks"] = {"default": {}}
    identities = project["services"]["identities"]
    identities["image"] = f"{PROJECT}:latest"
    (bound,) = [each for each in identities["volumes"] if each["type"] == "bind"]
    bound["source"] = str(home)
    for number in NODES:
        service = project["services"][f"node-{number}"]
        assert [port["published"] for port in service["ports"]] == [str(7000 + number)]
        assert service["ports"][0]["host_ip"] == "127.0.0.1"
        service["ports"][0]["published"] = str(base_port + number)
        service["image"] = f"{PROJECT}:latest"
    return project


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    base_port = free_range()
    directory = tmp_path_factory.mktemp("compose")
    file, home = directory / "compose.json", directory / "home"
    home.mkdir()
    os.chown(home, USER, USER)
    file.write_text(json.dumps(moved(base_port, home)))
    network = Network(file, base_port, home)
    try:
        network.compose("up", "--detach")
        yield network
    finally:
        network.compose("down", "--volumes", "--rmi", "local", "--timeout", "20")
        subprocess.run(["docker", "rmi", f"{PROJECT}:latest"], check=False, capture_output=True)


def test_sixteen_nodes_make_one_ring(network):
    statuses = network.wait_for_one_ring()
    assert {status.node.name for status in statuses.values()} == {f"Node {n}" for n in NODES}


def test_what_operates_the_network_is_left_on_the_host_for_the_owner_of_its_directory(network):
    operator = network.home / "networks" / "default" / "operator"
    (link,) = (network.home / "identities").iterdir()
    assert link.resolve() == operator
    for path in network.home.rglob("*"):
        found = path.lstat()
        assert found.st_uid == USER, path
        if not path.is_symlink():
            assert stat.S_IMODE(found.st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_client_without_an_identity_is_told_so(network):
    network.wait_for_one_ring()
    with socket.create_connection(("127.0.0.1", network.base_port + 3), 2.0) as connection:
        connection.sendall(encode_frame(Hello(MAGIC, VERSION, "", 0, CLIENT)))
        assert b"this network is secured" in connection.recv(65536)


def test_a_node_has_its_own_identity_and_no_key_can_be_seen_from_outside(network):
    network.wait_for_one_ring()
    listed = network.compose(
        "exec", "-T", "node-7", "find", "/var/lib/chordnet/identity", "-printf", "%f %m %u\\n"
    )
    assert set(listed.stdout.splitlines()) == {
        "identity 700 chordnet",
        "bundle.json 600 chordnet",
        "certificate.pem 600 chordnet",
        "key.pem 600 chordnet",
        "roots.pem 600 chordnet",
    }
    keys = [path.read_text().split("\n")[1] for path in network.home.rglob("*key.pem")]
    assert len(keys) == len(NODES) + 1 + 2
    shown = "".join(network.inspect(n, "{{json .}}") for n in (1, 2, 7))
    shown += network.compose("logs").stdout + network.compose("config").stdout
    image = ["docker", "history", "--no-trunc", f"{PROJECT}:latest"]
    shown += subprocess.run(image, check=True, capture_output=True, text=True).stdout
    assert "PRIVATE KEY" not in shown
    assert not [key for key in keys if key in shown]


def test_a_healthy_container_is_a_ready_node(network):
    network.wait_for_one_ring()
    checked = network.compose("exec", "-T", "node-7", "python", "-m", "chordnet.healthcheck")
    assert checked.stdout.splitlines()[0] == "ready"


def test_container_has_no_privileges(network):
    assert network.compose("exec", "-T", "node-7", "id", "-u").stdout.strip() != "0"
    with pytest.raises(subprocess.CalledProcessError):
        network.compose("exec", "-T", "node-7", "touch", "/opt/chordnet/mark")


def test_sigterm_leaves_in_order_and_a_restart_keeps_the_identity(network):
    before = network.wait_for_one_ring()[9]
    network.compose("stop", "node-9")
    assert network.inspect(9, "{{.State.ExitCode}}") == "143"
    assert "is left" in network.compose("logs", "node-9").stdout
    network.wait_for_one_ring([number for number in NODES if number != 9])
    network.compose("up", "--detach", "--no-build", "node-9")
    after = network.wait_for_one_ring()[9]
    assert after.node.id == before.node.id
    assert after.incarnation > before.incarnation


def test_bootstrap_peer_is_killed_and_comes_back(network):
    network.wait_for_one_ring()
    network.compose("kill", "node-1")
    network.wait_for_one_ring([number for number in NODES if number != 1])
    network.compose("up", "--detach", "--no-build", "node-1")
    network.wait_for_one_ring()
