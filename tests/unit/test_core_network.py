"""Whole networks of real nodes in virtual time: every run from one seed, named when it fails."""

from __future__ import annotations

from collections import Counter
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.effects import BroadcastDone, Record
from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.core.base.messages import EdgeKind
from chordnet.judge.invariants import ideal_successor
from chordnet.sim.world.network import Network

NAMES = [f"n{number:02d}" for number in range(16)]
BOOTSTRAP = NAMES[:2]


class NetworkTestCase(SynchronousTestCase):
    def start(
        self,
        seed: int,
        names: list[str] = NAMES,
        *,
        within: float = 1.0,
        last: tuple[str, ...] = (),
        config: ProtocolConfig | None = None,
        loss: float = 0.0,
    ) -> Network:
        """Start nodes in a random order within some seconds; wait until their ring is right."""
        self.seed = seed
        self.gone = []
        self.network = network = Network(seed, config, loss=loss)
        rng = Random(seed)
        order = rng.sample(names, len(names))
        order.sort(key=lambda name: name in last)
        times = sorted(rng.uniform(0.0, within) for _ in names)
        for time, name in zip(times, order, strict=True):
            network.at(time, lambda name=name: network.add(name, names[:2]))
        network.run(within)
        self.settle(len(names), "after the start")
        return network

    def settle(self, size: int, when: str, seconds: float = 60.0) -> None:
        """Wait until exactly ``size`` nodes live in one right ring."""
        network = self.network
        right = network.run(
            seconds, lambda: len(network.live()) == size and not network.problems(), poll=0.05
        )
        if not right:
            wrong = "; ".join(map(str, network.problems()[:3]))
            self.fail(f"seed {self.seed}: no right ring of {size} {when}: {wrong}")

    def where(self, what: str) -> str:
        return f"seed {self.seed}: {what}"

    def publish(self, rng: Random, names: list[str], count: int, spread: float = 0.0):
        """Broadcast from random nodes; return (host, operation) pairs."""
        made = []
        for number in range(count):
            name = rng.choice(names)
            host = self.network.hosts[name]
            made.append((host, self.network.publish(name, f"m{number}")))
            if spread:
                self.network.run(rng.uniform(0.0, spread))
        return made

    def receipts(self, made, what: str) -> list[BroadcastDone]:
        found = []
        for host, op in made:
            done = host.done.get(op)
            self.assertIsNotNone(done, self.where(f"{what}: no receipt at {host.ref.name}"))
            self.assertEqual(done.reason, "", self.where(what))
            found.append(done)
        return found

    def holders(self, done: BroadcastDone) -> list[str]:
        return [
            host.ref.name
            for host in [*self.network.hosts.values(), *self.gone]
            for record in host.records
            if record.id == done.id
        ]

    def check_everywhere(self, made, what: str, *, exact: bool = True) -> None:
        """Every live node has every message once, and the receipts say so."""
        live = sorted(host.ref.name for host in self.network.live())
        for done in self.receipts(made, what):
            held = self.holders(done)
            missing = set(live) - set(held)
            self.assertFalse(missing, self.where(f"{what}: {done.id.sequence} missing: {missing}"))
            self.assertLessEqual(done.recorded, len(held), self.where(f"{what}: counted twice"))
            if exact:
                self.assertEqual(
                    (done.recorded, done.partial, done.unreached),
                    (len(live), False, []),
                    self.where(what),
                )

    def check_routes(self, what: str) -> None:
        """Routes are true: travelled edges, the parent's own route first, each message once."""
        routes: dict[tuple[bytes, object], list] = {}
        hosts = [*self.network.hosts.values(), *self.gone]
        for host in hosts:
            twice = [i for i, n in Counter(r.id for r in host.records).items() if n > 1]
            self.assertEqual(twice, [], self.where(f"{what}: twice at {host.ref.name}"))
            for record in host.records:
                routes.setdefault((host.ref.raw, record.id), []).append(record.route)
        for host in hosts:
            for record in host.records:
                self.check_route(host.ref.raw, record, routes, what)

    def check_route(self, raw: bytes, record: Record, routes: dict, what: str) -> None:
        *before, last = record.route
        self.assertEqual(last.raw, raw, self.where(what))
        self.assertEqual(record.route[0].raw, record.id.origin, self.where(what))
        if not before:
            self.assertEqual(last.kind, EdgeKind.ORIGIN)
            return
        if last.kind != EdgeKind.CAUGHT_UP:
            edge = (str(record.id), before[-1].raw, raw)
            self.assertIn(edge, self.network.edges, self.where(f"{what}: not travelled"))
        parents = routes.get((before[-1].raw, record.id), [])
        self.assertIn(before, parents, self.where(f"{what}: not the parent's route and one hop"))


