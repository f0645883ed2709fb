"""The start of one learner's server on a hub, run under the learner's account: copy the lessons, then serve.

`classroom/jupyterhub_config.py` names it as the command that the hub starts. Its arguments go on to JupyterHub's own
single-user server, which takes this process over.
"""

import os
import resource
import sys
from pathlib import Path

from classroom.walls import lower
from helpers import folders
from helpers.course import copy_lessons
from helpers.problems import Problem


def main(arguments: list[str]) -> None:
    """Prepare the learner's folder, then become the server. What cannot be copied is said in the hub's log."""
    os.umask(0o077)  # new files are the learner's alone
    runtime = Path.home() / ".jupyter-run"  # a short path: the kernel's sockets lie there, and take 107 letters
    os.environ["JUPYTER_RUNTIME_DIR"] = str(runtime)
    try:
        for problem in copy_lessons(folders.lessons_folder(), folders.work_folder()).damaged:
            print(problem, file=sys.stderr)
    except Problem as problem:  # a full disk, say: the server still opens, so that something can be deleted
        print(problem, file=sys.stderr)
    if "MEM_LIMIT" in os.environ:  # of the hub's configuration, in bytes
        lower(resource.RLIMIT_DATA, int(os.environ["MEM_LIMIT"]))
    if "COURSE_PROCESSES" in os.environ:  # not in containers: there, all learners count as one
        lower(resource.RLIMIT_NPROC, int(os.environ["COURSE_PROCESSES"]))
    os.execv(sys.executable, [sys.executable, "-P", "-m", "jupyterhub.singleuser", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
