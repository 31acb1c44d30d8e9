"""The store as its users see it: shown, explained, and kept while nodes are taken away."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.e2e.conftest import P2PNet


def _in_step(network: P2PNet) -> Any:
    """Return what the store is when no slot is being moved."""
    while (shown := network.run("store", "--json")).returncode:
        time.sleep(0.2)
    return json.loads(shown.stdout)


def test_nodes_are_removed_one_by_one_and_the_last_one_has_every_key(fresh: P2PNet) -> None:
    fresh.ok(*fresh.start_words, "--nodes", "5")
    for number in range(8):
        fresh.ok("put", str(number % 5 + 1), f"key-{number}", f"value-{number}")
    store = _in_step(fresh)
    assert (store["in_step"], store["keys"], store["founders"]) == (True, 8, [1, 2, 3])
    assert len(store["slots"]) == 256
    explained = fresh.json("explain-key", "key-3")
    slot = store["slots"][explained["slot"]["slot"]]
    assert len(slot["members"]) == 3
    assert slot["keys"] >= 1
    for number in (5, 4, 3, 2):
        removed = fresh.json("remove-node", str(number))
        assert removed["slots"] > 0
    for number in range(8):
        assert fresh.ok("get", "1", f"key-{number}") == f"value-{number}"
    fresh.ok("doctor")
    added = fresh.json("add-node", "3")
    assert added["members"] == 2
    assert fresh.ok("get", "3", "key-5") == "value-5"