class StartTests(NetworkTestCase):
    def test_sixteen_nodes_started_at_once_become_one_right_ring(self):
        for seed in range(12):
            network = self.start(seed)
            self.assertEqual(len({host.node.label for host in network.live()}), 1, f"seed {seed}")
            self.assertLess(network.now, 15.0, f"seed {seed}")

    def test_nodes_become_one_ring_with_both_bootstrap_peers_started_last(self):
        for seed, within in enumerate((0.5, 3.0, 8.0, 8.0)):
            self.start(seed, within=within, last=tuple(BOOTSTRAP))

    def test_rings_of_one_two_and_three_broadcast_and_shrink(self):
        for seed in range(6):
            for size in (1, 2, 3):
                self.start(seed, NAMES[:size])
                made = self.publish(Random(seed), NAMES[:size], 3)
                self.network.run(2.0)
                self.check_everywhere(made, f"{size} nodes")
                for left, name in zip(range(size - 1, 0, -1), NAMES, strict=False):
                    remove = self.network.kill if seed % 2 else self.network.leave
                    remove(name)
                    self.settle(left, f"after {name} went")
                    survivor = self.network.live()[0].ref.name
                    made = self.publish(Random(seed), [survivor], 1)
                    self.network.run(2.0)
                    self.check_everywhere(made, f"after {name} went")

    def test_rings_in_a_space_of_six_bits_with_short_lists_come_out_right(self):
        for seed in range(24):
            rng = Random(seed)
            space, names, used = IdentifierSpace(6), [], set()
            for number in range(rng.randrange(2, 14)):
                identifier = space.hash(f"s{seed}x{number}".encode())
                if identifier not in used:
                    used.add(identifier)
                    names.append(f"s{seed}x{number}")
            settings = ProtocolConfig(bits=6, successors=rng.choice([2, 3, 8]))
            self.start(seed, names, config=settings)
            made = self.publish(rng, names, 3)
            self.network.run(3.0)
            self.check_everywhere(made, "m = 6")
            self.network.kill(rng.choice(names))
            self.settle(len(names) - 1, "after a death")


class BroadcastTests(NetworkTestCase):
    def test_fifteen_messages_reach_everybody_once_by_true_routes_at_the_least_cost(self):
        for seed in range(8):
            network = self.start(seed)
            network.run(0.25)  # nobody counts as a newcomer any more
            rng, before = Random(seed), network.sent
            made = self.publish(rng, NAMES, 15, spread=0.01 if seed % 2 else 0.0)
            network.run(5.0)
            self.check_everywhere(made, "healthy")
            self.check_routes("healthy")
            spent = network.sent - before
            cost = (spent["Bcast"], spent["Covered"], spent["Ack"])
            self.assertEqual(cost, (15 * 15, 15 * 15, 0), f"seed {seed}")

    def test_every_broadcast_reaches_everybody_though_messages_are_lost(self):
        for seed, loss in enumerate((0.01, 0.03, 0.05, 0.1)):
            network = self.start(seed, loss=loss)
            made = self.publish(Random(seed), NAMES, 15, spread=0.2)
            network.run(25.0)
            self.check_everywhere(made, f"loss {loss}")
            self.check_routes(f"loss {loss}")

    def test_every_broadcast_reaches_everybody_though_nodes_join_meanwhile(self):
        for seed in range(4):
            network = self.start(seed)
            rng, made = Random(seed), []
            for number in range(5):
                network.add(f"late{number}", BOOTSTRAP)
                made += self.publish(rng, NAMES, 4, spread=0.08)
            self.settle(21, "after the joins")
            network.run(20.0)
            self.check_everywhere(made, "joins", exact=False)
            self.check_routes("joins")
            for done in self.receipts(made, "joins"):
                self.assertGreaterEqual(done.recorded, 16, f"seed {seed}")
                self.assertFalse(done.partial, f"seed {seed}")


