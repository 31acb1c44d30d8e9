"""The benchmarks' pure parts: statistics, verdicts, parsing, interleaving, the report."""

from __future__ import annotations

import asyncio
import json
from collections import deque

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from benchmarks.contests import CONTESTS, Contest
from benchmarks.effort import NODES, PAYLOAD_BYTES, QUICK
from benchmarks.errors import BenchmarkError
from benchmarks.figures import Bound, Figure, Gauge, Target, Verdict
from benchmarks.messages import delays, latencies, number, payload
from benchmarks.micro import Ring, broadcasts, log
from benchmarks.procfs import parse_own, parse_pss, parse_stat
from benchmarks.report import Report, as_json, cells, command_line, markdown, notes, quantity
from benchmarks.rivals import nats_confirmed, nats_sockets, redis_sockets
from benchmarks.rivals.redis import encode
from benchmarks.rounds import Results, interleave
from benchmarks.stats import median, paired_ratio, percentile, spread

FASTER = Target(Bound.AT_LEAST, 3.0, aim=5.0, relative=True)
QUICKER = Target(Bound.BELOW, 0.5)


class StatisticsTests(SynchronousTestCase):
    def test_a_percentile_is_the_nearest_rank(self) -> None:
        samples = [float(n) for n in range(100, 0, -1)]
        self.assertEqual(percentile(samples, 50), 50.0)
        self.assertEqual(percentile(samples, 99), 99.0)
        self.assertEqual(percentile(samples, 100), 100.0)

    def test_the_99th_percentile_of_few_samples_is_the_largest(self) -> None:
        self.assertEqual(percentile([3.0, 9.0, 1.0], 99), 9.0)

    def test_a_percentile_of_one_sample_is_that_sample(self) -> None:
        self.assertEqual(percentile([7.0], 1), 7.0)

    def test_a_percentile_refuses_nothing_and_nonsense(self) -> None:
        self.assertRaises(ValueError, percentile, [], 50)
        self.assertRaises(ValueError, percentile, [1.0], 0)
        self.assertRaises(ValueError, percentile, [1.0], 101)

    def test_a_median_of_an_odd_and_an_even_number(self) -> None:
        self.assertEqual(median([3.0, 1.0, 2.0]), 2.0)
        self.assertEqual(median([4.0, 1.0, 2.0, 3.0]), 2.5)
        self.assertRaises(ValueError, median, [])

    def test_a_ratio_is_taken_round_by_round_so_that_drift_cancels(self) -> None:
        # The machine slowed down after the first round; the ratio of the medians would be 0.5.
        self.assertEqual(paired_ratio([1.0, 30.0, 4.0], [1.0, 10.0, 8.0]), 1.0)

    def test_a_round_that_one_side_lacks_is_left_out(self) -> None:
        self.assertEqual(paired_ratio([2.0, 20.0], [1.0, 10.0, 5.0]), 2.0)

    def test_there_is_no_ratio_without_a_common_round(self) -> None:
        self.assertIsNone(paired_ratio([], [1.0]))
        self.assertIsNone(paired_ratio([1.0], [0.0]))

    def test_the_spread_is_relative_to_the_median(self) -> None:
        self.assertEqual(spread([8.0, 10.0, 13.0]), 0.5)
        self.assertEqual(spread([0.0]), 0.0)


