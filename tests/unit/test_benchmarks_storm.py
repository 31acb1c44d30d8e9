"""The storm: what befalls the nodes, what the senders make of it, and how the logs are judged."""

from __future__ import annotations

from random import Random

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.storm import Storm, options
from benchmarks.storm_blows import RETURN_S
from benchmarks.storm_judge import SHOWN, Entry, entries, judge
from benchmarks.storm_plan import DOCKER, LOCAL, MOST_AWAY, plan
from benchmarks.storm_senders import LINES, SENDERS, Senders, running
from chordnet.core.base.errors import Busy, ConnectFailed
from chordnet.survey.description import NetworkDescription
from chordnet.survey.errors import TestbedError
from chordnet.survey.waiting import pause
from chordnet.wire.rpc import MessageRecord, Receipt, RouteHop

NODES = range(1, 17)
IDS = {1: "aa", 2: "bb", 3: "cc"}
KEY = "aa.1.1"


class Plans(SynchronousTestCase):
    def test_the_same_seed_brings_the_same_storm(self):
        first, again, other = (plan(Random(seed), 600.0, NODES, LOCAL) for seed in (1, 1, 2))
        self.assertEqual(first, again)
        self.assertNotEqual(first, other)

    def test_a_long_storm_has_everything_and_never_too_much_at_once(self):
        for seed in range(20):
            blows = plan(Random(seed), 600.0, NODES, DOCKER)
            self.assertEqual({blow.verb for blow in blows}, set(DOCKER), f"seed {seed}")
            for blow in blows:
                together = [b for b in blows if b.at <= blow.at < b.until]
                away = [n for b in together if b.verb != "part" for n in b.nodes]
                self.assertEqual(len(away), len(set(away)), f"seed {seed}")
                self.assertLessEqual(len(away), MOST_AWAY, f"seed {seed}")
                self.assertLessEqual(sum(b.verb == "part" for b in together), 1, f"seed {seed}")

    def test_the_local_engine_is_not_asked_for_what_it_cannot_do(self):
        verbs = {blow.verb for blow in plan(Random(3), 600.0, NODES, LOCAL)}
        self.assertEqual(verbs, set(LOCAL))

    def test_a_partition_leaves_somebody_on_the_other_side(self):
        for seed in range(20):
            for blow in plan(Random(seed), 60.0, range(1, 4), ("part",)):
                self.assertLess(len(blow.nodes), 3, f"seed {seed}")


def entry(number, route=(1,), key=KEY, body="apple", kind=None):
    kind = kind or ("origin" if len(route) == 1 else "finger")
    return Entry(key, body, tuple(IDS[n] for n in route), kind)


class Judging(SynchronousTestCase):
    def setUp(self):
        self.logs = {
            1: [entry(1, (1,))],
            2: [entry(2, (1, 2))],
            3: [entry(3, (1, 2, 3), kind="reassign")],
        }

    def judge(self, confirmed=None):
        return judge({KEY: "apple"} if confirmed is None else confirmed, self.logs, IDS)

    def test_a_storm_in_which_all_is_well_has_no_complaints(self):
        verdict = self.judge()
        self.assertEqual((verdict.counts, verdict.complaints), ({}, ()))
        self.assertEqual((verdict.messages, verdict.records, verdict.repaired), (1, 3, 1))
        self.assertEqual(verdict.unconfirmed, 0)

    def test_a_confirmed_message_that_a_node_lacks_is_missing(self):
        self.logs[3] = []
        self.assertEqual(self.judge().counts, {"missing": 1})
        self.assertEqual(self.judge().complaints, (f"missing: Node 3 lacks 'apple' ({KEY})",))

    def test_a_confirmed_message_is_nowhere(self):
        self.logs = {1: [], 2: [], 3: []}
        self.assertEqual(self.judge().counts, {"missing": 3})

    def test_an_unconfirmed_message_is_with_all_or_with_nobody(self):
        self.assertEqual((self.judge({}).counts, self.judge({}).unconfirmed), ({}, 1))
        self.logs[3] = []
        self.assertEqual(self.judge({}).counts, {"not everywhere": 1})

    def test_a_message_recorded_twice_is_counted(self):
        self.logs[2] *= 2
        self.assertEqual(self.judge().counts, {"twice": 1})

    def test_another_body_is_counted(self):
        self.logs[2] = [entry(2, (1, 2), body="pear")]
        self.assertEqual(self.judge().counts, {"body": 1})

    def test_untrue_routes_are_counted(self):
        for log, why in (
            ([entry(3, (1, 3, 2))], "does not lead from the origin to here"),
            ([entry(3, (2, 3))], "does not lead from the origin to here"),
            ([entry(3, (1, 1, 3))], "the node before recorded another route"),
            ([Entry(KEY, "apple", (), "finger")], "does not lead"),
        ):
            self.logs[3] = log
            verdict = self.judge()
            self.assertEqual(verdict.counts, {"route": 1}, why)
            self.assertIn(why, verdict.complaints[0])

    def test_a_route_through_a_node_that_lacks_the_message_is_counted(self):
        self.logs[2] = []
        self.assertEqual(self.judge().counts, {"missing": 1, "route": 1})
        self.assertIn("the node before has not recorded it", self.judge().complaints[1])

    def test_many_complaints_are_counted(self):
        keys = {f"aa.1.{n}": "apple" for n in range(1, 51)}
        self.logs = {1: [entry(1, key=key) for key in keys], 2: [], 3: []}
        verdict = self.judge(keys)
        self.assertEqual(verdict.counts, {"missing": 100})
        self.assertEqual(len(verdict.complaints), SHOWN)

    def test_records_become_entries(self):
        hops = [RouteHop("aa", "Node 1", "origin"), RouteHop("bb", "Node 2", "successor")]
        record = MessageRecord(KEY, "apple", 0.0, 0.0, hops)
        self.assertEqual(entries([record]), [Entry(KEY, "apple", ("aa", "bb"), "successor")])


