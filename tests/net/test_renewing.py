"""The renewal of certificates over weeks of virtual time, without connections."""

from __future__ import annotations

from pathlib import Path
from random import Random

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import ConnectFailed
from chordnet.net.enrol.renewing import LOOK_S, RETRY_MAX_S, Renewal
from chordnet.net.tls.credentials import Credentials
from chordnet.trust.base.subjects import Role
from chordnet.trust.identity import Identity
from chordnet.trust.issuing import Issuer
from chordnet.trust.renewal import renew_at, why_renew
from chordnet.trust.verifying import verify
from tests.net.hosts import quiet_journal
from tests.unit.trust_support import DAY, HOUR, NOW, TrustedNetwork, make_network


class Member:
    """A node as far as renewal is concerned; issuers are asked without a delay."""

    def __init__(self, world: World, name: str, directory: Path | None = None) -> None:
        self.world = world
        self.name = name
        self.running = True
        self.asked = 0
        identity = world.trust[name].with_bundle(world.trust.bundle)
        if directory is not None:
            identity.save(directory)
        self.credentials = Credentials(identity, world.wall, directory)
        journal, self.lines = quiet_journal(world.clock)
        self.renewal = Renewal(
            world.clock,
            world.wall,
            self.credentials,
            issuer=lambda: world.trust.issuers.get(name),
            ask=self.ask,
            changed=self.credentials.replace,
            rng=Random(name),
            journal=journal,
        )
        self.renewal.start()

    def ask(self) -> Deferred[Identity]:
        self.asked += 1
        issuer = self.world.issuer()
        if issuer is None:
            return fail(ConnectFailed("no issuer answers"))
        old = self.credentials.current()
        chain = issuer.renew(old.key.public_key(), old.subject, self.world.wall())
        return succeed(old.with_chain(chain))

    @property
    def until(self) -> float:
        """Days from the beginning until the certificate ends."""
        return (self.credentials.subject.until - NOW) / DAY


class World:
    def __init__(self, case: SynchronousTestCase, names: list[str], issuers: int = 2) -> None:
        self.clock = Clock()
        self.skew = 0.0
        self.trust: TrustedNetwork = make_network(names, issuers=issuers)
        self.members: dict[str, Member] = {}
        case.addCleanup(lambda: [each.renewal.stop() for each in self.members.values()])

    def wall(self) -> float:
        return NOW + self.clock.seconds() + self.skew

    def add(self, name: str, directory: Path | None = None) -> Member:
        self.members[name] = Member(self, name, directory)
        return self.members[name]

    def issuer(self) -> Issuer | None:
        """Return the issuer of a member that runs."""
        running = (name for name, each in self.members.items() if each.running)
        return next((self.trust.issuers[n] for n in running if n in self.trust.issuers), None)

    def pass_days(self, days: float) -> None:
        for _ in range(round(days * DAY / LOOK_S)):
            self.clock.advance(LOOK_S)


