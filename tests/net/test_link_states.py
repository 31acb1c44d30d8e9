"""The table of a link's states: every step that it allows, and none besides."""

from __future__ import annotations

from itertools import product
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import LocalProtocolError
from chordnet.core.base.events import LinkFault
from chordnet.core.base.messages import Ping, contact
from chordnet.net.base.limits import NetworkLimits
from chordnet.net.links.links import Link, LinkState, LinkStep
from tests.net.hosts import node_ref
from tests.net.test_transport import A, B, TransportCase

SOME: Any = object()
"""A session or a dial, of which the table knows nothing."""

STEPS = {
    LinkStep.LINED_UP: lambda link: link.line_up(),
    LinkStep.LEFT_LINE: lambda link: link.leave_line(),
    LinkStep.DIALLED: lambda link: link.begin_dial(SOME),
    LinkStep.DIAL_ENDED: lambda link: link.end_dial(),
    LinkStep.PAUSED: lambda link: link.begin_pause(Clock().callLater(1, int)),
    LinkStep.PAUSE_ENDED: lambda link: link.end_pause(),
    LinkStep.ATTACHED: lambda link: link.attach(SOME),
    LinkStep.DETACHED: lambda link: link.detach(),
}
WAYS = {
    LinkState.IDLE: (),
    LinkState.IN_LINE: (LinkStep.LINED_UP,),
    LinkState.DIALLING: (LinkStep.DIALLED,),
    LinkState.PAUSED: (LinkStep.PAUSED,),
    LinkState.UP: (LinkStep.ATTACHED,),
    LinkState.UP_IN_LINE: (LinkStep.LINED_UP, LinkStep.ATTACHED),
    LinkState.UP_DIALLING: (LinkStep.DIALLED, LinkStep.ATTACHED),
}
"""How each state is reached."""


def link_in(state: LinkState) -> Link:
    """Return a link that has come to ``state`` by steps."""
    link = Link(node_ref("a", A))
    for step in WAYS[state]:
        STEPS[step](link)
    return link


class TableTests(SynchronousTestCase):
    def assert_has_what_it_says(self, link: Link) -> None:
        """The state names what the link has."""
        up = {LinkState.UP, LinkState.UP_IN_LINE, LinkState.UP_DIALLING}
        dialling = {LinkState.DIALLING, LinkState.UP_DIALLING}
        self.assertEqual(link.session is not None, link.state in up)
        self.assertEqual(link.dial is not None, link.state in dialling)
        self.assertEqual(link.pause is not None, link.state is LinkState.PAUSED)

    def test_every_step_of_the_table_can_be_taken_and_leads_where_it_says(self) -> None:
        for (state, step), after in Link.TRANSITIONS.items():
            with self.subTest(f"{state.value}: {step.value}"):
                link = link_in(state)
                self.assertIs(link.state, state)
                STEPS[step](link)
                self.assertIs(link.state, after)
                self.assert_has_what_it_says(link)

    def test_any_other_step_raises_and_changes_nothing(self) -> None:
        others = set(product(LinkState, LinkStep)) - set(Link.TRANSITIONS)
        self.assertEqual(len(others), 7 * 8 - 17)
        for state, step in others:
            with self.subTest(f"{state.value}: {step.value}"):
                link = link_in(state)
                with self.assertRaises(LocalProtocolError) as raised:
                    STEPS[step](link)
                self.assertEqual(
                    str(raised.exception), f"a link that is {state.value} cannot {step.value}"
                )
                self.assertIs(link.state, state)
                self.assert_has_what_it_says(link)

    def test_every_state_can_be_left_and_the_way_back_to_idle_is_open(self) -> None:
        for state in LinkState:
            seen, line = {state}, [state]
            while line:
                now = line.pop()
                for (before, _step), after in Link.TRANSITIONS.items():
                    if before is now and after not in seen:
                        seen.add(after)
                        line.append(after)
            self.assertIn(LinkState.IDLE, seen)

    def test_a_dial_is_under_way_or_to_come_in_all_states_but_two(self) -> None:
        idle = {state for state in LinkState if not link_in(state).dialled}
        self.assertEqual(idle, {LinkState.IDLE, LinkState.UP})

    def test_a_link_without_a_queue_may_be_forgotten_while_it_has_nothing_or_stands_in_line(
        self,
    ) -> None:
        empty = {state for state in LinkState if link_in(state).empty}
        self.assertEqual(empty, {LinkState.IDLE, LinkState.IN_LINE})
        for state in LinkState:
            link = link_in(state)
            link.queue.append(b"x")
            self.assertFalse(link.empty)


