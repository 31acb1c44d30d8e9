"""Who follows what a node records is told of it for as long as it wants, and no longer."""

from __future__ import annotations

from tests.net.test_service import ServiceCase


class FollowerTests(ServiceCase):
    def setUp(self) -> None:
        super().setUp()
        (self.service_of_one,) = self.ring(1)
        self.node = self.service_of_one.node

    def test_a_follower_that_has_ended_is_told_nothing_more(self) -> None:
        told: list[str] = []
        end_first = self.node.follow(lambda: told.append("first"))
        self.node.follow(lambda: told.append("second"))
        self.result(self.client(1).send_message("a"))
        end_first()
        end_first()
        self.result(self.client(1).send_message("b"))
        self.assertEqual(told, ["first", "second", "second"])

    def test_a_client_that_has_gone_leaves_no_follower_behind(self) -> None:
        followers = self.node.history._followers
        for how in ("stops", "closes"):
            client = self.client(1)
            following = client.follow(lambda _message: None)
            self.network.run(0.1)
            self.assertEqual(len(followers), 1)
            if how == "stops":
                following.stop()
            else:
                client.close()
            self.network.run(0.1)
            self.assertEqual(len(followers), 0, how)
