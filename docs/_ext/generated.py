"""Reference pages as Markdown, read from the code. Needs the package alone, not Sphinx."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import click

from chordnet.cli import app
from chordnet.core.base import config, messages
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.kernel.signals import SIGNALS
from chordnet.core.parts import ORDER, PARTS
from chordnet.core.ring.rectify import PATIENCE
from chordnet.net.base import limits
from chordnet.net.base.metrics import METRICS
from chordnet.settings import CONFIG, OPTIONS, NodeSettings
from chordnet.sources import PREFIXES

_ROLE = re.compile(r":[a-z]+:`~?([^`]+)`")
_OPTION = re.compile(r"(?<![`\w-])--[a-z][a-z-]*(?=[^`]*(?:`[^`]*`[^`]*)*$)")
_SECTION = re.compile(r"# -- (.+?) -+$")
_WIDTH = {"help_option_names": ["-h", "--help"], "terminal_width": 78}


def _markdown(text: str) -> str:
    """Return a docstring's text as Markdown in one paragraph."""
    return " ".join(_ROLE.sub(r"`\1`", text).split()).replace("*", "\\*")


def _bars(text: str) -> str:
    """Return ``text`` for a table, in which a bar ends a cell even within code."""
    return text.replace("|", "\\|")


def _cell(text: str) -> str:
    return _bars(_markdown(text))


# ---- settings -------------------------------------------------------------------------------


@attrs.frozen
class Setting:
    """One setting of an attrs class: its section's heading, name and docstring."""

    section: str
    name: str
    text: str


def settings(module: ModuleType, name: str) -> list[Setting]:
    """Return the settings of class ``name``, in order, with the docstring below each."""
    source = Path(str(module.__file__)).read_text(encoding="utf-8")
    lines = source.splitlines()
    body = next(
        node.body
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef) and node.name == name
    )
    found, section, line = [], "", body[0].lineno
    for node, following in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        headings = [match[1] for text in lines[line : node.lineno] if (match := _heading(text))]
        section, line = headings[-1] if headings else section, node.lineno
        text = following.value if isinstance(following, ast.Expr) else None
        said = text.value if isinstance(text, ast.Constant) else ""
        found.append(Setting(section, node.target.id, str(said)))
    return found


def _heading(line: str) -> re.Match[str] | None:
    return _SECTION.search(line.strip())


def protocol_settings() -> str:
    """Every setting of the protocol: default, default across networks, meaning."""
    near, far = ProtocolConfig(), ProtocolConfig.wide_area()
    parts, section = [], None
    for setting in settings(config, "ProtocolConfig"):
        if setting.section != section:
            section = setting.section
            parts.append(f"\n## {(section or 'the ring').capitalize()}\n")
            parts.append("| setting | default | across networks | meaning |\n|---|---|---|---|")
        here, there = getattr(near, setting.name), getattr(far, setting.name)
        if attrs.has(type(here)):
            here = there = f"{type(here).__name__}()"
        other = f"`{there}`" if there != here else ""
        parts.append(f"| `{setting.name}` | `{here}` | {other} | {_cell(setting.text)} |")
    switches = (*_switches("Safeguards", config.Safeguards), "",
                *_switches("Finger upkeep", config.FingerUpkeep))  # fmt: skip
    return "\n".join([*parts, "", *switches])


def _switches(title: str, kind: type) -> Iterator[str]:
    """A class of switches, all on by default: what each does."""
    yield f"## {title}\n"
    yield _markdown(inspect.getdoc(kind) or "") + "\n"
    yield "| switch | meaning |\n|---|---|"
    for setting in settings(config, kind.__name__):
        yield f"| `{setting.name}` | {_cell(setting.text)} |"


def network_limits() -> str:
    """Every limit of the runtime."""
    values = limits.NetworkLimits()
    rows = [
        f"| `{s.name}` | `{getattr(values, s.name)}` | {_cell(s.text)} |"
        for s in settings(limits, "NetworkLimits")
    ]
    return "\n".join(["| limit | default | meaning |", "|---|---|---|", *rows])


