"""All that may happen to a few nodes while their store begins, one step at a time.

The real :class:`Founders` is put into a state, takes one hail and is read back. What a node has
once said may arrive at any other node, now, late, several times or never. A node may crash between
any two of its writes, and may lose its disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from chordnet.core.store.base.configurations import Member
from chordnet.core.store.base.effects import FoundingKept, Keep, Noted
from chordnet.core.store.base.founding import Founding
from chordnet.core.store.base.kept import Kept
from chordnet.core.store.begin.founders import Founders
from chordnet.core.store.begin.hails import Hail, fault_of
from chordnet.core.store.begin.settings import StoreSettings


class Node(NamedTuple):
    """What a node has on its disk and is configured with, and what it has in memory."""

    own: Hail
    """What it would say, with its vote in any case."""
    heard: tuple[tuple[str, Hail], ...]
    agreed: frozenset[Member]
    doubts: frozenset[str]


class Taken(NamedTuple):
    """What came of a hail."""

    node: int
    between: tuple[Hail, ...]
    """What is on the disk after each write but the last."""
    alarms: tuple[str, ...]


class World(NamedTuple):
    """A state of the search. Nodes and hails are numbers, see ``Search``."""

    nodes: tuple[int, ...]
    said: tuple[tuple[int, ...], ...]
    """All hails of each node, in order, those of its lost disks included."""
    crashes: int
    """How many are still allowed."""
    losses: int


class Broken(Exception):
    """Something is not as it must be."""


class Search:
    """Every state that can be reached.

    :param hails: what each node says of itself at first, by its name.
    :param fills: whether nodes may begin to keep something of their formation.
    """

    def __init__(
        self,
        hails: dict[str, Hail],
        *,
        crashes: int = 0,
        losses: int = 0,
        fills: bool = False,
        founders: type[Founders] = Founders,
    ) -> None:
        self.names = tuple(hails)
        self.alarms: set[str] = set()
        """All alarms that were raised in any state."""
        self.stopped = 0
        """States in which no one store can begin any more, or two have; and that is told."""
        self._fills = fills
        self._losses = losses
        self._class = founders
        self._nodes: list[Node] = []
        self._hails: list[Hail] = []
        self._numbers: dict[Node | Hail, int] = {}
        self._says: list[int] = []
        """The hail of each node."""
        self._taken: dict[tuple[int, int, int, int], Taken] = {}
        nodes = tuple(self._start(who, own) for who, own in enumerate(hails.values()))
        said = tuple((self._says[node],) for node in nodes)
        self.first = World(nodes, said, crashes, losses)

    def run(self, *, ends: bool = True) -> int:
        """Visit all states; return how many there are.

        :param ends: whether to see, for each, what comes of it when everything arrives.
        :raises Broken: one is not as it must be.
        """
        seen, queue = {self.first}, [self.first]
        judged = set[object]()
        for world in queue:
            if world.said not in judged:
                self.check(world.said)
                judged.add(world.said)
            end = (world.nodes, world.losses == self._losses)
            if ends and end not in judged:
                self.check_end(*end)
                judged.add(end)
            for following in self._steps(world):
                if following not in seen:
                    seen.add(following)
                    queue.append(following)
        return len(seen)

    # ---- steps ----------------------------------------------------------------------------------

    def _steps(self, world: World) -> Iterator[World]:
        for to, node in enumerate(world.nodes):
            own = self._nodes[node].own
            if world.crashes:
                yield self._restarted(world, to, own)
            if world.losses:
                blank = replace(own, store=own.store + 1, vote=None, founding=None, empty=True)
                yield self._changed(world, to, self._start(to, blank), losses=1)
            if self._fills and self._may_fill(world, to):
                filled = self._nodes[node]._replace(own=replace(own, empty=False))
                yield self._changed(world, to, self._number_of_node(filled))
            for sender, hails in enumerate(world.said):
                for hail in hails if sender != to else ():
                    taken = self._take(to, node, sender, hail)
                    if taken.node != node:
                        yield self._changed(world, to, taken.node)
                    for disk in taken.between if world.crashes else ():
                        yield self._restarted(world, to, disk)

    def _restarted(self, world: World, who: int, own: Hail) -> World:
        return self._changed(world, who, self._start(who, own), crashes=1)

    def _changed(
        self, world: World, who: int, node: int, *, crashes: int = 0, losses: int = 0
    ) -> World:
        hail, said = self._says[node], world.said
        if hail != self._says[world.nodes[who]]:
            if hail in said[who] and self._hails[hail].founding is not None:
                raise Broken(f"{self.names[who]} is back in a formation that it had left")
            said = (*said[:who], (*said[who], hail), *said[who + 1 :])
        nodes = (*world.nodes[:who], node, *world.nodes[who + 1 :])
        return World(nodes, said, world.crashes - crashes, world.losses - losses)

    def _may_fill(self, world: World, who: int) -> bool:
        """Return True if this node may come to keep something of a slot of its formation."""
        own = self._nodes[world.nodes[who]].own
        if own.founding is None or not own.empty:
            return False
        founders = own.founding.founders
        if len(founders) > 1 or Member(self.names[who], own.store) in founders:
            return True
        # Only the founder can have let it into a slot, and has kept that.
        founder = self._nodes[world.nodes[self.names.index(founders[0].node)]].own
        return founder.founding == own.founding and not founder.empty

    # ---- what must be true ----------------------------------------------------------------------

    def check(self, said: tuple[tuple[int, ...], ...]) -> None:
        """Raise ``Broken`` if there are two stores, or a disk has voted or belonged twice."""
        votes: dict[tuple[int, int], Founding] = {}
        belongs: dict[tuple[int, int], Founding] = {}
        begun = set()
        for who, numbers in enumerate(said):
            for hail in (self._hails[number] for number in numbers):
                disk = (who, hail.store)
                if hail.vote is not None and votes.setdefault(disk, hail.vote) != hail.vote:
                    raise Broken(f"{disk} has voted twice")
                if hail.founding is not None:
                    self._check_bound(disk, hail.founding, belongs, empty=hail.empty)
                    if len(hail.founding.founders) > 1:
                        begun.add(hail.founding)
        if len(begun) > 1:
            raise Broken(f"two stores have begun: {begun}")
        for disk, vote in votes.items():
            if vote in begun and belongs.get(disk, vote) != vote:
                raise Broken(f"{disk} belongs to another store than the one that begun with it")

    def _check_bound(
        self,
        disk: tuple[int, int],
        founding: Founding,
        belongs: dict[tuple[int, int], Founding],
        *,
        empty: bool,
    ) -> None:
        """Check that a disk is where it was, unless it was free to go; remember where it is."""
        if belongs.setdefault(disk, founding) != founding:
            raise Broken(f"{disk} has left a store that it must not leave")
        if empty and len(founding.founders) == 1:
            del belongs[disk]

    def check_end(self, nodes: tuple[int, ...], lossless: bool) -> None:
        """Raise ``Broken`` if no store is there when all hails arrive from now on.

        That may be if a disk was lost or there are two stores, but then it is told.
        """
        alarms, before = set[str](), None
        while nodes != before:
            before, alarms = nodes, set()
            for to in range(len(nodes)):
                for sender in range(len(nodes)):
                    if sender != to:
                        taken = self._take(to, nodes[to], sender, self._says[nodes[sender]])
                        nodes = (*nodes[:to], taken.node, *nodes[to + 1 :])
                        alarms.update(taken.alarms)
        owns = [self._nodes[node].own for node in nodes]
        stores = {own.founding for own in owns}
        if None not in stores and len(stores) == 1:
            return
        lasting = {
            own.founding
            for own in owns
            if own.founding is not None and (len(own.founding.founders) > 1 or not own.empty)
        }
        if lossless and len(lasting) < 2:
            raise Broken(f"no store begins: {owns}")
        if not alarms:
            raise Broken(f"no store begins, and this is not told: {owns}")
        self.stopped += 1

    # ---- one node -------------------------------------------------------------------------------

    def _number_of_hail(self, hail: Hail) -> int:
        number = self._numbers.setdefault(hail, len(self._hails))
        if number == len(self._hails):
            self._hails.append(hail)
        return number

    def _number_of_node(self, node: Node) -> int:
        number = self._numbers.setdefault(node, len(self._nodes))
        if number == len(self._nodes):
            self._nodes.append(node)
            own = node.own
            vote = own.vote if own.founding is None else None
            self._says.append(self._number_of_hail(replace(own, vote=vote)))
        return number

    def _start(self, who: int, own: Hail) -> int:
        founders = self._made(self.names[who], own)
        founders.begin()
        return self._read(founders, own)

    def _made(self, me: str, own: Hail) -> Founders:
        settings = StoreSettings(
            network=own.network,
            bits=own.bits,
            founders=own.founders,
            slots=own.slots,
            replicas=own.replicas,
            seat=own.seat,
        )
        kept = Kept(own.store, own.run, own.vote, own.founding)
        founders = self._class(settings, Member(me, own.store), kept)
        founders.empty = own.empty
        return founders

    def _read(self, founders: Founders, own: Hail) -> int:
        now = replace(own, vote=founders.vote, founding=founders.founding, empty=founders.empty)
        doubts = frozenset(founders._doubts)
        if now.founding is not None:
            return self._number_of_node(Node(now, (), frozenset(), doubts))
        heard = tuple(sorted(founders._heard.items()))
        return self._number_of_node(Node(now, heard, frozenset(founders._agreed), doubts))

    def _take(self, to: int, node: int, sender: int, hail: int) -> Taken:
        case = (to, node, sender, hail)
        if case not in self._taken:
            self._taken[case] = self._run(self.names[to], node, self.names[sender], hail)
            self.alarms.update(self._taken[case].alarms)
        return self._taken[case]

    def _run(self, to: str, number: int, sender: str, hail: int) -> Taken:
        node, message = self._nodes[number], self._hails[hail]
        fault = fault_of(sender, message)
        if fault:
            raise Broken(f"an honest hail is found faulty: {fault}")
        founders = self._made(to, node.own)
        founders._heard = dict(node.heard)
        founders._agreed = set(node.agreed)
        founders._doubts = set(node.doubts)
        effects = founders.on_hail(sender, message)
        disk, disks = node.own, []
        for effect in effects:
            for entry in effect.entries if isinstance(effect, Keep) else ():
                if isinstance(entry, FoundingKept):
                    disk = replace(disk, founding=entry.founding)
                else:
                    disk = replace(disk, vote=entry.founding)
                disks.append(disk)
        if (disk.vote, disk.founding) != (founders.vote, founders.founding):
            raise Broken(f"{to} says what is not on its disk")
        noted = [effect for effect in effects if isinstance(effect, Noted)]
        alarms = tuple(note.text for note in noted if note.alarming)
        return Taken(self._read(founders, node.own), tuple(disks[:-1]), alarms)
