"""A run beside a lying node: what it counts, what it takes for that node's doing, and its words."""

from __future__ import annotations

from argparse import Namespace
from collections import Counter
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base import messages as msg
from chordnet.core.base.effects import TraceKind
from chordnet.core.base.messages import Hop, MessageId, Status
from chordnet.sim.campaign import byzantine_command
from chordnet.sim.campaign.byzantine import ByzantineResult, ByzantineRun, Told
from chordnet.sim.world.host import Host
from tests.sim.test_commands import run


class RunCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.run_ = ByzantineRun("digest", 1)
        self.result = self.run_.play()
        self.assertEqual(self.result.failures, ())
        self.told = next(t for t in self.run_.told.values() if t.sender == self.run_._y)
        assert self.told.id is not None
        self.id = self.told.id
        self.me = self.run_.liar.me

    def again(self) -> ByzantineResult:
        return self.run_._result([])

    def lie(self, *lies: Any) -> None:
        """Let X have said this, judge, and take it back."""
        before = self.run_.liar.lies
        self.run_.liar.lies = [*before, *lies]
        self.told.taken = self.told.spoken = False
        self.told.vouched = set()
        self.run_._taken.clear()
        self.run_._spoken.clear()
        self.result = self.again()
        self.run_.liar.lies = before

    def bcast(self, first: MessageId, bodies: list[bytes] | None, count: int = 1) -> msg.Bcast:
        return msg.Bcast(first, count, 0.0, 1, b"", 2, [Hop(first.origin, "", 0)], bodies)


class CountTests(RunCase):
    def test_every_lie_is_counted_and_so_is_all_blame(self) -> None:
        lies = len(self.run_.liar.lies)
        self.assertGreater(lies, 10)
        self.assertEqual(self.result.frames, lies)
        honest = self.run_._honest()
        for host in honest[:2]:
            host.misbehaved.append(fx.Misbehaved(self.me, "it lies"))
        honest[0].misbehaved.append(fx.Misbehaved(self.me, "again"))
        self.assertEqual(self.again().blamed, self.result.blamed + 3)

    def test_the_most_of_one_honest_node_is_told(self) -> None:
        one, other = (host.ref.address for host in self.run_._honest()[:2])
        for table, field in (
            (self.run_.network.dials, "dials"),
            (self.run_._resent, "resent"),
            (self.run_._lines, "lines"),
        ):
            table[one], table[other] = 39, 41
            self.assertEqual(getattr(self.again(), field), 41)
        self.run_._quiet[one] = 6
        self.assertEqual(self.again().comparisons, 1.5)
        self.assertEqual(self.again().steps, self.run_.network.steps)
        self.assertGreater(self.again().bytes, 10_000)

    def test_who_has_resent_logged_and_compared_nothing_is_counted_as_none(self) -> None:
        for table in (self.run_._resent, self.run_._lines, self.run_._quiet):
            table.clear()
        found = self.again()
        self.assertEqual((found.resent, found.lines, found.comparisons), (0, 0, 0.0))

    def test_a_node_that_holds_too_much_is_found(self) -> None:
        host = self.run_._honest()[0]
        host.node.ballast = bytes(8 << 20)  # type: ignore[attr-defined]
        (text,) = self.again().failures
        self.assertRegex(text, r"^a node holds \d+ bytes, more than 8388608$")

    def test_more_may_be_sent_again_for_each_broadcast_that_was_made_up(self) -> None:
        name = self.run_._honest()[0].ref.address
        forged = [self.bcast(self.id, None)] * 3
        self.run_._resent[name] = 50 + 3 * 10
        self.lie(*forged)
        self.assertEqual(self.result.failures, ())
        self.run_._resent[name] += 1
        self.lie(*forged)
        self.assertEqual(self.result.failures, ("a node sent 81 times again, more than 80",))

    def steps(self, host: Host, *effects: fx.Effect) -> None:
        self.run_.stepped(host, ev.Tick(), [*effects])

    def test_what_honest_nodes_do_is_counted_and_what_x_does_is_not(self) -> None:
        host = self.run_._honest()[0]
        name, ref = host.ref.address, host.ref
        for table in (self.run_._compared, self.run_._lines, self.run_._resent):
            table.clear()
        every = (
            fx.Send(ref, msg.Have([], [], [])), fx.Send(ref, msg.Have([], [], [])),
            fx.Send(ref, msg.Compare(1)),
            fx.Traced(self.id, 1, TraceKind.RESENT, ref),
            fx.PeerDied(ref), fx.StatusChanged(Status.JOINING, Status.ACTIVE),
        )  # fmt: skip
        self.steps(host, *every)
        self.steps(self.run_.network.hosts[self.run_._x], *every)
        self.assertEqual(self.run_._compared, Counter({name: 2}))
        self.assertEqual(+self.run_._resent, Counter({name: 1}))
        self.assertEqual(self.run_._lines, Counter({name: 2}))

    def test_comparisons_are_those_of_the_last_four_seconds(self) -> None:
        class Watch:
            """Keeps when each honest node compared its ledger."""

            def stepped(self, host: Host, event: ev.Event, effects: list[fx.Effect]) -> None:
                found = (e for e in effects if isinstance(e, fx.Send))
                count = sum(isinstance(each.message, msg.Have) for each in found)
                seen.extend([(host.ref.address, run_.network.now)] * count)

            def faulted(self, host: Host, what: str) -> None:
                pass

        quiet = []
        for seed in range(1, 9):
            seen: list[tuple[str, float]] = []
            run_ = ByzantineRun("number", seed)
            run_.network.watchers.append(Watch())
            result = run_.play()
            last = run_.network.now - 4.0
            counts = Counter(name for name, at in seen if at > last and name != run_._x)
            self.assertEqual(result.comparisons, max(counts.values(), default=0) / 4.0, seed)
            quiet.append(result.comparisons)
        self.assertGreater(max(quiet), 0.0)

    def test_a_receipt_that_comes_at_once_is_a_receipt(self) -> None:
        host = self.run_._honest()[0]
        before = len(self.run_.told)
        host.node.ctx.become(Status.LEAVING)
        self.run_._publish(host.ref.address, "too late")
        self.assertEqual(len(self.run_.told), before + 1)
        last = list(self.run_.told.values())[-1]
        self.assertIsNotNone(last.done)


