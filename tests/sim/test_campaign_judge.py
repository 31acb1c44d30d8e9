"""A run of the campaign is judged by what its processes hold; every wrong is made by hand."""

from __future__ import annotations

from typing import Any

import attrs
import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.errors import ConfigError
from chordnet.core.base.messages import Ack, Covered, Have
from chordnet.sim.campaign.evidence import MAX_FAULTS, Given
from chordnet.sim.campaign.run import CampaignResult, CampaignRun, Plan, crippled, large_ring
from chordnet.sim.world.host import Host


class Fates:
    """Keeps what befalls the hosts of a run, in seconds since its broadcast."""

    def __init__(self, run: CampaignRun) -> None:
        self.run = run
        self.found: list[tuple[str, str, float]] = []
        run.network.watchers.append(self)

    def _add(self, what: str, host: Host) -> None:
        began = getattr(self.run, "_began", None)
        if began is not None:
            self.found.append((what, host.ref.name, self.run.network.now - began))

    def stepped(self, host: Host, event: ev.Event, effects: list[fx.Effect]) -> None:
        if isinstance(event, ev.Start):
            self._add("joins", host)

    def faulted(self, host: Host, what: str) -> None:
        self._add(what, host)

    def times(self, what: str) -> list[float]:
        return [at for each, _, at in self.found if each == what]


class JudgeCase(SynchronousTestCase):
    PLAN = Plan(nodes=6, joins=0, loss=0.0)

    def setUp(self) -> None:
        self.make()

    def make(self, **changes: Any) -> None:
        self.run_ = CampaignRun(attrs.evolve(self.PLAN, **changes), 1)
        self.result = self.run_.play()
        self.assertEqual(self.result.failures, ())
        self.network, self.evidence = self.run_.network, self.run_.evidence
        ((self.op, (self.origin, self.key)), *_) = self.run_._ops.items()
        self.other = next(h for h in self.network.live() if h.ref.name != self.origin)

    def again(self) -> CampaignResult:
        return self.run_._result(self.run_._failures(), 1.0)

    def give(self, **values: Any) -> None:
        """Change the receipt."""
        given = self.evidence.receipts[self.op]
        lacking = values.pop("lacking", given.lacking)
        done = msgspec.structs.replace(given.done, **values)
        self.evidence.receipts[self.op] = Given(done, given.at, lacking)


