"""Nodes of which the engine knows what is the matter, and failures that must not hide others."""

from __future__ import annotations

import attrs
from twisted.internet.defer import Deferred

from chordnet.survey.conditions import Condition, Matter
from chordnet.survey.errors import NodeSilent, NodeStopped, NotConverged
from chordnet.survey.findings import in_words
from chordnet.survey.report import Report
from chordnet.testbed.actions import chaos
from chordnet.testbed.actions.changes import add_node
from chordnet.testbed.actions.chaos import Acted, act
from chordnet.testbed.actions.context import Engines, Testbed
from chordnet.testbed.actions.lifecycle import Wish, start_network, stop_network
from chordnet.testbed.actions.looking import look
from chordnet.testbed.base.faults import Faults, save_faults
from chordnet.testbed.base.home import NetworkHome
from chordnet.testbed.engines.code import code_digest
from chordnet.testbed.engines.docker_state import Found
from tests.unit.test_testbed_lifecycle import Case, wish
from tests.unit.testbed_fakes import network

PAUSED = Condition(Matter.FROZEN, "is frozen (docker pause)")
CUT_OFF = Condition(Matter.CUT_OFF, "is off the containers' network")
KILLED = Condition(Matter.ENDED, "was killed: out of memory (256 MiB)")
PAUSED_LINE = "Node 4 is frozen (docker pause); let it go on with: p2pnet chaos thaw 4"


class UnwellCase(Case):
    def unwell(self, condition: Condition, number: int = 4) -> None:
        """Let the network run, but for what is the matter with one node."""
        self.world.up()
        self.world.engine.ailments = {number: condition}
        if condition.matter is Matter.ENDED:
            self.world.engine.alive.discard(number)
        self.world.engine.ring()

    def problems(self) -> tuple[str, ...]:
        observer = self.testbed.observer(self.world.described)
        looking = self.run_to_end(look(self.testbed, observer, self.world.described))
        observer.close()
        report: Report = self.successResultOf(looking)
        return tuple(in_words(report.problems))


class LookTests(UnwellCase):
    def test_the_cause_is_named_with_the_command_that_mends_it_and_nothing_beside(self) -> None:
        for condition, line in (
            (PAUSED, PAUSED_LINE),
            (CUT_OFF, f"Node 4 {CUT_OFF.text}; connect it again with: p2pnet chaos heal"),
            (KILLED, f"Node 4 {KILLED.text}; bring it back with: p2pnet add-node 4"),
        ):
            with self.subTest(condition.text):
                self.unwell(condition)
                self.assertEqual(self.problems(), (line,))

    def test_a_node_that_was_removed_on_purpose_is_no_problem_however_it_ended(self) -> None:
        self.unwell(KILLED)
        self.testbed.home.save(self.world.described.with_removed(4))
        self.world.described = self.testbed.description()
        self.assertEqual(self.problems(), ())

    def test_what_is_asked_of_an_unwell_node_is_answered_with_the_cause(self) -> None:
        for condition, kind in ((PAUSED, NodeSilent), (CUT_OFF, NodeSilent), (KILLED, NodeStopped)):
            with self.subTest(condition.text):
                self.unwell(condition)
                asked = self.testbed.ask(4, lambda client: client.status(), 5.0)
                self.assertIn(f"Node 4 {condition.text}; ", self.error(asked, kind))


class ChangeTests(UnwellCase):
    def test_a_node_is_added_without_waiting_for_one_that_is_unwell(self) -> None:
        for condition in (PAUSED, CUT_OFF):
            with self.subTest(condition.text):
                self.unwell(condition)
                self.world.engine.alive.discard(2)
                _, done = self.result(add_node(self.testbed, 2, 60))
                self.assertEqual(done.members, 4)
                self.assertLess(done.seconds, 1)
                self.assertIn(condition.line(4, self.testbed.command), self.world.said)

    def test_an_unwell_node_is_not_added_but_to_be_mended(self) -> None:
        self.unwell(PAUSED)
        self.assertEqual(self.error(add_node(self.testbed, 4, 60), NodeStopped), PAUSED_LINE)

    def test_a_network_with_an_unwell_node_is_not_started_at_all(self) -> None:
        self.unwell(PAUSED)
        self.world.engine.alive.discard(2)
        self.assertEqual(self.error(start_network(self.testbed, wish(), 60)), PAUSED_LINE)
        self.assertEqual(self.world.engine.calls, [])