class DoingTests(RunCase):
    """Which messages X has taken or vouched for, by what it has said."""

    def test_a_number_is_taken_by_another_body_in_its_place(self) -> None:
        body, first = self.told.body, self.id
        self.assertGreater(first.sequence, 0)
        before = first.plus(-1) if first.sequence > 1 else None
        stranger = MessageId(self.me.raw, first.incarnation, first.sequence)
        earlier = MessageId(first.origin, first.incarnation + 1, first.sequence)
        cases: list[tuple[Any, bool]] = [
            (self.bcast(first, [b"forged"]), True),
            (self.bcast(first, [body]), False),
            (self.bcast(first, [body, b"forged"], 2), False),
            (self.bcast(first, None, 2), False),
            (self.bcast(first.plus(1), [b"forged"]), False),
            (self.bcast(stranger, [b"forged"]), False),
            (self.bcast(earlier, [b"forged"]), False),
            (msg.Bodies(first, [b"forged"]), True),
            (msg.Bodies(first, [body]), False),
            (msg.Caught(first, 0.0, [], b"forged"), True),
            (msg.Caught(first, 0.0, [], body), False),
        ]
        if before is not None:
            cases += [
                (self.bcast(before, [b"x", b"forged"], 2), True),
                (self.bcast(before, [b"x", body], 2), False),
                (self.bcast(before, [b"forged"]), False),
            ]
        for lie, taken in cases:
            self.lie(lie)
            self.assertEqual(self.told.taken, taken, lie)

    def test_x_has_spoken_for_a_message_by_a_report_or_an_acknowledgement(self) -> None:
        other = MessageId(self.me.raw, 1, 1)
        earlier = MessageId(self.id.origin, self.id.incarnation + 1, self.id.sequence)
        limit = self.me.raw
        for first, spoken in ((self.id, True), (self.id.plus(7), True), (other, False),
                              (earlier, False)):  # fmt: skip
            for lie in (msg.Covered(first, limit, 1, 0, 1, False, []), msg.Ack(first, limit, True)):
                self.lie(lie)
                self.assertEqual(self.told.spoken, spoken, lie)
        self.run_.liar.serves = False
        self.lie()
        self.assertTrue(self.told.spoken, "it keeps silent")

    def test_x_vouches_for_the_nodes_between_itself_and_the_limit_of_its_report(self) -> None:
        others = sorted(self.run_.liar.others, key=lambda ref: (ref.id - self.me.id) % (1 << 160))
        for count in (0, 1, 3):
            limit = others[count].raw
            self.lie(msg.Covered(self.id, limit, 1, 0, 1, False, []))
            self.assertEqual(self.told.vouched, {ref.raw for ref in others[:count]})
        limit = others[3].raw
        self.lie(msg.Covered(self.id.plus(1), limit, 1, 0, 1, False, []))
        self.assertEqual(self.told.vouched, set(), "it was about another message")
        self.lie(msg.Ack(self.id, limit, True))
        self.assertEqual(self.told.vouched, set())

    def test_nodes_that_x_vouched_for_in_vain_are_counted(self) -> None:
        others = sorted(self.run_.liar.others, key=lambda ref: (ref.id - self.me.id) % (1 << 160))
        self.told.lacking = frozenset(ref.raw for ref in others[:3])
        self.lie(msg.Covered(self.id, others[3].raw, 1, 0, 1, False, []))
        self.assertEqual((self.result.vouched, self.result.failures), (3, ()))
        self.lie(msg.Covered(self.id, others[2].raw, 1, 0, 1, False, []))
        self.assertEqual(self.result.vouched, 2)
        (text,) = self.result.failures
        self.assertTrue(text.endswith(f"when it was not on {others[2].name}"), text)


