"""Small faults to put into a program, to see whether its tests notice: what and where, pure.

A mutant is one change of one place in one file: a comparison moved by one or turned round, ``and``
for ``or``, plus for minus, a number changed, a condition negated, a statement left out. What never
runs is left alone: imports, ``__all__``, assertions, and the defaults of a protocol's functions,
whose bodies are three dots.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from attrs import field, frozen

FACTOR = 1000
"""A constant of a module or a class is a limit, as a rule: it is made so many times as large."""

_COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="), ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"), ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is"),
}  # fmt: skip
_OPERATORS: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "+"), ast.FloorDiv: ("//", "*"),
    ast.Div: ("/", "*"), ast.Mod: ("%", "+"), ast.BitAnd: ("&", "|"), ast.BitOr: ("|", "&"),
    ast.LShift: ("<<", ">>"), ast.RShift: (">>", "<<"),
}  # fmt: skip


@frozen
class Mutant:
    """One change."""

    path: str
    """The file, from the root of the project."""
    kind: str
    start: int
    """Where in the source the change begins and ends, in bytes of UTF-8."""
    end: int
    new: str
    line: int
    function: str
    """The qualified name of the innermost function it is in; empty outside."""
    before: str = field(default="", eq=False)
    """The line of the source where it begins."""

    def applied(self, source: str) -> str:
        """Return the changed source."""
        raw = source.encode()
        return (raw[: self.start] + self.new.encode() + raw[self.end :]).decode()

    def after(self, source: str) -> str:
        """Return the changed line."""
        return self.applied(source).splitlines()[self.line - 1].strip()

    def key(self, source: str) -> str:
        """Return a name that stays when other lines of the file come and go."""
        place = f"{self.path}, {self.function}" if self.function else self.path
        return f"{place}: {self.before.strip()} => {self.after(source)}"


def mutants(path: str, source: str) -> list[Mutant]:
    """Return every mutant of one file, in the order of its lines."""
    return sorted(_Finder(path, source).found, key=lambda m: (m.start, m.end, m.kind, m.new))


class _Finder:
    def __init__(self, path: str, source: str) -> None:
        self._path = path
        self._lines = source.splitlines()
        self._raw = source.encode()
        self._starts = [0]
        for line in self._raw.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self.found: list[Mutant] = []
        self._function = ""
        self._scope: list[str] = []
        self._block(ast.parse(source).body)

    # ---- walking ----------------------------------------------------------------------------

    def _block(self, body: list[ast.stmt]) -> None:
        for statement in body:
            self._statement(statement)

    def _statement(self, node: ast.stmt) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self._define(node)
        elif isinstance(node, ast.ClassDef):
            self._scope.append(node.name)
            self._block(node.body)
            self._scope.pop()
        elif not _is_no_code(node):
            self._change_statement(node)

    def _define(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        outer, self._function = self._function, ".".join([*self._scope, node.name])
        self._scope += [node.name, "<locals>"]
        self._block(node.body)
        del self._scope[-2:]
        self._function = outer
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            if default is not None and not _is_stub(node):
                self._expression(default)

    def _change_statement(self, node: ast.stmt) -> None:
        if self._function:
            self._left_out(node)
        if isinstance(node, ast.If | ast.While):
            self._add("negated", node.test, f"not ({self._text(node.test)})")
        for child in _expressions(node):
            self._expression(child)
        for block in _blocks(node):
            self._block(block)

    def _expression(self, node: ast.expr) -> None:
        for each in _with_children(node):
            if isinstance(each, ast.Compare):
                self._comparison(each)
            elif isinstance(each, ast.BinOp):
                self._operator(each)
            elif isinstance(each, ast.BoolOp):
                self._boolean(each)
            elif isinstance(each, ast.UnaryOp) and isinstance(each.op, ast.Not):
                self._add("not", each, f"({self._text(each.operand)})")
            elif isinstance(each, ast.IfExp):
                self._add("negated", each.test, f"(not ({self._text(each.test)}))")
            elif isinstance(each, ast.Constant):
                self._constant(each)

    # ---- changing ---------------------------------------------------------------------------

    def _left_out(self, node: ast.stmt) -> None:
        simple = (
            ast.Expr | ast.Assign | ast.AugAssign | ast.Return | ast.Raise
            | ast.Break | ast.Continue | ast.Delete
        )  # fmt: skip
        # A local name that is not set is noticed by everything that reads it.
        local = isinstance(node, ast.Assign) and all(isinstance(t, ast.Name) for t in node.targets)
        if isinstance(node, simple) and not local:
            self._add("left out", node, "pass")

    def _comparison(self, node: ast.Compare) -> None:
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            old, new = _COMPARISONS[type(operator)]
            self._between("comparison", left, right, old, new)
            left = right

    def _operator(self, node: ast.BinOp) -> None:
        pair = _OPERATORS.get(type(node.op))
        if pair is not None and not _is_text_like(node.left) and not _is_text_like(node.right):
            self._between("operator", node.left, node.right, *pair)

    def _boolean(self, node: ast.BoolOp) -> None:
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._between("boolean", left, right, old, new)

    def _constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self._add("constant", node, str(not value))
        elif isinstance(value, int | float):
            text = self._text(node)
            grows = value and not self._function
            self._add("constant", node, f"({text} * {FACTOR})" if grows else f"{value + 1}")

    def _between(self, kind: str, left: ast.expr, right: ast.expr, old: str, new: str) -> None:
        start, end = self._end(left), self._start(right)
        at = self._raw.find(old.encode(), start, end)
        if at >= 0:
            self._change(kind, at, at + len(old.encode()), new)

    def _add(self, kind: str, node: ast.AST, new: str) -> None:
        self._change(kind, self._start(node), self._end(node), new)

    def _change(self, kind: str, start: int, end: int, new: str) -> None:
        line = self._raw.count(b"\n", 0, start) + 1
        self.found.append(
            Mutant(
                self._path, kind, start, end, new, line, self._function, self._lines[line - 1]
            )
        )  # fmt: skip

    def _start(self, node: ast.AST) -> int:
        return self._starts[node.lineno - 1] + int(node.col_offset)  # type: ignore[attr-defined]

    def _end(self, node: ast.AST) -> int:
        end: int = node.end_col_offset  # type: ignore[attr-defined]
        return self._starts[node.end_lineno - 1] + end  # type: ignore[attr-defined]

    def _text(self, node: ast.AST) -> str:
        return self._raw[self._start(node) : self._end(node)].decode()


def _is_no_code(node: ast.stmt) -> bool:
    """Return True for what does nothing when the program runs, or nothing that can be wrong."""
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Assert):
        return True
    if isinstance(node, ast.Expr):  # a docstring, or the dots of a body that is none
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0]) == "__all__"
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _is_stub(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return True for a function that only says what others are like and is never called."""
    return all(
        isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant) for each in node.body
    )


