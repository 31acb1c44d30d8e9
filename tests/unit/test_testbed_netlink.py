"""The orders that the kernel is given for a container's line."""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from chordnet.testbed.base.netlink import (
    GONE,
    NOBODY,
    ask,
    bring_about,
    enter,
    main,
    neighbour,
    netem,
    qdisc,
    silenced,
)

NEW_NEIGHBOUR, DEL_NEIGHBOUR, NEW_QDISC, DEL_QDISC = 28, 29, 36, 37
REPLACE = 0x500
DEVICE = 7


class OrderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.orders: list[tuple[int, int, bytes]] = []
        self.errors: dict[int, int] = {}

    def shape(self, before: set[str], cut: list[str], slow: list[float] | None) -> str:
        self.orders.clear()

        def ask(kind: int, flags: int, body: bytes) -> int:
            self.orders.append((kind, flags, body))
            return self.errors.get(kind, 0)

        return bring_about(DEVICE, before, cut, slow, ask)

    def test_a_line_cut_no_longer_is_mended_and_a_line_to_be_cut_is_cut(self) -> None:
        self.assertEqual(self.shape({"10.0.0.2", "10.0.0.3"}, ["10.0.0.3", "10.0.0.4"], None), "")
        self.assertEqual(
            self.orders,
            [
                (DEL_NEIGHBOUR, 0, neighbour(DEVICE, "10.0.0.2")),
                (NEW_NEIGHBOUR, REPLACE, neighbour(DEVICE, "10.0.0.3")),
                (NEW_NEIGHBOUR, REPLACE, neighbour(DEVICE, "10.0.0.4")),
                (DEL_QDISC, 0, qdisc(DEVICE)),
            ],
        )

    def test_delay_and_loss_replace_what_was_there(self) -> None:
        self.errors[DEL_QDISC] = errno.ENOENT
        self.assertEqual(self.shape(set(), [], [80, 20, 5]), "")
        self.assertEqual(
            self.orders,
            [
                (DEL_QDISC, 0, qdisc(DEVICE)),
                (NEW_QDISC, REPLACE, netem(DEVICE, 80, 20, 5)),
            ],
        )

    def test_what_the_kernel_refuses_is_told(self) -> None:
        self.errors = {NEW_NEIGHBOUR: errno.EPERM}
        self.assertEqual(
            self.shape(set(), ["10.0.0.4"], [1, 0, 0]),
            "10.0.0.4 cannot be cut off: Operation not permitted",
        )
        self.assertEqual(len(self.orders), 1)
        self.errors = {NEW_QDISC: errno.ENOENT}
        self.assertIn("has no netem", self.shape(set(), [], [1, 0, 0]))
        self.errors = {NEW_QDISC: errno.EPERM}
        self.assertEqual(
            self.shape(set(), [], [1, 0, 0]), "netem cannot be set: Operation not permitted"
        )


class BytesTests(SynchronousTestCase):
    """What the kernel is sent, byte by byte, on a machine whose least byte comes first."""

    def setUp(self) -> None:
        if sys.byteorder != "little":
            raise SkipTest("these bytes are a little-endian machine's")

    def test_the_bytes_of_a_neighbour_are_those_of_the_kernel(self) -> None:
        self.assertEqual(
            neighbour(7, "10.0.0.4").hex(" ", 4),
            "02000000 07000000 80000000 08000100 0a000004 0a000200 0263686f 72640000",
        )

    def test_the_bytes_of_a_queue_are_those_of_the_kernel(self) -> None:
        self.assertEqual(qdisc(7).hex(" ", 4), "00000000 07000000 00006863 ffffffff 00000000")

    def test_the_bytes_of_delay_jitter_and_loss_are_those_of_the_kernel(self) -> None:
        self.assertEqual(
            netem(7, 80, 20, 100)[20:].hex(" ", 4),
            "0a000100 6e657465 6d000000 34000200"  # TCA_KIND "netem", TCA_OPTIONS of 52 bytes
            " 00000000 10270000 ffffffff 00000000 00000000 00000000"  # 10,000 packets, all lost
            " 0c000a00 00b4c404 00000000 0c000b00 002d3101 00000000",  # 80 and 20 million ns
        )


