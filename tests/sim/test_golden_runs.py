"""What whole runs of small simulated rings come to, figure by figure.

``golden/runs.json`` has the figures of each run. They change with the protocol; a change on purpose
is written down anew with ``python -m tests.sim.test_golden_runs``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.store.base.safeguards import StoreSafeguards
from chordnet.sim.campaign import byzantine
from chordnet.sim.campaign.run import CampaignRun, Plan
from chordnet.sim.campaign.series import summed
from chordnet.sim.measured import churn
from chordnet.sim.measured.experiment import Experiment, Settings, as_json
from chordnet.sim.measured.paper_runs import LEFT_EMPTY, OURS, churned
from chordnet.sim.measured.tally import Tally
from chordnet.sim.scenarios.generate import generate
from chordnet.sim.scenarios.play import Play
from chordnet.sim.scenarios.scenario import Action, Scenario
from chordnet.sim.search import explore as rings
from chordnet.sim.search.step import Grain
from chordnet.sim.search.story import told as ring_told
from chordnet.sim.slots import explore as slots
from chordnet.sim.slots.plan import SlotPlan, jobs
from chordnet.sim.slots.story import told as slot_told
from tests.sim.support import scenario

GOLDEN = Path(__file__).parent / "golden" / "runs.json"


def digest(lines: Iterable[object]) -> str:
    return hashlib.blake2b("\n".join(map(str, lines)).encode(), digest_size=8).hexdigest()


def plain(value: Any) -> Any:
    """Return what JSON makes of a value, numbers rounded to what every platform agrees on."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


# ---- measured -------------------------------------------------------------------------------

MEASURED: dict[str, dict[str, Any]] = {
    "calm": {},
    "churn": {"churn": churn.poisson(0.2), "orderly": 0.5, "loss": 0.02},
    "quiet departures": {"churn": churn.weibull(30.0, 0.7), "orderly": 0.8, "quiet": True},
    "failures": {"failures": 0.3, "failures_at_s": 5.0, "latency": "lognormal 0.03 0.6"},
}


def measured(name: str) -> Any:
    usual = {"nodes": 14, "duration_s": 24.0, "lookups_per_s": 6.0, "seed": 3}
    document = as_json(Experiment(Settings(**usual | MEASURED[name])).run())
    document["course"] = digest(document["course"])
    return document


def paper(upkeep: str) -> Any:
    kept = {"ours": OURS, "left empty": LEFT_EMPTY}[upkeep]
    lookups = churned(0.05, 2, 120.0, upkeep=kept, nodes=24, warm_up_s=60.0)
    found = Tally.measured(lookups)
    return {
        "began": [lookups[0].began_s, lookups[-1].began_s],
        "looks": sorted([*look, times] for look, times in found.looks.items()),
    }


# ---- scenarios ------------------------------------------------------------------------------

ACTED = Scenario(
    name="everything", seed=4, nodes=8, skew=0.05, loss=0.01, duplicate=0.02, reorder=0.02,
    latency="uniform 0.001 0.02", lookups=12,
    actions=(
        Action(1.0, "freeze", "3"), Action(1.5, "lookup", "all"), Action(2.0, "thaw", "3"),
        Action(2.5, "partition", ["1..4", "5..8"]), Action(4.0, "publish", "2 6"),
        Action(5.0, "heal", True), Action(6.0, "kill", "1+1"), Action(7.0, "restart", "2"),
        Action(8.0, "vanish", "5"), Action(9.0, "add", "9..10"), Action(10.0, "leave", "4"),
        Action(11.0, "slow", ["6", "7", 0.2]), Action(11.5, "lossy", ["7", "8", 0.3]),
        Action(12.0, "block", ["8", "6"]), Action(12.5, "clog", ["9", "10"]),
        Action(13.5, "heal", True), Action(14.0, "sever", ["6", "7"]), Action(14.5, "loss", 0.0),
        Action(15.0, "restart_empty", "5"), Action(16.0, "restart_old", "7"),
    ),
)  # fmt: skip


def played(what: Scenario) -> Any:
    result = Play(what, hashed=True, history=40).run()
    document = attrs.asdict(result, filter=attrs.filters.exclude("scenario", "history"))
    return document | {"history": digest(result.history)}


# ---- campaigns ------------------------------------------------------------------------------

CAMPAIGNS = {
    "kills and joins": Plan(nodes=20, kills=0.2, joins=3),
    "freezes": Plan(nodes=20, joins=2, freezes=0.2, loss=0.02),
    "a partition": Plan(nodes=20, joins=2, parted_s=2.0, broadcasts=2),
    "a dying origin": Plan(nodes=20, joins=1, broadcasts=2, origin_dies=True),
    "no repair": Plan(nodes=20, kills=0.2, joins=2, crippled=True, within_s=5.0),
}


def campaigned(name: str) -> Any:
    plan = CAMPAIGNS[name]
    runs = [attrs.evolve(CampaignRun(plan, seed).play(), cpu_s=0.5 + seed) for seed in range(2)]
    row = attrs.asdict(summed(plan, runs), filter=attrs.filters.exclude("plan"))
    return {"runs": [attrs.asdict(run) for run in runs], "row": row}


