"""What the local engine's nodes are born into, seen from within a node."""

from __future__ import annotations

import json
import select
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from chordnet.testbed.engines.local import NURSERY, node_environment
from chordnet.testbed.engines.nursery import Birth
from chordnet.testbed.engines.processes import ProcessIdentity, is_running

ROOT = Path(__file__).parents[2]
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
MODULES = ("chordnet.tap", *(["twisted.internet.epollreactor"] if hasattr(select, "epoll") else []))
"""What the nursery has imported for its nodes; these here import neither by themselves."""
PROGRAM = """
import gc, json, os, signal, sys
here = os.getpid()
with open("pid") as file:
    written = file.read()
facts = {
    "directory": os.getcwd(),
    "leads its session": os.getsid(0) == here,
    "pid file": written,
    "pid": here,
    "words": sys.argv,
    "stdin": os.read(0, 10).decode(),
    "same output": os.fstat(1).st_ino == os.fstat(2).st_ino,
    "usual signals": [signal.getsignal(getattr(signal, name)) == signal.SIG_DFL
                      for name in SIGNALS],
    "umask": os.umask(0),
    "files": sorted(map(int, os.listdir("/dev/fd"))),
    "frozen": gc.get_freeze_count() > 10_000,
    "imported": [name for name in MODULES if name in sys.modules],
}
print(json.dumps(facts))
print("the end", file=sys.stderr)
raise END
"""


class NurseryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.root = Path(self.mktemp()).resolve()

    def birth(self, number: int, *words: str, end: str = "SystemExit(0)") -> Birth:
        directory = self.root / str(number)
        directory.mkdir(parents=True)
        (directory / "node.tac").write_text(
            PROGRAM.replace("END", end)
            .replace("SIGNALS", repr(SIGNALS))
            .replace("MODULES", repr(MODULES))
        )
        return Birth(str(directory), list(words) or ["--nodaemon", "--pidfile=", "-y", "node.tac"])

    def bear(self, *births: Birth) -> None:
        """Run the nursery until it and all that it started have ended."""
        done = subprocess.run(
            NURSERY, input=msgspec.json.encode(list(births)), capture_output=True, check=False,
            env=node_environment() | {"PYTHONPATH": str(ROOT)}, timeout=60, umask=0,
        )  # fmt: skip
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, b"", b""))
        for birth in births:
            process = ProcessIdentity.parse((Path(birth.directory) / "pid").read_text())
            assert process is not None
            for _ in range(2000):
                if not is_running(process):
                    break
                time.sleep(0.01)  # the processes need real time
            self.assertFalse(is_running(process))

    def lines(self, number: int) -> list[str]:
        return (self.root / str(number) / "log").read_text().splitlines()

    def test_each_node_is_a_process_of_its_own_in_its_directory(self) -> None:
        log = self.root / "2" / "log"
        births = [self.birth(1), self.birth(2)]
        log.write_text("from before\n")
        self.bear(*births)
        before, facts_line, end = self.lines(2)
        self.assertEqual((before, end), ("from before", "the end"))
        facts: dict[str, Any] = json.loads(facts_line)
        pid = facts.pop("pid")
        self.assertEqual(str(ProcessIdentity.parse(facts.pop("pid file"))).split()[0], str(pid))
        self.assertEqual(
            facts,
            {
                "directory": str(self.root / "2"),
                "leads its session": True,
                "words": ["twistd", *births[1].words],
                "stdin": "",
                "same output": True,
                "usual signals": [True] * len(SIGNALS),
                "umask": 0o077,
                "files": [0, 1, 2, 3],
                "frozen": True,
                "imported": [*MODULES],
            },
        )
        self.assertNotEqual(pid, json.loads(self.lines(1)[0])["pid"])
        self.assertEqual(stat.S_IMODE((self.root / "1" / "log").stat().st_mode), 0o600)

    def test_how_a_node_failed_stands_in_its_log(self) -> None:
        self.bear(
            self.birth(1, end="SystemExit('no port is free')"),
            self.birth(2, end="ValueError('nobody foresaw this')"),
            self.birth(3, "--no-such-option"),
        )
        self.assertEqual(self.lines(1)[-1], "no port is free")
        self.assertIn("ValueError: nobody foresaw this", "\n".join(self.lines(2)))
        self.assertIn("no-such-option", "\n".join(self.lines(3)))
