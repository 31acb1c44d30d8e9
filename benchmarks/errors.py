"""What can go wrong in a measurement."""

from __future__ import annotations


class BenchmarkError(Exception):
    """A measurement could not be taken; the text is one line for the user."""


def notes_of(error: BenchmarkError) -> list[str]:
    """Return what was noted with it: a worker's traceback, a command's further words."""
    return [note for note in getattr(error, "__notes__", []) if note]
