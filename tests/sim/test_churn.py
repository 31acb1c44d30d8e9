"""Models of churn: where their draws end, and what they refuse."""

from __future__ import annotations

import math
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import ConfigError
from chordnet.sim.measured.churn import Change, parse, poisson, trace, weibull


class Drawn(Random):
    """Draws what it is told to, again and again."""

    def __init__(self, *, pause: float = math.inf, stay: float = math.inf, part: float = 0.5):
        super().__init__(1)
        self.pause, self.stay, self.part = pause, stay, part

    def random(self) -> float:
        return self.part

    def expovariate(self, _rate: float = 1.0) -> float:
        return self.pause

    def gammavariate(self, _alpha: float, _beta: float) -> float:
        return self.stay

    def weibullvariate(self, _alpha: float, _beta: float) -> float:
        return self.stay


class EndTests(SynchronousTestCase):
    def test_what_happens_at_the_very_end_of_the_run_does_not_happen(self) -> None:
        rng = Drawn(pause=1.0, part=0.4)
        self.assertEqual(
            poisson(1.0)(rng, 3, 3.0), [Change(1.0, "join", 4), Change(2.0, "join", 5)]
        )
        rng = Drawn(stay=6.0)
        self.assertEqual(weibull(1.0, 1.0)(rng, 1, 3.0), [])
        self.assertEqual(
            weibull(1.0, 1.0)(rng, 1, 3.1), [Change(3.0, "join", 2), Change(3.0, "depart", 1)]
        )

    def test_half_of_all_changes_are_joins(self) -> None:
        for part, verb in ((0.0, "join"), (0.499, "join"), (0.5, "depart"), (0.9, "depart")):
            (change,) = poisson(1.0)(Drawn(pause=1.0, part=part), 4, 1.5)
            self.assertEqual(change.verb, verb, part)

    def test_three_nodes_are_left(self) -> None:
        changes = poisson(1.0)(Drawn(pause=1.0), 5, 20.0)
        self.assertEqual([change.verb for change in changes], ["depart"] * 2)
        self.assertEqual(len({change.node for change in changes}), 2)
        self.assertEqual(poisson(1.0)(Drawn(pause=1.0), 3, 20.0), [])

    def test_a_node_that_comes_for_another_one_stays_as_long_as_drawn(self) -> None:
        changes = weibull(1.0, 1.0)(Drawn(stay=2.0), 1, 4.0)
        self.assertEqual(
            [(change.at, change.verb, change.node) for change in changes],
            [(1.0, "join", 2), (1.0, "depart", 1), (3.0, "join", 3), (3.0, "depart", 2)],
        )


class LimitTests(SynchronousTestCase):
    def test_a_million_changes_are_expected_at_most(self) -> None:
        late = Drawn()
        self.assertEqual(poisson(500.0)(late, 3, 1000.0), [])
        self.assertEqual(weibull(1.0, 1.0)(late, 10, 50_000.0), [])
        for model, nodes, seconds in (
            (poisson(500.1), 3, 1000.0),
            (weibull(1.0, 1.0), 10, 50_010.0),
        ):
            error = self.assertRaises(ConfigError, model, late, nodes, seconds)
            self.assertEqual(
                str(error), "1000200 changes are more than the 1000000 that a run may have"
            )

    def test_more_changes_than_expected_are_refused_while_they_are_drawn(self) -> None:
        error = self.assertRaises(ConfigError, weibull(1.0, 1.0, 60), Drawn(stay=0.0), 1, 3.0)
        self.assertEqual(str(error), "62 changes are more than the 60 that a run may have")

    def test_a_trace_has_so_many_changes_at_most(self) -> None:
        trace("0 join 1\n" * 60, 60)
        error = self.assertRaises(ConfigError, trace, "0 join 1\n" * 61, 60)
        self.assertEqual(str(error), "61 changes are more than the 60 that a run may have")

    def test_shapes_lie_between_a_fifth_and_fifty(self) -> None:
        for shape in ("0.2", "50"):
            parse(f"weibull 60 {shape}")
        for shape in ("0.19", "50.1"):
            error = self.assertRaises(ConfigError, parse, f"weibull 60 {shape}")
            self.assertEqual(
                str(error), f"the shape of stays is from 0.2 to 50.0, not {float(shape)}"
            )

    def test_parameters_are_as_many_positive_numbers_as_the_model_has(self) -> None:
        for text in ("poisson inf", "poisson nan", "poisson 0", "poisson 1 2", "weibull 60",
                     "weibull 60 1 2", "none 1", "gauss 1", "poisson x", " "):  # fmt: skip
            error = self.assertRaises(ConfigError, parse, text)
            self.assertEqual(
                str(error), f"churn is none, poisson RATE or weibull MEAN SHAPE, not {text!r}"
            )
        self.assertEqual(parse("none")(Random(1), 9, 100.0), [])
