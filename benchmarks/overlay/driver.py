"""One checkout's network and its measuring process, driven by lines on standard input.

Run as a file by :mod:`benchmarks.overlay.checkout` with the interpreter of the checkout that is
measured, whose own ``benchmarks`` and ``chordnet`` it finds: so it uses only what checkouts of any
age have. A line is a JSON document, and so is its answer.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from typing import Any

from benchmarks.messages import delays, latencies
from benchmarks.overlay.network import Network
from benchmarks.overlay.sides import measuring_process
from benchmarks.stats import percentile


def measure(client: Any, ask: dict[str, Any]) -> dict[str, float]:
    """Take one round: messages one at a time, and then with some in flight."""
    sent, receipts, arrivals = client.ask("paced", ask["origin"], ask["paced"], ask["pace"])
    found = {
        "p50": latencies(delays(sent, arrivals))["p50"],
        "receipt": percentile(receipts, 50) * 1e3,
    }
    for window, count in ask["floods"]:
        found[f"rate {window}"] = count / client.ask("flood", ask["origin"], count, window)
    return found


def answer(document: dict[str, Any]) -> None:
    """Write a line."""
    print(json.dumps(document), flush=True)


def main() -> None:
    """Start the network, answer questions until standard input ends, and stop it."""
    network, client = Network(int(sys.argv[1])), None
    try:
        network.start()
        time.sleep(float(sys.argv[2]))
        client = measuring_process(network)
        answer({})
        for line in sys.stdin:
            answer(measure(client, json.loads(line)))
    except Exception as error:  # noqa: BLE001 - told to whoever asked
        answer({"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()})
    finally:
        if client is not None:
            client.stop()
        network.close()


if __name__ == "__main__":
    main()
