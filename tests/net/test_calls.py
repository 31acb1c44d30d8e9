"""The table of what clients can ask: whole, the same on both sides, and as the page says."""

from __future__ import annotations

import gc
import re
import weakref
from pathlib import Path
from typing import Any, get_args

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.client import calls as asked
from chordnet.net.guard.pace import Reading
from chordnet.net.serve.calls import BY_REQUEST, CALLS
from chordnet.net.serve.desk import ClientDesk
from chordnet.wire.codec import encode_frame, read_reply
from chordnet.wire.rpc import (
    REPLIES,
    ClientRequest,
    Failure,
    Follow,
    LeaveRing,
    ServerReply,
    Unfollow,
)
from chordnet.wire.trust.cookies import show
from chordnet.wire.watches import WatchKey
from tests.net.test_service import COOKIE, ServiceCase

PAGE = (Path(__file__).parents[2] / "docs" / "wire-format.md").read_text("utf-8")
ROWS = re.findall(r"^\| [12]\d\d \| `(\w+)` \| [^|]+ \| (\w+) \| (.*) \|$", PAGE, re.M)


class TableTests(SynchronousTestCase):
    def test_every_request_has_one_row(self) -> None:
        self.assertEqual([call.request for call in CALLS], list(get_args(ClientRequest)))
        self.assertEqual(len(BY_REQUEST), len(CALLS))

    def test_every_reply_answers_something(self) -> None:
        self.assertEqual(list(REPLIES), list(get_args(ClientRequest)))
        replies = {reply for each in REPLIES.values() for reply in each}
        self.assertEqual(replies | {Failure}, set(get_args(ServerReply)))

    def test_the_client_asks_everything_that_a_node_answers(self) -> None:
        expected = {call.request: call.replies for call in asked.CALLS}
        following = {request: REPLIES[request] for request in (Follow, Unfollow, WatchKey)}
        # A client's Channel deals with these.
        self.assertEqual(expected | following, REPLIES)
        self.assertEqual(len(expected), len(REPLIES) - 3)

    def test_the_page_names_the_role_and_the_replies_of_every_request(self) -> None:
        self.assertEqual([name for name, *_ in ROWS], [c.request.__name__ for c in CALLS])
        for call, (_name, role, meaning) in zip(CALLS, ROWS, strict=True):
            self.assertEqual(role, call.role)
            for reply in REPLIES[call.request]:
                self.assertIn(f"`{reply.__name__}`", meaning)


class Line:
    """A connection with a client that remembers what is sent."""

    paused = closing = False
    subject = None
    peer_name = "10.9.9.9:1"
    waiting = 0

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.send = self.sent.append
        self.reading = Reading(Clock())

    def send_value(self, frame: bytes) -> None:
        self.sent.append(read_reply(frame[4:]))

    def accept_long(self, *_what: object) -> None:
        """Do nothing: nothing comes from this one but what a test hands over."""


class SessionTests(ServiceCase):
    def test_the_memory_of_a_client_that_is_gone_is_free_without_the_collector(self) -> None:
        (service,) = self.ring(1)
        client = self.client(1)
        client.follow(lambda _message: None)
        self.result(client.send_message("apple"))
        (session,) = service._life.desk._sessions
        gone = weakref.ref(session)
        del session
        gc.disable()
        self.addCleanup(gc.enable)
        client.close()
        self.network.run(0.1)
        self.assertIsNone(gone())

    def test_what_fails_unexpectedly_leaves_no_request_in_flight_behind(self) -> None:
        (service,) = self.ring(1)
        node = service.node
        desk = ClientDesk(node, lambda _left: 1 / 0, node.permissions)
        line = Line()
        session = desk.attach(line, show([COOKIE], node.wall(), 7001))
        session.frames([encode_frame(LeaveRing(1))[4:]])
        self.assertEqual([type(sent) for sent in line.sent], [Failure])
        self.assertIn("an error inside the node", line.sent[0].text)
        self.assertFalse(session.busy)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        session.lost()
