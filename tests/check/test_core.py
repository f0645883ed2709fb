"""How every check judges: slips, coaches, hostile answers, what an answer leaves behind, and what a verdict shows."""

import os
import random
import re
import threading

import numpy as np
import pytest
import torch
from torch import nn

from helpers.check import Verdict, core, guard
from helpers.check.core import Question, exercise


@exercise(
    cases=[(torch.arange(6.0).reshape(2, 3),), (torch.ones(3, 3),)],
    praise="well done.",
    slips={
        "you took the rows.": lambda x: x.sum(1),
        "you took everything.": lambda x: x.sum(),
        "you took the mean.": lambda x: x.mean(0),
        "that is a list.": lambda x: [],
    },
    crashes={"Dimension out of range": "There are two axes: 0 and 1."},
)
def column_sums(x):
    """Two axes in, the sum of each column out."""
    return x.sum(0)


def doubled(x):
    """Any number in, twice as much out."""
    return 2 * x


NUMBERS = exercise(
    cases=[(1,), (2,), (3,)], praise="yes.", slips={"plus one.": lambda x: x + 1, "square.": lambda x: x * x}
)(doubled)


def test_the_record_has_name_docstring_and_right_result_of_its_function():
    assert (column_sums.name, column_sums.__doc__) == ("column_sums", "Two axes in, the sum of each column out.")
    assert column_sums(lambda x: x.sum(dim=0)).message == "well done."


@pytest.mark.parametrize(
    "answer, message",
    [
        (lambda x: x.mean(0), "you took the mean. column_sums(tensor of shape (2, 3)): shape and dtype are right, but"),
        (lambda x: x.sum(1), "you took the rows. column_sums(tensor of shape (2, 3)): got shape (2,), expected (3,)."),
        (lambda x: 7 * x.sum(1).int(), "you took the rows."),  # two mistakes: the shape is the first to repair
        (lambda x: x.sum().int(), "you took everything."),
        (lambda x: [1, 2], "that is a list."),
        (lambda x: x.sum(0).int(), "column_sums(tensor of shape (2, 3)): the shape is right, the dtype is int32"),
        (lambda x: (1, 2), "column_sums(tensor of shape (2, 3)) returned (1, 2), expected a torch tensor of shape"),
        (lambda x: x.sum(2), "column_sums stopped in its line"),
        (lambda x: x.mean(0) if len(x) == 3 else x.sum(0), "column_sums(tensor of shape (3, 3)): shape and"),
    ],
)  # fmt: skip
def test_the_nearest_slip_names_the_mistake(answer, message):
    verdict = column_sums(answer)
    assert not verdict.passed
    assert verdict.message.startswith(message)
    assert ("There are two axes: 0 and 1." in verdict.message) is ("stopped" in message)


def test_a_slip_that_would_have_been_wrong_earlier_is_not_the_mistake():
    assert NUMBERS(lambda x: x * x).message.startswith("square. doubled(1): got 1, expected 2.")
    assert NUMBERS(lambda x: x + 1).message.startswith("plus one. doubled(2): got 3, expected 4.")
    assert NUMBERS(lambda x: 2 * x if x < 3 else 9).message == "doubled(3): got 9, expected 6."
    assert NUMBERS(lambda x: 2 * x if x < 3 else 4).message == "doubled(3): got 4, expected 6."


def is_positive(x):
    """A number in, True or False out."""
    return x > 0


def test_whole_numbers_are_compared_exactly_and_floats_up_to_rounding():
    large = exercise(cases=[(10**6,)], praise="yes.")(doubled)
    assert large(lambda x: np.int64(2 * x)).passed and large(lambda x: torch.tensor(2 * x)).passed
    assert large(lambda x: 2 * x + 1).message == "doubled(1000000): got 2,000,001, expected 2,000,000."
    assert (
        large(lambda x: 2.0 * x).message
        == "doubled(1000000): got the float 2000000.0, expected the whole number 2000000."
    )
    half = exercise(cases=[(0.1,)], praise="yes.")(doubled)
    assert half(lambda x: 0.2 + 1e-12).passed and not half(lambda x: 0.201).passed


