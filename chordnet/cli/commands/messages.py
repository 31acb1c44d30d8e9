"""``p2pnet send-message`` and ``p2pnet get-messages``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_args

import click
from twisted.internet.defer import Deferred

from chordnet.cli.base.failures import complain
from chordnet.cli.base.output import (
    ordered_json,
    ordered_text,
    print_json,
    print_json_line,
    record_json,
    refs,
)
from chordnet.cli.base.session import chosen_node, with_testbed
from chordnet.cli.base.words import (
    Command,
    MessageType,
    WholeNumber,
    json_option,
    network_option,
    node_argument,
    timeout_option,
)
from chordnet.draw.phrases import count, plain, seconds
from chordnet.survey.findings import Ref
from chordnet.survey.observer import Client
from chordnet.survey.verdict import Names
from chordnet.testbed.actions.context import Testbed
from chordnet.testbed.actions.messages import follow_messages
from chordnet.wire.receipts import ReceiptKind
from chordnet.wire.rpc import MessageRecord, Order, OrderedEntry, Receipt

Entry = MessageRecord | OrderedEntry

SEND_TIMEOUT_S = 30.0
GET_TIMEOUT_S = 30.0
MAX_LIMIT = 10**9


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet send-message 4 apple
  p2pnet send-message 4 --json apple
  p2pnet send-message 4 --no-wait apple
  p2pnet send-message 4 --receipt signed --expect 7 --expect 9 apple
  p2pnet send-message 4 -- --a-phrase-with-dashes-in-front
""",
)
@node_argument()
@click.argument("message", type=MessageType(), metavar="MESSAGE")
@click.option(
    "--no-wait", is_flag=True, help="Return when NODE has recorded it; do not wait for the others."
)
@click.option(
    "--receipt",
    "kind",
    type=click.Choice(get_args(ReceiptKind)),
    default="counted",
    show_default=True,
    help="How many nodes have recorded it, also their names, or also their signatures.",
)
@click.option(
    "--expect",
    metavar="NODE",
    multiple=True,
    help="Not confirmed unless this node has recorded it; may be given several times.",
)
@timeout_option(SEND_TIMEOUT_S)
@json_option
@network_option
def send_message(
    node: int | str,
    message: str,
    no_wait: bool,
    kind: ReceiptKind,
    expect: Sequence[str],
    timeout: float,
    as_json: bool,
    network: str,
) -> int | None:
    """Broadcast MESSAGE, one phrase without white space, from NODE.

    Returns when every node has confirmed that it recorded the message. The exit status is 1 if
    some node may lack it.

    A receipt counts what nodes say. With --receipt signed each of them signs that it has recorded
    the message, and NODE checks the signatures; the nodes need certificates for that.
    """
    number = chosen_node(network, node)
    expected = [chosen_node(network, int(each)) if each.isdecimal() else each for each in expect]
    if no_wait and (kind != "counted" or expect):
        raise click.UsageError("--receipt and --expect need the receipt that --no-wait leaves out")

    async def work(testbed: Testbed) -> tuple[Receipt, Names]:
        nodes = testbed.checked(number)
        names = Names(nodes)
        wanted = [nodes.node_name(each) if isinstance(each, int) else each for each in expected]
        answer = await testbed.ask(
            number,
            lambda c: c.send_message(message, wait=not no_wait, receipt=kind, expect=wanted),
            timeout,
        )
        return answer, names

    receipt, names = with_testbed(network, work)
    if no_wait:
        if as_json:
            print_json({"body": message, "origin": number, "confirmed": False})
        else:
            print(f"{plain(message)}: accepted by Node {number}; not waiting for confirmation")
        return None
    if as_json:
        print_json(receipt_json(receipt, number, names))
    else:
        print(receipt_text(receipt))
    return _unconfirmed(receipt, names)


def receipt_json(receipt: Receipt, origin: int, names: Names) -> dict[str, Any]:
    """Return a receipt as its JSON document."""
    return {
        "id": receipt.id,
        "body": receipt.body,
        "origin": origin,
        "recorded": receipt.recorded,
        "members": receipt.members,
        "messages": receipt.messages,
        "depth": receipt.depth,
        "seconds": round(receipt.seconds, 6),
        "partial": receipt.partial,
        "unreached": refs(names, receipt.unreached),
        "shared": receipt.shared,
        "conflict": receipt.conflict,
        "lost": receipt.lost,
        **(_named_json(receipt, names) if receipt.named else {}),
    }


def _named_json(receipt: Receipt, names: Names) -> dict[str, Any]:
    """Return what a receipt with names has besides; nodes that signed have a signature."""
    evidence = receipt.evidence
    signed = [] if evidence is None else [each.name for each in evidence.signatures]
    return {
        "named": _in_order(names.all_named(receipt.named)),
        "signed": _in_order(names.all_named(signed)),
        "unsigned": receipt.unsigned,
        "missing": _in_order(names.all_named(receipt.missing)),
    }


