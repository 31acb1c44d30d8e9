"""Strangers and members of a secured network that send anything: to shake hands, inside, to enrol.

Nobody gets in by it, no node fails, and nobody holds a place for longer than a greeting may take.
"""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from chordnet.core.base.errors import ChordnetError
from chordnet.core.base.messages import PeerMessage
from chordnet.net.tls.credentials import Credentials, enrolling_end
from chordnet.net.tls.end import TlsEnd
from chordnet.trust.base.subjects import Role
from chordnet.wire.codec import encode_frame
from chordnet.wire.greeting import Bye, Hello
from chordnet.wire.trust.bundles import BundleMessage
from chordnet.wire.trust.enrolment import JOIN, MAGIC, RENEW, VERSION, Ask, Enrol, Renew
from tests.net.programs import GRANTED, WELCOME, Edit, Program, SecuredCase
from tests.unit.made_up import damaged, encoded, messages
from tests.unit.trust_support import make_network

TRIES = settings(deadline=None, print_blob=True, max_examples=40)
EDITS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3000), st.integers(0, 255)), min_size=1, max_size=4
)
"""What is done to bytes whose contents are by chance: how, at which place, with which byte."""


def framed(payload: bytes) -> bytes:
    return len(payload).to_bytes(4) + payload


class HandshakeTests(SecuredCase):
    def ends(self) -> list[Callable[[], TlsEnd]]:
        foreign = Credentials(make_network(["n2"], seed=9)["n2"], self.wall)
        visitor = Credentials(self.network.trust.client(Role.READ), self.wall)
        return [visitor.dial, foreign.dial, enrolling_end]

    def test_a_handshake_that_is_not_damaged_lets_a_member_in(self) -> None:
        visitor = Credentials(self.network.trust.client(Role.READ), self.wall)
        program = self.dial(visitor.dial())
        program.say(encode_frame(Hello("chordnet", 2, "", 0, "client", None, 2)))
        self.net.run(0.1)
        self.assertIn(WELCOME, program.tags())
        self.hang_up(program)

    def test_a_handshake_that_is_damaged_anywhere_lets_nobody_in_and_harms_nobody(self) -> None:
        ends = self.ends()

        @TRIES
        @given(st.sampled_from(ends), EDITS, st.integers(0, 2))
        def check(begin: Callable[[], TlsEnd], edits: list[Edit], spoilt: int) -> None:
            program = self.dial(begin(), edits, spoilt)
            program.say(encode_frame(Hello("chordnet", 2, "", 0, "client", None, 2)))
            self.net.run(3.2)
            self.assertEqual(self.waiting(), 0)
            # Not every byte of a handshake counts, so a member may get in nevertheless.
            self.assertTrue(begin is ends[0] or WELCOME not in program.tags())
            self.assert_unharmed()
            self.hang_up(program)

        check()
        self.assert_serving()

    def test_any_bytes_behind_the_first_byte_of_a_handshake_are_refused(self) -> None:
        @TRIES
        @given(st.binary(max_size=300), st.integers(1, 50))
        def check(data: bytes, size: int) -> None:
            program = self.dial(enrolling_end(), [(0, 0, 7)] * 40, 0)
            data = b"\x16" + data
            for place in range(0, len(data), size):
                program.transport.write(data[place : place + size])
            self.net.run(3.2)
            self.assertEqual(self.waiting(), 0)
            self.assert_unharmed()
            self.hang_up(program)

        check()
        self.assert_serving()


class InsideTests(SecuredCase):
    def test_any_greeting_of_somebody_with_a_certificate_is_answered_or_ends_the_connection(
        self,
    ) -> None:
        visitor = Credentials(self.network.trust.client(Role.READ), self.wall)
        ends = [self.credentials("n2").dial, visitor.dial]
        near = st.just(encoded(self.hello("n2", later_ms=1000)))
        greetings = messages(Hello).map(encoded) | damaged(near) | st.binary(max_size=60)

        @TRIES
        @given(st.sampled_from(ends), greetings)
        def check(begin: Callable[[], TlsEnd], greeting: bytes) -> None:
            program = self.dial(begin())
            self.assertTrue(program.end.established)
            program.say(framed(greeting))
            self.net.run(3.2)
            self.assertEqual(self.waiting(), 0)
            self.assert_unharmed()
            self.hang_up(program)

        check()
        self.assert_serving()

    def test_any_messages_of_a_member_leave_all_nodes_serving(self) -> None:
        # It was certified, and is none of the nodes that run.
        stranger = self.network.authority.identity(Role.PEER, "n9", self.wall())
        credentials = Credentials(stranger, self.wall)
        hello = self.hello("n9")
        payloads = messages(PeerMessage | BundleMessage | Bye).map(encoded)
        programs: list[Program] = []

        @TRIES
        @given(st.lists(payloads | damaged(payloads), min_size=1, max_size=6))
        def check(sent: list[bytes]) -> None:
            if not programs or programs[-1].lost:
                programs.append(self.dial(credentials.dial()))
                programs[-1].say(encode_frame(hello))
                self.net.run(0.05)
            programs[-1].say(b"".join(map(framed, sent)))
            self.net.run(0.05)
            self.assert_unharmed()

        check()
        self.hang_up(programs[-1])
        self.assert_serving()


class EnrolmentTests(SecuredCase):
    def test_any_words_of_a_newcomer_get_no_certificate_and_use_up_no_invitation(self) -> None:
        token = self.network.invite("n1", name="newcomer")
        asks = st.sampled_from([Ask(MAGIC, VERSION, about) for about in (JOIN, RENEW)])
        firsts = (asks | messages(Ask)).map(encoded)
        wishes = messages(Enrol | Renew).map(encoded)
        ends = [enrolling_end, self.credentials("n2").enrol]

        @TRIES
        @given(
            st.sampled_from(ends),
            firsts | damaged(firsts) | st.binary(max_size=40),
            st.lists(wishes | damaged(wishes) | st.binary(max_size=40), max_size=4),
        )
        def check(begin: Callable[[], TlsEnd], first: bytes, then: list[bytes]) -> None:
            member = begin is not enrolling_end
            program = self.dial(begin())
            program.say(framed(first))
            self.net.run(0.05)
            for each in then:
                program.say(framed(each))
                self.net.run(0.02)
            self.net.run(3.2)
            self.assertEqual(self.waiting(), 0)
            # A member may renew its certificate; nobody else gets one.
            self.assertTrue(member or GRANTED not in program.tags())
            self.assert_unharmed()
            self.hang_up(program)

        check()
        gift = self.network.join(token)
        self.assertEqual(gift.identity.subject.name, "newcomer")
        self.assertRaises(ChordnetError, self.network.join, token)
        self.assert_serving()
