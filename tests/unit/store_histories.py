"""Histories of a key-value store to judge: written by hand, at random, and by a small store."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from heapq import heappop, heappush
from math import inf
from random import Random
from typing import Any, NamedTuple

from chordnet.judge.store.history import Action, Operation, Outcome

TOP = 14
"""No register of a tiny history needs a higher version."""


def operation(action: str, call: float, end: float | None, outcome: str, **more: Any) -> Operation:
    """Return an operation on the key ``k``, of a client of its own unless one is named."""
    more = {"client": f"at {call}", "key": "k", **more}
    return Operation(
        action=Action(action), call=call, returned=end, outcome=Outcome(outcome), **more
    )


def put(call: float, end: float | None, value: str, version: int | None, **more: Any) -> Operation:
    """Return a put that was done; unconfirmed if it has no end."""
    outcome = "unconfirmed" if end is None else "done"
    return operation("put", call, end, outcome, value=value, version=version, **more)


def delete(call: float, end: float | None, version: int | None, **more: Any) -> Operation:
    """Return a delete that was done; unconfirmed if it has no end."""
    return operation(
        "delete", call, end, "unconfirmed" if end is None else "done", version=version, **more
    )


def get(call: float, end: float, value: str | None, version: int | None, **more: Any) -> Operation:
    """Return a get that found a value, or nothing."""
    outcome = "absent" if value is None else "value"
    return operation("get", call, end, outcome, found=value, version=version, **more)


def conflict(
    call: float, end: float, if_version: int, version: int | None, **more: Any
) -> Operation:
    """Return a put on a condition that met another version."""
    return operation(
        "put", call, end, "conflict",
        **{"value": "mine", "if_version": if_version, "version": version, **more},
    )  # fmt: skip


# ---- by brute force -------------------------------------------------------------------------


class Trial:
    """Tries every order of a tiny history's operations, with every version; no rule is clever."""

    def __init__(self, history: Sequence[Operation], skew: float) -> None:
        self.ops = [
            each
            for each in history
            if not each.stale
            and each.outcome != "unavailable"
            and (each.action != "get" or each.outcome != "unconfirmed")
        ]
        self.skew = skew
        self.sure = [each.outcome != "unconfirmed" for each in self.ops]
        self.ends = [
            each.returned if sure and each.returned is not None else inf
            for each, sure in zip(self.ops, self.sure, strict=True)
        ]
        self.tried: set[tuple[frozenset[int], int, str | None, int]] = set()

    def explained(self) -> bool:
        """Return whether some order explains every answer."""
        if any(each.returned is not None and each.returned < each.call for each in self.ops):
            return False
        return self._from(frozenset(), 0, None, -1)

    def _from(self, done: frozenset[int], version: int, value: str | None, lease: int) -> bool:
        if all(index in done for index, sure in enumerate(self.sure) if sure):
            return True
        place = (done, version, value, lease)
        if place in self.tried:
            return False
        self.tried.add(place)
        waiting = [index for index, sure in enumerate(self.sure) if sure and index not in done]
        for index, each in enumerate(self.ops):
            if index in done or any(self._precedes(other, index) for other in waiting):
                continue
            after = done | {index}
            if any(self._from(after, *state) for state in self._states(each, index, place[1:])):
                return True
        if lease >= 0:
            expires = self.ops[lease].call + (self.ops[lease].expires or 0.0)
            if all(self.ends[index] + self.skew >= expires for index in waiting):
                return self._from(done, version + 1, None, -1)
        return False

    def _precedes(self, one: int, other: int) -> bool:
        first, second = self.ops[one], self.ops[other]
        if first.client != second.client:
            return self.ends[one] + self.skew < second.call
        return self.ends[one] < second.call or (self.ends[one] == second.call and one < other)

    def _states(
        self, each: Operation, index: int, state: tuple[int, str | None, int]
    ) -> list[tuple[int, str | None, int]]:
        version, value, _ = state
        wanted = each.if_version
        here = value is not None
        holds = wanted is None or (wanted == version if here else wanted == 0)
        if each.outcome == "absent":
            return [] if here else [state]
        if each.outcome in ("value", "conflict"):
            if each.outcome == "conflict" and (holds or wanted is None):
                return []
            if each.outcome == "conflict" and not each.version:
                return [] if here else [state]
            same = each.version in (None, version) and each.found in (None, value)
            return [state] if here and same else []
        if not holds:
            return []
        made: list[int] = [version + 1] if here else list(range(version + 1, TOP))
        lease = -1 if each.expires is None else index
        after = [(v, each.value, lease) for v in made if each.version in (None, v)]
        nothing = not here and each.action == "delete" and each.version is None
        return [state, *after] if nothing else after


