"""``p2pnet lab``: what is found without each rule, told, drawn and as JSON.

The pictures of the page are what the command draws; ``python -m tests.unit.test_cli_lab`` draws
them anew.
"""

from __future__ import annotations

import json
import re
import sys
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import attrs
from twisted.trial.unittest import SynchronousTestCase

from chordnet.cli.lab.lab import NAMES, picture
from chordnet.core.store.base.safeguards import StoreSafeguards
from chordnet.draw.steps import Step, Steps, draw_steps
from chordnet.sim.slots import __main__ as slots
from chordnet.sim.slots.explore import Search, Verdict
from chordnet.sim.slots.labs import LABS, OTHERWISE
from tests.unit.test_cli import CommandCase

DOCS = Path(__file__).parents[2] / "docs"
PICTURES = DOCS / "images" / "labs"


@cache
def searched(name: str) -> tuple[Search, Verdict]:
    search = Search(LABS[name].plan(on=False))
    return search, search.run()


def drawn(name: str) -> str:
    search, verdict = searched(name)
    return draw_steps(picture(LABS[name], search, verdict))


class LabTests(SynchronousTestCase):
    """Each lab finds what it says."""

    def test_each_rule_that_can_be_switched_off_has_a_lab_or_is_shown_otherwise(self) -> None:
        rules = {field.name for field in attrs.fields(StoreSafeguards)}
        self.assertEqual({lab.rule for lab in LABS.values()} | OTHERWISE.keys(), rules)

    def test_each_lab_finds_something_that_a_client_sees_and_its_picture_is_on_the_page(
        self,
    ) -> None:
        page = (DOCS / "labs.md").read_text("utf-8")
        for name in LABS:
            _, verdict = searched(name)
            self.assertIsNotNone(verdict.broken, name)
            self.assertEqual(drawn(name), (PICTURES / f"{name}.svg").read_text("utf-8"), name)
            self.assertIn(f"](images/labs/{name}.svg)", page)
            self.assertIn(LABS[name].says, " ".join(page.split()))

    def test_the_words_that_a_lab_prints_are_a_search_without_its_rule(self) -> None:
        for lab in LABS.values():
            plan = slots.planned(slots._parser().parse_args(lab.command.split()))
            self.assertEqual(plan, lab.plan(on=False), lab.name)


class CommandTests(CommandCase):
    def test_without_a_name_all_labs_are_listed(self) -> None:
        status, out, err = self.p2pnet("lab")
        self.assertEqual((status, err), (0, ""))
        self.assertEqual(re.findall(r"^  (\S+)", out, re.M), list(NAMES))
        _, out, _ = self.p2pnet("lab", "--json")
        found = json.loads(out)["labs"]
        self.assertEqual([each["name"] for each in found], list(NAMES))
        self.assertEqual({each["kind"] for each in found}, {"rule", "elsewhere"})

    def test_a_lab_tells_the_rule_the_history_and_how_to_go_on(self) -> None:
        status, out, err = self.p2pnet("lab", "stale-read")
        self.assertEqual((status, err), (0, ""))
        lines = out.splitlines()
        first = "Without this rule the second of two readers sees something older than the first:"
        self.assertEqual(lines[0], first)
        self.assertIn("4. C reads; answers: B, C", lines)
        self.assertEqual(
            lines[-4:],
            [
                "",
                "To think about: Both readers asked a majority. Why is that not enough?",
                "With the rule: p2pnet lab stale-read --with-rule",
                "The search: python -m chordnet.sim.slots put@A,get@B,get@C --without second_phase",
            ],
        )

    def test_with_the_rule_nothing_is_wrong_in_any_state(self) -> None:
        status, out, _ = self.p2pnet("lab", "lost-write", "--with-rule")
        lines = out.splitlines()
        self.assertEqual((status, len(lines)), (0, 2))
        self.assertTrue(lines[0].startswith("With this rule: A member is a disk, not a name"))
        self.assertRegex(lines[1], r"^\d+ states, .*: every reachable state was seen, and nothing ")

    def test_a_lab_is_drawn_into_a_file(self) -> None:
        self.root.mkdir()
        path = self.root / "lost.svg"
        status, out, _ = self.p2pnet("lab", "lost-write", "--svg", str(path))
        self.assertEqual((status, out.splitlines()[-1]), (0, f"drawn in {path}"))
        self.assertEqual(path.read_text("utf-8"), drawn("lost-write"))

    def test_the_json_of_a_lab_has_its_history(self) -> None:
        _, out, _ = self.p2pnet("lab", "stale-read", "--json")
        found = json.loads(out)
        told = [line for step in found["history"] for line in step["told"]]
        self.assertEqual(told, ["read of B finds w1 (version 1)", "read of C finds nothing"])
        self.assertEqual(found["broken"], "a client is told of version 0; version 1 is out")
        _, out, _ = self.p2pnet("lab", "stale-read", "--with-rule", "--json")
        found = json.loads(out)
        self.assertEqual(
            (found["broken"], found["history"], found["complete"], found["with_rule"]),
            (None, [], True, True),
        )

    def test_what_went_wrong_elsewhere_is_played_on_a_whole_store(self) -> None:
        status, out, err = self.p2pnet("lab", "fast-restart")
        self.assertEqual((status, err), (0, ""))
        self.assertTrue(out.startswith("There (olric#225): Two nodes kept two copies in memory."))
        self.assertIn("answers fit one order of events for each key", out.splitlines()[-1])
        _, out, _ = self.p2pnet("lab", "fast-restart", "--json")
        found = json.loads(out)
        self.assertEqual((found["name"], found["failed"]), ("fast-restart", None))
        self.assertGreater(len(found["lines"]), 5)

    def test_wrong_words_are_one_line_and_status_2(self) -> None:
        for words, said in (
            (("nothing",), "there is no lab 'nothing'; there are stale-read, "),
            (("--with-rule",), "--with-rule needs the name of a rule's lab: stale-read, "),
            (("--svg", "x.svg"), "--svg needs the name of a rule's lab: "),
            (("fast-restart", "--with-rule"), "--with-rule needs the name of a rule's lab"),
            (("stale-read", "--with-rule", "--svg", "x"), "--svg does not go with --with-rule"),
        ):
            status, out, err = self.p2pnet("lab", *words)
            self.assertEqual((status, out), (2, ""), words)
            self.assertIn(said, err)

    def test_a_picture_that_cannot_be_written_is_one_line(self) -> None:
        status, _, err = self.p2pnet("lab", "lost-write", "--svg", str(self.root / "no" / "x.svg"))
        self.assertEqual((status, err.count("\n")), (1, 1))
        self.assertRegex(err, r"^p2pnet: cannot write .*x\.svg: No such file or directory$")


