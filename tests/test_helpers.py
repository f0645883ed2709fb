"""The ground floor and the figures: what they return, and what they say to bad input."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from torch import nn

from helpers import batches, data, figures, folders, models, training, units
from helpers.problems import Problem, one_of, whole_number

SHAPES = st.lists(st.integers(0, 7), min_size=0, max_size=5).map(tuple)
DTYPES = st.sampled_from([torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64])


def problem(call) -> str:
    with pytest.raises(Problem) as caught:
        call()
    assert caught.value._render_traceback_() == [f"Problem: {caught.value}"]  # a learner sees no traceback
    return str(caught.value)


# ---------------------------------------------------------------------------------------------------- problems


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


def test_work_folder_is_the_one_that_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_WORK", str(tmp_path / "new" / "place"))
    assert folders.work_folder() == tmp_path / "new" / "place"
    assert folders.work_folder().is_dir()


# ---------------------------------------------------------------------------------------------------- units


@given(SHAPES, DTYPES)
def test_bytes_of_is_what_torch_stores(shape, dtype):
    tensor = torch.empty(shape, dtype=dtype)
    assert units.bytes_of(shape, dtype) == tensor.untyped_storage().nbytes()


def test_readable():
    texts = [units.readable(n) for n in (0, 784, 10_000, 200_704, 2**20, 13_600_000, 2**30, 3 * 2**29)]
    expected = "0 bytes|784 bytes|10,000 bytes|0.19 MiB|1.00 MiB|12.97 MiB|1.00 GiB|1.50 GiB"
    assert "|".join(texts) == expected


@pytest.mark.parametrize("shape", [3, "28", None, (1, -2), (1.5,), (True,)])
def test_bytes_of_refuses_what_is_no_shape(shape):
    problem(lambda: units.bytes_of(shape))


def test_units_refuse_other_slips():
    assert "torch dtype" in problem(lambda: units.bytes_of((2,), float))
    problem(lambda: units.readable(-1))
    problem(lambda: units.readable(0.5))


# ---------------------------------------------------------------------------------------------------- models


def test_models_have_the_parameters_that_a_hand_counts():
    assert models.parameter_count(models.mlp()) == 784 * 128 + 128 + 128 * 10 + 10
    assert models.parameter_count(models.cnn()) == 9 * 8 + 8 + 1568 * 10 + 10
    assert models.mlp((3, 32, 32))[1].in_features == 3072
    assert models.cnn((3, 5, 7), filters=2)(torch.rand(4, 3, 5, 7)).shape == (4, 10)


def test_shared_parameters_count_once():
    layer = nn.Linear(5, 5)
    assert models.parameter_count(nn.Sequential(layer, layer)) == 30


@pytest.mark.parametrize("build", [models.mlp, models.cnn])
@pytest.mark.parametrize("shape", [(), None, 28, "1, 28, 28", (1, 0, 28), (1, -28, 28), (1, 28.0, 28)])
def test_models_refuse_what_is_no_shape(build, shape):
    problem(lambda: build(shape))


def test_models_refuse_other_slips():
    assert "no batch axis" in problem(lambda: models.cnn((64, 1, 28, 28)))
    problem(lambda: models.cnn((1, 1, 28)))
    problem(lambda: models.mlp(hidden=0))
    problem(lambda: models.mlp(classes=-1))
    problem(lambda: models.cnn(filters=1.5))
    problem(lambda: models.parameter_count("model"))


# ---------------------------------------------------------------------------------------------------- batches


def test_batch_facts_are_measured_and_leave_the_model_as_it_was():
    images = data.digits().images
    for training_mode in (True, False):
        model = nn.Sequential(models.cnn(), nn.BatchNorm1d(10), nn.Dropout(0.5)).train(training_mode)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        facts = batches.batch_facts(images, model, 64, torch.float16)
        assert (facts.shape, facts.output_shape, facts.n_bytes) == ((64, 1, 28, 28), (64, 10), 64 * 784 * 2)
        assert "stored as float16 in 100,352 bytes (0.10 MiB)" in facts.sentence
        assert model.training is training_mode
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@settings(max_examples=20)
@given(st.integers(1, 256))
def test_batch_facts_for_any_batch_size(b):
    facts = batches.batch_facts(data.digits().images, models.cnn(), b)
    assert facts.output_shape == (b, 10)
    assert facts.n_bytes == b * 784 * 4


@pytest.mark.parametrize("b", [0, -1, 361, 1.0, True, None, "8"])
def test_batch_facts_refuse_a_batch_size(b):
    images = data.digits(train=False).images
    assert "1 to 360" in problem(lambda: batches.batch_facts(images, models.cnn(), b))


def test_batch_facts_refuse_images_and_models():
    images = data.digits().images
    for wrong in (images[0], images.float(), images.numpy(), None, "digits"):
        assert "uint8 tensor (N, C, H, W)" in problem(lambda wrong=wrong: batches.batch_facts(wrong, models.cnn(), 1))
    problem(lambda: batches.batch_facts(images, "cnn", 1))
    model = models.cnn((3, 32, 32)).train()
    assert "PyTorch says: Given groups=1" in problem(lambda: batches.batch_facts(images, model, 1))
    assert model.training


# ---------------------------------------------------------------------------------------------------- training


def test_training_learns_real_digits_and_repeats_itself():
    digits = data.digits()
    images = digits.images.float() / 255
    runs = []
    for _ in range(2):
        torch.manual_seed(0)
        model = models.mlp(hidden=32)
        runs.append(training.fit(model, images, digits.labels, epochs=3, learning_rate=5e-3))
    assert runs[0] == runs[1]
    assert runs[0][0] > 2 * runs[0][-1]
    model.eval()
    assert training.accuracy(model, images, digits.labels) > 0.8
    assert not model.training
    training.accuracy(model.train(), images, digits.labels)
    assert model.training


def test_training_leaves_the_global_random_numbers_alone():
    digits = data.digits()
    model, before = models.mlp(), torch.get_rng_state()
    training.fit(model, digits.images[:64].float(), digits.labels[:64], epochs=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_training_refuses():
    x, y = torch.rand(8, 1, 28, 28), torch.zeros(7, dtype=torch.int64)
    assert "8 rows and labels 7" in problem(lambda: training.fit(models.mlp(), x, y))
    problem(lambda: training.accuracy(models.mlp(), x, y))
    problem(lambda: training.accuracy(models.mlp(), x[:0], y[:0]))
    problem(lambda: training.fit(models.mlp(), x, y[:1], epochs=0))
    problem(lambda: training.fit(models.mlp(), x[:7], y, batch_size=0))
    problem(lambda: training.seconds(3))
    problem(lambda: training.seconds(lambda: None, at_least=0))


def test_seconds_tells_slow_from_fast():
    small, large = torch.rand(8, 8), torch.rand(512, 512)
    assert training.seconds(lambda: large @ large) > 5 * training.seconds(lambda: small @ small)


# ---------------------------------------------------------------------------------------------------- figures


def test_tiles_show_every_pixel_where_it_belongs():
    images = data.colours().images[:5]
    sheet = figures.tiles(images, columns=3, rows=2)
    assert sheet.shape == (2 * 34, 3 * 34, 3)
    for n in range(5):
        top, left = 34 * (n // 3) + 1, 34 * (n % 3) + 1
        assert torch.equal(torch.from_numpy(sheet[top : top + 32, left : left + 32]).permute(2, 0, 1), images[n])
    assert (sheet[34:, 68:] == 255).all()


@pytest.mark.parametrize("wrong", [torch.rand(28, 28), torch.zeros(1, 2, 8, 8), None, [1]])
def test_tiles_refuse(wrong):
    problem(lambda: figures.tiles(wrong, 1, 1))


def pictures():
    images = data.digits().images
    facts = batches.batch_facts(images, models.cnn(), 200)
    return {
        "row": figures.image_row(images[:5], range(5), "Five digits."),
        "batch": figures.batch_picture(facts),
        "speed": figures.speed_up({"MLP": {1: 1.0, 64: 20.0}, "CNN": {1: 1.0, 64: 1.2}}),
    }


def test_pictures_have_one_width_and_a_sentence_and_no_text_is_cut():
    for name, picture in pictures().items():
        assert picture.figure.get_size_inches()[0] == figures.WIDTH
        assert picture.sentence.endswith(".") and picture.png().startswith(b"\x89PNG")
        renderer, edge = FigureCanvasAgg(picture.figure).get_renderer(), picture.figure.bbox
        for axis in picture.figure.axes:
            box = axis.get_tightbbox(renderer)
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= edge.x1 and box.y1 <= edge.y1, f"{name} is cut"


def test_batch_picture_texts_do_not_overlap():
    images = data.colours().images
    picture = figures.batch_picture(batches.batch_facts(images, models.cnn((3, 32, 32)), 256))
    picture.png()
    renderer = FigureCanvasAgg(picture.figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in picture.figure.axes[1].texts]
    for n, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[n + 1 :])


def test_figures_refuse():
    images = data.digits().images
    problem(lambda: figures.image_row(images[:3], ["a"], "Three."))
    problem(lambda: figures.image_row(images[:0], [], "None."))
    problem(lambda: figures.image_row(images[:11], range(11), "Eleven."))
    problem(lambda: figures.speed_up({}))
    problem(lambda: figures.speed_up({"MLP": {}}))


def test_colours_of_the_course_differ():
    assert len(set(figures.COLOURS.values())) == len(figures.COLOURS) == 8