class WalkedTests(TransportCase):
    """States that links of real transports come to."""

    def state(self, host: Any, other: Any) -> LinkState:
        return host.transport._links[other.me.raw].state

    def test_a_dial_leads_from_idle_by_dialling_to_up_and_the_end_back_to_idle(self) -> None:
        a, b = self.host("a", A), self.host("b", B)
        a.send(b, Ping(1))
        self.assertIs(self.state(a, b), LinkState.DIALLING)
        self.run_for(0.1)
        self.assertIs(self.state(a, b), LinkState.UP)
        self.assertIs(self.state(b, a), LinkState.UP)
        b.stop()
        self.run_for(0.1)
        self.assertIs(self.state(a, b), LinkState.IDLE)

    def test_a_failed_dial_leads_to_a_pause_and_its_end_to_idle(self) -> None:
        a = self.host("a", A)
        nobody = node_ref("b", B)
        a.send(nobody, Ping(1))
        self.run_for(0.01)
        self.assertIs(a.transport._links[nobody.raw].state, LinkState.PAUSED)
        self.run_for(10)
        self.assertIs(a.transport._links[nobody.raw].state, LinkState.IDLE)

    def test_a_caller_ends_the_pause_before_its_session_is_taken(self) -> None:
        a, b = self.host("a", A), self.host("b", B, listen=False)
        a.send(b, Ping(1))
        self.run_for(0.01)
        self.assertIs(self.state(a, b), LinkState.PAUSED)
        b.send(a, Ping(2))
        self.run_for(0.01)
        self.assertIs(self.state(a, b), LinkState.UP)
        a.send(b, Ping(3))
        self.run_for(0.01)
        self.assertEqual(b.got(), [Ping(3)])

    def test_a_link_too_many_stands_in_line_and_is_called_when_a_dial_ends(self) -> None:
        a = self.host("a", A, limits=NetworkLimits(max_dials=1))
        b = self.host("b", B)
        a.send(contact("10.0.0.9:7001"), Ping(1))
        a.send(b, Ping(2))
        self.assertIs(self.state(a, b), LinkState.IN_LINE)
        self.run_for(30)
        self.assertEqual(b.got(), [Ping(2)])
        self.assertIs(self.state(a, b), LinkState.UP)

    def test_a_caller_may_come_while_its_link_stands_in_line(self) -> None:
        a = self.host("a", A, limits=NetworkLimits(max_dials=1))
        b = self.host("b", B)
        self.network.unreachable.add("10.0.0.9:7001")
        a.send(contact("10.0.0.9:7001"), Ping(1))
        a.send(b, Ping(2))
        b.send(a, Ping(3))
        self.run_for(0.1)
        self.assertIs(self.state(a, b), LinkState.UP_IN_LINE)
        self.assertEqual((a.got(), b.got()), ([Ping(3)], [Ping(2)]))
        self.run_for(60)
        self.assertIs(self.state(a, b), LinkState.UP)

    def test_a_failed_dial_pauses_before_those_in_line_are_called(self) -> None:
        """What they cause at once may be a message to the peer that was not reached."""
        refusing = self.network.dialling_from(A)

        def endpoints(reactor: Any, address: str, timeout: float) -> Any:
            if address.startswith("unmade"):
                raise ZeroDivisionError
            return refusing(reactor, address, timeout)

        a = self.host("a", A, limits=NetworkLimits(max_dials=1), endpoints=endpoints)
        nobody, unmade = node_ref("b", B), node_ref("c", "unmade:1")
        down = a.transport._on_down

        def again(peer: Any, fault: LinkFault, text: str = "", holder: str = "") -> None:
            down(peer, fault, text, holder)
            if peer == unmade:
                a.transport.send(nobody, Ping(3))

        a.transport._on_down = again
        a.send(nobody, Ping(1))
        a.send(unmade, Ping(2))
        self.run_for(0.01)
        self.assertIs(a.transport._links[nobody.raw].state, LinkState.PAUSED)
        self.assertEqual([name for name, _fault in a.downs], ["c", "b"])
