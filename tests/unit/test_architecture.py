"""The arrows between the rooms of the package, and the tidiness of every module.

Each check is first shown a snippet that breaks its rule: a check that cannot fail checks nothing.
"""

from twisted.trial.unittest import SynchronousTestCase

from tests.unit import tidy

CORE = "chordnet.core.node"


class TheCodeAsItStands(SynchronousTestCase):
    """The checks, run over the project."""

    def complain(self, complaints: list[str]) -> None:
        if complaints:
            self.fail("\n".join(complaints))

    def test_modules_are_found(self):
        """A search that finds nothing would make every check below pass."""
        names = {module.name for module in tidy.package_modules()}
        self.assertLessEqual({"chordnet", "chordnet.core", "chordnet.core.node"}, names)
        texts = {name for name, _ in tidy.project_texts()}
        self.assertLessEqual({"README.md", "pyproject.toml", "compose/Dockerfile"}, texts)

    def test_no_module_imports_against_the_arrows(self):
        self.complain(
            [
                complaint
                for module in tidy.package_modules()
                for complaint in tidy.wrong_arrows(
                    module.name, module.source, is_package=module.is_package
                )
            ]
        )

    def test_pure_rooms_use_pure_modules(self):
        self.check_each(tidy.impure_imports)

    def test_nothing_is_allowed_that_nobody_needs(self):
        self.complain(tidy.unused_allowances(tidy.package_modules()))

    def test_reactor_is_handed_in(self):
        self.check_each(tidy.global_reactor)

    def test_randomness_is_handed_in(self):
        self.check_each(tidy.global_random)

    def test_modules_are_short(self):
        self.check_each(tidy.too_long)

    def test_a_folder_holds_a_dozen_files_at_most(self):
        self.complain(tidy.crowded(tidy.package_modules()))

    def test_classes_functions_and_constructors_are_as_large_as_the_tables_say(self):
        self.complain(tidy.oversized(tidy.package_modules()))

    def test_what_is_public_has_its_docstring(self):
        self.complain(
            [
                complaint
                for name, source, _ in tidy.package_modules()
                for complaint in tidy.undocumented(
                    name, source, thorough=tidy.room_of(name) == "core"
                )
            ]
        )

    def test_texts_are_fit_to_publish(self):
        self.complain(
            [
                complaint
                for name, text in tidy.project_texts()
                for complaint in tidy.unfit_text(name, text)
            ]
        )

    def check_each(self, check) -> None:
        self.complain(
            [
                complaint
                for module in tidy.package_modules()
                for complaint in check(module.name, module.source)
            ]
        )


class Arrows(SynchronousTestCase):
    """:func:`tidy.wrong_arrows` sees every way to import, and judges by folder."""

    def test_an_upward_import_is_complained_of(self):
        for statement in (
            "import chordnet.net.links.links",
            "from chordnet.net import links",
            "from chordnet.net.links.links import Link",
            "from chordnet import net",
            "from chordnet import ChordService",
            "from ..net.links import links",
            "def late():\n    from chordnet.service import ChordService",
            "if TYPE_CHECKING:\n    import chordnet.wire.codec",
        ):
            with self.subTest(statement):
                self.assertEqual(len(tidy.wrong_arrows(CORE, statement)), 1)

    def test_downward_and_level_imports_are_allowed(self):
        allowed = "from chordnet.core.base import messages\nfrom chordnet import __version__\n"
        link = "chordnet.net.links.links"
        self.assertEqual(tidy.wrong_arrows(link, allowed + "import attrs"), [])
        self.assertEqual(tidy.wrong_arrows(link, "from .dialler import Dial"), [])
        self.assertEqual(tidy.wrong_arrows(CORE, "from .presence import Presence"), [])
        self.assertEqual(
            tidy.wrong_arrows("chordnet.core", "from .node import ChordNode", is_package=True), []
        )

    def test_a_folder_may_not_import_a_folder_above_or_beside_it_unasked(self):
        ring = "chordnet.core.ring.walk"
        self.assertEqual(len(tidy.wrong_arrows(ring, "import chordnet.core.node")), 1)
        self.assertEqual(len(tidy.wrong_arrows(ring, "from chordnet.core.lookup import lookup")), 1)
        self.assertEqual(tidy.wrong_arrows(ring, "from chordnet.core.kernel import context"), [])

    def test_simulator_sees_the_core_alone(self):
        network = "chordnet.sim.world.network"
        self.assertEqual(tidy.wrong_arrows(network, "import chordnet.core.node"), [])
        self.assertTrue(tidy.wrong_arrows(network, "import chordnet.wire.codec"))

    def test_an_allowance_that_no_module_uses_is_seen_in_every_table(self):
        complaints = tidy.unused_allowances([])
        for table in (tidy.ARROWS, tidy.PURE):
            for room, allowed in table.items():
                for name in allowed:
                    self.assertTrue(
                        any(f" allows {room} to use {name}, " in text for text in complaints)
                    )
        tables = [*tidy.ARROWS.values(), *tidy.PURE.values(), tidy.PROGRAMS, tidy.REACTOR_ROOMS]
        self.assertEqual(len(complaints), sum(map(len, tables)))

    def test_new_folders_must_be_placed(self):
        self.assertTrue(tidy.wrong_arrows("chordnet.attic", ""))
        self.assertTrue(tidy.wrong_arrows("chordnet.core.attic.box", ""))

    def test_no_circle_leads_from_a_folder_back_to_itself(self):
        """Each row of the table names only folders of the rows before it."""
        for index, (folder, targets) in enumerate(tidy.ARROWS.items()):
            self.assertLessEqual(targets, set(list(tidy.ARROWS)[:index]), folder)