class FakeClient:
    """Answers as it is told, at once or never."""

    def __init__(self, world, address):
        self.world, self.address, self.closed = world, address, False
        world.clients.append(self)

    def send_message(self, body):
        self.world.bodies.append(body)
        answer = self.world.answers.get(self.address)
        if answer is None:
            key = f"{self.address}.{len(self.world.bodies)}"
            return succeed(Receipt(key, body, 16, 16, 15, 3, 0.0, False, []))
        return Deferred() if answer == "silence" else fail(answer)

    def close(self):
        self.closed = True
        return succeed(None)


class Sending(SynchronousTestCase):
    def setUp(self):
        self.clock = Clock()
        self.clients, self.bodies, self.answers = [], [], {}
        self.up = ["a"]
        self.senders = Senders(
            self.clock,
            lambda address: FakeClient(self, address),
            lambda: self.up[0],
            Random(1),
            1.0,
        )
        self.sending = running(self.senders.run())

    def stop(self):
        self.senders.stop()
        self.clock.pump([1.0] * 5)
        return self.successResultOf(self.sending)

    def test_each_sender_has_a_connection_of_its_own_and_several_messages_in_flight(self):
        self.assertEqual(len(self.clients), SENDERS)
        self.assertEqual(len(self.bodies), SENDERS * LINES)
        self.stop()
        self.assertTrue(all(client.closed for client in self.clients))

    def test_every_message_is_another_and_every_receipt_is_kept(self):
        self.clock.pump([0.5] * 20)
        self.stop()
        self.assertEqual(len(set(self.bodies)), len(self.bodies))
        self.assertGreater(len(self.bodies), 100)
        self.assertEqual(sorted(self.senders.confirmed.values()), sorted(self.bodies))
        self.assertEqual(self.senders.sent, len(self.bodies))

    def test_after_a_failure_the_senders_turn_to_another_node_once(self):
        self.answers["a"] = ConnectFailed("gone")
        self.up = ["b"]
        self.clock.pump([0.5] * 5)
        self.stop()
        self.assertEqual({client.address for client in self.clients[SENDERS:]}, {"b"})
        self.assertEqual(len(self.clients), 2 * SENDERS)
        self.assertEqual(set(self.senders.failed), {"ConnectFailed"})
        told = self.senders.failed.total() + len(self.senders.confirmed)
        self.assertEqual(told, self.senders.sent)

    def test_busy_is_waited_out_at_the_same_node(self):
        self.answers["a"] = Busy("a moment")
        self.clock.pump([0.5] * 5)
        del self.answers["a"]
        self.clock.pump([0.5] * 5)
        self.stop()
        self.assertEqual(len(self.clients), SENDERS)
        self.assertGreater(self.senders.failed["Busy"], 0)
        self.assertGreater(len(self.senders.confirmed), 0)


class FakeEngine:
    """Keeps who is away, and complains of an order that makes no sense."""

    def __init__(self, kind, clock, slow=0.0):
        self.kind, self.clock, self.slow = kind, clock, slow
        self.down, self.frozen, self.parted, self.most = set(), set(), False, 0
        self.refusals = 0

    async def kill(self, numbers):
        assert not self.down & set(numbers)
        self.down |= set(numbers)
        self.most = max(self.most, len(self.down | self.frozen))

    stop = kill

    async def start(self, network, numbers):
        await pause(self.clock, self.slow)
        assert self.down >= set(numbers)
        self.down -= set(numbers)

    async def freeze(self, numbers):
        assert not (self.down | self.frozen) & set(numbers)
        self.frozen |= set(numbers)
        if self.refusals:
            self.refusals -= 1
            raise TestbedError("Node 9 cannot be frozen: unable to freeze")

    async def thaw(self, numbers):
        assert self.frozen >= set(numbers)
        self.frozen -= set(numbers)

    async def shape(self, lines):
        self.parted = any(line.cut for line in lines.values())