class RemovalTests(NetworkTestCase):
    """Nodes go while broadcasts are under way; the rest must not be the worse for it."""

    def victims(self, rng: Random, how: str) -> list[str]:
        if how == "two neighbours":
            ring = sorted(self.network.live(), key=lambda host: host.ref.id)
            index = rng.randrange(16)
            return [ring[index].ref.name, ring[(index + 1) % 16].ref.name]
        return BOOTSTRAP if how == "bootstrap peers" else [rng.choice(NAMES)]

    def remove(self, seed: int, how: str) -> tuple[list[str], list, Random]:
        """Start, publish, take nodes away in the middle, publish more."""
        network = self.start(seed)
        rng = Random(seed)
        victims = self.victims(rng, how)
        others = [name for name in NAMES if name not in victims]
        made = self.publish(rng, others, 5)
        network.run(rng.uniform(0.0, 0.006))
        actions = {"leave": network.leave, "freeze": network.freeze}
        for victim in victims:
            actions.get(how, network.kill)(victim)
        made += self.publish(rng, others, 5, spread=0.05)
        return victims, made, rng

    def gone_and_back(self, how: str, seeds: range) -> None:
        for seed in seeds:
            victims, made, rng = self.remove(seed, how)
            others = [name for name in NAMES if name not in victims]
            self.settle(len(others), f"after {how}")
            self.network.run(25.0)
            self.check_everywhere(made, how, exact=False)
            for done in self.receipts(made, how):
                self.assertGreaterEqual(done.recorded, len(others), self.where(how))
            self.check_routes(how)
            made = self.publish(rng, others, 3)
            self.network.run(5.0)
            self.check_everywhere(made, f"later than {how}")
            self.come_back(victims, others, rng, how)

    def come_back(self, victims: list[str], others: list[str], rng: Random, how: str) -> None:
        """The same names, with a higher incarnation, through whoever lives."""
        for victim in victims:
            self.gone.append(self.network.hosts[victim])
            self.network.add(victim, rng.sample(others, 2), incarnation=2)
        self.settle(16, f"after the return from {how}")
        made = self.publish(rng, NAMES, 3)
        self.network.run(5.0)
        self.check_everywhere(made, f"back from {how}")
        self.check_routes(f"back from {how}")

    def test_the_rest_go_on_when_a_node_is_killed(self):
        self.gone_and_back("kill", range(6))

    def test_the_rest_go_on_when_a_node_leaves(self):
        self.gone_and_back("leave", range(6))

    def test_the_rest_go_on_when_two_neighbours_are_killed_at_once(self):
        self.gone_and_back("two neighbours", range(6))

    def test_the_rest_go_on_when_both_bootstrap_peers_are_killed(self):
        self.gone_and_back("bootstrap peers", range(4))

    def test_the_rest_go_on_when_a_node_is_frozen_and_thawed(self):
        for seed in range(6):
            (victim,), made, _ = self.remove(seed, "freeze")
            host = self.network.hosts[victim]
            host.up = False
            self.settle(15, "after a freeze")
            self.network.run(25.0)
            self.check_everywhere(made, "freeze", exact=False)
            host.up = True
            self.network.thaw(victim)
            self.settle(16, "after the thaw")
            self.network.run(15.0)
            self.check_everywhere(made, "thaw", exact=False)
            self.check_routes("thaw")


class LookupTests(NetworkTestCase):
    def test_every_lookup_finds_the_owner_in_a_right_ring_and_after_a_death(self):
        network = self.start(3)
        rng = Random(3)
        self.look_up(rng, network, "right ring")
        network.kill("n05")
        self.look_up(rng, network, "just after a death")
        self.settle(15, "after a death")
        self.look_up(rng, network, "repaired ring")

    def look_up(self, rng: Random, network: Network, what: str) -> None:
        members = sorted(host.ref.id for host in network.live())
        asked = []
        for number in range(40):
            key = rng.getrandbits(160)
            host = rng.choice(network.live())
            op = network.lookup(host.ref.name, key, iterative=bool(number % 2))
            asked.append((host, op, key))
        network.run(12.0)
        for host, op, key in asked:
            owner = host.done[op].owner
            self.assertIsNotNone(owner, self.where(f"{what}: {host.done[op].reason}"))
            self.assertEqual(owner.id, ideal_successor(members, key), self.where(what))


class StormTests(NetworkTestCase):
    """Kills, freezes, departures and returns at random for half a minute."""

    def test_the_ring_and_every_message_come_out_of_a_storm_right(self):
        for seed in (*range(6), 19, 26, 63):
            self.storm(seed)

    def storm(self, seed: int) -> None:
        network = self.start(seed)
        rng, out, lives, made = Random(seed), {}, Counter(dict.fromkeys(NAMES, 1)), []
        for _ in range(30):
            network.run(rng.uniform(0.0, 0.6))
            choice = rng.random()
            there = [name for name in NAMES if name not in out]
            if choice < 0.4 and len(out) < 5:
                name = rng.choice(there)
                out[name] = rng.choice(["kill", "freeze", "leave"])
                getattr(network, out[name])(name)
            elif choice < 0.7 and out:
                self.restore(rng.choice(sorted(out)), out, lives, rng)
            else:
                name = rng.choice(there)
                if network.hosts[name].node.is_member():
                    made += self.publish(rng, [name], 1)
        for name, how in out.items():
            if how == "freeze":
                network.thaw(name)
        self.settle(16 - sum(how != "freeze" for how in out.values()), "after the storm", 90.0)
        network.run(30.0)
        made = [(host, op) for host, op in made if host.up and not host.left]
        for done in self.receipts(made, "storm"):
            held = self.holders(done)
            steady = {h.ref.name for h in network.live() if h.ref.incarnation == 1}
            self.assertFalse(steady - set(held), self.where(f"storm: {steady - set(held)}"))
            self.assertLessEqual(done.recorded, len(held), self.where("storm: counted twice"))
        self.check_routes("storm")

    def restore(self, name: str, out: dict[str, str], lives: Counter[str], rng: Random) -> None:
        network = self.network
        if out.pop(name) == "freeze":
            network.thaw(name)
            return
        self.gone.append(network.hosts[name])
        if not network.hosts[name].left:
            network.kill(name)
        lives[name] += 1
        network.add(name, rng.sample([n for n in NAMES if n != name], 2), lives[name])