class VerdictTests(SynchronousTestCase):
    def test_a_bound_of_each_kind_at_its_limit(self) -> None:
        self.assertFalse(Bound.BELOW.holds(1.0, 1.0))
        self.assertTrue(Bound.AT_MOST.holds(1.0, 1.0))
        self.assertTrue(Bound.AT_LEAST.holds(1.0, 1.0))
        self.assertFalse(Bound.AT_LEAST.holds(0.9, 1.0))

    def test_a_target_is_missed_met_or_met_beyond_the_aim(self) -> None:
        self.assertIs(FASTER.verdict(2.9), Verdict.MISSED)
        self.assertIs(FASTER.verdict(3.0), Verdict.MET)
        self.assertIs(FASTER.verdict(5.0), Verdict.AIM)
        self.assertIs(FASTER.verdict(None), Verdict.UNKNOWN)

    def test_a_target_without_an_aim_is_just_met(self) -> None:
        self.assertIs(QUICKER.verdict(0.1), Verdict.MET)

    def test_a_relative_target_judges_the_ratio(self) -> None:
        gauge = Gauge("rate", "lookups", "/s", FASTER)
        figure = Figure("lookup", gauge, ours=[8.0, 9.0], rival="x", theirs=[2.0, 2.0])
        self.assertEqual(figure.ratio, 4.25)
        self.assertIs(figure.verdict, Verdict.MET)

    def test_a_relative_target_without_the_rival_is_not_measured(self) -> None:
        figure = Figure("lookup", Gauge("rate", "lookups", "/s", FASTER), ours=[8.0])
        self.assertIs(figure.verdict, Verdict.UNKNOWN)

    def test_an_absolute_target_judges_the_median(self) -> None:
        figure = Figure("killed", Gauge("p50", "killed", "s", QUICKER), ours=[0.1, 0.4, 9.0])
        self.assertIs(figure.verdict, Verdict.MET)

    def test_a_reference_is_not_judged(self) -> None:
        gauge = Gauge("rate", "lookups", "/s", FASTER)
        figure = Figure("lookup", gauge, [1.0], rival="y", theirs=[9.0], reference=True)
        self.assertIs(figure.verdict, Verdict.NONE)

    def test_a_target_is_described_with_its_unit_or_as_a_factor(self) -> None:
        self.assertEqual(FASTER.describe("/s"), "≥ 3 x (aim 5 x)")
        self.assertEqual(QUICKER.describe("s"), "< 0.5 s")


class MessageTests(SynchronousTestCase):
    def test_a_payload_has_the_size_and_tells_its_number(self) -> None:
        for index in (0, 7, 12_345_678):
            self.assertEqual(len(payload(index)), PAYLOAD_BYTES)
            self.assertEqual(number(payload(index)), index)

    def test_a_message_has_arrived_when_the_last_has_it(self) -> None:
        self.assertEqual(delays([10.0, 20.0], [[11.0, 21.0], [13.0, 20.5]]), [3.0, 1.0])

    def test_every_receiver_must_have_every_message(self) -> None:
        self.assertRaises(ValueError, delays, [10.0, 20.0], [[11.0]])

    def test_latencies_are_told_in_milliseconds(self) -> None:
        self.assertEqual(latencies([0.002, 0.001, 0.009]), {"p50": 2.0, "p99": 9.0})