class KernelTests(SynchronousTestCase):
    """What can be asked of a kernel without changing anything."""

    def test_an_order_about_no_device_is_answered_with_the_number_of_the_error(self) -> None:
        try:
            socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE).close()
        except (AttributeError, OSError):
            raise SkipTest("there is no netlink here") from None
        nowhere = qdisc((1 << 31) - 1)
        self.assertIn(ask(DEL_QDISC, 0, nowhere), (errno.ENODEV, errno.EPERM))

    def test_a_network_that_was_entered_leaves_no_file_open(self) -> None:
        descriptors = Path("/proc/self/fd")
        if not descriptors.exists():
            raise SkipTest("the open files cannot be counted here")
        before = len(list(descriptors.iterdir()))
        with contextlib.suppress(PermissionError):
            enter("/proc/self/ns/net")  # where this process is anyway
        self.assertEqual(len(list(descriptors.iterdir())), before)

    def test_what_is_no_network_cannot_be_entered(self) -> None:
        descriptors = Path("/proc/self/fd")
        if not Path("/proc/self/ns/uts").exists():
            raise SkipTest("there are no namespaces here")
        before = len(list(descriptors.iterdir()))
        problem = self.assertRaises(OSError, enter, "/proc/self/ns/uts")
        self.assertEqual((problem.errno, problem.strerror), (errno.EINVAL, "Invalid argument"))
        self.assertEqual(len(list(descriptors.iterdir())), before)


class SilencedTests(SynchronousTestCase):
    def test_lines_of_another_form_are_left_out(self) -> None:
        table = f"head\n10.0.0.1 0x1 0x2\n10.0.0.2 0x1 0x2 {NOBODY}\n\n"
        self.assertEqual(silenced(table), ["10.0.0.2"])


class MainTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.done: list[object] = []
        self.refused: OSError | None = None
        self.problems: list[str] = []

    def main(self, *pids: int) -> tuple[int, str]:
        def enter(path: str) -> None:
            self.done.append(path)
            if self.refused is not None:
                raise self.refused

        def shape(cut: list[str], slow: list[float] | None) -> str:
            self.done.append((cut, slow))
            return self.problems.pop(0) if self.problems else ""

        wanted = [
            {"node": n, "pid": pid, "cut": [f"10.0.0.{n}"], "netem": [1.0, 0.0, 0.0]}
            for n, pid in enumerate(pids, 1)
        ]
        return main(wanted, enter, shape)

    def test_each_nodes_network_is_entered_and_its_line_changed(self) -> None:
        self.assertEqual(self.main(101, 102), (0, ""))
        self.assertEqual(
            self.done,
            [
                "/proc/101/ns/net", (["10.0.0.1"], [1.0, 0.0, 0.0]),
                "/proc/102/ns/net", (["10.0.0.2"], [1.0, 0.0, 0.0]),
            ],
        )  # fmt: skip

    def test_the_first_thing_that_fails_ends_it_with_status_1(self) -> None:
        self.problems = ["", "no netem", "unasked"]
        self.assertEqual(self.main(101, 102, 103), (1, "no netem"))
        self.assertEqual(len(self.done), 4)

    def test_a_container_that_has_ended_is_told_apart_from_what_is_forbidden(self) -> None:
        for number, status in ((errno.EPERM, 1), (errno.EACCES, 1), (errno.ENOENT, 75)):
            self.refused = OSError(number, "why")
            text = "the network of node 1 cannot be entered: why"
            self.assertEqual(self.main(101, 102), (status, text))


class EndedTests(SynchronousTestCase):
    def test_a_container_that_has_ended_is_told_apart_from_what_cannot_be_done(self) -> None:
        status, text = main([{"node": 3, "pid": 1 << 30, "cut": [], "netem": None}])
        self.assertEqual(status, GONE)
        self.assertEqual(text, "the network of node 3 cannot be entered: No such file or directory")