def test_true_and_false_may_come_in_a_tensor_of_one():
    positive = exercise(cases=[(1,), (-1,)], praise="yes.")(is_positive)
    assert positive(lambda x: torch.tensor(x > 0)).passed and positive(lambda x: np.bool_(x > 0)).passed
    assert positive(lambda x: torch.tensor(True)).message == "is_positive(-1): got True, expected False."
    assert "expected True or False" in positive(lambda x: torch.tensor([x > 0])).message
    assert "expected True or False" in positive(lambda x: torch.tensor(1.0)).message


def test_a_coach_sees_results_of_the_right_kind_only():
    seen = []

    def coach(tried):
        seen.append(tried.got)
        return "too much." if tried.got > 100 else None

    coached = exercise(cases=[(1,), (2,)], praise="yes.", coach=coach)(doubled)
    for answer in (lambda x: [x], lambda x: "2", lambda x: torch.rand(2), lambda x: float("nan"), lambda x: None):
        assert not coached(answer).passed
    assert seen == []
    assert coached(lambda x: 101).message == "too much."
    assert coached(lambda x: 2 * x).passed and seen == [101, 2, 4]


def test_a_tuple_is_compared_part_by_part():
    pair = exercise(cases=[(3, 0.5)], praise="yes.", slips={"turned round.": lambda *given: given[::-1]})(sizes)
    assert pair(lambda a, b: (a, torch.tensor([b]) if a < 0 else b + 1e-12)).passed
    assert pair(lambda a, b: (b, a)).message == "turned round. sizes(3, 0.5): got (0.5, 3), expected (3, 0.5)."
    assert pair(lambda a, b: (a, torch.rand(2))).message == "sizes(3, 0.5): got tuple, expected (3, 0.5)."
    assert pair(lambda a, b: [a, b]).message == "sizes(3, 0.5) returned [3, 0.5], expected (3, 0.5)."


def sizes(a, b):
    """Two numbers in, both out."""
    return a, b


def test_what_cannot_be_compared_needs_a_coach():
    def table(x):
        """Any number in, a dictionary out."""
        return {"x": x}

    with pytest.raises(TypeError, match="table needs a coach: a dict cannot be compared"):
        exercise(cases=[(1,)], praise="yes.")(table)(table)
    coached = exercise(cases=[(1,)], praise="yes.", coach=lambda tried: "no x." if "x" not in tried.got.thing else None)
    assert coached(table)(table).passed
    assert coached(table)(lambda x: {}).message == "no x."
    assert coached(table)(lambda x: {1}).message == "table(1) returned set, expected dict."


