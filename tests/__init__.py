"""The test suite, for trial and for pytest."""

import atexit
import os
import shutil
import tempfile

from hypothesis import HealthCheck, settings

# Nodes and clients of tests find no cookies of whoever runs them, and leave none behind.
os.environ["CHORDNET_HOME"] = tempfile.mkdtemp(prefix="chordnet-tests-")
atexit.register(shutil.rmtree, os.environ["CHORDNET_HOME"], ignore_errors=True)

# How long an example takes depends on what else runs on the machine, and says nothing of the code.
settings.register_profile("chordnet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("chordnet")
