"""Benchmarks, examples and code in the docs import names that are there, in the modules they name."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = [*ROOT.glob("benchmarks/*.py"), *ROOT.glob("examples/*.py")]
PROSE = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")]


@cache
def names_in(module):
    """What a module of the package binds at its top level, and the modules below it."""
    place = ROOT.joinpath("src", *module.split("."))
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    found = {each.stem for each in place.glob("*")} if place.is_dir() else set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Constant) and file.name == "__init__.py":
            found.add(node.value)  # public names that are loaded when they are asked for
    return found


def code_of(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return [text]
    return [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "import" in block]


@pytest.mark.parametrize("path", [*CODE, *PROSE], ids=lambda path: path.name)
def test_what_is_imported_is_there(path):
    imported = [
        (node.module, alias.name)
        for text in code_of(path)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "stitchable"
        for alias in node.names
    ]
    assert path.suffix == ".md" or imported or path.name in ("record.py", "efficientnet_lite_weights.py")
    for module, name in imported:
        assert name in names_in(module), f"{path.name}: {module} has no {name}"
