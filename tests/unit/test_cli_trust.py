"""``p2pnet certificates``, ``invite``, ``revoke``, ``rotate-authority`` and ``join``, on fakes."""

from __future__ import annotations

import time

import attrs

from chordnet.trust.authority import Authority
from chordnet.trust.base.bundle import Revocation
from chordnet.trust.base.subjects import Role
from chordnet.trust.identity import Identity
from chordnet.trust.tokens import read_token
from chordnet.trust.verifying import verify
from tests.unit.members_fakes import FakeMembers
from tests.unit.test_cli_commands import WorldCase

DAY = 86_400.0


class MembersCase(WorldCase):
    def setUp(self) -> None:
        super().setUp()
        self.world.described = attrs.evolve(self.world.described, secured=True)
        self.world.nodes.described = self.world.described
        self.world.up()
        self.members = FakeMembers(self.world.testbed.home, self.world.described.size)
        self.world.nodes.members = self.members


class PlainTests(WorldCase):
    def test_a_network_that_is_not_secured_says_so_in_one_line(self) -> None:
        for words in (("certificates",), ("invite",), ("revoke", "2"), ("rotate-authority",)):
            self.assertIn("is not secured: its nodes have no certificates", self.failed(*words))


class CertificatesTests(MembersCase):
    def test_everybody_is_a_line_with_role_end_and_serial_number(self) -> None:
        out = self.printed("certificates")
        self.assertIn(f"network {self.members.authority.network}: 1 root (", out)
        self.assertIn("issuers: Node 1 (until ", out)
        for who, role in (("Node 1", "peer"), ("Node 5", "peer"), ("operator", "operate")):
            self.assertRegex(out, rf"(?m)^{who} +{role} +\d.* UTC +root +[0-9a-f]{{34,40}}$")

    def test_the_document_names_what_is_wrong_and_the_exit_status_is_1(self) -> None:
        self.members.nodes[2].problem = "the certificate is not renewed: no issuer answers"
        document = self.document("certificates", status=1)
        self.assertEqual(document["problems"], [f"Node 2: {self.members.nodes[2].problem}"])
        self.assertEqual([each["node"] for each in document["nodes"]], [1, 2, 3, 4, 5])
        self.assertEqual(document["clients"][0]["role"], "operate")

    def test_without_an_issuer_and_with_wrong_clocks_it_says_so(self) -> None:
        self.members.nodes[3].ahead = -7200.0
        self.members.silent = {1, 2}
        out = self.printed("certificates", status=1)
        self.assertIn("no issuer answers (Node 1, Node 2)", out)
        self.assertIn("Node 3: its clock is 120 min behind this machine's; set the clocks", out)
        self.assertIn("Node 1 does not answer", out)

    def test_nobody_answers(self) -> None:
        self.members.silent = {1, 2, 3, 4, 5}
        self.assertIn("no node answers", self.printed("certificates"))


class DoctorTests(MembersCase):
    def test_it_tells_which_certificate_expires_first(self) -> None:
        out = self.printed("doctor")
        self.assertIn("note: certificates: the first to expire is that of Node 1, on ", out)

    def test_it_complains_of_what_will_keep_members_out(self) -> None:
        self.members.silent = {1, 2}
        self.members.nodes[4].problem = "the certificate is not renewed: nobody answers"
        out = self.printed("doctor", status=1)
        self.assertIn("no issuer answers", out)
        self.assertIn("Node 4: the certificate is not renewed", out)

    def test_notes_are_of_one_silent_issuer_an_old_bundle_a_rotation_and_clocks(self) -> None:
        self.members.silent = {2}
        self.members.nodes[5].ahead = 90.0
        authority = self.members.authority
        both = authority.begin_rotation(time.time())
        node = self.members.nodes[1]
        node.identity = node.identity.with_bundle(both)
        out = self.printed("doctor")
        for text in (
            "Node 2, an issuer of certificates, does not answer",
            "roots and revocations are not the newest at Node 3, Node 4, Node 5",
            "a new root takes the place of the old one; to go on with it: p2pnet rotate-authority",
            "Node 5: its clock is 2 min ahead of this machine's",
        ):
            self.assertIn(text, out)


