"""The settings of a node: each option from each of its sources, and what is refused there.

The first two cases run over whatever options there are: a new one is covered by being declared.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import attrs
from twisted.python.usage import Options as TwistedOptions
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.errors import ConfigError
from chordnet.kinds import Addresses, Flag, Names, NumberOf, OneOf, OwnPort, Seconds, Text, Whole
from chordnet.net.base.limits import NetworkLimits
from chordnet.settings import CONFIG, OPTIONS, NodeSettings, Option, listen_description
from chordnet.tap import Options

SOURCES = ("file", "environment", "words")
"""The later ones win."""


def two_values(kind: Any) -> tuple[Any, Any]:
    """Return two values, of which the first can be said on the command line."""
    match kind:
        case Whole():
            return kind.low + 1, kind.low + 2
        case Seconds():
            return kind.low + 0.5, kind.low + 1.5
        case Flag():
            return True, False
        case Text() | OwnPort():
            return ("one", "two") if isinstance(kind, Text) else ("9101", "[::1]:0")
        case OneOf():
            return kind.choices[0], kind.choices[1]
        case Addresses():
            return ["a:1", "[::1]:2"], ["b:3"]
        case Names():
            return ["Node 1", "Node 2"], ["Node 3"]
        case NumberOf():
            return kind.choices[1], kind.choices[2]
    raise AssertionError(f"name two values of the kind {kind}")


def wrong_values(kind: Any) -> tuple[list[str], list[Any]]:
    """Return texts that are wrong, and values of TOML that are."""
    match kind:
        case Whole():
            texts = ["x", "", "1.5", "1e3", str(kind.low - 1), str(kind.high + 1), "9" * 5000]
            return texts, [*texts, 7.5, True, [1], {}, kind.high + 1]
        case Seconds():
            texts = ["x", "", "nan", "inf", "-inf", str(kind.low - 1), str(kind.high + 1)]
            return texts, [*texts, True, [1], {}, kind.high + 1, 10**400]
        case Flag():
            return ["perhaps", "2"], ["perhaps", 2, 1.5, [True], {}]
        case Text() | OwnPort():
            wrong = ["x", "", "70000", "a.example:1", "1.2.3.4", "1.2.3.4:x", ":80"]
            texts = wrong if isinstance(kind, OwnPort) else []
            return texts, [*texts, 5, 1.5, True, ["one"], {}]
        case OneOf():
            return ["nonsense", kind.choices[0].upper()], ["nonsense", 5, True, [kind.choices[0]]]
        case Addresses():
            texts = ["nonsense", "a:0", "a:65536", "a..b:1", ",".join(["a:1"] * (kind.most + 1))]
            return texts, [*texts, 5, True, [5], ["nonsense"], [["a:1"]], {}]
        case Names():
            texts = ["one,one", "x" * 300, "a\nb", ",".join(map(str, range(kind.most + 1)))]
            return texts, [*texts, 5, True, [5], ["one", "one"], [["one"]], {}]
        case NumberOf():
            texts = ["x", "", "1.5", "-1", "0", str(kind.choices[-1] * 2), "9" * 5000, "²"]
            return texts, [*texts, 2.0, True, [1], {}, 0, kind.choices[-1] + 1]
    raise AssertionError(f"name wrong values of the kind {kind}")


def text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, list) else str(value)


def toml_of(value: Any) -> str:
    return "{}" if value == {} else json.dumps(value)


class OptionsCase(SynchronousTestCase):
    def setUp(self):
        self.said: list[str] = []

    def parse(self, *words: str, file: str = "", **environ: str) -> NodeSettings:
        path = Path(self.mktemp())
        path.write_text(file)
        options = Options(environ, self.said.append)
        TwistedOptions.parseOptions(options, ["--config", str(path), *words])
        return options.settings

    def refused(self, *words: str, file: str = "", **environ: str) -> str:
        """Return the one line with which something is refused."""
        error = self.assertRaises(UsageError, self.parse, *words, file=file, **environ)
        self.assertNotIn("\n", str(error))
        return str(error)

    def from_sources(self, option: Option, values: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of :meth:`parse` that say these values."""
        found: dict[str, Any] = {"words": []}
        for source, value in values.items():
            if source == "file":
                found["file"] = f"{option.key} = {toml_of(value)}\n"
            elif source == "environment":
                found[f"CHORDNODE_{option.variable}"] = text_of(value)
            elif isinstance(option.kind, Addresses):
                each = [value] if isinstance(value, str) else value
                found["words"] = [word for one in each for word in (f"--{option.name}", one)]
            elif isinstance(option.kind, Flag):
                found["words"] = [f"--{option.name}"]
            else:
                found["words"] = [f"--{option.name}", text_of(value)]
        return found

    def read(self, option: Option, values: dict[str, Any]) -> NodeSettings:
        found = self.from_sources(option, values)
        return self.parse(*found.pop("words"), **found)


