"""Send a node a million frames that no honest program would send, and see that it goes on serving.

``python -m benchmarks.fuzz`` starts two nodes that are one ring. To one of them it opens one
connection after the other, as a node or as a client, and sends frames with any values in the
fields, the last one of each connection damaged or cut off. ``--secured`` gives both nodes, and the
sender, certificates of an authority made for this. At the end the node must answer, both must
record a broadcast, the log must hold no traceback, and the memory must have stayed within a limit.
"""

from __future__ import annotations

import argparse
import random
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from benchmarks.errors import BenchmarkError
from benchmarks.procfs import parse_status
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import NodeRef, PeerMessage
from chordnet.trust.authority import Authority
from chordnet.trust.base.subjects import Role
from chordnet.wire.codec import encode_frame, read_answer, read_reply
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.greeting import CLIENT, MAGIC, PEER, VERSION, Hello, Welcome
from chordnet.wire.rpc import BeginRing, ClientRequest, GetStatus, LeaveRing, SendMessage

SPACE = IdentifierSpace(160)
FRAMES = 1_000_000
ON_ONE = (20, 300)
"""Frames on one connection, from so many to so many; the last is a damaged one."""
GROWTH = 160 * 1024 * 1024
"""Bytes by which the node may grow: its history, and what its limits allow it to hold."""
SECONDS_FOR_EACH = 0.002
"""Seconds that a frame may cost on average, on a slow machine."""
PATIENCE_S = 30.0
HARMLESS = (LeaveRing, BeginRing)
"""Requests that are left out: what they do to a node is no failure of it."""
NAMES = ("target", "other")
INTS = (0, 1, 2, 3, 5, 255, 2**31, 2**53, 2**61, 2**62 - 1, 2**62, 2**63 - 1, -1, -(2**63))
FLOATS = (0.0, -1.0, 1.5, 1.7e9, 1e300, float("inf"), float("nan"))


class Maker:
    """Makes messages with any values from their types.

    :param rng: what chance there is.
    :param raws: identifiers that mean something to the node.
    """

    def __init__(self, rng: random.Random, raws: list[bytes]) -> None:
        self._rng = rng
        self._raws = raws
        self._kinds: dict[type, inspect.Type] = {}

    def message(self, kind: type) -> Any:
        """Return a message of a type."""
        known = self._kinds.get(kind)
        if known is None:
            known = self._kinds[kind] = inspect.type_info(kind)
        return self._value(known, 0)

    def _value(self, kind: inspect.Type, depth: int) -> Any:
        rng = self._rng
        match kind:
            case inspect.StructType():
                values = {each.name: self._value(each.type, depth + 1) for each in kind.fields}
                return kind.cls(**values)
            case inspect.UnionType():
                return self._value(rng.choice(kind.types), depth)
            case inspect.ListType() | inspect.VarTupleType():
                found = [
                    self._value(kind.item_type, depth + 1)
                    for _ in range(rng.choice((0, 0, 1, 1, 2, 5 if depth < 3 else 1)))
                ]
                return tuple(found) if isinstance(kind, inspect.VarTupleType) else found
            case inspect.TupleType():
                return tuple(self._value(each, depth + 1) for each in kind.item_types)
            case inspect.DictType():
                return {}
            case inspect.EnumType():
                return rng.choice(list(kind.cls))
            case inspect.LiteralType():
                return rng.choice(list(kind.values))
        return self._simple(kind)

    def _simple(self, kind: inspect.Type) -> Any:
        rng = self._rng
        match kind:
            case inspect.IntType():
                return rng.choice(INTS) if rng.random() < 0.7 else rng.randrange(100)
            case inspect.FloatType():
                return rng.choice(FLOATS)
            case inspect.StrType():
                return rng.choice(("", "a", "n" * 300, "10.0.0.1:7001", "é\u202e", "key"))
            case inspect.BytesType():
                return rng.choice(self._raws) if rng.random() < 0.6 else rng.randbytes(20)
            case inspect.BoolType():
                return rng.random() < 0.5
        return None

    def damaged(self, frame: bytes) -> bytes:
        """Return a frame that is cut off, or changed behind its header."""
        rng = self._rng
        data = bytearray(frame)
        if rng.random() < 0.3:
            return bytes(data[: rng.randrange(len(data))])
        for _ in range(rng.randrange(1, 5)):
            data[rng.randrange(4, len(data)) if len(data) > 4 else 0] = rng.randrange(256)
        return bytes(data)


