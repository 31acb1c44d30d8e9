"""The results as a table for the terminal, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from benchmarks.figures import Figure, Verdict
from benchmarks.stats import spread

_STYLES = {
    Verdict.AIM: "bold green",
    Verdict.MET: "green",
    Verdict.MISSED: "bold red",
    Verdict.NONE: "dim",
    Verdict.UNKNOWN: "yellow",
}
_HEADINGS = ("benchmark", "chordnet", "rival", "", "ratio", "target", "verdict")


@frozen
class Report:
    """One run.

    Attributes:
        command: What was typed.
        measured: When, as RFC 3339.
        machine: On what.
        versions: Of what.
        figures: What came out.
        methods: How each benchmark measures, by its name.
        promises: What holds of a message once it counts, by the participant's name.
        load: Load averages of the machine before and after: others' work shows in the first.
    """

    command: str
    measured: str
    machine: dict[str, str]
    versions: dict[str, str]
    figures: Sequence[Figure]
    methods: dict[str, str]
    promises: dict[str, str]
    load: tuple[float, float]


def command_line(arguments: Sequence[str]) -> str:
    """Return what was typed, without where to save: that changes nothing that is measured."""
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--save":
            next(words, None)
        elif not word.startswith("--save="):
            kept.append(word)
    return " ".join(["python -m benchmarks", *kept])


def quantity(value: float | None, unit: str) -> str:
    """Write a number with three digits that matter, and its unit."""
    if value is None:
        return "-"
    if abs(value) >= 1000:
        digits = f"{value:,.0f}"
    else:
        digits = f"{value:.{2 if abs(value) < 10 else 1 if abs(value) < 100 else 0}f}"
    return f"{digits} {unit}".replace(" /", "/")


def cells(figure: Figure) -> tuple[str, ...]:
    """Return the seven cells of a figure's row, in the order of the headings."""
    gauge = figure.gauge
    ratio = figure.ratio
    return (
        gauge.label,
        quantity(figure.value, gauge.unit),
        figure.rival,
        quantity(figure.rival_value, gauge.unit) if figure.rival else "",
        f"{ratio:.2f} x" if ratio is not None else "",
        gauge.target.describe(gauge.unit) if gauge.target and not figure.reference else "",
        figure.verdict.value if gauge.target and not figure.reference else "",
    )


def notes(figures: Sequence[Figure]) -> list[str]:
    """Return what was skipped or failed, each once."""
    return list(dict.fromkeys(f"{figure.name}: {figure.note}" for figure in figures if figure.note))


def terminal(report: Report) -> RenderableType:
    """Return the table, what was left out and on what it was measured."""
    table = Table(title="chordnet beside its rivals", title_justify="left")
    for heading in _HEADINGS:
        numeric = heading in {"chordnet", "", "ratio"}
        table.add_column(heading, justify="right" if numeric else "left", no_wrap=numeric)
    for previous, figure in zip([None, *report.figures], report.figures, strict=False):
        if previous is not None and previous.name != figure.name:
            table.add_section()
        *plain, verdict = cells(figure)
        table.add_row(*plain, Text(verdict, _STYLES[figure.verdict]))
    lines = [Text(note, "yellow") for note in notes(report.figures)]
    lines += [Text(f"{name}: {promise}") for name, promise in report.promises.items()]
    return Group(table, *lines, Text(_circumstances(report), "dim"))


def markdown(report: Report) -> str:
    """Return the table with how it was measured."""
    rows = [_HEADINGS, tuple("---" for _ in _HEADINGS), *map(cells, report.figures)]
    parts = ["# Measured", "\n".join(f"| {' | '.join(row)} |" for row in rows)]
    parts += [f"* {note}" for note in notes(report.figures)]
    parts += _promises(report)
    parts += [f"`{report.command}`, {_circumstances(report)}", "## How"]
    parts += [f"**{name}**: {method}" for name, method in report.methods.items()]
    return "\n\n".join(parts) + "\n"


def _promises(report: Report) -> list[str]:
    if not report.promises:
        return []
    rows = [f"| {name} | {promise} |" for name, promise in report.promises.items()]
    table = ["| | a message counts once |", "| --- | --- |", *rows]
    return ["## What was promised", "\n".join(table)]


def as_json(report: Report) -> dict[str, Any]:
    """Return everything, each round's numbers included."""
    return {
        "command": report.command,
        "measured": report.measured,
        "machine": report.machine,
        "versions": report.versions,
        "load": list(report.load),
        "methods": report.methods,
        "promises": report.promises,
        "figures": [_figure(figure) for figure in report.figures],
    }


def _figure(figure: Figure) -> dict[str, Any]:
    gauge = figure.gauge
    return {
        "benchmark": figure.name,
        "gauge": gauge.key,
        "label": gauge.label,
        "unit": gauge.unit,
        "chordnet": figure.value,
        "chordnet_rounds": list(figure.ours),
        "rival": figure.rival or None,
        "theirs": figure.rival_value,
        "theirs_rounds": list(figure.theirs),
        "ratio": figure.ratio,
        "target": gauge.target.describe(gauge.unit) if gauge.target else None,
        "verdict": figure.verdict.value,
        "note": figure.note,
    }


def _circumstances(report: Report) -> str:
    rounds = max((len(figure.theirs) for figure in report.figures), default=0)
    apart = max((spread(figure.theirs) for figure in report.figures if figure.theirs), default=0)
    return (
        f"measured {report.measured} on {', '.join(report.machine.values())}, load "
        f"{report.load[0]:.1f} before and {report.load[1]:.1f} after; "
        f"{', '.join(f'{name} {number}' for name, number in report.versions.items())}. "
        f"Medians of up to {rounds} interleaved rounds, ratios taken round by round; the rivals' "
        f"rounds lie up to {apart:.0%} of their median apart."
    )
