"""Reads and writes of keys over real sockets on 127.0.0.1, of a store that is a fake."""

from __future__ import annotations

import time

from twisted.internet import reactor
from twisted.internet.defer import gatherResults

from chordnet import (
    ClientHistory,
    Conflict,
    NoStore,
    P2PNetClient,
    Revision,
    Seams,
    Unavailable,
    Unconfirmed,
    WatchEnded,
)
from chordnet.judge.store.anomalies import Verdict
from chordnet.judge.store.check import check_history
from chordnet.judge.store.history import read_history
from tests.net.fake_store import FakeStore, unavailable
from tests.net.test_sockets import SocketCase


class KeySocketTests(SocketCase):
    async def test_keys_are_written_read_and_deleted_and_every_end_arrives(self) -> None:
        store = FakeStore(time.time)
        node = await self.service("one", seams=Seams(keys=store))
        await node.joined()
        lines: list[bytes] = []
        history = ClientHistory("a", lines.append)
        client = P2PNetClient(node.address, reactor, history=history)
        self.clients.append(client)
        self.assertEqual((await client.put("config", b"\xff" * 1_048_576)).version, 1)
        entry = await node.get("config")
        self.assertEqual((entry.value, entry.version), (b"\xff" * 1_048_576, 1))
        self.assertEqual(await client.get("config"), entry)
        with self.assertRaises(Conflict) as raised:
            await client.put("config", b"x", if_version=7)
        self.assertEqual(raised.exception.present, entry)
        store.ends = [unavailable(4, 9), store.lost]
        with self.assertRaises(Unavailable) as missing:
            await client.delete("config")
        self.assertEqual(missing.exception.missing, ("Node 4", "Node 9"))
        with self.assertRaises(Unconfirmed) as lost:
            await client.put("config", b"blue", if_version=1)
        again = {"request": lost.exception.request, "since": lost.exception.since}
        self.assertEqual((await client.put("config", b"blue", if_version=1, **again)).version, 2)
        self.assertEqual((await client.delete("config", if_version=2)).version, 3)
        self.assertIsNone(await client.get("config"))
        history.close()
        found = check_history(list(read_history(lines)))
        self.assertEqual((found.verdict, found.operations), (Verdict.RIGHT, 7))

    async def test_a_key_is_watched_and_what_is_told_is_in_the_history(self) -> None:
        store = FakeStore(time.time)
        node = await self.service("one", seams=Seams(keys=store))
        await node.joined()
        lines: list[bytes] = []
        history = ClientHistory("a", lines.append)
        client = P2PNetClient(node.address, reactor, history=history)
        self.clients.append(client)
        watch = client.watch("config")
        self.assertEqual(await anext(watch), Revision(0, None))
        for value in (b"one", b"x" * 1_048_576, b"three"):
            await client.put("config", value)
        await client.delete("config")
        told = [await anext(watch) for _ in range(4)]
        self.assertEqual([(each.version, len(each.value or b"")) for each in told],
                         [(1, 3), (2, 1_048_576), (3, 5), (4, 0)])  # fmt: skip
        watch.stop()
        again = client.watch("config", since=2)
        self.assertEqual((await anext(again)).gap, (3, 3))
        self.assertEqual((await client.get("config", stale=True)).node, "Node 4")
        store.watches[max(store.watches)][3](WatchEnded("enough"))
        with self.assertRaises(WatchEnded):
            await anext(again)
        history.close()
        found = check_history(list(read_history(lines)))
        self.assertEqual((found.verdict, found.operations, found.stale), (Verdict.RIGHT, 11, 1))
        self.assertEqual(len(store.watches), 1)

    async def test_many_large_values_are_read_at_the_same_time(self) -> None:
        node = await self.service("one", seams=Seams(keys=FakeStore(time.time)))
        await node.joined()
        client = P2PNetClient(node.address, reactor)
        self.clients.append(client)
        await client.put("large", bytes(1_048_576))
        entries = await gatherResults([client.get("large") for _ in range(50)])
        self.assertEqual({len(each.value) for each in entries}, {1_048_576})

    async def test_a_node_without_a_store_refuses_and_goes_on(self) -> None:
        node = await self.service("one")
        await node.joined()
        client = P2PNetClient(node.address, reactor)
        self.clients.append(client)
        for ask in (client.get("k"), client.put("k", b"v"), client.delete("k"), node.get("k")):
            with self.assertRaises(NoStore):
                await ask
        self.assertEqual((await client.status()).state, "active")
