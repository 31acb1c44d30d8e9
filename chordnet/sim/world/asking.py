"""Dials that only ask who is there, and the answer to a node that is refused for its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from chordnet.core.base import events as ev
from chordnet.core.base.effects import Judged
from chordnet.core.base.events import LinkFault
from chordnet.core.base.messages import NodeRef
from chordnet.sim.world.host import Host

REFUSAL_S = 0.0005
"""How soon a sender learns that no node listens at an address."""
UNREACHABLE_S = 3.0
"""How soon a sender learns that an address cannot be reached: the time limit of a dial."""


@attrs.frozen
class Asking:
    """The way of such questions through a simulated network.

    :param later: schedules something for a host, by seconds from now.
    :param ask: calls a function with two arguments after the time of a question and its answer.
    """

    hosts: Mapping[str, Host]
    is_dark: Callable[[str, str], bool]
    later: Callable[[float, Host, ev.Event], None]
    ask: Callable[[Callable[..., Any], Host, Any], None]
    step: Callable[[Host, ev.Event], None]

    def verify(self, host: Host, node: NodeRef) -> None:
        """Dial an address and ask who is there."""
        target = self.hosts.get(node.address)
        if self.is_dark(host.ref.address, node.address) or (target is not None and target.frozen):
            self.later(UNREACHABLE_S, host, ev.Verified(node, None))
        elif target is None or not target.runs or target is host:
            self.later(REFUSAL_S, host, ev.Verified(node, None))
        else:
            self.ask(self._answer, host, (node, target))

    def _answer(self, host: Host, question: tuple[NodeRef, Host], _: None = None) -> None:
        node, target = question
        self.step(host, ev.Verified(node, target.node.standing() if target.runs else None))

    def judged(self, host: Host, effect: Judged) -> None:
        """Tell a node that is refused for its name."""
        refused = self.hosts.get(effect.node.address)
        if effect.reason and refused is not None and refused.ref == effect.node and refused.runs:
            down = ev.LinkDown(host.ref, LinkFault.REJECTED, effect.reason, effect.holder)
            self.later(REFUSAL_S, refused, down)
