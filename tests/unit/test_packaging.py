"""The lock files and ``pyproject.toml`` tell one story."""

import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from twisted.trial.unittest import SynchronousTestCase

from tests.unit.tidy import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
GROUPS = PYPROJECT["dependency-groups"]
RUNTIME = PYPROJECT["project"]["dependencies"]
BENCH = [
    line
    for line in (ROOT / "requirements" / "bench.in").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]

# What each lock has to hold: requirements as pyproject.toml states them.
LOCKS = {
    "runtime": RUNTIME,
    "test": RUNTIME + GROUPS["test"],
    "build": GROUPS["build"],
    "dev": RUNTIME
    + BENCH
    + [line for name in ("test", "lint", "docs", "release") for line in GROUPS[name]],
}

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def lock(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")


def unmet(requirements: list[str], text: str) -> list[str]:
    """The requirements that no pin of the lock meets; every pin of a package has to."""
    pins: dict[str, list[Version]] = {}
    for package, version in _PIN.findall(text):
        pins.setdefault(canonicalize_name(package), []).append(Version(version))
    found = []
    for requirement in map(Requirement, requirements):
        versions = pins.get(canonicalize_name(requirement.name), [])
        if not versions or any(v not in requirement.specifier for v in versions):
            found.append(str(requirement))
    return found


def unhashed(text: str) -> list[str]:
    """The pins without a hash right below them."""
    lines = text.splitlines()
    return [
        line
        for line, following in zip(lines, [*lines[1:], ""], strict=True)
        if _PIN.match(line) and "--hash=sha256:" not in following
    ]


class Locks(SynchronousTestCase):
    """``make lock`` was run after the last change of the dependencies."""

    def test_locks_meet_the_requirements(self):
        for name, requirements in LOCKS.items():
            with self.subTest(name):
                self.assertEqual(unmet(requirements, lock(name)), [], "run 'make lock'")

    def test_every_pin_has_its_hashes(self):
        for name in LOCKS:
            with self.subTest(name):
                self.assertEqual(unhashed(lock(name)), [])

    def test_locks_agree(self):
        """What runs the tests is what the containers run."""
        everything = set(_PIN.findall(lock("dev")))
        for name in ("runtime", "test", "build"):
            with self.subTest(name):
                self.assertLessEqual(set(_PIN.findall(lock(name))), everything)

    def test_no_lock_names_an_index(self):
        for name in LOCKS:
            with self.subTest(name):
                self.assertNotIn("://", lock(name))
                self.assertNotIn("index-url", lock(name))

    def test_build_group_is_the_build_system(self):
        self.assertEqual(GROUPS["build"], PYPROJECT["build-system"]["requires"])

    def test_dev_includes_every_group_but_build(self):
        included = {entry["include-group"] for entry in GROUPS["dev"]}
        self.assertEqual(included, set(GROUPS) - {"dev", "build"})


class Checks(SynchronousTestCase):
    """The checks above can fail."""

    def test_a_requirement_that_no_pin_meets_is_found(self):
        self.assertEqual(unmet(["rich>=13"], "rich==12.0 \\\n"), ["rich>=13"])
        self.assertEqual(unmet(["rich>=13"], "enrich==14.0 \\\n"), ["rich>=13"])
        self.assertEqual(unmet(["Zope.Interface>=5"], "zope-interface==8.7 \\\n"), [])

    def test_a_pin_without_a_hash_is_found(self):
        self.assertEqual(
            unhashed("rich==15.0\nattrs==26.1 \\\n    --hash=sha256:00"), ["rich==15.0"]
        )


class PluginFolders(SynchronousTestCase):
    """Twisted finds our plugin beside its own only if the folders are no packages of ours."""

    def test_plugin_folders_are_no_packages(self):
        plugins = ROOT / "twisted_plugins"
        self.assertTrue((plugins / "twisted" / "plugins" / "chordnode_plugin.py").is_file())
        self.assertEqual(list(plugins.rglob("__init__.py")), [])
