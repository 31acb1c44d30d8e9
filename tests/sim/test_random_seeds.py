"""Random scenarios hold, those that fail are made short, and many are played at once."""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.messages import Status
from chordnet.sim.__main__ import main
from chordnet.sim.scenarios.generate import WITHIN_S, generate
from chordnet.sim.scenarios.play import Play, play
from chordnet.sim.scenarios.scenario import VERBS, Action, Scenario
from chordnet.sim.scenarios.shrink import shrink
from chordnet.sim.scenarios.soak import Tally, play_seed, soak
from tests.sim import support

SEEDS = range(200000, 200030)
LONG_STEPS = 10_000_000


class Seeds(SynchronousTestCase):
    def test_every_seed_holds(self):
        for seed in SEEDS:
            outcome = play(generate(seed))
            self.assertEqual(outcome.failures, [], f"python -m chordnet.sim {seed}")

    def test_seeds_differ_and_stay_the_same(self):
        self.assertEqual(generate(7), generate(7))
        self.assertNotEqual(generate(7), attrs.evolve(generate(8), name="seed-7", seed=7))

    def test_every_verb_but_one_is_drawn(self):
        """``restart_old`` makes a node that is not expected in the ring."""
        drawn = {action.verb for seed in range(200) for action in generate(seed).actions}
        self.assertEqual(set(VERBS) - drawn, {"restart_old"})

    def test_no_seed_of_a_long_run_fails(self):
        if not support.LONG:
            raise self.skipTest(support.LONG_REASON)
        tally = soak(0, LONG_STEPS, 2, lambda tally, result: None, 1)
        self.assertEqual([result.seed for result in tally.failed], [])
        self.assertLess(tally.slowest_s, WITHIN_S)


class Judged(SynchronousTestCase):
    """What should fail does fail."""

    def failures(self, scenario):
        return play(scenario).failures

    def test_a_ring_that_does_not_settle_is_a_failure(self):
        """A partition that does not end."""
        cut = Scenario(name="x", nodes=8, within_s=5.0,
                       actions=(Action(3.0, "partition", ["1..4", "5..8"]),))  # fmt: skip
        self.assertIn("no right ring", self.failures(cut)[0])

    def test_members_are_counted(self):
        wrong = Scenario(name="x", nodes=4, members=5, within_s=10.0)
        self.assertIn("4 members, should have 5", self.failures(wrong)[0])

    def test_a_storm_is_a_failure(self):
        self.assertIn("Storm", self.failures(Scenario(name="x", nodes=4, most_steps=100))[0])

    def test_a_broken_invariant_is_a_failure(self):
        """A node that forgets most of its list is caught in that very step."""
        run = Play(Scenario(name="x", nodes=8, start="rings", rings=(8,), config={"successors": 2}))

        def forget():
            ring = run.network.hosts["Node 3"].node.ring
            ring.successors = ring.successors[-1:]
            far = max(run.network.live(), key=lambda h: run.network.space.distance(
                ring._ctx.my_id, h.ref.id))  # fmt: skip
            ring.successors = [far.ref]
            ring._report()

        run.network.at(2.0, lambda: None)
        run._begin()
        run.network.run(1.0)
        host = run.network.hosts["Node 3"]
        original = host.node.step

        def broken(event, now):
            effects = original(event, now)
            forget()
            return [*effects, *host.node.ctx.effects[len(effects):]]  # fmt: skip

        host.node.step = broken  # type: ignore[method-assign]
        run.network.run(3.0)
        self.assertTrue(run.watch.violations)
        self.assertIn("Node 3 broke the invariant", run.watch.violations[0])

    def test_an_exception_in_the_core_is_a_failure(self):
        run = Play(Scenario(name="x", nodes=4, start="rings", rings=(4,)))
        run.network.at(0.5, lambda: run.network.hosts["Node 2"].node.ctx.become(Status.JOINING))
        self.assertIn("LocalProtocolError", run.run().failures[0])


