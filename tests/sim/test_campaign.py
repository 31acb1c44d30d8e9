"""The broadcast campaign: what it judges, that it can fail, and its words."""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base.errors import ConfigError
from chordnet.core.base.messages import Bcast, Bodies, Caught, EdgeKind, Hop, MessageId
from chordnet.sim.__main__ import main
from chordnet.sim.campaign import command as campaign_command
from chordnet.sim.campaign.evidence import Evidence
from chordnet.sim.campaign.run import CampaignRun, Plan
from chordnet.sim.campaign.series import play, results, summed
from tests.sim.support import names, ring_of

A, B, C = names(3)
BODY = b"apple"


class Judging(SynchronousTestCase):
    """Three hosts whose steps are told, not taken."""

    def setUp(self):
        self.network = ring_of(3)
        self.evidence = Evidence(self.network)
        for host in self.network.live():
            self.evidence.joined(host)
            self.evidence.members.add(host.ref.raw)
        self.id = MessageId(self.host(A).ref.raw, 1, 1)
        self.evidence.published(self.id, BODY)
        self.record(A)

    def host(self, name):
        return self.network.hosts[name]

    def hop(self, name, kind):
        return Hop(self.host(name).ref.raw, name, int(kind))

    def route(self, *names, kind=EdgeKind.FINGER):
        return [self.hop(names[0], EdgeKind.ORIGIN), *(self.hop(name, kind) for name in names[1:])]

    def deliver(self, source, target, message):
        event = ev.Received(self.host(source).ref, message)
        self.evidence.stepped(self.host(target), event, [])

    def bcast(self, source, target, kind=EdgeKind.FINGER, bodies=(BODY,)):
        bodies = None if bodies is None else list(bodies)
        message = Bcast(self.id, 1, 0.0, 60, b"", int(kind), [], bodies)
        self.deliver(source, target, message)

    def record(self, *names, kind=EdgeKind.FINGER, body=BODY):
        record = fx.Record(self.id, 0.0, body, self.route(*names, kind=kind))
        self.evidence.stepped(self.host(names[-1]), ev.Tick(), [record])

    def test_a_route_of_delivered_edges_is_true(self):
        self.bcast(A, B)
        self.record(A, B)
        self.bcast(B, C, EdgeKind.SUCCESSOR)
        self.evidence.stepped(
            self.host(C),
            ev.Tick(),
            [fx.Record(self.id, 0.0, BODY, [*self.route(A, B), self.hop(C, EdgeKind.SUCCESSOR)])],
        )
        self.assertEqual((self.evidence.untrue, self.evidence.twice), ([], []))
        self.assertTrue(self.evidence.complete)
        self.assertEqual(self.evidence.counts, {"origin": 1, "finger": 1, "successor": 1})

    def assert_untrue(self, why):
        self.assertEqual(len(self.evidence.untrue), 1, self.evidence.untrue)
        self.assertIn(why, self.evidence.untrue[0])

    def test_an_edge_that_was_sent_and_not_delivered_is_untrue(self):
        self.record(A, B)
        self.assert_untrue(f"no finger edge from {A} was delivered")

    def test_an_edge_of_another_kind_is_untrue(self):
        self.bcast(A, B, EdgeKind.REASSIGN)
        self.record(A, B)
        self.assert_untrue("no finger edge")

    def test_an_edge_the_other_way_round_is_untrue(self):
        self.bcast(B, A)
        self.record(A, B)
        self.assert_untrue("no finger edge")

    def test_a_parent_that_recorded_another_route_makes_a_route_untrue(self):
        self.bcast(A, B)
        self.bcast(A, C)
        self.bcast(B, C)
        self.record(A, B)
        self.record(A, C)
        self.assertEqual(self.evidence.untrue, [])
        self.network.kill(C)
        self.record(A, C, B)
        self.assertEqual(len(self.evidence.twice), 1)

    def test_a_parent_that_recorded_nothing_makes_a_route_untrue(self):
        self.bcast(B, C)
        self.record(A, B, C)
        self.assert_untrue(f"{B} has not recorded the route up to itself")

    def test_a_route_that_ends_elsewhere_is_untrue(self):
        self.bcast(A, B)
        record = fx.Record(self.id, 0.0, BODY, self.route(A, B))
        self.evidence.stepped(self.host(C), ev.Tick(), [record])
        self.assert_untrue("the route does not lead from the origin to here")

    def test_a_route_that_begins_elsewhere_and_an_empty_route_are_untrue(self):
        for route in ([self.hop(B, EdgeKind.ORIGIN), self.hop(C, EdgeKind.FINGER)], []):
            self.evidence.untrue.clear()
            self.evidence._records[self.id].pop(self.host(C).ref.raw, None)
            record = fx.Record(self.id, 0.0, BODY, route)
            self.evidence.stepped(self.host(C), ev.Tick(), [record])
            self.assert_untrue("the route does not lead from the origin to here")

    def test_a_second_record_is_said_to_be_one_and_judged_no_further(self):
        self.bcast(A, B)
        for _ in range(2):
            self.record(A, B)
        self.assertEqual(self.evidence.twice, [f"{B} recorded {self.id} twice"])
        self.record(A, C, B)
        self.assertEqual((len(self.evidence.twice), self.evidence.untrue), (2, []))

    def test_messages_that_travel_together_travelled_each(self):
        first, second = self.id, self.id.plus(1)
        self.evidence.published(second, BODY)
        message = Bcast(first, 2, 0.0, 60, b"", int(EdgeKind.FINGER), [], [BODY, BODY])
        self.deliver(A, B, message)
        for self.id in (first, second):
            self.evidence._records[self.id].setdefault(self.id.origin, self.route(A))
            self.record(A, B)
        self.assertEqual(self.evidence.untrue, [])
        self.assertEqual(self.evidence.counts["borrowed"], 0)

    def test_a_message_that_was_handed_over_is_true_and_not_borrowed(self):
        self.deliver(A, B, Caught(self.id, 0.0, [], BODY))
        self.record(A, B, kind=EdgeKind.CAUGHT_UP)
        self.assertEqual((self.evidence.untrue, self.evidence.counts["borrowed"]), ([], 0))
        self.id = self.id.plus(1)
        self.evidence.published(self.id, BODY)
        self.record(A)
        self.record(A, B, kind=EdgeKind.CAUGHT_UP)
        self.assert_untrue("no caught_up edge")

    def test_another_body_is_untrue(self):
        self.bcast(A, B)
        self.record(A, B, body=b"pear")
        self.assert_untrue("its body is another one")

    def test_a_message_that_nobody_published_is_untrue(self):
        self.id = MessageId(self.id.origin, 1, 2)
        self.bcast(A, B)
        self.record(A, B)
        self.assert_untrue("no node has published it")

    def test_a_hand_over_needs_the_caught_of_that_neighbour(self):
        self.bcast(A, B)
        self.record(A, B, kind=EdgeKind.CAUGHT_UP)
        self.assert_untrue("no caught_up edge")
        self.deliver(A, C, Caught(self.id, 0.0, [], BODY))
        self.record(A, C, kind=EdgeKind.CAUGHT_UP)
        self.assertEqual(len(self.evidence.untrue), 1)

    def test_a_body_from_elsewhere_is_counted(self):
        self.bcast(A, B, EdgeKind.REASSIGN, bodies=None)
        self.deliver(C, B, Bodies(self.id, [BODY]))
        self.record(A, B, kind=EdgeKind.REASSIGN)
        self.assertEqual((self.evidence.untrue, self.evidence.counts["borrowed"]), ([], 1))

    def test_a_body_that_was_asked_of_the_headers_sender_is_not_from_elsewhere(self):
        self.bcast(A, B, EdgeKind.REASSIGN, bodies=None)
        self.deliver(A, B, Bodies(self.id, [BODY]))
        self.record(A, B, kind=EdgeKind.REASSIGN)
        self.assertEqual((self.evidence.untrue, self.evidence.counts["borrowed"]), ([], 0))

    def test_one_message_that_somebody_lacks_leaves_a_run_incomplete(self):
        second = self.id.plus(1)
        self.evidence.published(second, BODY)
        for name in (B, C):
            self.bcast(A, name)
            self.record(A, name)
        self.assertFalse(self.evidence.complete)
        self.assertEqual(len(self.evidence.missing()), 3)
        self.assertEqual(self.evidence.missing(but=[second]), [])

    def test_who_came_in_later_takes_nothing_from_a_receipt(self):
        late = self.network.make("late", [A])
        self.evidence.joined(late)
        self.evidence.stepped(self.host(A), ev.Tick(), [fx.BroadcastDone(1, self.id, 3)])
        self.assertEqual(sorted(self.evidence.receipts[1].lacking), sorted([B, C]))
        self.assertIn(f"late lacks {self.id}", self.evidence.missing())

    def test_who_lacks_a_message_is_named_until_it_dies(self):
        self.assertEqual(self.evidence.holders(self.id), 1)
        self.bcast(A, B)
        self.record(A, B)
        self.assertEqual(self.evidence.missing(), [f"{C} lacks {self.id}"])
        done = fx.BroadcastDone(1, self.id, 2)
        self.evidence.stepped(self.host(A), ev.Tick(), [done])
        self.assertEqual(self.evidence.receipts[1].lacking, (C,))
        self.network.kill(C)
        self.assertTrue(self.evidence.complete)
        self.assertEqual(self.evidence.holders(self.id), 2)


