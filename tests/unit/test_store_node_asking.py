"""Operations under way at one node: whom they ask, when they ask again, and how they end."""

from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base import messages as msg
from chordnet.core.store.base.ballots import NONE, Ballot, Ballots
from chordnet.core.store.base.configurations import Member
from chordnet.core.store.base.effects import Answered, Ended, Large, Say, Wait
from chordnet.core.store.base.outcomes import Done, Found, Unavailable
from chordnet.core.store.base.records import EMPTY, Applied, Content
from chordnet.core.store.base.requests import Get, Put
from chordnet.core.store.node.asking import REMINDER_S, Asking
from chordnet.core.store.node.directory import Directory, Listed
from chordnet.core.store.node.surroundings import For
from chordnet.core.store.node.talk import Where
from chordnet.core.store.slot.attempts import Phase
from chordnet.core.store.slot.operations import Operation
from tests.unit.store_node_support import (
    FIRST,
    FORMATION,
    FOUNDING,
    A,
    B,
    C,
    D,
    E,
    later,
    surroundings,
)

KEY = b"b"
"""It lives in slot 0."""
ELSEWHERE = b"h"
"""It lives in slot 2."""
GET, PUT = Get(KEY), Put(KEY, b"new", b"mine")
SECOND = later(2, C, D, E)
NOBODY_THERE = Unavailable(1, (A, B, C), 3)


class Coordinator:
    """A node that holds nothing, and asks A, B and C.

    :param spares: whether it asks a majority first; otherwise it has asked all of them.
    """

    def __init__(self, *near: str, spares: bool = False) -> None:
        self.spares = spares
        self.around = surroundings(Member("X", 9), *near)
        self.directory = Directory(FOUNDING)
        self.asking = Asking(self.around, FOUNDING, self.directory, Ballots("X", 1))

    def start(self, asked: Get | Put = GET, op: int = 1, timeout: float = 10.0) -> int:
        said = len(self.around.effects)
        self.asking.start(op, asked, timeout)
        rid = max(self.asking.ongoing)
        operation = self.operation(rid)
        if operation.attempt.spare and not self.spares:
            del self.around.effects[said:]
            operation.attempt = replace(operation.attempt, spare=())
            operation.remind()
            self.around.alarms.set((For.REMINDER, rid), self.around.now + REMINDER_S)
        return rid

    def operation(self, rid: int) -> Operation:
        operation = self.asking.get(rid)
        assert operation is not None
        return operation

    def work(self) -> list[tuple[str, msg.StoreMessage]]:
        """Do what operations have asked for, and return what they say."""
        found = []
        while self.around.effects:
            effect = self.around.effects.pop(0)
            if isinstance(effect, Say):
                found.append((effect.to, effect.message))
            elif isinstance(effect, Ended):
                self.asking.ended(effect.rid, effect.outcome)
            elif isinstance(effect, Wait):
                self.asking.wait(effect.rid)
            elif isinstance(effect, Large):
                self.asking.large(effect.rid, effect.size)
        return found

    def asked(self) -> list[tuple[str, type]]:
        return [(to, type(message)) for to, message in self.work()]

    def whom(self) -> str:
        """Return the names of those that are asked anything."""
        return "".join(to for to, _message in self.work())

    @property
    def outcomes(self) -> dict[int, object]:
        self.work()
        return {each.op: each.outcome for each in self.around.answers if isinstance(each, Answered)}

    def told(self, rid: int, member: Member, content: Content = EMPTY) -> None:
        accepted = NONE if content == EMPTY else Ballot(1, 1, "B", 1)
        to = msg.Address(FORMATION, 0, 1, 1, member.store)
        self.operation(rid).on_told(member.node, msg.Told(to, rid, accepted, content))

    def disturbed(self, rid: int) -> None:
        """Have a majority say that another coordinator was faster."""
        operation = self.operation(rid)
        for member in (A, B):
            to = msg.Address(FORMATION, 0, 1, 1, member.store)
            ballot = operation.attempt.ballot
            higher = Ballot(1, ballot.counter + 1, "Y", 1)
            operation.on_outrun(member.node, msg.Outrun(to, rid, ballot, higher))
        self.work()

    def rings(self, what: For, rid: int) -> float | None:
        """Return in how many seconds an alarm rings, and leave it; None if it is not set."""
        alarms = self.around.alarms
        at = alarms._at.get((what, rid))
        return None if at is None else round(at - self.around.now, 9)

    def later(self, seconds: float) -> None:
        self.around.now += seconds
        self.around.wall += seconds

    def unreachable(self, *nodes: str) -> None:
        for node in nodes:
            self.around.lose(node)
            self.asking.lost(node)


