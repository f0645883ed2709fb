"""What the report finds; environment.yml and pyproject.toml agree, with reasons and versions that fit."""

import json
import re
import sys
import tomllib
from importlib import metadata

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from helpers import environment, folders
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


def only(findings):
    (finding,) = findings
    return finding


def test_oldest_python_is_that_of_the_package():
    project = PROJECT["project"]
    assert project["requires-python"] == f">={environment.dotted(environment.OLDEST_PYTHON)}"
    assert project["name"] == environment.COURSE


def test_torch_that_cannot_load_a_library(monkeypatch):
    finding = environment.torch_problem("OSError", "[WinError 126] The specified module could not be found")
    assert finding.stops and "Visual C++" in finding.remedy


def test_versions_outside_the_range_and_missing_packages(monkeypatch):
    monkeypatch.setattr(
        metadata, "requires", lambda name: ["numpy>=2,<3", "torch<1", "no-such-thing>=1", "x; extra=='y'"]
    )
    numpy, torch, missing = environment.inspect_packages()
    assert numpy.remedy == ""
    assert "outside the range" in torch.text and torch.remedy and not torch.stops
    assert "not installed" in missing.text and missing.stops


def test_missing_packaging_and_missing_course(monkeypatch):
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    assert "packaging is not installed" in only(environment.inspect_packages()).text
    monkeypatch.setattr(environment, "COURSE", "no-such-course")
    assert "not installed" in only(environment.inspect_packages()).text


def test_panels_missing_or_disabled(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", str(tmp_path))
    (tmp_path / "labconfig").mkdir()
    config = {"disabledExtensions": {environment.WIDGET_MANAGER: True}}
    (tmp_path / "labconfig" / "page_config.json").write_text(json.dumps(config))
    finding = only(environment.inspect_panels())
    assert "disabled" in finding.text and "jupyter labextension enable @jupyter-widgets" in finding.remedy
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *_: [str(tmp_path)])
    assert "missing" in only(environment.inspect_panels()).text


def foreign_kernel(folder):
    (folder / "kernels" / "python3").mkdir(parents=True)
    kernel = {"argv": [str(folder / "other" / "bin" / "python"), "-m", "ipykernel_launcher"], "display_name": "Other"}
    (folder / "kernels" / "python3" / "kernel.json").write_text(json.dumps(kernel | {"language": "python"}))
    return folder


def test_kernel_of_the_user_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(foreign_kernel(tmp_path)))
    assert only(environment.inspect_kernel()).remedy == ""


def test_kernel_of_another_python_that_still_wins(tmp_path, monkeypatch):
    monkeypatch.setenv("JUPYTER_PATH", str(foreign_kernel(tmp_path)))
    finding = only(environment.inspect_kernel())
    assert "another Python" in finding.text and str(tmp_path / "kernels" / "python3") in finding.remedy


@pytest.mark.parametrize(
    "there, words, stops",
    [
        ([], "there are no lessons", True),
        (["01_batch_dimension"], "00_start_here.ipynb", True),
        (["00_start_here", "02_channels", "02_colours", "05_more"], ": 01, 03, 04", False),
    ],
)
def test_missing_lessons(there, words, stops, tmp_path, monkeypatch):
    for name in there:
        (tmp_path / f"{name}.ipynb").write_text("{}")
    monkeypatch.setattr(folders, "lessons_folder", lambda: tmp_path if there else tmp_path / "nowhere")
    finding = only(environment.inspect_lessons())
    assert finding.text.endswith(words) or not there
    assert words in finding.text and finding.remedy and finding.stops == stops


@pytest.fixture
def work(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "work"))
    return tmp_path / "work"


@pytest.mark.parametrize(
    "file, stops", [("helpers.py", True), ("torch.py", True), ("sklearn/__init__.py", True), ("random.py", False)]
)
def test_file_of_the_learner_that_hides_a_module(file, stops, work):
    (work / file).parent.mkdir(exist_ok=True)
    (work / file).write_text("raise SystemExit('this must not be run')")
    well, finding = environment.inspect_work_folder()
    named = file.removesuffix("__init__.py")
    assert well.remedy == "" and finding.text == f"files in {work} hide modules of the same name: {named}"
    assert finding.remedy.startswith(f"rename them, for example to my_{named};") and finding.stops == stops
    assert (work / file).read_text() == "raise SystemExit('this must not be run')"


def test_files_of_the_learner_that_hide_nothing(work):
    for name in ("notes.py", "test.py", "benchmarks.py", "torch.txt", "numpy/data.csv", "torch.helpers.py"):
        (work / name).parent.mkdir(exist_ok=True)
        (work / name).write_text("")
    assert only(environment.inspect_work_folder()).remedy == ""


def test_a_module_does_not_hide_itself(work, monkeypatch):
    (work / "own_module.py").write_text("")
    monkeypatch.syspath_prepend(str(work))
    assert list(environment.hiding_modules(work)) == []
    monkeypatch.syspath_prepend(str(ROOT / "tests"))
    (work / "conftest.py").write_text("")
    assert "conftest.py" in only(environment.hiding_modules(work)).text


def test_files_in_the_current_folder_do_not_disturb_the_report(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise RuntimeError")
    monkeypatch.chdir(tmp_path)
    assert environment.as_kernels_load("import json; print('well')").stdout == "well\n"


def test_helpers_of_another_package(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    assert list(environment.inspect_helpers()) == []
    (tmp_path / "helpers").mkdir()
    (tmp_path / "helpers" / "__init__.py").write_text("raise SystemExit")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    finding = only(environment.inspect_helpers())
    assert str(tmp_path / "helpers" / "__init__.py") in finding.text and "PYTHONPATH" in finding.remedy


@pytest.mark.parametrize("named", ["JUPYTER_RUNTIME_DIR", "HOME"])
def test_folder_of_jupyter_that_cannot_be_written(named, tmp_path, monkeypatch):
    for variable in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "XDG_DATA_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(named, str(tmp_path))
    assert list(environment.inspect_jupyter_folder()) == []
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(named, str(tmp_path / "file" / "x"))
    finding = only(environment.inspect_jupyter_folder())
    assert "Not a directory" in finding.text and "JUPYTER_RUNTIME_DIR" in finding.remedy