class Nodes:
    """Two nodes, each a process, in one ring."""

    def __init__(self, folder: Path, base_port: int, *, secured: bool) -> None:
        self.folder = folder
        self.ports = dict(zip(NAMES, (base_port, base_port + 1), strict=True))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.context: ssl.SSLContext | None = None
        self.visitor: ssl.SSLContext | None = None
        self._secured = secured
        if secured:
            self._certify()

    def _certify(self) -> None:
        now = time.time()
        authority = Authority.create("fuzz", now)
        for name in (*NAMES, "stranger"):
            authority.identity(Role.PEER, name, now).save(self.folder / "keys" / name)
        authority.identity(Role.SEND, "visitor", now).save(self.folder / "keys" / "visitor")
        self.context, self.visitor = self._tls("stranger"), self._tls("visitor")

    def _tls(self, name: str) -> ssl.SSLContext:
        keys = self.folder / "keys" / name
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        context.load_verify_locations(keys / "roots.pem")
        context.load_cert_chain(keys / "certificate.pem", keys / "key.pem")
        context.set_alpn_protocols(["chordnet/1"])
        return context

    def start(self, name: str) -> None:
        """Start one node; its log goes to a file."""
        command = [
            sys.executable, "-m", "twisted", "chordnode", "--name", name,
            "--port", str(self.ports[name]), "--interface", "127.0.0.1",
        ]  # fmt: skip
        if name != NAMES[0]:
            command += ["--peer", f"127.0.0.1:{self.ports[NAMES[0]]}"]
        else:
            command.append("--alone")
        if self._secured:
            command += ["--identity", str(self.folder / "keys" / name)]
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder
            )

    def log(self, name: str) -> str:
        """Return what a node has logged."""
        return (self.folder / f"{name}.log").read_text("utf-8", "replace")

    def memory(self) -> tuple[int, int]:
        """Return the resident memory of the target, and its peak, in bytes."""
        pid = self.processes[NAMES[0]].pid
        return parse_status(Path(f"/proc/{pid}/status").read_text("utf-8"))

    def connect(self, *, peer: bool) -> socket.socket:
        """Return a connection with the target."""
        plain = socket.create_connection(("127.0.0.1", self.ports[NAMES[0]]), timeout=PATIENCE_S)
        context = self.context if peer else self.visitor
        return plain if context is None else context.wrap_socket(plain)

    def stop(self) -> None:
        """Stop the nodes."""
        for process in self.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def hello(*, peer: bool, incarnation: int) -> Hello:
    """Return the greeting of the sender."""
    if not peer:
        return Hello(MAGIC, VERSION, "", 0, CLIENT, None, VERSION)
    raw = SPACE.raw(SPACE.hash(b"stranger"))
    me = NodeRef(raw, incarnation, "127.0.0.1:9", "stranger")
    return Hello(MAGIC, VERSION, "default", SPACE.bits, PEER, me, VERSION)


class Talk:
    """One connection that is spoken on step by step."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._decoder = FrameDecoder(1 << 24)
        self._frames: list[bytes] = []

    def ask(self, message: msgspec.Struct, read: Callable[[bytes], Any]) -> Any:
        """Send a message and return the next that comes.

        :raises BenchmarkError: none comes.
        """
        self._connection.sendall(encode_frame(message))
        deadline = time.monotonic() + PATIENCE_S
        while not self._frames:
            data = self._connection.recv(65536)
            if not data or time.monotonic() > deadline:
                raise BenchmarkError("the node does not answer")
            self._frames += self._decoder.feed(data)
        return read(self._frames.pop(0))


def ask_client(nodes: Nodes, request: msgspec.Struct) -> Any:
    """Return the target's reply to a request of a client."""
    with nodes.connect(peer=False) as connection:
        talk = Talk(connection)
        talk.ask(hello(peer=False, incarnation=0), read_answer)
        return talk.ask(request, read_reply)


def recorded(nodes: Nodes, body: str) -> int:
    """Return how many nodes have recorded a broadcast."""
    reply = ask_client(nodes, SendMessage(1, body))
    receipt = getattr(reply, "receipt", None)
    return receipt.recorded if receipt is not None else 0


def wait_for_ring(nodes: Nodes) -> None:
    """Return once both nodes record what is sent.

    :raises BenchmarkError: it takes too long.
    """
    deadline = time.monotonic() + PATIENCE_S
    number = 0
    while time.monotonic() < deadline:
        number += 1
        try:
            if recorded(nodes, f"both-{number}") == len(NAMES):
                return
        except (OSError, BenchmarkError):
            pass
        time.sleep(0.2)
    raise BenchmarkError("the two nodes are no ring: " + nodes.log(NAMES[0])[-500:])