class Shrinking(SynchronousTestCase):
    def test_only_what_matters_is_left(self):
        drawn = generate(3)
        self.assertGreater(len(drawn.actions), 8)

        def fails(scenario):
            return any(action.verb == "kill" for action in scenario.actions)

        guilty = attrs.evolve(drawn, actions=(*drawn.actions, Action(99.0, "kill", "1")))
        shorter = shrink(guilty, fails)
        self.assertEqual([action.verb for action in shorter.actions], ["kill"])
        self.assertEqual((shorter.loss, shorter.duplicate, shorter.skew), (0.0, 0.0, 0.0))

    def test_weather_identifiers_and_questions_that_do_not_matter_become_the_simplest(self):
        kill = Action(1.0, "kill", "1")
        drawn = Scenario(
            name="x", nodes=5, actions=(kill, Action(2.0, "lookup", "2")), loss=0.1, reorder=0.1,
            latency="uniform 0.001 0.1", config={"bits": 32}, lookups=7, publish=True,
        )  # fmt: skip
        shorter = shrink(drawn, lambda candidate: kill in candidate.actions)
        self.assertEqual(shorter.actions, (kill,))
        self.assertEqual((shorter.loss, shorter.reorder), (0.0, 0.0))
        self.assertEqual((shorter.latency, shorter.config), ("constant 0.001", {"bits": 16}))
        self.assertEqual((shorter.lookups, shorter.publish), (0, False))

    def test_what_was_broken_stays_mended(self):
        """A shrunk history does not fail for want of its last line."""
        cut = (
            Action(1.0, "partition", ["1", "2"]),
            Action(2.0, "kill", "3"),
            Action(3.0, "heal", True),
        )
        scenario = Scenario(name="x", nodes=5, actions=cut)
        shorter = shrink(scenario, lambda candidate: "partition" in str(candidate.actions))
        self.assertEqual([action.verb for action in shorter.actions], ["partition", "heal"])


class Soak(SynchronousTestCase):
    def test_a_soak_adds_up_its_seeds(self):
        shown: list[int] = []
        tally = soak(5, 3000, 1, lambda tally, result: shown.append(result.seed), 1)
        self.assertEqual(shown, list(range(5, 5 + tally.seeds)))
        self.assertGreaterEqual(tally.steps, 3000)
        self.assertEqual(tally.failed, [])

    def test_failed_seeds_are_kept(self):
        tally = Tally()
        tally.add(attrs.evolve(play_seed(5), failures=("broken",)))
        self.assertEqual([result.seed for result in tally.failed], [5])


class CommandLine(SynchronousTestCase):
    def run_main(self, *words):
        out = io.StringIO()
        self.patch(sys, "stdout", out)
        self.patch(sys, "stderr", out)
        return main(words), out.getvalue()

    def test_a_seed_is_played_by_its_number(self):
        status, out = self.run_main("5")
        self.assertEqual(status, 0)
        self.assertIn("ok     seed-5", out)

    def test_failing_file_names_its_replay(self):
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(lambda: [*map(Path.unlink, folder.iterdir()), folder.rmdir()])
        path = folder / "bad.toml"
        path.write_text('name = "bad"\nseed = 9\nnodes = 4\nmembers = 5\nwithin_s = 5.0\n')
        status, out = self.run_main("play", str(path), "--write", str(folder / "short.toml"))
        self.assertEqual(status, 1)
        replay = f"replay: python -m chordnet.sim play {path}"
        for word in ("FAILED", "seed 9 fails", "shortest history", replay, "short.toml"):
            self.assertIn(word, out)

    def test_a_missing_file_is_one_line(self):
        status, out = self.run_main("play", "no-such-file.toml")
        self.assertEqual(status, 1)
        self.assertEqual(len(out.splitlines()), 1)

    def test_a_soak_counts_the_seeds_that_failed(self):
        status, out = self.run_main("soak", "--steps", "2000", "--jobs", "1", "--first", "40")
        self.assertEqual(status, 0)
        self.assertIn("0 seeds failed", out)
