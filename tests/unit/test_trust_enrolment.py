"""Tokens, invitations, and what issuer and newcomer decide."""

from __future__ import annotations

from pathlib import Path

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import Busy, ConfigError
from chordnet.trust.base.bundle import Bundle
from chordnet.trust.base.certificates import new_key
from chordnet.trust.base.errors import IdentityError, Refusal, Untrusted
from chordnet.trust.base.subjects import Role, line_text
from chordnet.trust.enrolment import Newcomer, Registrar, accept_renewal, check_usable
from chordnet.trust.invitations import (
    MOST_GRANTS,
    MOST_INVITATIONS,
    SUFFIX_LETTERS,
    Asked,
    Invitations,
)
from chordnet.trust.tokens import Token, authority_hash, read_token
from chordnet.trust.verifying import verify
from tests.unit.trust_support import DAY, HOUR, NOW, TrustedNetwork, make_network, seeded

EXPORTER = b"e" * 32


def nowhere(_data: bytes) -> None:
    """Write a table down nowhere."""


class Tokens(SynchronousTestCase):
    def setUp(self) -> None:
        self.token = Token(("10.0.0.5:7001", "[::1]:7002"), b"a" * 16, b"i" * 8, b"s" * 16)

    def complaint(self, text: str) -> str:
        with self.assertRaises(ConfigError) as caught:
            read_token(text)
        self.assertNotIn("\n", str(caught.exception))
        return str(caught.exception)

    def test_a_token_comes_back_from_its_word_in_any_case_and_with_space_around(self):
        word = str(self.token)
        self.assertRegex(word, "^chordnet1-[a-z2-7]+$")
        for text in (word, word.upper(), f"  {word}\n"):
            self.assertEqual(read_token(text), self.token)

    def test_its_secret_is_not_shown_by_accident(self):
        self.assertNotIn("ssss", repr(self.token))

    def test_every_single_mistyped_letter_is_told(self):
        word = str(self.token)
        for at in range(len("chordnet1-"), len(word)):
            other = "a" if word[at] != "a" else "b"
            self.assertIn("copy it again", self.complaint(word[:at] + other + word[at + 1 :]))

    def test_a_token_that_is_cut_or_is_none_is_told(self):
        word = str(self.token)
        self.assertIn("copy it again", self.complaint(word[:-1]))
        self.assertIn("copy it again", self.complaint("chordnet1-"))
        self.assertIn("copy it again", self.complaint("chordnet1-!!!"))
        self.assertIn("copy it again", self.complaint("chordnet1-" + "a" * 9999))
        self.assertIn("begins with chordnet1-", self.complaint("hello"))

    def test_a_token_with_other_contents_is_of_another_version(self):
        for token in (
            Token((), b"a" * 16, b"i" * 8, b"s" * 16),
            Token(("x",), b"a" * 16, b"i" * 8, b"s" * 16),
            Token(("h:1",), b"a" * 15, b"i" * 8, b"s" * 16),
            Token(("h:1",), b"a" * 16, b"i" * 8, b""),
        ):
            self.assertIn("another version", self.complaint(str(token)))

    @given(st.text(max_size=300))
    @settings(max_examples=200)
    def test_no_text_does_more_than_be_refused(self, text: str) -> None:
        for each in (text, "chordnet1-" + text):
            self.complaint(each)


