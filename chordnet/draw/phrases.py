"""Parts of which the texts of the command line are made."""

from __future__ import annotations


def plain(text: str) -> str:
    """Return ``text`` without characters that control a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def seconds(value: float) -> str:
    """Return ``9 ms`` or ``0.4 s``."""
    return f"{value * 1000:.0f} ms" if value < 0.1 else f"{value:.1f} s"


def count(number: int, noun: str) -> str:
    """Return ``1 node`` or ``15 nodes``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
