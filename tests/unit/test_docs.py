"""What the documentation says exists: commands and options, examples, links, settings, diagrams."""

import ast
import inspect
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import attrs
import click
import msgspec
from twisted.python.usage import Options as TwistedOptions
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

import chordnet
from chordnet import recipes, service, settings, sources, tap
from chordnet.cli import app
from chordnet.cli.base import output
from chordnet.cli.commands import chaos, doctor, explain, lifecycle, members, messages, ring, status
from chordnet.cli.lab import check_history, lab, replay, simulate
from chordnet.cli.store import backup, group, keys, operate, standing
from chordnet.cli.store.explain import Explained, Looked
from chordnet.cli.store.explain import explained_json as explained_key_json
from chordnet.cli.trust import certificates as certificates_command
from chordnet.cli.trust import invite, join, renew, revoke, rotate
from chordnet.core.base import config
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.messages import NodeRef
from chordnet.core.base.outcomes import Entry
from chordnet.core.kernel import membership
from chordnet.core.kernel.signals import SIGNALS
from chordnet.core.parts import PARTS
from chordnet.draw import journey as journey_text
from chordnet.draw import model as ring_model
from chordnet.draw.keymark import KeyMark
from chordnet.judge.explain import Prediction
from chordnet.judge.problems import WrongFinger
from chordnet.judge.store import check, history
from chordnet.judge.store.anomalies import (
    Anomaly,
    Counterexample,
    Kind,
    Placed,
    Reason,
    Stuck,
    Verdict,
)
from chordnet.net.base import limits
from chordnet.net.base.metrics import METRICS
from chordnet.net.enrol.joining import Member, Told
from chordnet.record import recording
from chordnet.record.replay import Difference, Moment, Replay
from chordnet.sim.measured import experiment
from chordnet.sim.slots.explore import Search
from chordnet.sim.slots.labs import LABS
from chordnet.survey import journey
from chordnet.survey.description import NetworkDescription
from chordnet.survey.examination import Messages
from chordnet.survey.findings import Finding, WrongRing
from chordnet.survey.histories import Comparison
from chordnet.survey.observer import Snapshot
from chordnet.survey.report import Report
from chordnet.survey.store.merged import Slot
from chordnet.survey.trust.seen import Certificates
from chordnet.survey.verdict import Names
from chordnet.testbed.actions import lifecycle as testbed
from chordnet.testbed.actions.backup import Exported, Imported
from chordnet.testbed.actions.changes import Removed
from chordnet.testbed.actions.chaos import Acted, Part
from chordnet.testbed.actions.operating import Aside, Begun, Rescue
from chordnet.testbed.actions.restart import Restarted
from chordnet.testbed.base.faults import Faults
from chordnet.testbed.membership.inviting import Invited, Wanted
from chordnet.testbed.membership.revoking import Revoked
from chordnet.testbed.membership.rotating import Rotated
from chordnet.wire.rpc import MessageRecord, NodeInfo, NodeStatus, Receipt, RouteHop, Written
from chordnet.wire.stores import KeyMember, KeyMembers, SlotStanding, StoreStanding
from tests.unit import tidy, wire_examples
from tests.unit.trust_support import make_network
from tests.unit.wire_examples import RECOVERY

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS / "_ext"))
import diagrams  # noqa: E402 - lives beside the pages
import generated  # noqa: E402 - the same

sys.path.remove(str(DOCS / "_ext"))