class StartTests(SynchronousTestCase):
    def test_an_operation_asks_the_members_of_its_slot_as_they_are_known(self) -> None:
        node = Coordinator()
        node.start()
        self.assertEqual(node.asked(), [("A", msg.Read), ("B", msg.Read), ("C", msg.Read)])
        node.directory.learn(Listed(0, SECOND))
        node.start(PUT)
        said = node.work()
        self.assertEqual([to for to, _message in said], ["C", "D", "E"])
        (message,) = {type(message): message for _to, message in said}.values()
        self.assertIsInstance(message, msg.Prepare)
        self.assertEqual(message.address, msg.Address(FORMATION, 0, 1, 2, E.store))

    def test_each_operation_has_a_number_of_its_own_and_the_slot_of_its_key(self) -> None:
        node = Coordinator()
        first, second = node.start(), node.start(Get(ELSEWHERE), op=2)
        self.assertNotEqual(first, second)
        self.assertEqual([each.slot for each in node.asking.ongoing.values()], [0, 2])
        self.assertEqual([each.op for each in node.asking.ongoing.values()], [1, 2])
        self.assertIsNone(node.asking.get(second + 1))

    def test_an_operation_ends_at_its_deadline_and_reminds_every_half_second(self) -> None:
        node = Coordinator()
        rid = node.start(timeout=7.0)
        self.assertEqual(node.rings(For.DEADLINE, rid), 7.0)
        self.assertEqual(node.rings(For.REMINDER, rid), 0.5)

    def test_an_operation_ends_with_what_a_majority_says_and_its_alarms_with_it(self) -> None:
        node = Coordinator()
        rid = node.start(op=5)
        node.told(rid, A)
        node.told(rid, B)
        self.assertEqual(node.outcomes, {5: Found(EMPTY)})
        self.assertEqual(node.asking.ongoing, {})
        for alarm in For:
            self.assertIsNone(node.rings(alarm, rid))

    def test_what_has_expired_by_this_nodes_wall_clock_is_not_told_in_one_round(self) -> None:
        node = Coordinator()
        for ahead, phases in ((1.0, 0), (0.0, 1)):
            content = Content(b"v", 1, node.around.wall + ahead, (Applied(1, b"r"),))
            rid = node.start()
            node.told(rid, A, content)
            node.told(rid, B, content)
            prepares = [kind for _to, kind in node.asked() if kind is msg.Prepare]
            self.assertEqual(len(prepares), 3 * phases)

    def test_a_node_reads_for_its_own_repair_while_fewer_than_64_operations_are_under_way(
        self,
    ) -> None:
        node = Coordinator()
        for number in range(63):
            node.start(op=number)
        node.asking.look_up(ELSEWHERE)
        self.assertEqual(len(node.asking.ongoing), 64)
        node.asking.look_up(ELSEWHERE)
        self.assertEqual(len(node.asking.ongoing), 64)
        rid = max(node.asking.ongoing)
        self.assertEqual(node.asking.ongoing[rid].asked, Get(ELSEWHERE))
        self.assertEqual(node.rings(For.DEADLINE, rid), 5.0)

    def test_nobody_is_told_how_a_read_for_repair_has_ended(self) -> None:
        node = Coordinator()
        node.asking.look_up(KEY)
        (rid,) = node.asking.ongoing
        node.told(rid, A)
        node.told(rid, B)
        self.assertEqual(node.outcomes, {})
        self.assertEqual(node.asking.ongoing, {})


