"""A measured run: what it does to the ring and when, and what its report says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.errors import ConfigError
from chordnet.core.base.messages import Leaving
from chordnet.sim.measured import churn
from chordnet.sim.measured.experiment import Experiment, Report, Settings, as_json, figures
from chordnet.sim.world.host import Host
from chordnet.sim.world.meter import Measured


class Seen:
    """Keeps what is done to hosts, and when: joins, deaths, farewells."""

    def __init__(self, experiment: Experiment) -> None:
        self.network = experiment.network
        self.found: list[tuple[float, str, str]] = []
        self.contacts: list[list[str]] = []
        self.network.watchers.append(self)

    def _add(self, host: Host, what: str) -> None:
        self.found.append((round(self.network.now, 6), what, host.ref.name))

    def stepped(self, host: Host, event: ev.Event, effects: list[fx.Effect]) -> None:
        if isinstance(event, ev.Start):
            self._add(host, "joins")
            self.contacts.append(list(event.bootstrap))
        elif any(isinstance(e, fx.Send) and isinstance(e.message, Leaving) for e in effects):
            self._add(host, "leaves")

    def faulted(self, host: Host, what: str) -> None:
        if what == "killed":
            silent = host.ref.name in self.network._dark
            self._add(host, "vanishes" if silent else "is killed")


class RunCase(SynchronousTestCase):
    def make(self, told: Callable[[float], None] = lambda part: None, **settings: Any) -> None:
        usual: dict[str, Any] = {
            "nodes": 6, "duration_s": 6.0, "lookups_per_s": 5.0, "latency": "constant 0.001",
            "config": ProtocolConfig(),
        }  # fmt: skip
        self.experiment = Experiment(Settings(**usual | settings), told)
        self.seen = Seen(self.experiment)

    def run_it(self, trace: str = "", **settings: Any) -> Report:
        self.make(churn=churn.trace(trace), **settings)
        return self.experiment.run()


class ChangeTests(RunCase):
    def test_who_crashes_vanishes_and_who_leaves_says_so(self) -> None:
        report = self.run_it("1 crash 3\n2 leave 4\n", settle=False)
        self.assertEqual(self.seen.found, [(1.0, "vanishes", "Node 3"), (2.0, "leaves", "Node 4")])
        self.assertEqual((report.joined, report.departed, report.members), (0, 2, 4))

    def test_a_newcomer_is_told_four_members_and_who_comes_back_lives_once_more(self) -> None:
        report = self.run_it("1 crash 3\n2 join 3\n3 join 9\n")
        self.assertEqual(
            self.seen.found,
            [(1.0, "vanishes", "Node 3"), (2.0, "joins", "Node 3"), (3.0, "joins", "Node 9")],
        )
        hosts = self.experiment.network.hosts
        self.assertEqual((hosts["Node 3"].ref.incarnation, hosts["Node 9"].ref.incarnation), (2, 1))
        self.assertEqual(len(self.seen.contacts[1]), 4)
        self.assertLessEqual(set(self.seen.contacts[1]), {f"Node {n}" for n in range(1, 7)})
        self.assertEqual((report.joined, report.departed, report.members), (2, 1, 7))

    def test_who_is_there_does_not_join_and_who_is_gone_does_not_depart(self) -> None:
        report = self.run_it("1 join 2\n1 crash 9\n2 leave 3\n2.5 crash 3\n", settle=False)
        self.assertEqual(self.seen.found[0], (2.0, "leaves", "Node 3"))
        self.assertEqual((report.joined, report.departed), (0, 1))

    def test_nobody_joins_where_nobody_is(self) -> None:
        report = self.run_it("1 crash 1\n2 join 1\n3 join 2\n", nodes=1)
        self.assertEqual((report.joined, report.departed, report.members), (0, 1, 0))
        self.assertGreater(report.messages_per_node_s, -1.0)

    def depart(self, **settings: Any) -> list[tuple[float, str, str]]:
        self.make(
            churn=lambda rng, nodes, seconds: [churn.Change(1.0, "depart", 2)],
            settle=False,
            **settings,
        )
        self.experiment.run()
        return self.seen.found

    def test_departures_are_orderly_as_often_as_said(self) -> None:
        self.assertEqual(self.depart(), [(1.0, "vanishes", "Node 2")])
        self.assertEqual(self.depart(orderly=1.0), [(1.0, "leaves", "Node 2")])

    def test_who_leaves_quietly_vanishes_just_before_its_connections_would_end(self) -> None:
        config = ProtocolConfig(leave_drain_s=2.0)
        found = self.depart(orderly=1.0, quiet=True, config=config)
        self.assertEqual(found, [(1.0, "leaves", "Node 2"), (2.8, "vanishes", "Node 2")])

    def test_a_crash_of_a_trace_is_one_however_orderly_departures_are(self) -> None:
        self.run_it("1 crash 3\n", orderly=1.0, settle=False)
        self.assertEqual(self.seen.found, [(1.0, "vanishes", "Node 3")])


class FailureTests(RunCase):
    def failures(self, **settings: Any) -> list[float]:
        self.make(settle=False, **settings)
        report = self.experiment.run()
        self.assertEqual({what for _, what, _ in self.seen.found}, {"vanishes"})
        self.assertEqual(report.departed, len(self.seen.found))
        return [at for at, _, _ in self.seen.found]

    def test_a_fraction_of_the_nodes_vanishes_half_way_or_when_it_is_said(self) -> None:
        self.assertEqual(self.failures(failures=0.5), [3.0] * 3)
        self.assertEqual(self.failures(failures=0.3), [3.0] * 2)
        self.assertEqual(self.failures(failures=0.5, failures_at_s=1.5), [1.5] * 3)
        self.assertEqual(self.failures(failures=0.5, failures_at_s=0.0), [0.0] * 3)


class ReportTests(RunCase):
    def test_the_course_has_sixty_pieces_of_the_run(self) -> None:
        told: list[float] = []
        self.make(told.append)
        report = self.experiment.run()
        self.assertEqual(told, [number / 60 for number in range(1, 61)])
        self.assertEqual([round(each.until_s, 9) for each in report.course],
                         [round(number / 10, 9) for number in range(1, 61)])  # fmt: skip
        self.assertEqual({each.members for each in report.course}, {6})
        self.assertGreater(report.lookups.count, 10)
        self.assertEqual(sum(each.lookups for each in report.course), report.lookups.count)
        self.assertEqual((report.joined, report.departed, report.reasons), (0, 0, {}))

    def test_a_piece_counts_the_failures_and_timeouts_of_its_own_lookups(self) -> None:
        def told(part: float) -> None:
            if part in (2 / 60, 4 / 60):
                self.experiment.meter.lookups += [
                    Measured(0.0, 1, timeouts=4, done=True),
                    Measured(0.0, 1, timeouts=3, done=True, failure="wrong owner: Node 2"),
                    Measured(0.0, 1, done=True, failure="wrong owner: Node 3"),
                    Measured(0.0, 1, done=True, failure="no answer"),
                ]

        self.make(told, lookups_per_s=0.001, nodes=1)
        report = self.experiment.run()
        counts = [(each.lookups, each.failed, each.timeouts) for each in report.course]
        # What is added after a piece belongs to none: each begins with what the last has left.
        self.assertEqual(counts, [(0, 0, 0)] * 2 + [(4, 3, 7), (0, 0, 0)] * 2 + [(0, 0, 0)] * 54)
        self.assertEqual(report.reasons, {"wrong owner": 4, "no answer": 2})
        self.assertEqual((report.lookups.count, report.lookups.failed), (8, 6))

    def test_traffic_is_that_of_the_run_by_its_seconds_and_the_members_at_its_end(self) -> None:
        sent = []

        def told(part: float) -> None:
            if part == 1.0:
                sent.append(sum(self.experiment.network.sent.values()))

        self.make(told, duration_s=5.0)
        report = self.experiment.run()
        self.assertAlmostEqual(report.messages_per_node_s, sent[0] / 5.0 / 6)
        self.assertEqual(report.steps, self.experiment.network.steps)

    def test_the_ring_is_judged_until_it_is_right(self) -> None:
        self.make()
        report = self.experiment.run()
        self.assertTrue(report.judged)
        self.assertEqual(report.settled_s, self.experiment.network.now - 6.0)
        self.assertLess(report.settled_s, 2.0)
        report = self.run_it(settle=False)
        self.assertEqual((report.judged, report.settled_s), (False, None))

    def at_the_end(self, do: Callable[[], object], **settings: Any) -> Report:
        self.make(lambda part: part == 1.0 and do(), **settings)  # type: ignore[arg-type]
        return self.experiment.run()

    def test_a_ring_of_more_than_twenty_thousand_is_not_judged(self) -> None:
        for count, judged in ((20_000, True), (20_001, False)):
            report = self.at_the_end(
                lambda count=count: self.experiment.meter.members.extend(range(count - 6))  # type: ignore[misc]
            )
            self.assertEqual((report.members, report.judged), (count, judged))

    def test_lookups_under_way_are_waited_for_a_minute_and_the_ring_another(self) -> None:
        def stop() -> None:
            for host in self.experiment.network.live()[1:]:
                host.frozen = True
            for _ in range(30):
                self.experiment.meter.ask()

        config = ProtocolConfig(lookup_deadline_s=500.0, request_timeout_s=500.0)
        report = self.at_the_end(stop, config=config)
        self.assertEqual((report.judged, report.settled_s), (True, None))
        self.assertLess(abs(self.experiment.network.now - 126.0), 1.1)
        self.assertFalse(all(each.done for each in self.experiment.meter.lookups))

    def test_lookups_of_who_has_gone_are_not_counted(self) -> None:
        def ask_and_go() -> None:
            network, meter = self.experiment.network, self.experiment.meter
            count.append(len(meter.lookups))
            while not meter.under_way:
                meter.ask()
            ((number, _),) = meter._open
            (asker,) = (host for host in network.live() if host.number == number)
            network.kill(asker.ref.name)

        count: list[int] = []
        report = self.at_the_end(ask_and_go, lookups_per_s=0.001)
        # Those that were answered at once, by the asker itself, count.
        self.assertEqual(report.lookups.count, len(self.experiment.meter.lookups))
        self.assertEqual(self.experiment.meter.under_way, 0)
        self.assertTrue(all(each.done for each in self.experiment.meter.lookups))

    def test_lookups_are_asked_for_until_the_end_and_as_often_as_said(self) -> None:
        report = self.run_it(nodes=3, duration_s=100.0, lookups_per_s=10.0)
        self.assertLess(abs(report.lookups.count - 1000), 150)
        began = [each.began_s for each in self.experiment.meter.lookups]
        self.assertTrue(all(0.0 < each < 100.0 for each in began))
        self.assertGreater(max(began), 95.0)

    def test_the_99th_percentile_is_what_all_but_one_in_a_hundred_lookups_take(self) -> None:
        for count, slowest in ((1, 1), (100, 100), (199, 198), (200, 199), (1000, 991)):
            times = [Measured(0.0, 1, took_s=float(n), done=True) for n in range(1, count + 1)]
            self.assertEqual(figures(times).p99_s, slowest, count)

    def test_the_document_has_every_figure_of_the_report(self) -> None:
        document = as_json(self.run_it(nodes=3))
        self.assertEqual(
            set(document),
            {"joined", "departed", "members", "lookups", "reasons", "messages_per_node_s", "steps",
             "settled_s", "judged", "course"},
        )  # fmt: skip
        self.assertEqual(
            set(document["lookups"]),
            {"count", "failed", "path", "path_deviation", "paths", "timeouts", "mean_s", "p99_s"},
        )
        self.assertIsInstance(document["course"], list)
        self.assertEqual(
            set(document["course"][0]), {"until_s", "members", "lookups", "failed", "timeouts"}
        )


class SettingTests(SynchronousTestCase):
    def test_without_a_word_a_hundred_nodes_run_for_five_minutes(self) -> None:
        found = attrs.asdict(Settings(), recurse=False)
        self.assertEqual(found.pop("churn"), churn.none)
        self.assertEqual(found.pop("config"), ProtocolConfig.wide_area())
        self.assertEqual(
            found,
            {
                "nodes": 100, "duration_s": 300.0, "seed": 1, "orderly": 0.0, "quiet": False,
                "failures": 0.0, "failures_at_s": None, "lookups_per_s": 1.0, "settle": True,
                "latency": "exponential 0.05", "loss": 0.0,
            },
        )  # fmt: skip

    def test_what_is_out_of_range_is_told_with_its_range(self) -> None:
        for words, told in (
            ({"nodes": 0}, "nodes must be from 1 to 100000, not 0"),
            ({"duration_s": 0.0}, "duration_s must be greater than 0, not 0.0"),
            ({"lookups_per_s": float("nan")}, "lookups_per_s must be greater than 0, not nan"),
            ({"duration_s": 3e6, "lookups_per_s": 5.0}, "15000000 lookups are more than 10000000"),
            ({"failures_at_s": 301.0},
             "failures_at_s must lie within the run's duration, not 301.0"),
            ({"orderly": 1.5}, "orderly must be from 0 to 1.0, not 1.5"),
            ({"failures": 1.0}, "failures must be from 0 to 0.99, not 1.0"),
        ):  # fmt: skip
            error = self.assertRaises(ConfigError, Settings, **words)
            self.assertEqual(str(error), told)

    def test_loss_and_latency_are_those_of_the_network(self) -> None:
        experiment = Experiment(Settings(loss=0.25, latency="constant 0.125", seed=9))
        self.assertEqual((experiment.network.loss, experiment.network.seed), (0.25, 9))
        self.assertEqual(experiment.network.latency(experiment.network.rng), 0.125)