class Running(SynchronousTestCase):
    def test_kills_joins_and_loss_and_nothing_is_missed(self):
        result = play(Plan(nodes=60, kills=0.1, joins=5), 1)
        self.assertEqual(result.failures, ())
        self.assertEqual((result.live, result.receipts), (59, 1))
        self.assertEqual((result.missed, result.twice, result.untrue), (0, 0, 0))
        self.assertLess(result.confirmed_s, result.settled_s + 1e-9)

    def test_an_undisturbed_broadcast_costs_what_it_must(self):
        result = play(Plan(nodes=60, joins=0, loss=0.0), 1)
        self.assertEqual((result.failures, result.bcasts, result.live), ((), 59, 60))
        self.assertLessEqual(result.answers, 2 * 59)

    def test_an_undisturbed_broadcast_that_costs_more_is_a_failure(self):
        run = CampaignRun(Plan(nodes=10, joins=0, loss=0.0), 1)
        run.network.at(0.05, lambda: run.network.publish("n3", "one more"))
        result = run.play()
        self.assertIn("18 broadcasts and", " ".join(result.failures))

    def test_false_suspicion_makes_nobody_miss_a_message(self):
        plan = Plan(nodes=60, freezes=0.15, joins=5)
        runs = [play(plan, seed) for seed in range(1, 6)]
        self.assertEqual([run.failures for run in runs], [()] * 5)
        self.assertEqual({run.live for run in runs}, {65})
        # A receipt leaves out who is held for dead, and anti-entropy delivers to it.
        self.assertGreater(sum(run.lacked for run in runs), 0)

    def test_a_partition_and_its_end_make_nobody_miss_a_message(self):
        result = play(Plan(nodes=60, parted_s=5.0, joins=5), 1)
        self.assertEqual((result.failures, result.live), ((), 65))
        self.assertGreater(result.settled_s, 5.0)

    def test_several_origins_may_broadcast_in_one_run(self):
        result = play(Plan(nodes=60, kills=0.1, joins=5, broadcasts=3), 2)
        self.assertEqual((result.failures, result.receipts), ((), 3))

    def test_a_run_without_repair_fails_and_says_who_lacks_what(self):
        plan = Plan(nodes=60, kills=0.1, joins=0, within_s=5.0, crippled=True)
        runs = [play(plan, seed) for seed in range(1, 4)]
        self.assertTrue(any(run.missed for run in runs))
        run = next(run for run in runs if run.missed)
        self.assertRegex(run.failures[0], r"n\d+ lacks [0-9a-f]{40}\.1\.1")
        self.assertIsNone(run.settled_s)

    def test_what_the_core_raises_is_a_failure(self):
        run = CampaignRun(Plan(nodes=10, joins=0), 1)
        run.network.at(0.11, lambda: 1 / 0)
        self.assertIn("ZeroDivisionError", " ".join(run.play().failures))

    def test_the_origin_dies_and_all_have_it_or_nobody_was_promised_anything(self):
        plan = Plan(nodes=60, joins=5, origin_dies=True)
        row = summed(plan, [play(plan, seed) for seed in range(1, 9)])
        self.assertEqual(row.failed, ())
        self.assertEqual(row.receipts + row.orphans_held + row.orphans_lost, 8)
        self.assertGreater(row.orphans_held, 0)

    def test_of_all_that_a_dying_origin_sent_the_successor_alone_has_it(self):
        # The message goes from node to node then, and routes become longer than any tree is deep.
        network = ring_of(90)
        evidence = Evidence(network)
        for host in network.live():
            evidence.joined(host)
        origin = network.hosts[A]
        evidence.published(MessageId(origin.ref.raw, 1, 1), BODY)
        network.publish(A, BODY.decode())
        for address in list(origin.links):
            if address != origin.node.successors[0].address:
                network.sever(A, address)
        network.run(0.002)
        network.kill(A)
        self.assertTrue(network.run(30.0, lambda: evidence.complete))
        self.assertEqual((evidence.untrue, evidence.twice), ([], []))
        self.assertEqual([fault for host in network.live() for fault in host.misbehaved], [])
        longest = max(len(record.route) for host in network.live() for record in host.records)
        self.assertGreater(longest, network.config.max_hops)

    def test_a_node_put_into_a_ring_compares_with_others(self):
        network = ring_of(8)
        network.run(6.0)
        self.assertGreater(network.sent["Compare"], 0)

    def test_processes_find_what_one_finds(self):
        plan = Plan(nodes=20, kills=0.1, joins=2)
        found = [
            sorted((r.seed, r.live, r.steps, r.settled_s) for r in results(plan, [1, 2], jobs))
            for jobs in (1, 2)
        ]
        self.assertEqual(found[0], found[1])

    def test_one_job_needs_no_other_process(self):
        for jobs, most in ((1, 0), (2, 2)):
            playing = results(Plan(nodes=20, joins=2), [1, 2, 3], jobs)
            next(playing)
            self.assertEqual(len(multiprocessing.active_children()), most, jobs)
            for _result in playing:
                pass

    def test_impossible_plans_are_refused(self):
        for words, text in (
            ({"nodes": 1}, "nodes must be from 2"),
            ({"kills": 1.0}, "kills must be from 0 to 0.9"),
            ({"loss": -0.1}, "loss must be"),
            ({"joins": -1}, "joins must be"),
            ({"nodes": 10, "joins": 0, "broadcasts": 9}, "broadcasts must be"),
            ({"within_s": 0.0}, "within_s must be"),
            ({"freezes": 1.0}, "freezes must be"),
            ({"parted_s": 60.0}, "parted_s must be"),
        ):
            self.assertIn(text, str(self.assertRaises(ConfigError, Plan, **words)))


