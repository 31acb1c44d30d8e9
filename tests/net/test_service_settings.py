"""A service's settings: as a whole, as keywords, and what is given by itself."""

from __future__ import annotations

import random
from pathlib import Path

import attrs

from chordnet import ChordService, NodeSettings, Seams
from chordnet.core.base.config import ProtocolConfig
from chordnet.core.base.errors import ConfigError
from chordnet.net.base.limits import NetworkLimits
from chordnet.record.recording import read_frames
from chordnet.seams import Keywords
from chordnet.storage.log.memory import MemoryLog
from chordnet.storage.store.memory import MemoryStore
from chordnet.testing import ScriptedCore
from tests.net.fake_store import FakeStore
from tests.net.test_service import ServiceCase
from tests.unit.trust_support import make_network


class SettingsTests(ServiceCase):
    """A service made from settings and seams, and from the same as keywords."""

    def values(self) -> dict[str, object]:
        """One value for every keyword, none of them the default."""
        return {
            "alone": True, "name": "x", "identity": make_network(["x"])["x"], "network": "n",
            "advertise": "h:1",
            "state_dir": self.mktemp(), "config": ProtocolConfig(bits=8),
            "rng": random.Random(1), "log": MemoryLog(), "durability": "power",
            "history_bytes": 5, "history_s": 6.0, "limits": NetworkLimits(max_clients=7),
            "leave_timeout_s": 8.0, "debug": True, "core": lambda _config, me, _rng: None,
            "endpoints": lambda _reactor, _address, _timeout_s: None,
            "seconds": lambda: 1.0, "wall": lambda: 2.0, "keys": FakeStore(lambda: 2.0),
            "insecure": True, "cookie": "file", "operate_keys": "ops/", "cookies": [b"some"],
            "founders": ("x", "y"), "store": "memory", "http": "9101",
            "keeper": MemoryStore(random.Random(1)),
        }  # fmt: skip

    def test_each_keyword_is_a_setting_or_a_seam_and_takes_its_place(self):
        values = self.values()
        self.assertEqual(set(values), set(Keywords.__annotations__))
        service = ChordService(self.clock, **values)
        for name, value in values.items():
            (holder,) = (each for each in (service.settings, service.seams) if hasattr(each, name))
            self.assertIs(getattr(holder, name), value)

    def test_settings_and_seams_come_to_the_same(self):
        values = self.values()
        seams = {f.name: values.pop(f.name) for f in attrs.fields(Seams)}
        whole = ChordService(self.clock, settings=NodeSettings(**values), seams=Seams(**seams))
        apart = ChordService(self.clock, **values, **seams)
        self.assertEqual((whole.settings, whole.seams), (apart.settings, apart.seams))

    def test_what_is_given_by_itself_wins_over_the_settings(self):
        common = NodeSettings(name="common", network="n", peers=["a:1"], port=5)
        seams = Seams(wall=lambda: 5.0)
        service = ChordService(self.clock, settings=common, seams=seams, name="own")
        self.assertEqual((service.settings.name, service.settings.network), ("own", "n"))
        self.assertEqual(service.settings.peers, ("a:1",))
        self.assertIs(service.seams.wall, seams.wall)
        service = ChordService(self.clock, "tcp:6", ["b:2"], settings=common)
        self.assertEqual(service.settings.peers, ("b:2",))

    def test_a_service_listens_where_the_settings_say_unless_it_is_told(self):
        here = ":interface=127.0.0.1"
        for words, options, expected in (
            ((), {}, f"tcp:7001{here}"), ((), {"settings": NodeSettings(port=5)}, f"tcp:5{here}"),
            (("tcp:6",), {"settings": NodeSettings(port=5)}, f"tcp:6{here}"),
            (("tcp:6",), {"insecure": True}, "tcp:6"),
            (("tcp6:6",), {}, r"tcp6:6:interface=\:\:1"),
            (("tcp:6:interface=10.0.0.1",), {}, "tcp:6:interface=10.0.0.1"),
            (("unix:x",), {}, "unix:x"),
        ):  # fmt: skip
            self.assertEqual(ChordService(self.clock, *words, **options).journal.source, expected)

    def test_nothing_said_of_the_protocol_and_of_connections_gives_the_defaults(self):
        service = ChordService(self.clock, config=None, limits=None, rng=None, log=None)
        self.assertEqual(service.settings, NodeSettings())

    def test_what_is_no_setting_is_refused(self):
        error = self.assertRaises(TypeError, ChordService, self.clock, colour="red")
        self.assertIn("unexpected keyword argument 'colour'", str(error))
        for options in ({"settings": {}}, {"seams": {}}, {"settings": Seams()}):
            problem = self.assertRaises(ConfigError, ChordService, self.clock, **options)
            self.assertIn(next(iter(options)), str(problem))

    def test_a_recording_begins_with_the_node_and_ends_with_it(self):
        path = Path(self.mktemp())
        settings = NodeSettings(name="Node 1", record=path)
        service = self.service(1, settings=settings)
        self.network.run(2)
        self.result(service.stopService(), 2)
        with path.open("rb") as file:
            frames = list(read_frames(file.read))
        self.assertEqual(frames[0].me.name, "Node 1")
        self.assertEqual(frames[-1].reason, "the node was stopped")

    def test_another_core_cannot_be_recorded(self):
        problem = self.assertRaises(
            ConfigError, ChordService, self.clock, settings=NodeSettings(record="a.rec"),
            core=lambda _config, me, _rng: ScriptedCore(me),
        )  # fmt: skip
        self.assertIn("record is for chordnet's own core", str(problem))
