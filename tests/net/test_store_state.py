"""What clients are told of the store, and the order to give up its slots, over real sockets."""

from __future__ import annotations

import time
from collections.abc import Callable

from twisted.internet import reactor
from twisted.internet.task import deferLater

from chordnet import ChordService, NoStore, P2PNetClient, Seams
from chordnet.net.store.keys import NO_STORE
from chordnet.net.store.state import ELSEWHERE
from chordnet.settings import NodeSettings
from chordnet.wire.stores import StoreState
from tests.net.fake_store import FakeStore
from tests.net.test_sockets import SocketCase


class StoreStateTests(SocketCase):
    async def keeper(self, name: str, *peers: ChordService, slots: int = 16) -> ChordService:
        settings = NodeSettings(slots=slots, store="memory", founders=("one",))
        node = await self.service(name, *peers, settings=settings)
        await node.joined()
        return node

    async def until(
        self, client: P2PNetClient, reached: Callable[[StoreState], object]
    ) -> StoreState:
        """Ask until what is told is so; the test's own time limit ends it."""
        while True:
            state = await client.store_state()
            if reached(state):
                return state
            await deferLater(reactor, 0.05)

    async def test_a_node_alone_tells_of_every_slot_and_of_its_keys(self) -> None:
        node = await self.keeper("one")
        client = self.client(node)
        state = await self.until(client, lambda state: state.formation)
        self.assertEqual((state.founders, state.slot_count, state.replicas), (["one"], 16, 3))
        self.assertEqual((state.reason, state.failed, state.run), ("", "", 1))
        self.assertEqual((state.seat, state.vacating, state.seats), (True, False, 16))
        self.assertEqual([slot.slot for slot in state.slots], list(range(16)))
        for slot in state.slots:
            (member,) = slot.members
            self.assertEqual((member.node, member.store), ("one", state.store))
            self.assertEqual((slot.generation, slot.epoch, slot.installed), (1, 1, 1))
            self.assertTrue(slot.serves and not slot.sealed)
        await client.put("config", b"blue")
        await client.put("other", b"red")
        await client.delete("other")
        state = await client.store_state()
        self.assertEqual((state.keys, state.bytes), (1, len(b"configblue")))
        self.assertEqual(sum(slot.keys for slot in state.slots), 1)
        self.assertEqual((await client.status()).keys, 1)
        self.assertEqual(await node.store_state(), state)

    async def test_the_slots_of_a_large_store_come_in_several_replies(self) -> None:
        node = await self.keeper("one" + "x" * 60, slots=4096)
        client = self.client(node)
        state = await client.store_state()
        self.assertEqual(state.formation, "")
        self.assertIn("its founders are one", state.reason)
        other = await self.keeper("one", slots=4096)
        client = self.client(other)
        state = await self.until(client, lambda state: state.formation)
        self.assertEqual([slot.slot for slot in state.slots], list(range(4096)))
        self.assertEqual(await other.store_state(), state)

    async def test_a_node_that_vacates_hands_its_slots_to_the_other(self) -> None:
        first = await self.keeper("one")
        second = await self.keeper("two", first)
        client, other = self.client(first), self.client(second)
        await self.until(client, lambda state: state.formation)
        await client.put("config", b"blue")
        await self.until(other, lambda state: state.seats == 16)
        self.assertIsNone(await client.vacate())
        state = await self.until(client, lambda state: state.seats == 0)
        self.assertTrue(state.vacating)
        self.assertEqual((await other.get("config")).value, b"blue")
        state = await self.until(other, lambda state: not state.changing)
        self.assertEqual({m.node for slot in state.slots for m in slot.members}, {"two"})

    async def test_a_node_without_a_store_says_so_and_cannot_vacate(self) -> None:
        own = await self.service("own", seams=Seams(keys=FakeStore(time.time)))
        state = await own.store_state()
        self.assertEqual((state.formation, state.reason, state.slots), ("", ELSEWHERE, []))
        with self.assertRaises(NoStore) as raised:
            await self.client(own).vacate()
        self.assertEqual(str(raised.exception), NO_STORE)
