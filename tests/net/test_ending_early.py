"""What was given up is over: no dial goes on, and nothing is reported twice."""

from __future__ import annotations

from chordnet.core.base.errors import ConnectFailed
from tests.net.test_service import ServiceCase


class ClosedClientTests(ServiceCase):
    def test_a_client_that_is_closed_while_it_dials_connects_no_more(self) -> None:
        self.ring(1)
        before = len(self.network.connections)
        client = self.client(1)
        asked = client.status()
        client.close()
        self.assertIn("was closed", self.failure(asked, ConnectFailed, 0))
        self.network.run(0.5)
        self.assertEqual(len(self.network.connections), before)
