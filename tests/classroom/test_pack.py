"""`course pack`, with a small course of its own and a folder of real wheels in the registry's place.

The whole course was packed and installed without network too: see `benchmarks/results/pack.csv`.
"""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement
from tools import problem

from classroom import pack

if not pack.has_tools():
    pytest.skip("uv and pip are not here: uv sync --group classroom", allow_module_level=True)
if (pack.platform.system(), pack.platform.machine()) not in pack.HERE:
    pytest.skip("a pack for this kind of machine is not made", allow_module_level=True)

PYTHON = "{}.{}".format(*sys.version_info)
COURSE = {
    "pyproject.toml": """\
[project]
name = "small-course"
version = "1"
requires-python = ">=3.11"
dependencies = ["small-part>=1"]
[project.scripts]
course = "helpers.course:main"
[build-system]
requires = ["hatchling>=1.27,<2"]
build-backend = "hatchling.build"
[tool.hatch.build]
dev-mode-dirs = ["."]
[tool.hatch.build.targets.wheel]
packages = ["helpers"]
""",
    "helpers/__init__.py": "",
    "helpers/course.py": """\
import sys
def main():
    import small_part
    print("[ok]", small_part.WORD, *sys.argv[1:])
    return 0
if __name__ == "__main__":
    sys.exit(main())
""",
    "notebooks/00 ä.ipynb": "{}",
    ".gitignore": "work/\n.venv/\n",
}


def wheel_of(name: str, folder: Path) -> None:
    """Write the wheel of what is installed here, and of all that it needs."""
    found = metadata.distribution(name)
    target = folder / f"{found.name.replace('-', '_')}-{found.version}-py3-none-any.whl"
    if target.exists():
        return
    with zipfile.ZipFile(target, "w") as file:
        for path in found.files:
            if ".." not in path.parts and "__pycache__" not in path.parts and path.locate().is_file():
                file.write(path.locate(), path.as_posix())
    for needed in map(Requirement, found.requires or []):
        if needed.marker is None or needed.marker.evaluate({"extra": ""}):
            wheel_of(needed.name, folder)