class ParsingTests(SynchronousTestCase):
    def test_the_processor_time_of_a_program_with_brackets_in_its_name_is_read(self) -> None:
        text = "42 (a) b (c)) S 1 42 42 0 -1 4194560 9 8 7 6 250 150 3 4 20 0 1 0 5 6 7"
        self.assertEqual(parse_stat(text) / parse_stat(text.replace("150", "650")), 400 / 900)

    def test_proportional_memory_is_read_in_bytes(self) -> None:
        text = "55-7f ---p 0 00:00 0  [rollup]\nRss:  9000 kB\nPss:  21 kB\nPss_Anon: 3 kB\n"
        self.assertEqual(parse_pss(text), 21 * 1024)
        self.assertRaises(ValueError, parse_pss, "Rss: 1 kB\n")

    def test_own_memory_is_anonymous_memory_swapped_out_or_not_whoever_shares_it(self) -> None:
        alone = "Pss: 40 kB\nPss_Anon: 35 kB\nAnonymous: 35 kB\nSwap: 4 kB\nSwapPss: 4 kB\n"
        shared = "Pss: 20 kB\nPss_Anon: 17 kB\nAnonymous: 35 kB\nSwap: 4 kB\nSwapPss: 2 kB\n"
        self.assertEqual({parse_own(alone), parse_own(shared)}, {39 * 1024})
        self.assertRaises(ValueError, parse_own, "Anonymous: 1 kB\n")

    def test_nats_frames_are_read_in_any_cut_with_pings_between(self) -> None:
        frame = b"MSG bench 1 100\r\n" + payload(5) + b"\r\n"
        self._check_cuts(nats_sockets.parse, b"PING\r\n" + frame + b"PING\r\n" + frame)
        self.assertRaises(ValueError, nats_sockets.parse, b"-ERR 'Stale Connection'\r\n" * 9)

    def test_redis_frames_are_read_in_any_cut(self) -> None:
        frame = encode(b"message", b"bench", payload(5))
        self._check_cuts(redis_sockets.parse, frame * 2)
        self.assertRaises(ValueError, redis_sockets.parse, b"-ERR unknown command\r\n" * 9)

    def _check_cuts(self, parse: object, data: bytes) -> None:
        assert callable(parse)
        for cut in range(len(data) + 1):
            early, rest = parse(data[:cut])
            late, rest = parse(rest + data[cut:])
            self.assertEqual((early + late, rest), ([payload(5)] * 2, b""), f"cut at {cut}")

    def test_a_redis_command_is_encoded_with_its_lengths(self) -> None:
        self.assertEqual(encode(b"PUBLISH", b"a"), b"*2\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n")


class FakeSide:
    """A participant that writes down when it is called."""

    def __init__(
        self, name: str, calls: list[str], *, hint: str | None = None, fails_at: int = 0
    ) -> None:
        self.name = name
        self._calls = calls
        self._hint = hint
        self._fails_at = fails_at
        self._rounds = 0

    def missing(self) -> str | None:
        return self._hint

    def start(self) -> None:
        self._calls.append(f"+{self.name}")

    def measure(self, effort: object) -> dict[str, float]:
        self._rounds += 1
        if self._rounds == self._fails_at:
            raise BenchmarkError("it broke")
        self._calls.append(self.name)
        return {"rate": float(self._rounds)}

    def stop(self) -> None:
        self._calls.append(f"-{self.name}")


class RoundsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.calls: list[str] = []
        self.effort = evolve(QUICK, rounds=3)

    def run_rounds(self, *sides: FakeSide) -> list[Results]:
        return interleave(sides, self.effort, lambda _text: None)

    def test_rounds_are_interleaved_and_alternate_in_order(self) -> None:
        self.run_rounds(FakeSide("a", self.calls), FakeSide("b", self.calls))
        self.assertEqual(" ".join(self.calls), "+a +b a b b a a b -b -a")

    def test_a_missing_side_is_skipped_with_a_hint_and_never_started(self) -> None:
        [_, other] = self.run_rounds(
            FakeSide("a", self.calls), FakeSide("b", self.calls, hint="pip install b")
        )
        self.assertEqual((other.note, other.failed), ("skipped: pip install b", False))
        self.assertEqual(" ".join(self.calls), "+a a a a -a")

    def test_a_side_that_fails_drops_out_is_stopped_and_keeps_what_it_had(self) -> None:
        [one, other] = self.run_rounds(
            FakeSide("a", self.calls, fails_at=2), FakeSide("b", self.calls)
        )
        self.assertEqual((one.note, one.failed), ("it broke", True))
        self.assertEqual(one.numbers("rate"), [1.0])
        self.assertEqual(other.numbers("rate"), [1.0, 2.0, 3.0])
        self.assertEqual(self.calls[-2:], ["-b", "-a"])

    def test_a_gauge_that_a_side_has_not_has_no_numbers(self) -> None:
        [one] = self.run_rounds(FakeSide("a", self.calls))
        self.assertEqual(one.numbers("p99"), [])


