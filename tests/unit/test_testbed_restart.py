"""A restart of all nodes, together or one after the other."""

from __future__ import annotations

from chordnet.core.base.errors import Busy
from chordnet.survey.conditions import Condition, Matter
from chordnet.testbed.actions.convergence import Counted
from chordnet.testbed.actions.restart import restart_all, restart_rolling
from chordnet.wire.stores import SlotStanding, StoreStanding
from tests.unit.test_cli_commands import WorldCase
from tests.unit.test_testbed_store import Case

YES = StoreStanding(True, 4, 0, [])
NO = StoreStanding(
    False, 4, 2,
    [SlotStanding(n, 1, ["Node 1", "Node 2", "Node 9"], ["Node 1"], [], False) for n in (0, 3)],
)  # fmt: skip


class RollingTests(Case):
    def roll(self, timeout: float = 30.0) -> list[str]:
        self.start()
        self.world.engine.calls.clear()
        self.done = self.result(restart_rolling(self.testbed, timeout))
        return self.world.engine.calls

    def test_each_node_is_stopped_and_started_before_the_next_one(self) -> None:
        calls = self.roll()
        steps = [call for call in calls if call != "prepare"]
        self.assertEqual(
            steps, [f"{verb} [{n}]" for n in range(1, 6) for verb in ("stop", "start")]
        )
        self.assertEqual((self.done.nodes, self.done.members), ((1, 2, 3, 4, 5), 5))
        self.assertEqual(self.done.killed, ())

    def test_a_node_is_stopped_only_when_others_can_do_without_it(self) -> None:
        self.nodes.standings[2] = [NO, Busy("later"), NO, YES]
        self.start()
        began = self.world.clock.seconds()
        self.result(restart_rolling(self.testbed, 30.0))
        self.assertGreaterEqual(self.world.clock.seconds(), began + 0.75)
        self.assertEqual(self.nodes.standings[2], [YES])

    def test_if_that_is_not_so_in_time_the_node_goes_on_and_the_line_says_why(self) -> None:
        self.start()
        self.nodes.standings[2] = [NO]
        self.world.engine.calls.clear()
        why = self.refused(restart_rolling(self.testbed, 3.0))
        self.assertEqual(
            why,
            "Node 2 was not stopped, since after 3 s 2 of the 4 slots of Node 2 would be "
            "unavailable without it (slot 0: 1 of 3 members would answer; Node 9 does not answer "
            "now); see: p2pnet store; 1 node was restarted before Node 2, and it can be begun again"
            ": p2pnet restart-network --rolling",
        )
        self.assertNotIn("stop [2]", self.world.engine.calls)

    def test_a_node_that_is_too_busy_to_say_is_not_stopped(self) -> None:
        self.start()
        self.nodes.standings[1] = [Busy("later")]
        why = self.refused(restart_rolling(self.testbed, 1.0))
        self.assertIn("Node 1 was not stopped, since after 1 s it is busy; see", why)
        self.assertIn("0 nodes were restarted before Node 1", why)

    def test_a_node_that_does_not_come_back_ends_it(self) -> None:
        self.start()
        self.world.engine.dies = {3}
        why = self.refused(restart_rolling(self.testbed, 5.0))
        self.assertIn("Node 3 ended while it was starting", why)
        self.assertIn("2 nodes were restarted before Node 3", why)
        self.assertEqual(self.world.engine.alive, {1, 2, 4, 5})

    def test_who_was_killed_for_taking_too_long_is_told(self) -> None:
        self.world.engine.late = {4}
        self.roll()
        self.assertEqual(self.done.killed, (4,))

    def test_a_frozen_node_is_told_before_anything_is_stopped(self) -> None:
        self.start()
        self.world.engine.ailments = {5: Condition(Matter.FROZEN, "is frozen")}
        self.world.engine.calls.clear()
        self.assertIn("Node 5 is frozen", self.refused(restart_rolling(self.testbed, 5.0)))
        self.assertEqual(self.world.engine.calls, [])

    def test_removed_nodes_stay_away(self) -> None:
        self.start()
        self.world.engine.alive -= {5}
        self.world.engine.ring()
        self.testbed.home.save(self.testbed.description().with_removed(5))
        self.result(restart_rolling(self.testbed, 30.0))
        self.assertEqual(self.world.engine.alive, {1, 2, 3, 4})

    def test_two_nodes_cannot_do_without_each_other(self) -> None:
        self.start()
        self.world.engine.alive = {1, 2}
        self.world.engine.ring()
        self.assertIn("with fewer than 3 nodes", self.refused(restart_rolling(self.testbed, 5.0)))

    def test_how_far_it_is_can_be_watched(self) -> None:
        self.start()
        seen: list[object] = []
        self.testbed.watch = seen.append
        self.result(restart_rolling(self.testbed, 30.0))
        stages = [each for each in seen if isinstance(each, Counted) and "next is" in each.text]
        self.assertEqual(
            [each.text.partition("next is ")[2] for each in stages],
            [f"Node {number}" for number in range(1, 6)],
        )
        self.assertEqual(stages[1].done, (1, 5))
        self.assertEqual(stages[1].words(), "1 of 5 nodes restarted; next is Node 2")


