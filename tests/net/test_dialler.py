"""What is left of attempts to reach an address, over real sockets on 127.0.0.1."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from chordnet.net.base.limits import NetworkLimits
from chordnet.net.base.turn import Turn
from chordnet.net.links.dialler import Dial, DialSettings
from chordnet.net.links.greeters import client_hello
from chordnet.net.links.protocol import Connection
from chordnet.wire.codec import encode_frame
from chordnet.wire.greeting import VERSION, Refuse, Welcome
from tests.net.hosts import node_ref


class Answering(Protocol):
    """Answers the first bytes with a message, or hangs up if there is none."""

    answer: Any = None

    def dataReceived(self, data):
        if self.answer is not None:
            self.transport.write(encode_frame(self.answer))
        else:
            self.transport.loseConnection()


class Handling:
    """Takes a connection over."""

    def __init__(self, ended: Deferred[None]) -> None:
        self._ended = ended

    def frames(self, frames: list[bytes]) -> None:
        pass

    def lost(self) -> None:
        self._ended.callback(None)


class LeftoversTests(TestCase):
    timeout = 20

    def setUp(self):
        self.turn = Turn(reactor, self.fail)
        self.watched: list[weakref.ref[Any]] = []
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)

    async def listen(self, answer: Any) -> int:
        answering = type("Answers", (Answering,), {"answer": answer})
        port = reactor.listenTCP(0, Factory.forProtocol(answering), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return port.getHost().port

    def dial(self, port: int, over: Deferred[None], ended: Deferred[None]) -> Dial:
        def greeted(connection: Connection, _welcome: Welcome) -> Handling:
            self.watched += [weakref.ref(connection), weakref.ref(connection.handler)]
            connection.close()
            over.callback(None)
            return Handling(ended)

        dial = Dial(
            DialSettings(reactor, self.turn, NetworkLimits(), 1000), address=f"127.0.0.1:{port}",
            hello=client_hello(""), greeted=greeted,
            failed=lambda _fault, _text, _refusal: over.callback(None),
        )  # fmt: skip
        self.watched += [weakref.ref(dial), weakref.ref(dial._caller)]
        dial.start()
        return dial

    async def assert_nothing_left(self) -> None:
        await deferLater(reactor, 0.05)
        left = [type(each()).__name__ for each in self.watched if each() is not None]
        self.assertEqual(left, [])

    async def test_a_dial_that_was_welcomed_is_freed_without_the_collector(self):
        welcome = Welcome(VERSION, node_ref("Node 2", "127.0.0.1:1"), "", 160)
        over, ended = Deferred(), Deferred()
        dial = self.dial(await self.listen(welcome), over, ended)
        del dial
        await over
        await ended
        await self.assert_nothing_left()

    async def test_a_dial_that_was_refused_or_hung_up_on_is_freed_without_the_collector(self):
        for answer in (Refuse("busy", "later"), None):
            over = Deferred()
            dial = self.dial(await self.listen(answer), over, Deferred())
            del dial
            await over
            await self.assert_nothing_left()

    async def test_a_dial_that_was_given_up_is_freed_without_the_collector(self):
        over = Deferred()
        port = await self.listen(None)
        dial = self.dial(port, over, Deferred())
        dial.cancel()
        del dial
        await self.assert_nothing_left()
        self.assertFalse(over.called)