class HealTests(UnwellCase):
    def act(self, change: chaos.Change) -> Acted:
        outcome: Acted = self.result(act(self.testbed, change, 30))
        return outcome

    def test_what_somebody_else_has_frozen_is_thawed_by_name_and_without(self) -> None:
        for numbers in ((4,), ()):
            with self.subTest(numbers):
                self.unwell(PAUSED)
                outcome = self.act(chaos.thaw(numbers))
                self.assertEqual(self.world.engine.calls[-1], "thaw [4]")
                self.assertEqual(outcome.after[0].nodes, (1, 2, 3, 4, 5))
                self.assertTrue(outcome.right)

    def test_what_somebody_else_has_disconnected_is_healed(self) -> None:
        self.unwell(CUT_OFF)
        outcome = self.act(chaos.heal)
        self.assertEqual(self.world.engine.calls, ["connect [4]"])
        self.assertEqual(outcome.before[0].nodes, (1, 2, 3, 5))
        self.assertEqual(outcome.after[0].nodes, (1, 2, 3, 4, 5))

    def test_what_somebody_else_has_disconnected_is_said_to_be_in_force(self) -> None:
        self.unwell(CUT_OFF)
        self.assertEqual(self.act(chaos.freeze([3])).faults.texts, ["frozen 3", "disconnected 4"])

    def test_what_somebody_else_has_thawed_is_not_frozen_any_more(self) -> None:
        self.world.up()
        save_faults(self.testbed.home, Faults(frozen=frozenset({4})))
        self.assertEqual(self.act(chaos.freeze([3])).faults.frozen, {3})


class HidingTests(UnwellCase):
    """A start that fails says why it failed, whatever hinders it from cleaning up."""

    def test_what_cannot_be_killed_or_cleaned_is_said_beside_the_cause(self) -> None:
        engine = self.world.engine
        engine.converges = False
        engine.kill_fails, engine.clean_fails = "409: is not running", "the engine is gone"
        self.error(start_network(self.testbed, wish(), 5), NotConverged)
        self.assertEqual(engine.calls[-2:], ["kill [1, 2, 3, 4, 5]", "clean purge=False"])
        said = " ".join(self.world.said)
        self.assertIn("not all of it could be stopped: 409: is not running", said)
        self.assertIn("the engine is gone; later: p2pnet stop-network", said)
        self.assertEqual(
            self.testbed.home.load(), attrs.evolve(network(5), stopped=True, code=code_digest())
        )

    def test_a_node_that_dies_at_its_start_is_said_to_have_died_of_what_the_engine_says(
        self,
    ) -> None:
        self.world.engine.dies = {4}
        self.world.engine.ailments = {4: KILLED}
        text = self.error(start_network(self.testbed, wish(), 60))
        self.assertIn("Node 4 ended while it was starting: it was killed: out of memory", text)


class CodeTests(UnwellCase):
    def start_another(self, code: str) -> str:
        self.world.up()
        self.testbed.home.save(attrs.evolve(self.world.described, code=code))
        self.world.engine.alive -= {2, 3}
        self.result(start_network(self.testbed, wish(), 60))
        return " ".join(self.world.said)

    def test_new_code_among_old_is_said(self) -> None:
        said = self.start_another("of yesterday")
        self.assertIn("nodes 2-3 will run other code than the nodes that run already", said)

    def test_the_same_code_and_code_of_which_nothing_is_known_are_no_news(self) -> None:
        for code in (code_digest(), ""):
            with self.subTest(code):
                self.assertEqual(self.start_another(code), "")

    def test_a_start_anew_takes_the_new_code_as_its_own(self) -> None:
        self.world.up()
        self.testbed.home.save(attrs.evolve(self.world.described, code="of yesterday"))
        self.world.engine.alive.clear()
        self.result(start_network(self.testbed, Wish(engine="local"), 60))
        self.assertEqual(self.testbed.description().code, code_digest())


class LeftTests(UnwellCase):
    """Docker has something of a network that is described nowhere."""

    def stop(self, found: Found | None, *, purge: bool) -> None:
        async def find(_reactor: object, _home: NetworkHome) -> Found | None:
            return found

        self.testbed = Testbed(
            self.world.clock,
            self.testbed.home,
            self.world.nodes.connect,
            say=self.world.said.append,
            engines=Engines(self.world._make_engine),
            look=find,
        )
        done = Deferred.fromCoroutine(stop_network(self.testbed, purge=purge, timeout=5))
        self.world.clock.pump([0.1] * 50)
        self.successResultOf(done)

    def test_data_of_nobody_or_of_this_home_is_purged(self) -> None:
        for home in ("", str(self.testbed.home.root.resolve())):
            with self.subTest(home):
                self.world.kinds.clear()
                self.stop(Found(project="chordnet-default", volumes=5, home=home), purge=True)
                self.assertEqual(self.world.kinds, ["local", "docker"])
                self.assertEqual(self.world.engine.calls[-1], "clean purge=True")

    def test_data_of_another_home_is_left_alone(self) -> None:
        self.stop(Found(project="chordnet-default", volumes=5, home="/other"), purge=True)
        self.assertEqual((self.world.kinds, self.world.engine.calls), ([], []))

    def test_containers_of_nobody_are_left_alone_while_this_home_has_such_a_network(self) -> None:
        mine = str(self.testbed.home.root.resolve())
        for home, kinds in (("", ["local"]), (mine, ["local", "docker"])):
            with self.subTest(home):
                self.world.up()
                self.world.kinds.clear()
                self.stop(Found(project="chordnet-default", containers=5, home=home), purge=False)
                self.assertEqual(self.world.kinds, kinds)

    def test_where_there_is_nothing_nothing_is_made(self) -> None:
        for found in (None, Found(project="chordnet-default")):
            with self.subTest(found):
                self.stop(found, purge=False)
                self.assertEqual(self.world.kinds, [])
                self.assertFalse(self.testbed.home.directory.exists())
