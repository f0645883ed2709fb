"""What a GPU's memory is divided into: the boxes in each other, and the bar behind an out-of-memory text."""

import pytest
from tools import of, out_of_memory, problem, words

from helpers import figures
from helpers.figures import gpu_memory, shapes
from helpers.units import GIB, MIB


def drawn(drawing):
    """The words, and left, right and top of each rectangle."""
    areas = [area.corners for area in of(drawing, shapes.Area)]
    return words(drawing), [(corners[0][0], corners[1][0], corners[0][1], corners[2][1]) for corners in areas]


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


#: Texts as people have pasted them into public issues, by PyTorch's version: all say where the memory is.
PASTED = {
    "1.8": "CUDA out of memory. Tried to allocate 3.35 GiB (GPU 0; 15.78 GiB total capacity; 14.23 GiB already "
    "allocated; 210.75 MiB free; 14.28 GiB reserved in total by PyTorch)",
    "1.3": "CUDA out of memory. Tried to allocate 1.86 GiB (GPU 0; 31.72 GiB total capacity; 24.58 GiB already "
    "allocated; 1.28 GiB free; 5.08 GiB cached)",
    "2.1": "CUDA out of memory. Tried to allocate 1024.00 MiB. GPU 0 has a total capacty of 14.75 GiB of which 821.06 "
    "MiB is free. Process 5543 has 13.94 GiB memory in use. Of the allocated memory 13.20 GiB is allocated by PyTorch, "
    "and 621.20 MiB is reserved by PyTorch but unallocated.",
    "Windows": "CUDA out of memory. Tried to allocate 28.87 GiB. GPU 0 has a total capacity of 15.83 GiB of which 4.00 "
    "GiB is free. Of the allocated memory 11.31 GiB is allocated by PyTorch, and 392.97 MiB is reserved by PyTorch but "
    "unallocated.",
    "graphs": out_of_memory().replace("PyTorch, and", "PyTorch, with 72.00 MiB allocated in private pools, and"),
}


def test_a_limit_for_the_process_ends_the_bar():
    """As an H100 wrote it, with torch.cuda.set_per_process_memory_fraction."""
    drawing = gpu_memory.draw_out_of_memory(
        "CUDA out of memory. Tried to allocate 392.00 MiB. GPU 0 has a total capacity of 79.18 GiB of which 73.86 GiB "
        "is free. Including non-PyTorch memory, this process has 4.52 GiB memory in use. Process 471 has 812.00 MiB "
        "memory in use. 4.00 GiB allowed; Of the allocated memory 3.46 GiB is allocated by PyTorch, and 316.30 MiB is "
        "reserved by PyTorch but unallocated. If reserved but unallocated memory is large try setting "
        "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True to avoid fragmentation."
    )
    words, boxes = drawn(drawing)
    assert "allowed for this process: 4.00 GiB" in words and "236.66 MiB" in words
    assert "reaches beyond the end" in drawing.sentence and "4.00 GiB allowed" in drawing.sentence
    assert not any("context" in word for word in words)


@pytest.mark.parametrize(
    ("version", "numbers", "rest"),  # rest: GiB in use that are not PyTorch's
    [
        ("1.8", {"15.78 GiB", "14.23 GiB", "210.75 MiB", "3.35 GiB", "51.20 MiB"}, (15.78 - 14.28) - 210.75 / 1024),
        ("1.3", {"31.72 GiB", "24.58 GiB", "1.28 GiB", "1.86 GiB", "5.08 GiB"}, 31.72 - 24.58 - 1.28 - 5.08),
        ("2.1", {"14.75 GiB", "13.20 GiB", "821.06 MiB", "1024.00 MiB", "621.20 MiB"}, 1.55 - 1442.26 / 1024),
        ("Windows", {"15.83 GiB", "11.31 GiB", "4.00 GiB", "28.87 GiB", "392.97 MiB"}, 0.52 - 392.97 / 1024),
        ("graphs", {"15.50 GiB", "14.00 GiB", "1.00 GiB", "1.75 GiB", "256.00 MiB"}, 0.25),
    ],
)
def test_the_texts_of_other_versions_are_read_and_nothing_is_invented(version, numbers, rest):
    words, boxes = drawn(gpu_memory.draw_out_of_memory(PASTED[version]))
    said = {word.removeprefix("the whole GPU: ") for word in words}
    assert {word for word in said if word.endswith(("MiB", "GiB"))} == numbers
    widths = [right - left for left, right, top, _ in boxes if top == 28]
    capacity = float(next(word for word in words if "whole" in word).split()[-2])
    assert len(widths) == 4 and widths[2] / sum(widths) == pytest.approx(rest / capacity, rel=1e-3)
    assert ("the text does not tell them apart" in words) is (version != "graphs")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (3, "text is a int; allowed is str"), ("", 'without "Tried to allocate …"; give the whole last line'),
        (out_of_memory().split(" Of the")[0], 'without "Of the allocated memory … is allocated'),
        (out_of_memory().split("Including")[0], "Of the allocated memory …"),
        (out_of_memory(capacity="0 bytes"), "allowed is the capacity"), (out_of_memory(free="9.00 GiB"), "add up to"),
        (out_of_memory(tried="9" * 400 + " GiB"), "Tried to allocate"),
    ],
)  # fmt: skip
def test_other_texts_are_refused(text, message):
    assert message in problem(lambda: figures.out_of_memory(text))
