"""The operator's identity that commands show: renewed when it has become old."""

from __future__ import annotations

import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chordnet.cli.base.session import _identity
from chordnet.testbed.base.home import NetworkHome
from chordnet.trust.authority import Authority
from chordnet.trust.base.subjects import Role
from chordnet.trust.identity import Identity
from chordnet.trust.verifying import verify

DAY = 86_400.0


class OperatorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = NetworkHome(Path(self.mktemp()), "default")

    def begin(self, days_ago: float) -> Authority:
        then = time.time() - days_ago * DAY
        authority = Authority.create("default", then)
        authority.save(self.home.authority_directory)
        authority.identity(Role.OPERATE, "operator", then).save(self.home.operator_directory)
        return authority

    def test_one_that_is_fresh_is_shown_as_it_is(self) -> None:
        self.begin(2)
        before = Identity.load(self.home.operator_directory)
        self.assertEqual(_identity(self.home).chain, before.chain)

    def test_after_forty_days_it_is_renewed_by_the_authority_that_is_here(self) -> None:
        authority = self.begin(40)
        identity = _identity(self.home)
        self.assertEqual(verify(identity.chain, authority.bundle, time.time()).name, "operator")
        self.assertEqual(Identity.load(self.home.operator_directory).chain, identity.chain)
        self.assertEqual(_identity(self.home).chain, identity.chain)

    def test_without_the_authority_it_stays_what_it_is(self) -> None:
        self.begin(40)
        (self.home.authority_directory / "authority.json").unlink()
        before = Identity.load(self.home.operator_directory)
        self.assertEqual(_identity(self.home).chain, before.chain)

    def test_one_that_another_command_has_replaced_is_read_again(self) -> None:
        authority = self.begin(1)
        _identity(self.home)
        new = authority.identity(Role.OPERATE, "operator", time.time())
        new.save(self.home.operator_directory)
        self.assertEqual(_identity(self.home).chain, new.chain)
