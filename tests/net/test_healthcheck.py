"""The container's health check, against a node whose answers are laid out in advance."""

import contextlib
import io
import socket
import subprocess
import sys
from threading import Thread

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet import healthcheck
from chordnet.core.base.messages import NodeRef
from chordnet.wire.codec import encode_frame, read_hello, read_request
from chordnet.wire.framing import FrameDecoder
from chordnet.wire.greeting import CLIENT, MAGIC, VERSION, Hello, Refuse, Welcome
from chordnet.wire.rpc import (
    Failure,
    FingerEntry,
    GetStatus,
    NodeInfo,
    NodeStatus,
    StatusReply,
)

WELCOME = Welcome(2, NodeRef(b"\x01" * 20, 1, "127.0.0.1:7001", "Node 1"))


def status(state: str, reason: str = "", *, joined: bool = True) -> StatusReply:
    node = NodeInfo("01" * 20, "Node 1", "127.0.0.1:7001")
    return StatusReply(
        1,
        NodeStatus(
            node, "default", "0.1.0", 160, 1, state, None, [], [], "", 0, 0, 1.0, {}, reason, joined
        ),
    )


class Pieces:
    """A connection from which data comes in pieces of one size."""

    def __init__(self, data: bytes, size: int) -> None:
        self.data = data
        self.size = size

    def recv(self, most: int) -> bytes:
        piece, self.data = self.data[: min(most, self.size)], self.data[min(most, self.size) :]
        return piece


class Ask(SynchronousTestCase):
    """One connection, its node's side written before the question is read."""

    def setUp(self):
        self.ours, self.node = socket.socketpair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.node.close)
        self.ours.settimeout(5)

    def answer(self, *messages) -> None:
        for message in messages:
            self.node.sendall(encode_frame(message))
        self.node.shutdown(socket.SHUT_WR)

    def test_status_is_returned(self):
        self.answer(WELCOME, status("active"))
        answer = healthcheck.ask(self.ours)
        self.assertEqual((answer.name, answer.state, answer.joined), ("Node 1", "active", True))

    def test_it_introduces_itself_as_a_client(self):
        self.answer(WELCOME, status("joining"))
        healthcheck.ask(self.ours)
        hello, question = FrameDecoder(10_000).feed(self.node.recv(10_000))
        self.assertEqual(read_hello(hello), Hello(MAGIC, VERSION, "", 0, CLIENT))
        self.assertEqual(read_request(question), GetStatus(1))

    def test_a_refusal_is_told(self):
        self.answer(Refuse("version", "version 9 is spoken here"))
        error = self.assertRaises(healthcheck.NoNode, healthcheck.ask, self.ours)
        self.assertIn("version 9 is spoken here", str(error))

    def test_a_failure_is_told(self):
        self.answer(WELCOME, Failure(1, "Busy", "ask again"))
        error = self.assertRaises(healthcheck.NoNode, healthcheck.ask, self.ours)
        self.assertEqual(str(error), "it answered [126, 1, 'Busy', 'ask again']")

    def test_a_connection_that_closed_early_is_told(self):
        self.answer(WELCOME)
        self.assertRaises(ConnectionError, healthcheck.ask, self.ours)

    def test_an_answer_with_every_kind_of_value_in_it(self):
        node = NodeInfo("01" * 20, "Node " + "é" * 200, "127.0.0.1:7001")
        finger = FingerEntry(159, node)
        numbers = {"small": -1, "byte": 200, "short": -300, "long": 2**33, "longest": 2**62}
        answer = NodeStatus(
            node, "n" * 300, "0.1.0", 160, 2**62, "joining", node, [node] * 20, [finger] * 70,
            "1:2", 70_000, 0, 0.5, numbers | {f"counter-{n}": n for n in range(20)},
            "no peer answers",
        )  # fmt: skip
        self.answer(WELCOME, StatusReply(1, answer))
        found = healthcheck.ask(self.ours)
        seen = (found.name, found.state, found.reason, found.joined)
        self.assertEqual(seen, (node.name, "joining", "no peer answers", False))

    def test_values_of_every_width_are_read_to_their_end(self):
        texts = ["", "a", "b" * 31, "c" * 32, "d" * 255, "e" * 256, "f" * 70_000]
        lists = [[1] * size for size in (0, 15, 16, 70_000)]
        maps = [{f"k{n}": n & 1 for n in range(size)} for size in (0, 15, 16, 70_000)]
        data = [text.encode() for text in texts]
        numbers = [0, 127, -1, -32, 128, 256, 2**16, 2**32, -33, -129, -(2**15) - 1, -(2**40), 0.5]
        for value in [*texts, *lists, *maps, *data, *numbers, None, False, True]:
            found, at = healthcheck._read(b"\xc0" + msgspec.msgpack.encode(value) + b"rest", 1)
            self.assertEqual(at, 1 + len(msgspec.msgpack.encode(value)))
            if isinstance(value, str | bytes):
                self.assertEqual(found, value if isinstance(value, str) else value.decode())
            elif isinstance(value, list) or value is None or value in (False, True):
                self.assertEqual(found, value)
            elif isinstance(value, dict):
                self.assertEqual(found, [part for item in value.items() for part in item])

    def test_a_message_is_put_together_of_whatever_pieces_come(self):
        value = "x" * 300
        content = msgspec.msgpack.encode(value)
        data = len(content).to_bytes(4) + content + b"rest"
        for size in (1, 3, 4, 5, len(data) - 4, len(data)):
            with self.subTest(size):
                pieces = Pieces(data, size)
                found, behind = healthcheck._next(pieces, b"")
                self.assertEqual((found, behind + pieces.data), (value, b"rest"))

    def test_a_message_of_the_longest_length_is_read_and_one_that_is_longer_is_not(self):
        longest = 262_144
        content = msgspec.msgpack.encode(b"x" * (longest - 5))
        self.assertEqual(len(content), longest)
        pieces = Pieces(len(content).to_bytes(4) + content, 65536)
        self.assertEqual(len(healthcheck._next(pieces, b"")[0]), longest - 5)
        pieces = Pieces((longest + 1).to_bytes(4) + content + b"x", 65536)
        error = self.assertRaises(ValueError, healthcheck._next, pieces, b"")
        self.assertEqual(str(error), "a frame that is too long")
        self.assertRaises(IndexError, healthcheck._next, Pieces(bytes(4), 4), b"")
        pieces = Pieces((longest + 1).to_bytes(4), 4)
        self.assertRaises(ValueError, healthcheck._next, pieces, b"")

    def test_what_is_no_answer_is_refused(self):
        for frame in (b"\x93\x3d\x01", b"\x91" * 5000, b"\xc1", b"\x92\x3d\xc0", b"\x90", b"\x01"):
            with self.subTest(frame[:4]):
                self.setUp()
                self.node.sendall(len(frame).to_bytes(4) + frame)
                self.node.shutdown(socket.SHUT_WR)
                try:
                    healthcheck.ask(self.ours)
                except (healthcheck.NoNode, ConnectionError):
                    continue
                self.fail("taken for an answer")

    def test_what_is_no_chordnet_node_is_told(self):
        self.node.sendall(b"HTTP/1.0 400 Bad Request\r\n")
        self.assertRaises(healthcheck.NoNode, healthcheck.ask, self.ours)