def attacked(kind: str, seed: int) -> Any:
    # How many bytes are held is the interpreter's own affair.
    return attrs.asdict(byzantine.play(kind, seed), filter=attrs.filters.exclude("bytes"))


# ---- searches -------------------------------------------------------------------------------

RINGS: dict[str, dict[str, Any]] = {
    "three of four, notifications": {"first": 3, "lives": 1, "max_states": 400},
    "messages": {"nodes": 3, "grain": Grain.MESSAGE, "max_states": 300},
    "operations": {"grain": Grain.OPERATION, "max_states": 500, "successors": 1},
    "five places": {"nodes": 5, "first": 2, "max_states": 150, "successors": 3},
    "without a whole list": {"off": "whole_list"},
    "without a second look": {"off": "recheck_place"},
    "without asking": {"off": "ask_before_adopting whole_list", "first": 2, "keep_base": False},
}


def ring(name: str) -> Any:
    words = dict(RINGS[name])
    off = words.pop("off", "").split()
    plan = rings.Plan(**words)
    guards = attrs.evolve(plan.safeguards, **dict.fromkeys(off, False))
    search = rings.Search(attrs.evolve(plan, safeguards=guards))
    return verdict(search.run(), lambda found: ring_told(search, found))


SLOTS: dict[str, dict[str, Any]] = {
    "put@A,delete@B,get@C": {"deadlines": True, "max_states": 2500},
    "create@A,put@B": {"attempts": 2, "max_states": 2500},
    "put@A,get@B": {"every_message": True, "max_states": 2500},
    "put@A,change@B:CD": {"nodes": 4, "crashes": 1, "max_states": 2000},
    "put@A,get@C": {"retries": True, "deadlines": True, "losses": 1, "max_states": 2000},
    "put@A,get@B,get@C": {"off": "second_phase"},
    "put@A/AB,change@B:AD": {"off": "installed_first", "nodes": 4},
    "put@A,put@C,get@B": {"off": "promise_on_disk", "crashes": 1},
    "put@A/AC,get@B": {"off": "store_id", "losses": 1},
    "change@A:CD,change@B:C-": {"nodes": 4, "every_message": True, "max_states": 1500},
    "put@A,get@B,change@A:AB": {"off": "seal", "nodes": 2, "members": 1},
}


def slot(text: str) -> Any:
    words = dict(SLOTS[text])
    off = words.pop("off", "").split()
    guards = StoreSafeguards(**dict.fromkeys(off, False))
    search = slots.Search(SlotPlan(jobs=jobs(text), safeguards=guards, **words))
    return verdict(search.run(), lambda found: slot_told(search, found))


def verdict(found: Any, told: Callable[[Any], Iterator[str]]) -> Any:
    kept = attrs.asdict(found, filter=attrs.filters.exclude("history"), recurse=False)
    broken = found.broken
    story = list(told(found)) if broken is not None else []
    return kept | {"broken": broken and broken.value, "story": story}


# ---- all of them ----------------------------------------------------------------------------


def runs() -> dict[str, dict[str, Callable[[], Any]]]:
    """Return every run, by its kind and its name."""
    scenarios = {
        "everything": ACTED,
        "one by one": attrs.evolve(scenario("one-by-one"), seed=5),
        "loopy": scenario("loopy"),
        **{f"seed {seed}": generate(seed) for seed in (2, 5, 11)},
    }
    liars = (("mutate", 1), ("mixed", 2), ("replay", 3), ("covered", 4))
    return {
        "measured": {name: partial(measured, name) for name in MEASURED},
        "paper": {name: partial(paper, name) for name in ("ours", "left empty")},
        "played": {name: partial(played, each) for name, each in scenarios.items()},
        "campaign": {name: partial(campaigned, name) for name in CAMPAIGNS},
        "byzantine": {f"{kind} {seed}": partial(attacked, kind, seed) for kind, seed in liars},
        "ring": {name: partial(ring, name) for name in RINGS},
        "slot": {text: partial(slot, text) for text in SLOTS},
    }


class RunTests(SynchronousTestCase):
    maxDiff = None

    def assert_golden(self, kind: str) -> None:
        golden = json.loads(GOLDEN.read_text("utf-8"))[kind]
        found = runs()[kind]
        self.assertEqual(set(found), set(golden))
        for name, run in found.items():
            self.assertEqual(plain(run()), golden[name], name)

    def test_measured_runs_come_to_what_they_came_to(self) -> None:
        self.assert_golden("measured")

    def test_runs_at_the_published_pace_come_to_what_they_came_to(self) -> None:
        self.assert_golden("paper")

    def test_played_scenarios_come_to_what_they_came_to(self) -> None:
        self.assert_golden("played")

    def test_campaigns_come_to_what_they_came_to(self) -> None:
        self.assert_golden("campaign")

    def test_rings_with_a_liar_come_to_what_they_came_to(self) -> None:
        self.assert_golden("byzantine")

    def test_searches_of_rings_come_to_what_they_came_to(self) -> None:
        self.assert_golden("ring")

    def test_searches_of_slots_come_to_what_they_came_to(self) -> None:
        self.assert_golden("slot")


if __name__ == "__main__":
    every = {
        kind: {name: plain(run()) for name, run in found.items()} for kind, found in runs().items()
    }
    GOLDEN.write_text(json.dumps(every, indent=1) + "\n", encoding="utf-8")
