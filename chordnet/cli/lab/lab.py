"""``p2pnet lab``: what goes wrong in a store without one of its rules, and not with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from chordnet.cli.base.output import print_json
from chordnet.cli.base.words import Command, json_option
from chordnet.cli.lab.progress import progress
from chordnet.core.base.errors import ChordnetError
from chordnet.draw.steps import Step, Steps, draw_steps
from chordnet.sim.slots.explore import Search, Verdict
from chordnet.sim.slots.labs import LABS, Lab
from chordnet.sim.slots.story import Scene, scenes, told
from chordnet.sim.store.scenarios.__main__ import SCENARIOS
from chordnet.sim.store.stage import Failed, Scenario, played

NAMES = (*LABS, *SCENARIOS)


class LabFailed(ChordnetError):
    """A lab's picture cannot be written; the text says why."""


class LabName(click.ParamType):  # type: ignore[type-arg]
    """The name of a lab or of a scenario."""

    name = "lab"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name."""
        if value not in NAMES:
            self.fail(f"there is no lab {value!r}; there are {', '.join(NAMES)}", param, ctx)
        return str(value)

    def fail(self, message: str, param: Any = None, ctx: click.Context | None = None) -> Any:
        """Say it without the name of the parameter."""
        raise click.UsageError(message, ctx)


@click.command(
    cls=Command,
    epilog="""\b
Exit status: 0 it came to what the lab says, 1 it did not, 2 wrong words.

\b
Examples:
  p2pnet lab
  p2pnet lab stale-read
  p2pnet lab stale-read --with-rule
  p2pnet lab stale-read --svg stale-read.svg
  p2pnet lab hint-replayed
""",
)
@click.argument("name", metavar="[NAME]", type=LabName(), required=False)
@click.option("--with-rule", is_flag=True, help="Search the same with the rule on.")
@click.option(
    "--svg",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw what happens into this file.",
)
@json_option
@click.pass_context
def lab(
    ctx: click.Context, /, name: str | None, with_rule: bool, svg: Path | None, as_json: bool
) -> int:
    """Show what goes wrong in a store of keys without one of its rules.

    The program that runs on nodes is searched through every order of events, with one rule switched
    off, and the shortest history is told in which a client sees something wrong. The other labs are
    things that went wrong in other systems, played on a whole store in virtual time, with all rules
    on. No network is needed. Without NAME the labs are listed.
    """
    if (with_rule or svg is not None) and name not in LABS:
        word = "--with-rule" if with_rule else "--svg"
        raise click.UsageError(f"{word} needs the name of a rule's lab: {', '.join(LABS)}", ctx)
    if with_rule and svg is not None:
        raise click.UsageError("--svg does not go with --with-rule: nothing goes wrong then", ctx)
    if name is None:
        return _list(as_json=as_json)
    if name in SCENARIOS:
        return _play(SCENARIOS[name], as_json=as_json)
    return _search(LABS[name], svg, on=with_rule, as_json=as_json)


def _list(*, as_json: bool) -> int:
    if as_json:
        labs = [{"name": lab.name, "kind": "rule", "about": lab.sees} for lab in LABS.values()]
        found = [
            {"name": each.name, "kind": "elsewhere", "about": each.source}
            for each in SCENARIOS.values()
        ]
        print_json({"labs": labs + found})
        return 0
    print("Without one rule:")
    for each in LABS.values():
        print(f"  {each.name:<22}{each.sees}")
    print("What went wrong elsewhere, with all rules:")
    for scenario in SCENARIOS.values():
        print(f"  {scenario.name:<22}{scenario.source}")
    return 0


# ---- without a rule -------------------------------------------------------------------------


def _search(lab: Lab, svg: Path | None, *, on: bool, as_json: bool) -> int:
    search = Search(lab.plan(on=on))
    with progress("searching", total=None):
        verdict = search.run()
    if svg is not None:
        try:
            svg.write_text(draw_steps(picture(lab, search, verdict)), encoding="utf-8")
        except OSError as problem:
            raise LabFailed(f"cannot write {svg}: {problem.strerror}") from problem
    if as_json:
        print_json(lab_json(lab, search, verdict, on=on))
    else:
        lines = _quiet_lines(lab, verdict) if on else _lines(lab, search, verdict)
        print("\n".join(lines))
        if svg is not None:
            print(f"drawn in {svg}")
    return int((verdict.broken is None) != on)


def _lines(lab: Lab, search: Search, verdict: Verdict) -> Iterator[str]:
    yield f"Without this rule {lab.sees}:"
    yield f"  {lab.says}"
    yield ""
    if verdict.broken is None:
        yield f"nothing was found in {verdict.states} states"
        return
    yield from told(search, verdict)
    yield ""
    yield f"To think about: {lab.ask}"
    yield f"With the rule: p2pnet lab {lab.name} --with-rule"
    yield f"The search: python -m chordnet.sim.slots {lab.command}"


def _quiet_lines(lab: Lab, verdict: Verdict) -> Iterator[str]:
    yield f"With this rule: {lab.says}"
    size = f"{verdict.states} states, {verdict.steps} steps tried, {verdict.depth} deep"
    if verdict.broken is not None:
        yield f"{size}; broken: {verdict.text}"
    elif verdict.complete:
        yield f"{size}: every reachable state was seen, and nothing is wrong in any"
    else:
        yield f"{size}: there are more; nothing is wrong in those that were seen"


def picture(lab: Lab, search: Search, verdict: Verdict) -> Steps:
    """Return the drawing of what a search found."""
    found = [*scenes(search, verdict)]
    return Steps(
        title=f"{lab.sees[0].upper()}{lab.sees[1:]}",
        subtitle=f"Off: {lab.says}",
        nodes=tuple(search.world.names),
        steps=tuple(_step(number, scene) for number, scene in enumerate(found)),
        wrong=f"Now {verdict.text}." if verdict.broken is not None else "",
    )


def _step(number: int, scene: Scene) -> Step:
    text = f"{number}. {scene.sentence}" if scene.sentence else "At the beginning"
    return Step(text, scene.actor, scene.reached, scene.gives, scene.changes, scene.ends)


def lab_json(lab: Lab, search: Search, verdict: Verdict, *, on: bool) -> dict[str, Any]:
    """Return what a search came to as a JSON document."""
    return {
        "name": lab.name,
        "rule": lab.rule,
        "with_rule": on,
        "says": lab.says,
        "states": verdict.states,
        "complete": verdict.complete,
        "broken": verdict.text if verdict.broken is not None else None,
        "history": [
            {
                "what": scene.sentence or None,
                "node": scene.actor or None,
                "reached": list(scene.reached),
                "changes": {name: list(words) for name, words in scene.changes.items()},
                "told": list(scene.ends),
            }
            for scene in (scenes(search, verdict) if verdict.broken is not None else ())
        ],
    }


# ---- what went wrong elsewhere --------------------------------------------------------------


def _play(scenario: Scenario, *, as_json: bool) -> int:
    lines: list[str] = []
    problem = ""
    try:
        played(scenario, say=lines.append)
    except Failed as failed:
        problem = str(failed)
    if as_json:
        print_json(
            {
                "name": scenario.name,
                "source": scenario.source,
                "there": scenario.there,
                "here": scenario.here,
                "lines": lines,
                "failed": problem or None,
            }
        )
    else:
        print(f"There ({scenario.source}): {scenario.there}")
        print(f"Here: {scenario.here}")
        print("\n".join(lines))
        if problem:
            print(f"FAILED: {problem}")
    return int(bool(problem))