def tiny(rng: Random) -> list[Operation]:
    """Return up to six operations on one key, with answers drawn at random."""
    history = []
    until, versions = rng.choice([4, 8, 14]), rng.choice([2, 3, 5])
    for number in range(rng.randint(1, 6)):
        action = rng.choice([Action.PUT, Action.GET, Action.DELETE, Action.PUT])
        call = rng.randrange(until)
        more: dict[str, Any] = {"key": "k", "call": float(call)}
        more["client"] = rng.choice([f"own {number}", f"shared {rng.randrange(3)}"])
        more["returned"] = float(call + rng.randrange(5))
        told = rng.choice([None, *range(1, versions + 1)])
        if action is Action.GET:
            value = rng.choice([None, "a", "b"])
            more["outcome"] = Outcome.ABSENT if value is None else Outcome.VALUE
            more |= {} if value is None else {"found": value, "version": told}
        else:
            if action is Action.PUT:
                more["value"] = rng.choice("ab")
                more["expires"] = rng.choice([None, None, None, float(rng.randrange(5))])
            more["if_version"] = rng.choice([None, None, rng.randrange(versions)])
            more["outcome"] = rng.choice([o for o in Outcome if o not in ("value", "absent")])
            if more["outcome"] in ("done", "conflict"):
                more["version"] = told
            if more["outcome"] == "conflict" and told:
                more["found"] = rng.choice([None, "a", "b"])
        history.append(Operation(action=action, **more))
    return history


# ---- a small store --------------------------------------------------------------------------


class Fault(enum.Enum):
    """What the store does wrong, once, at a moment when its clients can see it."""

    STALE_READ = "a get is answered from before a write that had ended"
    LOST_WRITE = "a put is confirmed and not done"
    RESURRECTION = "a get finds what was deleted"
    VERSION_RESET = "a put after a delete begins at version 1 again"
    CONDITION_IGNORED = "a put happens at another version than it asked for"
    TWO_HOLDERS = "two puts on one condition are both confirmed"
    WRITTEN_TWICE = "a put that was overwritten is done again, and read"
    UNAVAILABLE_DONE = "a put is told to be unavailable, and done all the same"


Answer = dict[str, Any]


class Register:
    """One key of the store, and all that it ever was."""

    def __init__(self) -> None:
        self.version = 0
        self.value: str | None = None
        self.past: list[tuple[int, str | None]] = []
        self.told = 0
        """The highest version of which a client has been told."""

    def write(self, value: str | None, version: int) -> Answer:
        """Be something else."""
        self.version, self.value = version, value
        self.past.append((version, value))
        return {"outcome": Outcome.DONE, "version": version}


class Asked(NamedTuple):
    """One operation under way."""

    fields: dict[str, Any]
    register: Register
    told: int
    """The highest version that any client had been told when it began."""
    answer: Answer | None = None


