"""Make a failing scenario as short as possible while it still fails.

First groups of actions are left out, half of them at a time, then quarters, down to single ones
(Zeller, Hildebrandt, "Simplifying and isolating failure-inducing input", IEEE TSE 28(2), 2002);
then the network's faults are taken away one by one, and nodes that no action names. Each candidate
is played; the result fails as the original did, though its failures may read differently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import attrs

from chordnet.sim.scenarios.play import PlayResult, play
from chordnet.sim.scenarios.scenario import FAULTLESS, Action, Scenario

MAX_PLAYS = 400
"""The most candidates that are played; then the shortest found so far is returned."""

ENDS_FREEZE = ("thaw", "kill", "vanish", "restart", "restart_empty", "leave")


def shrink(scenario: Scenario, fails: Callable[[Scenario], bool] | None = None) -> Scenario:
    """Return the shortest failing variant of ``scenario`` that was found.

    :param fails: returns True if a candidate still shows the fault; by default, if its play fails.
    """
    attempt = _Attempts(fails or (lambda candidate: not play(candidate).ok))
    shorter = _fewer_actions(scenario, attempt)
    for calmer in _calmer(shorter):
        if attempt(calmer(shorter)):
            shorter = calmer(shorter)
    shorter = _fewer_actions(shorter, attempt)
    return attrs.evolve(shorter, name=f"{scenario.name}-shrunk")


class _Attempts:
    """Plays candidates, up to a limit."""

    def __init__(self, fails: Callable[[Scenario], bool]) -> None:
        self._fails = fails
        self._left = MAX_PLAYS

    def __call__(self, candidate: Scenario) -> bool:
        self._left -= 1
        return self._left >= 0 and self._fails(candidate)


def _fewer_actions(scenario: Scenario, attempt: _Attempts) -> Scenario:
    size = len(scenario.actions) // 2
    while size >= 1:
        begin = 0
        while begin < len(scenario.actions):
            kept = scenario.actions[:begin] + scenario.actions[begin + size :]
            candidate = attrs.evolve(scenario, actions=kept)
            if _is_fair(kept) and attempt(candidate):
                scenario = candidate
            else:
                begin += size
        size //= 2
    return scenario


def _is_fair(actions: tuple[Action, ...]) -> bool:
    """Return True if every fault is undone in the end: otherwise no ring could become right."""
    broken = False
    frozen: set[str] = set()
    for action in actions:
        if action.verb in ("partition", "block", "clog", "slow", "lossy"):
            broken = True
        elif action.verb == "heal":
            broken = False
        elif action.verb == "freeze":
            frozen.add(action.value)
        elif action.verb in ENDS_FREEZE:
            frozen.discard(action.value)
    return not broken and not frozen


def _calmer(scenario: Scenario) -> Iterator[Callable[[Scenario], Scenario]]:
    for field in ("loss", "duplicate", "reorder", "skew"):
        if getattr(scenario, field):
            yield lambda s, field=field: attrs.evolve(s, **{field: 0.0})  # type: ignore[misc]
    yield lambda s: attrs.evolve(s, latency="constant 0.001")
    yield lambda s: attrs.evolve(s, config={**s.config, "bits": 16})
    if any(action.verb in FAULTLESS for action in scenario.actions):
        yield lambda s: attrs.evolve(
            s, actions=tuple(a for a in s.actions if a.verb not in FAULTLESS)
        )
    if scenario.lookups or scenario.publish:
        yield lambda s: attrs.evolve(s, lookups=0, publish=False)


def report(outcome: PlayResult, original: Scenario) -> list[str]:
    """Describe a failure: what went wrong, by which history, and how to see it again."""
    scenario = outcome.scenario
    failure = outcome.failures[0] if outcome.failures else "no longer"
    config = scenario.protocol()
    network = (
        f"  {scenario.nodes} nodes start {scenario.start!r}, m = {config.bits} bits, "
        f"r = {config.successors} successors, latency {scenario.latency}, loss {scenario.loss}"
    )
    return [
        f"seed {original.seed} fails: {failure}",
        f"shortest history found, {len(scenario.actions)} of {len(original.actions)} actions:",
        network,
        *(f"  {action}" for action in scenario.actions),
    ]
