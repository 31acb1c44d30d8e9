"""Where a node holds keys, what its store is told of its settings, and how letters come to it."""

from __future__ import annotations

import random
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.effects import Mailed
from chordnet.core.base.errors import ConfigError, StoreFailed
from chordnet.core.base.messages import StoreMail
from chordnet.core.mailroom import Mailroom
from chordnet.core.store.base.configurations import Member
from chordnet.core.store.base.effects import VoteKept
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.begin.settings import StoreSettings
from chordnet.net.runtime.keeping import Storage
from chordnet.settings import NodeSettings
from chordnet.storage.store.disk import StoreDisk
from chordnet.storage.store.memory import MemoryStore
from tests.net.hosts import node_ref
from tests.unit.core_support import make_context

FOUNDING = Founding("default", 160, 16, 3, (Member("a", 1),))


class StorageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = Path(self.mktemp())
        self.root.mkdir()
        self.warned: list[str] = []

    def storage(self, directory: Path | None, **options: object) -> Storage:
        return Storage(directory, self.warned.append, lambda: 1000.0, **options)  # type: ignore[arg-type]

    def test_a_node_holds_keys_on_its_disk_if_it_has_one_or_in_memory_if_it_is_told_to(self):
        for directory, choice, holds, kind in (
            (self.root, "auto", True, StoreDisk),
            (None, "auto", False, MemoryStore),
            (self.root, "memory", True, MemoryStore),
            (None, "memory", True, MemoryStore),
            (self.root, "none", False, MemoryStore),
            (None, "none", False, MemoryStore),
        ):
            storage = self.storage(directory, store=choice)
            self.assertIs(storage.holds_keys, holds)
            keeper, kept = storage.open_store()
            self.assertIs(type(keeper), kind)
            self.assertEqual((kept.run, kept.founding), (1, None))
            storage.close()
        self.assertIs(self.storage(self.root).holds_keys, True)
        self.assertIs(self.storage(None).holds_keys, False)

    def test_what_a_store_on_disk_has_kept_is_there_when_it_is_opened_again(self):
        storage = self.storage(self.root, rng=random.Random(5))
        keeper, first = storage.open_store()
        self.assertEqual(first.store, random.Random(5).getrandbits(62))
        keeper.put(VoteKept(FOUNDING))
        keeper.commit()
        storage.close()
        self.assertTrue((self.root / "store.db").exists())
        again, kept = self.storage(self.root).open_store()
        self.assertEqual((kept.store, kept.run, kept.vote), (first.store, 2, FOUNDING))
        again.close()
        self.assertEqual(self.warned, [])

    def test_a_store_in_memory_lasts_as_long_as_the_node_s_storage(self):
        storage = self.storage(None, store="memory")
        keeper, first = storage.open_store()
        keeper.put(VoteKept(FOUNDING))
        keeper.commit()
        storage.close()
        again, kept = storage.open_store()
        self.assertIs(again, keeper)
        self.assertEqual((kept.store, kept.run, kept.vote), (first.store, 2, FOUNDING))
        _other, other = self.storage(None, store="memory").open_store()
        self.assertNotEqual(other.store, first.store)

    def test_a_store_that_is_given_is_used_and_not_closed(self):
        closed: list[bool] = []

        class Given(MemoryStore):
            def close(self) -> None:
                closed.append(True)

        given = Given(random.Random(1))
        storage = self.storage(self.root, given_keeper=given)
        keeper, kept = storage.open_store()
        self.assertIs(keeper, given)
        self.assertEqual(kept.run, 1)
        storage.close()
        self.assertEqual(closed, [])

    def test_closing_releases_the_files_of_the_store_once(self):
        storage = self.storage(self.root)
        keeper, _kept = storage.open_store()
        keeper.put(VoteKept(FOUNDING))
        keeper.commit()
        self.assertEqual(keeper.waiting, 1)
        storage.close()
        self.assertEqual(keeper.waiting, 0)
        storage.close()

    def test_files_that_cannot_be_used_are_set_aside_with_a_warning_or_refused(self):
        (self.root / "store.db").write_bytes(b"no database" * 100)
        storage = self.storage(self.root)
        storage.open_store()
        self.assertEqual(len(self.warned), 1)
        self.assertIn("store.db", self.warned[0])
        storage.close()
        (self.root / "other").mkdir()
        (self.root / "other" / "store.db").mkdir()
        with self.assertRaises(StoreFailed):
            self.storage(self.root / "other").open_store()


class SettingsTests(SynchronousTestCase):
    def test_the_store_is_told_what_the_founders_have_to_agree_on(self):
        settings = NodeSettings(
            network="n", config=ProtocolConfig(bits=32), founders=["b", "a"], slots=64, replicas=5
        )
        for seat in (True, False):
            self.assertEqual(
                settings.of_store("me", seat=seat),
                StoreSettings(
                    network="n", bits=32, founders=("b", "a"), slots=64, replicas=5, seat=seat
                ),
            )

    def test_a_node_that_holds_keys_and_is_told_of_no_others_founds_a_store_of_its_own(self):
        for settings, seat, founders in (
            (NodeSettings(), True, ("me",)),
            (NodeSettings(), False, ()),
            (NodeSettings(peers=["a:1"]), True, ()),
            (NodeSettings(founders=["x"]), True, ("x",)),
            (NodeSettings(founders=["x"], peers=["a:1"]), True, ("x",)),
        ):
            self.assertEqual(settings.of_store("me", seat=seat).founders, founders)

    def test_a_ring_with_few_identifiers_has_no_more_slots_than_those(self):
        for bits, slots in ((3, 8), (7, 128), (8, 256), (9, 256)):
            settings = NodeSettings(config=ProtocolConfig(bits=bits))
            self.assertEqual(settings.of_store("me", seat=True).slots, slots)

    def test_founders_are_at_most_nine_different_names_of_nodes(self):
        nine = [f"n{number}" for number in range(9)]
        self.assertEqual(NodeSettings(founders=nine).founders, tuple(nine))
        for founders, said in (
            ([*nine, "n9"], "founders must be at most 9 different names"),
            (["a", "a"], "founders must be at most 9 different names"),
            (["a", ""], "founders must be names of nodes; '' is none"),
            (["a\nb"], "founders must be names of nodes; 'a\\nb' is none"),
        ):
            with self.assertRaises(ConfigError) as caught:
                NodeSettings(founders=founders)
            self.assertEqual(str(caught.exception), said)


class MailroomTests(SynchronousTestCase):
    def test_a_letter_is_handed_over_with_its_sender(self):
        ctx = make_context()
        sender = node_ref("n2", "10.0.0.2:7001")
        Mailroom(ctx).on_store_mail(sender, StoreMail(b"hello"))
        self.assertEqual(ctx.effects, [Mailed(sender, b"hello")])
        self.assertEqual(set(Mailroom.MESSAGES), {StoreMail})