class FigureTests(JudgeCase):
    def test_every_figure_of_a_run_in_which_nothing_happens(self) -> None:
        found = attrs.asdict(self.result)
        edges = found.pop("edges")
        self.assertEqual(sum(edges.values()), 5)
        self.assertNotIn("origin", edges)
        settled, confirmed = found.pop("settled_s"), found.pop("confirmed_s")
        self.assertTrue(0.0 < confirmed <= settled < 0.1)
        # The ring is looked at every 20 ms, from the broadcast on.
        self.assertAlmostEqual(settled % 0.02, 0.02 if settled % 0.02 > 0.01 else 0.0)
        sent = self.network.sent
        self.assertEqual(found.pop("answers"), sent["Ack"] + sent["Covered"])
        self.assertEqual(found.pop("steps"), self.network.steps)
        self.assertEqual(
            found,
            {
                "seed": 1, "live": 6, "missed": 0, "twice": 0, "untrue": 0, "receipts": 1,
                "partial": 0, "unreached": 0, "lacked": 0, "early": 0, "bcasts": 5, "lost": 0,
                "failures": (), "cpu_s": 0.0,
            },
        )  # fmt: skip

    def test_a_run_goes_on_for_a_moment_after_all_is_well(self) -> None:
        self.make(linger_s=1.5)
        settled = self.result.settled_s or 0.0
        self.assertAlmostEqual(self.network.now, 0.1 + settled + 1.5)

    def test_a_run_ends_in_time_when_all_is_never_well(self) -> None:
        run = CampaignRun(attrs.evolve(self.PLAN, within_s=0.75, loss=0.9, crippled=True), 2)
        result = run.play()
        self.assertFalse(result.ok)
        self.assertIsNone(result.settled_s)
        self.assertAlmostEqual(run.network.now, 0.1 + 0.75 + 0.25)

    def test_repairs_are_the_edges_of_three_kinds(self) -> None:
        edges = {"reassign": 1, "extend": 20, "backfill": 300, "finger": 4000, "caught_up": 5000}
        self.assertEqual(attrs.evolve(self.result, edges=edges).repairs, 321)
        self.assertTrue(self.result.ok)
        self.assertFalse(attrs.evolve(self.result, failures=("x",)).ok)

    def test_receipts_are_summed_up_by_what_they_say(self) -> None:
        self.give(partial=True, unreached=[self.other.ref] * 3, lacking=("a", "b"))
        found = self.again()
        self.assertEqual((found.partial, found.unreached), (1, 3))
        self.assertEqual((found.lacked, found.early), (0, 0), "it says itself that it is partial")
        self.give(partial=False)
        found = self.again()
        self.assertEqual((found.partial, found.lacked, found.early), (0, 2, 1))
        self.give(id=None)
        self.assertEqual((self.again().lacked, self.again().early), (0, 0))

    def test_the_last_receipt_counts(self) -> None:
        self.make(broadcasts=3)
        self.assertEqual(self.result.receipts, 3)
        times = [given.at for given in self.evidence.receipts.values()]
        self.assertAlmostEqual(self.result.confirmed_s or 0, max(times) - 0.1)
        self.evidence.receipts.clear()
        self.assertIsNone(self.again().confirmed_s)

    def test_acknowledgements_and_reports_are_answers(self) -> None:
        before = self.again().answers
        self.network._sent[Ack] += 100
        self.network._sent[Covered] += 1000
        self.network._sent[Have] += 10_000
        self.assertEqual(self.again().answers, before + 1100)


class FailureTests(JudgeCase):
    def failures(self) -> list[str]:
        return [*self.again().failures]

    def test_a_process_without_the_message_or_with_it_twice_is_found(self) -> None:
        self.other.records.append(self.other.records[0])
        name = self.other.ref.name
        self.assertEqual(self.failures(), [f"{name} holds 2 records of 1 messages"])
        self.other.records.clear()
        self.assertEqual(self.failures(), [f"{name} holds 0 records of 1 messages"])

    def test_a_process_with_another_message_is_found(self) -> None:
        (record,) = self.other.records
        self.other.records[:] = [msgspec.structs.replace(record, id=record.id.plus(1))]
        self.assertEqual(self.failures(), [f"{self.other.ref.name} holds 1 records of 1 messages"])

    def test_what_the_log_shows_is_found(self) -> None:
        self.evidence.twice.append("a twice")
        self.evidence.untrue.append("b untrue")
        self.assertEqual(self.failures(), ["a twice", "b untrue"])
        self.assertEqual((self.again().twice, self.again().untrue), (1, 1))

    def test_an_origin_without_a_receipt_is_found(self) -> None:
        self.evidence.receipts.clear()
        self.assertEqual(self.failures(), [f"{self.origin} got no receipt"])
        self.assertFalse(self.run_._settled())

    def test_blame_is_found(self) -> None:
        self.other.misbehaved.append(fx.Misbehaved(self.network.hosts[self.origin].ref, "it lies"))
        self.assertEqual(self.failures(), [f"{self.other.ref.name} blames {self.origin}: it lies"])

    def test_an_undisturbed_broadcast_has_its_price(self) -> None:
        spare = 2 * 5 - self.result.answers
        self.network._sent[Ack] += spare
        self.assertEqual(self.failures(), [])
        self.network._sent[Covered] += 1
        self.assertEqual(self.failures(), ["5 broadcasts and 11 answers for 5 edges"])
        self.make(joins=1)
        self.network._sent[Covered] += 1000
        self.assertEqual(self.failures(), [], "a disturbed one has none")

    def test_no_more_faults_are_put_into_words_than_anybody_reads(self) -> None:
        (record,) = self.other.records
        for _ in range(MAX_FAULTS + 5):
            self.evidence.stepped(self.other, ev.Tick(), [record])
        self.assertEqual(len(self.evidence.twice), 20)


