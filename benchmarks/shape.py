"""Figures about the shape of a package's source: ``python -m benchmarks.shape chordnet other ...``.

A table, a column for each folder of Python source that is named: how many files stand side by side,
how long modules and functions are, how large the largest class and constructor, how much is said in
comments. To compare a package with itself earlier, or with another one.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import statistics
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import field, frozen

Function = ast.FunctionDef | ast.AsyncFunctionDef
RARE = ("nobody", "tell whether", "at once", "whoever")
"""Turns that are rare in documentation elsewhere, counted per 1,000 words of docstrings."""


@frozen
class Source:
    """One module: its folder, text and tree."""

    folder: Path
    text: str
    tree: ast.Module = field()

    @tree.default
    def _parse(self) -> ast.Module:
        return ast.parse(self.text)


def sources(root: Path) -> list[Source]:
    """Return every module below ``root``."""
    return [Source(p.parent.relative_to(root), p.read_text("utf-8")) for p in root.rglob("*.py")]


def _nodes(modules: Sequence[Source]) -> Iterator[ast.AST]:
    for module in modules:
        yield from ast.walk(module.tree)


def _parameters(function: Function) -> int:
    arguments = function.args
    return len(arguments.posonlyargs + arguments.args + arguments.kwonlyargs) - 1


def _private_used_once(modules: Sequence[Source]) -> tuple[int, int]:
    """Return how many private functions are named at one place only, and how many there are."""
    private = Counter[str]()
    used = Counter[str]()
    for node in _nodes(modules):
        if isinstance(node, Function) and re.match(r"_[^_]", node.name):
            private[node.name] += 1
        elif isinstance(node, ast.Attribute):
            used[node.attr] += 1
        elif isinstance(node, ast.Name):
            used[node.id] += 1
    single = [name for name, count in private.items() if count == 1]
    return sum(used[name] == 1 for name in single), len(single)


def _comment_share(modules: Sequence[Source]) -> float:
    comments = lines = 0
    for module in modules:
        lines += len(module.text.splitlines())
        for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
            comments += token.type == tokenize.COMMENT and token.line.strip().startswith("#")
    return 100 * comments / max(lines, 1)


def _docstrings(modules: Sequence[Source]) -> str:
    documented = ast.Module | ast.ClassDef | Function
    texts = [ast.get_docstring(n) or "" for n in _nodes(modules) if isinstance(n, documented)]
    return "\n".join(texts).lower()


def figures(root: Path) -> dict[str, str]:
    """Return the rows of the table for one package."""
    modules = sources(root)
    folders = Counter(module.folder for module in modules)
    largest = ", ".join(f"{folder} {n}" for folder, n in folders.most_common(3))
    lengths = [len(module.text.splitlines()) for module in modules]
    functions = [n for n in _nodes(modules) if isinstance(n, Function)]
    bodies = sorted((f.end_lineno or f.lineno) - f.lineno + 1 for f in functions) or [0]
    classes = [n for n in _nodes(modules) if isinstance(n, ast.ClassDef)]
    methods = {c.name: [f for f in c.body if isinstance(f, Function)] for c in classes}
    made = {
        name: max((_parameters(f) for f in own if f.name == "__init__"), default=0)
        for name, own in methods.items()
    }
    once, private = _private_used_once(modules)
    words = _docstrings(modules)
    thousands = max(len(words.split()), 1) / 1000
    by_size = sorted(methods, key=lambda name: -len(methods[name]))[:3]
    by_parameters = sorted(made, key=lambda name: -made[name])[:3]
    return {
        "modules": f"{len(modules)}",
        "most files in a folder": largest,
        "private functions used once": f"{100 * once / max(private, 1):.0f} % of {private}",
        "comment lines": f"{_comment_share(modules):.1f} %",
        "most parameters": ", ".join(f"{name} {made[name]}" for name in by_parameters),
        "most methods": ", ".join(f"{name} {len(methods[name])}" for name in by_size),
        "fmt: skip": f"{sum(m.text.count('# fmt: skip') for m in modules)}",
        "module, lines, median and most": f"{statistics.median(lengths):.0f}, {max(lengths)}",
        "function, lines, median and 90 %": f"{statistics.median(bodies):.0f}, "
        f"{bodies[int(0.9 * (len(bodies) - 1))]}",
        "per 1,000 docstring words": ", ".join(
            f"{turn} {words.count(turn) / thousands:.1f}" for turn in RARE
        ),
    }


def main(words: Sequence[str]) -> int:
    """Print the table; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shape", description=__doc__)
    parser.add_argument("packages", nargs="*", type=Path, default=[Path("chordnet")])
    packages = parser.parse_args(words).packages
    for package in packages:
        if not any(package.rglob("*.py")):
            parser.error(f"{package} is no folder with Python source")
    columns = [figures(package) for package in packages]
    print("|  | " + " | ".join(map(str, packages)) + " |")
    print("|---" * (len(packages) + 1) + "|")
    for row in columns[0]:
        print(f"| {row} | " + " | ".join(column[row] for column in columns) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
