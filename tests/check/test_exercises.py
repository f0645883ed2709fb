"""Every exercise: the folded solution passes; stubs, slips and other wrong answers get a message, never a traceback."""

import copy
import random

import numpy as np
import pytest
import torch
from wrong_answers import WRONG

from helpers import capstone, check
from helpers.authoring import lessons
from helpers.check import Verdict, core
from helpers.check.core import Exercise
from helpers.progress.names import given, table_of, taken

EXERCISES = [exercise for path in lessons.LESSONS for exercise in lessons.exercises(path)]
NAMES = [exercise.name for exercise in EXERCISES]
CHECKS = {name: getattr(check, name) for name in NAMES}
FUNCTIONS = {name: one for name, one in CHECKS.items() if isinstance(one, Exercise)}
SLIPS = [(name, message, slip) for name, one in CHECKS.items() for message, slip in one.each_slip()]


def evaluated(exercise, source) -> object:
    """What the check is called on, after this code in the stub's place."""
    space = {"torch": torch, "np": np, "F": torch.nn.functional, "capstone": capstone}
    exec(source, space)
    return eval(exercise.check.source.split("(", 1)[1].rsplit(")", 1)[0], space)


SOLUTIONS = {exercise.name: evaluated(exercise, exercise.solution) for exercise in EXERCISES}


def around(exercises: list, cells: list) -> list:
    """The cells of the exercises and their checks, those that use what an exercise gives, and what all these need.

    No other cell can be changed by a solution, and nbval runs them all.
    """
    gives, takes = ({cell.id: of(table_of(cell.source)) for cell in cells} for of in (given, taken))
    asked = set().union(*(gives[one.stub.id] | given(table_of(one.solution)) for one in exercises))
    kept = {exercise.check.id for exercise in exercises}
    kept |= {cell.id for cell in cells if asked & (gives[cell.id] | takes[cell.id]) and "-panel" not in cell.id}
    wanted = set()
    for cell in reversed(cells):  # what a kept cell takes is given above it
        if cell.id in kept or gives[cell.id] & wanted:
            kept.add(cell.id)
            wanted |= takes[cell.id]
    return [cell for cell in cells if cell.id in kept]


