"""``benchmarks.shape``: figures about a package's source."""

import contextlib
import io
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks.shape import figures, main

MODULE = '''"""Nobody reads this at once."""

# A reason.
class Large:
    """A class."""

    def __init__(self, a, b, *, c):
        self._once(a)

    def _once(self, a):
        return self._twice(a)

    def _twice(self, a):
        return self._twice(a)
'''


class ShapeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        (self.folder / "inner").mkdir(parents=True)
        for name in ("one.py", "two.py"):
            (self.folder / "inner" / name).write_text("x = 1\n", "utf-8")
        (self.folder / "large.py").write_text(MODULE, "utf-8")

    def test_the_shape_counts_files_methods_parameters_comments_and_turns(self) -> None:
        found = figures(self.folder)
        self.assertEqual(found["modules"], "3")
        self.assertEqual(found["most files in a folder"], "inner 2, . 1")
        self.assertEqual(found["most methods"], "Large 3")
        self.assertEqual(found["most parameters"], "Large 3")
        self.assertEqual(found["comment lines"], "6.2 %")
        self.assertEqual(found["module, lines, median and most"], "1, 14")
        self.assertEqual(found["function, lines, median and 90 %"], "2, 2")
        self.assertIn("nobody 142.9, tell whether 0.0", found["per 1,000 docstring words"])

    def test_a_private_function_that_is_named_once_is_told_from_one_named_twice(self) -> None:
        self.assertEqual(figures(self.folder)["private functions used once"], "50 % of 2")

    def test_the_table_has_a_column_for_each_package(self) -> None:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            self.assertEqual(main([str(self.folder), str(self.folder / "inner")]), 0)
        self.assertIn("| modules | 3 | 2 |", out.getvalue())

    def test_a_folder_without_source_is_refused_in_a_line(self) -> None:
        with tempfile.TemporaryDirectory() as empty, contextlib.redirect_stderr(io.StringIO()):
            error = self.assertRaises(SystemExit, main, [empty])
        self.assertEqual(error.code, 2)