class SparedTests(SynchronousTestCase):
    def whom(self, node: Coordinator, asked: Get | Put = GET) -> str:
        node.start(asked)
        return node.whom()

    def test_promises_and_contents_are_asked_of_a_majority_and_each_time_of_another(self) -> None:
        for asked in (GET, PUT):
            node = Coordinator(spares=True)
            found = {self.whom(node, asked) for _ in range(3)}
            self.assertEqual(found, {"AB", "AC", "BC"})

    def test_a_content_is_to_be_accepted_by_all(self) -> None:
        node = Coordinator(spares=True)
        rid = node.start(PUT)
        operation = node.operation(rid)
        for name, message in node.work():
            ballot = operation.attempt.ballot
            told = msg.Promised(message.address, rid, ballot, NONE, EMPTY, 0)
            operation.on_promised(name, told)
        self.assertEqual(node.whom(), "ABC")

    def test_a_node_asks_itself_if_it_is_a_member(self) -> None:
        node = Coordinator(spares=True)
        node.around.me = B
        self.assertEqual({self.whom(node) for _ in range(6)}, {"AB", "BC"})

    def test_a_member_that_is_lost_is_spared(self) -> None:
        node = Coordinator(spares=True)
        node.around.lose("B")
        self.assertEqual({self.whom(node) for _ in range(6)}, {"AC"})

    def test_who_was_spared_is_asked_after_a_twentieth_of_a_second(self) -> None:
        node = Coordinator(spares=True)
        rid = node.start()
        first = node.whom()
        self.assertEqual(node.rings(For.REMINDER, rid), 0.05)
        node.later(0.05)
        node.around.alarms.due(node.around.now)
        node.asking.remind(rid)
        self.assertEqual(sorted(first + node.whom()), ["A", "B", "C"])
        self.assertEqual(node.rings(For.REMINDER, rid), 0.5)

    def test_who_was_spared_is_asked_as_soon_as_another_member_is_lost(self) -> None:
        node = Coordinator(spares=True)
        node.start()
        first = node.whom()
        node.unreachable(first[0])
        self.assertEqual(sorted(first + node.whom()), ["A", "B", "C"])

    def test_a_member_that_was_waited_for_in_vain_is_spared_until_it_says_something(self) -> None:
        node = Coordinator(spares=True)
        rid = node.start()
        quick, slow = node.whom()
        node.told(rid, {"A": A, "B": B, "C": C}[quick])
        node.asking.remind(rid)
        node.work()
        found = "".join(self.whom(node) for _ in range(6))
        self.assertNotIn(slow, found)
        node.around.hear(slow)
        self.assertIn(slow, "".join(self.whom(node) for _ in range(6)))

    def test_it_is_spared_for_5_seconds_at_most(self) -> None:
        node = Coordinator(spares=True)
        node.around.slow_down("A")
        node.later(4.9)
        self.assertNotIn("A", "".join(self.whom(node) for _ in range(6)))
        node.later(0.2)
        self.assertIn("A", "".join(self.whom(node) for _ in range(6)))

    def test_members_of_a_later_configuration_are_all_asked(self) -> None:
        node = Coordinator(spares=True)
        node.start()
        node.work()
        node.asking.learned(Listed(0, SECOND))
        self.assertEqual(node.whom(), "CDE")


class RemindedTests(SynchronousTestCase):
    def test_who_has_not_answered_is_asked_again_and_again(self) -> None:
        node = Coordinator()
        rid = node.start()
        node.told(rid, B)
        node.work()
        for _ in range(3):
            node.later(0.5)
            node.around.alarms.due(node.around.now)
            node.asking.remind(rid)
            self.assertEqual(node.asked(), [("A", msg.Read), ("C", msg.Read)])
            self.assertEqual(node.rings(For.REMINDER, rid), 0.5)

    def test_an_operation_that_is_over_reminds_nobody(self) -> None:
        node = Coordinator()
        node.asking.remind(7)
        rid = node.start()
        node.told(rid, A)
        node.told(rid, B)
        node.work()
        node.asking.remind(rid)
        self.assertEqual(node.asked(), [])
        self.assertIsNone(node.rings(For.REMINDER, rid))

    def test_members_that_have_not_answered_for_3_seconds_count_as_silent(self) -> None:
        node = Coordinator()
        rid = node.start()
        node.told(rid, C)
        node.later(2.9)
        node.asking.remind(rid)
        self.assertEqual(node.outcomes, {})
        node.later(0.1)
        node.asking.remind(rid)
        self.assertEqual(node.outcomes, {1: Unavailable(1, (A, B), 3)})

    def test_the_3_seconds_begin_again_in_a_later_configuration(self) -> None:
        node = Coordinator()
        rid = node.start()
        node.later(2.0)
        node.directory.learn(Listed(0, SECOND))
        node.asking.learned(Listed(0, SECOND))
        node.later(2.9)
        node.asking.remind(rid)
        self.assertEqual(node.outcomes, {})
        node.later(0.1)
        node.asking.remind(rid)
        self.assertEqual(node.outcomes, {1: Unavailable(2, (C, D, E), 3)})

    def test_the_3_seconds_begin_again_with_another_try(self) -> None:
        node = Coordinator()
        rid = node.start(PUT)
        node.disturbed(rid)
        node.later(2.0)
        node.asking.retry(rid)
        node.later(2.9)
        node.asking.remind(rid)
        self.assertEqual(node.outcomes, {})
        node.later(0.1)
        node.asking.remind(rid)
        self.assertEqual(node.outcomes, {1: NOBODY_THERE})