def _in_order(refs: Iterable[Ref]) -> list[Ref]:
    """Return nodes by number, and then those that have only a name."""
    return sorted(refs, key=lambda ref: (isinstance(ref, str), ref if isinstance(ref, int) else 0))


def receipt_text(receipt: Receipt) -> str:
    """Return ``apple: recorded by 16 of 16 nodes in 9 ms (15 messages, depth 4)``."""
    shared = f" shared by {receipt.shared} phrases" if receipt.shared > 1 else ""
    return (
        f"{plain(receipt.body)}: recorded by {receipt.recorded} of "
        f"{count(receipt.members, 'node')} in {seconds(receipt.seconds)} "
        f"({count(receipt.messages, 'message')}{shared}, depth {receipt.depth})"
        + (f", signed by {len(receipt.evidence.signatures)}" if receipt.evidence else "")
    )


def _unconfirmed(receipt: Receipt, names: Names) -> int | None:
    if not receipt.partial:
        return None
    unreached = [names.ref(node.id, node.name) for node in receipt.unreached]
    refs = dict.fromkeys([*unreached, *names.all_named(receipt.missing)])
    missed = ", ".join(map(names.called, refs)) or "some"
    complain(f"not confirmed by every node: {missed} may lack it; {unconfirmed_text(receipt)}")
    return 1


def unconfirmed_text(receipt: Receipt) -> str:
    """Return why a receipt is partial, and what happens next."""
    if receipt.conflict:
        return (
            f"conflict: {count(receipt.conflict, 'node')} had already recorded another message with"
            " the same number, sent by another node in this node's name; send it again"
        )
    if receipt.lost:
        return f"{count(receipt.lost, 'node')} had given its number up as lost; send it again"
    if receipt.unsigned:
        return f"{count(receipt.unsigned, 'node')} counted without a signature of its own"
    if receipt.missing:
        return "those of them that are in the ring get it from their neighbours"
    return "nodes that are alive get it from their neighbours"


@click.command(
    cls=Command,
    epilog="""\b
Examples:
  p2pnet get-messages 8
  p2pnet get-messages 8 --limit 5
  p2pnet get-messages 8 --follow --json
  p2pnet get-messages 8 --order origin
""",
)
@node_argument()
@click.option(
    "--limit",
    type=WholeNumber(1, MAX_LIMIT),
    metavar="N",
    help="The newest N; after --since the next.",
)
@click.option("--since", default="", metavar="ID", help="Those after the message with this id.")
@click.option("--follow", is_flag=True, help="Go on with every message that comes, until Ctrl-C.")
@click.option(
    "--order",
    type=click.Choice(["received", "origin"]),
    default="received",
    show_default=True,
    help="As NODE received them, or those of each origin in the order sent, gaps marked.",
)
@timeout_option(GET_TIMEOUT_S)
@json_option
@network_option
def get_messages(
    node: int | str,
    limit: int | None,
    since: str,
    follow: bool,
    order: Order,
    timeout: float,
    as_json: bool,
    network: str,
) -> None:
    """Print the messages that NODE has recorded, in the order received, with their routes.

    With --order origin the messages of one origin come in the order in which it sent them. One that
    is ahead of a missing one is held back for a few seconds; then the gap is marked, and what still
    fills it is printed as late.
    """
    number = chosen_node(network, node)

    async def work(testbed: Testbed) -> None:
        names = Names(testbed.checked(number))
        entries = await testbed.ask(number, _ask(order, limit or 0, since), timeout)
        if as_json and not follow:
            print_json([_entry_json(names, entry) for entry in entries])
            return
        show = _line_printer(names, as_json)
        for entry in entries:
            show(entry)
        if follow:
            await follow_messages(testbed, number, _last_id(entries) or since, show, order)

    with_testbed(network, work)


def _ask(order: Order, limit: int, since: str) -> Callable[[Client], Deferred[Any]]:
    if order == "origin":
        return lambda client: client.get_ordered(limit, since)
    return lambda client: client.get_messages(limit, since)


def _last_id(entries: Sequence[Entry]) -> str:
    """Return the id of the last message; an empty text if there is none."""
    records = (e.record if isinstance(e, OrderedEntry) else e for e in reversed(entries))
    return next((record.id for record in records if record is not None), "")


def _line_printer(names: Names, as_json: bool) -> Callable[[Entry], None]:
    def as_line(entry: Entry) -> None:
        ordered = entry if isinstance(entry, OrderedEntry) else OrderedEntry(entry)
        print(ordered_text(names, ordered), flush=True)

    def as_json_line(entry: Entry) -> None:
        print_json_line(_entry_json(names, entry))

    return as_json_line if as_json else as_line


def _entry_json(names: Names, entry: Entry) -> dict[str, Any]:
    if isinstance(entry, OrderedEntry):
        return ordered_json(names, entry)
    return record_json(names, entry)