class SourcesTests(OptionsCase):
    def test_nothing_said_gives_the_defaults(self):
        self.assertEqual(self.parse(), NodeSettings())

    def test_each_option_comes_from_each_source_and_changes_that_field_alone(self):
        for (field, option), source in itertools.product(OPTIONS.items(), SOURCES):
            for value in two_values(option.kind)[: 1 if source == "words" else 2]:
                with self.subTest(f"{option.name} = {value} in the {source}"):
                    expected = attrs.evolve(NodeSettings(), **{field: option.into(value)})
                    self.assertEqual(self.read(option, {source: value}), expected)

    def test_the_command_line_wins_over_the_environment_and_that_over_the_file(self):
        for field, option in OPTIONS.items():
            one, two = two_values(option.kind)
            for loser, winner in itertools.combinations(SOURCES, 2):
                for right, wrong in ((one, two), (two, one)):
                    if isinstance(option.kind, Flag) and winner == "words" and not right:
                        continue  # the command line can only say yes
                    with self.subTest(f"{option.name}: {winner} over {loser}"):
                        read = self.read(option, {loser: wrong, winner: right})
                        expected = attrs.evolve(NodeSettings(), **{field: option.into(right)})
                        self.assertEqual(read, expected)

    def test_each_short_letter_is_the_same_option(self):
        for option in OPTIONS.values():
            if option.short:
                value = text_of(two_values(option.kind)[0])
                short, long = (
                    self.parse(word, value) for word in (f"-{option.short}", f"--{option.name}")
                )
                self.assertEqual(short, long)
                self.assertNotEqual(short, NodeSettings())

    def test_the_other_prefix_is_read_and_loses(self):
        for field, option in OPTIONS.items():
            one, two = two_values(option.kind)
            other = {f"CHORDNET_{option.variable}": text_of(two)}
            both = {f"CHORDNODE_{option.variable}": text_of(one), **other}
            for environ, value in ((other, two), (both, one)):
                self.assertEqual(
                    self.parse(**environ),
                    attrs.evolve(NodeSettings(), **{field: option.into(value)}),
                )

    def test_keys_of_the_file_may_be_written_with_either_dash(self):
        self.assertEqual(self.parse(file="history-hours = 3").history_s, 3 * 3600)
        self.assertEqual(self.parse(file="history_hours = 3").history_s, 3 * 3600)
        self.assertEqual(self.parse(file='peer = ["a:1"]').peers, ("a:1",))

    def test_names_are_unambiguous(self):
        options = [CONFIG, *OPTIONS.values()]
        for names in (
            [each.name for each in options], [each.variable for each in options],
            [each.short for each in options if each.short],
        ):  # fmt: skip
            self.assertEqual(len(names), len(set(names)))


