"""Letters between the stores of nodes, on the links of the ring.

What a letter says is the affair of the store (:mod:`chordnet.core.store.node.talk`). It comes this
way so that the ring knows its sender, like that of any message.
"""

from __future__ import annotations

from typing import ClassVar

from chordnet.core.base.effects import Mailed
from chordnet.core.base.messages import NodeRef, StoreMail
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.handlers import Handlers


class Mailroom:
    """Hands letters over."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def on_store_mail(self, sender: NodeRef, message: StoreMail) -> None:
        """Hand a letter to this node's store."""
        self._ctx.effects.append(Mailed(sender, message.letter))

    MESSAGES: ClassVar[Handlers] = {
        StoreMail: on_store_mail,
    }
