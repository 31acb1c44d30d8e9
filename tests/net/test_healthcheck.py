"""The container's health check, against answers that are laid out in advance."""

import contextlib
import io
import socket
import subprocess
import sys
from threading import Thread

from twisted.trial.unittest import SynchronousTestCase

from chordnet import healthcheck

READY = b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\nready\n"
UNREADY = b"HTTP/1.1 503 Unavailable\r\n\r\nnot ready: the node is seeking\n"


class Pieces:
    """A connection from which data comes in pieces of one size."""

    def __init__(self, data: bytes, size: int) -> None:
        self.data = data
        self.size = size
        self.sent = b""
        self.asked: list[int] = []

    def sendall(self, data: bytes) -> None:
        self.sent += data

    def recv(self, most: int) -> bytes:
        self.asked.append(most)
        piece, self.data = self.data[: min(most, self.size)], self.data[min(most, self.size) :]
        return piece


class Ask(SynchronousTestCase):
    def test_the_page_ready_is_asked_for_in_one_short_request(self):
        pieces = Pieces(READY, 1000)
        self.assertEqual(healthcheck.ask(pieces), ("200", "ready\n"))
        self.assertEqual(pieces.sent, b"GET /ready HTTP/1.0\r\nHost: localhost\r\n\r\n")

    def test_an_answer_is_put_together_of_whatever_pieces_come(self):
        for size in (1, 2, 7, 40):
            answer = healthcheck.ask(Pieces(UNREADY, size))
            self.assertEqual(answer, ("503", "not ready: the node is seeking\n"))

    def test_no_more_is_read_than_64_kib(self):
        pieces = Pieces(READY + b"x" * 200_000, 60_000)
        _status, text = healthcheck.ask(pieces)
        self.assertEqual(len(text) + READY.index(b"ready"), 65_536)
        self.assertEqual(pieces.asked, [65_536, 5_536])

    def test_what_is_no_answer_of_http_is_told(self):
        for data in (
            b"",
            b"SSH-2.0-x\r\n",
            b"HTTP/1.1\r\n\r\n",
            b"\x00\x00\x00\x05abcde",
            READY[:20],
        ):
            with self.assertRaisesRegex(OSError, "no chordnet node that speaks HTTP"):
                healthcheck.ask(Pieces(data, 1000))


class Main(SynchronousTestCase):
    """What a container engine sees: a line and an exit status."""

    def run_main(self, environ, *words):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = healthcheck.main(environ, words)
        return status, out.getvalue().rstrip("\n")

    def serving(self, answer: bytes, host: str = "127.0.0.1") -> int:
        listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.addCleanup(listening.close)
        listening.bind((host, 0))
        listening.listen(1)

        def serve():
            connection, _peer = listening.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        thread = Thread(target=serve, daemon=True)
        thread.start()
        self.addCleanup(thread.join, 5)
        return listening.getsockname()[1]

    def test_a_ready_node_is_healthy(self):
        port = self.serving(READY)
        self.assertEqual(self.run_main({"CHORDNET_HTTP": str(port)}), (0, "ready"))

    def test_a_node_that_is_not_ready_is_not_healthy_and_says_why(self):
        port = self.serving(UNREADY)
        found = self.run_main({"CHORDNET_HTTP": f"127.0.0.1:{port}"})
        self.assertEqual(found, (1, "not ready: the node is seeking"))

    def test_a_port_on_all_addresses_is_asked_on_this_machine(self):
        port = self.serving(READY)
        self.assertEqual(self.run_main({"CHORDNET_HTTP": f"0.0.0.0:{port}"}), (0, "ready"))

    def test_the_prefix_of_the_options_comes_first_and_a_word_before_both(self):
        port = self.serving(READY)
        environ = {"CHORDNODE_HTTP": str(port), "CHORDNET_HTTP": "1"}
        self.assertEqual(self.run_main(environ)[0], 0)
        port = self.serving(READY)
        self.assertEqual(self.run_main({"CHORDNODE_HTTP": "1"}, f"127.0.0.1:{port}")[0], 0)

    def test_characters_that_do_not_print_become_question_marks(self):
        port = self.serving(b"HTTP/1.1 503 x\r\n\r\nnot ready: \x1b[31m\n")
        self.assertEqual(self.run_main({}, str(port)), (1, "not ready: ?[31m"))

    def test_what_is_no_port_is_refused_in_one_line(self):
        for wrong in ("x", "127.0.0.1:x", "0", "65536", "-1", "99999999999999999999", "127.0.0.1:"):
            status, line = self.run_main({"CHORDNET_HTTP": wrong})
            self.assertEqual(status, 1)
            self.assertEqual(
                line, f"{wrong!r} is no port; write [HOST:]PORT, or set CHORDNET_HTTP to it"
            )

    def test_a_port_where_nobody_listens_is_not_healthy(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        status, line = self.run_main({}, f"127.0.0.1:{port}")
        self.assertEqual(status, 1)
        self.assertRegex(line, f"^the node on 127.0.0.1:{port} does not answer: .*refused")

    def test_without_a_setting_it_is_port_9101_and_every_step_may_take_three_seconds(self):
        self.assertEqual((healthcheck.DEFAULT, healthcheck.TIMEOUT_S), ("9101", 3.0))
        port = self.serving(READY)
        connection = healthcheck.connect("127.0.0.1", port)
        self.addCleanup(connection.close)
        self.assertEqual(connection.gettimeout(), 3.0)
        self.assertEqual(healthcheck.ask(connection)[0], "200")

    def test_as_the_image_runs_it_nothing_is_loaded_but_what_python_has_built_in(self):
        words = [sys.executable, "-I", "-S", "-X", "importtime", healthcheck.__file__, "nonsense"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout.count("\n")), (1, 1), done.stderr)
        loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
        self.assertIn("_socket", loaded)
        heavy = {"socket", "typing", "re", "enum", "collections", "http", "chordnet", "twisted"}
        self.assertEqual(loaded & heavy, set())