PAGES = sorted(
    [
        *(p for p in DOCS.rglob("*.md") if "_build" not in p.parts),
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    ]
)
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<kind>[a-z]+)\n(?P<text>.*?)^(?P=indent)```", re.M | re.S
)
_LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)|(?:src|href)=\"([^\"]+)\"", re.M)
_HEADING = re.compile(r"^#+ (.+)$", re.M)
_VARIABLE = re.compile(r"\bCHORD(?:NET|NODE)_[A-Z_]+\b")


def fences(text: str, kind: str) -> list[str]:
    """The fenced blocks of one kind, without the indentation of a list around them."""
    return [
        re.sub(rf"^{found['indent']}", "", found["text"], flags=re.M)
        for found in _FENCE.finditer(text)
        if found["kind"] == kind
    ]


def pages() -> Iterator[tuple[str, str]]:
    for path in PAGES:
        yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")


def commands(text: str) -> Iterator[list[str]]:
    """The words of every command at a prompt: pipes split, comments and variables dropped."""
    for block in [*fences(text, "console"), *fences(text, "shell")]:
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                lexer = shlex.shlex(line[2:], posix=True, punctuation_chars="|&;")
                lexer.whitespace_split = True
                yield from _split(list(lexer))


def _split(words: list[str]) -> Iterator[list[str]]:
    command: list[str] = []
    for word in [*words, ";"]:
        if set(word) <= set("|&;"):
            if command:
                yield command
            command = []
        elif command or not re.fullmatch(r"[A-Z_]+=.*", word):
            command.append(word)


# ---- is that a command? ---------------------------------------------------------------------

# Programs that are not ours: what follows them is not looked at.
FOREIGN = frozenset(
    {
        "docker",
        "git",
        "pip",
        "poetry",
        "uv",
        "source",
        "cd",
        "kill",
        "ps",
        "grep",
        "node",
        "eval",
        "apt-get",
        "curl",
    }
)


def complaint(words: list[str]) -> str:
    """Say what is wrong with a command; nothing if it exists with these words."""
    program, *rest = words
    if program in ("python", "python3"):
        return _python(rest)
    check = CHECKS.get(program)
    if check is not None:
        return check(rest)
    return "" if program in FOREIGN else f"who is {program!r}?"


def _click(command: click.Command, words: list[str]) -> str:
    try:
        command.make_context(command.name, list(words))
    except click.exceptions.Exit:
        return ""
    except click.ClickException as error:
        return error.format_message()
    return ""


def _p2pnet(words: list[str]) -> str:
    if words and not words[0].startswith("-"):
        command = app.cli.get_command(click.Context(app.cli), words[0])
        return f"no command {words[0]}" if command is None else _click(command, words[1:])
    return _click(app.cli, words)


def _twistd(words: list[str]) -> str:
    own = words[: words.index("chordnode")] if "chordnode" in words else words
    if unknown := set(own) - {"-n", "--nodaemon", "--pidfile=", "-ny", "node.tac", "--help"}:
        return f"twistd has no {unknown}"
    try:
        TwistedOptions.parseOptions(_Options({}), words[len(own) + 1 :])
    except UsageError as error:
        return str(error)
    except SystemExit:  # --help
        return ""
    return ""


class _Options(tap.Options):
    def postOptions(self) -> None:
        """Words alone are looked at, not the files they name."""


def _make(words: list[str]) -> str:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.search(r"^\.PHONY: (.+)$", makefile, re.M)[1].split()
    unknown = [word for word in words if "=" not in word and word not in targets]
    return f"make has no {unknown}" if unknown else ""


def _bash(words: list[str]) -> str:
    return "" if (ROOT / words[0]).is_file() else f"there is no {words[0]}"


def _python(words: list[str]) -> str:
    if words[0] == "-m" and words[1] == "venv":
        return ""
    if words[0] != "-m":
        return "" if (ROOT / words[0]).is_file() else f"there is no {words[0]}"
    module = words[1].replace(".", "/")
    if not any((ROOT / f"{module}{end}").is_file() for end in (".py", "/__main__.py")):
        return f"there is no module {words[1]}"
    if words[1] == "benchmarks":
        from benchmarks.__main__ import main  # noqa: PLC0415 - loads all of them

        return _click(main, words[2:])
    return ""


CHECKS = {
    "p2pnet": _p2pnet, "twistd": _twistd, "make": _make, "bash": _bash,
    "trial": lambda words: "" if words == ["tests"] else "trial tests, or nothing",
    "pytest": lambda _words: "",
}  # fmt: skip


class Commands(SynchronousTestCase):
    """Every command in the documentation exists, with these options."""

    def test_every_shell_example_is_a_command_that_exists(self):
        for page, text in pages():
            for words in commands(text):
                with self.subTest(page):
                    self.assertEqual(complaint(words), "", f"{page}: {shlex.join(words)}")

    def test_the_search_for_commands_finds_many(self):
        seen = [words for _page, text in pages() for words in commands(text)]
        self.assertGreater(len([w for w in seen if w[0] == "p2pnet"]), 40)
        self.assertGreater(len([w for w in seen if w[0] == "twistd"]), 5)

    def test_every_command_is_shown(self):
        seen = {w[1] for _page, text in pages() for w in commands(text) if w[0] == "p2pnet"}
        self.assertEqual(set(app.COMMANDS) - seen - {"demo"}, set())
        self.assertIn("make demo", (ROOT / "README.md").read_text(encoding="utf-8"))

    def test_the_reference_has_every_command_and_every_option(self):
        """The reference has every command and every option."""
        text = generated.commands()
        for name in app.COMMANDS:
            self.assertIn(f"\n## {name}\n", text)
            command = app.cli.get_command(click.Context(app.cli), name)
            for option in command.params:
                for word in option.opts if isinstance(option, click.Option) else ():
                    self.assertIn(word, text.split(f"\n## {name}\n")[1].split("\n## ")[0])

        self.assertIn("freeze NODES", text.split("\n## chaos\n")[1].split("\n## ")[0])

    def test_generated_options_are_code(self):
        """In running text two dashes would become one long one."""
        text = re.sub(r"^```.*?^```", "", generated.commands(), flags=re.M | re.S)
        self.assertEqual(re.findall(r"--[a-z]\S*", re.sub(r"`[^`]*`", "", text)), [])

    def test_every_option_of_a_node_is_in_the_reference(self):
        text = generated.twistd_options()
        for each in (settings.CONFIG, *settings.OPTIONS.values()):
            self.assertIn(f"| `--{each.name}`", text)
            self.assertIn(f"| `CHORDNODE_{each.variable}` |", text)
            self.assertIn(each.help.split(" (")[0], text)
        for each in settings.OPTIONS.values():
            self.assertIn(f"| `{each.key}` | {each.default_text} |", text)

    def test_every_variable_that_is_named_is_read_somewhere(self):
        """Every variable named is read somewhere."""
        options = {
            prefix + each.variable
            for prefix in sources.PREFIXES
            for each in (settings.CONFIG, *settings.OPTIONS.values())
        } | {"CHORDNODE_SERVICE_HOST"}  # an example of what Kubernetes sets
        others = "".join(
            (ROOT / name).read_text(encoding="utf-8")
            for name in ("compose/compose.yaml", "chordnet/testbed/base/home.py", "Makefile")
        )
        known = options | set(_VARIABLE.findall(others))
        for page, text in pages():
            named = set(_VARIABLE.findall(text)) - {"CHORDNET_", "CHORDNODE_"}
            self.assertEqual(named - known, set(), page)

    def test_the_check_can_fail(self):
        for words in (
            ["p2pnet", "start"],
            ["p2pnet", "send-message", "4"],
            ["p2pnet", "status", "--wait"],
            ["p2pnet", "send-message", "4", "two words"],
            ["twistd", "-n", "chordnode", "--ports", "7001"],
            ["make", "coffee"],
            ["python", "-m", "chordnet.nothing"],
            ["sudo", "p2pnet"],
        ):
            self.assertNotEqual(complaint(words), "", words)

    def test_an_example_is_split_into_its_commands(self):
        text = "```console\n$ A=1 p2pnet status | less && make demo # now\nresult\n```\n"
        self.assertEqual(list(commands(text)), [["p2pnet", "status"], ["less"], ["make", "demo"]])


# ---- Python ---------------------------------------------------------------------------------


class PythonExamples(SynchronousTestCase):
    """Every Python example compiles, imports what exists, and runs if it is a whole program."""

    def examples(self) -> Iterator[tuple[str, str]]:
        for page, text in pages():
            for code in fences(text, "python"):
                yield page, code

    def test_python_examples_compile_and_their_names_exist(self):
        for page, code in self.examples():
            for node in ast.walk(ast.parse(code, page)):
                if isinstance(node, ast.ImportFrom):
                    try:
                        module = __import__(node.module, fromlist=["_"])
                    except ImportError as problem:
                        # Shown for those who have installed the extra that it needs.
                        self.assertIn("pip install 'chordnet[", str(problem), page)
                        continue
                    for alias in node.names:
                        if alias.name != "reactor":  # importing it would install one
                            self.assertTrue(hasattr(module, alias.name), f"{page}: {alias.name}")

    def test_programs_run(self):
        whole = [(page, code) for page, code in self.examples() if "react(main)" in code]
        self.assertIn("README.md", [page for page, _code in whole])
        said = "".join(self.run_program(code) for _page, code in whole)
        for words in (
            "one got apple", "recorded=2", "first got apple", "2 nodes have it",
            "changed: True now: {'colour': 'blue', 'size': 3}",
            "services: ['10.0.0.1:80', '10.0.0.2:80']\nlater: ['10.0.0.1:80']",
            "first leads, fence 1\nfirst leads no more: stopped\nsecond leads, fence 3",
            "refused: fence 1 comes after 3\namount: 70\nthe lock 'account' was lost",
            "each value once: True",
        ):  # fmt: skip
            self.assertIn(words, said)

    def run_program(self, code: str) -> str:
        """Run a program, which has to end well and complain of nothing, and return its output."""
        done = subprocess.run(
            [sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", code],
            check=False, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        if done.returncode or done.stderr:
            self.fail(f"status {done.returncode}\n{done.stderr}\n{code}")
        return done.stdout

    def test_tests_pass(self):
        """An example that is a test is run as one."""
        for page, code in self.examples():
            if "SynchronousTestCase" not in code:
                continue
            folder = Path(self.mktemp())
            folder.mkdir()
            (folder / "test_example.py").write_text(code, encoding="utf-8")
            done = subprocess.run(
                [sys.executable, "-m", "twisted.trial", "test_example"],
                check=False, capture_output=True, text=True, timeout=60, cwd=folder,
                env=os.environ | {"PYTHONPATH": f".{os.pathsep}{ROOT}"},
            )  # fmt: skip
            self.assertEqual(done.returncode, 0, f"{page}: {done.stdout}{done.stderr}")
            self.assertIn("PASSED", done.stdout)

    def test_the_check_can_fail(self):
        self.assertRaises(self.failureException, self.run_program, "raise SystemExit(3)")


# ---- links ----------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and MyST make them."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in _HEADING.findall(plain)
    }


def broken_links(path: Path, text: str) -> list[str]:
    """The links of a page that lead nowhere in this checkout."""
    found = []
    for match in _LINK.finditer(re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)):
        link = next(filter(None, match.groups()))
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists():
            found.append(link)
        elif anchor and target.suffix == ".md":
            there = anchors(target.read_text(encoding="utf-8")) | GENERATED_ANCHORS
            if anchor not in there:
                found.append(link)
    return found


GENERATED_ANCHORS = {"safeguards", "finger-upkeep", "limits-of-the-runtime"}


class Links(SynchronousTestCase):
    def test_internal_links_resolve(self):
        for path in PAGES:
            text = path.read_text(encoding="utf-8")
            self.assertEqual(broken_links(path, text), [], path.relative_to(ROOT))

    def test_the_check_can_fail(self):
        text = "[a](nothing.md) [b](protocol.md#nothing) [c](protocol.md#8-broadcast)"
        self.assertEqual(
            broken_links(DOCS / "page.md", text), ["nothing.md", "protocol.md#nothing"]
        )

    def test_every_part_of_the_core_is_described(self):
        text = (DOCS / "architecture.md").read_text(encoding="utf-8")
        for module in (ROOT / "chordnet" / "core").rglob("[a-z]*.py"):
            self.assertIn(f"`{module.name}`", text)

    def test_the_table_of_parts_names_each_part_and_what_it_declares(self):
        text = generated.core_parts()
        for part in PARTS:
            (row,) = [line for line in text.splitlines() if line.startswith(f"| `{part.name}` |")]
            for declared in (
                *getattr(part.kind, "MESSAGES", {}),
                *getattr(part.kind, "EVENTS", {}),
            ):
                self.assertIn(declared.__name__, row)

    def test_the_table_of_signals_names_who_hears_each_in_order(self):
        rows = dict(re.findall(r"^\| (\w+) \| (.+) \|$", generated.core_signals(), re.M))
        for signal in SIGNALS:
            hearing = [part.name for part in PARTS if signal in getattr(part.kind, "HEARS", {})]
            self.assertEqual(
                set(rows[signal.name].split(", ")), set(hearing or ["the node itself"])
            )
        self.assertEqual(rows["died"].split(", ")[:2], ["reach", "hints"])

    def test_every_page_is_reachable(self):
        """Sphinx complains of a page in no table of contents; so does this, sooner."""
        index = (DOCS / "index.md").read_text(encoding="utf-8")
        named = {line.strip() for block in re.findall(r"```{toctree}\n(.*?)```", index, re.S)
                 for line in block.splitlines()}  # fmt: skip
        for path in PAGES:
            if DOCS in path.parents and path.name != "index.md":
                name = str(path.relative_to(DOCS).with_suffix(""))
                self.assertTrue(any(fnmatch(name, pattern) for pattern in named), name)


# ---- settings -------------------------------------------------------------------------------


class Settings(SynchronousTestCase):
    """Every setting of the protocol and every limit says what it is for."""

    def assertDocumented(self, module, kind):
        found = {
            setting.name: setting.text for setting in generated.settings(module, kind.__name__)
        }
        self.assertEqual(list(found), [field.name for field in attrs.fields(kind)])
        for name, text in found.items():
            self.assertGreater(len(text), 10, f"{kind.__name__}.{name} has no docstring")

    def test_every_setting_of_the_protocol_is_documented(self):
        self.assertDocumented(config, config.ProtocolConfig)

    def test_every_safeguard_is_documented(self):
        self.assertDocumented(config, config.Safeguards)

    def test_every_setting_of_the_upkeep_of_fingers_is_documented(self):
        self.assertDocumented(config, config.FingerUpkeep)

    def test_every_limit_is_documented(self):
        self.assertDocumented(limits, limits.NetworkLimits)

    def test_every_setting_of_a_node_is_documented(self):
        text = generated.node_settings()
        for field in attrs.fields(chordnet.NodeSettings):
            self.assertGreater(len(field.metadata["help"]), 10, field.name)
            self.assertIn(f"\n| `{field.name}` | ", text)

    def test_every_keyword_of_the_service_is_described_where_it_is_made(self):
        said = inspect.getdoc(chordnet.ChordService) + inspect.getdoc(chordnet.Seams)
        for keyword in service.Keywords.__annotations__:
            self.assertRegex(said, rf"(- |:param |, ){keyword}[:,]")

    def test_the_reference_has_all_settings(self):
        text = generated.protocol_settings() + generated.network_limits()
        for kind in (
            config.ProtocolConfig, config.Safeguards, config.FingerUpkeep, limits.NetworkLimits,
        ):  # fmt: skip
            for field in attrs.fields(kind):
                self.assertIn(f"\n| `{field.name}` | ", text)

    def test_the_reference_has_every_metric(self):
        text = generated.node_metrics()
        for metric in METRICS:
            names = ", ".join(f"`{name}`" for name in metric.series.values())
            row = metric.row
            self.assertIn(f"\n| {names} | {row.kind.value} | {row.unit} | ", text)
            self.assertIn(f" | {row.help.replace('*', '')} |", text)

    def test_settings_named_in_the_pages_exist(self):
        """Words such as ``probe_timeout_s`` in code are settings, or the service's arguments."""
        known = set(inspect.signature(chordnet.ChordService).parameters)
        known |= set(inspect.signature(recipes.Lock).parameters)
        for kind in (
            config.ProtocolConfig, limits.NetworkLimits, chordnet.NodeSettings, chordnet.Seams,
        ):  # fmt: skip
            known |= {field.name for field in attrs.fields(kind)}
        for page, text in pages():
            named = set(re.findall(r"`([a-z_]+_s)`", text)) | set(re.findall(r"`(max_\w+)`", text))
            self.assertEqual(named - known, set(), page)

    def test_the_detection_times_are_what_their_formulae_give(self):
        """The table of the protocol page has the numbers that its formulae give."""
        text = generated.detection_times()
        near = config.ProtocolConfig()
        silent = 1.25 * near.stabilise_idle_s + near.request_timeout_s + near.probe_timeout_s
        self.assertEqual(near.jitter, 0.25)
        self.assertIn(f"| {silent:.2f} s |", text)


# ---- diagrams -------------------------------------------------------------------------------


class Diagrams(SynchronousTestCase):
    """What is drawn is what the code's tables say."""

    def drawn(self, name: str) -> set[tuple[str, str]]:
        text = (diagrams.FOLDER / f"{name}.svg").read_text(encoding="utf-8")
        return set(re.findall(r'data-from="(\w+)" data-to="(\w+)"', text))

    def test_the_arrows_for_contributors_are_those_of_the_diagram(self):
        text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
        (block,) = (each for each in fences(text, "text") if "<-" in each)
        told = set()
        for line in block.splitlines():
            chain = [part.strip().split(", ") for part in line.split("<-")]
            for (source,), users in itertools.pairwise(chain):
                told |= {(source, user) for user in users}
        self.assertEqual(told, set(diagrams.room_edges()))

    def test_no_page_has_the_name_of_one_that_sphinx_writes(self):
        """It would be overwritten without a word."""
        taken = {"search", "genindex", "py-modindex", "modindex"}
        self.assertEqual([p.name for p in DOCS.glob("*.md") if p.stem in taken], [])

    def test_the_diagram_of_membership_has_the_transitions_of_the_table(self):
        table = {
            (old.name.lower(), new.name.lower())
            for old, following in membership.TRANSITIONS.items()
            for new in following
        }
        self.assertEqual(self.drawn("membership"), table)

    def test_the_diagram_of_rooms_has_the_imports_that_are_allowed(self):
        """Every arrow is an allowed import, and the arrows together imply all allowed imports."""
        drawn = self.drawn("rooms")
        for target, room in drawn:
            self.assertIn(target, tidy.room_arrows()[room])
        for room, targets in tidy.room_arrows().items():
            reached, waiting = set(), [room]
            while waiting:
                here = waiting.pop()
                below = {target for target, importer in drawn if importer == here}
                waiting += below - reached
                reached |= below
            self.assertLessEqual(targets, reached, f"imports of {room}")

    def test_the_diagrams_are_up_to_date(self):
        for name, draw in diagrams.DRAWINGS.items():
            kept = (diagrams.FOLDER / f"{name}.svg").read_text(encoding="utf-8")
            self.assertEqual(draw(), kept, "run: python docs/_ext/diagrams.py")


# ---- JSON -----------------------------------------------------------------------------------


def sections(text: str) -> dict[str, object]:
    """The JSON document under each heading of a page."""
    parts = re.split(r"^## (.+)$", text, flags=re.M)
    return {
        heading: json.loads(fences(body, "json")[0])
        for heading, body in zip(parts[1::2], parts[2::2], strict=True)
    }


def shape(document: object) -> object:
    """The keys of a document, in order, without its values."""
    if isinstance(document, dict):
        return {key: shape(value) for key, value in document.items()}
    if isinstance(document, list) and document and isinstance(document[0], dict):
        return [shape(document[0])]
    return None


class Json(SynchronousTestCase):
    """The documents on the page have the keys that the commands print."""

    def setUp(self):
        page = DOCS / "reference" / "json.md"
        self.documents = sections(page.read_text(encoding="utf-8"))
        self.network = NetworkDescription(name="default", engine="local", size=2, base_port=7001)
        self.names = Names(self.network)
        space = self.network.space
        self.one, self.two = (
            NodeInfo(space.hex(self.network.identifier(n)), f"Node {n}", f"127.0.0.1:{7000 + n}")
            for n in (1, 2)
        )

    def assertShape(self, heading, document):
        self.assertEqual(shape(self.documents[heading]), shape(document))

    def record(self):
        route = [
            RouteHop(self.one.id, "Node 1", "origin"),
            RouteHop(self.two.id, "Node 2", "successor"),
        ]
        return MessageRecord(f"{self.one.id}.1.1", "apple", 1.0, 2.0, route)

    def report(self):
        status = NodeStatus(
            self.one, "default", chordnet.__version__, 160, 1, "active", self.two, [self.two], [],
            "0:1", 0, 0, 1.0, {},
        )  # fmt: skip
        snapshot = Snapshot(statuses={1: status}, silent={}, visitors={})
        return Report(self.network, frozenset({1}), snapshot, ())

    def test_the_json_of_start_is_as_described(self):
        done = testbed.Started(network=self.network, started=(1, 2), members=2, seconds=1.0)
        self.assertShape("start-network", lifecycle.started_json(done, Path("operator")))

    def test_the_json_of_remove_and_add_is_as_described(self):
        removed = Removed(node=1, killed=False, members=1, seconds=1.0)
        self.assertShape("remove-node", members.removed_json(removed))
        done = testbed.Started(network=self.network, started=(1,), members=2, seconds=1.0)
        self.assertShape("add-node", members.added_json(1, done))

    def test_the_json_of_a_restart_is_as_described(self):
        done = Restarted(network=self.network, nodes=(1,), members=2, seconds=1.0)
        self.assertShape("restart-network", lifecycle.restarted_json(done, rolling=True))

    def test_the_json_of_a_node_that_cannot_be_stopped_is_as_described(self):
        slot = SlotStanding(63, 4, ["Node 1", "Node 2", "Node 3"], ["Node 3"], [], False)
        found = standing.standing_json(StoreStanding(False, 48, 1, [slot]), self.names)
        self.assertShape("store can-stop", {"network": "default", "node": 1, **found})

    def test_the_json_of_an_export_and_an_import_is_as_described(self):
        done = Exported(keys=1, bytes=1)
        self.assertShape("store export", backup.exported_json("default", Path("f"), done))
        found = backup.imported_json("default", Path("f"), Imported(conflicts=["config"]))
        self.assertShape("store import", found)

    def test_the_json_of_an_explained_key_is_as_described(self):
        members = [KeyMember("Node 1", "0f", 0.1, "", 7, "4.2 Node 2 1f", 4, None)]
        changed = [KeyMember("Node 1", "0f", 0.1, "", 8, "4.3 Node 2 1f", 4, None)]
        looked = Looked(1, KeyMembers(63, 1, 4, members), KeyMembers(63, 1, 4, changed))
        found = Explained("k", "00", Slot(63, 1, 4, (1,)), "00")
        self.assertShape("explain-key", explained_key_json(found, looked, self.names))

    def test_the_json_of_recovered_slots_is_as_described(self):
        done = Rescue(self.network, 2, (RECOVERY,))
        self.assertShape("store recover", operate.rescue_json("default", done))

    def test_the_json_of_a_store_that_has_begun_is_as_described(self):
        self.assertShape("store begin", operate.begun_json("default", Begun("3f9c", (1, 2, 3))))

    def test_the_json_of_a_store_that_is_set_aside_is_as_described(self):
        done = Aside("3f9c", {4: "there"}, {"other": "no"})
        self.assertShape("store set-aside", operate.aside_json("default", done))

    def test_the_json_of_a_copy_that_is_adopted_is_as_described(self):
        self.assertShape("store adopt-copy", operate.copy_json("default", 4, Path("there")))

    def test_the_json_of_the_commands_about_members_is_as_described(self):
        told = wire_examples.CERTIFICATES
        seen = Certificates(self.names, {1: told}, {4: "silent"})
        self.assertShape(
            "certificates", certificates_command.certificates_json("default", seen, [])
        )
        made = Invited("chordnet1-x", 1.0, 1, ("h:1",))
        self.assertShape("invite", invite.invited_json("default", Wanted(), made))
        done = Revoked("berlin-1", 6, (1,), {5: "silent"}, None)
        self.assertShape("revoke", revoke.revoked_json("default", done))
        rotated = Rotated("49c4", True, (1,), {5: "silent"}, ())
        self.assertShape("rotate-authority", rotate.rotated_json("default", rotated))
        member = Member(
            make_network()["one"], Path("there"), Told("default", 160, ["h:1"]), new=True
        )
        self.assertShape("join", join.joined_json(member))
        found = renew.renewed_json(Path("there"), member.identity, renewed=True)
        self.assertShape("renew", found)

    def test_the_json_of_send_is_as_described(self):
        receipt = Receipt("id", "apple", 2, 2, 1, 1, 0.1, False, [])
        self.assertShape("send-message", messages.receipt_json(receipt, 1, self.names))

    def test_the_json_of_get_is_as_described(self):
        self.assertShape("get-messages", [output.record_json(self.names, self.record())])

    def test_the_json_of_put_get_and_delete_is_as_described(self):
        written = Written(3, "0f", 63, 1, ["Node 1"], ["Node 2"], 1.0)
        document = {"key": "k", **keys.ending_json(written, self.names)}
        self.assertShape("put", document)
        self.assertShape("delete", document)
        self.assertShape("get", {"key": "k", **keys.found_json(Entry(b"v", 3), self.names)})

    def test_the_json_of_status_is_as_described(self):
        self.assertShape("status", status.report_json(self.report()))

    def test_the_json_of_ring_is_as_described(self):
        records = {1: [self.record()], 2: [self.record()]}
        tree = ring_model.message_tree(self.names, records, "last")
        mark = KeyMark("k", 0.5, 63, 0.4, 0.1, (1, 2), ())
        model = attrs.evolve(ring_model.ring_model(self.report(), tree), mark=mark)
        self.assertShape("ring", ring.model_json(model))

    def test_the_json_of_chaos_is_as_described(self):
        part = Part((1, 2), 2, ())
        outcome = Acted(before=(part,), after=(part,), seconds=1.0, faults=Faults())
        order = chaos.Order("heal", (), 0.0, 0.0, 0.0)
        self.assertShape("chaos", chaos.outcome_json("default", order, outcome))

    def test_the_json_of_doctor_is_as_described(self):
        wrong = WrongFinger(1, (152, 153, 154), 2, 3)
        finding = Finding(WrongRing(wrong, {1: 5, 2: 7, 3: 2}))
        report = attrs.evolve(self.report(), problems=(finding,))
        found = doctor.Examination(report, (Messages((), (), Comparison(3, 15), True),))
        document = doctor.examined_json("default", found)
        self.assertShape("doctor", document)
        self.assertEqual(self.documents["doctor"]["findings"], document["findings"])

    def test_the_json_of_replay_is_as_described(self):
        me = NodeRef(b"1", 1, "127.0.0.1:7001", "one")
        settings = recording.config_fields(ProtocolConfig(bits=8))
        header = recording.Header(recording.FORMAT, "0", "3.11", me, 1, settings, 0.0, 0.0)
        played = replay.Played("one.rec", Replay([header]))
        played.replay.difference = Difference(1, 0.5, "Tick()", "nothing more", "Send(…)")
        steps = [attrs.asdict(Moment(1.0, "one", 1, "state", "is active"))]
        self.assertShape("replay", replay.replay_json([played], steps))

    def test_check_history(self):
        example = Counterexample((Placed(2, 1, "blue"),), (Stuck(4, Reason.PRESENT),), (2, 4))
        anomalies = (Anomaly(Kind.STALE, (4, 2)),)
        key = check.KeyFound("config", Verdict.WRONG, 4, 11, anomalies, example)
        document = check_history.found_json(check.HistoryFound((key,), 6, 3, 1, 0, True))
        self.assertShape("check-history", document)
        self.assertEqual(document["found"], self.documents["check-history"]["found"])

    def test_the_json_of_a_lab_is_as_described(self):
        found = self.documents["lab"]
        search = Search(LABS["stale-read"].plan(on=False))
        document = lab.lab_json(LABS["stale-read"], search, search.run(), on=False)
        document["history"] = document["history"][1:2]
        document["history"][0]["changes"].pop("B")
        self.assertEqual(found, document)

    def test_histories_have_every_field_outcome_kind_and_reason(self):
        page = (DOCS / "reference" / "histories.md").read_text(encoding="utf-8")
        fields = msgspec.structs.fields(history.Operation)
        names = [*history.Outcome, *Kind, *Reason, *(each.encode_name for each in fields)]
        self.assertEqual(sorted(re.findall(r"^\| `([a-z_-]+)` \|", page, re.M)), sorted(names))

    def test_the_json_of_explain_and_trace_is_as_described(self):
        leg = journey.Leg(2, 1, "finger", 1)
        told = Prediction(1, (), (), frozenset(), frozenset())
        way = journey.Journey("", "", 1, {1: journey.Leg(1, None, "origin", 0), 2: leg})
        self.assertShape("explain", explain.explained_json(1, way, told))
        travelled = journey.Journey(
            "id", "apple", 1, {1: way.legs[1], 2: attrs.evolve(leg, ms=1.0)},
            [journey.Incident(1, "resent", 2, 1.0)],
            [journey.Missed(2, 1, journey.Cause.PREDICTED)],
            [journey.Difference(2, 1, None)],
        )  # fmt: skip
        self.assertShape("trace", journey_text.trace_json(travelled))

    def test_the_json_of_simulate_is_as_described(self):
        settings = experiment.Settings(nodes=12, duration_s=9.0, lookups_per_s=9.0)
        found = experiment.Experiment(settings).run()
        found = attrs.evolve(found, reasons={"timed out": 1})
        names = ("nodes", "duration", "seed", "churn", "trace", "orderly", "failures")
        self.assertShape("simulate", simulate.run_json(found, dict.fromkeys(names), []))

    def test_every_command_with_json_has_a_section(self):
        context = click.Context(app.cli)
        commands = {name: app.cli.get_command(context, name) for name in app.COMMANDS}
        for below in group.COMMANDS:
            commands[f"store {below}"] = commands["store"].get_command(context, below)
        with_json = {
            name
            for name, command in commands.items()
            if any("--json" in p.opts for p in command.params)
        }
        self.assertEqual(set(self.documents), with_json)
