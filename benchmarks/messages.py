"""The messages that are sent, numbered, and the time until every receiver has one, pure."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.effort import PAYLOAD_BYTES
from benchmarks.stats import percentile

_DIGITS = 8


def payload(index: int) -> bytes:
    """Return the message with this number: printable, of `PAYLOAD_BYTES` bytes."""
    return f"{index:0{_DIGITS}}".encode().ljust(PAYLOAD_BYTES, b"x")


def number(message: bytes) -> int:
    """Return the number of a message."""
    return int(message[:_DIGITS])


def delays(sent: Sequence[float], arrivals: Sequence[Sequence[float]]) -> list[float]:
    """Return, for each message, the seconds until the last receiver had it.

    Args:
        sent: When each message was handed over.
        arrivals: For each receiver, when it had each message.
    """
    return [max(times) - start for start, *times in zip(sent, *arrivals, strict=True)]


def latencies(seconds: Sequence[float]) -> dict[str, float]:
    """Return the gauges of the latency benchmark, in milliseconds."""
    return {"p50": percentile(seconds, 50) * 1e3, "p99": percentile(seconds, 99) * 1e3}
