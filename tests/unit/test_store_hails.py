"""What a node may say of itself and of its formation, and what is wrong with it otherwise."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.outcomes import Fault
from chordnet.core.store.base.configurations import Member
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.begin.hails import Hail, fault_of

DISKS = (Member("a", 1), Member("b", 2))
FOUNDING = Founding("net", 8, 4, 3, DISKS)
HAIL = Hail(1, 1, True, False, "net", 8, 4, 3, ("a", "b"), FOUNDING, FOUNDING, True, False)
NINE = tuple("abcdefghi")


def fault(sender: str = "a", **changed: object) -> Fault:
    return fault_of(sender, replace(HAIL, **changed))


def fault_within(**changed: object) -> set[Fault]:
    """What is wrong if the vote, or the formation, is changed so."""
    founding = replace(FOUNDING, **changed)
    return {fault(vote=founding), fault(founding=founding)}


class FaultTests(SynchronousTestCase):
    def test_an_honest_hail_has_no_fault(self) -> None:
        self.assertEqual(fault(), Fault.NONE)
        self.assertIs(fault(founders=(), vote=None, founding=None), Fault.NONE)

    def test_the_number_of_a_disk_has_62_bits(self) -> None:
        for store in (0, 2**62 - 1):
            self.assertEqual(fault(store=store, vote=None), Fault.NONE)
        for store in (-1, 2**62):
            self.assertEqual(fault(store=store, vote=None), Fault.WRONG_NUMBER)

    def test_the_number_of_a_run_is_below_the_limit_of_all_counts(self) -> None:
        for run in (0, 2**62 - 1):
            self.assertEqual(fault(run=run), Fault.NONE)
        for run in (-1, 2**62):
            self.assertEqual(fault(run=run), Fault.WRONG_NUMBER)

    def test_identifiers_have_3_to_256_bits(self) -> None:
        for bits in (3, 256):
            self.assertEqual(fault(bits=bits), Fault.NONE)
            self.assertEqual(fault_within(bits=bits), {Fault.NONE})
        for bits in (-1, 2, 257):
            self.assertEqual(fault(bits=bits), Fault.WRONG_NUMBER)
            self.assertEqual(fault_within(bits=bits), {Fault.WRONG_NUMBER})

    def test_slots_are_a_power_of_two_up_to_4096(self) -> None:
        for slots in (1, 2, 4096):
            self.assertEqual(fault(slots=slots, bits=160), Fault.NONE)
            self.assertEqual(fault_within(slots=slots, bits=160), {Fault.NONE})
        for slots in (-2, 0, 3, 4095, 8192):
            self.assertEqual(fault(slots=slots, bits=160), Fault.WRONG_NUMBER)
            self.assertEqual(fault_within(slots=slots, bits=160), {Fault.WRONG_NUMBER})

    def test_there_are_no_more_slots_than_identifiers(self) -> None:
        self.assertEqual(fault(slots=256), Fault.NONE)
        self.assertEqual(fault(slots=512), Fault.WRONG_NUMBER)
        self.assertEqual(fault_within(slots=512), {Fault.WRONG_NUMBER})

    def test_replicas_are_odd_and_up_to_9(self) -> None:
        for replicas in (1, 9):
            self.assertEqual(fault(replicas=replicas), Fault.NONE)
            self.assertEqual(fault_within(replicas=replicas), {Fault.NONE})
        for replicas in (-1, 0, 2, 8, 11):
            self.assertEqual(fault(replicas=replicas), Fault.WRONG_NUMBER)
            self.assertEqual(fault_within(replicas=replicas), {Fault.WRONG_NUMBER})

    def test_the_name_of_the_network_is_short_and_printable(self) -> None:
        self.assertEqual(fault(network="n" * 255), Fault.NONE)
        for network in ("", "n" * 256, "n\n"):
            self.assertEqual(fault(network=network), Fault.TOO_LONG)
            self.assertEqual(fault_within(network=network), {Fault.TOO_LONG})

    def test_founders_are_nine_at_most(self) -> None:
        disks = tuple(Member(name, 1) for name in NINE)
        self.assertEqual(fault(founders=NINE), Fault.NONE)
        self.assertEqual(fault_within(founders=disks), {Fault.NONE})
        self.assertEqual(fault(founders=(*NINE, "j")), Fault.TOO_LONG)
        self.assertEqual(fault_within(founders=(*disks, Member("j", 1))), {Fault.TOO_LONG})

    def test_founders_are_in_order_and_none_is_there_twice(self) -> None:
        self.assertEqual(fault(founders=("b", "a")), Fault.WRONG_NODE)
        self.assertEqual(fault(founders=("a", "a")), Fault.WRONG_NODE)
        self.assertEqual(fault_within(founders=DISKS[::-1]), {Fault.WRONG_NODE})
        twice = (Member("a", 1), Member("a", 2))
        self.assertEqual(fault_within(founders=twice), {Fault.WRONG_NODE})

    def test_the_names_of_founders_are_usable(self) -> None:
        self.assertEqual(fault(founders=("a", "b" * 255)), Fault.NONE)
        for name in ("b" * 256, "b\n"):
            self.assertEqual(fault(founders=("a", name)), Fault.WRONG_NODE)
            disks = (Member("a", 1), Member(name, 1))
            self.assertEqual(fault_within(founders=disks), {Fault.WRONG_NODE})
        self.assertEqual(fault(founders=("", "a")), Fault.WRONG_NODE)

    def test_the_disks_of_founders_have_numbers_of_62_bits(self) -> None:
        for store in (0, 2**62 - 1):
            disks = (Member("a", 1), Member("b", store))
            self.assertEqual(fault_within(founders=disks), {Fault.NONE})
        for store in (-1, 2**62):
            disks = (Member("a", 1), Member("b", store))
            self.assertEqual(fault_within(founders=disks), {Fault.WRONG_NUMBER})

    def test_a_formation_has_founders(self) -> None:
        self.assertEqual(fault_within(founders=()), {Fault.WRONG_NODE})

    def test_a_founder_votes_for_its_own_disk(self) -> None:
        self.assertEqual(fault("c"), Fault.WRONG_NODE)
        self.assertEqual(fault(store=3), Fault.WRONG_NODE)
        self.assertEqual(fault("c", vote=None), Fault.NONE)

    def test_a_fault_of_the_vote_is_not_hidden_by_a_good_formation(self) -> None:
        bad = replace(FOUNDING, slots=3)
        self.assertEqual(fault(vote=bad), Fault.WRONG_NUMBER)
        self.assertEqual(fault(founding=bad), Fault.WRONG_NUMBER)


class WireTests(SynchronousTestCase):
    def test_a_hail_is_read_back_as_it_was_written(self) -> None:
        for hail in (HAIL, replace(HAIL, vote=None, founding=None, founders=(), asks=True)):
            read = msgspec.msgpack.decode(msgspec.msgpack.encode(hail), type=Hail)
            self.assertEqual(read, hail)

    def test_a_hail_is_a_list_that_begins_with_its_name(self) -> None:
        plain = msgspec.msgpack.decode(msgspec.msgpack.encode(HAIL))
        self.assertEqual(plain[:3], ["Hail", 1, 1])
