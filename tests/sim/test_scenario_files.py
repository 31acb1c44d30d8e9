"""Scenario files are read strictly, and written so that they can be read again."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.identifiers import IdentifierSpace
from chordnet.sim.scenarios.actor import Actor
from chordnet.sim.scenarios.generate import generate
from chordnet.sim.scenarios.scenario import Action, Scenario, ScenarioError, dumps, loads, selection
from chordnet.sim.world import latency
from tests.sim.support import names, ring_of

LEAST = 'name = "x"\nnodes = 4\n'


class Files(SynchronousTestCase):
    def test_the_least_scenario_has_a_name_and_nodes(self):
        self.assertEqual(loads(LEAST), Scenario(name="x", nodes=4))

    def test_a_file_that_is_written_is_read_again_as_it_was(self):
        for seed in range(30):
            drawn = generate(seed)
            self.assertEqual(loads(dumps(drawn)), drawn)

    def test_what_is_wrong_is_said_in_one_line(self):
        for text, word in (
            ("nodes = ", "not TOML"),
            ("nodes = 4\n", "lacks"),
            (LEAST + 'colour = "red"\n', "colour"),
            (LEAST + "[network]\nspeed = 3\n", "speed"),
            (LEAST + 'start = "later"\n', "together"),
            (LEAST + 'start = "rings"\nrings = [2, 3]\n', "add up"),
            (LEAST + "[network]\nloss = 1.5\n", "loss"),
            (LEAST + '[network]\nlatency = "slow 3"\n', "constant"),
            (LEAST + '[network]\nlatency = "uniform 3"\n', "2 numbers"),
            (LEAST + "[config]\nsuccessors = 0\n", "successors"),
            (LEAST + "[config]\nstabilizers = 3\n", "stabilizers"),
            (LEAST + '[[do]]\nat = 1.0\nexplode = "3"\n', "explode"),
            (LEAST + '[[do]]\nkill = "3"\n', "at"),
            (LEAST + '[[do]]\nat = 1.0\nkill = "3"\nthaw = "4"\n', "one of"),
            ('name = "x"\nnodes = 0\n', "1 or more"),
        ):
            error = self.assertRaises(ScenarioError, loads, text)
            self.assertIn(word, str(error))
            self.assertNotIn("\n", str(error))

    def test_a_selection_of_nodes_is_numbers_ranges_and_places(self):
        self.assertEqual(selection("3"), [(3, 0, 3)])
        self.assertEqual(selection(3), [(3, 0, 3)])
        self.assertEqual(selection("1 4..6"), [(1, 0, 1), (4, 0, 6)])
        self.assertEqual(selection("9+1..3 9+2"), [(9, 1, 3), (9, 2, 2)])
        self.assertRaises(ScenarioError, selection, "Node 3")


class Acting(SynchronousTestCase):
    def setUp(self):
        self.network = ring_of(8)
        self.actor = Actor(Scenario(name="x", nodes=8), self.network)

    def test_places_on_the_ring_are_counted_from_a_node(self):
        ring = sorted(names(8), key=lambda name: IdentifierSpace().hash(name.encode()))
        at = ring.index("Node 3")
        wanted = [ring[(at + k) % 8] for k in (1, 2)]
        self.assertEqual(self.actor.nodes("3+1..2"), wanted)

    def test_unknown_nodes_are_passed_over(self):
        self.actor.act(Action(0.0, "kill", "7 99"))
        self.assertEqual(len(self.network.live()), 7)

    def test_verbs_have_their_effect(self):
        self.actor.act(Action(0.0, "freeze", "2..3"))
        self.assertEqual([h.frozen for h in self.network.live()].count(True), 2)
        self.actor.act(Action(0.0, "partition", ["1", "2..8"]))
        self.assertEqual(len(self.network.weather.rules), 2)
        self.actor.act(Action(0.0, "heal", True))
        self.assertEqual(self.network.weather.rules, [])
        self.actor.act(Action(0.0, "loss", 0.25))
        self.assertEqual(self.network.loss, 0.25)
        self.actor.act(Action(0.0, "add", "9"))
        self.assertIn("Node 9", self.network.hosts)


class Latencies(SynchronousTestCase):
    def test_every_distribution_has_the_mean_that_its_parameters_say(self):
        """Means of many draws are what the parameters say."""
        for text, mean, spread in (
            ("constant 0.01", 0.01, 0.0),
            ("uniform 0.01 0.03", 0.02, 0.001),
            ("exponential 0.02", 0.02, 0.001),
            ("lognormal 0.02 0.5", 0.02266, 0.001),
            ("pareto 0.01 3", 0.015, 0.001),
        ):
            rng, draw = Random(1), latency.parse(text)
            drawn = [draw(rng) for _ in range(20000)]
            self.assertTrue(abs(sum(drawn) / len(drawn) - mean) <= spread + 1e-12, text)
            self.assertGreater(min(drawn), 0)
