"""What people order a store to do, over real sockets: begin, recover, set aside."""

from __future__ import annotations

import shutil
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.task import deferLater

from chordnet import ChordService, LocalProtocolError, NoStore, P2PNetClient
from chordnet.settings import NodeSettings
from chordnet.storage.store.aside import set_copy_aside
from tests.net.test_sockets import SocketCase

LEFT = Path(__file__).parents[1] / "unit" / "state-0.1.0"


class OrderCase(SocketCase):
    def directory(self, name: str) -> Path:
        path = Path(self.mktemp()) / name
        path.mkdir(parents=True)
        return path

    async def node(
        self, name: str, *peers: ChordService, state: Path | None = None, **words: object
    ) -> ChordService:
        settings = NodeSettings(slots=16, state_dir=None if state is None else str(state), **words)  # type: ignore[arg-type]
        node = await self.service(name, *peers, settings=settings)
        await node.joined()
        return node

    async def stop(self, node: ChordService) -> None:
        await node.stopService()
        self.services.remove(node)

    async def formation(self, node: ChordService) -> str:
        """Return the store that a node belongs to, as soon as there is one."""
        while not (state := await node.store_state()).formation:
            await deferLater(reactor, 0.05)
        return state.formation

    async def serving(self, client: P2PNetClient, key: str) -> bytes:
        entry = await client.get(key)
        assert entry is not None
        return entry.value


class BeginTests(OrderCase):
    async def test_nodes_without_founders_begin_a_store_when_each_is_told(self) -> None:
        states = {name: self.directory(name) for name in ("one", "two")}
        one = await self.node("one", state=states["one"], founders=("nobody",))
        two = await self.node("two", one, state=states["two"])
        with self.assertRaisesRegex(NoStore, "the store has not begun"):
            await one.put("config", b"blue")
        with self.assertRaisesRegex(NoStore, "or type p2pnet store begin"):
            await two.put("config", b"blue")
        for node in (one, two):
            await self.client(node).begin_store(["one", "two"])
        found = {await self.formation(node) for node in (one, two)}
        self.assertEqual(len(found), 1)
        await two.put("config", b"blue")
        with self.assertRaisesRegex(LocalProtocolError, "belongs to the store .* already"):
            await one.begin_store(["one", "two"])
        # It stays begun, without any founders in the configuration.
        await self.stop(two)
        two = await self.node("two", one, state=states["two"])
        self.assertEqual(await self.formation(two), found.pop())

    async def test_a_node_says_why_it_cannot_begin_a_store(self) -> None:
        one = await self.node("one", store="memory", founders=("nobody",))
        client = self.client(one)
        for founders, why in (
            (["two", "three"], "one is not one of the founders three, two"),
            ([], "founders are 1 to 9 names of nodes, each once"),
            (["one", "one"], "founders are 1 to 9 names of nodes, each once"),
            (["one", "\n"], "founders are 1 to 9 names of nodes, each once"),
        ):
            with self.assertRaisesRegex(LocalProtocolError, why):
                await client.begin_store(founders)
        without = await self.node("two", one, store="none")
        with self.assertRaisesRegex(LocalProtocolError, "keeps no store, so it cannot"):
            await without.begin_store(["two"])

    async def test_the_state_of_an_earlier_version_holds_keys_when_a_store_is_begun(self) -> None:
        state = self.directory("old") / "state"
        shutil.copytree(LEFT, state)
        one = await self.node("one", state=state, founders=("nobody",))
        await one.begin_store(["one"])
        await self.formation(one)
        await one.put("config", b"blue")
        await self.stop(one)
        again = await self.node("one", state=state)
        self.assertEqual(await self.serving(self.client(again), "config"), b"blue")


class RecoverTests(OrderCase):
    async def test_a_slot_with_its_majority_is_not_recovered(self) -> None:
        one = await self.node("one", store="memory")
        await self.formation(one)
        (found,) = await self.client(one).recover([3], accept_loss=True)
        self.assertEqual((found.slot, found.fate, found.members), (3, "has_majority", ["one"]))
        self.assertEqual(await one.recover([3]), [found])

    async def test_what_cannot_be_recovered_is_refused_in_words(self) -> None:
        one = await self.node("one", store="memory")
        await self.formation(one)
        client = self.client(one)
        for slots, why in (
            ([16], "slot 16 cannot be recovered; the store has slots 0 to 15"),
            ([-1], "slot -1 cannot be recovered"),
            ([], "no slot cannot be recovered"),
            (list(range(65)), "at most 64 slots"),
        ):
            with self.assertRaisesRegex(LocalProtocolError, why):
                await client.recover(slots)
        with self.assertRaisesRegex(NoStore, "two has met no store yet"):
            await (await self.node("two", store="none")).recover([1])

    async def test_a_slot_whose_other_member_lost_its_disk_is_recovered_from_this_one(self) -> None:
        lost = self.directory("two")
        one = await self.node("one", store="memory", founders=("one", "two"))
        two = await self.node("two", one, state=lost, founders=("one", "two"))
        await self.formation(one)
        client = self.client(one)
        await client.put("config", b"blue")
        await self.stop(two)
        set_copy_aside(lost)
        slot = (await client.put("other", b"x", timeout_s=0.5).addErrback(lambda f: f.value)).slot
        (cost,) = await client.recover([slot])
        self.assertEqual((cost.fate, cost.missing, cost.left), ("loses", ["two"], ["one"]))
        done = await client.recover(list(range(16)), accept_loss=True)
        self.assertEqual({each.fate for each in done}, {"recovered"})
        self.assertEqual(await self.serving(client, "config"), b"blue")
        entry = await client.get("config")
        assert entry is not None
        self.assertGreater(entry.version, 1 << 32)


class AsideTests(OrderCase):
    async def test_a_store_that_is_set_aside_is_kept_and_its_node_joins_the_other(self) -> None:
        states = {name: self.directory(name) for name in ("one", "two")}
        one = await self.node("one", state=states["one"])
        kept = await self.formation(one)
        await one.put("config", b"blue")
        # It begins a store of its own, with something in it, and then meets the other.
        alone = await self.node("two", state=states["two"])
        other = await self.formation(alone)
        await alone.put("mine", b"red")
        await self.stop(alone)
        two = await self.node("two", one, state=states["two"])
        client = self.client(two)
        self.assertEqual((await client.store_state()).formation, other)
        with self.assertRaisesRegex(LocalProtocolError, "belongs to the store .*, not to 'ffff"):
            await client.set_store_aside("ffff" + other)
        where = Path(await client.set_store_aside(other[:8]))
        self.assertEqual(where.name, f"store-aside-{other}")
        self.assertTrue((where / "store.db").stat().st_size)
        self.assertEqual(await self.formation(two), kept)
        self.assertEqual(await self.serving(client, "config"), b"blue")
        await self.stop(two)
        again = await self.node("two", one, state=states["two"])
        self.assertEqual(await self.formation(again), kept)
