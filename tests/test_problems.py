"""The refusals that every room uses."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tools import problem
from torch import nn

from helpers.problems import (
    LARGEST,
    folder_path,
    instance_of,
    network,
    number,
    one_of,
    said,
    shown,
    tensor_of,
    true_or_false,
    whole_number,
    whole_numbers,
    words_of,
)


@pytest.mark.parametrize("value", [0, -1, 2.0, True, "3", None, [3], 11])
def test_whole_number_refuses(value):
    text = problem(lambda: whole_number("batch_size", value, 1, 10))
    assert "batch_size" in text and "1 to 10" in text


def test_whole_number_takes_what_is_one():
    assert whole_number("n", torch.tensor(3), 1) == 3
    assert whole_number("n", 1, 1, 1) == 1


def test_one_of_names_the_choices():
    assert one_of("source", "a", ("a", "b")) == "a"
    assert "'a', 'b'" in problem(lambda: one_of("source", "c", ("a", "b")))
    problem(lambda: one_of("source", 1, ("a", "b")))


def test_instance_of_names_the_kind_and_an_example():
    assert instance_of("n", 3, int, "3") == 3
    text = problem(lambda: instance_of("images", [1], (torch.Tensor, str), "data.digits().images"))
    assert text == "images is a list; allowed is Tensor or str. Give it as in images=data.digits().images."


def test_whole_number_refuses_what_only_looks_like_one():
    arrays = (torch.tensor(True), np.True_, torch.tensor(3.0), torch.tensor([3, 4]), torch.tensor([3]).to("meta"))
    for value in (*arrays, int, float("nan"), 10**400, -(10**5000), "3", b"3", slice(3)):
        text = problem(lambda value=value: whole_number("batch_size", value, 1))
        assert text.startswith("batch_size is ") and "whole number" in text and len(text) < 300


def test_whole_number_takes_numpys_and_says_how_large_is_too_large():
    assert type(whole_number("n", np.int64(3), 1)) is int
    assert whole_number("n", LARGEST, 0) == LARGEST == 2**63 - 1
    assert "allowed is a whole number from 0 to 9,223,372,036,854,775,807" in problem(
        lambda: whole_number("n", LARGEST + 1, 0)
    )
    assert "is a number of 1,329 bits" in problem(lambda: whole_number("n", 10**400, 0))


def test_whole_numbers_name_the_place():
    assert whole_numbers("shape", [1, np.int64(2)], 1, "sizes") == (1, 2)
    assert problem(lambda: whole_numbers("shape", (1, 2.5), 1, "sizes")) == (
        "shape[1] is 2.5 (float); allowed is a whole number, 1 or more."
    )
    assert problem(lambda: whole_numbers("shape", "12", 1, "two sizes")) == "shape is '12'; give two sizes."
    problem(lambda: whole_numbers("shape", (1,) * 65, 1, "sizes"))


def test_number():
    assert number("rate", np.float32(0.5), 0, 1, 0.1) == 0.5 and number("rate", 1, 0, 1, 0.1) == 1.0
    for wrong in (float("nan"), float("inf"), -0.1, 10**400, True, torch.tensor(True), "1", b"1", 1j, None, int, [1]):
        text = problem(lambda wrong=wrong: number("rate", wrong, 0, 1, 0.1))
        assert "allowed is a number from 0 to 1, as in rate=0.1" in text


def test_true_or_false():
    assert true_or_false("train", False) is False
    for wrong in (1, "no", None, np.True_, torch.tensor(True)):
        assert "train is" in problem(lambda wrong=wrong: true_or_false("train", wrong))


def test_folder_path(tmp_path):
    assert folder_path("folder", "~") == Path.home() and folder_path("folder", tmp_path) == tmp_path
    for wrong in ("", b"data", "a\0b", "x" * 5000, 3, None):
        assert "give the path of a folder" in problem(lambda wrong=wrong: folder_path("folder", wrong))


def test_network_says_what_kind_of_thing_it_is_not():
    layer = nn.Linear(2, 2)
    assert network("model", layer) is layer
    assert "model is a str; give a torch.nn.Module" in problem(lambda: network("model", "mlp"))
    assert "model is the class Linear; give" in problem(lambda: network("model", nn.Linear))
    lazy = nn.Sequential(nn.Identity(), nn.LazyLinear(3))
    assert "1 (LazyLinear) does not know its sizes yet; run one batch" in problem(lambda: network("model", lazy))
    unready = type("Unready", (nn.Module,), {"__init__": lambda self: None})()
    assert "Unready is not ready: its __init__ must begin with super()" in problem(lambda: network("model", unready))
    assert "0 (Unready) is not" in problem(lambda: network("model", nn.Sequential(unready)))


def test_tensor_of_says_what_is_unusual():
    image = torch.zeros(3, 4, 4, dtype=torch.uint8)
    assert tensor_of("image", image, "C, H, W", "photo", torch.uint8, most=48) is image
    refused = [
        (image.float(), "image is Tensor (3, 4, 4) torch.float32; give a uint8 tensor (C, H, W), for example photo."),
        (image.numpy(), "image is ndarray (3, 4, 4) uint8; give a uint8 tensor"),
        (image[0], "image is Tensor (4, 4) torch.uint8"),
        (
            image.to("meta"),
            "image is Tensor (3, 4, 4) torch.uint8 meta; give a uint8 tensor (C, H, W) with numbers in it",
        ),
        (image.to_sparse(), "torch.sparse_coo"),
        (image[:0], "(0, 4, 4) torch.uint8; give a uint8 tensor (C, H, W) with numbers in it, from 1 to 48"),
        (image.repeat(1, 2, 1), "from 1 to 48"),
        ([1], "image is [1]"),
    ]
    for value, words in refused:
        assert words in problem(lambda value=value: tensor_of("image", value, "C, H, W", "photo", torch.uint8, most=48))


def test_what_is_shown_is_short_and_never_raises():
    class Unshowable:
        def __repr__(self):
            raise RuntimeError("no")

    class Speechless(Exception):
        __str__ = Unshowable.__repr__

    loop = []
    loop.append(loop)
    name = text = "x" * 10**6
    long = (10**400, -(10**5000), text, [text] * 10**5, {n: text for n in range(1000)}, torch.rand(999))
    hostile = (Unshowable(), [Unshowable()], loop, type(name, (), {}), type(name, (Unshowable,), {})())
    assert all(0 < len(shown(value)) < 250 for value in (*long, *hostile))
    assert shown("digits") == "'digits'" and shown(2.5) == "2.5" and shown(int) == "the class int"
    assert said(Speechless()) == "Speechless" and said(ValueError()) == "ValueError"
    assert words_of(Speechless()) == "" and words_of(ValueError("two\nlines")) == "two\nlines"
    assert said(ValueError("two\nlines")) == "two lines" and len(said(ValueError("x" * 10**6))) < 450
