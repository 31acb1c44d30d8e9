"""The scripts of ``.ci`` and the compose file, as far as they need no engine."""

import re
import runpy
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.unit.tidy import ROOT

PIP_SETTINGS = runpy.run_path(str(ROOT / ".ci" / "pip_settings.py"))
ARCHIVE_CONTENTS = runpy.run_path(str(ROOT / ".ci" / "archive_contents.py"))
COMPOSE = (ROOT / "compose" / "compose.yaml").read_text(encoding="utf-8")


class PipSettings(SynchronousTestCase):
    """What of this machine's pip settings still holds inside a container."""

    def collect(self, *lines: str) -> dict[str, str]:
        return PIP_SETTINGS["collect"]("\n".join(lines))

    def test_addresses_in_the_settings_of_pip_travel(self):
        found = self.collect("global.index-url='https://mirror.example/simple'")
        self.assertEqual(found, {"index-url": "https://mirror.example/simple"})

    def test_directories_in_the_settings_of_pip_stay(self):
        found = self.collect(
            ":env:.find-links='/opt/wheels https://mirror.example/wheels'",
            "global.extra-index-url='file:///opt/index'",
            "global.cert='/etc/some.pem'",
        )
        self.assertEqual(found, {"find-links": "https://mirror.example/wheels"})

    def test_variables_of_pip_are_stronger_than_files(self):
        found = self.collect("global.timeout='15'", ":env:.timeout='180'")
        self.assertEqual(found, {"timeout": "180"})

    def test_settings_of_pip_that_are_a_matter_of_taste_stay(self):
        self.assertEqual(self.collect("global.quiet='1'", "no setting at all"), {})


class ArchiveContents(SynchronousTestCase):
    """The check of what was built."""

    def wheel(self, *names: str) -> Path:
        # trial's mktemp would leave its folder in the checkout when pytest runs this.
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = Path(folder.name) / "chordnet.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, "")
        return path

    def complaints(self, *names: str) -> list[str]:
        return ARCHIVE_CONTENTS["complaints"](self.wheel(*names))

    def test_a_good_wheel_has_no_complaints(self):
        needed = list(ARCHIVE_CONTENTS["WHEEL_NEEDS"])
        self.assertEqual(self.complaints(*needed), [])

    def test_a_missing_and_an_unwanted_file_are_complained_of(self):
        needed = list(ARCHIVE_CONTENTS["WHEEL_NEEDS"])
        self.assertEqual(len(self.complaints(*needed[1:])), 1)
        for unwanted in ("twisted/plugins/dropin.cache", "twisted/__init__.py", "tests/a.py"):
            with self.subTest(unwanted):
                self.assertEqual(len(self.complaints(*needed, unwanted)), 1)


class ComposeFile(SynchronousTestCase):
    """Sixteen nodes that differ in their number alone."""

    def block(self, number: int) -> str:
        found = re.search(rf"^  node-{number}:\n(.*?)(?:\n\n|\Z)", COMPOSE, re.M | re.S)
        assert found
        return found[1]

    def test_the_compose_file_has_sixteen_nodes(self):
        services = COMPOSE.partition("\nservices:")[2].partition("\nvolumes:")[0]
        names = re.findall(r"^  (node-\d+):", services, re.M)
        self.assertEqual(names, [f"node-{number}" for number in range(1, 17)])

    def test_every_node_has_its_own_name_port_and_peers(self):
        for number in range(1, 17):
            port = 7000 + number
            peers = [peer for peer in (1, 2, 3) if peer != number][:2]
            told = ",".join(f"node-{peer}:{7000 + peer}" for peer in peers)
            with self.subTest(number):
                block = self.block(number)
                self.assertIn(f"CHORDNET_NAME: Node {number},", block)
                self.assertIn(f"CHORDNET_PORT: {port},", block)
                self.assertIn(f'CHORDNET_PEERS: "{told}"', block)
                self.assertIn(f'ports: ["127.0.0.1:{port}:{port}"]', block)
                self.assertIn(f'volumes: ["node-{number}:/var/lib/chordnet"]', block)
                self.assertIn(f"\n  node-{number}: {{}}", COMPOSE)


class Pythons(SynchronousTestCase):
    """Which interpreters the suite runs on."""

    def interpreter(self, *place: str, status: int = 0) -> Path:
        """Write a program that, asked to prove itself, says where it is, or fails."""
        path = self.root.joinpath(*place)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "$0"\nexit {status}\n')
        path.chmod(0o755)
        return path

    def found(self, *minors: str) -> list[str]:
        environment = {"PATH": f"{self.root}/bin:/usr/bin:/bin", "PYENV_ROOT": str(self.root)}
        done = subprocess.run(
            [ROOT / ".ci" / "pythons", *minors], env=environment, capture_output=True, text=True,
            check=True,
        )  # fmt: skip
        return done.stdout.splitlines()

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def test_a_name_on_the_path_that_does_not_run_gives_way_to_the_newest_version_of_pyenv(
        self,
    ) -> None:
        self.interpreter("bin", "python3.97", status=1)
        self.interpreter("versions", "3.97.9", "bin", "python3.97")
        newest = self.interpreter("versions", "3.97.10", "bin", "python3.97")
        self.assertEqual(self.found("97"), [str(newest)])

    def test_one_interpreter_of_each_version_is_found_and_none_where_there_is_none(self) -> None:
        first = self.interpreter("bin", "python3.97")
        self.interpreter("versions", "3.97.9", "bin", "python3.97")
        second = self.interpreter("versions", "3.98.0", "bin", "python3.98")
        self.assertEqual(self.found("97", "98", "99"), [str(first), str(second)])

    def test_a_real_python_proves_itself(self) -> None:
        (self.root / "bin").mkdir()
        base = Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}")
        if not base.exists():
            raise SkipTest(f"no {base}")
        (self.root / "bin" / base.name).symlink_to(base)
        self.assertEqual(len(self.found(str(sys.version_info.minor))), 1)