class RefusedTests(OptionsCase):
    def test_each_wrong_value_is_one_line_that_names_the_option(self):
        for option in OPTIONS.values():
            texts, values = wrong_values(option.kind)
            for text in texts:
                with self.subTest(f"{option.name} = {text[:20]}"):
                    if text:  # an empty variable is one that is not set
                        self.check(option, self.said_in(option, {"environment": text}))
                    if not isinstance(option.kind, Flag) and "," not in text:
                        self.check(option, self.said_in(option, {"words": text}))
            for value in values:
                with self.subTest(f"{option.name} = {str(value)[:20]} in the file"):
                    self.check(option, self.said_in(option, {"file": value}))

    def said_in(self, option: Option, values: dict[str, Any]) -> str:
        found = self.from_sources(option, values)
        return self.refused(*found.pop("words"), **found)

    def check(self, option: Option, line: str) -> None:
        self.assertLess(len(line), 250)
        if isinstance(option.kind, Addresses):
            self.assertRegex(line, "peers|HOST:PORT|port|host")
        else:
            self.assertTrue(line.startswith(f"{option.key} must be "), line)

    def test_a_value_that_does_not_count_is_not_looked_at(self):
        self.assertEqual(self.parse("--port", "1", file='port = "x"', CHORDNODE_PORT="y").port, 1)

    def test_numbers_that_python_cannot_write_out_are_refused(self):
        line = self.refused(file=f"port = 0x{'f' * 5000}")
        self.assertTrue(line.endswith("not a number of very many digits"), line)
        self.assertIn("is not valid TOML", self.refused(file=f"port = {'1' * 5000}"))

    def test_a_variable_that_is_no_option_is_refused(self):
        for name in ("CHORDNODE_COLOUR", "CHORDNODE_PEER", "CHORDNODE_PORTS", "CHORDNODE_"):
            line = self.refused(**{name: "1"})
            expected = f"the environment: {name!r} is not an option; there are CHORDNODE_CONFIG, "
            self.assertTrue(line.startswith(expected), line)
            for option in OPTIONS.values():
                self.assertIn(f"CHORDNODE_{option.variable}", line)

    def test_variables_of_the_other_prefix_may_be_those_of_other_programs(self):
        self.assertEqual(self.parse(CHORDNET_HOME="/x", CHORDNET_COLOUR="red"), NodeSettings())
        self.assertEqual(self.said, [])

    def test_an_empty_variable_is_one_that_is_not_set(self):
        empty = {f"CHORDNODE_{option.variable}": "" for option in OPTIONS.values()}
        self.assertEqual(self.parse(**empty, CHORDNODE_COLOUR=""), NodeSettings())


class KubernetesTests(OptionsCase):
    def injected(self, prefix: str, port: str = "tcp://10.0.0.1:7001") -> dict[str, str]:
        """Return what Kubernetes sets in every container for a service."""
        return {
            f"{prefix}_PORT": port,
            f"{prefix}_SERVICE_HOST": "10.0.0.1",
            f"{prefix}_SERVICE_PORT": "7001",
            f"{prefix}_SERVICE_PORT_PEERS": "7001",
            f"{prefix}_PORT_7001_TCP": port,
            f"{prefix}_PORT_7001_TCP_ADDR": "10.0.0.1",
            f"{prefix}_PORT_7001_TCP_PORT": "7001",
            f"{prefix}_PORT_7001_TCP_PROTO": "tcp",
        }

    def test_what_kubernetes_sets_for_services_is_ignored_with_one_line(self):
        for prefix in ("CHORDNODE", "CHORDNODE_WEB", "CHORDNODE_NAME"):
            self.said.clear()
            self.assertEqual(self.parse(**self.injected(prefix)), NodeSettings())
            (line,) = self.said
            self.assertEqual(
                line,
                f"ignored {prefix}_PORT, {prefix}_PORT_7001_TCP, {prefix}_PORT_7001_TCP_ADDR and 5 "
                "more: set by Kubernetes for a service",
            )

    def test_what_kubernetes_sets_for_a_service_over_udp_is_ignored_with_one_line(self):
        udp = {"CHORDNODE_PORT": "udp://10.0.0.1:1", "CHORDNODE_PORT_1_UDP": "udp://10.0.0.1:1"}
        self.assertEqual(self.parse(**udp), NodeSettings())
        self.assertEqual(len(self.said), 1)

    def test_a_service_named_as_the_other_prefix_takes_the_port_from_nobody(self):
        self.assertEqual(self.parse(**self.injected("CHORDNET")), NodeSettings())
        self.assertEqual(self.said, ["ignored CHORDNET_PORT: set by Kubernetes for a service"])
        environ = self.injected("CHORDNODE") | {"CHORDNET_PORT": "5"}
        self.assertEqual(self.parse(**environ).port, 5)

    def test_a_url_as_the_value_of_an_option_is_the_users_mistake(self):
        line = self.refused(CHORDNODE_PEERS="tcp://a:1")
        self.assertIn("'tcp://a:1'", line)

    def test_a_wrong_port_is_refused_and_a_name_that_only_looks_like_one(self):
        self.assertIn("port must be", self.refused(CHORDNODE_PORT="x"))
        self.assertIn("is not an option", self.refused(CHORDNODE_LISTEN_PORT="7001"))


