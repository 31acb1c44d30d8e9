"""Many runs of the broadcast campaign on all cores, and their sum."""

from __future__ import annotations

import gc
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from statistics import median

import attrs

from chordnet.sim.campaign.run import CampaignResult, CampaignRun, Plan
from chordnet.sim.world.workers import worker_context


def play(plan: Plan, seed: int) -> CampaignResult:
    """Run ``plan`` with ``seed``, and measure the processor time."""
    began = time.process_time()
    result = CampaignRun(plan, seed).play()
    result = attrs.evolve(result, cpu_s=round(time.process_time() - began, 3))
    # A network is one large cycle of references, and the collector is off in workers: free it here.
    gc.collect()
    return result


def results(plan: Plan, seeds: Sequence[int], jobs: int) -> Iterator[CampaignResult]:
    """Play ``seeds`` in ``jobs`` processes; the results come as they are ready, in any order."""
    if jobs == 1:
        for seed in seeds:
            yield play(plan, seed)
        return
    context = worker_context()
    with context.Pool(jobs, _worker) as pool, closing(pool):
        yield from pool.imap_unordered(partial(play, plan), seeds)


def _worker() -> None:
    # Ctrl-C is for the parent process, which ends the workers. And searching a whole network for
    # garbage again and again costs a fifth of the time and finds little.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()


@attrs.frozen(kw_only=True)
class Row:
    """The sum of the runs of one plan."""

    plan: Plan
    seeds: int
    failed: tuple[int, ...]
    """Seeds of the runs in which something went wrong."""
    survivors: int
    missed: int
    twice: int
    untrue: int
    records: int
    """Routes that were checked edge by edge, those of nodes that died later included."""
    repaired: int
    """Records that came by an edge of a repair."""
    caught_up: int
    receipts: int
    partial: int
    unreached: int
    lacked: int
    """Live members that lacked a message when a receipt came that was not partial."""
    early: int
    """Receipts of that kind."""
    orphans_held: int
    """Origins that died without a receipt, and whose message every live node has."""
    orphans_lost: int
    """Origins that died without a receipt, and whose message no node has."""
    bcasts: tuple[int, int]
    """Fewest and most in a run."""
    answers: tuple[int, int]
    settled_s: tuple[float, float]
    """Median and longest time until all conditions held."""
    confirmed_s: tuple[float, float]
    """Median and longest time until the last receipt."""
    cpu_s: float
    """On average."""


def summed(plan: Plan, runs: Iterable[CampaignResult]) -> Row:
    """Sum up runs of ``plan``, one at least."""
    each = list(runs)
    edges: Counter[str] = Counter()
    for run in each:
        edges.update(run.edges)
    edges.pop("borrowed", None)
    orphans = sum(plan.broadcasts - run.receipts for run in each)
    lost = sum(run.lost for run in each)
    return Row(
        plan=plan,
        seeds=len(each),
        failed=tuple(sorted(run.seed for run in each if not run.ok)),
        survivors=sum(run.live for run in each),
        missed=sum(run.missed for run in each),
        twice=sum(run.twice for run in each),
        untrue=sum(run.untrue for run in each),
        records=edges.total() + plan.broadcasts * len(each),
        repaired=sum(run.repairs for run in each),
        caught_up=edges["caught_up"],
        receipts=sum(run.receipts for run in each),
        partial=sum(run.partial for run in each),
        unreached=sum(run.unreached for run in each),
        lacked=sum(run.lacked for run in each),
        early=sum(run.early for run in each),
        orphans_held=orphans - lost,
        orphans_lost=lost,
        bcasts=_ends(run.bcasts for run in each),
        answers=_ends(run.answers for run in each),
        settled_s=_times(run.settled_s for run in each),
        confirmed_s=_times(run.confirmed_s for run in each),
        cpu_s=sum(run.cpu_s for run in each) / len(each),
    )


def _ends(numbers: Iterable[int]) -> tuple[int, int]:
    found = list(numbers)
    return min(found), max(found)


def _times(seconds: Iterable[float | None]) -> tuple[float, float]:
    found = [each for each in seconds if each is not None]
    return (median(found), max(found)) if found else (float("nan"), float("nan"))
