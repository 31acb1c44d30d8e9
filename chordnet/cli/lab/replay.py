"""``p2pnet replay``: run recorded nodes again, and check that they do the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from heapq import merge
from pathlib import Path
from typing import Any

import attrs
import click

from chordnet.cli.base.output import print_json, rfc3339
from chordnet.cli.base.words import Command, json_option
from chordnet.draw.phrases import count, plain
from chordnet.record.recording import RecordingError, read_frames
from chordnet.record.replay import Moment, Replay


@attrs.define
class Played:
    """One file and its replay. Iterate over it to replay it; damage ends it and is noted."""

    name: str
    replay: Replay
    damage: str = ""

    def __iter__(self) -> Iterator[Moment]:
        try:
            yield from self.replay
        except RecordingError as problem:
            self.damage = str(problem)

    @property
    def same(self) -> bool:
        """Whether the recording was whole and its replay had the same effects."""
        return self.replay.difference is None and not self.damage


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet replay node-3.rec
  p2pnet replay --steps node-*.rec
  p2pnet replay recordings
""",
)
@click.argument(
    "files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path)
)
@click.option("--steps", is_flag=True, help="Tell what happened, in the order of time.")
@json_option
def replay(files: Sequence[Path], steps: bool, as_json: bool) -> int:
    """Replay what nodes recorded with --record, and check that they do the same again.

    The protocol code of this version is driven through the recorded events and has to ask for the
    same effects. The first difference is shown, and the exit status is 1. With --steps the ring's
    history is told over all files: states, neighbours, deaths, broadcasts. A FILE may be a
    directory: all recordings in it.
    """
    with ExitStack() as stack:
        played = [_open(stack, path) for each in files for path in _recordings(each)]
        moments = merge(*played, key=lambda moment: moment.wall)
        told = []
        for moment in moments:
            if steps and as_json:
                told.append(attrs.asdict(moment) | {"wall": rfc3339(moment.wall)})
            elif steps:
                print(step_text(moment))
    if as_json:
        print_json(replay_json(played, told))
    else:
        for one in played:
            print("\n".join(outcome_lines(one)))
    return 0 if all(one.same for one in played) else 1


def _recordings(path: Path) -> list[Path]:
    """Return the recordings in a directory, including those of earlier lives; or the file."""
    if not path.is_dir():
        return [path]
    found = sorted([*path.glob("*.rec"), *path.glob("*.rec.1")])
    if not found:
        raise RecordingError(f"there is no recording in {path}: no file ends with .rec")
    return found


def _open(stack: ExitStack, path: Path) -> Played:
    try:
        file = stack.enter_context(path.open("rb"))
        return Played(str(path), Replay(read_frames(file.read)))
    except OSError as problem:
        raise RecordingError(f"cannot read {path}: {problem.strerror or problem}") from None
    except RecordingError as problem:
        raise RecordingError(
            f"{path}: {problem}; record one with: twistd chordnode --record"
        ) from None


def step_text(moment: Moment) -> str:
    """Return ``12:00:01.250 Node 3: is active (was joining)``."""
    clock = rfc3339(moment.wall)[11:23]
    return plain(f"{clock} {moment.node}: {moment.text}")


def outcome_lines(played: Played) -> list[str]:
    """Return lines that say if a replay was the same; the first difference on lines of its own."""
    replay, difference = played.replay, played.replay.difference
    who = plain(f"{played.name}: {replay.node}")
    if difference is not None:
        where = f"event {difference.event} at {difference.seconds:.6f} s"
        return [
            f"{who}: {where} differs: {plain(difference.what)}",
            f"  expected: {plain(difference.expected)}",
            f"  got:      {plain(difference.got)}",
        ]
    events = count(replay.events, "event")
    if played.damage:
        return [f"{who}: the same effects for {events}, and then {plain(played.damage)}"]
    return [f"{who}: the same effects for {events} in {replay.seconds:.1f} s; {plain(replay.end)}"]


def replay_json(played: Sequence[Played], steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the outcome as its JSON document."""
    return {
        "same": all(one.same for one in played),
        "files": [
            {
                "file": one.name,
                "node": one.replay.node,
                "id": one.replay.header.me.raw.hex(),
                "incarnation": one.replay.header.me.incarnation,
                "events": one.replay.events,
                "seconds": round(one.replay.seconds, 6),
                "same": one.same,
                "end": one.damage or one.replay.end,
                "difference": attrs.asdict(one.replay.difference)
                if one.replay.difference
                else None,
            }
            for one in played
        ],
        "steps": steps,
    }
