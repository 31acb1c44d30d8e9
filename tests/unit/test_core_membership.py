"""Every transition of the table and every one that is not in it."""

from __future__ import annotations

from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.errors import LocalProtocolError
from chordnet.core.base.messages import Status
from chordnet.core.kernel.membership import MEMBER, TRANSITIONS, check

U, J, F, A, L, X, S, P = Status

# Written out once more, from the protocol's description and not from the table.
ALLOWED = {
    (U, J), (U, F), (U, S), (U, A), (U, L), (U, P),
    (S, U), (S, A), (S, L), (S, P),
    (J, U), (J, A), (J, L), (J, P),
    (F, U), (F, J), (F, A), (F, L), (F, P),
    (A, L), (A, P),
    (L, X),
    (P, L),
}  # fmt: skip


class MembershipTests(SynchronousTestCase):
    def test_every_allowed_change_of_state_is_accepted(self):
        for old, new in sorted(ALLOWED):
            check(old, new)

    def test_a_change_of_state_that_is_not_allowed_is_refused(self):
        for old, new in product(Status, Status):
            if (old, new) not in ALLOWED:
                error = self.assertRaises(LocalProtocolError, check, old, new)
                self.assertIn(f"{old.name.lower()} cannot become {new.name.lower()}", str(error))

    def test_every_state_has_an_entry_in_the_table_of_changes(self):
        self.assertEqual(set(TRANSITIONS), set(Status))

    def test_every_state_but_the_first_can_be_reached(self):
        reached, frontier = {U}, [U]
        while frontier:
            fresh = TRANSITIONS[frontier.pop()] - reached
            reached |= fresh
            frontier += fresh
        self.assertEqual(reached, set(Status))

    def test_a_node_may_leave_from_every_state_before_leaving(self):
        for status in (U, S, J, F, A, P):
            self.assertIn(L, TRANSITIONS[status])

    def test_a_superseded_node_can_only_leave(self):
        self.assertEqual(TRANSITIONS[P], {L})

    def test_from_seeking_a_ring_is_joined_by_way_of_unjoined_or_created_on_request(self):
        self.assertEqual(TRANSITIONS[S], {U, A, L, P})

    def test_no_way_leads_back_out_of_leaving(self):
        self.assertEqual(TRANSITIONS[L], {X})
        self.assertEqual(TRANSITIONS[X], frozenset())

    def test_members_are_the_active_and_the_leaving(self):
        self.assertEqual(MEMBER, {A, L})
