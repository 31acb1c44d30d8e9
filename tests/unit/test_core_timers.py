"""Alarms by name, and expiries first in, first out."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.kernel.timers import GRAIN_S, SWEEP_AT, Alarms, Expiry, Horizon


class AlarmTests(SynchronousTestCase):
    def setUp(self):
        self.alarms: Alarms[str] = Alarms()

    def test_no_alarm_is_due_at_first(self):
        self.assertIsNone(self.alarms.next())
        self.assertEqual(self.alarms.due(1e9), [])

    def test_alarms_ring_in_the_order_of_their_times(self):
        self.alarms.set("late", 3.0)
        self.alarms.set("soon", 1.0)
        self.alarms.set("middle", 2.0)
        self.assertEqual(self.alarms.next(), 1.0)
        self.assertEqual(self.alarms.due(2.0), ["soon", "middle"])
        self.assertEqual(self.alarms.due(2.0), [])
        self.assertEqual(self.alarms.next(), 3.0)

    def test_alarms_of_one_time_ring_in_the_order_they_were_set(self):
        for name in ("c", "a", "b"):
            self.alarms.set(name, 1.0)
        self.assertEqual(self.alarms.due(1.0), ["c", "a", "b"])

    def test_setting_an_alarm_again_replaces_its_time(self):
        self.alarms.set("a", 1.0)
        self.alarms.set("a", 5.0)
        self.assertEqual(self.alarms.due(1.0), [])
        self.assertEqual(self.alarms.next(), 5.0)
        self.alarms.set("a", 2.0)
        self.assertEqual(self.alarms.due(5.0), ["a"])

    def test_an_alarm_set_again_to_the_same_time_rings_once(self):
        self.alarms.set("a", 1.0)
        self.alarms.set("a", 1.0)
        self.assertEqual(self.alarms.due(1.0), ["a"])
        self.assertIsNone(self.alarms.next())

    def test_sooner_only_brings_an_alarm_forward(self):
        self.alarms.sooner("a", 5.0)
        self.alarms.sooner("a", 9.0)
        self.assertEqual(self.alarms.next(), 5.0)
        self.alarms.sooner("a", 2.0)
        self.assertEqual(self.alarms.next(), 2.0)

    def test_a_cancelled_alarm_does_not_ring(self):
        self.alarms.set("a", 1.0)
        self.alarms.cancel("a")
        self.alarms.cancel("never set")
        self.assertFalse(self.alarms.is_set("a"))
        self.assertEqual(self.alarms.due(2.0), [])

    def test_an_alarm_that_rang_is_not_set_any_more(self):
        self.alarms.set("a", 1.0)
        self.assertTrue(self.alarms.is_set("a"))
        self.alarms.due(1.0)
        self.assertFalse(self.alarms.is_set("a"))

    def test_setting_an_alarm_again_and_again_takes_no_more_room(self):
        for n in range(10_000):
            self.alarms.set("a", float(n))
        self.assertLess(len(self.alarms._heap), 100)
        self.assertEqual(self.alarms.due(9_999.0), ["a"])

    def test_what_was_replaced_is_let_go_of_beyond_64_entries_and_four_for_each_alarm(self):
        for names in ("a", "abc", "abcdefgh"):
            alarms: Alarms[str] = Alarms()
            alarms.set("cancelled", 999.0)
            alarms.cancel("cancelled")
            sizes = []
            for n in range(500):
                alarms.set(names[n % len(names)], float(n))
                sizes.append(len(alarms._heap))
            self.assertEqual(max(sizes), 64 + 4 * len(names))
            self.assertEqual(min(sizes[100:]), len(names))

    def test_no_alarm_is_lost_or_disordered_when_what_was_replaced_is_let_go_of(self):
        for seed in range(20):
            rng, alarms, table = Random(seed), Alarms[str](), dict[str, float]()
            size = -1
            while len(alarms._heap) > size:
                size = len(alarms._heap)
                name = f"{rng.randrange(40)}"
                table[name] = rng.random()
                alarms.set(name, table[name])
            self.assertGreater(size, 64, "nothing was let go of")
            self.assertEqual(len(alarms._heap), len(table), f"seed {seed}")
            self.assertEqual(alarms.due(1.0), sorted(table, key=table.__getitem__), f"seed {seed}")

    def test_any_history_rings_like_a_plain_table(self):
        for seed in range(50):
            rng = Random(seed)
            alarms: Alarms[str] = Alarms()
            table: dict[str, float] = {}
            now = 0.0
            for _ in range(200):
                name, at = rng.choice("abcdef"), now + rng.randrange(10)
                act = rng.randrange(4)
                if act == 0:
                    alarms.set(name, at)
                    table[name] = at
                elif act == 1:
                    alarms.sooner(name, at)
                    table[name] = min(at, table.get(name, at))
                elif act == 2:
                    alarms.cancel(name)
                    table.pop(name, None)
                else:
                    now += rng.randrange(3)
                    due = {name for name, at in table.items() if at <= now}
                    rung = alarms.due(now)
                    self.assertEqual(sorted(rung), sorted(due), f"seed {seed}")
                    self.assertEqual([table[n] for n in rung], sorted(table[n] for n in rung))
                    table = {name: at for name, at in table.items() if at > now}
                self.assertEqual(alarms.next(), min(table.values(), default=None), f"seed {seed}")


class ExpiryTests(SynchronousTestCase):
    def setUp(self):
        self.waiting = {"a", "b", "c"}
        self.expiry: Expiry[str] = Expiry(1.0, self.waiting.__contains__)

    def test_keys_expire_in_the_order_they_were_added(self):
        self.assertEqual(len(self.expiry), 0)
        self.expiry.add("a", 0.0)
        self.expiry.add("b", 0.5)
        self.assertEqual(len(self.expiry), 2)
        self.assertEqual(self.expiry.due(0.9), [])
        self.assertEqual(self.expiry.due(1.0), ["a"])
        self.assertEqual(self.expiry.due(1.5), ["b"])

    def test_the_next_time_is_a_grain_late_so_that_a_burst_is_one(self):
        self.expiry.add("a", 0.0)
        self.expiry.add("b", GRAIN_S / 2)
        at = self.expiry.next()
        self.assertEqual(at, 1.0 + GRAIN_S)
        self.assertEqual(self.expiry.due(at), ["a", "b"])

    def test_with_a_coarser_grain_the_next_time_may_be_later(self):
        lazy: Expiry[str] = Expiry(1.0, self.waiting.__contains__, grain=0.25)
        lazy.add("a", 0.0)
        lazy.add("b", 0.2)
        self.assertEqual(lazy.next(), 1.25)
        self.assertEqual(lazy.due(1.0), ["a"])
        self.assertEqual(lazy.next(), 1.45)

    def test_a_key_that_waits_no_longer_is_passed_over(self):
        for key in ("a", "b", "c"):
            self.expiry.add(key, 0.0)
        self.waiting.remove("b")
        self.assertEqual(self.expiry.due(1.0), ["a", "c"])

    def test_when_no_key_waits_nothing_is_to_come(self):
        self.expiry.add("a", 0.0)
        self.waiting.clear()
        self.assertIsNone(self.expiry.next())
        self.assertIsNone(self.expiry._queue, "who waits no longer takes no room")

    def test_the_expiries_that_hold_keys_are_in_the_list_that_they_share(self):
        other: Expiry[str] = Expiry(2.0, self.waiting.__contains__)
        self.expiry.horizon = other.horizon = Horizon()
        shared = other.horizon.waiting
        for key in ("a", "b"):
            self.expiry.add(key, 0.0)
        other.add("c", 0.0)
        self.assertEqual(shared, [self.expiry, other])
        self.waiting.remove("b")
        self.expiry.due(1.0)
        self.assertEqual([each.next() for each in shared.copy()], [None, 2.0 + GRAIN_S])
        self.assertEqual(shared, [other])
        self.expiry.add("a", 3.0)
        self.assertEqual(shared, [other, self.expiry])

    def test_what_waits_no_longer_is_not_kept_for_long(self):
        for number in range(10 * SWEEP_AT):
            self.expiry.add(f"gone {number}", 0.0)
            self.assertLessEqual(len(self.expiry), SWEEP_AT)
        self.expiry.add("a", 0.5)
        self.assertEqual(self.expiry.next(), 1.5 + GRAIN_S)
        self.assertEqual(self.expiry.due(2.0), ["a"])

    def test_whatever_begins_to_wait_lowers_the_horizon(self):
        horizon = self.expiry.horizon = Horizon()
        alarms: Alarms[str] = Alarms(horizon)
        self.assertEqual(horizon.bound, float("inf"))
        alarms.set("a", 9.0)
        self.assertEqual(horizon.bound, 9.0)
        self.expiry.add("a", 3.0)
        self.assertEqual(horizon.bound, 4.0 + GRAIN_S)
        self.expiry.due(4.0)
        horizon.bound = 9.0
        self.expiry.add("b", 5.0)
        self.expiry.add("c", 5.5)
        self.assertEqual(horizon.bound, 6.0 + GRAIN_S)
        alarms.sooner("a", 5.0)
        self.assertEqual(horizon.bound, 5.0)