class RenewingTests(SynchronousTestCase):
    def test_a_network_left_alone_for_forty_days_goes_on(self):
        world = World(self, ["n1", "n2", "n3", "n4"])
        for name in world.trust.identities:
            world.add(name)
        for _ in range(40):
            world.pass_days(1)
            for each in world.members.values():
                verify(each.credentials.current().chain, world.trust.bundle, world.wall())
        for each in world.members.values():
            self.assertGreater(each.until, 44)
            self.assertEqual(each.renewal.problem, "")
        self.assertLessEqual(max(each.asked for each in world.members.values()), 3)

    def test_renewals_of_many_nodes_are_spread(self):
        identity = make_network(["n1"])["n1"]
        first, last = renew_at(identity, 0.0), renew_at(identity, 1.0)
        self.assertAlmostEqual((first - NOW) / DAY, 15, places=1)
        self.assertEqual(last - first, DAY)

    def test_without_an_issuer_it_is_tried_again_and_again_and_the_reason_is_told(self):
        world = World(self, ["n1", "n3"], issuers=1)
        issuer, member = world.add("n1"), world.add("n3")
        issuer.running = False
        world.pass_days(20)
        self.assertIn("no issuer answers", member.renewal.problem)
        self.assertIn("is not renewed", member.renewal.problem)
        attempts = member.asked
        world.pass_days(1)
        self.assertLessEqual(member.asked - attempts, DAY / RETRY_MAX_S * 2)
        self.assertGreaterEqual(member.asked - attempts, 12)
        self.assertLess(len(member.lines), 9000)
        issuer.running = True
        world.pass_days(0.2)
        self.assertEqual(member.renewal.problem, "")
        self.assertGreater(member.until, 50)

    def test_the_only_issuer_renews_its_own_certificate(self):
        world = World(self, ["n1"], issuers=1)
        member = world.add("n1")
        world.pass_days(17)
        self.assertGreater(member.until, 44)
        self.assertEqual(member.asked, 0)

    def test_a_clock_that_is_an_hour_off_changes_nothing(self):
        for skew in (-HOUR + 60, HOUR):
            world = World(self, ["n1", "n2", "n3"])
            world.skew = skew
            for name in world.trust.identities:
                world.add(name)
            world.pass_days(17)
            for each in world.members.values():
                verify(each.credentials.current().chain, world.trust.bundle, world.wall() - skew)

    def test_an_identity_that_somebody_has_put_in_its_place_is_taken_over(self):
        world = World(self, ["n1", "n3"], issuers=1)
        directory = Path(self.mktemp()) / "identity"
        member = world.add("n3", directory)
        world.pass_days(2)
        old = member.credentials.current()
        root = world.trust.authority.root
        chain = root.renew(old.key.public_key(), old.subject, world.wall())
        old.with_chain(chain).save(directory)
        world.pass_days(0.1)
        self.assertEqual(member.credentials.current().chain, chain)

    def test_what_is_put_there_and_cannot_be_used_is_told_and_changes_nothing(self):
        world = World(self, ["n1", "n3"], issuers=1)
        directory = Path(self.mktemp()) / "identity"
        member = world.add("n3", directory)
        before = member.credentials.current()
        (directory / "certificate.pem").write_text("nothing")
        world.pass_days(0.1)
        self.assertIs(member.credentials.current(), before)
        self.assertTrue([line for line in member.lines if "did not take" in line])

    def test_a_revocation_that_begins_later_has_connections_judged_again_when_it_does(self):
        world = World(self, ["n1", "n3"], issuers=1)
        member = world.add("n3")
        bundle = world.trust.authority.revoke(world.wall(), name="n1", start=world.wall() + HOUR)
        member.credentials.replace(member.credentials.current().with_bundle(bundle))
        told: list[float] = []
        member.credentials.subscribe(lambda: told.append(world.clock.seconds()))
        world.pass_days(0.5)
        self.assertEqual(len(told), 1)
        self.assertTrue(HOUR <= told[0] <= HOUR + 2 * LOOK_S)

    def test_each_reason_to_renew_is_told(self):
        network = make_network(["n1", "n2"], issuers=1)
        identity = network["n2"].with_bundle(network.bundle)
        self.assertEqual(why_renew(identity, NOW, 0.5), "")
        self.assertIn("half", why_renew(identity, NOW + 16 * DAY, 0.5))
        by_issuer = identity.with_chain(
            network.issuers["n1"].renew(identity.key.public_key(), identity.subject, NOW)
        )
        self.assertEqual(why_renew(by_issuer, NOW, 0.5), "")
        revoked = network.authority.revoke(NOW, name="n1", start=NOW + HOUR)
        self.assertIn("issuer is revoked", why_renew(by_issuer.with_bundle(revoked), NOW, 0.5))
        both = network.authority.begin_rotation(NOW)
        self.assertIn("new root", why_renew(identity.with_bundle(both), NOW, 0.5))
        new = network.authority.identity(Role.PEER, "n2", NOW)
        self.assertEqual(why_renew(new, NOW, 0.5), "")


class RefreshTests(SynchronousTestCase):
    """What another program has put into the directory of a client's identity."""

    def setUp(self) -> None:
        self.network = make_network()
        self.directory = Path(self.mktemp())
        self.old = self.network.client(Role.SEND)
        self.old.save(self.directory)
        self.credentials = Credentials(self.old, lambda: NOW, self.directory)

    def test_it_is_shown_from_then_on(self):
        self.credentials.refresh()
        self.assertIs(self.credentials.current(), self.old)
        root = self.network.authority.root
        chain = root.renew(self.old.key.public_key(), self.old.subject, NOW)
        self.old.with_chain(chain).save(self.directory)
        self.credentials.refresh()
        self.assertEqual(self.credentials.current().chain, chain)
        bundle = self.network.authority.revoke(NOW, name="x")
        self.credentials.current().with_bundle(bundle).save_bundle(self.directory)
        self.credentials.refresh()
        self.assertEqual(self.credentials.current().bundle, bundle)

    def test_what_is_damaged_or_somebody_else_s_is_not(self):
        self.network.client(Role.SEND, "other").save(self.directory)
        self.credentials.refresh()
        self.assertIs(self.credentials.current(), self.old)
        (self.directory / "certificate.pem").write_text("nothing")
        self.credentials.refresh()
        self.assertIs(self.credentials.current(), self.old)
        Credentials(self.old).refresh()
