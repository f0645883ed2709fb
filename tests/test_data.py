"""The bundled sets, and what a set is made of."""

import copy
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tools import problem
from torchvision.transforms import ToTensor

from helpers import data
from helpers.problems import Problem


def test_the_photograph_is_what_the_lessons_expect():
    with Image.open(data.photograph_path()) as photograph:
        assert (photograph.size, photograph.mode) == ((512, 600), "RGB")


def test_the_photograph_as_a_tensor_is_what_totensor_makes_of_it():
    image = data.photograph()
    with Image.open(data.photograph_path()) as photograph:
        assert torch.equal(image, ToTensor()(photograph))
    assert image.is_contiguous()


def test_a_missing_photograph_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("matplotlib.get_data_path", lambda: str(tmp_path))
    with pytest.raises(Problem, match=r"grace_hopper.jpg is not there.*install matplotlib again"):
        data.photograph_path()


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(
    "load, shape, counts", [(data.digits, (1, 28, 28), (1437, 360)), (data.colours, (3, 32, 32), (2000, 400))]
)
def test_bundled_sets_have_the_dtype_shape_and_range_of_the_real_ones(load, shape, counts, train):
    images = load(train=train)
    assert images.images.shape == (counts[0 if train else 1], *shape)
    assert images.images.dtype == torch.uint8 and images.images.is_contiguous()
    assert (images.images.min(), images.images.max()) == (0, 255)
    assert images.labels.dtype == torch.int64 and images.labels.unique().tolist() == list(range(10))
    assert len(images.classes) == 10
    share = images.labels.bincount() / len(images)
    assert share.min() > 0.09 and share.max() < 0.11


def test_digits_have_the_border_of_mnist_and_are_scikit_learns():
    from sklearn.datasets import load_digits

    train, test = data.digits(), data.digits(train=False)
    both = torch.cat([train.images, test.images])
    inner = both[:, :, 4:24, 4:24]
    assert both.sum(dtype=torch.int64) == inner.sum(dtype=torch.int64)
    small = torch.nn.functional.adaptive_avg_pool2d(inner.float(), 8).flatten(1)
    original = torch.from_numpy(load_digits().data).float()
    assert torch.cat([train.labels, test.labels]).tolist() == load_digits().target.tolist()
    together = torch.corrcoef(torch.stack([small.flatten(), original.flatten()]))[0, 1]
    assert together > 0.97


def test_colour_classes_are_exactly_balanced_and_mixed():
    for train, each in ((True, 200), (False, 40)):
        images = data.colours(train=train)
        assert images.labels.bincount().tolist() == [each] * 10
        assert len(images.labels[:64].unique()) >= 8


def test_colour_boxes_share_no_pixel_and_lie_in_their_photographs():
    boxes = [(place[0], box) for place in data._PLACES.values() for box in place[1:]]
    for name, (x0, y0, x1, y1) in boxes:
        with Image.open(data._photograph(name)) as photograph:
            assert min(x0, y0) >= 0 and x1 <= photograph.width and y1 <= photograph.height
        assert x1 - x0 >= 64 and y1 - y0 >= 64
    for (name, a), (other, b) in itertools.combinations(boxes, 2):
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert name != other or apart, f"{a} and {b} overlap in {name}"


def test_patches_come_from_their_box_only(monkeypatch):
    """Paint the test box of one class black and its training patches stay as they are; only the others change."""
    before, tested = data.colours(), data.colours(train=False)
    name, _, box = data._PLACES["petals"]
    opened = Image.open

    def painted(path):
        image = opened(path).convert("RGB")
        if Path(path).name == name:
            image.paste((0, 0, 0), box)
        return image

    monkeypatch.setattr(data.Image, "open", painted)
    after, changed = data.colours(), data.colours(train=False)
    assert torch.equal(before.images, after.images)
    petals = changed.labels == changed.classes.index("petals")
    assert changed.images[petals].max() == 0
    assert torch.equal(changed.images[~petals], tested.images[~petals])


@pytest.mark.parametrize("load", [data.digits, data.colours])
def test_a_caller_cannot_spoil_the_set_of_the_next(load):
    first = load()
    kept = copy.deepcopy(first)
    first.images.zero_()
    first.labels.fill_(3)
    again = load()
    assert torch.equal(again.images, kept.images) and torch.equal(again.labels, kept.labels)