class Main(SynchronousTestCase):
    """The exit status and the one line."""

    def run_with(self, port: str) -> tuple[int, str]:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            code = healthcheck.main({"CHORDNET_PORT": port})
        return code, printed.getvalue()

    def listen(self) -> tuple[socket.socket, str]:
        listener = socket.create_server((healthcheck.HOST, 0))
        self.addCleanup(listener.close)
        return listener, str(listener.getsockname()[1])

    def test_a_port_that_kubernetes_set_for_a_service_is_passed_over(self):
        listener, port = self.listen()
        listener.close()
        injected = {"CHORDNODE_PORT": "tcp://10.0.0.1:7001", "CHORDNET_PORT": port}
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            self.assertEqual(healthcheck.main(injected), 1)
        self.assertIn(f"the node on 127.0.0.1:{port} does not answer", printed.getvalue())

    def test_the_address_may_be_given(self):
        listener, port = self.listen()
        listener.close()
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            code = healthcheck.main({"CHORDNET_PORT": "1"}, [f"127.0.0.1:{port}"])
        self.assertEqual(code, 1)
        self.assertIn(f"the node on 127.0.0.1:{port} does not answer", printed.getvalue())

    def test_what_is_no_address_is_refused(self):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            self.assertEqual(healthcheck.main({}, ["nonsense"]), 1)
        self.assertIn("write HOST:PORT", printed.getvalue())

    def test_a_port_where_nobody_listens_is_not_healthy(self):
        listener, port = self.listen()
        listener.close()
        code, text = self.run_with(port)
        self.assertEqual(code, 1)
        self.assertIn(f"127.0.0.1:{port} does not answer", text)

    def test_an_unusable_port_is_one_line(self):
        for port in ("seven", "70000"):
            with self.subTest(port):
                code, text = self.run_with(port)
                self.assertEqual((code, text.count("\n")), (1, 1))

    def test_only_an_active_node_is_healthy(self):
        for state, expected in (("active", 0), ("forming", 1), ("leaving", 1)):
            with self.subTest(state):
                code, text = self.answered_by(state)
                self.assertEqual((code, text), (expected, f"Node 1 is {state}\n"))

    def test_why_a_node_is_in_no_ring_is_said(self):
        code, text = self.answered_by("seeking", "no peer\n(n2: silent)")
        self.assertEqual((code, text), (1, "Node 1 is seeking: no peer?(n2: silent)\n"))

    def test_a_node_whose_neighbours_have_not_taken_it_in_is_not_ready(self):
        code, text = self.answered_by("active", joined=False)
        self.assertEqual(code, 1)
        self.assertEqual(
            text, "Node 1 is active, and its neighbours have not both accepted it yet\n"
        )

    def answered_by(self, state: str, reason: str = "", *, joined: bool = True) -> tuple[int, str]:
        """Run the check; the node's side answers from a thread, as the check blocks."""
        listener, port = self.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(
                    encode_frame(WELCOME) + encode_frame(status(state, reason, joined=joined))
                )
                while connection.recv(1024):
                    pass

        thread = Thread(target=serve)
        thread.start()
        result = self.run_with(port)
        thread.join(5)
        return result


