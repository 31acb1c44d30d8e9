"""What a request about a key may say: every limit has its own line."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import InvalidKey, InvalidValue, LocalProtocolError
from chordnet.wire.keys import check_key_request, check_store_key, quoted, unconfirmed
from chordnet.wire.rpc import DeleteKey, GetKey, PutKey


def put(key: Any = "k", value: Any = b"v", **more: Any) -> PutKey:
    return PutKey(1, key, value, **more)


class CheckTests(SynchronousTestCase):
    def refused(self, kind: type[Exception], asked: Any) -> str:
        error = self.assertRaises(kind, check_key_request, asked)
        self.assertIs(type(error), kind)
        self.assertLess(len(str(error)), 200)
        self.assertNotIn("\n", str(error))
        return str(error)

    def timed(self, seconds: Any) -> tuple[Any, ...]:
        """Return a request of each kind with this time limit."""
        delete = DeleteKey(1, "k", timeout_s=seconds)
        return GetKey(1, "k", seconds), put(timeout_s=seconds), delete

    def test_a_key_is_any_text_of_1_to_1024_bytes(self) -> None:
        for key in ("k", "two words", "line\nfeed", "\0", "ä" * 512, "x" * 1024):
            self.assertEqual(check_store_key(key), key.encode())
            for asked in (GetKey(1, key), put(key), DeleteKey(1, key)):
                self.assertEqual(check_key_request(asked), key.encode())

    def test_what_is_no_key_is_refused_in_every_request(self) -> None:
        for key, words in (
            ("", "the key is empty; give a text of 1 to 1024 bytes"),
            ("ä" * 512 + "x", "the key has 1025 bytes, at most 1024 are accepted"),
            ("\udc80", "the key is not valid text (UTF-8)"),
            (b"k", "the key must be a text (str), not bytes"),
            (None, "the key must be a text (str), not NoneType"),
        ):
            for asked in (GetKey(1, key), put(key), DeleteKey(1, key)):  # type: ignore[arg-type]
                self.assertEqual(self.refused(InvalidKey, asked), words)

    def test_a_value_is_bytes_and_not_too_many(self) -> None:
        check_key_request(put(value=b""))
        check_key_request(put(value=bytes(1_048_576)))
        for value, words in (
            (bytes(1_048_577), "the value has 1048577 bytes, at most 1048576 are accepted"),
            ("v", "the value must be bytes, not str; a text becomes bytes by .encode()"),
            (bytearray(b"v"), "the value must be bytes, not bytearray"),
            (None, "the value must be bytes, not NoneType"),
        ):
            self.assertEqual(self.refused(InvalidValue, put(value=value)), words)

    def test_versions_are_whole_numbers_from_0_on(self) -> None:
        for version in (0, 1, 2**62 - 1):
            check_key_request(put(if_version=version))
            check_key_request(DeleteKey(1, "k", version))
            check_key_request(put(request=b"r", since=version))
        for version in (-1, 2**62, 1.0, True, "1", float("nan"), 10**5000):
            for asked in (
                put(if_version=version), put(request=b"r", since=version),
                DeleteKey(1, "k", version), DeleteKey(1, "k", None, b"r", version),  # type: ignore[arg-type]
            ):  # fmt: skip
                text = self.refused(LocalProtocolError, asked)
                self.assertIn("must be a whole number, 0 or a key's version, not ", text)
        text = self.refused(LocalProtocolError, put(if_version=-1))
        self.assertEqual(text, "if_version must be a whole number, 0 or a key's version, not -1")
        text = self.refused(LocalProtocolError, put(if_version=2**64 - 1))
        self.assertTrue(text.endswith(f"not {2**64 - 1}"), text)
        text = self.refused(LocalProtocolError, put(if_version=2**64))
        self.assertTrue(text.endswith("not a number of very many digits"), text)
        self.assertIn(
            "since must be", self.refused(LocalProtocolError, put(request=b"r", since=-1))
        )

    def test_seconds_are_more_than_0_and_not_endless(self) -> None:
        for seconds in (0.001, 1, 315_360_000):
            check_key_request(put(expires_s=seconds))
        for seconds in (0.001, 1, 86_400):
            for asked in self.timed(seconds):
                check_key_request(asked)
        for seconds in (0, -1, 315_360_001, float("inf"), float("nan"), True, "1", 10**400):
            text = self.refused(LocalProtocolError, put(expires_s=seconds))
            self.assertIn("expires_s must be a number of seconds, more than 0 and at most", text)
        for seconds in (0, -1, 86_401, float("inf"), float("nan"), None, True):
            for asked in self.timed(seconds):
                text = self.refused(LocalProtocolError, asked)
                self.assertIn("timeout_s must be a number of seconds, more than 0 and at", text)

    def test_a_request_id_is_1_to_64_bytes(self) -> None:
        for request in (b"r", bytes(64)):
            check_key_request(put(request=request))
            check_key_request(DeleteKey(1, "k", None, request, 3))
        for request in (b"", bytes(65), "r", 5):
            for asked in (put(request=request), DeleteKey(1, "k", None, request)):  # type: ignore[arg-type]
                text = self.refused(LocalProtocolError, asked)
                self.assertIn("request must be bytes, 1 to 64 of them, not ", text)

    def test_since_belongs_to_a_request(self) -> None:
        text = self.refused(LocalProtocolError, put(since=0))
        self.assertEqual(text, "since is given without the request that it belongs to")


class WordTests(SynchronousTestCase):
    def test_a_key_in_quotes_is_one_short_line(self) -> None:
        self.assertEqual(quoted("config"), "'config'")
        self.assertEqual(quoted("a\nb"), r"'a\nb'")
        self.assertEqual(len(quoted("x" * 58)), 60)
        self.assertEqual(len(quoted("x" * 1024)), 63)

    def test_an_unconfirmed_write_says_what_makes_it_certain(self) -> None:
        error = unconfirmed(put("config"), "Node 4 is gone", b"r", 7)
        self.assertEqual((error.request, error.since), (b"r", 7))
        self.assertEqual(
            str(error),
            "it is not known whether 'config' was written: Node 4 is gone; to be certain ask again"
            " with the same request and since=7",
        )
        self.assertIn("was deleted: gone", str(unconfirmed(DeleteKey(1, "k"), "gone", b"r")))

    def test_without_a_word_of_the_node_the_version_follows_from_the_request(self) -> None:
        for asked, since in (
            (put(), 0), (put(if_version=0), 0), (put(if_version=4), 4),
            (put(request=b"r", since=3), 3), (put(if_version=4, request=b"r", since=0), 0),
            (DeleteKey(1, "k", 5), 5),
        ):  # fmt: skip
            self.assertEqual(unconfirmed(asked, "", b"r").since, since)
