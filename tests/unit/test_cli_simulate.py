"""``p2pnet simulate``: its words, its reports, and the models and measures below it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from random import Random
from statistics import fmean

import attrs
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from chordnet.cli.app import run
from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.errors import ConfigError
from chordnet.core.base.messages import FingerHint, GetState
from chordnet.sim.measured import churn, paper_runs
from chordnet.sim.measured.experiment import Experiment, Settings
from chordnet.sim.world.host import Host
from chordnet.sim.world.network import Network

NEEDS_EXTRA = "needs numpy and matplotlib: pip install 'chordnet[simulate]'"
RICH = """
import sys
from chordnet.cli.app import run
sys.exit(run(sys.argv[1:]))
"""
POOR = "import sys; sys.modules['numpy'] = sys.modules['matplotlib'] = None" + RICH


def need_extra() -> None:
    if find_spec("numpy") is None or find_spec("matplotlib") is None:
        raise SkipTest(NEEDS_EXTRA)


def p2pnet(*words: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run(("simulate", *words))
    return status, out.getvalue(), err.getvalue()


class WordsTests(SynchronousTestCase):
    def refused(self, *words: str) -> str:
        status, out, err = p2pnet(*words)
        self.assertEqual((status, out, err.count("\n")), (2, "", 1), err)
        return err

    def test_what_is_out_of_range_is_named(self) -> None:
        for words, named in (
            (("--nodes", "0"), "nodes"),
            (("--duration", "0"), "duration_s"),
            (("--duration", "nan"), "duration_s"),
            (("--lookups", "1e9"), "lookups"),
            (("--failures", "1"), "failures"),
            (("--failures-at", "301"), "failures_at_s"),
            (("--orderly", "-0.5"), "orderly"),
            (("--latency", "soon"), "latency"),
            (("--successors", "0"), "successors"),
            (("--quick",), "--paper"),
            (("--churn", "poisson"), "poisson RATE"),
            (("--churn", "weibull 600 -1"), "weibull MEAN SHAPE"),
            (("--churn", "weibull 600 0.01"), "shape"),
            (("--churn", ""), "none"),
            (("--seed", "-1"), "--seed"),
            (("--paper", "--seed", "4"), "--seed does not go with --paper"),
        ):
            with self.subTest(words):
                self.assertIn(named, self.refused(*words))

    def test_a_trace_is_refused_by_its_line(self) -> None:
        path = Path(self.mktemp())
        path.write_text("1.0 crash 2\n2.0 vanish 3\n")
        self.assertIn("line 2 of the trace", self.refused("--trace", str(path)))
        self.assertIn("exclude", self.refused("--trace", str(path), "--churn", "poisson 1"))

    def test_a_trace_that_is_no_text_is_one_line(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(b"\xff\xfe")
        status, out, err = p2pnet("--trace", str(path))
        self.assertEqual((status, out, err.count("\n")), (1, "", 1), err)

    def test_without_the_extra_one_line_says_what_to_install(self) -> None:
        for words in (["--paper"], ["--plot", self.mktemp()]):
            done = subprocess.run(
                [sys.executable, "-c", POOR, "simulate", *words],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertIn("pip install 'chordnet[simulate]'", done.stderr)

    def test_a_setting_that_matplotlib_refuses_is_one_line(self) -> None:
        need_extra()
        done = subprocess.run(
            [sys.executable, "-c", RICH, "simulate", "--plot", self.mktemp()],
            env=os.environ | {"MPLBACKEND": "nonsense"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn("--plot cannot use matplotlib: ", done.stderr)
        self.assertIn("nonsense", done.stderr)


class RunTests(SynchronousTestCase):
    WORDS = ("--nodes", "12", "--duration", "20", "--churn", "poisson 0.2", "--failures", "0.2")

    def test_the_report_says_what_happened(self) -> None:
        status, out, err = p2pnet(*self.WORDS)
        self.assertEqual((status, err), (0, ""))
        for words in ("12 nodes, 20 virtual seconds, seed 1", "lookups: ", "one right ring"):
            self.assertIn(words, out)

    def test_json_is_one_document_and_the_same_for_a_seed(self) -> None:
        first, again = (p2pnet(*self.WORDS, "--json")[1] for _ in range(2))
        other = p2pnet(*self.WORDS, "--json", "--seed", "2")[1]
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)
        found = json.loads(first)
        self.assertEqual((found["churn"], found["failures"]), ("poisson 0.2", 0.2))
        # The last to come may still be joining at the end.
        expected = 12 + found["joined"] - found["departed"]
        self.assertIn(found["members"], (expected, expected - 1))
        self.assertEqual(sum(s["lookups"] for s in found["course"]), found["lookups"]["count"])

    def test_plots_are_written(self) -> None:
        need_extra()
        directory = Path(self.mktemp())
        status, out, _ = p2pnet(*self.WORDS, "--json", "--plot", str(directory))
        self.assertEqual(status, 0)
        plots = [Path(name) for name in json.loads(out)["plots"]]
        self.assertEqual({path.name for path in plots}, {"paths.png", "course.png"})
        for path in plots:
            self.assertTrue(path.read_bytes().startswith(b"\x89PNG"))

    def test_a_trace_is_followed(self) -> None:
        path = Path(self.mktemp())
        path.write_text("# two go, one of them comes back\n2,crash,3\n3,leave,4\n\n9 join 3\n")
        found = json.loads(p2pnet("--nodes", "8", "--duration", "20", "--json",
                                  "--trace", str(path))[1])  # fmt: skip
        self.assertEqual((found["joined"], found["departed"], found["members"]), (1, 2, 7))

    def test_a_run_may_end_with_no_node_left(self) -> None:
        path = Path(self.mktemp())
        path.write_text("1 crash 1\n2 join 1\n2 crash 7\n3 join 2")
        status, out, _ = p2pnet("--nodes", "1", "--duration", "20", "--json", "--trace", str(path))
        found = json.loads(out)
        self.assertEqual((status, found["members"], found["departed"]), (0, 0, 1))

    def test_a_network_that_cannot_answer_fails_its_lookups(self) -> None:
        """The meter does see failures: with all others gone and no time, keys have no owner."""
        config = ProtocolConfig(request_timeout_s=5.0, lookup_deadline_s=1.0, probe_timeout_s=60.0)
        report = Experiment(
            Settings(nodes=32, duration_s=4.0, failures=0.9, failures_at_s=0.5,
                     lookups_per_s=10.0, latency="constant 0.01", config=config)
        ).run()  # fmt: skip
        self.assertGreater(report.lookups.failed, 5)
        self.assertGreater(report.lookups.timeouts, 0.2)
        self.assertEqual(sum(report.reasons.values()), report.lookups.failed)


class Rounds:
    """Watches for the pauses between the stabilisations of members."""

    network: Network

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self._last: dict[int, float] = {}

    def stepped(self, host: Host, event: ev.Event, effects: list[fx.Effect]) -> None:
        asks = any(isinstance(e, fx.Send) and isinstance(e.message, GetState) for e in effects)
        if asks and isinstance(event, ev.Tick) and host.node.is_member():
            now, last = self.network.now, self._last.get(host.number)
            self._last[host.number] = now
            if last is not None:
                self.pauses.append(now - last)

    def faulted(self, host: Host, what: str) -> None:
        """Nothing of that matters."""


class DepartureTests(SynchronousTestCase):
    """Who leaves in order tells the ring; quietly, the two neighbours alone."""

    def test_a_quiet_departure_ends_no_connection(self) -> None:
        deaths, failed = {}, {}
        config = attrs.evolve(paper_runs.churn_config(paper_runs.REPLACED), successors=4)
        for quiet in (False, True):
            experiment = Experiment(
                Settings(nodes=60, duration_s=60.0, seed=3, churn=churn.poisson(0.2), orderly=1.0,
                         quiet=quiet, lookups_per_s=0.1, config=config)
            )  # fmt: skip
            report = experiment.run()
            self.assertGreater(report.departed, 5)
            failed[quiet] = report.lookups.failed
            hosts = experiment.network.live()
            deaths[quiet] = sum(host.node.counters.get("deaths", 0) for host in hosts)
        self.assertEqual(failed, {False: 0, True: 0})
        self.assertLess(deaths[True], deaths[False])

    def test_only_our_own_upkeep_hints(self) -> None:
        for upkeep in (paper_runs.LEFT_EMPTY, paper_runs.REPLACED, paper_runs.OURS):
            config = attrs.evolve(paper_runs.churn_config(upkeep), successors=4)
            experiment = Experiment(
                Settings(nodes=60, duration_s=60.0, seed=3, churn=churn.poisson(0.2), orderly=1.0,
                         quiet=True, lookups_per_s=0.1, config=config)
            )  # fmt: skip
            experiment.run()
            hints = experiment.network.sent[FingerHint.__name__]
            self.assertEqual(hints > 0, upkeep == paper_runs.OURS)

    def test_only_our_own_upkeep_audits(self) -> None:
        for upkeep in (paper_runs.LEFT_EMPTY, paper_runs.REPLACED, paper_runs.OURS):
            audit_s = paper_runs.churn_config(upkeep).audit_s
            self.assertEqual(audit_s < paper_runs.NEVER_S, upkeep == paper_runs.OURS)

    def test_dead_fingers_are_replaced_or_leave_their_slots_empty(self) -> None:
        empty = {}
        for upkeep in (paper_runs.LEFT_EMPTY, paper_runs.REPLACED):
            config = attrs.evolve(paper_runs.churn_config(upkeep), successors=4)
            experiment = Experiment(
                Settings(nodes=60, duration_s=600.0, seed=3, churn=churn.poisson(0.1), orderly=1.0,
                         quiet=True, lookups_per_s=1.0, config=config)
            )  # fmt: skip
            experiment.run()
            nodes = [host.node for host in experiment.network.live() if host.node.is_member()]
            empty[upkeep] = sum(
                finger is None and not node.ring.owns(node.fingers.start(slot))
                for node in nodes
                for slot, finger in enumerate(node.fingers.slots)
            )
        self.assertLess(empty[paper_runs.REPLACED], empty[paper_runs.LEFT_EMPTY] / 2)

    def test_the_published_upkeep_keeps_its_pace(self) -> None:
        """Whatever changes: members stabilise 15 to 45 s apart."""
        for upkeep in (paper_runs.LEFT_EMPTY, paper_runs.REPLACED, paper_runs.OURS):
            rounds = Rounds()
            config = attrs.evolve(paper_runs.churn_config(upkeep), successors=8)
            experiment = Experiment(
                Settings(nodes=60, duration_s=600.0, seed=3, churn=churn.poisson(0.1), orderly=1.0,
                         quiet=True, lookups_per_s=0.1, config=config)
            )  # fmt: skip
            rounds.network = experiment.network
            experiment.network.watchers.append(rounds)
            experiment.run()
            self.assertGreater(len(rounds.pauses), 600)
            self.assertLess(max(rounds.pauses), 46.0)
            self.assertEqual(min(rounds.pauses) > 14.9, upkeep != paper_runs.OURS)


class ChurnTests(SynchronousTestCase):
    def draw(self, text: str, nodes: int, duration_s: float, seed: int) -> list[churn.Change]:
        changes = churn.parse(text)(Random(seed), nodes, duration_s)
        self.assertEqual(changes, sorted(changes, key=lambda change: change.at))
        here = set(range(1, nodes + 1))
        for change in changes:
            if change.verb == "join":
                self.assertNotIn(change.node, here, f"seed {seed}")
                here.add(change.node)
            else:
                here.remove(change.node)
        self.assertGreaterEqual(len(here), min(nodes, churn.FEWEST))
        return changes

    def test_poisson_has_its_rate(self) -> None:
        changes = self.draw("poisson 0.5", 100, 4000.0, seed=7)
        joins = sum(change.verb == "join" for change in changes)
        self.assertLess(abs(joins - 2000), 5 * 2000**0.5)
        self.assertLess(abs(len(changes) - joins - 2000), 5 * 2000**0.5)

    def test_weibull_stays_last_as_long_as_said(self) -> None:
        changes = self.draw("weibull 50 0.6", 200, 5000.0, seed=7)
        departures = [change for change in changes if change.verb == "depart"]
        # A population in its steady state loses nodes / mean of them a second, early and late.
        for first, last in ((0, 1000), (4000, 5000)):
            lost = sum(first <= change.at < last for change in departures)
            self.assertLess(abs(lost - 4000), 400)
        joined = {change.node: change.at for change in changes if change.verb == "join"}
        stays = [c.at - joined[c.node] for c in departures if 0 < joined.get(c.node, 0) < 2000]
        self.assertLess(abs(fmean(stays) / 50 - 1), 0.1)

    def test_more_changes_than_memory_are_refused(self) -> None:
        for text in ("poisson 1e9", "weibull 1e-9 1"):
            self.assertRaises(ConfigError, churn.parse(text), Random(1), 100, 100.0)
