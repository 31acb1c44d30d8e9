"""What an engine knows to be wrong with a node, whatever the cause."""

from __future__ import annotations

import enum
from collections.abc import Callable

import attrs


class Matter(enum.Enum):
    """The kind of trouble, which decides what undoes it."""

    ENDED = "ended"
    """It does not run, and the engine knows more than that."""
    FROZEN = "frozen"
    """It was stopped in the middle of its work."""
    CUT_OFF = "cut off"
    """It runs without a network."""
    REVOKED = "revoked"
    """It runs, and the others believe it no more."""


@attrs.frozen
class Condition:
    """What is wrong with one node."""

    matter: Matter
    text: str
    """Goes on where "Node 4" has begun: ``was killed: out of memory (256 MiB)``."""

    def line(self, number: int, command: Callable[[str], str]) -> str:
        """Return the whole line about Node ``number``, with the command that mends it.

        :param command: makes a command about the node's network from its words.
        """
        mend = {
            Matter.ENDED: ("bring it back with", f"add-node {number}"),
            Matter.FROZEN: ("let it go on with", f"chaos thaw {number}"),
            Matter.CUT_OFF: ("connect it again with", "chaos heal"),
            Matter.REVOKED: ("take it out with", f"remove-node {number} --kill"),
        }
        what, words = mend[self.matter]
        return f"Node {number} {self.text}; {what}: {command(words)}"


HAS_STOPPED = Condition(Matter.ENDED, "has stopped by itself")
"""For a node that ought to run, if nothing more is known."""
IS_REVOKED = Condition(Matter.REVOKED, "is revoked and runs, cut off from the others")


def slots_words(count: int, what: str, example: str) -> str:
    """Return a line about some slots, with what there is to say of the first."""
    if count == 1:
        return example
    return f"{count} slots of the store have {what}, the first: {example}"