def node_metrics() -> str:
    """Every metric of a node: its name in a status, kind, unit, labels, meaning."""
    rows = []
    for each in METRICS:
        row = each.row
        names = ", ".join(f"`{name}`" for name in each.series.values())
        labels = ", ".join(f"`{label.name}`" for label in row.labels)
        rows.append(f"| {names} | {row.kind.value} | {row.unit} | {labels} | {_cell(row.help)} |")
    return "\n".join(
        ["| name in a status | kind | unit | label | meaning |", "|---|---|---|---|---|", *rows]
    )


# ---- commands -------------------------------------------------------------------------------


def commands() -> str:
    """Every command of ``p2pnet``: usage, arguments, options, examples."""
    return "\n".join(_commands(app.cli, click.Context(app.cli, info_name="p2pnet"), "p2pnet"))


def _commands(group: click.Group, above: click.Context, path: str) -> Iterator[str]:
    for name in group.list_commands(above):
        command = group.get_command(above, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=above, **_WIDTH)
        usage = " ".join([path, name, *command.collect_usage_pieces(context)])
        title = f"{path} {name}".removeprefix("p2pnet ")
        yield f"\n## {title}\n\n```text\n{usage}\n```\n"
        yield _prose(inspect.cleandoc(command.help or ""))
        yield from ("", "| option | meaning |", "|---|---|", *_options(command, context))
        yield from ("", *_examples(command.epilog or ""))
        if isinstance(command, click.Group):
            yield from _commands(command, context, f"{path} {name}")


def _prose(text: str) -> str:
    paragraphs = re.split(r"\n\s*\n", text.replace("\b", "").replace("\f", ""))
    return "\n\n".join(_coded(_cell(paragraph)) for paragraph in paragraphs)


def _coded(text: str) -> str:
    """Set options as code: in running text two dashes would become one long one."""
    return _OPTION.sub(r"`\g<0>`", text)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for option in command.get_params(context):
        record = option.get_help_record(context)
        if record is not None:
            words, meaning = record
            if meaning:  # arguments stand in the line above and are told of in the text
                yield f"| `{_bars(words)}` | {_coded(_cell(meaning))} |"


def _examples(epilog: str) -> Iterator[str]:
    """The sections of an epilog: what is no example, as it stands, and the examples."""
    for section in epilog.split("\b\n"):
        title, _, text = section.partition("\n")
        if text and not title.startswith("Example"):
            yield f"{title}\n\n```text\n{inspect.cleandoc(text)}\n```\n"
    lines = inspect.cleandoc(epilog.replace("\b\n", "")).splitlines()
    words = [line.strip() for line in lines if line.strip().startswith("p2pnet")]
    if words:
        yield "```console"
        yield from (f"$ {re.sub(r' {3,}', '    # ', line)}" for line in words)
        yield "```"


# ---- the node's own options -----------------------------------------------------------------


def twistd_options() -> str:
    """Every option of ``twistd chordnode``, with its variable and its key in the file."""
    rows = []
    for each in (CONFIG, *OPTIONS.values()):
        words = f"`--{each.name}`" + (f", `-{each.short}`" if each.short else "")
        in_file = "" if each is CONFIG else f"`{each.key}`"
        rows.append(
            f"| {words} | `{PREFIXES[0]}{each.variable}` | {in_file} | {each.default_text} | "
            f"{_cell(each.help)} |"
        )
    heads = ["| option | variable | key in the file | default | meaning |", "|---|---|---|---|---|"]
    return "\n".join([*heads, *rows])


def node_settings() -> str:
    """Every field of ``NodeSettings``, with the option that sets it."""
    rows = []
    for field in attrs.fields(NodeSettings):
        option = OPTIONS.get(field.name)
        words = f"`--{option.name}`" if option else ""
        kind = type(field.default)
        default = f"{kind.__name__}()" if attrs.has(kind) else repr(field.default)
        rows.append(f"| `{field.name}` | `{default}` | {words} | {_cell(field.metadata['help'])} |")
    return "\n".join(["| setting | default | option | meaning |", "|---|---|---|---|", *rows])


# ---- messages -------------------------------------------------------------------------------


