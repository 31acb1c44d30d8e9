"""What a client records of its operations on keys, and that the judge finds it right."""

from __future__ import annotations

import json
import random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chordnet import ClientHistory, P2PNetClient
from chordnet.core.base.errors import Busy, ChordnetError, ConfigError, NoStore, Unconfirmed
from chordnet.core.store.base.outcomes import Unconfirmed as NotConfirmed
from chordnet.judge.store.anomalies import Verdict
from chordnet.judge.store.check import check_history
from chordnet.judge.store.history import read_history
from tests.net.fake_store import FakeStore, unavailable
from tests.net.test_service import ServiceCase


class HistoryCase(ServiceCase):
    def setUp(self) -> None:
        super().setUp()
        self.store = FakeStore(lambda: self.network.wall + self.clock.seconds())
        (self.node,) = self.ring(1, keys=self.store)
        self.lines: list[bytes] = []
        self.history = ClientHistory("a", self.lines.append, self.clock.seconds)
        self.recorded = self.client(1, history=self.history)

    def told(self, waiting: Deferred[Any], seconds: float = 1.0) -> Any:
        """Return the outcome, or the error."""
        outcome = self.result(waiting, seconds)
        return outcome.value if isinstance(outcome, Failure) else outcome

    def entries(self) -> list[dict[str, Any]]:
        """Return the lines, without their times."""
        entries = [json.loads(line) for line in self.lines]
        for entry in entries:
            call, end = entry.pop("call"), entry.pop("return", None)
            self.assertTrue(end is None or 0 <= call <= end <= self.clock.seconds())
        return entries

    def judge(self) -> None:
        found = check_history(list(read_history(self.lines)))
        self.assertIs(found.verdict, Verdict.RIGHT, self.lines)


