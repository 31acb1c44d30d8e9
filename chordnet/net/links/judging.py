"""Greetings that wait for the core's judgement of a name.

A node that greets as another life of a known one, or at another address, may be an impostor. It is
let in once the core has judged that it has the name; meanwhile its greeting waits.
"""

from __future__ import annotations

from collections.abc import Callable

from chordnet.core.base.effects import Judged
from chordnet.core.base.events import Event, Greeted
from chordnet.core.base.messages import NodeRef
from chordnet.net.base.interfaces import Judge
from chordnet.wire.greeting import Refuse

WhenJudged = Callable[[Refuse | None], None]
_REASON = 900


class Judging:
    """The greetings that wait.

    :param names: what is known of names; None lets every node in.
    :param post: takes an event for the core.
    :param wall: returns the wall clock in seconds since 1970.
    :param rival: returns who else is connected under a node's name.
    :param most: how many nodes may wait.
    """

    def __init__(
        self,
        names: Judge | None,
        post: Callable[[Event], None],
        wall: Callable[[], float],
        rival: Callable[[NodeRef], NodeRef | None],
        most: int,
    ) -> None:
        self._names = names
        self._post = post
        self._wall = wall
        self._rival = rival
        self._most = most
        self._waiting: dict[NodeRef, list[WhenJudged]] = {}

    def is_known(self, node: NodeRef) -> bool:
        """Return True if this very node has its name."""
        return self._names is not None and self._names.known(node.raw) == node

    def doubts(self, node: NodeRef) -> bool:
        """Return True if ``node`` has to be judged before it is let in."""
        if self._names is None:
            return False
        # Two nodes with one name: one is an impostor, or what is left of an earlier life.
        contested = self._rival(node) is not None and not self.is_known(node)
        return contested or self._names.doubts(node)

    def doubt(self, node: NodeRef) -> str:
        """Return why :meth:`doubts` is about ``node``, in words."""
        assert self._names is not None
        return self._names.doubt(node)

    def ask(self, node: NodeRef, *, dialled: bool = False) -> None:
        """Have the core judge ``node``."""
        self._post(Greeted(node, self._rival(node), dialled, self._wall()))

    def judge_answer(self, node: NodeRef, address: str) -> None:
        """Have the core judge ``node``, which is doubted and has answered a dial of ``address``."""
        known = self._names.known(node.raw) if self._names is not None else None
        # Any node can call under a name; to answer at the address known for it takes more.
        at_home = known is not None and known.address == node.address == address
        self.ask(node, dialled=at_home)

    def wait(self, node: NodeRef, judged: WhenJudged) -> None:
        """Have ``node`` judged; call ``judged`` with why it is refused, or None."""
        if len(self._waiting) >= self._most and node not in self._waiting:
            judged(Refuse("full", "too many names are being checked; try again"))
            return
        self._waiting.setdefault(node, []).append(judged)
        self.ask(node)

    def judged(self, effect: Judged) -> None:
        """Answer the greetings that wait for this judgement."""
        refusal = None
        if effect.reason:
            code = "name" if effect.holder else "incarnation"
            refusal = Refuse(code, effect.reason[:_REASON], effect.holder)
        for judged in self._waiting.pop(effect.node, ()):
            judged(refusal)