class Store:
    """A store that answers at one moment of each operation, and its clients.

    Without a fault, some answers are lost and some values expire.

    :param fault: what it does wrong as soon as its clients can see it.
    """

    def __init__(self, seed: int, fault: Fault | None = None, clients: int = 6) -> None:
        self.rng = Random(seed)
        self.fault = fault
        self.history: list[Operation] = []
        self._faulty_at = 0 if fault is None else None
        self._registers = {f"k{number}": Register() for number in range(3)}
        self._values = 0
        self._order = 0
        self._queue: list[tuple[float, int, str, str, Any]] = []
        for client in range(clients):
            self._later(0.0, f"c{client}", "ask", None)

    def run(self, operations: int) -> list[Operation]:
        """Return a history of so many operations, counted from the fault on if there is one."""
        while self._faulty_at is None or len(self.history) < self._faulty_at + operations:
            now, _, client, what, about = heappop(self._queue)
            getattr(self, f"_{what}")(now, client, about)
        for _, _, _, what, asked in self._queue:
            if what in ("act", "tell") and asked.fields["action"] is not Action.GET:
                self.history.append(Operation(**asked.fields, outcome=Outcome.UNCONFIRMED))
        self.rng.shuffle(self.history)
        return self.history

    def _later(self, now: float, client: str, what: str, about: object, least: float = 0.0) -> None:
        self._order += 1
        at = now + least + self.rng.uniform(0.001, 1)
        heappush(self._queue, (at, self._order, client, what, about))

    def _ask(self, now: float, client: str, _about: None) -> None:
        key = self.rng.choice(sorted(self._registers))
        register = self._registers[key]
        action = self.rng.choice([Action.PUT, Action.PUT, Action.GET, Action.GET, Action.DELETE])
        fields: dict[str, Any] = {"client": client, "key": key, "action": action, "call": now}
        if action is Action.PUT:
            self._values += 1
            fields["value"] = f"v{self._values}"
            if self.fault is None and self.rng.random() < 0.2:
                fields["expires"] = self.rng.uniform(0.5, 3)
        if action is not Action.GET and self.rng.random() < 0.4:
            fields["if_version"] = 0 if register.value is None else register.version
        self._later(now, client, "act", Asked(fields, register, register.told))

    def _act(self, now: float, client: str, asked: Asked) -> None:
        answer = None
        if self._faulty_at is None and len(self.history) > 40:
            answer = self._wrong(asked)
        if answer is not None:
            self._faulty_at = len(self.history)
        elif self.fault is None and self.rng.random() < 0.05:
            answer = {"outcome": Outcome.UNAVAILABLE}
        elif self.fault is None and self.rng.random() < 0.1:
            self._later(now, client, "ask", None)
            if asked.fields["action"] is not Action.GET:
                self.history.append(Operation(**asked.fields, outcome=Outcome.UNCONFIRMED))
                self._later(now, client, self.rng.choice(["act_late", "forget"]), asked, 2.0)
            return
        else:
            answer = self._right(now, asked)
        self._later(now, client, "tell", asked._replace(answer=answer))

    def _act_late(self, now: float, _client: str, asked: Asked) -> None:
        self._right(now, asked)

    def _forget(self, _now: float, _client: str, _asked: Asked) -> None:
        pass

    def _right(self, now: float, asked: Asked) -> Answer:
        register, fields = asked.register, asked.fields
        here = register.value is not None
        if fields["action"] is Action.GET:
            if not here:
                return {"outcome": Outcome.ABSENT}
            version, found = register.version, register.value
            return {"outcome": Outcome.VALUE, "version": version, "found": found}
        present = register.version if here else 0
        if fields.get("if_version", present) != present:
            return {"outcome": Outcome.CONFLICT, "version": present}
        # What was deleted may be forgotten, and how far versions had got known only roughly.
        jump = 0 if here else self.rng.choice([0, 0, 3])
        answer = register.write(fields.get("value"), register.version + 1 + jump)
        if "expires" in fields:
            self._later(now, "", "expire", (register, register.version), fields["expires"])
        return answer

    def _expire(self, _now: float, _client: str, about: tuple[Register, int]) -> None:
        register, version = about
        if register.version == version:
            register.write(None, version + 1)

    def _tell(self, now: float, client: str, asked: Asked) -> None:
        answer = asked.answer or {}
        self.history.append(Operation(**asked.fields, returned=now, **answer))
        asked.register.told = max(asked.register.told, answer.get("version") or 0)
        self._later(now, client, "ask", None)

    def _wrong(self, asked: Asked) -> Answer | None:
        """Return a wrong answer; None if this is no moment for one."""
        if asked.fields["action"] is Action.GET:
            return self._wrongly_read(asked)
        if asked.fields["action"] is Action.PUT:
            return self._wrongly_written(asked)
        return None

    def _wrongly_read(self, asked: Asked) -> Answer | None:
        register, fault = asked.register, self.fault
        here = register.value is not None
        old = [(v, value) for v, value in register.past if value is not None and v < asked.told]
        if not old:
            return None
        version, value = old[-1]
        if fault is Fault.WRITTEN_TWICE and here:
            version = register.version + 1
            register.write(value, version)
        elif not (
            (fault is Fault.STALE_READ and here)
            or (fault is Fault.RESURRECTION and not here and asked.told == register.version)
        ):
            return None
        return {"outcome": Outcome.VALUE, "version": version, "found": value}

    def _wrongly_written(self, asked: Asked) -> Answer | None:
        register, fault, value = asked.register, self.fault, asked.fields["value"]
        version, here = register.version, register.value is not None
        wanted = asked.fields.get("if_version")
        if fault is Fault.LOST_WRITE and wanted is None:
            return {"outcome": Outcome.DONE, "version": version + 1}
        if fault is Fault.VERSION_RESET and not here and asked.told and not wanted:
            return register.write(value, 1)
        if fault is Fault.CONDITION_IGNORED and wanted and wanted != version:
            return register.write(value, version + 1)
        if fault is Fault.TWO_HOLDERS and wanted and wanted == version - 1:
            return {"outcome": Outcome.DONE, "version": version}
        if fault is Fault.UNAVAILABLE_DONE and here and wanted is None:
            register.write(value, version + 1)
            return {"outcome": Outcome.UNAVAILABLE}
        return None