class Command(SynchronousTestCase):
    def setUp(self):
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name, "runs.json")
        self.said = []
        self.words = ["--nodes", "20", "--joins", "2", "--jobs", "1", "--json", str(self.file)]

    def run_it(self, *words):
        self.said.clear()
        options = self.options(*words)
        return campaign_command.run(options, lambda *lines: self.said.extend(lines), lambda: 0.0)

    def options(self, *words):
        parser = argparse.ArgumentParser()
        campaign_command.add_words(parser.add_subparsers())
        return parser.parse_args(["campaign", *self.words, *words])

    def test_each_fraction_has_a_row_and_a_place_in_the_file(self):
        self.assertEqual(self.run_it("--kills", "0", "10", "--seeds", "2"), 0)
        head, *rows = [line.split() for line in self.said[:3]]
        self.assertEqual(head[:4], ["nodes", "killed", "seeds", "failed"])
        self.assertEqual(
            [row[:4] for row in rows], [["20", "0", "2", "0"], ["20", "0.1", "2", "0"]]
        )
        document = json.loads(self.file.read_text())
        self.assertEqual([len(plan["runs"]) for plan in document["plans"]], [2, 2])

    def test_what_the_file_has_is_not_played_again(self):
        self.run_it("--kills", "0", "--seeds", "2")
        document = json.loads(self.file.read_text())
        document["plans"][0]["runs"][0]["live"] = 1000
        self.file.write_text(json.dumps(document))
        self.run_it("--kills", "0", "--seeds", "3")
        row = self.said[1].split()
        self.assertEqual(row[2], "3")
        self.assertEqual(int(row[4]), 1000 + 22 + 22)

    def test_a_campaign_without_time_plays_no_seed(self):
        self.assertEqual(self.run_it("--seeds", "2", "--minutes", "0"), 0)
        self.assertEqual(self.said[0].split()[0], "nodes")
        self.assertFalse(self.file.exists())

    def test_a_failure_is_told_with_its_replay(self):
        words = ["--kills", "10", "--seeds", "3", "--crippled"]
        self.assertEqual(self.run_it(*words), 1)
        replay = next(line for line in self.said if "replay: " in line)
        self.assertIn("campaign --nodes 20 --kills 10 --joins 2 --loss 5", replay)
        again = replay.partition("chordnet.sim campaign ")[2].split()
        self.words = []
        self.assertEqual(self.run_it(*again), 1)

    def test_files_that_cannot_be_used_are_refused_with_the_reason(self):
        for text, why in (("{}", "cannot add to"), ("[", "cannot add to")):
            self.file.write_text(text)
            error = self.assertRaises(campaign_command.UnusableFile, self.run_it)
            self.assertIn(why, str(error))
        self.file.write_text(json.dumps({"format": 1, "chordnet": "0.0.0", "plans": []}))
        error = self.assertRaises(campaign_command.UnusableFile, self.run_it)
        self.assertIn("another version", str(error))

    def test_the_program_has_the_command(self):
        words = ["--nodes", "10", "--joins", "0", "--kills", "0", "--seeds", "1", "--jobs", "1"]
        with redirect_stdout(io.StringIO()) as said:
            self.assertEqual(main(["campaign", *words]), 0)
        self.assertIn("receipts", said.getvalue())

    def test_an_impossible_plan_is_one_line(self):
        with redirect_stderr(io.StringIO()) as errors:
            self.assertEqual(main(["campaign", "--nodes", "1"]), 1)
        self.assertEqual(errors.getvalue().count("\n"), 1)


class Summing(SynchronousTestCase):
    def test_an_early_receipt_is_counted_unless_it_says_so(self):
        plan = Plan(nodes=20, joins=0)
        result = play(plan, 1)
        early = attrs.evolve(result, early=1, lacked=3)
        row = summed(plan, [result, early])
        self.assertEqual((row.early, row.lacked, row.receipts), (1, 3, 2))