class DrawingTests(SynchronousTestCase):
    def texts(self, model: Steps) -> list[str]:
        root = ElementTree.fromstring(draw_steps(model))  # noqa: S314 - our own
        return [each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text")]

    def test_all_that_a_history_says_is_in_its_picture(self) -> None:
        step = Step("1. A <writes>", "A", ("A", "B"), False, {"B": ("holds w1",)}, ("w1 is done",))
        model = Steps("Two & more", "Off: a rule", ("A", "B"), (Step("At first"), step), "Now.")
        self.assertEqual(
            self.texts(model),
            ["Two & more", "Off: a rule", "A", "B", "At first", "1. A <writes>", "w1 is done",
             "holds w1", "Now."],
        )  # fmt: skip

    def test_an_arrow_leads_to_whom_is_reached_or_from_who_gives(self) -> None:
        for gives, expected in ((False, (0, 1)), (True, (1, 0))):
            model = Steps("t", "s", ("A", "B"), (Step("x", "A", ("A", "B"), gives),), "")
            ((start, end),) = re.findall(r'class="way" d="M(\d+) [\d.]+H(\d+)"', draw_steps(model))
            lanes = [int(x) for x in re.findall(r'class="lane" x1="(\d+)"', draw_steps(model))]
            self.assertEqual(int(start), lanes[expected[0]])
            self.assertEqual(abs(int(end) - lanes[expected[1]]), 7)

    def test_a_node_that_came_back_with_another_disk_is_drawn_where_it_was(self) -> None:
        step = Step("C loses its disk", "C", changes={"C(2)": ("no member",)})
        self.assertIn("no member", self.texts(Steps("t", "s", ("A", "C"), (step,), "")))

    def test_a_long_title_widens_the_picture(self) -> None:
        def width(title: str) -> int:
            drawing = draw_steps(Steps(title, "s", ("A",), (Step("x"),), ""))
            return int(re.findall(r'width="(\d+)"', drawing)[0])

        self.assertGreater(width("long " * 30), width("short"))

    def test_a_history_without_steps_is_an_empty_picture(self) -> None:
        self.assertEqual(self.texts(Steps("t", "s", ("A",), (), "")), ["t", "s", "A"])


if __name__ == "__main__":
    for each in sys.argv[1:] or LABS:
        (PICTURES / f"{each}.svg").write_text(drawn(each), "utf-8")