def _is_text_like(node: ast.expr) -> bool:
    """Return True for what cannot be subtracted: texts, and names of types."""
    return (
        isinstance(node, ast.JoinedStr | ast.List)
        or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes | None))
        or (isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node)[:1].isupper()
            and not ast.unparse(node).isupper())
    )  # fmt: skip


def _expressions(node: ast.stmt) -> Iterator[ast.expr]:
    """Return the expressions of a statement itself, without those of annotations."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "decorator_list", "bases"):
            continue
        values = value if isinstance(value, list) else [value]
        for each in values:
            if isinstance(each, ast.expr):
                yield each
            elif isinstance(each, ast.withitem):
                yield each.context_expr


def _with_children(node: ast.expr) -> Iterator[ast.expr]:
    """Return an expression and those in it; what stands inside a text is left alone."""
    yield node
    if isinstance(node, ast.JoinedStr):
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield from _with_children(child)
        elif isinstance(child, ast.keyword):
            yield from _with_children(child.value)
        elif isinstance(child, ast.comprehension):
            for each in (child.iter, *child.ifs):
                yield from _with_children(each)


def _blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        yield getattr(node, name, [])
    for handler in getattr(node, "handlers", []):
        yield handler.body
    for case in getattr(node, "cases", []):
        yield case.body