class ContestTests(SynchronousTestCase):
    def setUp(self) -> None:
        gauges = (Gauge("rate", "lookups", "/s", FASTER), Gauge("own", "more", "/s", rivals=False))
        self.contest = Contest("lookup", gauges, (), "somehow")

    def test_the_target_refers_to_the_first_rival_only(self) -> None:
        ours = Results("chordnet", [{"rate": 9.0, "own": 1.0}])
        rivals = [Results("one", [{"rate": 3.0}]), Results("two", [{"rate": 9.0}])]
        figures = self.contest.figures(ours, rivals)
        table = [(f.rival, f.reference, f.verdict) for f in figures]
        self.assertEqual(
            table,
            [
                ("one", False, Verdict.MET),
                ("two", True, Verdict.NONE),
                ("", False, Verdict.NONE),
            ],
        )

    def test_a_skipped_rival_leaves_our_figure_with_the_reason(self) -> None:
        ours = Results("chordnet", [{"rate": 9.0}])
        [figure, _] = self.contest.figures(ours, [Results("one", note="skipped: install it")])
        self.assertEqual(figure.value, 9.0)
        self.assertIs(figure.verdict, Verdict.UNKNOWN)
        self.assertEqual(figure.note, "skipped: install it")

    def test_the_targets_are_those_agreed(self) -> None:
        agreed = {
            (each.name, gauge.key): gauge.target.describe(gauge.unit)
            for each in CONTESTS
            for gauge in each.gauges
            if gauge.target
        }
        self.assertEqual(
            agreed,
            {
                ("broadcast", "p50"): "≤ 1.2 x (aim 1 x)",
                ("broadcast", "receipt"): "≤ 2 x",
                ("confirmed", "rate"): "≥ 0.25 x (aim 0.5 x)",
                ("durable", "rate"): "≥ 5000 /s (aim 20000 /s)",
                ("lookup", "rate"): "≥ 3 x (aim 5 x)",
            },
        )


class ReportTests(SynchronousTestCase):
    def setUp(self) -> None:
        gauge = Gauge("rate", "lookups", "/s", FASTER)
        self.report = Report(
            command="python -m benchmarks",
            measured="2000-01-01T00:00:00+00:00",
            machine={"processor": f"{NODES} x something"},
            versions={"chordnet": "1"},
            figures=[
                Figure("lookup", gauge, [9000.0, 9300.0], "kademlia", [3000.0, 3100.0]),
                Figure("killed", Gauge("p50", "killed", "s", QUICKER), note="it broke"),
                Figure("killed", Gauge("p99", "killed", "s"), note="it broke"),
            ],
            methods={"lookup": "Somehow."},
            promises={"kademlia": "it is there", "chordnet": "it is here"},
            load=(0.5, 1.5),
        )

    def test_quantities_keep_three_digits(self) -> None:
        shown = [quantity(value, "ms") for value in (1.234, 12.34, 123.4, 12345.6)]
        self.assertEqual(shown, ["1.23 ms", "12.3 ms", "123 ms", "12,346 ms"])
        self.assertEqual(quantity(1234.5, "/s"), "1,234/s")
        self.assertEqual(quantity(None, "ms"), "-")

    def test_the_command_is_told_without_where_it_saves(self) -> None:
        typed = ["--quick", "--save", "a.json", "--only", "idle", "--save=b.json"]
        self.assertEqual(command_line(typed), "python -m benchmarks --quick --only idle")
        self.assertEqual(command_line(["--save"]), "python -m benchmarks")

    def test_a_row_has_figure_rival_ratio_target_and_verdict(self) -> None:
        self.assertEqual(
            cells(self.report.figures[0]),
            ("lookups", "9,150/s", "kademlia", "3,050/s", "3.00 x", "≥ 3 x (aim 5 x)", "met"),
        )

    def test_a_row_of_what_was_not_measured_says_so(self) -> None:
        self.assertEqual(
            cells(self.report.figures[1]),
            ("killed", "-", "", "", "", "< 0.5 s", "not measured"),
        )

    def test_a_note_is_told_once(self) -> None:
        self.assertEqual(notes(self.report.figures), ["killed: it broke"])

    def test_markdown_has_a_row_a_figure_and_says_how(self) -> None:
        text = markdown(self.report)
        rows = [line for line in text.splitlines() if line.startswith("|")]
        self.assertEqual(len(rows), 2 + 3 + 2 + 2)
        self.assertEqual([row.count("|") for row in rows], [8] * 5 + [3] * 4)
        for part in (
            "| kademlia | it is there |",
            "**lookup**: Somehow.",
            "* killed: it broke",
            "`python -m benchmarks`",
        ):
            self.assertIn(part, text)

    def test_json_keeps_every_round(self) -> None:
        figures = json.loads(json.dumps(as_json(self.report)))["figures"]
        self.assertEqual(figures[0]["chordnet_rounds"], [9000.0, 9300.0])
        self.assertEqual(figures[0]["theirs_rounds"], [3000.0, 3100.0])
        self.assertEqual(figures[0]["verdict"], "met")
        self.assertIsNone(figures[1]["chordnet"])