class ProgramTests(SynchronousTestCase):
    """What a program hands over is checked by the same class, in Python's words."""

    def test_a_wrong_value_is_refused_with_the_setting_named(self):
        for field in attrs.fields(NodeSettings):
            for wrong in (object(), [5], b"x"):
                problem = self.assertRaises(ConfigError, NodeSettings, **{field.name: wrong})
                self.assertIn(field.name, str(problem))

    def test_a_text_with_a_number_is_no_number(self):
        for name in ("port", "history_bytes", "history_s", "record_bytes", "leave_timeout_s"):
            problem = self.assertRaises(ConfigError, NodeSettings, **{name: "5000"})
            self.assertIn("not '5000'", str(problem))

    def test_addresses_are_read_and_names_checked(self):
        self.assertEqual(NodeSettings(peers=["tcp:a:1", "[::1]:2"]).peers, ("a:1", "[::1]:2"))
        for wrong in ({"peers": ["a"]}, {"name": ""}, {"network": "a\nb"}, {"advertise": "::"}):
            self.assertRaises(ConfigError, NodeSettings, **wrong)

    def test_the_settings_say_where_to_listen(self):
        self.assertEqual(NodeSettings().listen, "tcp:7001:interface=127.0.0.1")
        self.assertEqual(NodeSettings(insecure=True).listen, "tcp:7001")
        self.assertEqual(NodeSettings(interface="*").listen, "tcp:7001")
        settings = NodeSettings(port=5, interface="10.0.0.1")
        self.assertEqual(settings.listen, listen_description(5, "10.0.0.1"))

    def test_the_width_of_identifiers_is_a_part_of_the_protocols_settings(self):
        self.assertEqual(NodeSettings().config, ProtocolConfig())

    def test_seconds_are_read(self):
        kind = Seconds(0, 10)
        self.assertEqual([kind.read("x", each) for each in ("1.5", 2, 0.0, "10")], [1.5, 2, 0, 10])
        for wrong in wrong_values(kind)[1]:
            problem = self.assertRaises(ConfigError, kind.read, "x", wrong)
            self.assertIn("x must be a number of seconds from 0 to 10, not ", str(problem))


