"""One run of a ring with a lying member: what its lies may change, and what they may not.

X lies (:mod:`chordnet.sim.campaign.liar`) while Y, and another honest node, broadcast. Of every
message:

- Unless X has published another body under its number, or reported a range of it as covered, the
  receipt is complete and true, however late; or it is partial because of X alone, which it names.
- If X took the number, a receipt that is not complete says *conflict*, or how many nodes have given
  the number up. A receipt that is not partial is true even then.
- When it is given, a receipt that is not partial is true of every node that X did not vouch for (X
  can claim a range that it did not serve).
- Every honest node records it once, with the body that was published, within :data:`WITHIN_S` of
  the end of the attack; if X took the number, with one body or the other.

What a node holds, dials, sends again and logs stays within limits, during the attack and after it:
an idle ring does not go on comparing what it cannot settle.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from random import Random

import attrs

from chordnet.core.base import effects as fx
from chordnet.core.base import events as ev
from chordnet.core.base import messages as msg
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.effects import TraceKind
from chordnet.core.base.identifiers import between
from chordnet.core.base.messages import Ask, MessageId, NodeRef, PeerMessage
from chordnet.sim.campaign.liar import KINDS, Liar, LyingNode
from chordnet.sim.world.build import right_ring
from chordnet.sim.world.heap import held_bytes
from chordnet.sim.world.host import Host
from chordnet.sim.world.latency import happens
from chordnet.sim.world.network import Network
from chordnet.sim.world.schedule import Storm

FEWEST, MOST = 8, 16
"""Nodes of a ring."""
BEFORE_S = 1.5
ATTACK_S = 4.0
ACTS = 12
"""How often X lies during an attack, at most."""
MESSAGES = 3
"""Messages of Y during an attack."""
WITHIN_S = 35.0
"""From the end of the attack until every honest node has every message, and every receipt is there:
a broadcast has 20 s, and a lookup of an heir that began before their end another 10."""
QUIET_S = 4.0
"""How long the ring is watched after that."""
POLL_S = 0.1
MOST_STEPS = 400_000

MOST_BYTES = 8 << 20
"""The most that an honest node may hold; with these settings it holds about 30 kB at rest."""
MOST_DIALS = 400
MOST_RESENT = 50
RESENT_EACH = 10
"""So many more for every broadcast that X made up: eight for a delegate, a few for its heirs."""
MOST_LINES = 400
"""Log lines of one honest node in a whole run."""
MOST_COMPARISONS = 3.0
"""Comparisons of one honest node in a second, once all is quiet."""


def small_ring() -> ProtocolConfig:
    """Return the settings of a run: short lists, so that a small ring has a real tree."""
    return ProtocolConfig(successors=4, max_cast_bytes=1 << 20)


@attrs.define
class Told:
    """One message, and the receipt that its sender got."""

    sender: str
    body: bytes
    id: MessageId | None = None
    done: fx.BroadcastDone | None = None
    at: float = 0.0
    took_s: float = 0.0
    lacking: frozenset[bytes] = frozenset()
    """The honest nodes that had not recorded it when the receipt came."""
    taken: bool = False
    """X has published another body under its number."""
    vouched: set[bytes] = attrs.field(factory=set)
    """Nodes in ranges that X reported as covered."""
    spoken: bool = False
    """X has reported or acknowledged a range of it, or kept silent."""


@attrs.frozen(kw_only=True)
class ByzantineResult:
    """The outcome of one seed's run."""

    kind: str
    seed: int
    failures: tuple[str, ...]
    complete: int = 0
    late: int = 0
    """Complete receipts that took more than two seconds."""
    without_x: int = 0
    """Partial receipts that name X alone."""
    partial: int = 0
    conflict: int = 0
    vouched: int = 0
    """Honest nodes that lacked a message when its receipt came, in a range that X vouched for."""
    frames: int = 0
    """Lies told."""
    blamed: int = 0
    """Frames that honest nodes blamed on their senders."""
    bytes: int = 0
    dials: int = 0
    resent: int = 0
    lines: int = 0
    """The most log lines of one honest node."""
    comparisons: float = 0.0
    """The most comparisons of one honest node in a second, at the end."""
    steps: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing went wrong."""
        return not self.failures


class ByzantineRun:
    """The run of one kind of lies with one seed."""

    kinds = KINDS
    restarts = frozenset({"replay"})
    """The kinds for which Y is restarted, so that X remembers an earlier life of it."""

    def __init__(self, kind: str, seed: int) -> None:
        self.kind, self.seed = kind, seed
        self._rng = rng = Random(f"{kind} {seed}")
        self._act = self.kinds[kind]
        self.network = network = Network(seed, small_ring(), watchers=[self], most_steps=MOST_STEPS)
        names = [f"n{number}" for number in range(rng.randint(FEWEST, MOST))]
        self._x, self._y, self._z = rng.sample(names, 3)
        network.cores[self._x] = LyingNode
        self._certify(network)
        hosts = right_ring(network, names, names[:2])
        refs = {host.ref.address: host.ref for host in hosts}
        self.liar = Liar(
            refs[self._x],
            Random(rng.getrandbits(64)),
            [ref for name, ref in refs.items() if name != self._x],
            refs[self._y],
        )
        self._begin(self.liar)
        self._tell_all(self.liar)
        self.told: dict[int, Told] = {}
        self._records: dict[str, Counter[MessageId]] = {}
        self._bodies: dict[tuple[str, MessageId], bytes] = {}
        self._lines: Counter[str] = Counter()
        self._resent: Counter[str] = Counter()
        self._compared: Counter[str] = Counter()
        self._taken: list[tuple[MessageId, int, list[bytes]]] = []
        self._spoken: list[tuple[MessageId, bytes | None]] = []
        self._quiet: dict[str, int] = {}

    def _certify(self, network: Network) -> None:
        """Prepare the network before its nodes are made."""

    def _begin(self, liar: Liar) -> None:
        """Prepare X."""

    def _ask(self) -> int:
        """Return what the next receipt is to say of each node."""
        return Ask.NOTHING

    def _tell_all(self, liar: Liar) -> None:
        node = self.network.hosts[self._x].node
        assert isinstance(node, LyingNode)
        node.liar = liar

    # ---- what happens -----------------------------------------------------------------------

    def play(self) -> ByzantineResult:
        """Play the run to its end and judge it."""
        failures: list[str] = []
        try:
            self._attack()
            self.network.run(WITHIN_S, self._settled, POLL_S)
            before = dict(self._compared)
            self.network.run(QUIET_S)
            self._quiet = {n: self._compared[n] - before.get(n, 0) for n in self._compared}
        except Storm as storm:
            failures.append(str(storm))
        # Any exception of the core is a finding: report it with its seed.
        except Exception as error:  # noqa: BLE001
            failures.append(f"{self.network.now:.6f} s: {type(error).__name__}: {error}")
        return self._result(failures)

    def _attack(self) -> None:
        network, rng, liar = self.network, self._rng, self.liar
        network.run(0.5)
        self._publish(self._y, "before")
        network.run(BEFORE_S)
        if self.kind in self.restarts or happens(rng, 0.15):
            # Restart Y; X remembers its life before.
            liar.earlier = list(liar.seen)
            network.restart(self._y)
            network.run(4.0)
            liar.victim = network.hosts[self._y].ref
            liar.published = 0
            liar.others = [network.hosts[ref.address].ref for ref in liar.others]
        began = network.now
        for _ in range(rng.randint(1, ACTS)):
            network.at(began + ATTACK_S * rng.random(), self._lie)
        for number in range(MESSAGES):
            at = began + 0.2 + ATTACK_S * rng.random()
            network.at(at, partial(self._publish, self._y, f"during-{number}"))
        network.at(began + ATTACK_S * rng.random(), partial(self._publish, self._z, "another"))
        network.run(ATTACK_S + 0.3)
        liar.twist = liar.reply = None
        if happens(rng, 0.5):
            network.kill(self._x)
        network.run(1.0)
        self._publish(self._y, "after")

    def _lie(self) -> None:
        liar = self.liar
        liar.speaker = None
        for to, message in self._act(liar):
            liar.lies.append(message)
            self.network.say(self._x, to, message, liar.speaker)

    def _publish(self, name: str, body: str) -> None:
        host = self.network.hosts[name]
        known = len(host.records)
        told = Told(name, body.encode(), at=self.network.now)
        op = self.network.publish(name, body, self._ask())
        self.told[op] = told
        told.id = next((record.id for record in host.records[known:]), None)
        if op in host.done:  # the node is alone, or cannot send
            self._receipt(host.done[op])
        if host.ref == self.liar.victim and told.id is not None:
            self.liar.published = told.id.sequence

    # ---- watching ---------------------------------------------------------------------------

    def stepped(self, host: Host, event: ev.Event, effects: list[fx.Effect]) -> None:
        """Note what honest nodes record and send, and the answers they get."""
        name = host.ref.address
        if name == self._x:
            return
        for effect in effects:
            if isinstance(effect, fx.Send):
                if isinstance(effect.message, msg.Have):
                    self._compared[name] += 1
            elif isinstance(effect, fx.Record):
                self._recorded(host, effect)
            elif isinstance(effect, fx.BroadcastDone):
                if effect.op in self.told:
                    self._receipt(effect)
            elif isinstance(effect, fx.Traced):
                self._resent[name] += effect.what == TraceKind.RESENT
            elif isinstance(effect, fx.PeerDied | fx.StatusChanged | fx.Gap):
                self._lines[name] += 1

    def faulted(self, host: Host, what: str) -> None:
        """Do nothing: the run itself causes all that happens to hosts."""

    def _recorded(self, host: Host, record: fx.Record) -> None:
        name = host.ref.address
        self._records.setdefault(f"{name} {host.number}", Counter())[record.id] += 1
        self._bodies[name, record.id] = record.body

    def _receipt(self, done: fx.LookupDone | fx.BroadcastDone) -> None:
        assert isinstance(done, fx.BroadcastDone)
        told = self.told[done.op]
        told.done, told.took_s = done, self.network.now - told.at
        if done.id is not None:
            told.id = done.id
            told.lacking = frozenset(host.ref.raw for host in self._lacking(done.id))

    def _note(self, message: PeerMessage) -> None:
        """Note what X has said about messages."""
        if isinstance(message, msg.Bcast | msg.Bodies) and message.bodies is not None:
            self._taken.append((message.id, len(message.bodies), message.bodies))
        elif isinstance(message, msg.Caught):
            self._taken.append((message.id, 1, [message.body]))
        elif isinstance(message, msg.Covered):
            self._spoken.append((message.id, message.limit))
        elif isinstance(message, msg.Ack):
            self._spoken.append((message.id, None))

    # ---- judging ----------------------------------------------------------------------------

    def _honest(self) -> list[Host]:
        return [host for host in self.network.live() if host.ref.address != self._x]

    def _lacking(self, message_id: MessageId) -> list[Host]:
        return [h for h in self._honest() if (h.ref.address, message_id) not in self._bodies]

    def _settled(self) -> bool:
        return all(
            told.done is not None and told.id is not None and not self._lacking(told.id)
            for told in self.told.values()
        )

    def _result(self, failures: list[str]) -> ByzantineResult:
        for lie in self.liar.lies:
            self._note(lie)
        for told in self.told.values():
            if told.id is not None:
                self._what_x_did(told, told.id)
        failures += [text for told in self.told.values() for text in self._untrue(told)]
        failures += self._twice()
        hosts = self._honest()
        held = max(held_bytes(host.node) for host in hosts)
        dials = max(self.network.dials[host.ref.address] for host in hosts)
        resent, lines = max(self._resent.values(), default=0), max(self._lines.values(), default=0)
        comparisons = max(self._quiet.values(), default=0) / QUIET_S
        forged = sum(isinstance(lie, msg.Bcast) for lie in self.liar.lies)
        most_resent = MOST_RESENT + RESENT_EACH * forged
        for what, found, most in (
            ("holds {} bytes", held, MOST_BYTES),
            ("dialled {} times", dials, MOST_DIALS),
            ("sent {} times again", resent, most_resent),
            ("logged {} lines", lines, MOST_LINES),
            ("compares {} times a second at rest", comparisons, MOST_COMPARISONS),
        ):
            if found > most:
                failures.append(f"a node {what.format(found)}, more than {most}")
        given = [told for told in self.told.values() if told.done is not None]
        complete = [told for told in given if told.done is not None and not told.done.partial]
        return ByzantineResult(
            kind=self.kind,
            seed=self.seed,
            failures=tuple(failures),
            complete=len(complete),
            late=sum(told.took_s > 2.0 for told in complete),
            without_x=sum(self._names_x_alone(told) for told in given),
            partial=len(given) - len(complete),
            conflict=sum(_conflict(told) > 0 for told in given),
            vouched=sum(len(told.lacking & told.vouched) for told in complete),
            frames=len(self.liar.lies),
            blamed=sum(len(host.misbehaved) for host in hosts),
            bytes=held,
            dials=dials,
            resent=resent,
            lines=lines,
            comparisons=comparisons,
            steps=self.network.steps,
        )

    def _what_x_did(self, told: Told, key: MessageId) -> None:
        for first, count, bodies in self._taken:
            offset = key.sequence - first.sequence
            if (
                (first.origin, first.incarnation) == (key.origin, key.incarnation)
                and 0 <= offset < count
                and bodies[offset] != told.body
            ):
                told.taken = True
        told.spoken = not self.liar.serves
        for first, limit in self._spoken:
            if (first.origin, first.incarnation) == (key.origin, key.incarnation):
                told.spoken = True
                if limit is not None and first == key:
                    end = int.from_bytes(limit)
                    told.vouched |= {
                        ref.raw for ref in self.liar.others if between(self.liar.me.id, ref.id, end)
                    }

    def _untrue(self, told: Told) -> list[str]:
        """Return what is wrong with one message and its receipt."""
        what, done = f"{told.body.decode()} of {told.sender}", told.done
        if done is None:
            return [f"{what}: no receipt"]
        if done.id is None or told.id is None:
            return [f"{what}: not sent: {done.reason}"]
        found = []
        missing = self._lacking(told.id)
        if missing:
            names = ", ".join(host.ref.name for host in missing)
            found.append(f"{what}: not on {names}")
        wrong = [
            host.ref.name
            for host in self._honest()
            if self._bodies.get((host.ref.address, told.id), told.body) != told.body
        ]
        if wrong and not told.taken:
            found.append(f"{what}: another body on {', '.join(wrong)}")
        if not done.partial:
            untrue = told.lacking - told.vouched
            if untrue or wrong:
                names = ", ".join(self._named(raw) for raw in untrue)
                found.append(
                    f"{what}: confirmed by {done.recorded} when it was not on {names or 'any'}"
                    + (f", and is another one on {', '.join(wrong)}" if wrong else "")
                )
        elif told.taken:
            if not _conflict(told) and not self._names_x_alone(told) and not told.spoken:
                found.append(f"{what}: its number was taken, and the receipt says no conflict")
        elif not self._names_x_alone(told) and not told.spoken:
            names = ", ".join(ref.name for ref in done.unreached)
            found.append(
                f"{what}: partial ({done.recorded} recorded, unreached: {names or 'none'})"
            )
        return found

    def _names_x_alone(self, told: Told) -> bool:
        done = told.done
        return (
            done is not None
            and done.partial
            and bool(done.unreached)
            and all(ref.raw == self.liar.me.raw for ref in done.unreached)
            and not _conflict(told)
        )

    def _twice(self) -> list[str]:
        return [
            f"{name.split()[0]} recorded {key} {count} times"
            for name, counts in self._records.items()
            for key, count in counts.items()
            if count > 1
        ]

    def _named(self, raw: bytes) -> str:
        refs: list[NodeRef] = [host.ref for host in self.network.hosts.values()]
        return next((ref.name for ref in refs if ref.raw == raw), raw.hex())


def _conflict(told: Told) -> int:
    return told.done.conflict + told.done.lost if told.done is not None else 0


def play(kind: str, seed: int) -> ByzantineResult:
    """Run one kind of lies with one seed."""
    return ByzantineRun(kind, seed).play()