def protocol_messages() -> str:
    """What nodes say to each other: name, tag, fields, meaning."""
    rows = [
        f"| `{kind.__name__}` | {kind.__struct_config__.tag} | "
        f"{', '.join(kind.__struct_fields__)} | {_cell(kind.__doc__ or '')} |"
        for kind in _union(messages.PeerMessage)
    ]
    return "\n".join(["| message | tag | fields | meaning |", "|---|---|---|---|", *rows])


def _union(union: Any) -> list[Any]:
    return list(union.__args__)


# ---- the parts of the core ------------------------------------------------------------------


def core_parts() -> str:
    """The parts of a node in the order in which they are made, and what each declares."""
    rows = ["| part | file | takes and sets | hears | what it is |", "|---|---|---|---|---|"]
    for part in PARTS:
        kind = part.kind
        file = str(kind.__module__).removeprefix("chordnet.core.").replace(".", "/")
        taken = [
            *(each.__name__ for each in getattr(kind, "EVENTS", {})),
            *(each.__name__ for each in getattr(kind, "MESSAGES", {})),
            *(f"{each.value} (alarm)" for each in getattr(kind, "ALARMS", {})),
        ]
        heard = [signal.name for signal in getattr(kind, "HEARS", {})]
        words = _cell((kind.__doc__ or "").split("\n\n")[0])
        rows.append(
            f"| `{part.name}` | `{file}.py` | {', '.join(taken)} | {', '.join(heard)} | {words} |"
        )
    return "\n".join(rows)


def core_signals() -> str:
    """Each signal, what it says, and the parts that hear it, in order."""
    rows = ["| signal | heard by, in this order |", "|---|---|"]
    for signal in SIGNALS:
        hearing = [p.name for p in PARTS if signal in getattr(p.kind, "HEARS", {})]
        first = [name for name in ORDER.get(signal, ()) if name in hearing]
        names = first + [name for name in hearing if name not in first]
        rows.append(f"| {signal.name} | {', '.join(names) or 'the node itself'} |")
    return "\n".join(rows)


# ---- how long a death stays unknown ---------------------------------------------------------


def detection_times() -> str:
    """The longest times until a death is known, as formulae and in seconds."""
    rows = [
        "| a peer | known to | after at most | default | across networks |",
        "|---|---|---|---|---|",
    ]
    for peer, who, formula, seconds in _DETECTION:
        near, far = seconds(ProtocolConfig()), seconds(ProtocolConfig.wide_area())
        shown = (f"{value:.2f} s" if value else "at once" for value in (near, far))
        rows.append(f"| {peer} | {who} | {formula} | {' | '.join(shown)} |")
    return "\n".join(rows)


_DETECTION: list[tuple[str, str, str, Callable[[ProtocolConfig], float]]] = [
    (
        "process killed, its machine alive", "everybody connected with it",
        "one connection attempt", lambda c: 0.0,
    ),
    (
        "connection broken, no answer to a new one", "everybody connected with it",
        "`broken_timeout_s`", lambda c: c.broken_timeout_s,
    ),
    (
        "silent", "its predecessor",
        "(1 + `jitter`) * `stabilise_idle_s` + `request_timeout_s` + `probe_timeout_s`",
        lambda c: (1 + c.jitter) * c.stabilise_idle_s + c.request_timeout_s + c.probe_timeout_s,
    ),
    (
        "silent", "its successor", f"{PATIENCE} * `stabilise_idle_s` + `probe_timeout_s`",
        lambda c: PATIENCE * c.stabilise_idle_s + c.probe_timeout_s,
    ),
    (
        "silent", "nodes with a finger to it, by a hint",
        "(1 + `jitter`) * `stabilise_idle_s` + `request_timeout_s` + `probe_timeout_s`",
        lambda c: (1 + c.jitter) * c.stabilise_idle_s + c.request_timeout_s + c.probe_timeout_s,
    ),
    (
        "silent", "who delegated a part of a broadcast to it",
        "`ack_timeout_s` + `covered_check_s` + `probe_timeout_s`",
        lambda c: c.ack_timeout_s + c.covered_check_s + c.probe_timeout_s,
    ),
]  # fmt: skip
