"""What a client shows of its cookies, and what a node makes of it."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet.wire.greeting import CLIENT, GREETING_LIMIT, MAGIC, VERSION, Hello
from chordnet.wire.trust.cookies import MOST_PROOFS, Shown, proves, show

ONE, OTHER = b"1" * 32, b"2" * 32


class ProofTests(SynchronousTestCase):
    def test_what_is_shown_has_the_hash_that_the_wire_format_says(self) -> None:
        shown = show([bytes(range(32))], 1_790_000_000.9, 7001)
        assert shown is not None
        self.assertEqual((shown.at, shown.port), (1_790_000_000, 7001))
        self.assertEqual(
            [proof.hex() for proof in shown.proofs],
            ["a827fba6e337d73c3978d004e606ad37949461e22de03d71da74f7907b2e5300"],
        )

    def test_without_a_cookie_nothing_is_shown(self) -> None:
        self.assertIsNone(show([], 5.0, 7001))

    def test_a_node_knows_the_proof_of_its_own_cookie_among_others(self) -> None:
        shown = show([ONE, OTHER], 5.0, 7001)
        assert shown is not None
        self.assertTrue(proves(shown, [OTHER]))
        self.assertTrue(proves(shown, [b"3", ONE]))
        self.assertFalse(proves(shown, [b"3"]))
        self.assertFalse(proves(shown, []))

    def test_a_proof_is_of_one_port_and_one_second_alone(self) -> None:
        shown = show([ONE], 5.0, 7001)
        assert shown is not None
        for changed in (
            msgspec.structs.replace(shown, port=7002),
            msgspec.structs.replace(shown, at=6),
            msgspec.structs.replace(shown, proofs=[proof[:31] for proof in shown.proofs]),
            msgspec.structs.replace(shown, proofs=[ONE]),
            msgspec.structs.replace(shown, proofs=[]),
        ):
            self.assertFalse(proves(changed, [ONE]), changed)

    def test_no_more_proofs_are_shown_or_looked_at_than_fit_into_a_greeting(self) -> None:
        many = [bytes([number]) * 32 for number in range(MOST_PROOFS + 1)]
        shown = show(many, 2.0**53, 65_535)
        assert shown is not None
        self.assertEqual(len(shown.proofs), MOST_PROOFS)
        hello = Hello(MAGIC, VERSION, "w" * 255, 0, CLIENT, None, VERSION, shown)
        self.assertLess(len(msgspec.msgpack.encode(hello)), GREETING_LIMIT)
        late = Shown(5, 7001, [b""] * MOST_PROOFS + show([ONE], 5.0, 7001).proofs)  # type: ignore[union-attr]
        self.assertFalse(proves(late, [ONE]))

    def test_whatever_numbers_a_stranger_shows_are_only_no_proof(self) -> None:
        for at, port in ((-(2**63), -1), (2**64 - 1, 2**63)):
            self.assertFalse(proves(Shown(at, port, [b"x" * 32]), [ONE]))
