"""What a GPU's memory is divided into: the boxes in each other, and the bar behind an out-of-memory text."""

import pytest
from tools import out_of_memory, problem

from helpers import figures
from helpers.figures import gpu_memory, shapes
from helpers.units import GIB, MIB


def drawn(drawing):
    """The words, and left, right and top of each rectangle."""
    words = [shape.words for shape in drawing.shapes if isinstance(shape, shapes.Text)]
    areas = [shape.corners for shape in drawing.shapes if isinstance(shape, shapes.Area)]
    return words, [(corners[0][0], corners[1][0], corners[0][1], corners[2][1]) for corners in areas]


def test_each_box_lies_in_the_one_before_and_says_what_is_beside_the_next():
    words, boxes = drawn(gpu_memory.draw_boxes(836 * MIB, 1170 * MIB, 1305 * MIB, 14909 * MIB))
    for (left, right, top, bottom), (left_, right_, top_, bottom_) in zip(boxes, boxes[1:], strict=False):
        assert left < left_ and right > right_ and top < top_ and bottom > bottom_
    assert [word for word in words if word.endswith("MiB")] == [
        "14,909 MiB", "13,604 MiB", "1,305 MiB", "135 MiB", "1,170 MiB", "334 MiB", "836 MiB"
    ]  # fmt: skip
    assert {"torch.cuda.memory_allocated()", "torch.cuda.memory_reserved()"} < set(words)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((5, 4, 6, 7), "allocated is 5 and reserved only 4; give"), ((1, 8, 6, 7), "reserved is 8 and in_use only 6"),
        ((1, 2, 8, 7), "in_use is 8 and capacity only 7"), ((1.5, 2, 3, 4), "allocated is 1.5"),
        ((1, 2, 3, None), "capacity is None"), ((-1, 2, 3, 4), "allowed is a whole number, 0 or more"),
    ],
)  # fmt: skip
def test_counters_that_cannot_be_are_refused(sizes, message):
    assert message in problem(lambda: figures.gpu_boxes(*sizes))


def test_the_bar_is_to_scale_and_the_request_begins_where_the_free_part_does():
    words, boxes = drawn(gpu_memory.draw_out_of_memory(out_of_memory()))
    parts = [(left, right) for left, right, top, _ in boxes if top == 28]
    pixels = 728 / (16.25 * GIB)  # to the end of the request
    sizes = [14 * GIB, 256 * MIB, 256 * MIB, GIB]
    assert [right - left for left, right in parts] == pytest.approx([pixels * size for size in sizes])
    (request,) = [(left, right) for left, right, top, _ in boxes if top == 66]
    assert request == pytest.approx((parts[-1][0], parts[-1][0] + 1.75 * GIB * pixels))
    assert {"14.00 GiB", "256.00 MiB", "1.00 GiB", "1.75 GiB", "the whole GPU: 15.50 GiB"} < set(words)
    assert "other programs" not in words


def test_the_context_is_left_to_the_learner_and_others_are_seen():
    words, _ = drawn(gpu_memory.draw_out_of_memory(out_of_memory(capacity="80.00 GiB")))
    assert words.count("256.00 MiB") == 1 and "the rest of the 14.50 GiB of this process" in words
    assert "other programs" in words


def test_the_sentence_says_whether_the_request_fits_and_line_breaks_do_no_harm():
    said = gpu_memory.draw_out_of_memory(out_of_memory().replace(" ", "\n")).sentence
    assert "The request for 1.75 GiB reaches beyond the end." in said
    assert "would fit" in gpu_memory.draw_out_of_memory(out_of_memory(tried="20.00 MiB")).sentence


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (3, "text is a int; allowed is str"), ("", 'without "Tried to allocate 1.00 GiB"; give the whole last line'),
        (out_of_memory().split(" Of the")[0], 'without "Of the allocated memory 1.00 GiB is allocated'),
        (out_of_memory(capacity="0 bytes"), "allowed is the capacity"), (out_of_memory(free="9.00 GiB"), "add up to"),
        (out_of_memory(tried="9" * 400 + " GiB"), "Tried to allocate"),
    ],
)  # fmt: skip
def test_other_texts_are_refused(text, message):
    assert message in problem(lambda: figures.out_of_memory(text))
