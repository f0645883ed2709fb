"""Every exercise: the folded solution passes; the stub and the wrong answers get a message, never a traceback."""

import copy
import importlib
import inspect
import pkgutil

import numpy as np
import pytest
import torch
import wrong_answers

from helpers import check
from helpers.authoring import lessons
from helpers.check import Verdict

EXERCISES = [exercise for path in lessons.LESSONS for exercise in lessons.exercises(path)]
NAMES = [exercise.name for exercise in EXERCISES]


def wrong(name: str) -> dict[str, tuple[object, str]]:
    """The kept wrong answers of one exercise: {name: (answer, part of the message)}."""
    module = importlib.import_module(f"wrong_answers.{name}")
    if hasattr(module, "ANSWERS"):
        return {str(answer): (answer, message) for answer, message in module.ANSWERS.items()}
    functions = inspect.getmembers(module, inspect.isfunction)
    return {key: (function, function.__doc__) for key, function in functions if function.__module__ == module.__name__}


WRONG = [(name, key) for name in NAMES for key in wrong(name)]
TAKES_FUNCTION = [name for name in NAMES if name not in ("photo_bytes", "odd_entry", "oom_numbers")]


def solved(exercise) -> object:
    """The object that the solution defines: what the check is called on."""
    space = {"torch": torch, "np": np}
    exec(exercise.solution, space)
    return eval(exercise.check.source.split("(", 1)[1].rsplit(")", 1)[0], space)


@pytest.mark.parametrize("path", lessons.LESSONS, ids=lambda path: path.stem)
def test_lesson_with_all_solutions_passes_every_check(path, tmp_path):
    lesson, found = lessons.read(path), {e.stub.id: e for e in lessons.exercises(path)}
    assert len(found) >= (4 if path.name.startswith("00") else 5)
    for cell in lesson.cells:
        if cell.id in found:
            cell.source = found[cell.id].solution
    done = lessons.run(lesson, tmp_path)
    for cell in done.cells:
        if "check" in lessons.tags(cell):
            assert cell.outputs[0].data["text/plain"].startswith("[passed]"), cell.outputs[0].data["text/plain"]


@pytest.mark.parametrize("exercise", EXERCISES, ids=NAMES)
def test_solution_passes_and_stub_does_not(exercise):
    judge = getattr(check, exercise.name)
    verdict = judge(solved(exercise))
    assert verdict.passed, verdict.message
    space = {"torch": torch, "np": np}
    exec(exercise.stub.source, space)
    stub = eval(exercise.check.source.split("(", 1)[1].rsplit(")", 1)[0], space)
    verdict = judge(stub)
    assert not verdict.passed
    assert "..." in verdict.message


@pytest.mark.parametrize("name, key", WRONG)
def test_wrong_answer_is_named(name, key):
    answer, message = wrong(name)[key]
    verdict = getattr(check, name)(answer)
    assert not verdict.passed
    assert message in verdict.message


def test_every_exercise_has_wrong_answers_and_the_other_way_round():
    modules = {module.name for module in pkgutil.iter_modules(wrong_answers.__path__)}
    assert modules == set(NAMES)
    assert len(NAMES) == len(set(NAMES))
    for name in NAMES:
        assert len(wrong(name)) >= 4


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no repr")


def crashes(*_):
    raise KeyError("no such thing")


def leaves(*_):
    raise SystemExit("bye")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "answer",
    [None, ..., 3, 0.5, True, "text", b"bytes", [], (), {}, [None], object(), Unprintable(), float("nan"), float("inf"),
     torch.tensor(3), torch.rand(2, 3), torch.rand(0), torch.nn.Linear(2, 2), int, crashes, leaves,
     lambda: 1, lambda *_: None, lambda *_: ..., lambda *_: "text", lambda *_: Unprintable(), lambda *_: object(),
     lambda *_: [], lambda *_: float("nan"), lambda *_: torch.tensor(float("nan")), lambda *_: torch.rand(0),
     lambda *_: torch.tensor([]), lambda *_: 10**400],
)  # fmt: skip
def test_anything_is_answered_with_a_message(name, answer):
    verdict = getattr(check, name)(answer)
    assert isinstance(verdict, Verdict)
    assert not verdict.passed
    assert len(verdict.message) > 10
    assert "Traceback" not in repr(verdict)
    assert verdict._repr_html_()


@pytest.mark.parametrize("exercise", [e for e in EXERCISES if e.name in TAKES_FUNCTION], ids=TAKES_FUNCTION)
def test_nan_in_a_right_answer_is_named(exercise):
    right = solved(exercise)

    def spoilt(*arguments):
        result = right(*arguments)
        if isinstance(result, np.ndarray):
            return result * np.float32("nan")
        return result.float() * float("nan") if isinstance(result, torch.Tensor) else float("nan")

    verdict = getattr(check, exercise.name)(spoilt)
    assert not verdict.passed
    if exercise.name not in ("rows_independent", "predict_one", "build_mlp"):  # a bool, an int, a model: they say so
        assert "NaN" in verdict.message


def change(thing) -> bool:
    """Change a list, a tensor, an array or a model in place; False for what cannot be changed."""
    if isinstance(thing, list):
        thing.append(thing[0])
    elif isinstance(thing, torch.nn.Module) and any(True for _ in thing.parameters()):
        next(thing.parameters()).data.add_(1)
    elif isinstance(thing, torch.Tensor | np.ndarray):
        thing += 1
    else:
        return False
    return True


@pytest.mark.parametrize("exercise", [e for e in EXERCISES if e.name in TAKES_FUNCTION], ids=TAKES_FUNCTION)
def test_a_right_answer_that_changes_its_argument_is_caught(exercise):
    right, changed = solved(exercise), []

    def greedy(*arguments):
        result = copy.deepcopy(right(*arguments))
        changed.extend(change(argument) for argument in arguments)
        return result

    verdict = getattr(check, exercise.name)(greedy)
    assert verdict.passed is not any(changed), verdict.message
    if any(changed):
        assert "changed the" in verdict.message


@pytest.mark.parametrize("exercise", EXERCISES, ids=NAMES)
def test_check_leaves_random_numbers_and_printed_output_alone(exercise, capsys):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    getattr(check, exercise.name)(solved(exercise))
    assert torch.equal(torch.get_rng_state(), before)
    assert capsys.readouterr() == ("", "")


def test_verdict_shows_its_message_escaped():
    verdict = Verdict(False, "a < b & c")
    assert repr(verdict) == "[not yet] a < b & c"
    assert "a &lt; b &amp; c" in verdict._repr_html_()
