"""Long random histories of a small network, invented and shortened by Hypothesis.

A failure prints the shortest steps that lead to it and the line that replays it
(``@reproduce_failure`` or the seed). ``CHORDNET_SEED`` sets the seed, which is always printed;
``CHORDNET_SIM_LONG=1`` plays many more and longer histories.
"""

from __future__ import annotations

import os

import hypothesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.effects import BroadcastDone, LookupDone
from chordnet.core.base.events import Begin
from chordnet.core.base.messages import Status
from chordnet.judge.invariants import ideal_successor
from chordnet.sim.scenarios.watch import Watch
from chordnet.sim.world.network import Network
from tests.sim.support import LONG

SEED = int(os.environ.get("CHORDNET_SEED", "20170304"))
NAMES = [f"n{number}" for number in range(1, 9)]
BOOTSTRAP = NAMES[:2]
BITS = 5
SETTLED_S = 240.0
"""Virtual time in which the ring is right again, whatever came before."""
SETTINGS = settings(
    max_examples=300 if LONG else 15,
    stateful_step_count=80 if LONG else 25,
    deadline=None,
    database=None,
    print_blob=True,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)

running = st.sampled_from(NAMES)
pauses = st.sampled_from([0.01, 0.1, 0.7, 3.0])


class Histories(RuleBasedStateMachine):
    """A few nodes on a ring of 32 identifiers, with lists of three."""

    published = Bundle("published")
    settled_s = SETTLED_S

    @initialize(
        seed=st.integers(0, 2**32), identifiers=st.permutations(range(1 << BITS)),
        first=st.integers(1, 6),
    )  # fmt: skip
    def begin(self, seed: int, identifiers: list[int], first: int) -> None:
        config = ProtocolConfig(bits=BITS, successors=3)
        self.network = Network(seed, config)
        self.watch = Watch(self.network)
        self.identifiers = dict(zip(NAMES, identifiers, strict=False))
        self.asked: dict[int, str] = {}
        for name in NAMES[:first]:
            self.start(name)

    def start(self, name: str) -> None:
        self.network.add(name, BOOTSTRAP, identifier=self.identifiers[name])

    def runs(self, name: str) -> bool:
        host = self.network.hosts.get(name)
        return host is not None and host.runs

    def alive(self, name: str) -> bool:
        return self.runs(name) and not self.network.hosts[name].frozen

    # ---- what may happen --------------------------------------------------------------------

    @rule(name=running)
    def start_or_restart(self, name: str) -> None:
        if name not in self.network.hosts:
            self.start(name)
        elif not self.runs(name):
            self.network.restart(name)

    @rule(name=running, disk=st.booleans())
    def crash_and_come_back(self, name: str, disk: bool) -> None:
        if self.runs(name):
            self.network.restart(name, disk=disk)

    @rule(name=running, silent=st.booleans())
    def kill(self, name: str, silent: bool) -> None:
        if self.runs(name):
            self.network.kill(name, silent=silent)

    @rule(name=running)
    def leave(self, name: str) -> None:
        if self.alive(name):
            self.network.leave(name)

    @rule(name=running)
    def freeze(self, name: str) -> None:
        if self.alive(name):
            self.network.freeze(name)

    @rule(name=running)
    def thaw(self, name: str) -> None:
        if self.runs(name):
            self.network.thaw(name)

    @rule(a=running, b=running)
    def sever(self, a: str, b: str) -> None:
        if a != b and self.runs(a) and self.runs(b):
            self.network.sever(a, b)

    @rule(side=st.sets(running, min_size=1, max_size=7))
    def partition(self, side: set[str]) -> None:
        self.network.partition(side, set(NAMES) - side)

    @rule()
    def heal(self) -> None:
        self.network.heal()

    @rule(target=published, name=running)
    def publish(self, name: str) -> object:
        if not self.alive(name) or self.network.hosts[name].node.status() != Status.ACTIVE:
            return multiple()
        op = self.network.publish(name, f"hello from {name}")
        return name, self.network.hosts[name], op

    @rule(name=running, key=st.integers(0, 2**BITS - 1))
    def look_up(self, name: str, key: int) -> None:
        if self.alive(name):
            self.asked[self.network.lookup(name, key)] = name

    @rule(seconds=pauses)
    def wait(self, seconds: float) -> None:
        self.network.run(seconds)

    @precondition(lambda self: len(self.network.live()) > 0)
    @rule(said=consumes(published))
    def receipt_comes(self, said: tuple[str, object, int]) -> None:
        """A sender that stays up is told what became of its message."""
        name, host, op = said
        self.network.run(self.network.config.broadcast_deadline_s + 5.0)
        if self.network.hosts[name] is host and self.alive(name) and not host.frozen:
            assert isinstance(host.done[op], BroadcastDone), f"no receipt for {name}"

    # ---- what must hold ---------------------------------------------------------------------

    @invariant()
    def no_step_breaks_the_ring(self) -> None:
        if hasattr(self, "watch"):
            assert not self.watch.violations, "\n".join(self.watch.violations)

    def teardown(self) -> None:
        if not hasattr(self, "network"):
            return
        network = self.network
        network.heal()
        for host in list(network.live()):
            network.thaw(host.ref.address)
        if not self.runs(BOOTSTRAP[0]):
            self.start_or_restart(BOOTSTRAP[0])
        if len(network.live()) == 1:
            # It waits for its peers; whoever wants a network of one node says so.
            network._step(network.hosts[BOOTSTRAP[0]], Begin())
        right = network.run(self.settled_s, until=lambda: not network.problems())
        assert right, network.problems()
        assert not self.watch.violations, "\n".join(self.watch.violations)
        self._lookups_are_right()

    def _lookups_are_right(self) -> None:
        network = self.network
        members = sorted(host.ref.id for host in network.live())
        asked = [
            (host, key, network.lookup(host.ref.address, key))
            for host in network.live()
            for key in range(0, 1 << BITS, 5)
        ]
        network.run(network.config.lookup_deadline_s + 1.0)
        for host, key, op in asked:
            done = host.done[op]
            assert isinstance(done, LookupDone)
            assert done.owner is not None, done.reason
            assert done.owner.id == ideal_successor(members, key)


class Impatient(Histories):
    """Gives the ring no time to become right."""

    settled_s = 0.0


class RandomHistories(SynchronousTestCase):
    """trial does not find state machines by itself."""

    def play(self, histories: type[Histories]) -> None:
        print(f"CHORDNET_SEED={SEED}")  # noqa: T201  a random test says how to repeat it
        hypothesis.seed(SEED)(histories)
        run_state_machine_as_test(histories, settings=SETTINGS)

    def test_random_histories_hold(self):
        self.play(Histories)

    def test_a_history_can_fail(self):
        with self.assertRaises(AssertionError):
            self.play(Impatient)