class FakeField:
    def __init__(self, kind, slow=0.0):
        self.reactor = Clock()
        self.engine = FakeEngine(kind, self.reactor, slow)
        self.network = NetworkDescription(name="storm", engine=kind, size=16, base_port=9500)


class Raging(SynchronousTestCase):
    def setUp(self):
        self.clients, self.bodies, self.answers = [], [], {}

    def rage(self, kind, slow=0.0, refusals=0):
        field = FakeField(kind, slow)
        field.engine.refusals = refusals
        storm = Storm(field, 5, 60.0, 20.0, lambda address: FakeClient(self, address))
        raging = running(storm.rage())
        while field.reactor.seconds() < 100.0 + 20 * slow:
            field.reactor.advance(0.25)
        self.successResultOf(raging)
        return storm, field.engine

    def test_every_blow_falls_and_is_undone(self):
        for kind in ("local", "docker"):
            storm, engine = self.rage(kind)
            self.assertEqual(storm.blows.done.total(), len(storm.blows.planned))
            self.assertEqual(
                storm.blows.hit.total(), sum(len(blow.nodes) for blow in storm.blows.planned)
            )
            self.assertEqual((engine.down, engine.frozen, engine.parted), (set(), set(), False))
            self.assertGreater(engine.most, 0)
            self.assertEqual(storm.blows.done["part"] > 0, kind == "docker")

    def test_nobody_is_hit_before_it_is_back(self):
        storm, engine = self.rage("local", slow=5.0)  # the engine itself would complain
        self.assertEqual((engine.down, engine.frozen), (set(), set()))
        self.assertLess(
            storm.blows.hit.total(), sum(len(blow.nodes) for blow in storm.blows.planned)
        )

    def test_a_node_is_away_from_the_order_until_it_is_back_however_slow_the_engine_is(self):
        storm, _engine = self.rage("local", slow=40.0)
        kept = [end - began for _number, began, end in storm.blows.absences]
        self.assertGreaterEqual(max(kept), 40.0 + RETURN_S)

    def test_a_blow_that_the_engine_cannot_strike_is_counted_and_undone(self):
        storm, engine = self.rage("docker", refusals=1)
        self.assertEqual(
            (storm.blows.undone, storm.blows.done.total()), (1, len(storm.blows.planned) - 1)
        )
        self.assertEqual((engine.down, engine.frozen), (set(), set()))

    def test_the_storm_ends_when_the_engine_can_strike_few_blows(self):
        field = FakeField("docker")
        field.engine.refusals = 1000
        storm = Storm(field, 5, 60.0, 20.0, lambda address: FakeClient(self, address))
        raging = running(storm.rage())
        while field.reactor.seconds() < 100.0:
            field.reactor.advance(0.25)
        self.failureResultOf(raging, TestbedError)

    def test_the_senders_send_until_the_end(self):
        storm, _ = self.rage("local")
        self.assertGreater(len(storm.senders.confirmed), 600)
        self.assertIn(f"{storm.senders.sent} sent", storm.summary())


class BesideAHostilePeer(SynchronousTestCase):
    def setUp(self):
        field = FakeField("local")
        self.storm = Storm(field, 5, 60.0, 20.0, lambda address: None, hostile=True)
        self.storm.senders.confirmed = {KEY: "apple", "aa.1.2": "pear"}
        self.storm.senders.spans = {KEY: (30.0, 31.0)}
        self.storm.senders.partial = {"aa.1.2"}

    def test_what_has_a_partial_receipt_is_not_promised_nor_judged(self):
        self.assertEqual(self.storm.promised(), {KEY: "apple"})
        logs = {1: [entry(1), entry(1, key="aa.1.2", body="forged"), entry(1, key="ff.1.1")]}
        self.assertEqual(self.storm.judged(logs), {1: [entry(1)]})

    def test_another_body_is_excused_on_a_node_that_was_away_and_nowhere_else(self):
        forged = entry(2, (1, 2), body="forged")
        self.storm.blows.absences = [(2, 20.0, 30.5), (3, 40.0, 50.0)]
        self.assertEqual(self.storm.judged({2: [forged]})[2][0].body, "apple")
        self.assertEqual(self.storm.judged({3: [forged]})[3][0].body, "forged")
        self.assertEqual(self.storm.taken, 1)
        other = entry(2, (1, 2), body="quite another")
        self.assertEqual(self.storm.judged({2: [other]}), {2: [other]})


class Words(SynchronousTestCase):
    def test_ten_minutes_on_local_nodes_unless_told_otherwise(self):
        chosen = options(["--seed", "7"])
        self.assertEqual((chosen.minutes, chosen.seed, chosen.engine), (10.0, 7, "local"))