class InviteTests(MembersCase):
    def test_a_token_is_the_only_word_on_standard_output(self) -> None:
        status, out, err = self.p2pnet("invite", "--name", "berlin-1")
        self.assertEqual(status, 0)
        self.assertIn("usable once, until ", err)
        self.assertIn("on the other machine: twistd -n chordnode --join TOKEN\n", err)
        token = read_token(out.strip())
        self.assertEqual(token.addresses, ("127.0.0.1:7001",))
        made = next(iter(self.members.invitations._entries.values()))
        self.assertEqual((made.name, made.uses, made.role), ("berlin-1", 1, Role.PEER))

    def test_what_it_allows_is_passed_on_and_told(self) -> None:
        document = self.document(
            "invite", "--role", "send", "--uses", "3", "--expires", "7d", "--name-prefix", "web",
            "--address", "192.0.2.5:7001",
        )  # fmt: skip
        self.assertEqual((document["role"], document["uses"]), ("send", 3))
        self.assertEqual(read_token(document["token"]).addresses, ("192.0.2.5:7001",))
        made = next(iter(self.members.invitations._entries.values()))
        self.assertApproximates(made.expires - time.time(), 7 * DAY, 60)
        self.assertEqual((made.prefix, made.uses), ("web", 3))

    def test_a_node_that_issues_none_is_passed_over(self) -> None:
        self.members.silent = {1}
        self.assertEqual(self.document("invite")["issuer"], 2)
        self.members.silent = {1, 2}
        self.assertIn("no node makes a token", self.failed("invite"))

    def test_impossible_words_are_refused_in_one_line(self) -> None:
        for words, why in (
            (("--expires", "soon"), "as in 30m, 1h or 7d"),
            (("--role", "king"), "'king' is not one of"),
            (("--uses", "0"), "0 is not in the range"),
            (("--address", "nowhere"), "write HOST:PORT"),
        ):
            self.assertIn(why, self.failed("invite", *words, status=2))
        self.assertIn("not both", self.failed("invite", "--name", "a", "--name-prefix", "b"))
        self.assertIn("one use", self.failed("invite", "--name", "a", "--uses", "2"))
        self.assertIn("at most 30 days", self.failed("invite", "--expires", "31d"))


class RevokeTests(MembersCase):
    def test_every_node_knows_and_the_authority_has_written_it_down(self) -> None:
        out = self.printed("revoke", "5")
        self.assertRegex(out, "^Node 5 is revoked; 5 nodes know, version \\d+\n$")
        (revoked,) = self.members.authority.bundle.revoked
        self.assertEqual(revoked.name, "Node 5")
        self.assertEqual(self.members.versions, [self.members.authority.bundle.version])

    def test_a_serial_number_revokes_one_line(self) -> None:
        serial = self.members.nodes[4].identity.subject.serial
        self.printed("revoke", "--serial", f"{serial:x}")
        (revoked,) = self.members.authority.bundle.revoked
        self.assertEqual((revoked.name, int(revoked.line, 16)), ("", serial >> 64))

    def test_an_issuer_is_believed_for_ten_more_minutes_unless_now(self) -> None:
        self.assertIn("is believed until", self.printed("revoke", "2"))
        line = next(each for each in self.members.authority.bundle.revoked if each.line)
        self.assertApproximates(line.start - time.time(), 600, 60)
        self.assertNotIn("believed until", self.printed("revoke", "1", "--now"))

    def test_the_revoked_node_itself_need_not_hear_of_it(self) -> None:
        self.members.cut = {5}
        out = self.printed("revoke", "5")
        self.assertIn("Node 5 is revoked; 4 nodes know", out)
        text = self.printed("certificates", status=1)
        self.assertIn("Node 5 is revoked and runs, cut off from the others; stop it", text)

    def test_a_node_that_does_not_answer_makes_the_status_1(self) -> None:
        self.members.silent = {3}
        out = self.printed("revoke", "5", status=1)
        self.assertIn("Node 3 does not answer, and hears of it from the others", out)

    def test_a_name_that_nobody_has_is_refused_unless_it_is_meant(self) -> None:
        self.assertIn("nobody called 'berlin-1' is seen", self.failed("revoke", "berlin-1"))
        self.assertEqual(self.members.authority.bundle.revoked, ())
        self.printed("revoke", "berlin-1", "--unseen")
        self.printed("revoke", "operator")

    def test_impossible_words_are_refused_in_one_line(self) -> None:
        for words in ((), ("5", "--serial", "a" * 36), ("--serial", "xyz")):
            self.failed("revoke", *words, status=2)

    def test_it_needs_the_authority(self) -> None:
        (self.world.testbed.home.authority_directory / "authority.json").unlink()
        self.assertIn("can only be done where the network was started", self.failed("revoke", "5"))

    def test_a_bundle_that_is_full_says_what_to_do(self) -> None:
        home = self.world.testbed.home.authority_directory
        authority = Authority.load(home)
        until = time.time() + DAY
        full = tuple(Revocation(name=f"gone {n}", until=until) for n in range(2048))
        authority._publish(revoked=full)
        authority.save(home)
        self.assertIn("put a new authority in its place", self.failed("revoke", "5"))