def new_wheel(folder: Path, version: str = "1.0", name: str = "small_part") -> Path:
    target = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(target, "w") as file:
        file.writestr(f"{name}.py", f"WORD = 'part {version}'\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")
    return target


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A course that git knows, with a learner's folder that it does not."""
    folder = tmp_path_factory.mktemp("course")
    for name, text in (COURSE | {"work/mine.txt": "mine"}).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    for command in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def links(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("links")
    for name in ("hatchling", "editables", "pip"):
        wheel_of(name, folder)
    new_wheel(folder)
    return folder


def arguments(folder: Path, links: Path, *more: str) -> list[str]:
    return [str(folder), "--python", PYTHON, "--no-index", "--find-links", str(links), *more]


@pytest.fixture(scope="module")
def packed(root, links, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("stick") / "the päck"
    assert pack.main(arguments(folder, links), root) == 0
    return folder


@pytest.fixture
def copied(packed, tmp_path) -> Path:
    return Path(shutil.copytree(packed, tmp_path / "my copy"))


def install(folder: Path) -> subprocess.CompletedProcess:
    """Start install.py as READ-ME-FIRST says, where no network is, or one that leads nowhere."""
    dead = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
    alone = ["unshare", "--net"]
    try:
        if subprocess.run([*alone, "true"], capture_output=True).returncode:
            alone = []
    except OSError:
        alone = []
    command = [*alone, sys.executable, "install.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ | dead)


def test_a_pack_installs_the_course_without_network(copied):
    done = install(copied)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[ok] part 1.0 --check" in done.stdout and "All is well" in done.stdout
    command = done.stdout.strip().split("\n")[-1].strip()
    assert Path(command).parent == copied / "course" / ".venv" / "bin"
    assert subprocess.run([command], capture_output=True, text=True).stdout == "[ok] part 1.0\n"
    again = install(copied)
    assert again.returncode == 0, again.stderr


def test_a_pack_holds_what_git_knows_and_a_sum_of_each_file(packed):
    inside = {path.relative_to(packed).as_posix() for path in packed.rglob("*") if path.is_file()}
    assert {f"course/{name}" for name in COURSE} == {name for name in inside if name.startswith("course/")}
    assert {pack.ORDER, pack.SUMS, pack.INSTALLER, pack.FIRST} < inside
    summed = {line.split("  ", 1)[1] for line in (packed / pack.SUMS).read_text("utf-8").splitlines()}
    assert summed == inside - {pack.SUMS}
    first = (packed / pack.FIRST).read_text("utf-8")
    assert f"python{PYTHON} install.py" in first and "py -" not in first  # Windows was not asked for


def test_a_damaged_file_is_named_and_one_that_a_learner_changed_is_not(copied):
    (copied / "course" / "notebooks" / "00 ä.ipynb").write_text("mine")
    (copied / "wheels" / "small_part-1.0-py3-none-any.whl").write_bytes(b"PK")
    done = install(copied)
    assert done.returncode == 1 and done.stderr.strip().split("\n")[1:] == ["  wheels/small_part-1.0-py3-none-any.whl"]
    assert not (copied / "course" / ".venv").exists()


@pytest.mark.parametrize(
    "changed, words", [({"python": "3.10"}, "Start it with the other one"), ({"systems": ["windows"]}, "for windows")]
)
def test_another_machine_is_told_so(copied, changed, words):
    order = json.loads((copied / pack.ORDER).read_text())
    (copied / pack.ORDER).write_text(json.dumps(order | changed))
    done = install(copied)
    assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr


def test_a_download_that_broke_off_goes_on(tmp_path, monkeypatch):
    links, target, system = tmp_path / "links", tmp_path / "pack" / "wheels", pack.SYSTEMS[pack.this_system()]
    links.mkdir()
    first, second = new_wheel(links, name="one"), new_wheel(links, name="two")
    wheels = [pack.Wheel(path.name.split("-")[0], "1.0", 1, (path.name,), ()) for path in (first, second)]
    monkeypatch.setattr(pack, "BATCH", 1)
    second.rename(tmp_path / second.name)
    said = problem(lambda: pack.fetch(wheels, system, PYTHON, target, pack.sources([str(links)], True)))
    assert "start the same command again" in said and [path.name for path in target.iterdir()] == [first.name]
    (target / first.name).write_bytes(b"is not fetched again")
    (tmp_path / second.name).rename(second)
    pack.fetch(wheels, system, PYTHON, target, pack.sources([str(links)], True))
    assert (target / first.name).read_bytes() == b"is not fetched again"
    assert (target / second.name).read_bytes() == second.read_bytes()
    assert [path.name for path in target.parent.iterdir()] == ["wheels"]  # nothing of the broken one is left


def test_what_is_there_is_never_overwritten(root, links, packed, copied, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear diary")
    assert "holds something else" in problem(lambda: pack.main(arguments(tmp_path / "mine", links), root))
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["diary.txt"]
    other = arguments(copied, links, "--platform", "windows")
    assert "for other systems" in problem(lambda: pack.main(other, root))
    (copied / "course" / "helpers" / "course.py").write_text("mine")
    assert "stays as it is" in problem(lambda: pack.main(arguments(copied, links), root))
    assert (copied / "course" / "helpers" / "course.py").read_text() == "mine"
    assert pack.main(arguments(packed, links), root) == 0  # the same once more: all is there


def test_a_disk_too_full_is_said_before(root, links, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    said = problem(lambda: pack.main(arguments(tmp_path / "new", links), root))
    assert "1.00 MiB free" in said and not (tmp_path / "new").exists()
    assert "wheels, " in capsys.readouterr().out  # what it would take


def test_size_alone_makes_nothing(root, links, tmp_path, capsys):
    assert pack.main(arguments(tmp_path / "new", links, "--size"), root) == 0
    said = capsys.readouterr().out
    assert "wheels, " in said and "largest: pip " in said and "0 bytes" not in said
    assert not (tmp_path / "new").exists()


def test_what_cannot_be_packed(root, links, tmp_path):
    assert "as in --python 3.12" in problem(lambda: pack.main([str(tmp_path / "new"), "--python", "2.7"], root))
    assert "which is no folder" in problem(lambda: pack.main(arguments(tmp_path / "new", tmp_path / "none"), root))
    assert "no git checkout" in problem(lambda: pack.main(arguments(tmp_path / "new", links), tmp_path))
    (tmp_path / "empty").mkdir()
    assert "uv says" in problem(lambda: pack.main(arguments(tmp_path / "new", tmp_path / "empty"), root))
