"""Once ``joined()`` has fired on every node, the first receipt counts every node.

The same over 1,000 seeds: ``python -m benchmarks.joined``.
"""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.joined import LATENCIES, RIGHT, simulated


class JoinedTests(SynchronousTestCase):
    def test_with_one_bootstrap_peer_the_first_receipt_after_joined_counts_all(self):
        for delays in LATENCIES:
            outcomes = Counter(simulated(seed, delays) for seed in range(1, 31))
            self.assertEqual(set(outcomes), {RIGHT}, (delays, outcomes))
