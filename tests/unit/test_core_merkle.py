"""The tree over the bodies of a broadcast, and the texts that are signed."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.messages import MessageId
from chordnet.core.seals.merkle import HashTree, root_of
from chordnet.core.seals.statements import receipt_text, seal_text
from tests.seeds import said_seed

PUBLISHED = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
"""Roots that implementations of Certificate Transparency test themselves with."""
ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
FIRST = MessageId(bytes(range(20)), 1760000000000, 3)
NETWORK = bytes(range(16))


class TreeTests(SynchronousTestCase):
    def test_the_roots_are_those_of_certificate_transparency(self):
        for count, root in PUBLISHED.items():
            self.assertEqual(HashTree(ENTRIES[:count]).root.hex(), root)

    def test_every_body_of_a_tree_of_any_size_leads_to_its_root_by_its_path(self):
        for count in (*range(1, 20), 255, 256, 257):
            bodies = [b"%d" % number for number in range(count)]
            tree = HashTree(bodies)
            for index, body in enumerate(bodies):
                path = tree.path(index)
                self.assertEqual(root_of(body, index, count, path), tree.root, (count, index))

    def test_another_body_or_place_or_size_or_path_does_not_lead_to_the_root(self):
        with said_seed() as rng:
            for _ in range(200):
                count = rng.randint(2, 40)
                bodies = [rng.randbytes(4) for _ in range(count)]
                tree, index = HashTree(bodies), rng.randrange(count)
                body, path = bodies[index], tree.path(index)
                other = [*path]
                other[rng.randrange(len(path))] = rng.randbytes(32)
                for wrong in (
                    root_of(body + b"x", index, count, path),
                    root_of(body, index ^ 1, count, path),
                    root_of(body, index, count, other),
                    root_of(body, index, count, path[:-1]),
                    root_of(body, index, count, [*path, bytes(32)]),
                    root_of(body, index, 2 * count + 1, path),
                ):
                    self.assertNotEqual(wrong, tree.root)

    def test_a_place_outside_of_the_tree_has_no_root(self):
        for index, count in ((-1, 1), (1, 1), (0, 0), (5, 5), (1 << 61, 1 << 60)):
            self.assertIsNone(root_of(b"x", index, count, []))

    def test_a_path_of_hashes_of_another_length_has_no_root(self):
        self.assertIsNone(root_of(b"x", 0, 2, [bytes(31)]))
        self.assertIsNone(root_of(b"x", 0, 1 << 60, [bytes(32)] * 60))

    def test_an_inner_node_is_not_taken_for_a_body(self):
        tree = HashTree([b"a", b"b"])
        left, right = tree.path(1)[0], tree.path(0)[0]
        self.assertNotEqual(root_of(left + right, 0, 1, []), tree.root)


class TextTests(SynchronousTestCase):
    def test_every_field_of_a_seal_changes_what_is_signed(self):
        root = HashTree([b"apple"]).root
        texts = {
            seal_text(NETWORK, FIRST, 1, 1.5, root),
            seal_text(bytes(16), FIRST, 1, 1.5, root),
            seal_text(NETWORK, MessageId(bytes(20), FIRST.incarnation, 3), 1, 1.5, root),
            seal_text(NETWORK, MessageId(FIRST.origin, FIRST.incarnation + 1, 3), 1, 1.5, root),
            seal_text(NETWORK, FIRST.plus(1), 1, 1.5, root),
            seal_text(NETWORK, FIRST, 2, 1.5, root),
            seal_text(NETWORK, FIRST, 1, 2.5, root),
            seal_text(NETWORK, FIRST, 1, 1.5, bytes(32)),
        }
        self.assertEqual(len(texts), 8)

    def test_every_field_of_a_receipt_changes_what_is_signed(self):
        root, raw = HashTree([b"apple"]).root, bytes(20)
        texts = {
            receipt_text(NETWORK, FIRST, 1, root, raw, 7),
            receipt_text(bytes(16), FIRST, 1, root, raw, 7),
            receipt_text(NETWORK, FIRST.plus(1), 1, root, raw, 7),
            receipt_text(NETWORK, FIRST, 2, root, raw, 7),
            receipt_text(NETWORK, FIRST, 1, bytes(32), raw, 7),
            receipt_text(NETWORK, FIRST, 1, root, FIRST.origin, 7),
            receipt_text(NETWORK, FIRST, 1, root, raw, 8),
            seal_text(NETWORK, FIRST, 1, 1.5, root),
        }
        self.assertEqual(len(texts), 8)
