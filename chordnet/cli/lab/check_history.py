"""``p2pnet check-history``: whether what clients of a store were told can all be true."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from math import isnan
from pathlib import Path
from typing import Any

import attrs
import click

from chordnet.cli.base.output import print_json
from chordnet.cli.base.words import Command, WholeNumber, json_option
from chordnet.draw.phrases import count, plain
from chordnet.judge.store.anomalies import (
    Anomaly,
    Counterexample,
    Kind,
    Placed,
    Reason,
    Stuck,
    Verdict,
)
from chordnet.judge.store.check import HistoryFound, KeyFound, check_history
from chordnet.judge.store.history import (
    MAX_LINE_BYTES,
    Action,
    HistoryError,
    Operation,
    Outcome,
    read_history,
)
from chordnet.judge.store.registers import MAX_STEPS, Limits

STATUS = {Verdict.RIGHT: 0, Verdict.WRONG: 1, Verdict.UNDECIDED: 3}
SHOWN_KEYS = 10
SHOWN_ANOMALIES = 5
SHOWN_STEPS = 5

KIND_WORDS = {
    Kind.ENDS_FIRST: "it returned before it was called",
    Kind.IMPOSSIBLE_VERSION: "no write can have made this version",
    Kind.NEEDLESS_CONFLICT: "its condition held, and it was told of a conflict",
    Kind.VERSION_TWICE: "another write or another value has the same version",
    Kind.UNWRITTEN_VALUE: "no write that may have happened had begun to write this value by then",
    Kind.UNWRITTEN_VERSION: "every write of this value made another version",
    Kind.GOES_BACK: "the same client had been told a higher version before",
    Kind.WATCH_BACK: "the same watch had told this version or a higher one before",
    Kind.STALE: "a higher version had been told before this was asked for",
}
REASON_WORDS: Mapping[Reason, Callable[[str], str]] = {
    Reason.VERSION: lambda now: f"it was told another version, and there is {now}",
    Reason.VALUE: lambda now: f"it was told another value, and there is {now}",
    Reason.ABSENT: lambda now: f"it was told of a value, and there is {now}",
    Reason.PRESENT: lambda now: f"it was told that there is nothing, and there is {now}",
    Reason.CONDITION: lambda now: f"it happened, its condition does not hold, and there is {now}",
    Reason.TAKEN: lambda _now: "another write made the version that would be next",
}


class SkewType(click.FloatRange):
    """Seconds from 0 to an hour; click takes ``nan`` to be in every range."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number of seconds."""
        seconds = float(super().convert(value, param, ctx))
        if isnan(seconds):
            self.fail(f"{value!r} is no number of seconds.", param, ctx)
        return seconds


@click.command(
    cls=Command,
    epilog="""\b
Exit status: 0 right, 1 wrong, 2 FILE is no history, 3 too large to decide.

\b
Examples:
  p2pnet check-history history.jsonl
  p2pnet check-history history.jsonl --clock-skew 0.005 --json
""",
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--clock-skew",
    type=SkewType(0, 3600),
    default=0.0,
    metavar="SECONDS",
    help="By how much the clocks of two clients may differ; 0 without this.",
)
@click.option(
    "--steps",
    type=WholeNumber(1, 10**12),
    default=MAX_STEPS,
    metavar="NUMBER",
    help=f"How much to try for each key, {MAX_STEPS} without this.",
)
@json_option
def check_history_command(file: Path, clock_skew: float, steps: int, as_json: bool) -> int:
    """Check that a history of a key-value store is right: that every key behaved as one register.

    FILE has one operation of a client a line. For each key one order is looked for that explains
    every answer, in which each operation has a moment between its call and its return. Where there
    is none, the operations that contradict each other are shown.
    """
    limits = attrs.evolve(Limits(), steps=steps)
    history = read(file, limits)
    found = check_history(history, limits, clock_skew)
    if as_json:
        print_json(found_json(found))
    else:
        print("\n".join(found_lines(found, history)))
    return STATUS[found.verdict]


def read(file: Path, limits: Limits) -> list[Operation]:
    """Return the operations in a file, one more than the limits allow at the most."""
    try:
        with file.open("rb") as opened:
            lines = iter(lambda: opened.readline(MAX_LINE_BYTES + 1), b"")
            return list(islice(read_history(lines), limits.operations + 1))
    except HistoryError as problem:
        raise click.UsageError(plain(f"{file}: {problem}")) from None
    except OSError as problem:
        raise click.UsageError(plain(f"{file}: {problem.strerror or problem}")) from None


# ---- as text --------------------------------------------------------------------------------


def found_lines(found: HistoryFound, history: Sequence[Operation]) -> Iterator[str]:
    """Yield the lines that say what a check came to."""
    notes = [f"{found.unconfirmed} unconfirmed"] if found.unconfirmed else []
    if found.stale:
        notes.append(f"{count(found.stale, 'stale read')} left out")
    aside = f" ({', '.join(notes)})" if notes else ""
    size = f"{count(found.operations, 'operation')} of {count(found.clients, 'client')}"
    yield f"{_heading(found)}: {size} on {count(len(found.keys), 'key')}{aside}"
    if not found.complete:
        yield f"only the first {found.operations} operations were looked at"
    notable = [each for each in found.keys if each.verdict is not Verdict.RIGHT]
    for each in notable[:SHOWN_KEYS]:
        yield from _key_lines(each, history)
    if len(notable) > SHOWN_KEYS:
        yield f"and {count(len(notable) - SHOWN_KEYS, 'key')} more"


