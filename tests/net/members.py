"""Whole secured networks in memory and in virtual time, with issuers, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import ChordnetError
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.turn import Turn
from chordnet.net.enrol.asking import AskSettings, ask_all
from chordnet.net.enrol.membership import Membership
from chordnet.net.enrol.talks import Gift, JoinTalk
from chordnet.service import ChordService
from chordnet.testing import MemoryNetwork
from chordnet.trust.enrolment import Newcomer
from chordnet.trust.tokens import read_token
from tests.unit.trust_support import NOW, make_network


def address_of(name: str) -> str:
    """Return where a node listens: ``n3`` at ``10.0.0.3:7001``."""
    return f"10.0.0.{name.removeprefix('n')}:7001"


class SecuredNetwork:
    """Nodes ``n1``, ``n2`` and so on, each with the directory of its identity.

    :param issuers: how many of the first nodes issue certificates.
    """

    def __init__(
        self, case: SynchronousTestCase, count: int, *, issuers: int = 1, seed: int = 1
    ) -> None:
        self.case = case
        self.net = MemoryNetwork(Clock())
        self.net.wall = NOW
        names = [f"n{at}" for at in range(1, count + 1)]
        self.trust = make_network(names, issuers=issuers, seed=seed)
        self.authority = self.trust.authority
        self.root = Path(case.mktemp())
        self.nodes: dict[str, ChordService] = {}
        for name in names:
            # Issuers are named in the bundle, which has changed since the identities were made.
            self.trust[name].with_bundle(self.authority.bundle).save(self.root / name)
        for name, issuer in self.trust.issuers.items():
            issuer.save(self.root / name)

    @property
    def now(self) -> float:
        return self.net.wall + self.net.clock.seconds()

    def start(self, *names: str, **options: Any) -> None:
        """Start nodes; by default all. They join through the first one."""
        for name in names or sorted(self.trust.identities):
            peers = [] if name == "n1" else [address_of("n1")]
            node = self.net.service(address_of(name), peers, identity=self.root / name, **options)
            self.nodes[name] = node
            node.startService()
            self.case.addCleanup(self.stop, name)
        self.net.run(1.0)

    def stop(self, name: str) -> None:
        node = self.nodes.pop(name, None)
        if node is not None:
            node.stopService()
            self.net.run(0.5)

    def membership(self, name: str) -> Membership:
        node = self.nodes[name].node
        assert node is not None
        assert node.membership is not None
        return node.membership

    def later(self, days: float) -> None:
        """Move every wall clock, and have the nodes look at their certificates."""
        self.net.wall += days * 86_400
        for name in self.nodes:
            self.membership(name).renewal.hurry()
        self.net.run(6.0)

    def invite(self, at: str, role: str = "peer", **how: Any) -> str:
        settings = {"name": "", "prefix": "", "uses": 1, "lifetime_s": 3600.0, **how}
        return self.membership(at).invite(role, **settings)[0]

    def join(
        self, token: str, wish: str = "", *, peer: bool = True, source: str = "10.0.0.99:7001"
    ) -> Gift:
        """Enrol from a host of its own.

        :raises ChordnetError: nobody has given a certificate.
        """
        clock = self.net.clock
        read = read_token(token)
        settings = AskSettings(
            clock,  # type: ignore[arg-type]
            Turn(clock, self.case.fail),
            NetworkLimits(),
            self.net.dialling_from("10.0.0.99:7001"),  # type: ignore[arg-type]
        )
        talk = JoinTalk(Newcomer(read, wish, peer), lambda: self.now)
        return self.outcome(Deferred.fromCoroutine(ask_all(settings, talk, read.addresses)))

    def outcome(self, waiting: Deferred[Any], seconds: float = 20.0) -> Any:
        """Return what a Deferred fires with, or raise what it fails with."""
        results: list[Any] = []
        waiting.addBoth(results.append)
        for _ in range(round(seconds / 0.1)):
            if results:
                break
            self.net.run(0.1)
        self.case.assertEqual(len(results), 1)
        if isinstance(results[0], Failure):
            error = results[0].value
            assert isinstance(error, ChordnetError), results[0]
            raise error
        return results[0]
