"""The plan of the house: which room may know of which. A violation names file, line and import."""

import ast
import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import stitchable

ROOT = Path(stitchable.__file__).parent

# Room by room, from the ground up: what each may import besides itself. A room may only name rooms above
# it in this table, so the table has no cycles.
TABLE = {
    "errors": "",
    "stitch": "errors",
    "feature": "errors",
    "input_spec": "errors",
    "units": "errors",
    "nested": "",
    "rounding": "",
    "modes": "errors",
    "compiling": "errors",
    "device": "errors",
    "ranks": "errors device",
    "cost": "errors feature",
    "space": "errors stitch feature cost",
    "layers": "errors feature",
    "anchors": "errors stitch feature input_spec modes device cost space",
    "card": "errors stitch cost space anchors",
    "behind": "errors stitch space anchors",
    "subnetwork": "errors stitch feature input_spec cost space layers anchors card behind",
    "network": "errors stitch feature input_spec modes cost space layers anchors card behind subnetwork",
    "paths": "stitch space network",
    "data": "errors input_spec",
    "initialization": "errors stitch feature rounding modes device ranks space anchors layers network",
    "evaluation": "errors stitch units modes device ranks space anchors subnetwork network",
    "menu": "errors units evaluation",
    "similarity": "errors feature rounding ranks layers",
    "prediction": "errors stitch modes device ranks space layers network initialization evaluation "
    "similarity",
    "search": "errors stitch space prediction",
    "reassembly": "errors stitch feature units modes cost space layers network similarity prediction search",
    "training": "errors stitch modes compiling device ranks space network paths data",
    "profiling": "errors stitch feature modes compiling space anchors layers subnetwork network evaluation",
    "tracking": "errors stitch training nested",
    "report": "errors stitch units space evaluation similarity prediction",
    "runs": "errors stitch feature nested units input_spec modes device ranks cost space anchors subnetwork "
    "network data initialization evaluation similarity prediction search reassembly training profiling "
    "tracking report stitchable",
    "demo": "errors stitch input_spec units anchors network evaluation menu training report runs",
    "cli": "errors stitch units device ranks space anchors network evaluation menu prediction reassembly "
    "training tracking report runs demo stitchable",
    "__main__": "cli",
}
ALLOWED = {room: set(rooms.split()) for room, rooms in TABLE.items()}

# The package itself only says where its public names live; they are loaded when they are asked for.
ALLOWED["stitchable"] = set(TABLE) - {"report", "runs", "demo", "cli", "__main__"}

WITHOUT_TORCH = {
    *("errors", "stitch", "feature", "input_spec", "units", "nested", "cost.parts", "space", "report", "cli"),
    *("evaluation.curve", "evaluation.pareto", "evaluation.statistics"),
    *("evaluation.outcomes", "evaluation.device_cost", "evaluation.disagreement"),
    *("evaluation.paired", "evaluation.bootstrap", "evaluation.confidence", "evaluation.worst_class"),
    *("evaluation.agreement", "evaluation.curve_statistics", "evaluation.seeds"),
    *("prediction.additive", "prediction.features", "prediction.predict", "prediction.rank_correlation"),
    *("prediction.tested_joint", "similarity.pair", "similarity.rows", "runs.similarity_options"),
    "search",
    *("reassembly.parts", "reassembly.part_similarity", "reassembly.even_cuts", "reassembly.climb"),
    *("reassembly.partition", "reassembly.agreement", "reassembly.slots", "reassembly.space"),
    *("reassembly.flow", "reassembly.path_program", "reassembly.program", "reassembly.assembly_scores"),
    *("reassembly.options", "reassembly.ranking", "reassembly.search"),
    *(
        "data.augment",
        "training.options",
        "training.samplers",
        "training.objective_options",
        "training.guard_options",
        "tracking.options",
        "runs.config",
        "runs.zoo_config",
        "runs.folder",
    ),
    "menu",
    *("similarity.pair", "similarity.rows", "similarity.views", "similarity.question"),
}


@dataclass(frozen=True)
class Import:
    module: str
    target: str
    line: int
    lazy: bool

    def __str__(self):
        return f"{path_of(self.module)}:{self.line} imports {self.target}"