class Sender:
    """Sends the frames, and counts what became of them."""

    def __init__(self, nodes: Nodes, rng: random.Random) -> None:
        self._nodes = nodes
        self._rng = rng
        raws = [SPACE.raw(SPACE.hash(name.encode())) for name in (*NAMES, "stranger")]
        self._maker = Maker(rng, raws)
        self._incarnation = int(time.time() * 1000)
        self.counts: Counter[str] = Counter()
        self.bytes = 0

    def send(self, frames: int) -> None:
        """Send so many frames, on as many connections as it takes."""
        while self.counts["frames"] < frames:
            wanted = min(self._rng.randrange(*ON_ONE), frames - self.counts["frames"])
            self._connection(wanted, peer=self._rng.random() < 0.7)

    def _connection(self, frames: int, *, peer: bool) -> None:
        kinds = [
            each
            for each in (PeerMessage if peer else ClientRequest).__args__  # type: ignore[attr-defined]
            if each not in HARMLESS
        ]
        data = [encode_frame(self._maker.message(self._rng.choice(kinds))) for _ in range(frames)]
        kind = self._rng.random()
        if kind < 0.9:
            data[-1] = self._maker.damaged(data[-1])
        self.counts["damaged"] += kind < 0.9
        self.counts["frames"] += frames
        self.counts["as a node" if peer else "as a client"] += frames
        try:
            with self._nodes.connect(peer=peer) as connection:
                greeting = hello(peer=peer, incarnation=self._incarnation)
                answer = Talk(connection).ask(greeting, read_answer)
                if not isinstance(answer, Welcome):
                    self.counts["refused: " + answer.code] += 1
                    return
                self.counts["connections"] += 1
                self._write(connection, b"".join(data))
        except (OSError, BenchmarkError):
            self.counts["cut while sending"] += 1

    def _write(self, connection: socket.socket, data: bytes) -> None:
        """Write everything, and read what comes meanwhile so that the node need not hold it."""
        connection.settimeout(0.05)
        self.bytes += len(data)
        for piece in _pieces(data, 16384):
            connection.sendall(piece)
            connection.settimeout(0.0)
            try:
                while connection.recv(65536):
                    pass
            except (BlockingIOError, ssl.SSLWantReadError):
                pass
            connection.settimeout(5.0)


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def run(frames: int, seed: int, base_port: int, *, secured: bool) -> list[str]:
    """Send the frames; print what happened and return what is wrong."""
    with tempfile.TemporaryDirectory(prefix="chordnet-fuzz-") as folder:
        nodes = Nodes(Path(folder), base_port, secured=secured)
        try:
            for name in NAMES:
                nodes.start(name)
            wait_for_ring(nodes)
            before, _peak = nodes.memory()
            begun = time.monotonic()
            sender = Sender(nodes, random.Random(seed))
            sender.send(frames)
            seconds = time.monotonic() - begun
            after, peak = nodes.memory()
            print(f"{'secured' if secured else 'plain'}, seed {seed}: {seconds:.0f} s,")
            for name, count in sorted(sender.counts.items()):
                print(f"  {count:>9,} {name}")
            print(f"  {sender.bytes:>9,} bytes")
            for label, size in (("before", before), ("after", after), ("at most", peak)):
                print(f"  {size / 1e6:>9.1f} MB {label}")
            return _wrong(nodes, seconds / frames, peak - before)
        finally:
            nodes.stop()


def _wrong(nodes: Nodes, each_s: float, growth: int) -> list[str]:
    wrong = []
    time.sleep(2.0)  # what came in the name of a node that is gone is found out
    status = ask_client(nodes, GetStatus(1)).status
    for name, count in sorted(status.counters.items()):
        if "error" in name and count:
            wrong.append(f"{name}: {count}")
        if any(word in name for word in ("refused", "violations", "misbehaved", "slowed")):
            print(f"  {count:>9,} {name}")
    try:
        wait_for_ring(nodes)
    except BenchmarkError as error:
        wrong.append(str(error))
    for name in NAMES:
        if nodes.processes[name].poll() is not None:
            wrong.append(f"{name} has ended")
        if "Traceback" in nodes.log(name):
            text = nodes.log(name)
            wrong.append(f"{name} has logged a traceback: {text[text.index('Traceback') :][:2000]}")
        print(f"  {len(nodes.log(name)):>9,} letters in the log of {name}")
    if growth > GROWTH:
        wrong.append(f"the node has grown by {growth / 1e6:.0f} MB")
    if each_s > SECONDS_FOR_EACH:
        wrong.append(f"a frame has taken {each_s * 1e3:.1f} ms")
    return wrong


def main(arguments: list[str] | None = None) -> int:
    """Run the program; return the status to exit with."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fuzz", description=__doc__)
    parser.add_argument("--frames", type=int, default=FRAMES, help="how many (a million)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--secured", action="store_true", help="over TLS, with certificates")
    parser.add_argument("--base-port", type=int, default=9600, help="the first of two ports")
    given = parser.parse_args(arguments)
    wrong = run(given.frames, given.seed, given.base_port, secured=given.secured)
    for each in wrong:
        print(f"WRONG: {each}")
    print("well" if not wrong else f"{len(wrong)} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
