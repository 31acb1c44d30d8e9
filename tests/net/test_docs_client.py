"""The client of the documentation, in another language, talks to a real node."""

import shutil
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import TestCase

from chordnet import ChordService

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

    async def run_client(self, phrase: str) -> tuple[str, str, int]:
        host, port = self.service.address.split(":")
        words = [str(CLIENT), host, port, phrase]
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