class LostTests(SynchronousTestCase):
    def test_members_that_could_not_be_reached_in_the_last_5_seconds_count_as_silent(self) -> None:
        for seconds, silent in ((4.9, (A, B)), (5.0, ())):
            node = Coordinator("S")
            node.around.lose("A")
            node.around.lose("B")
            node.later(seconds)
            rid = node.start(PUT)
            self.assertEqual(len(node.outcomes), 0)
            self.assertEqual("A" in node.around.said, bool(silent))
            node.asking.give_up(rid)
            self.assertEqual(len(node.outcomes), len(silent) // 2)

    def lost_before(self, *names: str) -> tuple[Coordinator, int]:
        """Return a node that knew at the beginning of an operation that these cannot be reached."""
        node = Coordinator("S")
        for name in names:
            node.around.lose(name)
        rid = node.start()
        self.assertEqual("".join(sorted(node.whom())), "ABC")
        return node, rid

    def test_members_that_are_only_believed_dead_are_asked_before_an_operation_ends(self) -> None:
        node, rid = self.lost_before("A", "B")
        where = Where(FORMATION, (0,))
        self.assertEqual(node.around.said, {name: [where] for name in "ABCS"})
        self.assertEqual(node.outcomes, {})
        node.around.hear("B")
        node.asking.heard("B")
        self.assertEqual(node.asked(), [("A", msg.Read), ("B", msg.Read), ("C", msg.Read)])
        self.assertEqual(node.rings(For.REMINDER, rid), 0.5)
        node.told(rid, B)
        node.told(rid, C)
        self.assertEqual(node.outcomes, {1: Found(EMPTY)})

    def test_an_operation_asks_its_members_again_only_once(self) -> None:
        node, rid = self.lost_before("A", "B")
        node.asking.heard("B")
        node.work()
        node.asking.heard("B")
        self.assertEqual(node.asked(), [])
        node.unreachable("A", "B")
        self.assertEqual(node.outcomes, {1: NOBODY_THERE})
        node.asking.heard("B")
        node.asking.give_up(rid)

    def test_what_others_say_does_not_bring_a_dead_member_back(self) -> None:
        node, rid = self.lost_before("A", "B")
        for name in ("S", "C", "X"):
            node.asking.heard(name)
        self.assertEqual(node.asked(), [])
        node.unreachable("B")
        self.assertEqual(node.asked(), [])
        node.asking.give_up(rid)
        self.assertEqual(node.outcomes, {1: Unavailable(1, (A, B), 3)})

    def test_who_answers_while_others_are_asked_is_not_told_to_be_missing(self) -> None:
        node = Coordinator("S")
        node.around.me = Member("C", C.store)
        for name in "AB":
            node.around.lose(name)
        rid = node.start()
        node.work()
        self.assertEqual(sorted(node.around.said), ["A", "B", "S"])
        node.asking.give_up(rid)
        self.assertEqual(node.outcomes, {1: Unavailable(1, (A, B), 3)})

    def test_without_a_majority_that_can_be_reached_an_operation_ends_at_once(self) -> None:
        node = Coordinator()
        rid = node.start()
        node.start(Get(ELSEWHERE), op=2)
        node.told(rid, B)
        node.unreachable("A")
        self.assertEqual(node.outcomes, {})
        node.unreachable("Z")
        self.assertEqual(node.outcomes, {})
        node.unreachable("C")
        self.assertEqual(
            node.outcomes, {1: Unavailable(1, (A, C), 3), 2: Unavailable(1, (A, B, C), 3)}
        )

    def test_a_member_that_has_answered_may_be_lost(self) -> None:
        node = Coordinator()
        rid = node.start()
        node.told(rid, A)
        node.unreachable("A", "B")
        self.assertEqual(node.outcomes, {})
        self.assertEqual(node.operation(rid).attempt.silent, (B,))
        node.asking.remind(rid)
        self.assertEqual(node.operation(rid).attempt.silent, (B,))

    def test_members_that_were_lost_before_are_counted_at_a_reminder(self) -> None:
        node = Coordinator()
        rid = node.start()
        node.around.lose("A")
        node.asking.remind(rid)
        self.assertEqual(node.operation(rid).attempt.silent, (A,))
        self.assertEqual(node.whom(), "ABCBC")


class MovedTests(SynchronousTestCase):
    def test_an_operation_goes_on_in_a_later_configuration_of_its_slot_alone(self) -> None:
        node = Coordinator()
        rid = node.start(PUT)
        node.work()
        node.asking.learned(Listed(1, SECOND))
        node.asking.learned(Listed(0, FIRST))
        self.assertEqual(node.asked(), [])
        node.asking.learned(Listed(0, SECOND))
        self.assertEqual(node.asked(), [("C", msg.Prepare), ("D", msg.Prepare), ("E", msg.Prepare)])
        self.assertEqual(node.operation(rid).attempt.configuration, SECOND)

    def test_members_of_the_later_configuration_that_are_lost_are_not_waited_for(self) -> None:
        node = Coordinator()
        rid = node.start()
        node.around.lose("D")
        node.around.lose("E")
        node.asking.learned(Listed(0, SECOND))
        self.assertEqual(node.operation(rid).attempt.configuration, SECOND)
        node.work()
        node.asking.give_up(rid)
        self.assertEqual(node.outcomes, {1: Unavailable(2, (C, D, E), 3)})


class DisturbedTests(SynchronousTestCase):
    def test_a_disturbed_operation_goes_on_at_once_and_then_after_pauses_that_double(self) -> None:
        node = Coordinator()
        rid = node.start(PUT)
        for pause in (0.0, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.5, 0.5):
            node.disturbed(rid)
            self.assertEqual(node.rings(For.RETRY, rid), pause)
            node.later(pause)
            node.around.alarms.due(node.around.now)
            node.asking.retry(rid)
            self.assertEqual(node.whom()[-3:], "ABC")

    def test_an_operation_that_waits_goes_on_where_its_slot_is_by_then(self) -> None:
        node = Coordinator()
        rid = node.start(PUT)
        node.disturbed(rid)
        node.directory.learn(Listed(0, SECOND))
        node.asking.retry(rid)
        self.assertEqual(node.whom(), "CDE")
        self.assertEqual(node.operation(rid).attempt.configuration, SECOND)

    def test_members_that_were_lost_meanwhile_are_not_waited_for(self) -> None:
        node = Coordinator()
        rid = node.start(PUT)
        node.disturbed(rid)
        for name in "ABC":
            node.around.lose(name)
        node.asking.retry(rid)
        node.work()
        node.asking.give_up(rid)
        self.assertEqual(node.outcomes, {1: NOBODY_THERE})

    def test_an_operation_that_does_not_wait_is_not_tried_again(self) -> None:
        node = Coordinator()
        node.asking.retry(7)
        rid = node.start(PUT)
        node.work()
        node.asking.retry(rid)
        self.assertEqual(node.asked(), [])

    def test_an_operation_that_waits_is_over_with_its_retry(self) -> None:
        node = Coordinator()
        rid = node.start(PUT)
        node.disturbed(rid)
        node.asking.expire(rid)
        self.assertEqual(list(node.outcomes), [1])
        self.assertIsNone(node.rings(For.RETRY, rid))


class EndTests(SynchronousTestCase):
    def test_at_its_deadline_an_operation_ends_and_asks_nobody_where_its_slot_is(self) -> None:
        node = Coordinator("S")
        rid = node.start()
        node.told(rid, B)
        node.asking.expire(rid)
        self.assertEqual(node.outcomes, {1: Unavailable(1, (A, C), 3)})
        self.assertEqual(node.around.said, {})
        node.asking.expire(rid)

    def test_if_nobody_is_there_at_all_an_operation_ends_at_once_and_nothing_of_it_stays(
        self,
    ) -> None:
        node = Coordinator()
        rid = node.start()
        node.unreachable("A", "B")
        self.assertEqual(list(node.outcomes), [1])
        for alarm in For:
            self.assertIsNone(node.rings(alarm, rid))

    def test_if_nobody_is_there_the_neighbours_are_asked_where_the_slot_is(self) -> None:
        node = Coordinator("S", "T")
        rid = node.start()
        node.unreachable("A", "B", "C")
        self.assertEqual(node.outcomes, {})
        where = Where(FORMATION, (0,))
        self.assertEqual(node.around.said, {"S": [where], "T": [where]})
        self.assertEqual(node.rings(For.REFRESH, rid), 0.3)

    def test_without_news_an_operation_ends_as_it_would_have(self) -> None:
        node = Coordinator("S")
        rid = node.start()
        node.unreachable("A", "B", "C")
        node.work()
        node.asking.remind(rid)
        self.assertEqual(node.asked(), [])
        node.asking.give_up(rid)
        self.assertEqual(node.outcomes, {1: NOBODY_THERE})
        node.asking.give_up(rid)

    def test_at_its_deadline_an_operation_that_waits_for_news_ends_as_it_would_have(self) -> None:
        node = Coordinator("S")
        rid = node.start()
        node.unreachable("A", "B", "C")
        node.work()
        node.asking.expire(rid)
        self.assertEqual(node.outcomes, {1: NOBODY_THERE})

    def test_with_news_an_operation_begins_again_there_and_reminds_there(self) -> None:
        for asked, kind in ((GET, msg.Read), (PUT, msg.Prepare)):
            node = Coordinator("S")
            rid = node.start(asked)
            node.unreachable("A", "B")
            node.work()
            node.later(0.2)
            node.around.alarms.cancel((For.REMINDER, rid))  # it has rung meanwhile
            node.asking.learned(Listed(0, SECOND))
            self.assertEqual(node.asked(), [("C", kind), ("D", kind), ("E", kind)])
            self.assertEqual(node.rings(For.REMINDER, rid), 0.5)
            node.asking.give_up(rid)
            self.assertEqual(node.outcomes, {})
            node.later(0.5)
            node.asking.remind(rid)
            self.assertEqual(len(node.asked()), 3)

    def test_news_of_the_configuration_that_is_known_is_none(self) -> None:
        node = Coordinator("S")
        rid = node.start()
        node.later(2.0)
        node.asking.learned(Listed(0, FIRST))
        node.later(1.0)
        node.asking.remind(rid)
        node.work()
        self.assertEqual(node.around.said, {"S": [Where(FORMATION, (0,))]})
        node.asking.learned(Listed(0, FIRST))
        self.assertEqual(node.asked(), [])
        node.asking.give_up(rid)
        self.assertEqual(node.outcomes, {1: NOBODY_THERE})

    def test_an_operation_looks_for_news_once(self) -> None:
        node = Coordinator("S")
        node.start()
        node.unreachable("A", "B")
        node.work()
        node.asking.learned(Listed(0, SECOND))
        node.around.said.clear()
        node.unreachable("D", "E")
        self.assertEqual(node.outcomes, {1: Unavailable(2, (C, D, E), 3)})
        self.assertEqual(node.around.said, {})

    def test_an_operation_follows_at_once_what_is_known_of_its_slot_by_then(self) -> None:
        node = Coordinator("S")
        rid = node.start()
        node.work()
        node.directory.learn(Listed(0, SECOND))
        node.unreachable("A", "B")
        self.assertEqual(node.whom(), "CDE")
        self.assertEqual(node.around.said, {})
        self.assertIsNone(node.rings(For.REFRESH, rid))
        self.assertEqual(node.operation(rid).attempt.phase, Phase.READ)

    def test_all_operations_of_a_formation_end_with_it(self) -> None:
        node = Coordinator("S")
        node.start()
        node.start(PUT, op=2)
        node.asking.close()
        self.assertEqual(node.outcomes, {1: NOBODY_THERE, 2: NOBODY_THERE})

    def test_a_write_is_done_by_a_majority(self) -> None:
        node = Coordinator()
        rid = node.start(PUT)
        operation = node.operation(rid)
        ballot = operation.attempt.ballot
        for member in (A, B):
            to = msg.Address(FORMATION, 0, 1, 1, member.store)
            promised = msg.Promised(to, rid, ballot, NONE, EMPTY, 0)
            operation.on_promised(member.node, promised)
        for member in (A, B):
            to = msg.Address(FORMATION, 0, 1, 1, member.store)
            operation.on_accepted(member.node, msg.Accepted(to, rid, ballot))
        self.assertEqual(node.outcomes, {1: Done(FORMATION, 0, 1, 1, (A, B), (C,))})
