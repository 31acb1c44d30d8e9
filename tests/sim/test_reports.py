"""What the simulator's commands say of results, figure by figure, and what they take as given."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random
from typing import Any

import attrs
import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet.cli.lab.simulate import run_json, run_lines
from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.errors import ConfigError
from chordnet.core.base.messages import FindNext, Status
from chordnet.sim.__main__ import _line, _parser
from chordnet.sim.campaign import byzantine, byzantine_command
from chordnet.sim.campaign import command as campaign_command
from chordnet.sim.campaign.run import CampaignResult, Plan
from chordnet.sim.campaign.series import summed
from chordnet.sim.measured.churn import Change, trace
from chordnet.sim.measured.experiment import Report, Sample, Settings, as_json, figures
from chordnet.sim.scenarios.play import PlayResult
from chordnet.sim.scenarios.scenario import Scenario
from chordnet.sim.scenarios.shrink import report as shrunk_report
from chordnet.sim.scenarios.soak import SeedResult, Tally
from chordnet.sim.world.meter import LookupMeter, Measured
from tests.sim.support import names, ring_of


def result(seed: int, **changes: Any) -> CampaignResult:
    usual: dict[str, Any] = {
        "live": 18, "missed": 1, "twice": 2, "untrue": 3, "receipts": 1, "partial": 1,
        "unreached": 4, "lacked": 5, "early": 1, "confirmed_s": 0.25, "settled_s": 0.5,
        "bcasts": 19, "answers": 30, "lost": 0, "failures": (), "steps": 1000, "cpu_s": 0.5,
        "edges": {"finger": 10, "successor": 5, "reassign": 2, "extend": 1, "caught_up": 3,
                  "borrowed": 7},
    }  # fmt: skip
    return CampaignResult(seed=seed, **usual | changes)


EARLY = "early: receipts, not partial, that came before a live member had it; lacked: such members"
ORPHANS = "without a receipt, on every node: 0, on none: 1"


class CampaignTests(SynchronousTestCase):
    maxDiff = None
    PLAN = Plan(nodes=20, kills=0.1, joins=2)

    def test_runs_are_summed_up(self) -> None:
        runs = [
            result(3),
            result(2, live=20, bcasts=25, answers=28, settled_s=1.5, confirmed_s=None, cpu_s=1.0,
                   receipts=0, lost=1, failures=("a",), edges={"backfill": 1, "origin": 1}),
            result(1, settled_s=None, failures=("b",)),
        ]  # fmt: skip
        row = summed(self.PLAN, runs)
        self.assertEqual(
            {k: v for k, v in attrs.asdict(row, recurse=False).items() if k != "plan"},
            {
                "seeds": 3, "failed": (1, 2), "survivors": 56, "missed": 3, "twice": 6,
                "untrue": 9, "records": 21 + 21 + 2 + 3, "repaired": 7, "caught_up": 6,
                "receipts": 2, "partial": 3, "unreached": 12, "lacked": 15, "early": 3,
                "orphans_held": 0, "orphans_lost": 1, "bcasts": (19, 25), "answers": (28, 30),
                "settled_s": (1.0, 1.5), "confirmed_s": (0.25, 0.25), "cpu_s": 2.0 / 3,
            },
        )  # fmt: skip

    def test_the_table_shows_every_sum_under_its_name(self) -> None:
        rows = [
            summed(self.PLAN, [result(1)]),
            summed(attrs.evolve(self.PLAN, origin_dies=True), [result(1, receipts=0, lost=1)]),
            summed(Plan(nodes=20, joins=0, loss=0.0), [result(1), result(2, bcasts=21)]),
        ]
        head, first, _, third, *notes = campaign_command.table(rows)
        self.assertEqual(
            first.split(),
            ["20", "0.1", "1", "0", "18", "1", "2", "3", "22", "3", "3", "1", "1", "4", "1", "5",
             "0.25-0.25", "0.50-0.50", "0.5"],
        )  # fmt: skip
        self.assertEqual(len({len(head), len(first), len(third)}), 1, "the columns stand upright")
        self.assertEqual(
            notes,
            [
                "receipt s, all s: median-longest",
                EARLY,
                "10% killed and the origin: 0 receipts given; " + ORPHANS,
                "undisturbed, 20 nodes: 19-21 broadcasts, 30-30 acknowledgements and reports",
            ],
        )

    def test_a_failed_run_is_told_with_five_of_its_failures(self) -> None:
        failures = tuple(f"failure {n}" for n in range(7))
        again = "replay: python -m chordnet.sim campaign --nodes 20 --kills 10 --joins 2 --loss 5"
        again += " --freezes 0 --parted 0 --broadcasts 1 --first 9 --seeds 1 --jobs 1"
        self.assertEqual(
            campaign_command._story(self.PLAN, result(9, failures=failures)),
            [
                "seed 9, 0.1 killed:",
                *(f"  failure {n}" for n in range(5)),
                "  and 2 more",
                f"  {again}",
            ],
        )
        exactly = campaign_command._story(self.PLAN, result(9, failures=failures[:5]))
        self.assertEqual(len(exactly), 7)
        odd = attrs.evolve(self.PLAN, origin_dies=True, crippled=True, freezes=0.05, parted_s=2.5)
        words = campaign_command.replay(odd, 1)
        self.assertIn("--freezes 5 --parted 2.5 --broadcasts 1 --origin-dies --crippled", words)

    def test_plans_have_their_limits_and_may_reach_them(self) -> None:
        for fine in (
            {"nodes": 4, "joins": 0}, {"nodes": 100_000}, {"kills": 0.9}, {"loss": 0.9},
            {"nodes": 20, "joins": 20}, {"parted_s": 20.0}, {"nodes": 20, "broadcasts": 18},
            {"nodes": 10, "joins": 0, "kills": 0.4, "freezes": 0.2, "broadcasts": 2},
        ):  # fmt: skip
            Plan(**{"joins": 0} | fine)
        for wrong in (
            {"nodes": 1}, {"nodes": 100_001}, {"kills": 0.91}, {"loss": 0.91}, {"freezes": -0.01},
            {"nodes": 20, "joins": 21}, {"parted_s": 20.1}, {"nodes": 20, "broadcasts": 19},
            {"broadcasts": 0}, {"within_s": 0.0}, {"parted_s": -1.0},
            {"nodes": 10, "joins": 0, "kills": 0.4, "freezes": 0.2, "broadcasts": 3},
        ):  # fmt: skip
            self.assertRaises(ConfigError, Plan, **{"joins": 0} | wrong)

    def test_only_a_plan_without_faults_is_undisturbed(self) -> None:
        calm = {"joins": 0, "loss": 0.0}
        self.assertTrue(Plan(**calm).undisturbed)
        for wrong in (
            {"joins": 1}, {"loss": 0.1}, {"kills": 0.1}, {"freezes": 0.1}, {"parted_s": 1.0},
            {"origin_dies": True}, {"broadcasts": 2},
        ):  # fmt: skip
            self.assertFalse(Plan(**calm | wrong).undisturbed, wrong)


class ByzantineTests(SynchronousTestCase):
    def test_the_sums_and_the_most_of_each_kind_are_told(self) -> None:
        fields = ("frames", "blamed", "complete", "late", "partial", "without_x", "conflict",
                  "vouched", "bytes", "dials", "resent", "lines")  # fmt: skip
        one = byzantine.ByzantineResult(
            kind="lost", seed=1, failures=(), comparisons=0.25,
            **{name: 1000 + n for n, name in enumerate(fields)},
        )  # fmt: skip
        two = byzantine.ByzantineResult(
            kind="lost", seed=2, failures=("a",), comparisons=1.5,
            **{name: 10 * n for n, name in enumerate(fields)},
        )  # fmt: skip
        self.assertEqual(
            byzantine_command.row("lost", [one, two]).split(),
            ["lost", "2", "1", "1000", "1011", "1022", "1033", "1044", "1055", "1066", "1077", "1",
             "1009", "1010", "1011", "1.50"],
        )  # fmt: skip
        self.assertEqual(len(byzantine_command.HEAD), 16)
        head = byzantine_command._line(*byzantine_command.HEAD)
        self.assertEqual(len(head), len(byzantine_command.row("lost", [one])))

    def test_failures_are_told_up_to_three_of_a_run(self) -> None:
        for count, more in ((3, 0), (4, 1), (9, 6)):
            wrong = byzantine.ByzantineResult(kind="lost", seed=7, failures=("a",) * count)
            lines = byzantine_command.story(wrong)
            self.assertEqual(len(lines), 2 + 3 + (more > 0))
            self.assertEqual(any(f"and {more} more" in line for line in lines), more > 0)

    def test_each_bound_may_be_reached_and_not_passed(self) -> None:
        run = byzantine.ByzantineRun("digest", 1)
        self.assertEqual(run.play().failures, ())
        name = run._honest()[0].ref.address
        forged = sum(type(lie).__name__ == "Bcast" for lie in run.liar.lies)
        for table, most, words in (
            (run.network.dials, 400, "dialled 401 times, more than 400"),
            (run._resent, 50 + 5 * forged, "sent 51 times again, more than 50"),
            (run._lines, 400, "logged 401 lines, more than 400"),
            (run._quiet, 12, "compares 3.25 times a second at rest, more than 3.0"),
        ):
            before = dict(table)
            table[name] = most
            self.assertEqual(run._result([]).failures, (), words)
            table[name] = most + 1
            (text,) = run._result([]).failures
            self.assertEqual(text, f"a node {words}")
            table.clear()
            table.update(before)

    def test_receipts_that_take_more_than_two_seconds_are_late(self) -> None:
        run = byzantine.ByzantineRun("digest", 1)
        found = run.play()
        self.assertEqual((found.late, found.partial, found.without_x, found.conflict), (0, 0, 0, 0))
        self.assertEqual(found.complete, len(run.told))
        first, second, *_ = run.told.values()
        first.took_s, second.took_s = 2.0, 2.1
        self.assertEqual(run._result([]).late, 1)
        first.done = msgspec.structs.replace(first.done, partial=True, unreached=[run.liar.me])
        again = run._result([])
        self.assertEqual((again.partial, again.without_x), (1, 1))
        self.assertEqual(again.complete, len(run.told) - 1)
        first.done = msgspec.structs.replace(first.done, conflict=2)
        again = run._result([])
        self.assertEqual((again.conflict, again.without_x), (1, 0))


class WordTests(SynchronousTestCase):
    """What the commands do where nothing is said of it."""

    def words(self, *words: str) -> dict[str, Any]:
        found = vars(_parser().parse_args(words))
        del found["run"]
        return found

    def test_the_words_of_the_campaign_have_their_defaults(self) -> None:
        self.assertEqual(
            self.words("campaign"),
            {
                "nodes": 1000, "kills": [0.0, 1.0, 5.0, 20.0], "joins": 20, "loss": 5.0,
                "freezes": 0.0, "parted": 0.0, "broadcasts": 1, "origin_dies": False,
                "crippled": False, "first": 1, "seeds": 200, "jobs": os.cpu_count(),
                "minutes": float("inf"), "json": None,
            },
        )  # fmt: skip

    def test_the_words_of_the_lies_have_their_defaults(self) -> None:
        self.assertEqual(
            self.words("byzantine"),
            {"kind": "all", "first": 1, "seeds": 500, "jobs": os.cpu_count()},
        )

    def test_the_words_of_seeds_files_and_soaks_have_their_defaults(self) -> None:
        shown = {"history": 0, "write": None, "no_shrink": False}
        self.assertEqual(self.words("seed", "4", "5"), {"seeds": [4, 5], **shown})
        self.assertEqual(self.words("play", "x"), {"files": [Path("x")], **shown})
        self.assertEqual(
            self.words("soak"),
            {"steps": 10_000_000, "first": 0, "jobs": os.cpu_count(), "failures": 20},
        )
        self.assertEqual(self.words("ring"), {"nodes": 10_000, "seconds": 600.0, "seed": 1})

    def test_percentages_are_of_a_hundred(self) -> None:
        words = ["campaign", "--kills", "5", "20", "--loss", "2", "--freezes", "10"]
        five, twenty = campaign_command.plans(_parser().parse_args(words))
        self.assertEqual((five.kills, twenty.kills), (0.05, 0.2))
        self.assertEqual((five.loss, five.freezes), (0.02, 0.1))


class SoakTests(SynchronousTestCase):
    def test_every_figure_is_added_up_and_the_slowest_seed_kept(self) -> None:
        tally = Tally()
        tally.add(SeedResult(1, 10, 20, 30, 1.5, 2.0, ()))
        tally.add(SeedResult(2, 1, 2, 3, 0.5, 5.0, ("a",)))
        tally.add(SeedResult(3, 1, 2, 3, 0.5, 5.0, ()))
        tally.add(SeedResult(4, 1, 2, 3, 0.5, None, ()))
        self.assertEqual(
            attrs.astuple(attrs.evolve(tally, failed=[]), recurse=False),
            (4, 13, 26, 39, 3.0, 5.0, 2, []),
        )
        self.assertEqual([each.seed for each in tally.failed], [2])

    def test_a_play_is_one_line(self) -> None:
        scenario = Scenario(name="x", nodes=3)
        fine = PlayResult(scenario, [], 1.234, 60.0, 500, 7, 2, "ab", [])
        self.assertEqual(
            _line(fine, 0.5),
            "ok     x: 500 steps in 60.0 virtual s (1000/s), one right ring after 1.23 s,"
            " 7 changes judged, 2 live nodes taken for dead, trace ab",
        )
        bad = attrs.evolve(fine, failures=["a"], settled_s=None)
        self.assertTrue(_line(bad, 0.5).startswith("FAILED x: "))
        self.assertIn("one right ring never,", _line(bad, 0.0))
        lines = shrunk_report(bad, attrs.evolve(scenario, seed=9))
        self.assertEqual(lines[0], "seed 9 fails: a")
        self.assertEqual(lines[1], "shortest history found, 0 of 0 actions:")
        self.assertIn("3 nodes start 'together', m = 160 bits, r = 8 successors", lines[2])
        self.assertEqual(shrunk_report(fine, scenario)[0], "seed 1 fails: no longer")


class ExperimentTests(SynchronousTestCase):
    def lookups(self) -> list[Measured]:
        found = [Measured(0.0, 1, took_s=n / 100, path=n % 4, done=True) for n in range(1, 101)]
        found.append(Measured(0.0, 1, timeouts=3, failure="no answer"))
        return found

    def test_figures_are_those_of_the_lookups_that_succeeded(self) -> None:
        found = figures(self.lookups())
        self.assertEqual((found.count, found.failed), (101, 1))
        self.assertEqual(found.paths, {0: 25, 1: 25, 2: 25, 3: 25})
        self.assertEqual(found.path, 1.5)
        self.assertAlmostEqual(found.path_deviation, 1.25**0.5)
        self.assertAlmostEqual(found.timeouts, 3 / 101)
        self.assertAlmostEqual(found.mean_s, 0.505)
        self.assertEqual(found.p99_s, 1.0)
        none = figures([])
        self.assertEqual(attrs.astuple(none, recurse=False), (0, 0, 0.0, 0.0, {}, 0.0, 0.0, 0.0))
        self.assertEqual(figures(self.lookups()[:1]).p99_s, 0.01)

    def report(self, **changes: Any) -> Report:
        usual: dict[str, Any] = {
            "joined": 4, "departed": 5, "members": 11, "lookups": figures(self.lookups()),
            "reasons": {"no answer": 1}, "messages_per_node_s": 7.25, "steps": 900,
            "settled_s": 3.0, "judged": True, "course": (Sample(1.0, 11, 5, 1, 2),),
        }  # fmt: skip
        return Report(**usual | changes)

    def test_a_report_in_words_has_every_figure(self) -> None:
        settings = Settings(nodes=12, duration_s=20.0, seed=3)
        self.assertEqual(
            run_lines(self.report(), settings),
            [
                "12 nodes, 20 virtual seconds, seed 3: 4 joined, 5 departed, 11 at the end",
                "lookups: 101, of which 1 failed; no answer: 1",
                "path: 1.50 nodes on average (standard deviation 1.12); 0.03 timeouts a lookup",
                "time: 0.51 s on average, 1.00 s for all but 1 %",
                "traffic: 7.2 messages a node and second",
                "900 protocol steps in all",
                "one right ring 3 s after the end",
            ],
        )
        for changes, last in (
            ({"judged": False}, "the ring was not judged: too large"),
            ({"members": 0}, "no node is left"),
            ({"settled_s": None}, "no one right ring within a minute of the end"),
        ):
            self.assertEqual(run_lines(self.report(**changes), settings)[-1], last)

    def test_a_report_as_a_document_has_every_figure(self) -> None:
        document = as_json(self.report())
        self.assertEqual(document["lookups"]["paths"][1], {"nodes": 1, "lookups": 25})
        self.assertEqual(document["reasons"], [{"reason": "no answer", "lookups": 1}])
        self.assertEqual(document["course"][0]["failed"], 1)
        words = {
            "nodes": 12, "duration": 20.0, "seed": 3, "churn": "none", "trace": Path("t"),
            "orderly": 0.0, "failures": 0.0,
        }  # fmt: skip
        whole = run_json(self.report(), words, [Path("a.png")])
        self.assertEqual((whole["trace"], whole["plots"], whole["joined"]), ("t", ["a.png"], 4))
        self.assertIsNone(run_json(self.report(), words | {"trace": None}, [])["trace"])

    def test_settings_have_their_limits_and_may_reach_them(self) -> None:
        for fine in (
            {"nodes": 1}, {"nodes": 100_000}, {"failures": 0.99}, {"loss": 0.99}, {"orderly": 1.0},
            {"failures_at_s": 0.0}, {"failures_at_s": 300.0},
            {"duration_s": 1e6, "lookups_per_s": 10.0},
        ):  # fmt: skip
            Settings(**fine)
        for wrong in (
            {"nodes": 0}, {"nodes": 100_001}, {"failures": 1.0}, {"loss": 1.0}, {"orderly": 1.01},
            {"failures_at_s": -0.1}, {"failures_at_s": 300.1}, {"duration_s": 0.0},
            {"duration_s": float("inf")}, {"duration_s": 1e6, "lookups_per_s": 10.1},
            {"latency": "none"}, {"loss": -0.1},
        ):  # fmt: skip
            self.assertRaises(ConfigError, Settings, **wrong)


class MeterTests(SynchronousTestCase):
    """A meter on a ring that is right, told of questions and answers by hand."""

    def setUp(self) -> None:
        self.network = ring_of(8, successors=2)
        self.meter = LookupMeter(self.network, Random(1))
        for host in self.network.live():
            self.meter.faulted(host, "placed")

    def ask(self) -> tuple[Measured, int]:
        while not self.meter.under_way:  # a node may own the key itself
            self.meter.ask()
        (((_, op), (_, measured)),) = self.meter._open.items()
        return measured, op

    @property
    def asker(self) -> Any:
        ((number, _),) = self.meter._open
        return next(host for host in self.network.hosts.values() if host.number == number)

    def end(self, op: int, owner: Any, path: list[Any], reason: str = "") -> None:
        asker = self.asker
        done = fx.LookupDone(op, owner, path, reason)
        asker.done[op] = done
        self.network.now += 0.5
        self.meter.stepped(asker, ev.Tick(), [done])

    def owner(self, measured: Measured) -> Any:
        return next(h.ref for h in self.network.live() if h.ref.id == measured.owner)

    def test_a_right_answer_has_its_path_without_both_ends_and_its_time(self) -> None:
        for length, path in ((5, 3), (2, 0), (1, 0)):
            measured, op = self.ask()
            self.assertEqual(self.meter.under_way, 1)
            self.end(op, self.owner(measured), [self.owner(measured)] * length)
            self.assertEqual((measured.path, measured.took_s, measured.failure), (path, 0.5, ""))
            self.assertTrue(measured.done)
            self.assertEqual(self.meter.under_way, 0)

    def test_a_wrong_owner_and_no_owner_are_failures(self) -> None:
        measured, op = self.ask()
        wrong = next(h.ref for h in self.network.live() if h.ref.id != measured.owner)
        self.end(op, wrong, [])
        self.assertEqual(measured.failure, f"wrong owner: {wrong.name}")
        for reason, told in (("busy", "busy"), ("", "no answer")):
            measured, op = self.ask()
            self.end(op, None, [], reason)
            self.assertEqual((measured.failure, measured.done), (told, True))

    def test_the_owner_of_the_end_is_as_right_as_that_of_the_beginning(self) -> None:
        measured, op = self.ask()
        owner = next(h for h in self.network.live() if h.ref.id == measured.owner)
        after = owner.node.successors[0]
        self.meter.faulted(owner, "killed")
        self.end(op, after, [])
        self.assertEqual(measured.failure, "")

    def test_questions_to_nodes_that_do_not_run_are_timeouts(self) -> None:
        measured, _ = self.ask()
        key = next(iter(self.meter._keys))
        alive, dead = (self.network.hosts[name] for name in names(2))
        self.network.kill(dead.ref.name)
        nobody = msgspec.structs.replace(alive.ref, address="nowhere")
        earlier = msgspec.structs.replace(alive.ref, incarnation=0)
        for to, last, expected in (
            (alive.ref, True, (0, 0)), (dead.ref, False, (1, 0)), (nobody, False, (2, 0)),
            (earlier, True, (3, 1)),
        ):  # fmt: skip
            question = fx.Send(to, FindNext(1, key, 0, [], last))
            other = fx.Send(dead.ref, FindNext(1, b"other", 0, [], True))
            self.meter.stepped(self.asker, ev.Tick(), [question, other])
            self.assertEqual((measured.timeouts, measured.last_timeouts), expected)
        self.assertEqual(measured.way_timeouts, 2)

    def test_members_are_those_that_are_active(self) -> None:
        host = self.network.hosts[names(1)[0]]
        for change, inside in (
            (fx.StatusChanged(Status.ACTIVE, Status.LEAVING), False),
            (fx.StatusChanged(Status.JOINING, Status.ACTIVE), True),
            (fx.StatusChanged(Status.JOINING, Status.ACTIVE), True),
        ):
            self.meter.stepped(host, ev.Tick(), [change])
            self.assertEqual(host.ref.id in self.meter.members, inside)
            self.assertEqual(len(self.meter.members), 8 if inside else 7)
            self.assertEqual(self.meter.members, sorted(self.meter.members))
        for what, inside in (
            ("frozen", True),
            ("left", False),
            ("placed", True),
            ("killed", False),
        ):
            self.meter.faulted(host, what)
            self.assertEqual(host.ref.id in self.meter.members, inside, what)

    def test_lookups_of_who_is_gone_are_forgotten(self) -> None:
        measured, _ = self.ask()
        name, count = self.asker.ref.name, len(self.meter.lookups)
        self.meter.asker_gone()
        self.assertEqual(len(self.meter.lookups), count)
        self.network.kill(name)
        self.meter.asker_gone()
        self.assertEqual((len(self.meter.lookups), self.meter.under_way), (count - 1, 0))
        self.assertFalse(any(each is measured for each in self.meter.lookups))

    def test_where_nobody_is_nobody_asks(self) -> None:
        for host in self.network.live():
            self.meter.faulted(host, "killed")
        self.meter.ask()
        self.assertEqual(self.meter.lookups, [])


class TraceTests(SynchronousTestCase):
    def test_changes_come_in_the_order_of_time_and_within_the_run(self) -> None:
        model = trace("9 join 3\n2,crash,3 # one\n\n3.5 leave 4\n10 join 9\n")
        self.assertEqual(
            model(Random(1), 5, 10.0),
            [Change(2.0, "crash", 3), Change(3.5, "leave", 4), Change(9.0, "join", 3)],
        )

    def test_what_is_no_change_is_named_by_its_line(self) -> None:
        self.assertEqual(trace("0 join 1")(Random(1), 1, 1.0), [Change(0.0, "join", 1)])
        for line in ("-1 join 1", "inf join 1", "1 join 0", "1 depart 1", "1 join", "x join 1"):
            error = self.assertRaises(ConfigError, trace, f"# head\n{line}\n")
            self.assertTrue(str(error).startswith("line 2 of the trace is not TIME"), error)


class ConfigTests(SynchronousTestCase):
    def test_runs_with_lies_have_short_lists_and_small_casts(self) -> None:
        usual = ProtocolConfig(successors=4, max_cast_bytes=1 << 20)
        self.assertEqual(byzantine.small_ring(), usual)