class RecordedTests(HistoryCase):
    def test_every_end_is_written_as_the_page_of_histories_says(self) -> None:
        client = self.recorded
        self.told(client.get("k"))
        self.told(client.put("k", b"blue", if_version=0, expires_s=60))
        self.told(client.get("k"))
        self.told(client.put("k", b"\xff", if_version=7))
        self.told(client.put("none", b"x", if_version=7))
        self.told(client.delete("k", if_version=1))
        self.store.ends = [unavailable(4, 9)] * 3
        self.told(client.put("k", b"x"))
        self.told(client.delete("k"))
        self.told(client.get("k"))
        common = {"client": "a", "key": "k"}
        put, get, delete = ({**common, "operation": each} for each in ("put", "get", "delete"))
        entries = self.entries()
        self.assertTrue(entries[3].pop("value").startswith("blake2b:"))
        self.assertEqual(
            entries,
            [
                {**get, "outcome": "absent"},
                {**put, "value": "blue", "if_version": 0, "expires": 60.0, "outcome": "done",
                 "version": 1},
                {**get, "outcome": "value", "version": 1, "found": "blue"},
                {**put, "if_version": 7, "outcome": "conflict", "version": 1, "found": "blue"},
                {**put, "key": "none", "value": "x", "if_version": 7, "outcome": "conflict"},
                {**delete, "if_version": 1, "outcome": "done", "version": 2},
                {**put, "value": "x", "outcome": "unavailable"},
                {**delete, "outcome": "unavailable"},
                {**get, "outcome": "unavailable"},
            ],
        )  # fmt: skip
        self.judge()

    def test_a_write_that_was_asked_for_again_is_one_operation(self) -> None:
        self.store.ends = [self.store.lost, NotConfirmed(0)]
        error = self.told(self.recorded.put("k", b"blue"))
        self.assertIsInstance(error, Unconfirmed)
        self.assertEqual(self.lines, [])
        again = {"request": error.request, "since": error.since}
        self.assertIsInstance(self.told(self.recorded.put("k", b"blue", **again)), Unconfirmed)
        self.store.refuses = NoStore("none")
        self.assertIsInstance(self.told(self.recorded.put("k", b"blue", **again)), NoStore)
        self.store.refuses = None
        self.assertEqual(self.lines, [])
        self.told(self.recorded.put("k", b"blue", **again))
        (line,) = (json.loads(line) for line in self.lines)
        self.assertEqual((line["outcome"], line["version"]), ("done", 1))
        self.assertLess(line["call"], line["return"] - 2)

    def test_a_write_that_is_unconfirmed_for_good_is_written_at_the_end_and_never_returned(
        self,
    ) -> None:
        self.store.ends = [NotConfirmed(0)]
        self.told(self.recorded.delete("k"))
        self.told(self.recorded.get("k"))
        self.assertEqual(len(self.lines), 1)
        self.history.close()
        read, write = self.entries()
        self.assertEqual((read["client"], write["client"]), ("a/2", "a"))
        self.assertEqual(write["outcome"], "unconfirmed")
        self.assertNotIn(b"return", self.lines[1])

    def test_a_write_that_cannot_be_told_any_more_stays_unconfirmed(self) -> None:
        self.store.ends = [NotConfirmed(0)]
        error = self.told(self.recorded.put("k", b"blue"))
        for _ in range(17):
            self.told(self.node.put("k", b"other"))
        self.told(self.recorded.put("k", b"blue", request=error.request, since=error.since))
        (line,) = self.entries()
        self.assertEqual(line["outcome"], "unconfirmed")

    def test_a_refusal_is_a_write_that_never_happens_and_a_read_that_brought_nothing(self) -> None:
        self.store.refuses = NoStore("none")
        for waiting in (
            self.recorded.put("k", b"x"), self.recorded.delete("k"), self.recorded.get("k"),
        ):  # fmt: skip
            self.told(waiting)
        self.assertEqual(
            [each["outcome"] for each in self.entries()],
            ["unavailable", "unavailable", "unconfirmed"],
        )

    def test_what_is_refused_before_it_is_asked_is_not_in_the_history(self) -> None:
        for waiting in (self.recorded.put("", b"x"), self.recorded.put("k", "x")):
            self.assertIsInstance(self.told(waiting), ChordnetError)
        self.history.close()
        self.assertEqual(self.lines, [])

    def test_a_write_asked_for_again_by_another_client_is_its_own_operation(self) -> None:
        self.told(self.recorded.put("k", b"x", request=b"r", since=0))
        (line,) = self.entries()
        self.assertEqual((line["outcome"], line["version"]), ("done", 1))
        self.store.ends = [unavailable(4, 9)]
        self.told(self.recorded.put("k", b"x", request=b"s", since=0))
        self.assertEqual(len(self.lines), 1)
        self.history.close()
        self.assertEqual(self.entries()[-1]["outcome"], "unconfirmed")

    def test_operations_that_overlap_are_those_of_several_clients(self) -> None:
        self.store.ends = [self.store.silent] * 3
        waiting = [self.recorded.get("k"), self.recorded.put("k", b"x"), self.recorded.get("k")]
        self.network.run(0.1)
        for done in self.store.held[::-1]:
            done(unavailable(4, 9))
        for each in waiting:
            self.told(each)
        names = [json.loads(line)["client"] for line in self.lines]
        self.assertEqual(names, ["a/3", "a/2", "a"])
        self.lines.clear()
        self.told(self.recorded.get("k"))
        self.assertEqual(json.loads(self.lines[0])["client"], "a")

    def test_answers_after_the_end_of_the_history_are_not_written(self) -> None:
        self.store.ends = [self.store.silent]
        waiting = self.recorded.get("k")
        self.network.run(0.1)
        self.history.close()
        self.assertEqual(self.entries()[0]["outcome"], "unconfirmed")
        self.store.held[0](unavailable())
        self.told(waiting)
        self.assertEqual(len(self.lines), 1)

    def test_a_write_for_which_there_is_no_room_never_happens(self) -> None:
        plain = self.client(1)
        for client in (plain, self.recorded):
            waiting: list[Deferred[Any]] = []
            while not any(each.called for each in waiting):
                waiting.append(client.put("k", bytes(65536)))
            self.assertIsInstance(self.failureResultOf(waiting.pop()).value, Busy)
            for each in waiting:
                self.told(each, 5.0)
        (entry, *others) = self.entries()
        self.assertEqual((entry["outcome"], len(others)), ("unavailable", len(waiting)))
        self.assertEqual({each["outcome"] for each in others}, {"done"})

    def test_a_history_that_was_closed_begins_anew_with_the_next_operation(self) -> None:
        self.store.ends = [NotConfirmed(0)]
        error = self.told(self.recorded.put("k", b"x"))
        self.history.close()
        self.told(self.recorded.put("k", b"x", request=error.request, since=error.since))
        found = [(each["client"], each["outcome"]) for each in self.entries()]
        self.assertEqual(found, [("a", "unconfirmed"), ("a", "done")])

    def test_a_history_that_is_none_is_refused(self) -> None:
        error = self.assertRaises(
            ConfigError, P2PNetClient, "127.0.0.1:9", self.clock, history=print
        )
        self.assertIn("history must be a ClientHistory", str(error))


class WorkloadTests(HistoryCase):
    def test_what_several_clients_record_of_any_ends_is_right(self) -> None:
        seed = random.randrange(2**32)
        rng = random.Random(seed)
        histories = [self.history]
        clients = [self.recorded]
        for name in ("b", "c"):
            histories.append(ClientHistory(name, self.lines.append, self.clock.seconds))
            clients.append(self.client(1, history=histories[-1]))
        again: dict[int, list[Unconfirmed]] = {0: [], 1: [], 2: []}
        for number in range(60):
            at = rng.randrange(3)
            client, open_writes = clients[at], again[at]
            self.store.ends = [
                rng.choice((self.store.lost, NotConfirmed(self.store.present(b"k").version)))
            ] * rng.choice((0, 0, 1))
            value = b"%d" % number
            version = rng.choice((None, None, 0, self.store.present(b"k").version))
            if rng.random() < 0.3:
                self.store.ends = []
                waiting = client.get("k")
            elif open_writes and rng.random() < 0.7:
                error, value, version = open_writes.pop()
                waiting = client.put(
                    "k", value, if_version=version, request=error.request, since=error.since
                )
            elif rng.random() < 0.2:
                self.store.ends = []
                waiting = client.delete("k", if_version=version)
            else:
                waiting = client.put("k", value, if_version=version)
            told = self.told(waiting, 0.05)
            if isinstance(told, Unconfirmed):
                open_writes.append((told, value, version))
        for history in histories:
            history.close()
        found = check_history(list(read_history(self.lines)))
        self.assertIs(found.verdict, Verdict.RIGHT, f"seed {seed}: {self.lines}")
        self.assertEqual(found.operations, len(self.lines))