class DeclaredTests(SynchronousTestCase):
    """What each option takes, and what it is when nothing is said, in figures."""

    def test_each_option_has_the_limits_and_the_default_that_are_promised(self) -> None:
        big = 1_099_511_627_776
        expected = {
            "port": ("p", Whole(0, 65_535), 7001, "7001"),
            "interface": (
                "i", Text(), None, "127.0.0.1; all interfaces with an identity or --insecure",
            ),
            "insecure": ("", Flag(), False, "no"),
            "advertise": ("a", Text(), None, "worked out"),
            "peer": ("", Addresses(64), (), "none"),
            "name": ("n", Text(), None, "that of its identity, else its address"),
            "identity": ("", Text(), None, "none"),
            "join": ("", Text(), None, "none"),
            "network": ("", Text(), "default", "default"),
            "bits": ("", Whole(3, 256), 160, "160"),
            "state-dir": ("s", Text(), None, "none"),
            "cookie": ("", Text(), None, "cookie in the state directory"),
            "operate-keys": ("", Text(), "", "none"),
            "durability": ("", OneOf(("process", "power")), "process", "process"),
            "history-bytes": ("", Whole(1, big), 67_108_864, "67108864"),
            "history-hours": ("", Whole(1, 1_048_576), 24, "24"),
            "alone": ("", Flag(), False, "no"),
            "debug": ("", Flag(), False, "no"),
            "record": ("", Text(), None, "none"),
            "record-bytes": ("", Whole(4096, big), 268_435_456, "268435456"),
            "founders": ("", Names(9), (), "none"),
            "store": ("", OneOf(("auto", "memory", "none")), "auto", "auto"),
            "slots": (
                "", NumberOf((1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)), 256, "256",
            ),
            "replicas": ("", NumberOf((1, 3, 5, 7, 9)), 3, "3"),
            "leave-timeout": ("", Seconds(0, 3600), 5.0, "5.0"),
            "http": ("", OwnPort(), None, "none"),
            "seals": ("", OneOf(("always", "asked")), "always", "always"),
            "max-clients": ("", Whole(1, 65_536), 256, "256"),
        }  # fmt: skip
        found = {
            each.name: (each.short, each.kind, each.default, each.default_text)
            for each in OPTIONS.values()
        }
        self.assertEqual(found, expected)

    def test_what_a_user_writes_becomes_what_a_program_would_pass(self) -> None:
        rows = [
            ("config", 8, ProtocolConfig(bits=8)),
            ("history_s", 2, 7200.0),
            ("limits", 7, NetworkLimits(max_clients=7)),
            ("port", 5, 5),
        ]
        for field, written, value in rows:
            self.assertEqual(OPTIONS[field].into(written), value)

    def test_the_ends_of_a_range_belong_to_it(self) -> None:
        self.assertEqual([Whole(3, 5).read("x", each) for each in (3, "4", 5)], [3, 4, 5])
        self.assertEqual([Seconds(3, 5).read("x", each) for each in (3, "4", 5)], [3, 4, 5])
        rows = [
            (Whole(3, 5), "a whole number from 3 to 5"),
            (Seconds(3, 5.5), "a number of seconds from 3 to 5.5"),
        ]
        for kind, words in rows:
            for wrong in (2, "6", None, True, "", "x"):
                error = self.assertRaises(ConfigError, kind.read, "it", wrong)
                self.assertEqual(str(error), f"it must be {words}, not {wrong!r}")

    def test_yes_and_no_have_a_few_words_each(self) -> None:
        for words, value in (("1 true yes on TRUE", True), ("0 false no off Off", False)):
            for word in words.split():
                self.assertIs(Flag().read("it", word), value)
        self.assertEqual([Flag().read("it", each) for each in ("", True, False)], [0, 1, 0])
        error = self.assertRaises(ConfigError, Flag().read, "it", "maybe")
        self.assertEqual(str(error), "it must be yes or no, not 'maybe'")

    def test_as_many_addresses_as_may_be_are_read_in_any_way_of_writing(self) -> None:
        kind = Addresses(2)
        for written in ("a:1,b:2", "a:1 b:2", " a:1 ,  b:2 ", ["a:1", "b:2"], ("a:1", "b:2")):
            self.assertEqual(kind.read("peers", written), ["a:1", "b:2"])
        error = self.assertRaises(ConfigError, kind.read, "peers", "a:1 b:2 c:3")
        self.assertEqual(str(error), "at most 2 peers can be given")

    def test_the_endpoint_is_described_by_its_port_and_the_interface_if_there_is_one(self) -> None:
        rows = [
            (None, "tcp:5"), ("", "tcp:5"), ("*", "tcp:5"), ("auto", "tcp:5"),
            ("10.0.0.1", "tcp:5:interface=10.0.0.1"), ("host", "tcp:5:interface=host"),
            ("::1", r"tcp6:5:interface=\:\:1"), ("[::1]", r"tcp6:5:interface=\:\:1"),
        ]  # fmt: skip
        for interface, expected in rows:
            self.assertEqual(listen_description(5, interface), expected)
