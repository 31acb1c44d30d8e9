"""``p2pnet networks``, and the words that are nearly right."""

from __future__ import annotations

import os

from chordnet.testbed.base.home import NetworkHome
from tests.unit.test_cli import CommandCase
from tests.unit.test_cli_commands import WorldCase
from tests.unit.testbed_fakes import World, network


class NetworksTests(WorldCase):
    def other(self, name: str, text: str | None = None) -> None:
        home = NetworkHome(self.root, name)
        home.directory.mkdir(parents=True)
        if text is None:
            home.save(network(3, name=name))
        else:
            home.description_path.write_text(text)

    def test_each_network_of_the_home_is_listed_with_what_runs_of_it(self) -> None:
        self.other("other")
        printed = self.printed("networks")
        self.assertRegex(printed, r"default +local +5 +5 +\d+ to \d+ +anybody")
        self.assertRegex(printed, r"other +local +3 +5 +\d+ to \d+")  # the fakes run for all

    def test_as_json_each_has_its_nodes_and_its_problem(self) -> None:
        self.other("broken", "nonsense")
        first, second = self.document("networks")["networks"]
        self.assertEqual((first["name"], first["engine"], first["running"]), ("broken", None, []))
        self.assertIn("cannot read", first["problem"])
        self.assertEqual((second["name"], second["nodes"]), ("default", 5))
        self.assertEqual(second["running"], [1, 2, 3, 4, 5])
        self.assertEqual((second["secured"], second["problem"]), (False, None))

    def test_what_is_wrong_with_a_network_is_said_below_the_table(self) -> None:
        self.other("broken", "nonsense")
        self.assertIn("\nbroken: cannot read", self.printed("networks"))

    def test_a_directory_without_a_description_is_no_network(self) -> None:
        (self.root / "networks" / "empty").mkdir()
        (self.root / "networks" / "file").touch()
        printed = self.printed("networks")
        self.assertNotIn("empty", printed)
        self.assertNotIn("file", printed)


class NoNetworkTests(CommandCase):
    def test_without_a_network_the_command_that_starts_one_is_named(self) -> None:
        self.bench = World(self.root, network(5))
        NetworkHome(self.root, network(5).name).description_path.unlink(missing_ok=True)
        status, out, err = self.p2pnet("networks")
        self.assertEqual((status, err), (0, ""))
        self.assertIn("no network was started here; p2pnet start-network starts one", out)


class NearlyRightTests(CommandCase):
    def test_a_command_that_is_nearly_right_brings_up_those_it_may_be(self) -> None:
        for wrong, right in (("strat-network", "start-network"), ("stat", "status"), ("sen", "")):
            status, out, err = self.p2pnet(wrong)
            self.assertEqual((status, out), (2, ""))
            self.assertIn(f"there is no command '{wrong}'; ", err)
            self.assertIn(right, err)
        self.assertIn("did you mean start-network", self.p2pnet("strat-network")[2])

    def test_one_that_is_like_none_brings_up_all(self) -> None:
        _status, _out, err = self.p2pnet("zzzzz")
        self.assertIn("there is no command 'zzzzz'; there are demo, start-network", err)


class VariableTests(WorldCase):
    NAME = "course"

    def setUp(self) -> None:
        super().setUp()
        NetworkHome(self.root, "course").save(self.world.described)

    def test_the_variable_names_the_network_and_the_option_wins(self) -> None:
        before = os.environ.get("P2PNET_NETWORK")
        os.environ["P2PNET_NETWORK"] = "course"
        self.addCleanup(self._name_again, before)
        self.assertIn("network 'course'", self.printed("status"))
        os.environ["P2PNET_NETWORK"] = "another"
        self.assertIn("network 'course'", self.printed("status", "--network", "course"))

    def _name_again(self, before: str | None) -> None:
        if before is None:
            del os.environ["P2PNET_NETWORK"]
        else:
            os.environ["P2PNET_NETWORK"] = before
