"""The rules of the house, kept by parsing the source."""

import ast
from pathlib import Path

import pytest

import gen_models

PACKAGE = Path(gen_models.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# Who may import whom. Two absences matter most: models do not import networks (only YAML brings
# them in), and evaluation does not import models.
LEAVES = {"errors"}
MAY_IMPORT = {
    "errors": set(),
    "capabilities": set(),
    "information": set(),
    "modes": set(),
    "processes": LEAVES,
    "launching": {"config", "processes"} | LEAVES,
    "signatures": LEAVES,
    "allowed": LEAVES,
    "recipes": {"allowed", "signatures"} | LEAVES,
    "config": {"allowed", "extras", "signatures"} | LEAVES,
    "extras": set(),
    "loading": {"allowed", "checkpoints", "models", "recipes", "records"} | LEAVES,
    "export": {"capabilities", "extras", "loading", "models", "modes"} | LEAVES,
    "records": LEAVES,
    "networks": LEAVES,
    "caches": set(),
    "data": {"caches"} | LEAVES,
    "distributions": {"information"} | LEAVES,
    "objectives": {"capabilities", "information"} | LEAVES,
    "models": {
        "capabilities",
        "objectives",
        "distributions",
        "modes",
        "processes",
        "recipes",
        "signatures",
        "data.ranges",
    }
    | LEAVES,
    "training": {
        "caches",
        "capabilities",
        "data.ranges",
        "evaluation.likelihood",
        "models.base",
        "models.phase",
        "models.state",
        "models.gathered",
        "modes",
        "processes",
        "records",
    }
    | LEAVES,
    "evaluation": {
        "capabilities",
        "modes",
        "data.memory",
        "data.ranges",
        "data.storage",
        "distributions",
        "information",
        "objectives.penalties",
        "processes",
        "records",
    }
    | LEAVES,
    "evaluation.train_classifier": {"data", "evaluation"},
    "reporting": {"records"} | LEAVES,
    "report": {"reporting"},
    "composing": {"config", "recipes", "records"} | LEAVES,
    "samples": {
        "allowed",
        "config",
        "data",
        "evaluation.given",
        "folders",
        "harness",
        "provenance",
        "recipes",
        "records",
        "reporting",
    }
    | LEAVES,
}
TOP = {
    "app",
    "checkpoints",
    "evaluate",
    "harness",
    "fitting",
    "provenance",
    "folders",
    "resuming",
    "sweeping",
    "__init__",
}


def name_of(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def imports(path):
    """Modules of this package that a file imports anywhere, late imports too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gen_models"):
            yield (node.module or "").removeprefix("gen_models").removeprefix(".")
        if isinstance(node, ast.Import):
            yield from (
                a.name.removeprefix("gen_models.")
                for a in node.names
                if a.name.startswith("gen_models.")
            )


def allowed(importer, imported):
    package = importer.split(".")[0]
    if imported == "" or imported.split(".")[0] == package:
        return True
    rules = MAY_IMPORT.get(importer, MAY_IMPORT.get(package, set()))
    return any(imported == rule or imported.startswith(f"{rule}.") for rule in rules)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_one_way(path):
    importer = name_of(path)
    if importer.split(".")[0] in TOP or importer == "":
        return
    bad = [found for found in imports(path) if not allowed(importer, found)]
    assert not bad, f"{importer} must not import {bad}"


def test_every_part_has_its_rule():
    parts = {name_of(path).split(".")[0] for path in FILES} - {""}
    assert parts <= set(MAY_IMPORT) | TOP


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_stay_short(path):
    source = path.read_text()
    assert len(source.splitlines()) <= 250
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            assert length <= 40, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_ladders(path):
    for node in ast.walk(ast.parse(path.read_text())):
        rungs, current = 1, node
        while isinstance(current, ast.If) and len(current.orelse) == 1:
            current = current.orelse[0]
            rungs += isinstance(current, ast.If)
        assert rungs <= 3, f"line {node.lineno}: an if-elif ladder of {rungs}"


def test_ranges_change_in_one_place():
    """127.5 and 255 stand in data.ranges alone, where images change their range."""
    users = {
        name_of(path)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and node.value in (255, 127.5)
    }
    assert users <= {"data.ranges", "data.decode", "data.digits"}


def test_no_pickle_is_trusted():
    for path in FILES:
        assert "weights_only=False" not in path.read_text()