class LostTests(JudgeCase):
    """A message that dies with its origin, with no receipt and no trace, is lost and no failure."""

    def lose(self) -> None:
        self.evidence.receipts.clear()
        self.network.kill(self.origin)
        for host in self.network.live():
            host.records.clear()
            self.evidence._lacking[self.key][host.ref.raw] = host.ref.name
        self.run_._busy_until = self.network.now

    def test_a_message_is_lost_once_nothing_can_be_on_its_way_any_more(self) -> None:
        self.lose()
        for later, lost in ((0.0, 0), (2.4, 0), (2.5, 1), (60.0, 1)):
            self.network.now = self.run_._busy_until + later
            found = self.again()
            self.assertEqual((found.lost, found.missed), (lost, 5 * (1 - lost)), later)
            self.assertEqual(found.ok, bool(lost))
            self.assertEqual(self.run_._settled(), bool(lost))

    def test_no_message_is_lost_that_somebody_has_or_was_told_or_whose_origin_lives(self) -> None:
        self.lose()
        self.network.now += 10.0
        self.evidence._lacking[self.key].pop(self.other.ref.raw)
        self.assertEqual((self.again().lost, self.again().missed), (0, 4))
        self.make()
        given = dict(self.evidence.receipts)
        self.lose()
        self.network.now += 10.0
        self.evidence.receipts |= given
        self.assertEqual(self.again().lost, 0)
        self.make()
        self.lose()
        self.network.now += 10.0
        self.network.hosts[self.origin].up = True
        self.assertEqual(self.again().lost, 0)

    def test_a_run_is_not_over_before_the_last_thing_has_happened(self) -> None:
        self.assertTrue(self.run_._settled())
        self.run_._busy_until = self.network.now
        self.assertTrue(self.run_._settled())
        self.run_._busy_until += 0.01
        self.assertFalse(self.run_._settled())


