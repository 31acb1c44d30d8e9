"""Questions that wait for an answer, as data.

A question has a kind. The part registered for the kind is told the answer, or that there will be
none because the time is up or the asked node died. Each question ends in exactly one of these ways.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import ClassVar

import attrs

from chordnet.core.base.messages import Next, NodeRef, PeerMessage, Pong, State
from chordnet.core.kernel.context import Context
from chordnet.core.kernel.handlers import Handlers, Hearers
from chordnet.core.kernel.signals import DIED
from chordnet.core.kernel.timers import Expiry


class Ask(enum.IntEnum):
    """What a question is for."""

    STABILISE_SUCCESSOR = enum.auto()
    STABILISE_PREDECESSOR = enum.auto()
    RECTIFY = enum.auto()
    OFFERED_PREDECESSOR = enum.auto()
    JOIN_SCAN = enum.auto()
    JOIN_OFFER = enum.auto()
    AUDIT = enum.auto()
    MERGE = enum.auto()
    FIND_NEXT = enum.auto()
    WALK = enum.auto()


@attrs.define
class Question:
    """One question under way."""

    rid: int
    ask: Ask
    target: NodeRef
    detail: int
    """A number that the asker wants back (a lookup's, say)."""
    subject: NodeRef | None
    """A node that the asker wants back."""


Answer = Pong | State | Next
ANSWERS: dict[Ask, type[Answer]] = {
    Ask.STABILISE_SUCCESSOR: State,
    Ask.STABILISE_PREDECESSOR: State,
    Ask.RECTIFY: Pong,
    Ask.OFFERED_PREDECESSOR: Pong,
    Ask.JOIN_SCAN: State,
    Ask.JOIN_OFFER: State,
    Ask.AUDIT: State,
    Ask.MERGE: State,
    Ask.FIND_NEXT: Next,
    Ask.WALK: State,
}
"""The type that answers a question of each kind; any other is ignored, so silence may follow."""
OnAnswer = Callable[[Question, NodeRef, Answer], None]
OnSilence = Callable[[Question], None]


def ignore(*_ending: object) -> None:
    """Do nothing: for questions of which only one of the two endings matters."""


class Requests:
    """All questions under way, by request number."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._open: dict[int, Question] = {}
        self._expiry: Expiry[int] = Expiry(ctx.config.request_timeout_s, self._open.__contains__)
        self.expiries = (self._expiry,)
        """The queues whose earliest entry limits the node's deadline."""
        self._handlers: dict[Ask, tuple[OnAnswer, OnSilence]] = {}

    def handle(self, ask: Ask, on_answer: OnAnswer, on_silence: OnSilence) -> None:
        """Register what is called when a question of this kind ends."""
        self._handlers[ask] = (on_answer, on_silence)

    def ask(
        self,
        ask: Ask,
        target: NodeRef,
        make: Callable[[int], PeerMessage],
        *,
        detail: int = 0,
        subject: NodeRef | None = None,
    ) -> Question:
        """Send the message that ``make`` builds from the request number."""
        ctx = self._ctx
        rid = ctx.rid()
        question = self._open[rid] = Question(rid, ask, target, detail, subject)
        self._expiry.add(rid, ctx.now)
        ctx.send(target, make(rid))
        return question

    def answered(self, sender: NodeRef, message: Answer) -> None:
        """End the question that ``message`` answers; ignore an answer to no open question."""
        question = self._open.get(message.rid)
        if (
            question is None
            or question.target.raw not in (b"", sender.raw)
            or not isinstance(message, ANSWERS[question.ask])
        ):
            return
        del self._open[message.rid]
        self._ctx.answered(sender)
        self._handlers[question.ask][0](question, sender, message)

    def died(self, peer: NodeRef) -> None:
        """End the questions to ``peer`` (a node, or a contact by its address), which is dead."""
        if peer.raw:
            lost = [q for q in self._open.values() if q.target.raw == peer.raw]
        else:
            lost = [
                q
                for q in self._open.values()
                if not q.target.raw and q.target.address == peer.address
            ]
        for question in lost:
            self._end(question)

    def tick(self) -> None:
        """End the questions whose time is up."""
        for rid in self._expiry.due(self._ctx.now):
            question = self._open.get(rid)
            if question is not None:
                self._end(question)

    def _end(self, question: Question) -> None:
        if self._open.pop(question.rid, None) is not None:
            self._handlers[question.ask][1](question)

    MESSAGES: ClassVar[Handlers] = {
        Next: answered,
    }

    HEARS: ClassVar[Hearers] = {
        DIED: died,
    }