class MicroTests(SynchronousTestCase):
    def test_a_log_is_timed_at_both_degrees_of_durability(self) -> None:
        costs = log(repeat=2)
        self.assertEqual(
            [cost.what for cost in costs],
            [
                "log, process: a turn with 1",
                "log, process: a turn with 20",
                "log, process: a checkpoint of 20",
                "log, power: a turn with 1",
                "log, power: a turn with 20",
                "log, power: a checkpoint of 20",
                "log: checksum of a message",
            ],
        )
        self.assertTrue(all(cost.each > 0 for cost in costs))

    def test_a_broadcast_of_the_ring_that_is_timed_takes_a_message_to_each_other_node(self) -> None:
        often = {cost.what: cost.often for cost in broadcasts(Ring(1), 16)}
        self.assertEqual(often["broadcast: step Bcast"], NODES - 1)
        self.assertEqual(often["broadcast: step Covered"], NODES - 1)


class SenderTests(SynchronousTestCase):
    """The sender that counts sixteen answers to each message."""

    def run_round(self, count: int, pace: float, window: int) -> tuple[list[int], list[int]]:
        """Let all answers come at once; return what was sent and the most that was unanswered."""
        order: list[int] = []
        unanswered: list[int] = []

        async def play() -> None:
            queue: deque[int] = deque()

            async def publish(_subject: str, body: bytes) -> None:
                order.append(number(body))
                queue.append(number(body))
                unanswered.append(len(queue))

            sender = nats_confirmed.Sender(publish)
            round_ = asyncio.create_task(sender.round(3, count, pace, window))
            while not round_.done():
                await asyncio.sleep(0)
                if queue:
                    index = queue[0]
                    for answer in range(NODES):
                        if answer == NODES - 1:
                            queue.popleft()
                        await sender.answered(index)
            sent, known = round_.result()
            self.assertEqual((len(sent), len(known)), (count, count))
            self.assertTrue(all(a <= b for a, b in zip(sent, known, strict=True)))

        asyncio.run(play())
        return order, unanswered

    def test_a_window_is_kept_full_and_never_exceeded(self) -> None:
        order, unanswered = self.run_round(20, 0.0, 4)
        self.assertEqual(order, list(range(3, 23)))
        self.assertEqual(max(unanswered), 4)

    def test_at_a_pace_each_message_waits_for_the_answers_to_the_one_before(self) -> None:
        order, unanswered = self.run_round(5, 1e-9, 1)
        self.assertEqual((order, max(unanswered)), (list(range(3, 8)), 1))

    def test_a_window_wider_than_the_round_ends_with_the_last_answer(self) -> None:
        self.assertEqual(self.run_round(3, 0.0, 256)[0], [3, 4, 5])