def _heading(found: HistoryFound) -> str:
    return "too large to decide" if found.verdict is Verdict.UNDECIDED else found.verdict.value


def _key_lines(found: KeyFound, history: Sequence[Operation]) -> Iterator[str]:
    key, size = quoted(found.key), count(found.operations, "operation")
    if found.verdict is Verdict.UNDECIDED:
        yield f"key {key}: not decided after {found.steps} steps; raise them with --steps"
        return
    if found.counterexample is None:
        yield f"key {key}: contradictions among its {size}"
        for anomaly in found.anomalies[:SHOWN_ANOMALIES]:
            yield from _anomaly_lines(anomaly, history)
        if len(found.anomalies) > SHOWN_ANOMALIES:
            yield f"  and {len(found.anomalies) - SHOWN_ANOMALIES} more"
        return
    yield f"key {key}: no order of its {size} explains every answer"
    yield from _example_lines(found.counterexample, history)


def _anomaly_lines(anomaly: Anomaly, history: Sequence[Operation]) -> Iterator[str]:
    first, *others = anomaly.numbers
    yield f"  {told(first, history)}"
    yield f"    {KIND_WORDS[anomaly.kind]}{':' if others else ''}"
    for number in others:
        yield f"    {told(number, history)}"


def _example_lines(example: Counterexample, history: Sequence[Operation]) -> Iterator[str]:
    yield "  These contradict each other, whenever the other writes happened:"
    for number in example.core:
        yield f"    {told(number, history)}"
    steps = example.longest
    yield f"  The longest order that explains what it contains has {count(len(steps), 'step')}:"
    if len(steps) > SHOWN_STEPS:
        yield f"    {len(steps) - SHOWN_STEPS} before, then"
    for step in steps[-SHOWN_STEPS:]:
        what = "what it wrote expires" if step.expiry else _asked(history[step.number - 1])
        yield f"    line {step.number}: {what}; then there is {register(step)}"
    now = register(steps[-1] if steps else None)
    yield "  Next would have to come one of:"
    for each in example.stuck:
        yield f"    {told(each.number, history)}"
        yield f"      {_stuck_words(each, now)}"


def _stuck_words(stuck: Stuck, now: str) -> str:
    return REASON_WORDS[stuck.reason](now)


def register(step: Placed | None) -> str:
    """Return ``version 2, 'b'``, or ``nothing``."""
    if step is None or step.value is None:
        return "nothing"
    return f"version {step.version}, {quoted(step.value)}"


def told(number: int, history: Sequence[Operation]) -> str:
    """Return ``line 7: c1 asked put 'a' if version 1 at 0.100, told at 0.200: done, version 2``."""
    operation = history[number - 1]
    asked = f"line {number}: {plain(operation.client)} asked {_asked(operation)}"
    end = "never answered"
    if operation.returned is not None:
        end = f"told at {operation.returned:.6f}: {_answer(operation)}"
    return f"{asked} at {operation.call:.6f}, {end}"


def _asked(operation: Operation) -> str:
    words = [operation.action.value]
    if operation.value is not None:
        words.append(quoted(operation.value))
    if operation.if_version is not None:
        version = operation.if_version
        words.append(f"if version {version}" if version else "if there is nothing")
    if operation.expires is not None:
        words.append(f"for {operation.expires:g} s")
    return " ".join(words)


def _answer(operation: Operation) -> str:
    if operation.outcome is Outcome.CONFLICT and not operation.version:
        return "conflict, there is nothing"
    words = [operation.outcome.value] if operation.action is not Action.GET else []
    if operation.outcome is not Outcome.VALUE and not words:
        words = [operation.outcome.value]
    if operation.version:
        words.append(f"version {operation.version}")
    if operation.found is not None:
        words.append(quoted(operation.found))
    return ", ".join(words)


def quoted(text: str) -> str:
    """Return a key or a value in quotes, without anything that a terminal would obey."""
    return f"'{plain(text)}'"


# ---- as JSON --------------------------------------------------------------------------------


def found_json(found: HistoryFound) -> dict[str, Any]:
    """Return what a check came to as its JSON document."""
    verdicts = [each.verdict for each in found.keys]
    return {
        "verdict": found.verdict.value,
        "operations": found.operations,
        "complete": found.complete,
        "clients": found.clients,
        "unconfirmed": found.unconfirmed,
        "stale": found.stale,
        "keys": {verdict.value: verdicts.count(verdict) for verdict in Verdict},
        "found": [key_json(each) for each in found.keys if each.verdict is not Verdict.RIGHT],
    }


def key_json(found: KeyFound) -> dict[str, Any]:
    """Return what the history of one key came to."""
    example = found.counterexample
    return {
        "key": found.key,
        "verdict": found.verdict.value,
        "operations": found.operations,
        "steps": found.steps,
        "anomalies": [
            {"kind": anomaly.kind.value, "lines": list(anomaly.numbers)}
            for anomaly in found.anomalies
        ],
        "counterexample": None
        if example is None
        else {
            "core": list(example.core),
            "longest": [
                {
                    "line": step.number,
                    "expiry": step.expiry,
                    "version": step.version,
                    "value": step.value,
                }
                for step in example.longest
            ],
            "stuck": [{"line": each.number, "reason": each.reason.value} for each in example.stuck],
        },
    }
