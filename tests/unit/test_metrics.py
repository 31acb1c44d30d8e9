"""The table of metrics: every row is counted, and nothing is counted that has no row."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

import chordnet
from chordnet.core.base.effects import TraceKind
from chordnet.core.base.metrics import CoreMetric, Counters, Declared, Kind, Label, Metric
from chordnet.net.base.metrics import METRICS, NetMetric
from chordnet.wire.greeting import CODES

PACKAGE = Path(chordnet.__file__).parent
TABLES = {table.__name__: table for table in (CoreMetric, NetMetric)}


def named_in(source: str) -> list[tuple[str, str]]:
    """Return each ``CoreMetric.X`` and ``NetMetric.X`` of a program's text."""
    return [
        (node.value.id, node.attr)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in TABLES
    ]


def named_by_call_sites() -> Counter[tuple[str, str]]:
    """Return what the package names outside the declarations."""
    return Counter(
        name
        for path in PACKAGE.rglob("*.py")
        if path.name != "metrics.py"
        for name in named_in(path.read_text(encoding="utf-8"))
    )


class TableTests(SynchronousTestCase):
    def test_every_metric_is_counted_somewhere_and_every_one_that_is_named_is_declared(
        self,
    ) -> None:
        declared = {(type(each).__name__, each.name) for each in METRICS}
        self.assertEqual(set(named_by_call_sites()), declared)

    def test_the_search_for_call_sites_sees_each_of_them(self) -> None:
        source = "def f(ctx):\n    ctx.counters.add(CoreMetric.GAPS if ctx else CoreMetric.NONE)"
        self.assertEqual(named_in(source), [("CoreMetric", "GAPS"), ("CoreMetric", "NONE")])

    def test_no_module_but_the_two_that_declare_metrics_makes_one(self) -> None:
        makers = {
            str(path.relative_to(PACKAGE))
            for path in PACKAGE.rglob("*.py")
            if re.search(r"\bMetric\(|\(Declared\)", path.read_text(encoding="utf-8"))
        }
        self.assertEqual(makers, {"core/base/metrics.py", "net/base/metrics.py"})

    def test_the_table_holds_the_metrics_of_the_core_and_of_the_connections(self) -> None:
        self.assertEqual(METRICS, (*CoreMetric, *NetMetric))

    def test_no_two_metrics_share_a_name_in_a_status(self) -> None:
        names = Counter(name for each in METRICS for name in each.series.values())
        self.assertEqual([name for name, times in names.items() if times > 1], [])

    def test_a_member_has_the_name_of_its_metric(self) -> None:
        self.assertEqual([each.row.name for each in METRICS], [e.name.lower() for e in METRICS])

    def test_names_and_labels_are_such_as_monitoring_systems_take(self) -> None:
        for each in METRICS:
            for name in each.series.values():
                self.assertRegex(name, r"^[a-z][a-z0-9_]*$")
            for label in each.row.labels:
                self.assertRegex(label.name, r"^[a-z][a-z0-9_]*$")

    def test_every_metric_says_what_it_counts(self) -> None:
        for each in METRICS:
            self.assertRegex(each.row.unit, r"^[a-z]+$", each.name)
            self.assertRegex(each.row.help, r"^[a-z].{15,90}[a-z]$", each.name)

    def test_a_row_cannot_be_changed(self) -> None:
        with self.assertRaises(attrs.exceptions.FrozenInstanceError):
            CoreMetric.GAPS.row.name = "other"

    def test_labels_have_every_value_that_the_program_can_give(self) -> None:
        refused = {f"refused_{code}" for code in CODES - {"self"}} | {"refused_silent"}
        self.assertEqual(set(NetMetric.REFUSED.series.values()), refused)
        rejected = {f"rejected_{code}" for code in CODES - {"self"}} | {"rejected"}
        self.assertEqual(set(NetMetric.REJECTED.series.values()), rejected)
        broadcast = [f"broadcast_{kind.name.lower()}" for kind in TraceKind]
        self.assertEqual(list(NetMetric.BROADCAST.series.values()), broadcast)

    def test_only_what_there_is_at_the_moment_is_a_gauge(self) -> None:
        gauges = [each for each in METRICS if each.row.kind is Kind.GAUGE]
        held = {
            NetMetric.STORE_SLOTS,
            NetMetric.STORE_RECORDS,
            NetMetric.STORE_KEYS,
            NetMetric.STORE_BYTES,
        }
        self.assertEqual(set(gauges), {NetMetric.CONNECTIONS, *held})


class Sample(Declared):
    PLAIN = Metric("plain", "things", "things that happen")
    SORTED = Metric("sorted", "things", "things by kind", labels=(Label("kind", ("a", "b", "")),))
    CROSSED = Metric(
        "crossed", "things", "things by kind and size",
        labels=(Label("kind", ("a", "b")), Label("size", ("big",))),
    )  # fmt: skip


class CountersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.counters: Counters[Sample] = Counters()

    def test_what_was_not_counted_is_zero_and_is_not_shown(self) -> None:
        self.assertEqual(self.counters.number(Sample.PLAIN), 0)
        self.assertEqual(self.counters.named(), {})

    def test_counting_one_by_one_and_several_at_once(self) -> None:
        self.counters.add(Sample.PLAIN)
        self.counters.add(Sample.PLAIN, by=4)
        self.assertEqual(self.counters.number(Sample.PLAIN), 5)

    def test_the_values_of_labels_are_counted_apart_and_end_the_name(self) -> None:
        for values in (("a",), ("a",), ("b",), ("",)):
            self.counters.add(Sample.SORTED, *values)
        self.counters.add(Sample.CROSSED, "b", "big")
        self.assertEqual(
            self.counters.named(), {"sorted_a": 2, "sorted_b": 1, "sorted": 1, "crossed_b_big": 1}
        )

    def test_labels_that_are_not_declared_are_refused(self) -> None:
        for metric, values in (
            (Sample.PLAIN, ("a",)), (Sample.SORTED, ()), (Sample.SORTED, ("c",)),
            (Sample.CROSSED, ("a",)), (Sample.CROSSED, ("big", "a")),
        ):  # fmt: skip
            with self.assertRaises(KeyError):
                self.counters.add(metric, *values)
            with self.assertRaises(KeyError):
                self.counters.number(metric, *values)
        self.assertEqual(self.counters.named(), {})

    def test_what_is_no_metric_cannot_be_counted(self) -> None:
        with self.assertRaises(AttributeError):
            self.counters.add("plain")

    def test_what_is_returned_by_name_is_a_copy(self) -> None:
        self.counters.named()["plain"] = 7
        self.assertEqual(self.counters.number(Sample.PLAIN), 0)