class Purity(SynchronousTestCase):
    """What a pure room may not touch."""

    def test_what_touches_the_world_is_complained_of_in_the_core(self):
        for statement in (
            "import socket",
            "from time import monotonic",
            "import threading",
            "from asyncio import sleep",
            "import datetime",
            "from twisted.internet.defer import Deferred",
            "import zope.interface",
        ):
            with self.subTest(statement):
                self.assertEqual(len(tidy.impure_imports(CORE, statement)), 1)

    def test_what_the_core_may_use_is_allowed(self):
        fine = "import attrs, msgspec, bisect, hashlib\nfrom random import Random\n"
        self.assertEqual(tidy.impure_imports(CORE, fine), [])

    def test_other_rooms_may_touch_the_world(self):
        self.assertEqual(tidy.impure_imports("chordnet.net.links.links", "import socket"), [])

    def test_a_global_reactor_is_complained_of(self):
        for statement in (
            "from twisted.internet import reactor",
            "import twisted.internet.reactor",
            "def late():\n    from twisted.internet import reactor",
        ):
            with self.subTest(statement):
                self.assertEqual(len(tidy.global_reactor("chordnet.service", statement)), 1)
                self.assertEqual(tidy.global_reactor("chordnet.tap", statement), [])

    def test_global_randomness_is_complained_of(self):
        for statement in (
            "from random import choice",
            "import random\nrandom.shuffle([])",
            "import random\nrandom.Random(1)\nrandom.random()",
        ):
            with self.subTest(statement):
                self.assertEqual(len(tidy.global_random(CORE, statement)), 1)

    def test_a_random_source_of_ones_own_is_allowed(self):
        fine = "import random\ndef draw(source: random.Random): return source.random()"
        self.assertEqual(tidy.global_random(CORE, fine), [])
        self.assertEqual(tidy.global_random(CORE, "def f(random): return random.choice([1])"), [])


class Tidiness(SynchronousTestCase):
    """Docstrings, length and the words that do not belong."""

    def test_missing_docstrings_are_complained_of(self):
        source = "class Table:\n    def add(self): ...\n    def _grow(self): ...\ndef make(): ..."
        self.assertEqual(len(tidy.undocumented(CORE, source, thorough=False)), 1)
        self.assertEqual(len(tidy.undocumented(CORE, source, thorough=True)), 4)

    def test_private_classes_are_their_authors_affair(self):
        source = '"""A module."""\nclass _Table:\n    def add(self): ...'
        self.assertEqual(tidy.undocumented(CORE, source, thorough=True), [])

    def test_a_long_module_is_complained_of(self):
        self.assertTrue(tidy.too_long(CORE, "\n" * (tidy.MOST_LINES + 1)))
        self.assertEqual(tidy.too_long(CORE, "\n" * tidy.MOST_LINES), [])

    def test_a_crowded_folder_is_complained_of(self):
        names = [f"chordnet.core.m{number}" for number in range(tidy.MOST_FILES)]
        modules = [tidy.Module(name, "", is_package=False) for name in names]
        self.assertEqual(tidy.crowded(modules), [])
        package = tidy.Module("chordnet.core", "", is_package=True)
        self.assertEqual(len(tidy.crowded([*modules, package])), 1)

    def oversized(self, source: str) -> list[str]:
        """Return the complaints about one module, without those about what the tables name."""
        known = {*tidy.METHODS, *tidy.BODIES, *tidy.PARAMETERS}
        found = tidy.oversized([tidy.Module(CORE, source, is_package=False)])
        return [text for text in found if text.partition(":")[0] not in known]

    def test_oversized_classes_functions_and_constructors_are_complained_of(self):
        methods = "".join(f"    def m{n}(self): ...\n" for n in range(tidy.MOST_METHODS))
        self.assertEqual(self.oversized("class Small:\n" + methods), [])
        self.assertEqual(
            len(self.oversized("class Large:\n" + methods + "    def m(self): ...")), 1
        )
        body = "def small():\n" + "    x = 1\n" * (tidy.MOST_BODY - 1)
        self.assertEqual(self.oversized(body), [])
        self.assertEqual(len(self.oversized(body + "    x = 1\n")), 1)
        names = ", ".join(f"p{n}" for n in range(tidy.MOST_PARAMETERS))
        self.assertEqual(self.oversized(f"class A:\n    def __init__(self, {names}): ..."), [])
        more = f"class A:\n    def __init__(self, {names}, *, q): ..."
        self.assertEqual(len(self.oversized(more)), 1)

    def test_a_size_that_a_table_names_and_no_class_has_is_seen(self):
        complaints = tidy.oversized([])
        tables = (tidy.METHODS, tidy.BODIES, tidy.PARAMETERS)
        self.assertEqual(len(complaints), sum(map(len, tables)))

    def test_unfit_text_is_complained_of(self):
        for line in (
            "# TO" + "DO: later",
            "see /ro" + "ot/notes",
            'open("/wo' + 'rk/main/x")',
            "--index-url https://py" + "pi.org/simple",
        ):
            with self.subTest(line):
                self.assertEqual(len(tidy.unfit_text("a.md", line)), 1)

    def test_fit_text_is_allowed(self):
        for line in ("docs/home/flow", "tmpfs: [/tmp]", "/var/lib/chordnet", "what is to do next"):
            with self.subTest(line):
                self.assertEqual(tidy.unfit_text("a.md", line), [])
