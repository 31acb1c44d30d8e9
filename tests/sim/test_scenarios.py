"""Every scenario file is played; it states what must hold at its end, and by when."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from chordnet.sim.scenarios.play import play
from chordnet.sim.scenarios.scenario import Scenario
from tests.sim import support

LARGE = 1000
"""Nodes from which on a scenario takes a minute."""


class Scenarios(SynchronousTestCase):
    """One test for each file under ``scenarios``; more are added below."""

    def test_files_say_their_names(self):
        for path in support.SCENARIOS.glob("*.toml"):
            loaded = support.scenario(path.stem)
            self.assertEqual(loaded.name, path.stem)
            self.assertTrue(loaded.about.endswith("."), f"{path.name} says what it is about")

    def check(self, scenario: Scenario) -> None:
        outcome = play(scenario)
        self.assertEqual(outcome.failures, [], f"python -m chordnet.sim play {scenario.name}.toml")
        assert outcome.settled_s is not None
        self.assertLessEqual(outcome.settled_s, scenario.within_s)


def _test(name: str) -> Callable[[Scenarios], None]:
    def test(self: Scenarios) -> None:
        self.check(support.scenario(name))

    test.__doc__ = support.scenario(name).about
    if support.scenario(name).nodes >= LARGE and not support.LONG:
        test.skip = support.LONG_REASON  # type: ignore[attr-defined]
    return test


for _path in sorted(support.SCENARIOS.glob("*.toml")):
    setattr(Scenarios, f"test_{_path.stem.replace('-', '_')}", _test(_path.stem))
