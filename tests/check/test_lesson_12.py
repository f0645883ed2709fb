"""The checks of lesson 12: what they say of a design, and that the lesson states the tiers as they are."""

import runpy
import shutil

import pytest

from helpers import capstone, check
from helpers.authoring import lessons
from helpers.capstone import TIERS, Design
from helpers.check import lesson_12
from helpers.folders import ROOT
from helpers.units import readable

(LESSON,) = (path for path in lessons.LESSONS if path.name.startswith("12_"))


@pytest.mark.parametrize("name", TIERS)
def test_each_tier_is_an_exercise_that_states_its_figures(name):
    tier = TIERS[name]
    (exercise,) = (one for one in lessons.exercises(LESSON) if one.name == name)
    for said in (f"{100 * tier.accuracy:g} % right", f"in {tier.time:g} default epoch"):
        assert said in exercise.task.source
    assert any(
        f"at most {size} MiB" in exercise.task.source for size in (f"{tier.bytes / 2**20:g}", readable(tier.bytes)[:4])
    )


def test_the_solutions_are_the_designs_that_were_proven_over_many_seeds():
    proofs = runpy.run_path(str(ROOT / "benchmarks" / "tiers.py"))["PROOFS"]
    for exercise in lessons.exercises(LESSON):
        if exercise.name in TIERS:
            space = {"capstone": capstone}
            exec(exercise.solution, space)
            assert space[exercise.name] == proofs[exercise.name]


def test_the_first_screen_asks_for_what_the_last_tier_asks_for():
    sharp, text = TIERS["sharp"], lessons.read(LESSON).cells[0].source
    assert f"{100 * sharp.accuracy:g} of 100 right, {sharp.bytes / 2**20:g} MiB" in text


def test_a_design_that_has_no_room_is_not_trained(monkeypatch):
    def no_training(*_):
        raise AssertionError("it was trained")

    monkeypatch.setattr(lesson_12, "_judged", no_training)
    monkeypatch.setattr(lesson_12.capstone, "judge", no_training)
    message = check.sharp(Design(width=64)).message
    assert message.startswith("not trained yet: the peak is") and "Enough alone would be" in message


def test_the_same_design_is_trained_once(monkeypatch):
    design, calls = Design(width=2, batch_size=32, epochs=1), []
    check.quick(design)
    monkeypatch.setattr(lesson_12.capstone, "judge", calls.append)
    assert not check.quick(design) and not check.sharp(design) and calls == []


def run_cells(*names: str) -> dict:
    """What is defined after these cells of the lesson, and the one with the imports."""
    space, cells = {}, {cell.id: cell.source for cell in lessons.read(LESSON).cells}
    for name in ("imports", *names):
        exec(cells[f"12-{name}"], space)
    return space


def test_the_example_is_made_where_no_folder_is_and_never_among_a_learners_images(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_WORK", str(tmp_path))
    mine = run_cells("own-photos", "own-make", "own-load")["mine"]
    assert {name: sum(parts) for name, parts in mine.counts.items()} == dict.fromkeys(mine.counts, 48)
    assert len(mine.counts) == len(mine.left_out) == 3  # the notes
    before = sorted(tmp_path.rglob("*"))
    shutil.rmtree(tmp_path / "my_images" / "china")
    run_cells("own-photos", "own-make")
    assert sorted(tmp_path.rglob("*")) == [path for path in before if "china" not in path.parts]
