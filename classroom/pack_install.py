"""Install the course from this folder, without internet. Begin with READ-ME-FIRST.txt.

`course pack` puts this file into a pack. It uses nothing but Python's standard library, and syntax that a Python that
is too old understands, so that it comes far enough to say so.
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SYSTEMS = {("Linux", "x86_64"): "linux", ("Windows", "AMD64"): "windows", ("Darwin", "arm64"): "macos"}


def see_machine(order):
    """Stop if the wheels are for another Python or another system."""
    python = "{}.{}".format(*sys.version_info[:2])
    wanted = order["python"]
    if python != wanted:
        sys.exit(
            f"This pack is for Python {wanted}, and this is Python {python}. Start it with the other one:\n"
            f"  Windows:      py -{wanted} install.py\n  Linux, macOS: python{wanted} install.py"
        )
    found = SYSTEMS.get((platform.system(), platform.machine()))
    if found not in order["systems"]:
        kind = f"{platform.system()} {platform.machine()}"
        sys.exit("This pack is for {}, and this is {}. Ask for another.".format(" and ".join(order["systems"]), kind))


def see_files():
    """Stop if a file is missing or damaged, as a copy from a stick may be."""
    bad = []
    for line in (HERE / "SHA256SUMS").read_text(encoding="utf-8").splitlines():
        wanted, name = line.split("  ", 1)
        digest = hashlib.sha256()
        try:
            with open(str(HERE / name), "rb") as file:
                for block in iter(lambda: file.read(2**20), b""):
                    digest.update(block)
        except OSError:
            bad.append(name)
            continue
        # What is in course/ may be changed by its owner; a wheel may not.
        if digest.hexdigest() != wanted and not name.startswith("course/"):
            bad.append(name)
    if bad:
        sys.exit("Missing or damaged, so copy the whole folder again:\n  " + "\n  ".join(bad))


def run(program, *arguments):
    """Run one step of the installation with settings of nobody else; stop if it fails."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    settings["PIP_CONFIG_FILE"] = os.devnull
    done = subprocess.run([str(program)] + [str(one) for one in arguments], env=settings)
    if done.returncode:
        sys.exit("The installation stopped; the lines above say why. Mend that, then start this again: it goes on.")


def main():
    """Look, install, check."""
    try:
        order = json.loads((HERE / "pack.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        sys.exit("pack.json is missing beside this file: copy the whole folder again.")
    see_machine(order)
    print("Looking for damaged files …", flush=True)
    see_files()
    course, wheels = HERE / "course", HERE / "wheels"
    scripts = course / ".venv" / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / ("python.exe" if os.name == "nt" else "python")
    try:
        import venv

        if not python.exists():
            venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(str(course / ".venv"))
    except (ImportError, OSError) as error:
        sys.exit(f"No environment can be made in {course} ({error}).")
    print("Installing into {} …".format(course / ".venv"), flush=True)
    offline = ["install", "--quiet", "--disable-pip-version-check", "--no-index", "--find-links", wheels]
    run(python, next(wheels.glob("pip-*.whl")) / "pip", *offline, "pip")  # a wheel of pip can run as it is
    run(python, "-m", "pip", *offline, "--editable", course)
    code = subprocess.call([str(python), "-m", "helpers.course", "--check"], cwd=str(course))
    if code == 0:
        print("\nAll is well. Start the course with:\n  {}".format(scripts / "course"))
    return code


if __name__ == "__main__":
    sys.exit(main())