def test_a_loader_takes_a_set_as_it_is():
    images = data.colours()
    image, label = images[-1]
    assert image.shape == (3, 32, 32) and image.dtype == torch.uint8 and type(label) is int
    batch, labels = next(iter(torch.utils.data.DataLoader(images, batch_size=64)))
    assert torch.equal(batch, images.images[:64]) and torch.equal(labels, images.labels[:64])
    assert sum(1 for _ in data.digits(train=False)) == 360


def test_repr_is_one_readable_line():
    expected = "ImageSet(bundled colours, test part: 400 images (3, 32, 32) torch.uint8, 10 classes)"
    assert repr(data.colours(train=False)) == expected


# Wrong arguments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("load, name", [(data.digits, "mnist"), (data.colours, "cifar10")])
def test_wrong_arguments_are_named(load, name, tmp_path):
    (tmp_path / "file").write_text("mine")
    wrong = [
        ({"source": "imagenet"}, rf"source is 'imagenet'.*'bundled', '{name}'"),
        ({"source": None}, "source is None"),
        ({"train": "yes"}, "train is 'yes'"),
        ({"train": 1}, "train is 1"),
        ({"folder": 3}, "folder is 3"),
        ({"source": name, "folder": ""}, "folder is ''"),
        ({"source": name, "folder": tmp_path / "file"}, "which is a file"),
        ({"source": name, "folder": tmp_path / "file" / "below"}, "cannot be loaded"),
    ]
    for arguments, message in wrong:
        with pytest.raises(Problem, match=message):
            load(**arguments)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"images": np.zeros((2, 1, 4, 4), np.uint8)}, r"images is ndarray \(2, 1, 4, 4\) uint8"),
        ({"images": torch.zeros(2, 1, 4, 4)}, r"images is Tensor .* torch.float32; give a uint8 tensor \(N, C, H, W\)"),
        ({"images": torch.zeros(2, 4, 4, dtype=torch.uint8)}, r"images is Tensor \(2, 4, 4\)"),
        ({"labels": torch.zeros(2)}, r"labels is Tensor \(2,\) torch.float32; give an int64 tensor \(N\)"),
        ({"labels": torch.zeros(2, 1, dtype=torch.int64)}, r"labels is Tensor \(2, 1\)"),
        ({"labels": torch.zeros(3, dtype=torch.int64)}, "2 images and 3 labels"),
        ({"images": torch.zeros(0, 1, 4, 4, dtype=torch.uint8), "labels": torch.zeros(0).long()}, "with numbers in it"),
        ({"labels": torch.tensor([0, 2])}, "labels from 0 to 2; its 2 classes"),
        ({"labels": torch.tensor([-1, 0])}, "labels from -1 to 0"),
    ],
)
def test_a_set_checks_what_it_is_made_of(changed, message):
    good = {"images": torch.zeros(2, 1, 4, 4, dtype=torch.uint8), "labels": torch.tensor([0, 1])}
    assert len(data.ImageSet("mine", **good, classes=("a", "b"))) == 2
    with pytest.raises(Problem, match=message):
        data.ImageSet("mine", **(good | changed), classes=("a", "b"))


def test_a_slice_of_a_set_is_refused_with_the_way_on():
    with pytest.raises(Problem, match=r"set.images\[:8\]"):
        data.digits()[:8]


def test_a_set_gives_one_image_for_one_whole_number():
    images = data.digits()
    assert torch.equal(images[np.int64(2)][0], images.images[2]) and torch.equal(images[-1][0], images.images[-1])
    for wrong in (True, int, 1.0, "0", None, torch.tensor([0, 1])):
        assert "gives one image at a time" in problem(lambda wrong=wrong: images[wrong])
    for outside in (len(images), -len(images) - 1, 2**62):
        with pytest.raises(IndexError):
            images[outside]


def test_a_set_needs_a_name_and_names_of_classes():
    images, labels = torch.zeros(2, 1, 4, 4, dtype=torch.uint8), torch.tensor([0, 1])
    for name, classes, message in ((None, ("a", "b"), "name is a NoneType"), ("mine", "ab", "classes is a str"),
                                   ("mine", (0, 1), r"classes\[0\] is a int")):  # fmt: skip
        with pytest.raises(Problem, match=message):
            data.ImageSet(name, images, labels, classes)


@pytest.mark.parametrize("load", [data.digits, data.colours])
def test_images_have_ordinary_strides(load):
    images = load().images
    assert images.stride() == torch.empty(images.shape).stride()