def name_of(path):
    return ".".join(("stitchable", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


@cache
def modules():
    return {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def path_of(module):
    return modules()[module].relative_to(ROOT.parents[1])


def room_of(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def is_type_checking(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in {
        getattr(part, "id", getattr(part, "attr", None)) for part in ast.walk(node.test)
    }


def found_in(module, node, *, lazy=False):
    """Imports in a node of the syntax tree: those of functions too, those for type checkers not."""
    if isinstance(node, ast.Import):
        yield from (Import(module, alias.name, node.lineno, lazy) for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{path_of(module)}:{node.lineno}: write imports in full"
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield Import(module, inner if inner in modules() else node.module, node.lineno, lazy)
    lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in node.orelse if is_type_checking(node) else ast.iter_child_nodes(node):
        yield from found_in(module, child, lazy=lazy)


@cache
def imports():
    found = []
    for module, path in modules().items():
        found += found_in(module, ast.parse(path.read_text(encoding="utf-8")))
    return tuple(dict.fromkeys(found))


def ours():
    return [each for each in imports() if each.target.split(".")[0] == "stitchable"]


def reached(start):
    """Every module that importing or using ``start`` may load."""
    seen, left = set(), [start]
    while left:
        module = left.pop()
        if module not in seen:
            seen.add(module)
            left += [each.target for each in ours() if each.module == module]
    return seen


def test_the_reader_of_imports_sees_what_there_is(tmp_path):
    """The checks below are worth what this one is."""
    text = """
import json
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import stitchable.cli.main
else:
    import stitchable.errors
class A:
    from stitchable import stitch
    def f(self):
        if True:
            from stitchable.network import StitchedNetwork
try:
    import timm.data as data
except ImportError:
    pass
"""
    found = {(each.target, each.lazy) for each in found_in("stitchable", ast.parse(text))}
    assert found == {
        ("json", False),
        ("typing", False),
        ("stitchable.errors", False),
        ("stitchable.stitch", False),
        ("stitchable.network", True),
        ("timm.data", False),
    }
    assert len(modules()) > 80
    assert len(ours()) > 200
    assert any(each.lazy for each in ours())


def test_the_table_is_an_order():
    rooms = list(TABLE)
    for number, room in enumerate(rooms):
        assert ALLOWED[room] <= {*rooms[:number], "stitchable"}, room


def test_every_room_is_in_the_table():
    assert {room_of(module) for module in modules()} == ALLOWED.keys(), "give every room a place in TABLE"


def test_no_room_knows_of_another_above_it():
    wrong = [
        str(each)
        for each in ours()
        if room_of(each.target) != room_of(each.module)
        and room_of(each.target) not in ALLOWED[room_of(each.module)]
    ]
    assert not wrong, "\n".join(wrong)


def test_modules_import_each_other_in_no_circle():
    graph = {module: set() for module in modules()}
    for each in ours():
        if not each.lazy and each.target != "stitchable":
            graph[each.module].add(each.target)
    try:
        order = list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))
    assert len(order) == len(graph)


def test_below_the_network_nothing_knows_of_training():
    rooms = {room_of(module) for module in reached("stitchable.network")}
    assert {"anchors", "space", "layers"} <= rooms
    assert not rooms & {"training", "evaluation", "initialization", "data", "report", "runs", "cli"}


def test_only_anchors_and_mixup_know_of_timm():
    using = [each for each in imports() if each.target.split(".")[0] == "timm"]
    assert using
    wrong = [
        str(each)
        for each in using
        if room_of(each.module) != "anchors" and each.module != "stitchable.data.mixing"
    ]
    assert not wrong, "\n".join(wrong)


def test_cost_and_space_know_nothing_of_stitching_layers():
    for start in [module for module in modules() if room_of(module) in {"cost", "space"}]:
        assert not {room_of(module) for module in reached(start)} & {"layers", "anchors", "network"}, start


def test_plain_data_and_the_parsing_of_commands_load_no_torch():
    """In a process of its own: what counts is what is loaded, not what is written."""
    wanted = tuple(f"stitchable.{name}" for name in WITHOUT_TORCH)
    chosen = [
        name for name in modules() if name in wanted or name.startswith(tuple(f"{each}." for each in wanted))
    ]
    assert len(chosen) > 40
    code = (
        "import importlib, json, sys\n"
        "for name in json.loads(sys.argv[1]):\n"
        "    importlib.import_module(name)\n"
        "    if {'torch', 'timm'} & sys.modules.keys():\n"
        "        sys.exit(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, json.dumps(chosen)], capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stderr.strip()} loads torch or timm"