class RotateTests(MembersCase):
    def roots(self) -> set[str]:
        return {each._told().root for each in self.members.nodes.values()}

    def test_all_have_certificates_of_the_new_root_and_the_old_one_is_gone(self) -> None:
        old = self.members.authority.root.certificate.der
        out = self.printed("rotate-authority")
        self.assertIn("5 nodes have certificates of it\nthe old root is removed\n", out)
        authority = self.members.authority
        self.assertFalse(authority.rotating)
        self.assertNotIn(old, authority.bundle.roots)
        for each in self.members.nodes.values():
            verify(each.identity.chain, authority.bundle, time.time())
        operator = Identity.load(self.world.testbed.home.operator_directory)
        verify(operator.chain, authority.bundle, time.time())
        self.assertEqual(operator.bundle, authority.bundle)

    def test_with_keep_old_both_roots_stay_and_the_next_call_ends_it(self) -> None:
        self.assertIn("the old root is kept", self.printed("rotate-authority", "--keep-old"))
        self.assertTrue(self.members.authority.rotating)
        self.assertIn("the old root is removed", self.printed("rotate-authority"))

    def test_a_node_that_does_not_renew_keeps_the_old_root_and_it_goes_on_later(self) -> None:
        self.members.nodes[4].renews = False
        text = self.failed("rotate-authority", "--timeout", "3")
        self.assertIn("not all nodes have a certificate of the new root yet: Node 4", text)
        self.assertTrue(self.members.authority.rotating)
        root = self.members.authority.root.certificate.der
        self.members.nodes[4].renews = True
        self.printed("rotate-authority")
        self.assertEqual(self.members.authority.bundle.roots, (root,))

    def test_an_issuer_that_does_not_answer_stops_it_unless_it_is_left_behind(self) -> None:
        self.members.silent = {2}
        text = self.failed("rotate-authority")
        self.assertIn("not every issuer has a certificate of the new root", text)
        out = self.printed("rotate-authority", "--leave-behind")
        self.assertIn("Node 2 has to join with a new token, unless p2pnet starts it", out)

    def test_a_node_that_does_not_answer_stops_it_before_the_last_step(self) -> None:
        self.members.silent = {5}
        self.assertIn("Node 5 does not answer, so the old root", self.failed("rotate-authority"))
        self.assertTrue(self.members.authority.rotating)

    def test_an_interrupted_end_is_finished_and_no_new_rotation_begun(self) -> None:
        self.printed("rotate-authority", "--keep-old")
        authority = self.members.authority
        last = authority.finish_rotation()
        authority.save(self.world.testbed.home.authority_directory)
        self.assertIn("the old root is removed", self.printed("rotate-authority"))
        self.assertEqual(self.members.authority.bundle, last)
        self.assertEqual({each.identity.bundle for each in self.members.nodes.values()}, {last})

    def test_a_client_with_a_certificate_of_the_old_root_is_named(self) -> None:
        old = self.members.authority
        self.members.clients = [old.identity(Role.SEND, "web", time.time() - 100)]
        self.assertIn("web, a client, has to join again", self.printed("rotate-authority"))