class Weight(SynchronousTestCase):
    """It runs every few seconds in every container."""

    def test_as_the_image_runs_it_nothing_is_loaded_but_what_python_has_built_in(self):
        path = healthcheck.__file__
        words = [sys.executable, "-I", "-S", "-X", "importtime", path, "nonsense"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout.count("\n")), (1, 1), done.stderr)
        loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
        self.assertIn("_socket", loaded)
        heavy = {"socket", "typing", "re", "enum", "collections", "msgspec", "chordnet", "twisted"}
        self.assertEqual(loaded & heavy, set())


class Edges(SynchronousTestCase):
    """Numbers that are read past, ports that can be dialled, and how long a step may take."""

    def test_numbers_of_every_kind_are_read_past(self):
        sizes = {
            0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4,
            0xD3: 8,
        }  # fmt: skip
        for first, size in sizes.items():
            data = b"\xc0" + bytes([first]) + b"\x01" * 8
            self.assertEqual(healthcheck._read(data, 1), (0, 2 + size), hex(first))

    def test_small_numbers_are_their_own_byte(self):
        for first in (0, 1, 0x7F, 0xE0, 0xFF):
            self.assertEqual(healthcheck._read(bytes([first, 5]), 0), (first, 1))

    def test_what_has_a_length_is_read_to_its_end_however_the_length_is_written(self):
        rows = [
            (b"\x81\x01\x02", [1, 2]),
            (b"\x92\x01\x02", [1, 2]),
            (b"\xa2ab", "ab"),
            (b"\xc4\x02ab", "ab"),
            (b"\xc5\x00\x02ab", "ab"),
            (b"\xc6\x00\x00\x00\x02ab", "ab"),
            (b"\xd9\x02ab", "ab"),
            (b"\xda\x00\x02ab", "ab"),
            (b"\xdb\x00\x00\x00\x02ab", "ab"),
            (b"\xdc\x00\x02\x01\x02", [1, 2]),
            (b"\xdd\x00\x00\x00\x02\x01\x02", [1, 2]),
            (b"\xde\x00\x01\x01\x02", [1, 2]),
            (b"\xdf\x00\x00\x00\x01\x01\x02", [1, 2]),
        ]
        for data, value in rows:
            self.assertEqual(healthcheck._read(data + b"rest", 0), (value, len(data)), data)

    def test_no_more_is_read_at_a_time_than_64_kib(self):
        asked = []

        class Counting(Pieces):
            def recv(self, most: int) -> bytes:
                asked.append(most)
                return super().recv(most)

        healthcheck._next(Counting(b"\x00\x00\x00\x01\x05", 2), b"")
        self.assertEqual(asked, [65_536] * 3)

    def test_ports_from_1_to_65535_can_be_dialled(self):
        for port in ("0", "-1", "65536", "70000", "seven", ""):
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                self.assertEqual(healthcheck.main({}, [f"127.0.0.1:{port}"]), 1)
            self.assertIn("is not an address", printed.getvalue(), port)
        for port in ("1", "65535"):
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                self.assertEqual(healthcheck.main({}, [f"127.0.0.1:{port}"]), 1)
            self.assertIn("does not answer", printed.getvalue(), port)

    def test_every_step_may_take_three_seconds(self):
        with socket.create_server((healthcheck.HOST, 0)) as listener:
            connection = healthcheck.connect("127.0.0.1", listener.getsockname()[1])
            self.addCleanup(connection.close)
            self.assertEqual(connection.gettimeout(), 3.0)

    def test_without_a_word_the_usual_port_is_asked(self):
        self.assertEqual((healthcheck.HOST, healthcheck.DEFAULT_PORT), ("127.0.0.1", 7001))