class Table(SynchronousTestCase):
    """The table of invitations."""

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.table = Invitations.open(self.directory, seeded())
        self.newcomer_key = new_key(seeded(5))

    def redeem(self, invitation, now: float = NOW, *, wish: str = "", seed: int = 5, **changed):
        token = Token(
            ("h:1",), b"a" * 16, bytes.fromhex(invitation.id), bytes.fromhex(invitation.secret)
        )
        newcomer = Newcomer(token, wish, invitation.role is Role.PEER, new_key(seeded(seed)))
        exporter = changed.pop("exporter", EXPORTER)
        asked = attrs.evolve(newcomer.ask(EXPORTER), **changed)
        return self.table.redeem(asked, exporter, now)

    def refused(self, *arguments, **keywords) -> str:
        with self.assertRaises(Refusal) as caught:
            self.redeem(*arguments, **keywords)
        self.assertEqual(caught.exception.code, "invitation")
        return str(caught.exception)

    def test_an_invitation_gives_its_role_and_name_once(self):
        made = self.table.make(Role.PEER, NOW, name="n1")
        self.assertEqual(self.redeem(made), (Role.PEER, "n1"))
        self.assertIn("used already", self.refused(made, seed=6))

    def test_the_same_request_gets_the_same_again_since_its_answer_may_be_lost(self):
        made = self.table.make(Role.PEER, NOW, prefix="web")
        first = self.redeem(made)
        self.assertEqual(self.redeem(made), first)

    def test_a_name_that_is_not_fixed_gets_a_suffix_that_nobody_chooses(self):
        made = self.table.make(Role.PEER, NOW, uses=3)
        names = [self.redeem(made, wish="n1", seed=seed)[1] for seed in (1, 2, 3)]
        self.assertEqual(len(set(names)), 3)
        for name in names:
            self.assertRegex(name, f"^n1-[{SUFFIX_LETTERS}]{{6}}$")
        self.assertIn("used already", self.refused(made, seed=4))
        made = self.table.make(Role.SEND, NOW, prefix="web")
        self.assertRegex(self.redeem(made, wish="victim")[1], "^web-")
        made = self.table.make(Role.SEND, NOW)
        self.assertRegex(self.redeem(made)[1], "^send-")
        made = self.table.make(Role.PEER, NOW)
        self.assertEqual(len(self.redeem(made, wish="x" * 255)[1]), 255)
        made = self.table.make(Role.PEER, NOW)
        self.assertRegex(self.redeem(made, wish="\n" * 9)[1], "^node-")

    def test_an_expired_invitation_is_refused_in_words(self):
        made = self.table.make(Role.PEER, NOW, lifetime=HOUR)
        self.assertIn("expired on 2027-01-15 09:00 UTC", self.refused(made, NOW + HOUR))

    def test_a_node_s_token_gives_no_client_s_certificate_and_is_not_used_by_the_attempt(self):
        for role, peer, command in (
            (Role.PEER, False, "chordnode --join"),
            (Role.SEND, True, "p2pnet join"),
        ):
            made = self.table.make(role, NOW)
            token = Token(("h:1",), b"a" * 16, bytes.fromhex(made.id), bytes.fromhex(made.secret))
            wrong = Newcomer(token, "", peer, new_key(seeded(5))).ask(EXPORTER)
            with self.assertRaises(Refusal) as caught:
                self.table.redeem(wrong, EXPORTER, NOW)
            self.assertIn(command, str(caught.exception))
            self.assertEqual(self.redeem(made)[0], role)

    def test_an_unknown_one_and_a_wrong_secret_are_refused_in_words(self):
        made = self.table.make(Role.PEER, NOW)
        self.assertIn("no such invitation", self.refused(made, id=b"x" * 8))
        self.assertIn("secret is wrong", self.refused(made, proof=b"x" * 32))
        self.assertEqual(self.redeem(made)[0], Role.PEER)

    def test_a_proof_fits_one_connection_one_key_and_one_wish(self):
        made = self.table.make(Role.PEER, NOW)
        other = Newcomer(Token(("h:1",), b"a" * 16, b"i" * 8, b"s" * 16)).request
        for changed in ({"exporter": b"f" * 32}, {"request": other}):
            self.assertIn("secret is wrong", self.refused(made, **changed))

    def test_it_is_the_same_after_a_restart_and_written_before_it_is_used(self):
        made = self.table.make(Role.PEER, NOW, name="n1")
        self.redeem(made)
        self.table = Invitations.open(self.directory)
        self.assertIn("used already", self.refused(made, seed=6))
        self.assertEqual(self.redeem(made), (Role.PEER, "n1"))
        mode = (self.directory / "invitations.json").stat().st_mode & 0o777
        self.assertEqual(mode, 0o600)

    def test_what_cannot_be_written_down_is_not_used(self):
        full = False

        def save(_data: bytes) -> None:
            if full:
                raise IdentityError("no space left")

        self.table = Invitations(save, draw=seeded())
        made = self.table.make(Role.PEER, NOW)
        full = True
        for work in (lambda: self.redeem(made), lambda: self.table.make(Role.PEER, NOW)):
            with self.assertRaises(IdentityError):
                work()
        self.assertEqual(len(self.table), 1)
        full = False
        self.redeem(made)

    def test_it_holds_so_many_and_drops_those_that_are_over_first(self):
        table = Invitations(nowhere, draw=seeded())
        for at in range(MOST_INVITATIONS):
            table.make(Role.PEER, NOW, lifetime=HOUR if at % 2 else DAY)
        with self.assertRaises(Busy):
            table.make(Role.PEER, NOW)
        table.make(Role.PEER, NOW + 2 * HOUR)
        self.assertEqual(len(table), MOST_INVITATIONS // 2 + 1)
        self.assertEqual(table.usable(NOW + 2 * HOUR), MOST_INVITATIONS // 2 + 1)
        table.make(Role.PEER, NOW + 9 * DAY)
        self.assertEqual(len(table), 1)

    def test_it_remembers_so_many_grants_of_one_invitation(self):
        made = self.table.make(Role.PEER, NOW, uses=2 * MOST_GRANTS)
        for seed in range(2 * MOST_GRANTS):
            self.redeem(made, seed=seed)
        self.assertEqual(len(made.granted), MOST_GRANTS)

    def test_the_invitations_of_a_revoked_name_are_withdrawn(self):
        made = self.table.make(Role.PEER, NOW, name="n1")
        other = self.table.make(Role.PEER, NOW, name="n2")
        self.table.withdraw("n1")
        self.assertIn("no such invitation", self.refused(made))
        self.redeem(other)

    def test_what_cannot_be_given_is_told_in_one_line(self):
        for keywords in (
            {"name": "n", "prefix": "p"},
            {"name": "x" * 256},
            {"prefix": "x" * 255},
            {"name": "a\nb"},
            {"uses": 0},
            {"uses": 1001},
            {"name": "n", "uses": 2},
            {"lifetime": 0.0},
            {"lifetime": 31 * DAY},
            {"lifetime": float("nan")},
        ):
            with self.subTest(keywords), self.assertRaises(ConfigError) as caught:
                self.table.make(Role.PEER, NOW, **keywords)
            self.assertNotIn("\n", str(caught.exception))

    def test_a_damaged_file_is_told_in_one_line(self):
        self.table.make(Role.PEER, NOW)
        path = self.directory / "invitations.json"
        path.write_text("[{}]")
        with self.assertRaises(IdentityError) as caught:
            Invitations.open(self.directory)
        self.assertIn("remove it, and invite again", str(caught.exception))


class Enrolment(SynchronousTestCase):
    """The conversation of newcomer and issuer, without what carries it."""

    def setUp(self) -> None:
        self.network = make_network(["one", "two"], issuers=1)
        self.issuer = self.network.issuers["one"]
        self.table = Invitations(nowhere, draw=seeded(3))
        self.registrar = Registrar(
            lambda: self.issuer, self.table, lambda: self.network.bundle, seeded(4)
        )

    def token(self, role: Role = Role.PEER, network: TrustedNetwork | None = None, **how) -> Token:
        made = self.table.make(role, NOW, **how)
        root = (network or self.network).authority.root.certificate
        return Token(
            ("10.0.0.5:7001",),
            authority_hash(root.key_info),
            bytes.fromhex(made.id),
            bytes.fromhex(made.secret),
        )

    def join(self, token: Token, wish: str = "", now: float = NOW, *, peer: bool = True):
        newcomer = Newcomer(token, wish, peer, new_key(seeded(8)))
        shown, roots = self.network["one"].chain, self.network.bundle.roots
        root = newcomer.check_server(shown, roots, now)
        chain = self.registrar.enrol(newcomer.ask(EXPORTER), EXPORTER, now)
        return newcomer.accept(root, chain, self.network.bundle.encode(), now)

    def test_a_newcomer_becomes_a_member(self):
        identity = self.join(self.token(name="three"))
        subject = verify(identity.chain, self.network.bundle, NOW)
        self.assertEqual((subject.name, subject.role), ("three", Role.PEER))
        self.assertEqual(len(identity.chain), 2)

    def test_a_newcomer_may_have_the_name_of_one_that_was_revoked_this_very_second(self):
        self.network.authority.revoke(NOW, name="three")
        identity = self.join(self.token(name="three"))
        self.assertEqual(verify(identity.chain, self.network.bundle, NOW).name, "three")

    def test_the_role_is_the_one_that_the_issuer_wrote_down(self):
        identity = self.join(self.token(Role.SEND, prefix="web"), peer=False)
        self.assertEqual(identity.subject.role, Role.SEND)
        check_usable(identity, peer=False)
        with self.assertRaises(Untrusted) as caught:
            check_usable(identity, peer=True)
        self.assertIn("p2pnet join", str(caught.exception))

    def test_a_node_of_another_network_is_told_by_the_hash_of_its_authority(self):
        foreign = self.token(network=make_network(seed=2))
        with self.assertRaises(Untrusted) as caught:
            self.join(foreign)
        self.assertEqual(caught.exception.code, "foreign")

    def test_a_server_that_names_the_right_root_has_to_be_certified_by_it(self):
        liar = make_network(["one"], seed=2)
        newcomer = Newcomer(self.token())
        with self.assertRaises(Untrusted):
            newcomer.check_server(liar["one"].chain, self.network.bundle.roots, NOW)

    def test_a_client_s_certificate_makes_nobody_an_issuer(self):
        client = self.network.client(Role.OPERATE)
        newcomer = Newcomer(self.token())
        with self.assertRaises(Untrusted) as caught:
            newcomer.check_server(client.chain, self.network.bundle.roots, NOW)
        self.assertEqual(caught.exception.code, "role")

    def test_what_was_not_asked_for_is_not_accepted(self):
        newcomer = Newcomer(self.token(), key=new_key(seeded(8)))
        root = self.network.authority.root.certificate.der
        bundle = self.network.bundle.encode()
        right = self.issuer.issue(newcomer.key.public_key(), Role.PEER, "x", NOW)
        newcomer.accept(root, right, bundle, NOW)
        other_key = self.issuer.issue(new_key(seeded(9)).public_key(), Role.PEER, "x", NOW)
        other = make_network(seed=2)
        for chain, given_bundle in (
            (other_key, bundle),
            (right, other.bundle.encode()),
            (right, b"x"),
            (right, Bundle.of_root(root).encode()),
            ((), bundle),
            ((b"x",), bundle),
        ):
            with self.assertRaises(Untrusted):
                newcomer.accept(root, chain, given_bundle, NOW)

    def test_a_request_that_is_none_is_refused(self):
        token = self.token()
        with self.assertRaises(Refusal) as caught:
            self.registrar.enrol(Asked(token.id, b"x", "", peer=True), EXPORTER, NOW)
        self.assertEqual(caught.exception.code, "certificate")


class Renewal(SynchronousTestCase):
    def setUp(self) -> None:
        self.network = make_network(["one", "two"], issuers=1)
        self.issuer = self.network.issuers["one"]
        self.registrar = Registrar(
            lambda: self.issuer, Invitations(nowhere), lambda: self.network.bundle, seeded(4)
        )
        self.old = self.network["two"]

    def renew(self, now: float, shown=None):
        server = self.network.authority.identity(Role.PEER, "one", now)
        chain = self.registrar.renew(shown or self.old.chain, now)
        return accept_renewal(self.old, server.chain, chain, self.network.bundle.encode(), now)

    def refused(self, now: float, shown=None) -> str:
        with self.assertRaises(Refusal) as caught:
            self.renew(now, shown)
        self.assertEqual(caught.exception.code, "certificate")
        return str(caught.exception)

    def test_a_renewal_has_the_same_key_name_role_and_line_and_thirty_days(self):
        new = self.renew(NOW + 15 * DAY)
        self.assertEqual(new.key, self.old.key)
        self.assertEqual(new.subject.line, self.old.subject.line)
        self.assertNotEqual(new.subject.serial, self.old.subject.serial)
        self.assertEqual(new.subject.until, NOW + 45 * DAY)

    def test_it_can_be_renewed_until_ninety_days_after_it_has_expired(self):
        for days in (29, 31, 119):
            self.assertEqual(self.renew(NOW + days * DAY).subject.name, "two")
        self.assertIn("join with a new token", self.refused(NOW + 121 * DAY))

    def test_a_revoked_one_cannot_be_renewed(self):
        self.network.authority.revoke(NOW, name="two")
        self.assertIn("is revoked", self.refused(NOW + 40 * DAY))

    def test_a_foreign_one_and_none_at_all_cannot_be_renewed(self):
        self.assertIn("another network", self.refused(NOW, make_network(seed=2)["one"].chain))
        with self.assertRaises(Refusal):
            self.registrar.renew((), NOW)

    def test_a_member_that_was_off_during_a_rotation_takes_the_new_root_over(self):
        """It still knows the old root alone; the new bundle is signed by that as well."""
        self.network.authority.begin_rotation(NOW)
        key = self.issuer.key.public_key()
        certified = self.network.authority.certify_issuer(key, "one", NOW)
        self.issuer = self.issuer.certified(certified)
        new = self.renew(NOW + DAY)
        self.network.authority.finish_rotation()
        verify(new.chain, self.network.bundle, NOW + DAY)

    def test_what_was_not_asked_for_is_not_accepted(self):
        server, bundle = self.network["one"].chain, self.network.bundle.encode()
        public = self.old.key.public_key()
        right = self.issuer.renew(public, self.old.subject, NOW)
        accept_renewal(self.old, server, right, bundle, NOW)
        other = make_network(["one"], seed=2)
        for shown, chain, given_bundle in (
            (other["one"].chain, right, bundle),
            (self.network.client(Role.OPERATE).chain, right, bundle),
            (server, self.issuer.issue(public, Role.PEER, "two", NOW), bundle),
            (server, self.issuer.issue(public, Role.PEER, "one", NOW), bundle),
            (server, self.network["one"].chain, bundle),
            (server, right, other.bundle.encode()),
        ):
            with self.assertRaises(Untrusted):
                accept_renewal(self.old, shown, chain, given_bundle, NOW)

    def test_a_bundle_that_the_issuer_s_node_has_not_heard_of_is_kept(self):
        stale = self.network.bundle.encode()
        newer = self.network.authority.revoke(NOW, lines=[line_text(5 << 64)])
        old = self.old.with_bundle(newer)
        chain = self.issuer.renew(old.key.public_key(), old.subject, NOW)
        new = accept_renewal(old, self.network["one"].chain, chain, stale, NOW)
        self.assertEqual(new.bundle, newer)
