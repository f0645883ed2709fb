"""Code style and the house of three floors."""

import ast
import re
import subprocess
import sys

import pytest

import helpers
from helpers.folders import ROOT

#: The rooms of each floor, ground floor first, as `helpers/__init__` names them.
STOREYS = [re.findall(r"``(\w+)``", text) for text in re.findall(r"^\d\. (.*(?:\n {3}.*)*)", helpers.__doc__, re.M)]
FLOORS = {room: floor for floor, rooms in enumerate(STOREYS) for room in rooms}
MODULES = sorted(path for path in (ROOT / "helpers").rglob("*.py") if path != ROOT / "helpers" / "__init__.py")


@pytest.mark.parametrize("arguments", (["check"], ["format", "--check"]), ids=("rules", "format"))
def test_ruff_is_content(arguments):
    folders = ["helpers", "classroom", "tests", "benchmarks"]
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *arguments, *folders], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def module(path) -> str:
    """`panels` for helpers/panels.py, `check` for everything in helpers/check/."""
    return path.relative_to(ROOT / "helpers").parts[0].removesuffix(".py")


def test_the_docstring_names_every_room_and_its_floor():
    assert {module(path) for path in MODULES} == set(FLOORS)
    assert [len(rooms) for rooms in STOREYS][1:] == [1, 5] and "problems" in STOREYS[0]


def helpers_imported(path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "helpers":
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("helpers."):
            found.add(node.module.split(".")[1])
    return found


def test_modules_import_from_below_and_not_in_a_circle():
    imports = {}
    for path in MODULES:
        imports.setdefault(module(path), set()).update(helpers_imported(path) - {module(path)})
    for name, others in imports.items():
        assert all(FLOORS[other] <= FLOORS[name] for other in others), f"{name} imports from above: {others}"
    while imports:
        free = [name for name, others in imports.items() if not others & set(imports)]
        assert free, f"a circle among {sorted(imports)}"
        for name in free:
            del imports[name]


TORCH_PRIVATE = ROOT / "helpers" / "memory" / "torch_private.py"


def private(name: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in name.split("."))


def own_names(tree: ast.AST) -> set[str]:
    """Names that this module itself gives: functions, classes, variables, attributes."""
    given = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    stored = [node for node in ast.walk(tree) if isinstance(getattr(node, "ctx", None), ast.Store)]
    return given | {getattr(node, "id", None) or getattr(node, "attr", "") for node in stored}


def imported(tree: ast.AST) -> set[str]:
    """The outermost packages that a module imports from."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {getattr(node, "module", None) or node.names[0].name for node in nodes}
    return {name.partition(".")[0] for name in names}


def private_names(tree: ast.AST, own: set[str]) -> set[str]:
    """Private names that a module takes from others: imported, or as an attribute of anything."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("helpers"):
            found |= {f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.Attribute) and node.attr not in own:
            found.add(node.attr)
    return {name for name in found if private(name)}


def test_private_names_of_torch_stand_in_one_module():
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}
    own = set().union(*(own_names(tree) for path, tree in trees.items() if path != TORCH_PRIVATE))
    assert len(private_names(trees[TORCH_PRIVATE], own)) > 10
    others = {path: tree for path, tree in trees.items() if path != TORCH_PRIVATE and "torch" in imported(tree)}
    for path, tree in others.items():
        assert not private_names(tree, own), f"{path.name}: put them into torch_private"


def test_ground_floor_runs_where_there_is_only_torch():
    ground = [name for name, floor in FLOORS.items() if floor == 0]
    code = f"""
import sys
for name in ("torchvision", "sklearn", "matplotlib", "ipywidgets", "IPython"):
    sys.modules[name] = None
import importlib
for name in {ground!r}:
    importlib.import_module("helpers." + name)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_public_functions_have_docstrings():
    for path in MODULES:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if (
                isinstance(node, ast.FunctionDef | ast.ClassDef)
                and not node.name.startswith("_")
                and path.stem not in ("course", "environment")
            ):
                assert ast.get_docstring(node), f"{path.name}: {node.name}"


def test_nothing_of_a_machine_or_a_registry_is_in_the_tree():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    assert "uv.lock" not in listed.stdout.split()
    registry = re.compile("py" + r"pi\.org|files\.python" + r"hosted|registry\.npm" + "js|--extra-index-" + "url")
    for name in listed.stdout.split("\n"):
        path = ROOT / name
        if path.suffix in (".py", ".md", ".toml", ".yml", ".ipynb", ".csv", ".cfg", "") and path.is_file():
            text = path.read_text(encoding="utf-8")
            assert not registry.search(text), name
            assert f"{ROOT}/" not in text, name
