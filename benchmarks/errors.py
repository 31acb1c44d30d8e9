"""What can go wrong in a measurement."""

from __future__ import annotations


class BenchmarkError(Exception):
    """A measurement could not be taken; the text is one line for the user."""
