"""A fault of ours can be told from a fault of a peer's, and all of them from anybody else's."""

from __future__ import annotations

import inspect

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base import errors
from chordnet.core.base.effects import LookupDone
from chordnet.core.base.outcomes import Failed, Fault

ALL = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if issubclass(value, Exception)
]


class ErrorTests(SynchronousTestCase):
    def test_one_root_class_catches_all_errors(self):
        self.assertGreater(len(ALL), 5)
        for error in ALL:
            self.assertTrue(issubclass(error, errors.ChordnetError), error)

    def test_nothing_is_both_our_fault_and_a_peers(self):
        for error in ALL:
            both = issubclass(error, errors.LocalProtocolError) and issubclass(
                error, errors.RemoteProtocolError
            )
            self.assertFalse(both, error)

    def test_misuse_is_our_own_fault(self):
        for error in (errors.NotInRing, errors.InvalidMessage):
            self.assertTrue(issubclass(error, errors.LocalProtocolError), error)

    def test_bad_values_are_value_errors_too(self):
        for error in (errors.ConfigError, errors.InvalidMessage):
            self.assertTrue(issubclass(error, ValueError), error)

    def test_each_error_says_what_it_means(self):
        for error in ALL:
            self.assertTrue(error.__doc__, error)


class OutcomeTests(SynchronousTestCase):
    def test_no_failure_and_no_fault_are_false_and_all_others_true(self) -> None:
        for kind in (Failed, Fault):
            self.assertEqual([bool(each) for each in kind].count(False), 1, kind)
        self.assertFalse(Failed.NO)
        self.assertFalse(Fault.NONE)

    def test_what_an_earlier_version_recorded_of_a_refused_lookup_is_read(self) -> None:
        done = msgspec.json.decode(
            b'{"type":"LookupDone","op":1,"owner":null,"path":[],"reason":"n33 is in no ring"}',
            type=LookupDone,
        )
        self.assertEqual(done.reason, Failed.REFUSED)

    def test_a_reason_is_recorded_as_its_words(self) -> None:
        packed = msgspec.json.encode(LookupDone(1, None, [], Failed.BUSY))
        self.assertIn(b'"reason":"busy"', packed)