class WrongTests(RunCase):
    """What is wrong with a message, in words."""

    def found(self) -> list[str]:
        return self.run_._untrue(self.told)

    def receive(self, **values: Any) -> None:
        self.told.done = msgspec.structs.replace(self.told.done, **values)

    @property
    def what(self) -> str:
        return f"{self.told.body.decode()} of {self.run_._y}"

    def body(self, host: Host, body: bytes) -> None:
        self.run_._bodies[host.ref.address, self.id] = body

    def test_another_body_is_wrong_where_the_number_was_not_taken(self) -> None:
        one, two = self.run_._honest()[:2]
        self.body(one, b"forged")
        self.body(two, b"forged")
        names = f"{one.ref.name}, {two.ref.name}"
        recorded = self.told.done.recorded if self.told.done else 0
        untrue = f"confirmed by {recorded} when it was not on any, and is another one on {names}"
        self.assertEqual(
            self.found(),
            [
                f"{self.what}: another body on {names}",
                f"{self.what}: {untrue}",
            ],
        )
        self.told.taken = True
        self.receive(partial=True, conflict=2)
        self.assertEqual(self.found(), [])

    def test_a_partial_receipt_names_x_alone_or_has_another_cause(self) -> None:
        y = self.run_.network.hosts[self.run_._y].ref
        recorded = self.told.done.recorded if self.told.done else 0
        for unreached, named in (
            ([], "none"),
            ([y], y.name),
            ([self.me, y], f"{self.me.name}, {y.name}"),
        ):
            self.receive(partial=True, unreached=unreached)
            self.assertEqual(
                self.found(),
                [f"{self.what}: partial ({recorded} recorded, unreached: {named})"],
            )
            self.assertFalse(self.run_._names_x_alone(self.told))
        self.receive(partial=True, unreached=[self.me, self.me])
        self.assertEqual(self.found(), [])
        self.assertTrue(self.run_._names_x_alone(self.told))
        self.receive(partial=False)
        self.assertFalse(self.run_._names_x_alone(self.told))
        for spoken in (True, False):
            self.told.spoken = spoken
            self.receive(partial=True, unreached=[])
            self.assertEqual(self.found() == [], spoken)

    def test_where_x_took_the_number_the_receipt_says_conflict_or_how_many_gave_it_up(self) -> None:
        self.told.taken = True
        self.receive(partial=True, unreached=[])
        self.assertEqual(
            self.found(), [f"{self.what}: its number was taken, and the receipt says no conflict"]
        )
        for values in ({"conflict": 1}, {"lost": 1}, {"unreached": [self.me]}):
            done = self.told.done
            self.receive(**values)
            self.assertEqual(self.found(), [], values)
            self.told.done = done

    def test_conflicts_and_nodes_that_gave_a_number_up_are_counted_as_one(self) -> None:
        self.assertEqual(self.result.conflict, 0)
        for values in ({"conflict": 3}, {"lost": 2}, {"conflict": 1, "lost": 1}):
            done = self.told.done
            self.receive(**values)
            self.assertEqual(self.again().conflict, 1)
            self.told.done = done

    def test_every_record_is_one_of_one_process(self) -> None:
        host = self.run_._honest()[0]
        counts = self.run_._records[f"{host.ref.address} {host.number}"]
        counts[self.id] = 3
        self.assertEqual(self.again().failures, (f"{host.ref.address} recorded {self.id} 3 times",))

    def test_an_unknown_node_is_named_by_its_identifier(self) -> None:
        self.assertEqual(self.run_._named(self.me.raw), self.me.name)
        self.assertEqual(self.run_._named(b"\x01\x02"), "0102")

    def test_a_run_whose_core_raises_has_failed(self) -> None:
        run_ = ByzantineRun("digest", 1)
        run_.network.at(2.0, lambda: 1 / 0)
        found = run_.play().failures
        self.assertEqual(found[0], "2.000000 s: ZeroDivisionError: division by zero")

    def test_a_run_of_too_many_steps_has_failed(self) -> None:
        run_ = ByzantineRun("digest", 1)
        self.assertEqual(run_.network.most_steps, 400_000)
        run_.network.most_steps = 100
        self.assertIn("more than 100 steps", run_.play().failures[0])

    def test_a_ring_has_settled_once_every_message_is_everywhere_and_told(self) -> None:
        self.assertTrue(self.run_._settled())
        host = self.run_._honest()[0]
        body = self.run_._bodies.pop((host.ref.address, self.id))
        self.assertFalse(self.run_._settled())
        self.body(host, body)
        done, self.told.done = self.told.done, None
        self.assertFalse(self.run_._settled())
        self.told.done, self.told.id = done, None
        self.assertFalse(self.run_._settled())

    def test_a_message_begins_as_told_to_nobody(self) -> None:
        told = Told("n1", b"x")
        self.assertEqual((told.id, told.done, told.at, told.took_s), (None, None, 0.0, 0.0))
        self.assertEqual((told.lacking, told.vouched), (frozenset(), set()))
        self.assertEqual((told.taken, told.spoken), (False, False))


