"""The comparison of a secured network with a plain one and with NATS over TLS: what is reported."""

from __future__ import annotations

import ssl
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.rivals.nats_secured import JetStreamSecured, NatsSecured, write_files
from benchmarks.rounds import Results
from benchmarks.secured import BESIDE_PLAIN, begin_in_turn, report

START, RATE, MEMORY = BESIDE_PLAIN[0], BESIDE_PLAIN[3], BESIDE_PLAIN[-1]


class LineTests(SynchronousTestCase):
    def test_the_median_of_the_rounds_ratios_is_judged_and_not_the_ratio_of_the_medians(self):
        line = RATE.line([80.0, 700.0, 90.0], [100.0, 1000.0, 100.0], "plain")
        self.assertEqual(
            line, "receipts, 64 in flight: 90.0/s, plain 100/s, 0.80 x (wanted ≥ 0.75 x: met)"
        )

    def test_a_start_that_takes_longer_than_it_may_is_missed(self):
        line = START.line([1.4], [1.0], "plain")
        self.assertIn("1.40 x (wanted ≤ 1.3 x: MISSED)", line)

    def test_of_memory_the_difference_counts(self):
        line = MEMORY.line([23.0, 24.0], [20.0, 20.0], "plain")
        self.assertIn("+3.50 MB (wanted ≤ +4 MB: met)", line)

    def test_what_was_not_measured_is_said(self):
        self.assertEqual(
            RATE.line([], [], "plain"), "receipts, 64 in flight: not measured beside plain"
        )


class ReportTests(SynchronousTestCase):
    def test_a_rival_that_is_not_installed_is_named_and_the_others_are_reported(self):
        one = {question.key: 1.0 for question in BESIDE_PLAIN}
        lines = report(
            [
                Results("secured", [one]),
                Results("plain", [one]),
                Results("NATS, TLS", note="skipped: pip install nats-py"),
                Results("JetStream", [one]),
            ]
        )
        self.assertEqual(len(lines), len(BESIDE_PLAIN) + 1 + 3)
        self.assertIn("NATS, TLS: skipped: pip install nats-py", lines)

    def test_networks_are_started_in_turn_and_in_the_opposite_order_every_other_time(self):
        order: list[str] = []

        class Side:
            def __init__(self, name: str) -> None:
                self.name = name

            def begin(self) -> dict[str, float]:
                order.append(self.name)
                return {"start": float(len(order))}

        found = begin_in_turn([Side("a"), Side("b")], 2)
        self.assertEqual(order, ["a", "b", "b", "a"])
        self.assertEqual(
            found, [[{"start": 1.0}, {"start": 4.0}], [{"start": 2.0}, {"start": 3.0}]]
        )


class NatsTests(SynchronousTestCase):
    def test_the_files_of_a_rival_fit_together(self):
        directory = Path(self.mktemp())
        directory.mkdir()
        write_files(directory)
        context = ssl.create_default_context(cafile=str(directory / "root.pem"))
        context.load_cert_chain(directory / "certificate.pem", directory / "key.pem")
        self.assertEqual(len(context.get_ca_certs()), 1)

    def test_both_servers_ask_their_clients_for_a_certificate(self):
        for kind in (NatsSecured, JetStreamSecured):
            side = kind(4222)
            self.addCleanup(side.stop)
            directory = Path(self.mktemp())
            directory.mkdir()
            words = side.command(str(directory))
            self.assertEqual(words[0], "nats-server")
            self.assertIn("verify: true", (directory / "nats.conf").read_text())
