"""The test suite, for trial and for pytest."""

from hypothesis import HealthCheck, settings

# How long an example takes depends on what else runs on the machine, and says nothing of the code.
settings.register_profile("chordnet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("chordnet")
