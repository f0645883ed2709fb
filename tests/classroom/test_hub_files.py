"""What stands beside the hub's configuration: values for Kubernetes, the Dockerfile, the page for teachers."""

import asyncio
import csv
import json
import re
import runpy
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from traitlets.config import Config

from classroom import chart, figures
from classroom import hub as parts
from helpers.folders import FIRST_LESSON, ROOT
from helpers.problems import Problem

CLASSROOM = ROOT / "classroom"
PAGE = (CLASSROOM / "hub.md").read_text(encoding="utf-8")
VALUES = yaml.safe_load((CLASSROOM / "values.yaml").read_text(encoding="utf-8"))
DOCKERFILE = (CLASSROOM / "Dockerfile").read_text(encoding="utf-8")


def code(language: str = "") -> list[str]:
    """The blocks of code of this language in the page."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)


# Kubernetes ----------------------------------------------------------------------------------------------------------


def test_each_key_of_the_values_is_one_that_the_chart_knows_with_a_value_of_its_type():
    record = json.loads(chart.RECORD.read_text(encoding="utf-8"))
    assert chart.faults(VALUES, record["types"]) == []
    assert f"--version {record['version']} " in PAGE and f"chart {record['version']}" in DOCKERFILE


@pytest.mark.parametrize(
    "values, fault",
    [
        ({"cull": {"evry": 3}}, "cull.evry is no key of the chart"),
        ({"cull": {"every": "3"}}, "cull.every is '3'; the chart wants integer or null"),
        ({"singleuser": []}, "singleuser is []; the chart wants object"),
    ],
)
def test_a_wrong_key_and_a_wrong_type_are_found(values, fault):
    types = json.loads(chart.RECORD.read_text(encoding="utf-8"))["types"]
    assert chart.faults(values, types) == [fault]


def test_a_schema_is_read_as_helm_reads_it(tmp_path, monkeypatch, capsys):
    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "cull": {"type": "object", "additionalProperties": False, "properties": {"every": {"type": "integer"}}},
            "config": {"type": "object", "patternProperties": {"^[A-Z]": {"type": "object"}}},
        },
    }
    (tmp_path / "values.schema.yaml").write_text(yaml.safe_dump(schema))
    (tmp_path / "values.yaml").write_text("cull: {every: 600}\nconfig: {}\n")
    monkeypatch.setattr(chart, "VALUES", tmp_path / "ours.yaml")
    monkeypatch.setattr(chart, "RECORD", tmp_path / "record.json")
    chart.VALUES.write_text("cull: {every: often, each: 3}\nconfig: {Hub: {x: 1}}\n")
    assert chart.main([str(tmp_path), "1.0"]) == 1 and not chart.RECORD.exists()
    said = capsys.readouterr().out
    assert "cull.every: 'often' is not of type 'integer'" in said and "'each' was unexpected" in said
    chart.VALUES.write_text("cull: {every: 300}\nconfig: {Hub: {x: 1}}\n")
    assert chart.main([str(tmp_path), "1.0"]) == 0
    types = json.loads(chart.RECORD.read_text())["types"]
    assert types == {"cull": ["object"], "cull.every": ["integer"], "config": ["object"]} | {
        "config.Hub": ["object"],
        "config.Hub.x": [],
    }
    assert chart.main([]) == 1 and "give the folder of the chart" in capsys.readouterr().out


def test_a_learner_on_kubernetes_gets_the_server_of_the_one_machine():
    c = Config()
    parts.set_up_servers(c, "python")
    learner = VALUES["singleuser"]
    assert learner["cmd"][:4] == c.Spawner.cmd and learner["defaultUrl"] == c.Spawner.default_url
    paths = {str(ROOT): "/opt/shape-of-a-batch"}
    arguments = [re.sub(re.escape(str(ROOT)), paths[str(ROOT)], argument) for argument in c.Spawner.args]
    assert set(learner["cmd"][4:]) <= set(arguments)
    assert learner["extraEnv"]["OMP_NUM_THREADS"] == c.Spawner.environment["OMP_NUM_THREADS"]
    assert "/opt/shape-of-a-batch" in DOCKERFILE and VALUES["hub"]["config"]["Authenticator"]["allowed_users"] == []
    assert VALUES["proxy"]["service"]["type"] == "ClusterIP"


def test_the_dockerfile_copies_what_is_there_and_runs_the_start_of_a_learner():
    copied = [name for line in re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.M) for name in line.split()]
    assert copied and all((ROOT / name).exists() for name in copied)
    assert json.loads(re.search(r"^CMD (.*)$", DOCKERFILE, re.M)[1])[:4] == ["python", "-P", "-m", "classroom.learner"]
    (pulls,) = (line for line in re.findall(r'"(nbgitpuller.*?)"', DOCKERFILE))
    assert f'"{pulls}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert requires("shape-of-a-batch")  # what `pip install .` brings


# One machine ---------------------------------------------------------------------------------------------------------


def test_a_folder_for_secrets_is_closed_or_refused(tmp_path):
    folder = parts.state_folder(str(tmp_path / "new" / "state"))
    assert folder.stat().st_mode & 0o777 == 0o700 and parts.state_folder(str(folder)) == folder
    folder.chmod(0o750)
    with pytest.raises(Problem, match="others than the user who starts the hub can enter it"):
        parts.state_folder(str(folder))
    (tmp_path / "file").write_text("")
    with pytest.raises(Problem, match="cannot be made"):
        parts.state_folder(str(tmp_path / "file" / "state"))


def test_a_course_that_the_learners_cannot_read_is_refused_with_the_folder_that_is_closed(tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "python").write_text("")
    assert parts.closed_to_others(closed / "python") in (closed, *closed.parents)
    (tmp_path / "link").symlink_to(closed / "python")
    with pytest.raises(Problem, match="is closed to them; clone the course into a folder that all can read"):
        parts.stop_if_learners_cannot_reach(tmp_path / "link")
    assert parts.closed_to_others(Path("/bin/sh")) is None


@pytest.mark.parametrize("pause", ["often", "-1", "61", "nan", ""])
def test_a_pause_that_is_no_number_is_refused(pause):
    with pytest.raises(Problem, match="COURSE_HUB_PAUSE is .*; allowed is a number from 0 to 60"):
        parts.Queue(pause)


def test_servers_start_one_after_the_other(monkeypatch):
    hub = pytest.importorskip("jupyterhub.spawner", reason="it comes with `uv sync --group classroom`")

    async def three() -> list[float]:
        """When each started, in seconds after the queue was made."""
        begun = asyncio.get_running_loop().time()
        config, started = Config({"Spawner": {"pre_spawn_hook": parts.Queue("0.2")}}), []

        async def start() -> None:
            spawner = hub.SimpleLocalProcessSpawner(config=config)  # takes a copy of what its configuration holds
            await spawner.pre_spawn_hook(spawner)
            started.append(asyncio.get_running_loop().time() - begun)

        await asyncio.gather(start(), start(), start())
        return started

    _, second, third = sorted(asyncio.run(three()))  # a busy machine starts them later, never earlier
    assert second > 0.19 and third > 0.39

    waits = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(parts, "time", SimpleNamespace(monotonic=lambda: 100.0))
    monkeypatch.setattr(parts, "asyncio", SimpleNamespace(sleep=note))
    asyncio.run(three())
    assert waits == pytest.approx([0, 0.2, 0.4])


def test_a_mistake_in_the_settings_is_said_in_words(tmp_path):
    pytest.importorskip("jupyterhub", reason="JupyterHub is not installed; run `uv sync --group classroom`")
    command = [sys.executable, "-m", "jupyterhub", "-f", str(CLASSROOM / "jupyterhub_config.py")]
    (tmp_path / "file").write_text("")
    environment = {"COURSE_HUB_STATE": str(tmp_path / "file" / "state"), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    assert done.stderr.strip().endswith("start the hub as root, or name another folder in COURSE_HUB_STATE.")


# The page ------------------------------------------------------------------------------------------------------------


def test_the_settings_for_the_littlest_jupyterhub_are_those_of_the_one_machine(tmp_path):
    (snippet,) = code("python")
    (tmp_path / "course.py").write_text(snippet.replace('"/opt/shape-of-a-batch"', repr(str(ROOT))))
    c, wanted = Config(), Config()
    runpy.run_path(str(tmp_path / "course.py"), {"c": c})
    parts.set_up_servers(wanted, "/opt/tljh/user/bin/python")
    hook = c.Spawner.pop("pre_spawn_hook")
    assert c == wanted and hook.pause == 3
    assert c.Spawner.default_url.endswith(FIRST_LESSON)


def test_the_accounts_of_the_page_are_made_as_those_of_the_tests():
    source = (CLASSROOM / "rehearsal.py").read_text(encoding="utf-8")
    for option in ("--create-home", "HOME_MODE=0700", "/bin/bash", "--groups"):
        assert option in source and any(option in block for block in code())


def test_every_file_and_setting_that_the_page_names_is_there():
    names = re.findall(r"classroom/\w+\.\w+|benchmarks/\w+\.py", PAGE)
    assert names and all((ROOT / name).is_file() for name in names)
    config = (CLASSROOM / "jupyterhub_config.py").read_text(encoding="utf-8")
    settings = re.findall(r"COURSE_HUB_\w+", PAGE)
    assert settings and all(name in config for name in settings)
    assert '"COURSE_HUB_MEMORY", "3G"' in config and '"COURSE_HUB_PAUSE", "3"' in config
    assert '"512"' in config and "512 processes and threads" in PAGE
    assert "concurrent_spawn_limit = 100" in config and "more than 100 wait" in PAGE


def test_the_figures_of_the_page_are_those_of_the_last_run():
    learners, lessons = (table(name) for name in ("classroom.csv", "classroom-lessons.csv"))
    assert figures.START + figures.block(learners, lessons) + figures.END in PAGE
    assert len(learners) == int(learners[0]["learners"]) == 30 and len(lessons) == 14
    assert not any(row["failure"] for row in learners + lessons)
    for row in learners:  # "Count 1 GiB for each learner"
        assert float(row["server_pss_mib"]) + float(row["kernel_pss_mib"]) < 1024
    assert max(float(row["data_mib"]) for row in lessons) < 2 * 1024  # the limit of 3 GiB leaves room


def test_what_a_kernel_holds_is_what_was_measured():
    rows = {row["lesson"]: row for row in table("kernel_memory.csv")}
    first, most = rows["01"], max(rows.values(), key=lambda row: float(row["private"]))
    assert f"{first['private']} MiB of its own, {first['ratio private']} times as much" in PAGE
    assert f"({first['bare private']} MiB); after lesson {most['lesson']}, which holds most, {most['private']}" in PAGE
    assert f"{most['private']} MiB, of which {most['tensors']} MiB are tensors" in PAGE
    assert float(first["ratio private"]) <= 1.15 and float(first["ratio pss"]) <= 1.15


def table(name: str) -> list[dict[str, str]]:
    with open(ROOT / "benchmarks" / "results" / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
