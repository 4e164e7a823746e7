"""Every reason of an event or condition in the code has a row in the table, and every row a place in the code."""

import ast
import builtins
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

import ackbox
from ackbox.catalog.reasons import Told, reasons, reasons_of_tables
from ackbox.reference_reasons import reasons_page

SOURCE = Path(ackbox.__file__).parent

SPEAKERS = {
    "stalled": 0,
    "progressing": 0,
    "ready": 0,
    "_state": 0,
    "changed": 0,
    "State": 1,
    "warning": 1,
    "normal": 1,
    "failing": 1,
    "remark": 1,
    "unknown": 1,
    "_unreached": 1,
    "Aspect": 2,
}
"""Functions that take a reason, and as which argument."""

OF_KUBELETS = {"RouteCreated", "NoRouteCreated", "NetworkRestored"}
"""Conditions of Nodes, which are Kubernetes' own."""


@dataclass(frozen=True)
class Said:
    module: str
    line: int
    expression: ast.expr
    function: ast.AST | None

    def reasons(self) -> set[str]:
        """The texts that the expression can be, as far as they are known here."""
        return _texts(self.expression, self)


def _texts(expression: ast.expr, said: Said) -> set[str]:
    match expression:
        case ast.Constant(value=str(text)):
            return {text} - {""}
        case ast.IfExp(body=body, orelse=other):
            return _texts(body, said) | _texts(other, said)
        case ast.BoolOp(values=values):
            return {text for value in values for text in _texts(value, said)}
        case ast.Name(id=name):
            value = getattr(importlib.import_module(said.module), name, None)
            return {str(value)} if isinstance(value, str) else _assigned(name, said)
        case ast.Attribute():
            try:
                value = eval(ast.unparse(expression), vars(importlib.import_module(said.module)))
            except (NameError, AttributeError):
                return set()
            return {str(value)} if isinstance(value, str) else set()
    return set()


def _assigned(name: str, said: Said) -> set[str]:
    """What a local variable is set to in its function, also beside others: `reason, message = (…)`."""
    found: set[str] = set()
    for each in ast.walk(said.function) if said.function else ():
        if not isinstance(each, ast.Assign):
            continue
        for target in each.targets:
            if isinstance(target, ast.Name) and target.id == name:
                found |= _texts(each.value, said)
    return found


def _said(path: Path) -> Iterator[Said]:
    module = ".".join(("ackbox", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(node): function for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", None))
        logs = isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "logger"
        place = SPEAKERS.get(name or "")
        if place is not None and not logs and len(node.args) > place and not isinstance(node.args[place], ast.Starred):
            yield Said(module, node.lineno, node.args[place], inside.get(id(node)))


@cache
def every_said() -> tuple[Said, ...]:
    folders = ("cloud", "ccm", "dataplane", "controlplane", "kube")
    return tuple(said for name in folders for path in sorted((SOURCE / name).rglob("*.py")) for said in _said(path))


def test_every_reason_in_the_code_has_a_row():
    known = {*reasons(), *reasons_of_tables(), *OF_KUBELETS}
    unknown = {
        reason: f"{said.module}:{said.line}"
        for said in every_said()
        for reason in said.reasons()
        if reason not in known
    }
    assert unknown == {}, "add a row to catalog/reasons.yaml"


def test_enough_of_the_code_is_understood():
    """A rewrite that this test can't read any more must not look like a table without gaps."""
    assert len({reason for said in every_said() for reason in said.reasons()}) > 110


@cache
def _constants() -> frozenset[str]:
    """Every text in the code, and the names that enums give."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in SOURCE.rglob("*.py")]
    return frozenset(
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value.__class__ is builtins.str
    )


@pytest.mark.parametrize("name", sorted(reasons()))
def test_every_row_is_said_somewhere(name):
    assert name in _constants() or name in reasons_of_tables()


def test_warnings_say_what_to_do():
    assert [row.name for row in reasons().values() if row.told is Told.WARNING and not row.do] == []
    assert [row.name for row in reasons().values() if not row.means or not row.kinds] == []


def test_the_page_has_every_row():
    page = reasons_page()
    assert [name for name in reasons() if f"| `{name}` |" not in page] == []
