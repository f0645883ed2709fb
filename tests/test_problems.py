"""The refusals that every room uses."""

import pytest
import torch
from tools import problem

from helpers.problems import instance_of, one_of, whole_number


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
