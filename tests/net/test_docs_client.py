"""The client of the documentation, in another language, talks to a real node."""

import shutil
import time
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

from chordnet import ChordService
from chordnet.trust.base.subjects import Role
from tests.unit.trust_support import make_network

CLIENT = Path(__file__).parents[2] / "docs" / "examples" / "client.mjs"
NODE_JS = shutil.which("node")


class JavaScriptClient(TestCase):
    """``docs/examples/client.mjs`` against a node of the present code."""

    if NODE_JS is None:
        skip = "Node.js is not installed"

    def setUp(self):
        self.service = ChordService(reactor, "tcp:0:interface=127.0.0.1", name="only")
        self.service.startService()
        self.addCleanup(self.service.stopService)
        return self.service.joined()

    async def run_client(self, *words: str) -> tuple[str, str, int]:
        host, port = self.service.address.split(":")
        words = [str(CLIENT), host, port, *words]
        output, errors, status = await getProcessOutputAndValue(NODE_JS, words, reactor=reactor)
        return output.decode(), errors.decode(), status

    async def test_it_sends_and_reads(self):
        await self.service.broadcast("before")
        output, errors, status = await self.run_client("apple")
        self.assertEqual((errors, status), ("", 0))
        self.assertEqual(
            output.splitlines(),
            [
                "connected with only",
                "apple: recorded by 1 nodes, 0 messages",
                "- before (only)",
                "- apple (only)",
            ],
        )

    async def test_it_reports_a_refusal(self):
        output, errors, status = await self.run_client("two words")
        self.assertEqual((output, status), ("connected with only\n", 1))
        self.assertIn("white space", errors)


class SecuredJavaScriptClient(JavaScriptClient):
    """The same in a secured network, with the files of an identity."""

    def setUp(self):
        network = make_network(["only"], time.time())
        self.identity = Path(self.mktemp())
        network.client(Role.SEND, now=time.time()).save(self.identity)
        self.foreign = Path(self.mktemp())
        make_network(["only"], time.time(), seed=2)["only"].save(self.foreign)
        self.service = ChordService(
            reactor, "tcp:0:interface=127.0.0.1", name="only", identity=network["only"]
        )
        self.service.startService()
        self.addCleanup(self.service.stopService)
        return self.service.joined()

    async def run_client(self, *words: str) -> tuple[str, str, int]:
        return await super().run_client(*words, str(self.identity))

    async def test_without_an_identity_it_is_told_that_the_network_is_secured(self):
        output, errors, status = await super().run_client("apple")
        self.assertEqual((output, status), ("", 1))
        self.assertTrue(errors.startswith("this network is secured"), errors)

    async def test_it_believes_no_node_of_another_network(self):
        output, errors, status = await super().run_client("apple", str(self.foreign))
        self.assertEqual((output, status), ("", 1))
        self.assertIn("UNABLE_TO_VERIFY_LEAF_SIGNATURE", errors)
