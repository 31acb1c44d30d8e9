"""Figures and defaults of the simulator, its searches and the store, as they are meant to be.

A test that uses a limit's own constant notices nothing when the constant is wrong.
"""

from __future__ import annotations

import importlib
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from chordnet.sim.campaign.liar import FLOATS
from chordnet.sim.measured.published import CHURN, FAILURES

FIGURES: dict[str, dict[str, Any]] = {
    "client.keys": {"REQUEST_BYTES": 16, "MARGIN_S": 2.0},
    "core.store.slot.reconfigure": {"FINISH_AFTER_S": 1.0},
    "core.store.base.messages": {"PAGE_BYTES": 65_536},
    "core.store.base.founding": {
        "SLOTS": 256, "MOST_SLOTS": 4096, "REPLICAS": 3, "MOST_REPLICAS": 9, "MOST_FOUNDERS": 9,
        "FIRST_GENERATION": 1, "FIRST_EPOCH": 1,
    },
    "core.store.base.records": {"MOST_REQUESTS": 16},
    "judge.store.glance": {"SHOWN": 3},
    "judge.store.history": {"MAX_LINE_BYTES": 1048576, "MAX_TEXT_BYTES": 64, "DIGEST_BYTES": 16},
    "judge.store.registers": {
        "MAX_STEPS": 2_000_000, "MAX_REMEMBERED": 5_000_000, "MAX_OPERATIONS": 1_000_000,
    },
    "net.store.keys": {"MAX_OPERATIONS": 4096, "REQUEST_BYTES": 16},
    "net.store.records": {"_CHECKPOINT_AT_REST": 128, "_CHECKPOINT_SOON": 512},
    "sim.__main__": {"TELL_S": 10.0},
    "sim.store.clients": {"TIMEOUT_S": 2.0, "PATIENCE_S": 3.0, "PAUSE_S": 0.2},
    "sim.store.trials": {"LEAVE_S": 3.0, "RECOVERY_S": 60.0, "FORMING_S": 30.0},
    "sim.store.world": {"SUCCESSORS": 6, "NOTICE_S": 1.5, "REFUSED_S": 0.002},
    "storage.store.disk": {"AHEAD_ENTRIES": 1024, "AHEAD_BYTES": 2_097_152},
    "wire.keys": {"_SHOWN": 60, "_LONGEST_INT": 64},
    "sim.campaign.byzantine": {
        "FEWEST": 8, "MOST": 16, "BEFORE_S": 1.5, "ATTACK_S": 4.0, "ACTS": 12, "MESSAGES": 3,
        "WITHIN_S": 35.0, "QUIET_S": 4.0, "POLL_S": 0.1, "MOST_STEPS": 400_000,
        "MOST_BYTES": 8_388_608, "MOST_DIALS": 400, "MOST_RESENT": 50, "RESENT_EACH": 10,
        "MOST_LINES": 400, "MOST_COMPARISONS": 3.0,
    },
    "sim.campaign.byzantine_command": {"SHOWN": 3, "MOST_SHOWN": 10},
    "sim.campaign.command": {"FORMAT": 1, "TELL_S": 30.0, "SHOWN": 5},
    "sim.campaign.evidence": {"MAX_FAULTS": 20},
    "sim.campaign.liar": {
        "SEEN": 200, "FAR": (2**20, 2**40, 2**60, 2**62 - 1), "HUGE": 250_000,
        "NUMBERS": (
            0, 1, 2, 255, 65536, 2**32 - 1, 2**20, 2**40, 2**60, 2**62 - 1, 2**63 - 1, -1, -(2**63),
        ),
    },
    "sim.campaign.run": {
        "MOST_NODES": 100_000, "TREE_S": 0.025, "REPAIR_S": 2.5, "BEFORE_S": 0.1, "POLL_S": 0.02,
        "INSTANT_S": 0.003, "FREEZE_S": 6.0, "MOST_PARTED_S": 20.0, "CONTACTS": 2,
        "_SALT": 11400714819323198485,
    },
    "sim.measured.churn": {"FEWEST": 3, "MOST_CHANGES": 1_000_000, "SHAPES": (0.2, 50.0)},
    "sim.measured.experiment": {
        "MOST_NODES": 100_000, "MOST_JUDGED": 20_000, "MOST_LOOKUPS": 10_000_000, "CONTACTS": 4,
        "SAMPLES": 60, "QUIET_PART": 0.9, "AFTERMATH_S": 60.0,
    },
    "sim.measured.paper": {
        "JUDGED_S": 1800.0, "SHOWN_S": 1200.0, "QUICK_S": 120.0, "QUICK_WARM_UP_S": 60.0,
        "LOOKUPS": 10_000, "QUICK_LOOKUPS": 200,
    },
    "sim.measured.paper_runs": {
        "NEVER_S": 1e7, "STABILISE_S": 30.0, "PASS_S": 1380.0, "TIMEOUT_S": 0.5,
        "WARM_UP_S": 2760.0,
    },
    "sim.measured.published": {
        "SEEDS": range(1, 21), "QUICK_SEEDS": range(1, 5), "NODES": 1000, "SUCCESSORS": 20,
        "IDEAL_TOLERANCE": 0.03, "PATH_TOLERANCE": 0.04, "TIMEOUT_TOLERANCE": 0.20,
        "KEYS_TOLERANCE": 0.10, "PERCENTILE_APART": 1.0, "ERRORS_GRANTED": 6.0,
        "ESTIMATES": {0.1: 0.45, 0.2: 1.06, 0.3: 1.90, 0.4: 3.13, 0.5: 5.06},
        "KEYS": {1: (0.01, 4.6), 20: (0.51, 1.65)},
        "PATHS": {
            10: (4.84, 1.50), 12: (5.86, 1.68), 14: (6.86, 1.81), 16: (7.86, 1.93),
            18: (8.87, 2.07), 20: (9.83, 2.18),
        },
    },
    "sim.scenarios.checker": {"SMALL": 64},
    "sim.scenarios.generate": {"WITHIN_S": 45.0, "LOSSES": (0.0, 0.0, 0.0, 0.001, 0.01, 0.05)},
    "sim.scenarios.play": {
        "LARGE": 64, "STORM": 50_000, "HOLD_S": 3.0, "SHOWN": 5, "ASK_S": 25.0,
        "BROADCAST_S": 45.0, "CATCH_UP_S": 60.0,
    },
    "sim.scenarios.shrink": {"MAX_PLAYS": 400},
    "sim.scenarios.watch": {"MARGIN_S": 1.0, "MAX_VIOLATIONS": 20},
    "sim.search.cell": {"LIVES": 8, "FRESH": 1, "NOBODY": -1},
    "sim.search.explore": {"MAX_ROUNDS": 64},
    "sim.search.step": {"STALE": 0},
    "sim.search.story": {"ROUNDS_TOLD": 3},
    "sim.search.telling": {
        "FINE": 0, "BROKEN": 1, "MISUSED": 2, "UNFINISHED": 3, "PROGRESS_S": 5.0,
    },
    "sim.world.asking": {"REFUSAL_S": 0.0005, "UNREACHABLE_S": 3.0},
    "sim.world.heap": {"MIB": 1_048_576},
    "sim.world.host": {"MAX_BACKLOG": 65536, "MAX_GIVEN": 512},
    "sim.world.network": {"ROUNDING_S": 1e-9},
    "sim.world.trace": {"WIDEST": 160},
    "sim.world.weather": {"MAX_CLOGGED": 65536},
}  # fmt: skip