@pytest.mark.parametrize("part", ["coach", "right"])
def test_an_error_of_our_own_fails_a_test_and_is_a_sentence_for_a_learner(part, monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("ours")

    ours = exercise(cases=[(1,)], praise="yes.", coach=broken if part == "coach" else None)(
        doubled if part == "coach" else broken
    )
    with pytest.raises(ZeroDivisionError, match="ours"):
        ours(lambda x: 2 * x)
    monkeypatch.setattr(core, "STRICT", False)
    verdict = ours(lambda x: 2 * x)
    assert not verdict.passed and "a mistake of the course, not of yours" in verdict.message


# what an answer leaves behind


def entered(context):
    """Enter a block and never leave it; the block is kept alive, as a global name in a notebook would keep it."""
    BLOCKS.append(context)
    context.__enter__()


BLOCKS = []
CHANGES = {
    "the recording of gradients for everything that comes after it; that is put back now. Use with torch.no_grad():.": (
        lambda: torch.set_grad_enabled(False),
        torch.is_grad_enabled,
    ),
    "inference mode and the recording of gradients for everything": (
        lambda: entered(torch.inference_mode()),
        torch.is_inference_mode_enabled,
    ),
    "autocast for everything": (
        lambda: entered(torch.autocast("cpu", dtype=torch.bfloat16)),
        lambda: (torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype, guard._autocast()),
    ),
    "the default dtype for everything": (
        lambda: torch.set_default_dtype(torch.float64),
        lambda: torch.ones(1).dtype,
    ),
    "the default device for everything": (
        lambda: torch.set_default_device("meta"),
        lambda: torch.ones(1).device,
    ),
    "the number of threads for everything": (
        lambda: torch.set_num_threads(torch.get_num_threads() + 1),
        torch.get_num_threads,
    ),
    "deterministic algorithms for everything": (
        lambda: torch.use_deterministic_algorithms(True, warn_only=True),
        torch.are_deterministic_algorithms_enabled,
    ),
    "the working folder for everything": (lambda: os.chdir(".."), os.getcwd),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("ending", ["result", "error"])
def test_what_an_answer_leaves_changed_is_put_back_and_named(name, ending):
    act, look = CHANGES[name]

    def answer(x):
        act()
        return x.sum(0) if ending == "result" else 1 / 0

    before = look()
    verdict = column_sums(answer)
    assert look() == before and torch.is_grad_enabled()
    assert look() == before and torch.is_grad_enabled()
    BLOCKS.clear()
    assert look() == before and torch.is_grad_enabled()
    assert not verdict.passed
    assert f"column_sums changed {name}" in verdict.message if ending == "result" else "ZeroDivision" in verdict.message


def test_random_numbers_are_as_before_without_a_word():
    def answer(x):
        torch.rand(3), np.random.rand(), random.random(), torch.manual_seed(3)
        return x.sum(0)

    def states() -> str:
        return f"{random.getstate()} {np.random.get_state()[1].tolist()} {torch.get_rng_state().tolist()}"

    before = states()
    assert column_sums(answer).passed
    assert not column_sums(lambda x: random.random()).passed
    assert states() == before


def test_a_learners_own_interrupt_goes_through_and_everything_is_put_back():
    def answer(x):
        torch.set_default_dtype(torch.float64)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        column_sums(answer)
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize(
    "harm",
    [
        lambda model: model.append(nn.ReLU()), lambda model: model.to("meta"), lambda model: model.double(),
        lambda model: model.pop(0), lambda model: model[0].weight.data.add_(1),
        lambda model: model.__setitem__(1, model[0]),
        lambda model: setattr(model[0], "bias", None),
        lambda model: setattr(model[0].bias, "data", torch.zeros(1)), lambda model: setattr(model, "modules", None),
    ],
)  # fmt: skip
def test_a_changed_model_is_named(harm):
    def outputs(model):
        """A model in, its outputs out."""
        return 3

    check = exercise(cases=[(nn.Sequential(nn.Linear(2, 3), nn.Sigmoid()),)], praise="yes.")(outputs)
    assert check(outputs).passed
    verdict = check(lambda model: harm(model) is None or 3)
    assert "outputs changed the model that it was given. Make a new one" in verdict.message


@pytest.mark.parametrize(
    "harm",
    [lambda x: x.resize_(1), lambda x: x.t_(), lambda x: x.add_(1), lambda x: x.unsqueeze_(0), lambda x: x.zero_()],
)
def test_a_changed_tensor_is_named_with_the_shape_that_it_had(harm):
    verdict = column_sums(lambda x: (x.sum(0), harm(x))[0])
    assert "changed the tensor of shape (2, 3) that it was given" in verdict.message


def test_a_long_wait_says_so_once_and_for_what(monkeypatch, capsys):
    slow, told = exercise(cases=[(7,)], praise="yes.")(doubled), threading.Event()
    monkeypatch.setattr(guard, "print", lambda text: (print(text), told.set()), raising=False)
    monkeypatch.setattr(guard, "WAIT", 0.05)
    assert slow(lambda x: told.wait(60) and 14).passed
    said = capsys.readouterr().out
    assert re.fullmatch(r"The check still waits for doubled\(7\)\. .+interrupt the kernel.+\n", said)
    monkeypatch.setattr(guard, "WAIT", 60)
    assert slow(lambda x: 14).passed
    for waiting in (one for one in threading.enumerate() if isinstance(one, threading.Timer)):
        waiting.join(30)
        assert not waiting.is_alive()
    assert capsys.readouterr().out == ""


# values


def test_a_question_says_which_of_its_parts_are_right():
    size = Question("height, width", (28, 32), "yes.", {"the other way round.": (32, 28)}, "Read it again.", "A size.")
    assert size((28, 32)) and size([28, 32.0]) and size.__doc__ == "A size."
    assert size((32, 28)).message == "the other way round."
    assert size((28, 3)).message == "(28, 3) is not it. height is right. Read it again."
    assert size((1, 2)).message == "(1, 2) is not it. Read it again."


# verdicts


def test_verdict_is_true_if_passed_and_shows_its_message_escaped_and_bounded():
    verdict = Verdict(False, "a < b & c")
    assert not verdict and Verdict(True, "yes.")
    assert repr(verdict) == "[not yet] a < b & c"
    assert "a &lt; b &amp; c" in verdict._repr_html_()
    long = Verdict(False, "x" * 10**6)
    assert len(long.message) == 600 and long.message.endswith("x…")
    assert Verdict(False, "\ud800").message.encode("utf-8")


def test_small_tensors_are_shown_beside_each_other_and_differences_marked():
    verdict = column_sums(lambda x: torch.tensor([3.0, 6.0, 7.0]))
    mine, expected = verdict._repr_html_().split("<b>expected</b>")
    assert "<b>yours</b> (3,) float32, 3 to 7" in mine and "(3,) float32, 3 to 7" in expected
    cells = re.findall(r"<td[^>]*?(font-weight:bold)?[^>]*>([\d.]+)</td>", mine)
    assert [number for _, number in cells] == ["3", "6", "7"]
    assert [number for number in re.findall(r"bold[^>]*>([\d.]+)<", mine)] == ["6"]
    assert re.findall(r"px 6px[^>]*>([\d.]+)<", expected) == ["3", "5", "7"]
    assert "<b>yours" not in repr(verdict)


def test_pictures_are_drawn_pixel_by_pixel_with_their_words():
    red = torch.zeros(3, 4, 6)
    red[0] = 1

    @exercise(cases=[(red,)], praise="yes.")
    def same(image):
        """An image in, the same out."""
        return image

    shown = same(lambda image: image.flip(0))._repr_html_()
    assert 'alt="yours: a picture of 4 x 6 pixels"' in shown and 'alt="expected: a picture of 4 x 6 pixels"' in shown
    colours = [decoded(source) for source in re.findall(r'src="data:image/png;base64,([^"]+)"', shown)]
    assert [tuple(pixels[0, 0]) for pixels in colours] == [(0, 0, 255), (255, 0, 0)]
    assert all(pixels.shape == (4, 6, 3) for pixels in colours)


def decoded(source) -> np.ndarray:
    import base64
    import io

    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source))))


@pytest.mark.parametrize(
    "got", [torch.rand(10**7), torch.zeros(0), torch.full((2, 3), torch.inf), torch.rand(9, 9, 9, 9)]
)
def test_a_drawing_stays_small(got):
    assert len(column_sums(lambda x: got)._repr_html_()) < 10_000


def test_an_answer_may_delete_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def answer(x):
        os.rmdir(tmp_path / "here")
        return x.sum(0)

    before = random.getstate()
    assert not column_sums(answer).passed
    os.chdir("/")
    assert isinstance(column_sums(lambda x: x.sum(0)), Verdict)
    assert random.getstate() == before


def test_a_right_number_as_a_float_is_told_so_and_no_mistake_is_made_up():
    @exercise(cases=[(2,), (3,)], praise="yes.", slips={"you doubled it.": lambda n: n + n})
    def squared(n):
        """n x n."""
        return n * n

    verdict = squared(lambda n: float(n * n))
    assert not verdict and "got the float 4.0, expected the whole number 4" in verdict.message
    assert "doubled" not in verdict.message and "doubled" in squared(lambda n: 2 * n).message
