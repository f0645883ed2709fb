"""The report on this environment: one line for each thing that the lessons need, with a remedy where it is missing.

Only the standard library is imported at the top, and only old syntax is used, so that a Python that is
too old still comes far enough to say so.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from helpers.problems import Problem

COURSE = "shape-of-a-batch"
OLDEST_PYTHON = (3, 11)
WIDGET_MANAGER = "@jupyter-widgets/jupyterlab-manager"
INSTALL = (
    "in the course folder run `uv sync` "
    "(with pip: `pip install -e .`; with conda: `conda env update -f environment.yml`)"
)


class Finding(NamedTuple):
    """One line of the report. One with a remedy is a problem; with ``stops`` no lesson can be done before it."""

    text: str
    remedy: str = ""
    stops: bool = True


def dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def inspect_python() -> Iterator[Finding]:
    found, oldest = dotted(sys.version_info[:3]), dotted(OLDEST_PYTHON)
    if sys.version_info[:2] >= OLDEST_PYTHON:
        yield Finding(f"Python {found} (needed: {oldest} or newer)")
    else:
        remedy = f"make a new environment with Python {oldest} or newer; `uv sync` does so by itself"
        yield Finding(f"Python {found} is too old; the course needs {oldest} or newer", remedy)


def inspect_packages() -> Iterator[Finding]:
    from importlib import metadata

    try:
        requirements = metadata.requires(COURSE) or []
    except metadata.PackageNotFoundError:
        yield Finding(f"the course itself ({COURSE}) is not installed in this environment", INSTALL)
        return
    try:
        from packaging.requirements import Requirement
    except ImportError:
        yield Finding("packaging is not installed, so no version can be compared", "run `pip install packaging`")
        return
    for needed in map(Requirement, requirements):
        if needed.marker is None or needed.marker.evaluate({"extra": ""}):
            yield package_finding(needed)


def package_finding(needed) -> Finding:
    """Compare what is installed with one `packaging.requirements.Requirement`."""
    from importlib import metadata

    bounds = ",".join(sorted(map(str, needed.specifier), reverse=True))
    try:
        version = metadata.version(needed.name)
    except metadata.PackageNotFoundError:
        return Finding(f"{needed.name} is not installed (needed: {bounds})", INSTALL)
    if needed.specifier.contains(version, prereleases=True):
        return Finding(f"{needed.name} {version} (needed: {bounds})")
    remedy = f"lessons may still run; for versions that were tested, {INSTALL}"
    return Finding(f"{needed.name} {version} is outside the range {bounds}", remedy, stops=False)


# Run in a process of its own: torch takes hundreds of MiB, and JupyterLab comes after this report in ours. A library
# that is damaged can also end the whole process.
TORCH_PROBE = """
import json
try:
    import torch, torchvision
    gpu = torch.cuda.is_available() or torch.backends.mps.is_available()
    print(json.dumps({"torch": torch.__version__, "torchvision": torchvision.__version__, "gpu": gpu}))
except Exception as error:
    print(json.dumps({"kind": type(error).__name__, "text": " ".join(str(error).split())}))
