"""The docker engine against an engine in memory: whose containers, what is the matter with them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Coroutine
from http.client import RemoteDisconnected
from itertools import pairwise
from pathlib import Path
from typing import Any

from docker.errors import DockerException
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ReadTimeout
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from chordnet.survey.conditions import Matter
from chordnet.survey.errors import EngineUnavailable, OtherHome, TestbedError, TookTooLong
from chordnet.testbed.base import netlink
from chordnet.testbed.base.commands import Finished
from chordnet.testbed.base.faults import Line
from chordnet.testbed.engines.adoption import look_nowhere, take_over
from chordnet.testbed.engines.compose_file import BY_HAND, HOME_LABEL
from chordnet.testbed.engines.docker_host import DockerHost
from chordnet.testbed.engines.docker_state import PROJECT_LABEL, SERVICE_LABEL, Found
from tests.unit.docker_fakes import (
    AtOnce,
    FakeDocker,
    FakePrograms,
    at_once,
    lab,
    make_engine,
    refusal,
)
from tests.unit.testbed_fakes import network

OTHER = "/somewhere/else"


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = lab(Path(self.mktemp()))
        self.docker = FakeDocker()
        self.programs = FakePrograms()
        self.clock = AtOnce()
        self.engine = make_engine(self.home, self.docker, self.programs, self.clock)
        self.mine = str(self.home.root.resolve())
        self.said: list[str] = []

    def result(self, work: Coroutine[Any, Any, Any]) -> Any:
        done = Deferred.fromCoroutine(work)
        self.clock.pump([1.0] * 20)
        return self.successResultOf(done)

    def error(self, work: Coroutine[Any, Any, Any], kind: type[Exception] = TestbedError) -> str:
        done = Deferred.fromCoroutine(work)
        self.clock.pump([1.0] * 20)
        text = str(self.failureResultOf(done, kind).value)
        self.assertNotIn("\n", text)
        return text

    def described(self, size: int = 4, **settings: Any) -> Any:
        return network(size, name="lab", engine="docker", base_port=8001, **settings)


class HomeTests(Case):
    def test_containers_of_this_home_and_of_no_home_are_used(self) -> None:
        self.docker.add(1, 2, home=self.mine)
        self.docker.add(3)
        self.assertEqual(self.result(self.engine.running()), {1, 2, 3})

    def test_containers_of_another_home_are_refused_in_words_by_everything(self) -> None:
        self.docker.add(1, 2, home=OTHER)
        engine = self.engine
        for work in (
            engine.running(), engine.conditions(), engine.stop([1]), engine.kill([1]),
            engine.freeze([1]), engine.thaw([1]), engine.connect([1]), engine.shape({}),
            engine.clean(purge=True), engine.start(self.described(), [1]), engine.tail(1, 5),
            engine.prepare(self.described(), self.said.append),
        ):  # fmt: skip
            text = self.error(work, OtherHome)
            self.assertIn(f"belong to another home, {OTHER}", text)
            self.assertIn(f"CHORDNET_HOME={OTHER} p2pnet stop-network", text)
        self.assertEqual([c.calls for c in self.docker.there], [[], []])
        self.assertEqual(self.programs.ran, [])

    def test_data_of_another_home_is_neither_used_nor_purged(self) -> None:
        self.docker.volumes_there = {"chordnet-lab_node-1": {HOME_LABEL: OTHER}}
        text = self.error(self.engine.prepare(self.described(), self.said.append), OtherHome)
        self.assertIn("the data of network 'lab'", text)
        self.assertIn("stop-network --purge --network lab", text)
        self.error(self.engine.clean(purge=True), OtherHome)
        self.assertEqual(list(self.docker.volumes_there), ["chordnet-lab_node-1"])

    def test_what_compose_is_told_carries_the_home(self) -> None:
        self.result(self.engine.prepare(self.described(2), self.said.append))
        text = self.home.compose_path.read_text()
        self.assertTrue(text.startswith('{\n  "'), text)
        self.assertEqual(text.count(f'"{HOME_LABEL}": "{self.mine}"'), 4)  # 2 nodes, 2 volumes

    def test_data_that_an_older_version_left_is_used_and_said(self) -> None:
        self.docker.volumes_there = {f"chordnet-lab_node-{n}": {} for n in (1, 2)}
        self.result(self.engine.prepare(self.described(), self.said.append))
        self.assertIn("2 volumes of no home hold data of network 'lab'", self.said[0])

    def test_a_purge_leaves_nothing_of_this_network_and_all_of_others(self) -> None:
        self.docker.add(1, 2, home=self.mine)
        self.docker.add(1, project="chordnet-labs")
        self.docker.volumes_there = {"chordnet-lab_node-1": {}, "chordnet-labs_node-1": {}}
        self.docker.networks_there = {"a": "chordnet-lab", "b": "chordnet-labs"}
        self.result(self.engine.clean(purge=True))
        self.assertEqual([c.project for c in self.docker.there], ["chordnet-labs"])
        self.assertEqual(list(self.docker.volumes_there), ["chordnet-labs_node-1"])
        self.assertEqual(self.docker.networks_there, {"b": "chordnet-labs"})


class ByHandTests(Case):
    def by_hand(self, name: str = "lab", **fields: Any) -> None:
        environment = [f"CHORDNET_NETWORK={name}"]
        self.docker.add(1, 2, project=BY_HAND, environment=environment, **fields)

    def test_what_compose_alone_has_started_is_seen_and_ended(self) -> None:
        self.by_hand()
        self.assertEqual(self.result(self.engine.running()), {1, 2})
        self.result(self.engine.stop([1, 2]))
        self.assertEqual([c.calls for c in self.docker.there], [["stop"], ["stop"]])
        self.docker.volumes_there = {"chordnet_node-1": {}, "chordnet-other_node-1": {}}
        self.result(self.engine.clean(purge=True))
        self.assertEqual(self.docker.there, [])
        self.assertEqual(list(self.docker.volumes_there), ["chordnet-other_node-1"])

    def test_another_network_that_compose_has_started_is_none_of_this_one(self) -> None:
        self.by_hand("default")
        self.assertEqual(self.result(self.engine.running()), frozenset())

    def test_what_compose_alone_has_stopped_is_left_to_it(self) -> None:
        self.by_hand(state="exited")
        self.result(self.engine.clean(purge=True))
        self.assertEqual(self.docker.numbers, [1, 2])

    def test_the_networks_own_containers_come_first(self) -> None:
        self.by_hand()
        self.docker.add(3, home=self.mine)
        self.assertEqual(self.result(self.engine.running()), {3})


class AdoptionTests(Case):
    def take_over(self) -> str:
        async def look(_reactor: object, _home: object) -> Found:
            return await self.engine.found()

        return self.result(take_over(None, self.home, self.said.append, look))

    def test_what_an_older_version_left_running_is_taken_over(self) -> None:
        self.docker.add(1, 2, 4)
        self.assertEqual(self.take_over(), "")
        self.assertEqual(self.home.load(), self.described(4, removed=frozenset({3})))
        self.assertIn("found 3 containers of network 'lab' in Docker, which belong", self.said[0])
        self.take_over()
        self.assertEqual(len(self.said), 1)

    def test_a_removed_home_finds_its_containers_again(self) -> None:
        self.docker.add(1, 2, home=self.mine)
        self.take_over()
        self.assertEqual(self.home.load(), self.described(2))

    def test_what_compose_alone_has_started_is_taken_over(self) -> None:
        self.docker.add(1, 2, project=BY_HAND, environment=["CHORDNET_NETWORK=lab"])
        self.home.save(self.described(5, stopped=True))
        self.take_over()
        self.assertEqual(self.home.load(), self.described(2))
        self.assertIn("which Compose alone has started", self.said[0])

    def test_another_homes_network_is_left_alone_and_said(self) -> None:
        self.docker.add(1, 2, home=OTHER)
        said = self.take_over()
        self.assertIn(
            f"the containers of network 'lab' in Docker belong to another home, {OTHER}", said
        )
        self.assertIsNone(self.home.load())
        self.docker.there = []
        self.docker.volumes_there = {"chordnet-lab_node-1": {HOME_LABEL: OTHER}}
        self.assertIn("the data of network 'lab' in Docker belong", self.take_over())

    def test_what_is_described_stays_described(self) -> None:
        self.docker.add(1, 2)
        for described in (self.described(9), network(3, name="lab", base_port=8001)):
            self.home.save(described)
            self.take_over()
            self.assertEqual(self.home.load(), described)
        self.assertEqual(self.said, [])

    def test_what_is_described_and_does_not_fit_what_runs_is_described_anew(self) -> None:
        self.docker.add(1, 2)
        for size, base_port in ((1, 8001), (2, 9001), (9, 9001)):
            self.home.save(network(size, name="lab", engine="docker", base_port=base_port))
            self.take_over()
            self.assertEqual(self.home.load(), self.described(2))

    def test_nothing_is_taken_over_where_nothing_runs(self) -> None:
        self.docker.add(1, 2, state="exited")
        self.take_over()
        self.assertIsNone(self.home.load())
        self.result(take_over(None, self.home, self.said.append, look_nowhere))
        self.assertEqual(self.said, [])


class ConditionTests(Case):
    def conditions(self) -> dict[int, str]:
        found = self.result(self.engine.conditions())
        return {number: condition.text for number, condition in found.items()}

    def test_nothing_is_the_matter_with_what_runs(self) -> None:
        self.docker.add(1, 2)
        self.assertEqual(self.conditions(), {})

    def test_why_a_container_has_ended_is_said(self) -> None:
        for ended, text in (
            ({"OOMKilled": True, "ExitCode": 137}, "was killed: out of memory (256 MiB)"),
            ({"ExitCode": 137}, "was killed (SIGKILL)"),
            ({"ExitCode": 143}, "was ended by signal 15"),
            ({"ExitCode": 1}, "ended by itself with status 1"),
            ({"ExitCode": 0}, "was stopped, by docker stop or by a client"),
            ({"ExitCode": 128, "Error": "no\nspace"}, "could not be started: no space"),
            ({"Status": "created"}, "was never started"),
        ):
            with self.subTest(text):
                self.docker.there = []
                self.docker.add(4, state="exited", ended=ended)
                self.assertEqual(self.conditions(), {4: text})

    def test_a_paused_container_and_one_without_a_network_are_told_apart(self) -> None:
        self.docker.add(1, state="paused")
        self.docker.add(2, connected=False)
        found = self.result(self.engine.conditions())
        self.assertEqual([found[n].matter for n in (1, 2)], [Matter.FROZEN, Matter.CUT_OFF])
        line = found[1].line(1, "p2pnet {}".format)
        self.assertTrue(line.endswith("(docker pause); let it go on with: p2pnet chaos thaw 1"))
        self.assertTrue(
            found[2].line(2, "p2pnet {}".format).endswith("again with: p2pnet chaos heal")
        )

    def test_what_was_disconnected_gets_its_network_and_name_back_and_starts_anew(self) -> None:
        self.docker.add(1, 2, connected=False)
        self.docker.networks_there = {"net": "chordnet-lab"}
        self.result(self.engine.connect([2]))
        self.assertEqual(self.docker.connected, [("chordnet-lab/2", "net", ["node-2"])])
        self.assertEqual([c.calls for c in self.docker.there], [[], ["restart"]])


class FaultTests(Case):
    def states(self) -> list[str]:
        return [container.state for container in self.docker.there]

    def test_only_what_runs_is_paused_and_only_what_is_paused_goes_on(self) -> None:
        self.docker.add(1, 2, 3)
        self.docker[3].state = "exited"
        self.result(self.engine.freeze([1, 3, 4]))
        self.assertEqual(self.states(), ["paused", "running", "exited"])
        self.assertEqual(self.result(self.engine.running()), {1, 2})
        self.result(self.engine.thaw([1, 2, 3]))
        self.assertEqual(self.states(), ["running", "running", "exited"])

    def test_lines_are_changed_by_one_program_that_may_change_networks_and_nothing_else(
        self,
    ) -> None:
        self.docker.add(1, 2, 3)
        self.docker[3].state = "exited"
        slow = Line(delay_ms=80.0, jitter_ms=5.0, loss_percent=1.0)
        cut = Line(cut=frozenset({1, 3, 4, 9}))
        self.docker.add(4)
        self.result(self.engine.shape({1: slow, 2: cut, 3: slow, 4: Line()}))
        ((*words, last),) = self.programs.ran
        self.assertEqual(
            json.loads(last),
            [
                {"node": 1, "pid": 1001, "cut": [], "netem": [80.0, 5.0, 1.0]},
                {"node": 2, "pid": 1002, "cut": ["10.0.0.1", "10.0.0.4"], "netem": None},
                {"node": 4, "pid": 1004, "cut": [], "netem": None},
            ],
        )
        self.assertEqual(words[:3], ["docker", "run", "--rm"])
        self.assertEqual(words[words.index("image") + 1 :][:4], ["python3", "-I", "-S", "-c"])
        for option, value in (("--pid", "host"), ("--network", "none"), ("--cap-drop", "ALL")):
            self.assertEqual(words[words.index(option) + 1], value)
        added = {words[at + 1] for at, word in enumerate(words) if word == "--cap-add"}
        self.assertEqual(added, {"SYS_PTRACE", "SYS_ADMIN", "NET_ADMIN"})

    def test_without_a_line_to_change_nothing_is_run(self) -> None:
        self.docker.add(1)
        self.result(self.engine.shape({2: Line()}))
        self.assertEqual(self.programs.ran, [])

    def test_what_the_machine_cannot_do_is_one_line(self) -> None:
        self.docker.add(1)
        self.programs.ends["run"] = [Finished(1, "", "no such qdisc" + "!" * 500)]
        text = self.error(self.engine.shape({1: Line(loss_percent=5.0)}))
        start = "the lines between the nodes' containers cannot be changed: no such qdisc!"
        self.assertTrue(text.startswith(start), text)
        self.assertLess(len(text), 340)


class LogTests(Case):
    def test_the_last_lines_of_a_container_are_its_own(self) -> None:
        self.docker.add(1, 2, log=b"one\ntwo\nthr\xffee\n")
        self.assertEqual(
            self.result(self.engine.tail(1, 2)), ["two", "thr\N{REPLACEMENT CHARACTER}ee"]
        )

    def test_a_node_that_never_was_has_no_last_lines(self) -> None:
        self.assertEqual(self.result(self.engine.tail(1, 2)), [])

    def test_what_a_container_writes_is_handed_over_line_by_line(self) -> None:
        self.docker.add(1, log=b"the first line\nthe second\nnot yet")
        written: list[str] = []
        self.result(self.engine.follow(1, 7, written.append))
        self.assertEqual(written, ["the first line", "the second"])
        self.assertEqual(self.docker[1].calls, ["logs follow=True tail=7", "closed"])

    def test_a_log_that_is_followed_no_longer_is_closed(self) -> None:
        self.docker.add(1, log=b"the first line\nthe second\n")

        def full(_line: str) -> None:
            raise OSError("no space left")

        done = Deferred.fromCoroutine(self.engine.follow(1, 7, full))
        self.failureResultOf(done, OSError)
        self.assertEqual(self.docker[1].calls[-1], "closed")


class StartTests(Case):
    def test_exactly_the_containers_that_were_asked_for_are_brought_up(self) -> None:
        self.docker.add(1, 3)
        self.result(self.engine.start(self.described(), [3, 1]))
        made, words = self.programs.ran
        for ran, how in ((made, "--no-start"), (words, "--detach")):
            self.assertEqual(
                ran[ran.index("up") :], ["up", how, "--no-build", "--no-deps", "node-1", "node-3"]
            )
        self.assertEqual(words[words.index("--project-name") + 1], "chordnet-lab")
        self.assertEqual(words[words.index("--file") + 1], str(self.home.compose_path))

    def test_each_node_of_a_network_without_identities_is_given_the_networks_cookie(self) -> None:
        self.docker.add(1, 2)
        self.result(self.engine.start(self.described(), [1, 2]))
        for number in (1, 2):
            ((path, archive),) = self.docker[number].unpacked
            self.assertEqual(path, "/var/lib/chordnet")
            with tarfile.open(fileobj=io.BytesIO(archive)) as unpacked:
                (entry,) = unpacked.getmembers()
                file = unpacked.extractfile(entry)
                assert file is not None
                self.assertEqual(file.read(), self.home.cookie_path.read_bytes())
            self.assertEqual((entry.name, entry.mode, entry.uid), ("cookie", 0o600, 10001))
        self.assertEqual(self.home.cookie_path.stat().st_mode & 0o777, 0o600)

    def test_containers_that_take_too_long_are_named(self) -> None:
        self.docker.add(1, 2, 3)
        self.docker[2].ended = {"ExitCode": 137}
        self.assertEqual(self.result(self.engine.stop([1, 2])), {2})
        self.assertEqual([c.state for c in self.docker.there], ["exited", "exited", "running"])


class EndTests(Case):
    def test_a_container_that_ends_before_it_is_killed_is_no_fault(self) -> None:
        self.docker.add(1, 2)
        self.docker[1].dies_before_kill = True
        self.result(self.engine.kill([1, 2]))
        self.assertEqual([c.state for c in self.docker.there], ["exited", "exited"])

    def test_a_paused_container_is_woken_to_be_stopped(self) -> None:
        self.docker.add(1, state="paused")
        self.assertEqual(self.result(self.engine.stop([1])), frozenset())
        self.assertEqual(self.docker[1].state, "exited")

    def test_logs_outlive_their_containers_but_no_purge(self) -> None:
        self.docker.add(1, home=self.mine, log=b"one\ntwo\n")
        self.result(self.engine.clean(purge=False))
        self.assertEqual(self.docker.there, [])
        self.assertEqual(self.result(self.engine.tail(1, 1)), ["two"])
        written: list[str] = []
        self.result(self.engine.follow(1, 5, written.append))
        self.assertEqual(written, ["one", "two"])

    def test_a_log_is_saved_before_its_container_may_be_made_anew_and_not_twice(self) -> None:
        self.docker.add(1, home=self.mine, log=b"one\n")
        self.result(self.engine.start(self.described(), [1]))
        self.result(self.engine.clean(purge=False))
        self.assertEqual(self.result(self.engine.tail(1, 5)), ["one"])

    def test_untagged_images_of_ours_go_unless_they_are_used(self) -> None:
        ours = ["PATH=/bin", "CHORDNET_STATE_DIR=/var/lib/chordnet"]
        self.docker.images_there = {"old": ours, "used": ours, "theirs": ["PATH=/bin"]}
        self.docker.used_images = {"used"}
        self.result(self.engine.prepare(self.described(), self.said.append))
        self.assertEqual(list(self.docker.images_there), ["used", "theirs"])
        self.docker.used_images = set()
        self.result(self.engine.clean(purge=False))
        self.assertEqual(list(self.docker.images_there), ["theirs"])


class FailureTests(Case):
    def test_a_failed_build_shows_what_pip_said(self) -> None:
        pip = "#9 ERROR: No matching distribution found for msgspec"
        self.programs.ends["build"] = [Finished(17, f"{pip}\n", "failed to solve\n")]
        done = Deferred.fromCoroutine(self.engine.prepare(self.described(), self.said.append))
        problem = self.failureResultOf(done, TestbedError).value
        self.assertIn("the image cannot be built: failed to solve", str(problem))
        self.assertEqual(problem.details, (pip, "failed to solve"))

    def test_an_engine_that_is_down_is_said_to_be_that(self) -> None:
        inner = FileNotFoundError(2, "No such file or directory")
        self.docker.down = DockerException("Error while fetching server API version: (...)")
        self.docker.down.__cause__ = RequestsConnectionError(inner)
        text = self.error(self.engine.running(), EngineUnavailable)
        self.assertIn("no Docker engine answers at unix:///var/run/docker.sock", text)
        self.assertIn("(No such file or directory); start Docker, then try again", text)

    def test_an_engine_that_hangs_is_said_to_do_that(self) -> None:
        self.docker.down = ReadTimeout("UnixHTTPConnectionPool(host='localhost', port=None): ...")
        text = self.error(self.engine.running(), EngineUnavailable)
        self.assertIn("has said nothing for 10 s: it hangs, or is overloaded; restart it", text)
        self.assertNotIn("UnixHTTP", text)


def killed() -> Finished:
    """Return how a program ends whose container is removed by force: without a word."""
    return Finished(137, "", "")


LINES = {1: Line(cut=frozenset({2})), 2: Line(cut=frozenset({1}))}


class LineTests(Case):
    def setUp(self) -> None:
        super().setUp()
        self.docker.add(1, pid=101)
        self.docker.add(2, pid=102)

    def wanted(self) -> list[list[tuple[int, int]]]:
        """Return of each helper that ran: the nodes whose lines it changed, with their pids."""
        ran = [json.loads(words[-1]) for words in self.programs.ran]
        return [[(node["node"], node["pid"]) for node in nodes] for nodes in ran]

    def test_the_helper_is_no_node_of_the_network_that_built_its_image(self) -> None:
        self.result(self.engine.shape(LINES))
        [words] = self.programs.ran
        for label in (PROJECT_LABEL, SERVICE_LABEL):
            self.assertIn(("--label", f"{label}="), list(pairwise(words)))
        self.assertLess(words.index(f"{SERVICE_LABEL}="), words.index("image"))

    def test_a_helper_that_was_killed_is_run_again(self) -> None:
        self.programs.ends["run"] = [killed(), killed()]
        self.result(self.engine.shape(LINES))
        self.assertEqual(self.wanted(), [[(1, 101), (2, 102)]] * 3)

    def test_a_helper_that_is_killed_each_time_is_said_to_be(self) -> None:
        self.programs.ends["run"] = [killed() for _ in range(9)]
        self.assertEqual(
            self.error(self.engine.shape(LINES)),
            "the lines between the nodes' containers cannot be changed: "
            "exit status 137 (SIGKILL) (3 attempts)",
        )

    def test_containers_are_looked_at_again_where_one_was_just_starting(self) -> None:
        async def restarted(reactor: object, words: list[str], **options: Any) -> Finished:
            self.docker[2].pid = 202
            return await self.programs(reactor, words, **options)

        gone = "the network of node 2 cannot be entered: No such file or directory"
        self.programs.ends["run"] = [Finished(netlink.GONE, "", gone)]
        engine = make_engine(self.home, self.docker, restarted, self.clock)
        self.result(engine.shape(LINES))
        self.assertEqual(self.wanted(), [[(1, 101), (2, 102)], [(1, 101), (2, 202)]])

    def test_what_the_kernel_lacks_is_not_tried_again(self) -> None:
        self.programs.ends["run"] = [Finished(1, "", "the kernel under Docker has no netem")]
        text = self.error(self.engine.shape(LINES))
        self.assertTrue(text.endswith("cannot be changed: the kernel under Docker has no netem"))
        self.assertEqual(self.programs.times("run"), 1)

    def test_a_node_that_has_no_network_or_has_ended_has_no_line(self) -> None:
        self.docker.add(3, connected=False, pid=103)
        self.docker.add(4, pid=0)
        self.result(self.engine.shape({n: Line() for n in (1, 2, 3, 4)}))
        self.assertEqual(self.wanted(), [[(1, 101), (2, 102)]])

    def test_a_helper_that_never_ends_is_named(self) -> None:
        self.programs.ends["run"] = [TookTooLong("docker took longer than 60 s")]
        self.assertEqual(
            self.error(self.engine.shape(LINES)),
            "the lines between the nodes' containers cannot be changed: docker took longer than "
            "60 s; the engine hangs, or is overloaded",
        )


class StrangerTests(Case):
    def test_a_container_made_from_the_image_by_other_means_is_no_node(self) -> None:
        self.docker.add(1, 2)
        self.docker.add(1, by_compose=False, connected=False)
        self.assertEqual(self.result(self.engine.conditions()), {})
        self.result(self.engine.kill([1, 2]))
        self.result(self.engine.clean(purge=True))
        self.assertEqual([(c.by_compose, c.calls) for c in self.docker.there], [(False, [])])


class AgainTests(Case):
    def setUp(self) -> None:
        super().setUp()
        self.docker.add(1, 2)
        self.result(self.engine.running())
        self.docker.asked = 0

    def test_what_a_busy_engine_fails_at_once_is_asked_again(self) -> None:
        for problem in (
            refusal(500, "context deadline exceeded"),
            refusal(503, "busy"),
            ReadTimeout("UnixHTTPConnectionPool(...): Read timed out."),
            RequestsConnectionError(("Connection aborted.", RemoteDisconnected("no response"))),
        ):
            self.docker.failing = [problem]
            self.assertEqual(self.result(self.engine.running()), {1, 2})

    def test_what_a_busy_engine_fails_at_twice_is_said(self) -> None:
        self.docker.failing = [refusal(500, "no\nspace"), refusal(500, "no space left")]
        self.assertEqual(
            self.error(self.engine.running(), EngineUnavailable),
            "the Docker engine does not do what it is asked: no space left",
        )

    def test_what_cannot_pass_is_asked_once(self) -> None:
        down = RequestsConnectionError(FileNotFoundError(2, "No such file or directory"))
        for problem in (refusal(404, "no such network"), refusal(409, "in use"), down):
            self.docker.asked, self.docker.failing = 0, [problem]
            self.error(self.engine.running(), EngineUnavailable)
            self.assertEqual(self.docker.asked, 1)

    def test_an_engine_that_hangs_from_the_first_word_on_is_asked_once(self) -> None:
        self.docker.failing = [ReadTimeout("read timed out")]
        asked: list[None] = []

        def connect() -> Any:
            asked.append(None)
            raise ReadTimeout("read timed out")

        host = DockerHost(self.clock, connect, at_once)
        self.error(host.ask(lambda: host.client), EngineUnavailable)
        self.assertEqual(len(asked), 1)

    def test_a_node_that_a_busy_engine_does_not_end_at_first_is_ended(self) -> None:
        for call in ("kill", "stop"):
            with self.subTest(call):
                self.docker[1].state = "running"
                late = refusal(500, "tried to kill container, but did not receive an exit event")
                self.docker[1].refuses = [(call, late, "running")]
                self.result(getattr(self.engine, call)([1]))
                self.assertEqual(self.docker[1].state, "exited")

    def test_a_node_that_a_busy_engine_does_not_end_at_all_is_named(self) -> None:
        refused = ("kill", refusal(500, "no exit event"), "running")
        self.docker[2].refuses = [refused, refused]
        self.assertEqual(
            self.error(self.engine.kill([1, 2])),
            "Node 2 cannot be killed: the Docker engine does not do what it is asked: "
            "no exit event",
        )

    def test_a_container_that_is_just_starting_is_frozen_when_it_runs(self) -> None:
        starting = refusal(409, "Container is restarting, wait until the container is running")
        self.docker[1].state = "restarting"
        self.docker[1].refuses = [("pause", starting, "running")]
        self.result(self.engine.freeze([1, 2]))
        self.assertEqual([c.state for c in self.docker.there], ["paused", "paused"])

    def test_a_container_that_ends_before_it_is_frozen_is_no_fault(self) -> None:
        self.docker[1].refuses = [("pause", refusal(409, "Container is not running"), "exited")]
        self.result(self.engine.freeze([1, 2]))
        self.assertEqual([c.state for c in self.docker.there], ["exited", "paused"])

    def test_a_container_that_is_never_frozen_is_named(self) -> None:
        refused = ("pause", refusal(409, "Container is\nrestarting"), "restarting")
        self.docker[2].refuses = [refused] * 9
        self.assertEqual(
            self.error(self.engine.freeze([1, 2])),
            "Node 2 cannot be frozen: Container is restarting (6 attempts)",
        )

    def test_a_container_that_a_busy_engine_does_not_freeze_at_first_is_frozen(self) -> None:
        refused = ("pause", refusal(500, "OCI runtime pause failed: unable to freeze"), "running")
        self.docker[1].refuses = [refused] * 3
        self.result(self.engine.freeze([1, 2]))
        self.assertEqual([c.state for c in self.docker.there], ["paused", "paused"])
        self.assertEqual(self.docker[2].calls, ["pause"])

    def test_a_start_that_fails_twice_is_tried_again(self) -> None:
        busy = Finished(1, "", "removal of container is in progress")
        self.programs.ends["up"] = [busy, busy]
        self.docker.add(1)
        self.result(self.engine.start(self.described(), [1]))
        self.assertEqual(self.programs.times("up"), 4)  # the last one starts what the third made

    def test_a_start_that_fails_each_time_says_what_compose_said_last(self) -> None:
        no = Finished(1, "", "no")
        self.programs.ends["up"] = [no, no, Finished(137, "", "")]
        text = self.error(self.engine.start(self.described(), [1]))
        self.assertIn("the containers cannot be started: exit status 137 (SIGKILL); --eng", text)

    def test_a_start_that_takes_too_long_is_named_and_not_tried_again(self) -> None:
        self.programs.ends["up"] = [TookTooLong("docker took longer than 180 s")]
        text = self.error(self.engine.start(self.described(), [1]))
        self.assertEqual(
            text,
            "the containers cannot be started: docker took longer than 180 s; the engine hangs, "
            "or is overloaded",
        )
        self.assertEqual(self.programs.times("up"), 1)

    def test_a_network_whose_last_container_is_just_leaving_is_removed(self) -> None:
        self.docker.networks_there = {"net": "chordnet-lab"}
        self.docker.leaving = [refusal(403, "network net has active endpoints")]
        self.result(self.engine.clean(purge=False))
        self.assertEqual(self.docker.networks_there, {})