class AllTests(Case):
    def test_all_nodes_stop_and_start_with_what_they_had(self) -> None:
        self.start()
        self.world.engine.calls.clear()
        done = self.result(restart_all(self.testbed, 30.0))
        self.assertEqual((done.nodes, done.members), ((1, 2, 3, 4, 5), 5))
        self.assertEqual(done.network.base_port, 9001)
        calls = self.world.engine.calls
        self.assertIn("stop [1, 2, 3, 4, 5]", calls)
        self.assertIn("start [1, 2, 3, 4, 5]", calls)


class CommandTests(WorldCase):
    def test_a_rolling_restart_says_what_it_has_done(self) -> None:
        out = self.printed("restart-network", "--rolling")
        self.assertRegex(
            out,
            r"^network 'default': 5 nodes restarted one after the other; 5 nodes in one ring "
            r"after \d+\.\d s\n$",
        )
        document = self.document("restart-network", "--rolling")
        document.pop("seconds")
        self.assertEqual(
            document,
            {
                "network": "default", "rolling": True, "nodes": [1, 2, 3, 4, 5], "killed": [],
                "members": 5,
            },
        )  # fmt: skip

    def test_a_restart_of_all_at_a_time_says_that_it_was_one(self) -> None:
        self.world.engine.late = {2}
        out = self.printed("restart-network")
        self.assertIn("5 nodes restarted together; 1 of them killed for taking too long; ", out)

    def test_a_network_that_does_not_run_cannot_be_restarted(self) -> None:
        self.world.engine.alive = set()
        for words in (["--rolling"], []):
            self.assertIn("is not running", self.failed("restart-network", *words))


class CanStopTests(WorldCase):
    def test_yes_is_one_line(self) -> None:
        self.assertEqual(self.printed("store", "can-stop", "4"), "yes\n")
        self.assertEqual(
            self.document("store", "can-stop", "4"),
            {
                "network": "default", "node": 4, "can_stop": True, "held": 4, "at_risk": 0,
                "slots": [],
            },
        )  # fmt: skip

    def test_no_says_which_slots_and_why(self) -> None:
        leaving = SlotStanding(
            7, 2, ["Node 2", "Node 3", "Node 4"], [], ["Node 3", "Node 4"], False
        )
        self.world.nodes.standings[2] = [StoreStanding(False, 48, 13, [*NO.slots, leaving])]
        self.assertEqual(
            self.printed("store", "can-stop", "2", status=1),
            "no: 13 of the 48 slots of Node 2 would be unavailable without it\n"
            "slot 0: 1 of 3 members would answer; Node 9 does not answer now\n"
            "slot 3: 1 of 3 members would answer; Node 9 does not answer now\n"
            "slot 7: 0 of 3 members would answer; Node 3 and Node 4 are stopping\n"
            "and 3 more\n",
        )
        document = self.document("store", "can-stop", "2", status=1)
        self.assertEqual(
            document["slots"][2],
            {"slot": 7, "epoch": 2, "members": [2, 3, 4], "answering": [], "leaving": [3, 4]},
        )

    def test_a_node_that_does_not_run_and_one_that_does_not_exist_have_one_line(self) -> None:
        self.world.engine.alive -= {3}
        self.assertIn("Node 3 is stopped", self.failed("store", "can-stop", "3"))
        self.assertIn("NODE must be a number", self.failed("store", "can-stop", "9", status=2))

    def test_an_unknown_command_below_store_names_those_that_there_are(self) -> None:
        err = self.failed("store", "burn", status=2)
        self.assertIn("there is no command 'store burn'; there are export, import, can-stop", err)