"""


def as_kernels_load(code: str) -> subprocess.CompletedProcess:
    """Run code with the modules that a kernel finds, except those of the folder that it is started in."""
    return subprocess.run([sys.executable, "-c", code], cwd=sys.prefix, capture_output=True, text=True)


def inspect_torch() -> Iterator[Finding]:
    done = as_kernels_load(TORCH_PROBE)
    try:
        found = json.loads(done.stdout.strip().split("\n")[-1])
    except ValueError:
        last = (done.stderr.strip().split("\n") or [""])[-1]
        found = {"kind": f"Python ended with exit code {done.returncode}", "text": last}
    if "kind" in found:
        yield torch_problem(found["kind"], found["text"])
        return
    yield Finding(f"torch {found['torch']} and torchvision {found['torchvision']} load together")
    gpu = "GPU found: the lessons use it only where they say so"
    yield Finding(gpu if found["gpu"] else "no GPU found: none is needed")


def torch_problem(kind: str, text: str) -> Finding:
    """The finding for an error of this kind, with this text, when torch and torchvision are imported."""
    remedy = (
        "reinstall both together, from one place: `uv sync --reinstall-package torch --reinstall-package torchvision` "
        "(with pip: `pip uninstall torch torchvision`, then `pip install -e .`)"
    )
    if "torchvision::nms does not exist" in text:
        return Finding(f"torch and torchvision come from different builds ({kind}: {text})", remedy)
    if kind == "OSError":
        remedy += "; on Windows also install Microsoft's Visual C++ Redistributable (x64)"
    return Finding(f"torch and torchvision do not load ({kind}: {text})", remedy)


def inspect_panels() -> Iterator[Finding]:
    from jupyter_core.paths import jupyter_path
    from jupyterlab_server.config import get_page_config

    config = get_page_config(jupyter_path("labextensions"))
    disabled = [name for name in config["disabledExtensions"] if name.split(":")[0] == WIDGET_MANAGER]
    if WIDGET_MANAGER not in [extension["name"] for extension in config["federated_extensions"]]:
        remedy = f"reinstall ipywidgets and jupyterlab_widgets: {INSTALL}"
        yield Finding("panels: the part of JupyterLab that draws them is missing", remedy)
    elif disabled:
        remedy = f"run `jupyter labextension enable {disabled[0]}`"
        yield Finding("panels: the part of JupyterLab that draws them is disabled", remedy)
    else:
        yield Finding("panels: JupyterLab has the part that draws them")


def inspect_kernel() -> Iterator[Finding]:
    from jupyter_client.kernelspec import KernelSpecManager

    def place_of(program: str) -> str:  # the folder: the Pythons of two environments may be links to one file
        return os.path.normcase(os.path.realpath(os.path.dirname(program)))

    kernel = KernelSpecManager().get_kernel_spec("python3")
    program = kernel.argv[0]
    # For a bare "python" jupyter_client runs the Python that it runs in itself.
    bare = ("python", f"python{sys.version_info[0]}", f"python{dotted(sys.version_info[:2])}")
    if program in bare or place_of(program) == place_of(sys.executable):
        yield Finding("the kernel and JupyterLab share one environment")
    else:
        text = f"the kernel python3 runs another Python ({program}) than this environment ({sys.executable})"
        yield Finding(text, f"delete or rename the folder {kernel.resource_dir}")


def inspect_helpers() -> Iterator[Finding]:
    done = as_kernels_load("from importlib.util import find_spec; print(find_spec('helpers').origin)")
    ours, found = Path(__file__).resolve().with_name("__init__.py"), done.stdout.strip()
    if found and Path(found).resolve() != ours:
        text = f"the lessons would load the helpers of another package ({found}) than this one ({ours})"
        yield Finding(text, "take its folder out of the environment variable PYTHONPATH, or uninstall that package")


def why_not_written(folder) -> str:
    """Why nothing of the size of a lesson can be written into this folder; empty if it can."""
    try:
        os.makedirs(str(folder), mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=str(folder)) as file:
            file.write(bytes(2**20))
    except OSError as error:
        return str(error)
    return ""


def inspect_work_folder() -> Iterator[Finding]:
    from helpers import folders

    try:
        folder = folders.work_folder()
    except Problem as problem:
        yield Finding("your work folder cannot be written", str(problem))
        return
    why = why_not_written(folder)
    if why:
        remedy = "free some space, or name a folder of your own in the environment variable COURSE_WORK"
        yield Finding(f"your work folder cannot be written ({why})", remedy)
    else:
        yield Finding("your work folder can be written")
    yield from hiding_modules(folder.resolve())


def hiding_modules(folder: Path) -> Iterator[Finding]:
    """The problem of the modules in this folder, where a kernel looks first, that bear the name of another module."""
    from importlib.machinery import PathFinder
    from pkgutil import iter_modules

    elsewhere = [path for path in sys.path if Path(path).resolve() != folder]

    def installed(name: str) -> bool:  # a folder without code has no origin; `test` is Python's own, loaded by nobody
        spec = PathFinder.find_spec(name, elsewhere)
        return name != "test" and spec is not None and spec.origin is not None

    own = {module.name: module.name + ("/" if module.ispkg else ".py") for module in iter_modules([str(folder)])}
    standard = [name for name in own if name in sys.stdlib_module_names]
    ours = [name for name in own if name not in standard and installed(name)]
    hiding = [own[name] for name in ours + standard]
    if hiding:
        text = f"files in {folder} hide modules of the same name: {', '.join(hiding)}"
        remedy = f"rename them, for example to my_{hiding[0]}; lessons may load yours in place of the real ones"
        yield Finding(text, remedy, stops=bool(ours))


def inspect_jupyter_folder() -> Iterator[Finding]:
    from jupyter_core.paths import jupyter_runtime_dir

    why = why_not_written(jupyter_runtime_dir())
    if why:
        remedy = "free some space, or name a folder of your own in the environment variable JUPYTER_RUNTIME_DIR"
        yield Finding(f"the folder that Jupyter needs while it runs cannot be written ({why})", remedy)


def inspect_lessons() -> Iterator[Finding]:
    from helpers import folders

    folder = folders.lessons_folder()
    found = folders.lesson_names(folder) if folder.is_dir() else []
    numbers = [int(name[:2]) for name in found]
    missing = [] if folders.FIRST_LESSON in found else [folders.FIRST_LESSON]
    missing += [f"{number:02}" for number in range(1, max(numbers, default=0)) if number not in numbers]
    if not missing:
        yield Finding(f"lessons found: {len(found)}")
        return
    text = f"lessons missing in {folder}: {', '.join(missing)}" if found else f"there are no lessons in {folder}"
    remedy = "get the course folder again, whole, and install from inside it: `pip install -e .`"
    yield Finding(text, remedy, stops=folders.FIRST_LESSON in missing)


def inspect_photograph() -> Iterator[Finding]:
    from matplotlib.cbook import get_sample_data

    yield file_finding("the photograph", get_sample_data("grace_hopper.jpg", asfileobj=False), "matplotlib")


def inspect_digits() -> Iterator[Finding]:
    from importlib.util import find_spec

    # Found, not imported: loading scikit-learn takes seconds.
    folder = Path(find_spec("sklearn").origin).parent / "datasets" / "data"
    yield file_finding("the handwritten digits", folder / "digits.csv.gz", "scikit-learn")


def file_finding(what: str, path, package: str) -> Finding:
    if Path(path).is_file():
        return Finding(f"{what}: found in {package}")
    return Finding(f"{what}: missing in {package} ({path})", f"reinstall {package} with uv, pip or conda")


INSPECTIONS = (
    inspect_python,
    inspect_packages,
    inspect_helpers,
    inspect_torch,
    inspect_panels,
    inspect_kernel,
    inspect_jupyter_folder,
    inspect_work_folder,
    inspect_lessons,
    inspect_photograph,
    inspect_digits,
)


def findings_of(inspect) -> Iterator[Finding]:
    """What this inspection finds. One that breaks is a finding too, and hides none after it."""
    try:
        yield from inspect()
    except Exception as error:
        subject = inspect.__name__.replace("inspect_", "").replace("_", " ")
        yield Finding(f"{subject}: cannot be inspected ({type(error).__name__}: {error})", INSTALL)


def print_findings() -> list[Finding]:
    """Print every finding as soon as it is known; return the problems."""
    # For this report and for JupyterLab after it: this environment's kernels and extensions win over the user's.
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    problems = []
    for inspect in INSPECTIONS:
        for finding in findings_of(inspect):
            print(f"[{'problem' if finding.remedy else 'ok'}] {finding.text}", flush=True)
            if finding.remedy:
                print(f"    what to do: {finding.remedy}", flush=True)
                problems.append(finding)
    return problems


def report() -> None:
    """Print the findings; for a lesson's cell, so a line that is well names no folder of this machine."""
    print_findings()
