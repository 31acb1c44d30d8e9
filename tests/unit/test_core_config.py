"""Every setting out of its range is refused by a line that names it."""

from __future__ import annotations

import attrs
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.errors import ConfigError

SWITCHES = ("safeguards", "finger_upkeep")
FIELDS = [field.name for field in attrs.fields(ProtocolConfig) if field.name not in SWITCHES]


class ConfigTests(SynchronousTestCase):
    def test_the_defaults_are_accepted(self):
        settings = ProtocolConfig()
        self.assertEqual(settings.bits, 160)
        self.assertEqual(settings.successors, 8)

    def test_by_default_all_switches_are_on(self):
        for name in SWITCHES:
            for settings in (ProtocolConfig(), ProtocolConfig.wide_area()):
                self.assertEqual(set(attrs.astuple(getattr(settings, name))), {True}, name)

    def test_the_wide_area_is_slower_and_more_patient(self):
        near, far = ProtocolConfig(), ProtocolConfig.wide_area()
        slower = [name for name in FIELDS if name.endswith("_s")]
        for name in slower:
            self.assertGreaterEqual(getattr(far, name), getattr(near, name), name)
        self.assertGreater(far.successors, near.successors)

    def test_no_setting_may_be_negative(self):
        for name in FIELDS:
            error = self.assertRaises(ConfigError, ProtocolConfig, **{name: -1})
            self.assertIn(name, str(error))
            self.assertIn("-1", str(error))

    def test_no_setting_but_jitter_may_be_zero(self):
        for name in FIELDS:
            if name != "jitter":
                error = self.assertRaises(ConfigError, ProtocolConfig, **{name: 0})
                self.assertIn(name, str(error))

    def test_jitter_is_a_fraction(self):
        self.assertEqual(ProtocolConfig(jitter=0).jitter, 0)
        for value in (1, 1.5):
            error = self.assertRaises(ConfigError, ProtocolConfig, jitter=value)
            self.assertIn("jitter must be in [0, 1)", str(error))

    def test_what_is_not_a_number_is_refused(self):
        self.assertRaises(ConfigError, ProtocolConfig, audit_s=float("nan"))
        for name in FIELDS:
            for value in ("1", None, [1], 1j):
                error = self.assertRaises(ConfigError, ProtocolConfig, **{name: value})
                self.assertIn(f"{name} must be ", str(error))
                self.assertIn(f", not {value!r}", str(error))

    def test_yes_and_no_are_no_numbers(self):
        for name in FIELDS:
            if name not in ("bits", "jitter"):
                self.assertRaises(ConfigError, ProtocolConfig, **{name: True})

    def test_a_time_may_have_a_fraction_and_a_number_of_things_may_not(self):
        for name in FIELDS:
            times = name.endswith("_s") or name in ("jitter", "stabilise_backoff")
            if times:
                small = {"ack_delay_s": 0.001} if name == "ack_timeout_s" else {}
                settings = ProtocolConfig(**{name: 0.015625, **small})
                self.assertEqual(getattr(settings, name), 0.015625)
            else:
                error = self.assertRaises(ConfigError, ProtocolConfig, **{name: 100.5})
                self.assertIn(name, str(error))

    def test_the_width_of_an_identifier_has_two_ends(self):
        for bits in (2, 257):
            error = self.assertRaises(ConfigError, ProtocolConfig, bits=bits)
            self.assertIn("3 to 256", str(error))
        for bits in (3, 256):
            self.assertEqual(ProtocolConfig(bits=bits).bits, bits)

    def test_a_route_may_be_longer_than_a_tree_is_deep(self):
        error = self.assertRaises(ConfigError, ProtocolConfig, max_hops=64, max_route=64)
        self.assertIn("max_route", str(error))

    def test_an_acknowledgement_must_not_race_its_own_timeout(self):
        ProtocolConfig(ack_timeout_s=0.2, ack_delay_s=0.1)
        error = self.assertRaises(ConfigError, ProtocolConfig, ack_timeout_s=0.2, ack_delay_s=0.11)
        self.assertIn("ack_delay_s", str(error))

    def test_settings_do_not_change(self):
        self.assertRaises(
            attrs.exceptions.FrozenInstanceError, setattr, ProtocolConfig(), "bits", 6
        )

    def test_times_say_their_unit(self):
        """A knob that is neither a time nor one of these names has no unit in its name."""
        counts = ("max_", "bits", "successors", "form_rounds", "jitter", "stabilise_backoff")
        for name in FIELDS:
            self.assertTrue(name.endswith("_s") or name.startswith(counts), name)