@pytest.mark.parametrize("path", [*filter(lessons.exercises, lessons.LESSONS)], ids=lambda path: path.stem)
def test_lesson_with_all_solutions_passes_every_check(path, tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_PROCESSES", "stored")  # no exercise needs processes, and nbval starts them
    lesson, found = lessons.read(path), {e.stub.id: e for e in lessons.exercises(path)}
    for cell in lesson.cells:
        if cell.id in found:
            cell.source = found[cell.id].solution
    lesson.cells = around([*found.values()], lessons.code_cells(lesson))
    done = lessons.run(lesson, tmp_path)
    for cell in done.cells:
        if "check" in lessons.tags(cell):
            assert cell.outputs[0].data["text/plain"].startswith("[passed]"), cell.outputs[0].data["text/plain"]


@pytest.mark.parametrize("exercise", EXERCISES, ids=NAMES)
def test_solution_passes_and_stub_does_not(exercise):
    judge = CHECKS[exercise.name]
    assert judge.name in (exercise.name, exercise.check.source.split("(", 1)[1].strip("()"))
    assert judge.__doc__ and "Exercise(" not in judge.__doc__
    verdict = judge(SOLUTIONS[exercise.name])
    assert verdict and verdict.passed is True, verdict.message
    verdict = judge(evaluated(exercise, exercise.stub.source))
    assert not verdict and verdict.passed is False
    assert "..." in verdict.message


@pytest.mark.parametrize("name, message, slip", SLIPS, ids=[f"{name}-{message[:40]}" for name, message, _ in SLIPS])
def test_slip_is_answered_with_its_message(name, message, slip):
    def where_it_runs(*arguments):  # an axis that fits by accident
        try:
            return slip(*arguments)
        except (RuntimeError, ValueError, ZeroDivisionError):
            return CHECKS[name].right(*arguments)

    verdict = CHECKS[name](where_it_runs if name in FUNCTIONS else slip)
    assert not verdict.passed
    assert verdict.message == message or verdict.message.startswith(f"{message} {name}(")


@pytest.mark.parametrize("name, message", [(name, message) for name, answers in WRONG.items() for message in answers])
def test_wrong_answer_is_named(name, message):
    verdict = CHECKS[name](WRONG[name][message])
    assert not verdict.passed
    assert message in verdict.message


def test_every_exercise_has_slips_or_wrong_answers():
    assert len(NAMES) == len(set(NAMES))
    assert set(WRONG) <= set(NAMES)
    for name in NAMES:
        assert len(list(CHECKS[name].each_slip())) + len(WRONG.get(name, ())) >= 4


@pytest.mark.parametrize("name", NAMES)
def test_solution_of_another_exercise_does_not_pass(name):
    for other, answer in SOLUTIONS.items():
        verdict = CHECKS[name](answer)
        assert verdict.passed is (name == other), other


def spoilt(result):
    """A result of the same kind, nearly right."""
    if isinstance(result, bool):
        return not result
    if isinstance(result, np.ndarray):
        result = result.copy()
    elif isinstance(result, torch.Tensor):
        result = result.clone()
    elif isinstance(result, torch.nn.Module):
        return result[:2]
    elif isinstance(result, tuple | list):
        return type(result)([*result[:-1], result[-1] + 1])
    else:
        return result + 1
    last = (-1,) * result.ndim
    result[last] = 0 if result[last] else 1
    return result


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_answer_that_is_wrong_once_does_not_pass(name):
    for case in CHECKS[name].cases:

        def once(*arguments, case=case):
            here = core._same(arguments, case)  # before the answer trains a model
            result = SOLUTIONS[name](*arguments)
            return spoilt(result) if here else result

        verdict = CHECKS[name](once)
        assert not verdict.passed
        assert f"{name}(" in verdict.message


class Unprintable:
    def __repr__(self):
        raise RuntimeError("no repr")


class Hidden:
    @property
    def __class__(self):
        raise GeneratorExit


class Unsayable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Own(BaseException):
    pass


class Wilful(torch.Tensor):
    @classmethod
    def __torch_function__(cls, *_, **__):
        raise Own


class Whole(int):
    def __eq__(self, other):
        raise Own

    __hash__ = None


def raising(error):
    def answer(*_):
        raise error

    return answer


ENDLESS = []
ENDLESS.append(ENDLESS)
VALUES = [
    None, ..., 3, 0.5, True, "text", b"bytes", [], (), {}, [None], object(), Unprintable(), Hidden(), [Hidden()],
    float("nan"), float("inf"), 1j, 10**400, -(10**5000), "x" * 10**6, list(range(10**6)), ENDLESS, Whole(3), {1, 2},
    torch.tensor(3), torch.rand(2, 3), torch.rand(0), torch.rand(2, 3, device="meta"), torch.rand(2, 3).to_sparse(),
    torch.rand(2, 3).to(torch.float8_e4m3fn), torch.rand(2, 3) + 1j, torch.rand(3).as_subclass(Wilful),
    torch.nn.Linear(2, 2), torch.nn.Module(), int, np.array(["a"]), np.array([None]), np.zeros(3, ">f4"),
    np.void(b"ab"), np.datetime64("2020-01-01"), np.zeros((2, 3, 4, 5, 6)),
    (1, torch.rand(2)), [torch.rand(2)], (number for number in range(3)),
]  # fmt: skip
ERRORS = [KeyError("no such thing"), SystemExit("bye"), GeneratorExit(), Own("x" * 10**6), Unsayable(), Own("\ud800")]


@pytest.mark.parametrize("name", NAMES)
def test_anything_is_answered_with_a_message(name):
    answers = [*VALUES, *(lambda *_, value=value: value for value in VALUES), *map(raising, ERRORS), lambda: 1]
    for answer in answers:
        verdict = CHECKS[name](answer)
        assert type(verdict) is Verdict and verdict.passed is False
        assert 10 < len(verdict.message) <= 600
        assert "Traceback" not in repr(verdict)
        assert verdict._repr_html_().encode("utf-8")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_in_a_right_answer_is_named(name):
    def answer(*arguments):
        result = SOLUTIONS[name](*arguments)
        if isinstance(result, np.ndarray):
            return result * np.float32("nan")
        return result.float() * float("nan") if isinstance(result, torch.Tensor) else float("nan")

    verdict = CHECKS[name](answer)
    assert not verdict.passed
    if name not in ("rows_independent", "predict_one", "build_mlp"):  # a bool, an int, a model: they say so
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


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_right_answer_that_changes_its_argument_is_caught(name):
    changed = []

    def greedy(*arguments):
        result = copy.deepcopy(SOLUTIONS[name](*arguments))
        changed.extend(change(argument) for argument in arguments)
        return result

    verdict = CHECKS[name](greedy)
    assert verdict.passed is not any(changed), verdict.message
    if any(changed):
        assert "changed the" in verdict.message


@pytest.mark.parametrize("name", NAMES)
def test_check_leaves_random_numbers_and_printed_output_alone(name, capsys):
    def states() -> str:
        return f"{random.getstate()} {np.random.get_state()[1].tolist()} {torch.get_rng_state().tolist()}"

    before = states()
    CHECKS[name](SOLUTIONS[name])
    CHECKS[name](next(iter(WRONG.get(name, {"": 3}).values())))
    assert states() == before
    assert capsys.readouterr() == ("", "")