DEFAULTS: dict[str, dict[str, Any]] = {
    "sim.campaign.byzantine.Told": {"at": 0.0, "took_s": 0.0, "taken": False, "spoken": False},
    "sim.campaign.liar.Liar": {"published": 0, "serves": True, "twisted_once": False},
    "sim.measured.tally.Look": {"timeouts": 0, "way_timeouts": 0, "failed": False},
    "sim.scenarios.soak.Tally": {
        "seeds": 0,
        "steps": 0,
        "checks": 0,
        "mistakes": 0,
        "virtual_s": 0.0,
        "slowest_s": 0.0,
        "slowest_seed": 0,
    },
    "sim.search.cell.Message": {"rid": 0, "status": 0, "predecessor": -1},
    "sim.search.cell.Stimulus": {"peer": -1, "rid": 0, "status": 0, "predecessor": -1},
    "sim.search.step.Action": {"other": -1},
    "sim.slots.judge.Past": {"version": 0},
    "sim.slots.world.Task": {"over": False, "bound": 0, "attempts": 0, "retried": False},
    "sim.slots.world.State": {"crashes": 0, "losses": 0},
    "sim.slots.world.Action": {"task": -1, "heard": True},
    "sim.world.host.Host": {
        "offset": 0.0,
        "rate": 1.0,
        "number": 0,
        "up": True,
        "frozen": False,
        "left": False,
        "latest": float("-inf"),
        "deaths": 0,
    },
    "sim.world.meter.Measured": {
        "took_s": 0.0,
        "path": 0,
        "timeouts": 0,
        "last_timeouts": 0,
        "done": False,
    },
}
"""Of tuples and of what changes; ``tests/unit/test_defaults.py`` has all others."""