class CommandTests(SynchronousTestCase):
    def test_of_many_failed_runs_ten_are_told_and_the_rest_is_counted(self) -> None:
        said: list[str] = []
        options = Namespace(kind="lost", first=3, seeds=13, jobs=1)

        def play(count: int) -> Any:
            return lambda kind, seeds, jobs: [
                ByzantineResult(kind=kind, seed=seed, failures=("a",) * (seed < 3 + count))
                for seed in reversed(seeds)
            ]

        for count, told, more in ((0, 0, None), (10, 10, None), (12, 10, 2)):
            said.clear()
            status = byzantine_command.run(options, lambda *lines: said.extend(lines), play(count))
            self.assertEqual(status, int(count > 0))
            seeds = [line.strip() for line in said if line.startswith("  seed ")]
            self.assertEqual(seeds, [f"seed {seed}:" for seed in range(3, 3 + told)])
            rest = [line for line in said if "more failed seeds" in line]
            self.assertEqual(rest, [f"  and {more} more failed seeds of lost"] if more else [])
            self.assertEqual(said[-1], f"13 runs, {count} failed")

    def test_every_kind_has_a_row(self) -> None:
        asked: list[tuple[str, list[int], int]] = []

        def play(kind: str, seeds: Any, jobs: int) -> list[ByzantineResult]:
            asked.append((kind, list(seeds), jobs))
            return [ByzantineResult(kind=kind, seed=1, failures=())]

        said: list[str] = []
        options = Namespace(kind="all", first=5, seeds=2, jobs=7)
        self.assertEqual(byzantine_command.run(options, lambda *x: said.extend(x), play), 0)
        self.assertEqual([kind for kind, _, _ in asked], [*byzantine_command.WAYS])
        self.assertEqual({(tuple(seeds), jobs) for _, seeds, jobs in asked}, {((5, 6), 7)})
        self.assertEqual(len(said), 2 + len(asked))
        self.assertEqual(said[-1], f"{2 * len(asked)} runs, 0 failed")
        self.assertTrue(said[0].startswith("kind           seeds     failed"))

    def test_wrong_counts_are_told_with_what_was_expected(self) -> None:
        _, _, err = run("byzantine", "--seeds", "0")
        self.assertIn("0 is not a number from 1 on", err)
        self.assertEqual(byzantine_command._count("1"), 1)
