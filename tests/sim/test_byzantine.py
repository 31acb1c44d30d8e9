"""A ring with a lying member: a few seeds of every kind, and that the judge finds what is wrong."""

from __future__ import annotations

from random import Random

import attrs
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.messages import Bcast, Covered, Hop, MessageId, Ping
from chordnet.core.base.outcomes import Failed
from chordnet.sim.campaign.byzantine import ByzantineResult, ByzantineRun, play
from chordnet.sim.campaign.byzantine_command import WAYS, played, results, row, story
from chordnet.sim.campaign.liar import mutated
from tests.sim.test_commands import run

SEEDS = range(1, 4)


class KindTests(SynchronousTestCase):
    """One test a kind, so that a failure names it."""


def _kept(kind: str):
    def test(self: KindTests) -> None:
        for seed in SEEDS:
            result = played(kind, seed)
            self.assertEqual(result.failures, (), f"{kind}, seed {seed}")
            self.assertGreater(result.complete + result.partial, 0)

    return test


for _kind in WAYS:
    setattr(KindTests, f"test_receipts_are_true_beside_a_node_of_kind_{_kind}", _kept(_kind))


class FoundTests(SynchronousTestCase):
    """Runs that once failed: a list that passes nodes by, by a node that dies after it."""

    def test_a_receipt_is_true_though_a_successor_list_left_seven_nodes_out(self):
        self.assertEqual(play("state", 275).failures, ())

    def test_a_receipt_is_true_though_pointers_left_nodes_out(self):
        self.assertEqual(play("pointers", 317).failures, ())


class JudgeTests(SynchronousTestCase):
    """Each kind of wrong is made by hand after a run without any."""

    def setUp(self):
        self.run_ = ByzantineRun("digest", 1)
        self.assertEqual(self.run_.play().failures, ())
        self.told = next(told for told in self.run_.told.values() if told.sender == self.run_._y)

    def found(self) -> str:
        return "\n".join(self.run_._result([]).failures)

    def test_a_message_that_an_honest_node_lacks_is_found(self):
        name = next(h.ref.address for h in self.run_._honest())
        del self.run_._bodies[name, self.told.id]
        self.assertIn(f"not on {name}", self.found())

    def test_another_body_is_found(self):
        name = next(h.ref.address for h in self.run_._honest())
        self.run_._bodies[name, self.told.id] = b"forged"
        self.assertIn(f"another body on {name}", self.found())

    def test_a_receipt_that_came_before_a_node_had_the_message_is_found(self):
        host = self.run_._honest()[0]
        self.told.lacking = frozenset([host.ref.raw])
        self.assertIn(f"when it was not on {host.ref.name}", self.found())
        # If X vouched for that node it is X's lie.
        ids = self.told.id
        self.run_.liar.lies.append(Covered(ids, self.run_.liar.me.raw, 1, 0, 1, False, []))
        self.assertEqual(self.found(), "")

    def test_a_partial_receipt_without_a_cause_is_found(self):
        self.told.done = replaced(self.told.done, partial=True)
        self.assertIn("partial", self.found())
        self.told.done = replaced(self.told.done, unreached=[self.run_.liar.me])
        self.assertEqual(self.found(), "")

    def test_a_number_that_was_taken_without_a_word_of_it_is_found(self):
        ids = self.told.id
        forged = Bcast(ids, 1, 0.0, 1, b"", 2, [Hop(ids.origin, "", 0)], [b"forged"])
        self.run_.liar.lies.append(forged)
        self.assertEqual(self.found(), "")
        self.told.done = replaced(self.told.done, partial=True)
        self.assertIn("says no conflict", self.found())

    def test_a_message_recorded_twice_is_found(self):
        counts = next(iter(self.run_._records.values()))
        counts[next(iter(counts))] += 1
        self.assertIn("2 times", self.found())

    def test_no_receipt_and_a_message_that_was_not_sent_are_found(self):
        done, self.told.done = self.told.done, None
        self.assertIn("no receipt", self.found())
        self.told.done = replaced(done, id=None, reason=Failed.NOT_IN_RING)
        self.assertIn("not sent: not in a ring", self.found())

    def test_what_has_no_bound_is_found(self):
        name = self.run_._honest()[0].ref.address
        self.run_.network.dials[name] = 10_000
        self.run_._resent[name] = self.run_._lines[name] = self.run_._quiet[name] = 10_000
        found = self.found()
        for words in ("dialled 10000", "sent 10000 times again", "logged 10000", "times a second"):
            self.assertIn(words, found)


def replaced(effect, **values):
    fields = {name: getattr(effect, name) for name in effect.__struct_fields__}
    return type(effect)(**fields | values)


class RunTests(SynchronousTestCase):
    def test_a_seed_is_a_run(self):
        self.assertEqual(play("mutate", 5), play("mutate", 5))
        self.assertNotEqual(play("mutate", 5), play("mutate", 6))

    def test_a_changed_frame_is_one_that_the_wire_carries_or_none_at_all(self):
        rng, raws = Random(1), [bytes(20), b"\xff" * 20]
        ids = MessageId(raws[1], 1, 1)
        frame = Bcast(ids, 1, 0.0, 9, raws[0], 2, [Hop(raws[1], "a", 0)], [b"x"])
        made = [mutated(frame, rng, raws) for _ in range(300)]
        self.assertGreater(sum(each is not None for each in made), 150)
        self.assertTrue(all(each is None or isinstance(each, Bcast) for each in made))
        self.assertGreater(len({repr(each) for each in made}), 100)
        self.assertIsInstance(mutated(Ping(1), rng, raws), Ping | None)


class CommandTests(SynchronousTestCase):
    def test_the_command_counts_what_came_of_every_seed(self):
        status, out, _ = run("byzantine", "--kind", "digest", "--seeds", "2", "--jobs", "1")
        self.assertEqual(status, 0, out)
        head, line, last = out.splitlines()
        self.assertEqual(head.split()[:3], ["kind", "seeds", "failed"])
        self.assertEqual(line.split()[:3], ["digest", "2", "0"])
        self.assertEqual(last, "2 runs, 0 failed")

    def test_a_failed_seed_is_told_with_what_plays_it_again(self):
        wrong = ByzantineResult(kind="lost", seed=7, failures=("a", "b", "c", "d"))
        lines = story(wrong)
        self.assertEqual(lines[0].strip(), "seed 7:")
        self.assertIn("and 1 more", lines[-2])
        words = "python -m chordnet.sim byzantine --kind lost --first 7 --seeds 1 --jobs 1"
        self.assertIn(words, lines[-1])
        self.assertEqual(row("lost", [wrong, attrs.evolve(wrong, failures=())]).split()[2], "1")

    def test_wrong_words_are_told_in_one_line(self):
        for words in (("--kind", "nonsense"), ("--seeds", "0"), ("--jobs", "0")):
            status, out, err = run("byzantine", *words)
            self.assertEqual((status, out), (2, ""))
            self.assertIn(f"argument {words[0]}", err.splitlines()[-1])

    def test_several_processes_come_to_the_same_as_one(self):
        seeds = range(1, 5)
        one = sorted(results("digest", seeds, 1), key=lambda each: each.seed)
        two = sorted(results("digest", seeds, 2), key=lambda each: each.seed)
        self.assertEqual(one, two)