def defaults(kind: type) -> dict[str, Any]:
    """Return what the fields of a class are, if they are numbers and nothing is said of them."""
    if attrs.has(kind):
        found = {field.name: field.default for field in attrs.fields(kind)}
    else:
        found = kind._field_defaults  # type: ignore[attr-defined]
    return {name: value for name, value in found.items() if isinstance(value, int | float)}


class FigureTests(SynchronousTestCase):
    def test_every_figure_is_what_it_is_meant_to_be(self) -> None:
        for module, figures in FIGURES.items():
            found = importlib.import_module(f"chordnet.{module}")
            for name, figure in figures.items():
                self.assertEqual(getattr(found, name), figure, f"{module}.{name}")

    def test_what_is_not_said_is_what_it_is_meant_to_be(self) -> None:
        for name, values in DEFAULTS.items():
            module, _, kind = name.rpartition(".")
            found = getattr(importlib.import_module(f"chordnet.{module}"), kind)
            self.assertEqual(defaults(found), values, name)

    def test_the_published_tables_are_what_was_published(self) -> None:
        failures = {dead: tuple(map(attrs.astuple, row)) for dead, row in FAILURES.items()}
        self.assertEqual(
            failures,
            {
                0.0: ((3.84, 2, 5), (0.0, 0, 0)), 0.1: ((4.03, 2, 6), (0.60, 0, 2)),
                0.2: ((4.22, 2, 6), (1.17, 0, 3)), 0.3: ((4.44, 2, 6), (2.02, 0, 5)),
                0.4: ((4.69, 2, 7), (3.23, 0, 8)), 0.5: ((5.09, 3, 8), (5.10, 0, 11)),
            },
        )  # fmt: skip
        churn = {
            rate: (*attrs.astuple(path), *attrs.astuple(timeouts), failed)
            for rate, (path, timeouts, failed) in CHURN.items()
        }
        self.assertEqual(
            churn,
            {
                0.05: (3.90, 1, 9, 0.05, 0, 2, 0), 0.10: (3.83, 1, 9, 0.11, 0, 2, 0),
                0.15: (3.84, 1, 9, 0.16, 0, 2, 2), 0.20: (3.81, 1, 9, 0.23, 0, 3, 5),
                0.25: (3.83, 1, 9, 0.30, 0, 3, 6), 0.30: (3.91, 1, 9, 0.34, 0, 4, 8),
                0.35: (3.94, 1, 10, 0.42, 0, 4, 16), 0.40: (4.06, 1, 10, 0.46, 0, 5, 15),
            },
        )  # fmt: skip

    def test_a_liar_says_every_kind_of_number_that_is_none(self) -> None:
        self.assertEqual(str(FLOATS), "(0.0, -1.0, 1e+300, nan, inf, -inf)")
