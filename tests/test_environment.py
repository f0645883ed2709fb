"""environment.yml and pyproject.toml agree; every dependency has its reason; the tested versions fit."""

import re
import tomllib

import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from helpers.folders import ROOT

CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}  # matplotlib-base: without the Qt window
TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
PROJECT = tomllib.loads(TEXT)
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


def test_conda_has_the_same_names_and_ranges():
    needed = map(Requirement, PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["test"])
    ours = {CONDA_NAMES.get(r.name, r.name): r.specifier for r in needed}
    lines = [line for line in CONDA["dependencies"] if isinstance(line, str)]
    theirs = {r.name: r.specifier for r in map(Requirement, lines[2:])}
    assert theirs == ours


def test_conda_is_read_as_meant():
    assert CONDA["channels"] == ["conda-forge", "nodefaults"]
    python, pip = CONDA["dependencies"][:2]
    assert re.fullmatch(r"python=3\.\d+", python)  # the only form that repo2docker reads
    assert Version(python.split("=")[1]) >= Version(PROJECT["project"]["requires-python"].removeprefix(">="))
    assert pip == "pip"
    assert CONDA["dependencies"][-1] == {"pip": ["-e ."]}


def test_every_dependency_has_its_reason():
    groups = PROJECT["dependency-groups"]
    listed = [*PROJECT["project"]["dependencies"], *(line for group in groups.values() for line in group)]
    for dependency in (line for line in listed if isinstance(line, str)):
        assert re.search(re.escape(f'"{dependency}",') + r"\s+# \w.{8,}", TEXT), f"no reason beside {dependency}"


def test_tested_versions_lie_inside_the_ranges():
    groups = PROJECT["dependency-groups"]
    listed = [*PROJECT["project"]["dependencies"], *(line for group in groups.values() for line in group)]
    ranges = {r.name: r.specifier for r in map(Requirement, (line for line in listed if isinstance(line, str)))}
    tested = {
        r.name: next(iter(r.specifier)).version
        for r in map(Requirement, PROJECT["tool"]["uv"]["constraint-dependencies"])
    }
    for name, version in tested.items():
        assert name not in ranges or ranges[name].contains(version), f"{name} {version}"
    assert {"torch", "torchvision", "jupyterlab", "ipywidgets", "nbval"} <= set(tested)
