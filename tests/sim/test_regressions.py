"""Faults of the core, and of its checker, that the simulator found, each with its seed.

Every file says in ``about`` what was wrong, and failed until that was mended.
"""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chordnet.sim.scenarios.play import play
from chordnet.sim.scenarios.scenario import loads

FILES = Path(__file__).with_name("regressions")


class Regressions(SynchronousTestCase):
    def check(self, name: str) -> None:
        scenario = loads((FILES / f"{name}.toml").read_text("utf-8"))
        self.assertEqual(play(scenario).failures, [], scenario.about)

    def test_dead_for_half_a_minute(self):
        """A node held for dead is asked again while its neighbours go on pointing at it."""
        self.check("dead-for-half-a-minute")

    def test_owner_taken_for_silent(self):
        """A lookup takes only a node's own successor's word for its death."""
        self.check("owner-taken-for-silent")

    def test_hint_storm(self):
        """Finger hints do not give rise to finger hints."""
        self.check("hint-storm")

    def test_back_and_unnoticed(self):
        """An audit reaches whoever listens at a lost peer's address now."""
        self.check("back-and-unnoticed")

    def test_back_while_frozen(self):
        """The checker takes no pointer to an earlier life for one to the node that came back."""
        self.check("back-while-frozen")

    def test_back_behind_an_old_pointer(self):
        """The same, with nobody frozen."""
        self.check("back-behind-an-old-pointer")

    def test_back_after_its_pointer_was_passed_on(self):
        """Nor one that was taken over when that node was gone already."""
        self.check("back-after-its-pointer-was-passed-on")

    def test_back_before_the_joiner_knew(self):
        """A joiner leaves no node out whose earlier life it remembers."""
        self.check("back-before-the-joiner-knew")

    def test_no_file_is_left_out(self):
        tested = {name.removeprefix("test_").replace("_", "-") for name in dir(self)}
        self.assertEqual({path.stem for path in FILES.glob("*.toml")} - tested, set())