class FateTests(SynchronousTestCase):
    """What befalls a ring: as many kills, freezes, joins and cuts as the plan says, in time."""

    def play(self, seeds: range = range(4), **words: Any) -> list[Fates]:
        found = []
        for seed in seeds:
            run = CampaignRun(Plan(**{"nodes": 20, "joins": 0, "loss": 0.0} | words), seed)
            found.append(Fates(run))
            run.play()
        return found

    def test_kills_happen_in_the_first_moment_or_while_lost_messages_are_sent_again(self) -> None:
        times = []
        for fates in self.play(kills=0.45):
            killed = [name for what, name, _ in fates.found if what == "killed"]
            self.assertEqual(len(set(killed)), 9)
            self.assertEqual(len(killed), 9)
            self.assertTrue(set(killed).isdisjoint(name for name, _ in fates.run._ops.values()))
            times += fates.times("killed")
        self.assertTrue(all(0.0 <= at <= 2.5 for at in times), times)
        early = sum(at <= 0.025 for at in times)
        self.assertTrue(9 < early < 27, early)
        self.assertGreater(max(times), 1.5)

    def test_freezes_last_up_to_six_seconds(self) -> None:
        lasted = []
        for fates in self.play(freezes=0.25):
            begun = {name: at for what, name, at in fates.found if what == "frozen"}
            ended = {name: at for what, name, at in fates.found if what == "thawed"}
            self.assertEqual((len(begun), begun.keys()), (5, ended.keys()))
            self.assertTrue(all(at <= 2.5 for at in begun.values()))
            lasted += [ended[name] - begun[name] for name in begun]
        self.assertTrue(all(0.0 <= each <= 6.0 for each in lasted))
        self.assertGreater(max(lasted), 4.5)

    def test_newcomers_are_told_two_members_that_stay(self) -> None:
        for fates in self.play(joins=5, kills=0.3, freezes=0.2):
            gone = {name for what, name, _ in fates.found if what in ("killed", "frozen")}
            names = [name for what, name, _ in fates.found if what == "joins"]
            self.assertEqual(sorted(names), [f"j{number}" for number in range(5)])
            for name in names:
                told = fates.run.network.hosts[name].bootstrap
                self.assertEqual(len(set(told)), 2)
                self.assertTrue(gone.isdisjoint(told))
            self.assertTrue(all(at <= 2.5 for at in fates.times("joins")))

    def test_a_partition_cuts_the_network_into_halves_for_as_long_as_said(self) -> None:
        class Cut:
            """Looks at each step whether the network is cut."""

            def stepped(self, host: Host, event: ev.Event, effects: list[fx.Effect]) -> None:
                rules = run.network.weather.rules
                if rules:
                    times.append(run.network.now)
                    sides[:] = [set(rule.sources) for rule in rules]

            def faulted(self, host: Host, what: str) -> None:
                pass

        times: list[float] = []
        sides: list[set[str]] = []
        run = CampaignRun(Plan(nodes=21, joins=0, loss=0.0, parted_s=3.0), 1)
        run.network.watchers.append(Cut())
        self.assertTrue(run.play().ok)
        one, other = sides
        self.assertEqual((len(one), len(other), one & other), (10, 11, set()))
        self.assertLess(abs(times[-1] - times[0] - 3.0), 0.1)
        self.assertGreater(run.network.now, times[-1])

    def test_the_origin_dies_while_its_broadcast_is_young(self) -> None:
        times = []
        for fates in self.play(range(12), origin_dies=True, broadcasts=2):
            first = next(iter(fates.run._ops.values()))[0]
            self.assertEqual([n for what, n, _ in fates.found if what == "killed"], [first])
            times += fates.times("killed")
        self.assertTrue(all(0.0 <= at <= 2.5 for at in times))
        self.assertGreater(sum(at <= 0.003 for at in times), 1)
        self.assertGreater(sum(at > 0.025 for at in times), 1)

    def test_messages_are_lost_as_often_as_said(self) -> None:
        run = CampaignRun(Plan(nodes=10, joins=0, loss=0.125), 1)
        run.play()
        self.assertEqual(run.network.loss, 0.125)


class PlanTests(SynchronousTestCase):
    def test_what_is_out_of_range_is_told_with_its_range(self) -> None:
        for words, told in (
            ({"nodes": 1}, "nodes must be from 2 to 100000, not 1"),
            ({"loss": 0.95}, "loss must be from 0 to 0.9, not 0.95"),
            ({"joins": 21}, "joins must be from 0 to nodes, not 21"),
            ({"parted_s": 20.5}, "parted_s must be from 0 to 20, not 20.5"),
            ({"broadcasts": 19},
             "broadcasts must be from 1 to the number of nodes that stay, less 2"),
            ({"within_s": -1.0}, "within_s must be greater than 0, not -1"),
        ):  # fmt: skip
            error = self.assertRaises(ConfigError, Plan, **{"nodes": 20, "joins": 0} | words)
            self.assertEqual(str(error), told)
        # The least ring has two nodes, and nobody in it whom a newcomer could be told besides.
        error = self.assertRaises(ConfigError, Plan, nodes=2, joins=0)
        self.assertIn("broadcasts", str(error))

    def test_a_campaign_has_long_lists_and_a_crippled_one_repairs_nothing(self) -> None:
        self.assertEqual(large_ring(), ProtocolConfig(successors=16))
        off = {"ack_timeout_s", "covered_check_s", "broadcast_deadline_s", "grace_s"}
        usual = attrs.asdict(large_ring())
        changed = {k: v for k, v in attrs.asdict(crippled()).items() if v != usual[k]}
        self.assertEqual(changed.keys(), off)
        self.assertTrue(all(value >= 1e6 for value in changed.values()))
        self.assertGreater(changed["broadcast_deadline_s"], changed["ack_timeout_s"])
