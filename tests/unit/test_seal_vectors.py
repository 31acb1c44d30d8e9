"""The bytes of seals and signatures on the page of the wire format are those that are made."""

from __future__ import annotations

import re
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.messages import MessageId
from chordnet.core.seals.merkle import HashTree, root_of
from chordnet.core.seals.statements import receipt_text, seal_text

PAGE = (Path(__file__).parents[2] / "docs" / "wire-format.md").read_text("utf-8")

KEY = bytes(range(32))
NETWORK = bytes(range(16))
FIRST = MessageId(bytes(range(20)), 1760000000000, 3)
CREATED = 1760000000.5
BODIES = [b"apple", b"pear", b"plum"]
WITNESS = (bytes(range(20, 40)), 1760000000001)


def vectors() -> dict[str, bytes]:
    """Return what the page has to say."""
    tree, key = HashTree(BODIES), Ed25519PrivateKey.from_private_bytes(KEY)
    seal = seal_text(NETWORK, FIRST, len(BODIES), CREATED, tree.root)
    receipt = receipt_text(NETWORK, FIRST, len(BODIES), tree.root, *WITNESS)
    return {
        "private key": KEY,
        "root": tree.root,
        "path of pear": b"".join(tree.path(1)),
        "seal text": seal,
        "seal signature": key.sign(seal),
        "receipt text": receipt,
        "receipt signature": key.sign(receipt),
    }


def written(what: dict[str, bytes]) -> str:
    """Return the vectors as the page writes them."""
    lines = []
    for name, value in what.items():
        text = value.hex()
        lines.append(f"{name}:")
        lines += [f"  {text[at : at + 64]}" for at in range(0, len(text), 64)]
    return "\n".join(lines) + "\n"


class VectorTests(SynchronousTestCase):
    maxDiff = None

    def test_the_bytes_on_the_page_are_those_that_are_signed(self):
        (block,) = re.findall(r"```none\n(private key:\n.*?)```", PAGE, re.S)
        self.assertEqual(block, written(vectors()))

    def test_the_path_on_the_page_leads_from_its_body_to_the_root(self):
        found = vectors()
        path = [found["path of pear"][at : at + 32] for at in (0, 32)]
        self.assertEqual(root_of(b"pear", 1, 3, path), found["root"])
