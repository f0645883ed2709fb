"""Tests for each claim of the course, whose names begin with its id. Its main figures are those of `helpers.claims`,
which lesson 13 shows."""

import copy
import json
import re
from functools import partial
from itertools import combinations
from statistics import mean

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torchvision.models import resnet18
from torchvision.transforms import ToTensor, v2

from helpers import batch_size, capstone, check, claims, data, memory, models, noise, recorded, training
from helpers.accumulate import accumulate
from helpers.authoring import lessons
from helpers.batch import batch_facts
from helpers.claims.tools import fastest
from helpers.folders import ROOT
from helpers.sharpness import sharpness


@pytest.mark.parametrize("name", claims.CLAIMS)
def test_the_figures_bear_the_verdict_of_the_lesson(name):
    found, claim = claims.measure(name), claims.CLAIMS[name]
    assert found.verdict == claim.verdict, f"{name}:\n{found}"
    assert claim.settled.startswith(claim.verdict.split()[0])
    assert found.words and found.figures and len(found.cases) >= 2


def as_the_lessons_have_them() -> dict:
    """By claim: the lessons that settle it, statement, verdict, links, and its words in the first one's summary."""
    found = {}
    for path in lessons.LESSONS:
        text, number = lessons.prose(lessons.read(path)), path.name[:2]
        summary = text.split("**Claims settled here**: ")[1].split("\n")[0].rstrip(".").split(" · ")
        for name, said, verdict, more in re.findall(
            r'^> \*\*Claim (\w+)\*\* · "(.+?)" · \*\*(.+?)\*\*(.*)$', text, re.MULTILINE
        ):
            (settled,) = [line.removeprefix(f"{name} ") for line in summary if line.startswith(f"{name} ")]
            links = tuple(re.findall(r"\[([^\]]+)\]\((https://[^)]+)\)", more))
            before = found.get(name, ((), said, verdict, (), settled))
            assert before[1:3] == (said, verdict), f"{name} is not the same in all lessons"
            found[name] = (*before[0], number), said, verdict, before[3] + links, before[4]
    return found


def test_statement_verdict_and_links_of_each_claim_stand_in_the_lesson_that_settles_it():
    asked = as_the_lessons_have_them()
    assert list(asked) != [] and set(asked) == set(claims.CLAIMS)
    for name, claim in claims.CLAIMS.items():
        assert (claim.lessons, claim.said, claim.verdict, claim.links, claim.settled) == asked[name]


def test_the_corrections_in_the_readme_are_the_measured_ones():
    adam, killer, half = (claims.measure(name) for name in ("B13", "B15", "B17"))
    one, many = (adam[f"peak, Adam / SGD, B = {b}"] for b in (1, 4096))
    deep, peak = (round(killer[f"{name} of ResNet-18 at B = 32"]) for name in ("activations", "peak"))
    saved = killer["saved by half of B = 64, 784-256-10"]
    size = {
        name: f"{half[f'{name}, fp32']:.0f} to {half[f'{name}, bf16']:.0f} MiB"
        for name in ("ResNet-18, B = 32", "wide MLP, B = 512")
    }
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for words in (
        f"{adam['fixed part, Adam / SGD, 784-256-10']:.2f} times for parameters, gradients and state",
        f"at the peak of a small MLP {one:.2f} times at B = 1, {many:.2f} times at B = 4,096 | 07 |",
        f"{deep} of {peak} MiB in ResNet-18 at B = 32",
        f"in an MLP (784-256-10) from B = {killer['crossover of 784-256-10']} on the batch itself is largest",
        f"half of B = 64 saves {saved:.1f} % | 08 |",
        f"{size['ResNet-18, B = 32']} in ResNet-18 (SGD, B = 32)",
        f"and {size['wide MLP, B = 512']}, so *more*, in a wide MLP at B = 512 | 09 |",
    ):
        assert words in readme, words


@pytest.fixture(scope="module")
def digits():
    return data.digits()


@pytest.fixture(scope="module")
def images(digits):
    return digits.images.float() / 255


def test_A1_one_model_takes_every_batch_size_and_rows_are_independent_but_for_batch_norm(digits):
    found = claims.measure("A1")  # the CNN in both modes, with the same weights before and after
    assert found["batch sizes that fit"] == 5
    assert found["largest difference of a row, CNN"] < 1e-5
    assert found["largest difference of a row, BatchNorm in eval mode"] < 1e-5
    assert found["largest difference of a row, BatchNorm in train mode"] > 0.1
    for b in (1, 2, 3, 64, 1024):
        assert batch_facts(digits.images, models.cnn(), b).output_shape == (b, 10)


def test_A1_several_samples_go_backward_at_once(digits, images):
    model = models.cnn()
    F.cross_entropy(model(images[:64]), digits.labels[:64]).backward()
    assert all(parameter.grad.shape == parameter.shape for parameter in model.parameters())


def test_A2_layers_differ_without_the_batch_axis():
    grey, colour = torch.rand(1, 28, 28), torch.rand(3, 32, 32)
    assert nn.Conv2d(1, 8, 3, padding=1)(grey).shape == (8, 28, 28)
    with pytest.raises(ValueError, match="expected 4D input"):
        nn.BatchNorm2d(1)(grey)
    assert models.mlp()(grey).shape == (1, 10)  # silent: the channel plays the batch
    with pytest.raises(RuntimeError, match="3x1024 and 3072x128"):
        models.mlp((3, 32, 32))(colour)
    with pytest.raises(RuntimeError, match="8x196 and 1568x10"):
        models.cnn()(grey)
    for model, image in ((models.mlp(), grey), (models.cnn(), grey), (models.mlp((3, 32, 32)), colour)):
        assert model(image[None]).shape == (1, 10)  # with the axis, one sample is no special case
    found = claims.measure("A2")
    assert found["nets that take one image, with the axis"] == 5
    assert found["nets that take one image, without the axis"] == 2


def test_A3_samples_per_second_rise_with_the_batch_and_flatten():
    found = claims.measure("A3")
    mlp, cnn = (found[f"gain at B = 256, {name}, one CPU thread"] for name in ("MLP", "CNN"))
    assert mlp > 4  # measured here: above 8
    assert cnn < mlp  # more work in a sample, less to gain
    last = found["time at B = 1,024 over that at 512, MLP"]
    assert last > 1.3  # near 2: doubling the batch nearly doubles the time, so the curve has flattened


def test_A3_at_batch_size_1_a_call_is_mostly_overhead(images):
    """The same layers with next to no arithmetic in them: no parallel work, only the cost of the calls."""
    linear = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    for net in (models.mlp(), linear):
        layers = [nn.Linear(1, 1) if isinstance(layer, nn.Linear) else layer for layer in net]
        empty, shares = nn.Sequential(*layers), []
        with torch.no_grad():
            for _ in range(3):  # measured here: 0.7 to 0.8 for the MLP, 1.0 for the Linear model
                fixed, whole = fastest(partial(empty, images[:1, :, :1, :1]), partial(net, images[:1]))
                shares.append(fixed / whole)
        assert max(shares) > 0.5, shares


def test_A3_and_A4_as_an_h100_recorded_them():
    rows = {int(row["B"]): row for row in recorded.rows("speed")}
    rate, copy = ({b: float(row[name]) for b, row in rows.items()} for name in ("forward samples/s", "copy us/sample"))
    assert round(claims.measure("A3")["gain at B = 32,768"]) == 2355
    assert all(1.7 < rate[2 * b] / rate[b] < 2.4 for b in (2**power for power in range(11)))  # up to B = 2,048
    assert rate[32768] < 1.05 * rate[8192]
    assert round(claims.measure("A4")["copy of one digit alone"], 1) == 11.7
    assert all(round(copy[2**power], 1) == 0.2 for power in range(9, 16))


def test_A4_one_copy_beats_many_if_the_pieces_are_small():
    found = claims.measure("A4")
    small, large = found["gain of one copy, 1,024 digits"], found["gain of one copy, 32 photographs"]
    assert small > 2  # measured here: above 10
    assert large < small / 2  # measured here: near 1
    source, target = torch.rand(2, 9, 1, 28, 28)
    for there, here in zip(target, source, strict=True):
        there.copy_(here)
    assert torch.equal(source, target)


def test_A5_preprocessing_a_batch_equals_the_loop_and_is_faster():
    colours = data.colours().images[:256].float() / 255
    mean, std = colours.mean((0, 2, 3), keepdim=True), colours.std((0, 2, 3), keepdim=True)
    assert mean.shape == (1, 3, 1, 1)

    def step(batch: torch.Tensor) -> torch.Tensor:
        return (v2.functional.center_crop(v2.functional.resize(batch, [24, 24]), [16, 16]) - mean) / std

    def loop() -> torch.Tensor:
        return torch.cat([step(colours[i : i + 1]) for i in range(256)])

    assert torch.allclose(step(colours), loop(), atol=1e-5)
    assert claims.measure("A5")["batch against loop, largest difference"] < 1e-5
    assert claims.measure("A5")["time of the loop over that of the batch"] > 1.5
    whole = (colours - mean) / std
    assert torch.allclose(whole.mean((0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(whole.std((0, 2, 3)), torch.ones(3), atol=1e-4)


def test_A5_a_random_transform_draws_once_for_the_batch_but_not_gaussian_noise():
    copies = data.colours().images[:1].repeat(16, 1, 1, 1).float() / 255
    for transform, alike in (
        (v2.RandomHorizontalFlip(), True),
        (v2.RandomRotation(45), True),
        (v2.RandomResizedCrop(24), True),
        (v2.ColorJitter(0.5, 0.5), True),
        (v2.GaussianNoise(), False),
    ):
        for _ in range(3):
            out = transform(copies)
            assert torch.equal(out, out[:1].expand_as(out)) is alike, transform


def test_A6_with_class_weights_the_loss_is_a_weighted_mean(digits, images):
    torch.manual_seed(0)
    logits, y, weight = models.cnn()(images[:64]), digits.labels[:64], torch.arange(1.0, 11.0)
    each = F.cross_entropy(logits, y, weight, reduction="none")
    loss = F.cross_entropy(logits, y, weight)
    assert not torch.allclose(each.mean(), loss, rtol=0.01)
    assert torch.allclose(each.sum() / weight[y].sum(), loss)


@pytest.mark.parametrize("seed", range(3))
def test_A6_with_one_line_of_the_loop_left_out_nothing_is_learned(digits, images, seed):
    """The lesson's network and learning rate: a smaller one may hide that zero_grad is missing."""
    share = {}
    for left_out in ("nothing", "backward", "step", "zero_grad"):
        torch.manual_seed(seed)
        model = models.cnn()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
        for rows in [rows for _ in range(6) for rows in torch.randperm(len(images)).split(64)]:
            loss = F.cross_entropy(model(images[rows]), digits.labels[rows])
            for line in (loss.backward, optimizer.step, optimizer.zero_grad):
                if line.__name__ != left_out:
                    line()
        share[left_out] = training.accuracy(model, images, digits.labels)
    assert share["nothing"] > 0.7 and max(share["zero_grad"], share["backward"], share["step"]) < 0.4, share


def test_A6_loss_and_gradient_of_a_batch_are_means(digits, images):
    torch.manual_seed(0)
    model = models.cnn().double()
    x, y = images[:64].double(), digits.labels[:64]
    loss = F.cross_entropy(model(x), y)
    assert torch.allclose(F.cross_entropy(model(x), y, reduction="none").mean(), loss)
    loss.backward()

    def one(weights, image, label):
        return F.cross_entropy(torch.func.functional_call(model, weights, (image[None],)), label[None])

    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    each = torch.func.vmap(torch.func.grad(one), in_dims=(None, 0, 0))(weights, x, y)
    for name, parameter in model.named_parameters():
        error = (each[name].mean(0) - parameter.grad).norm() / parameter.grad.norm()
        assert error < 1e-12
    found = claims.measure("A6")  # without torch.func: one backward for each image
    assert found["relative error of the mean of the images' gradients"] < 1e-12
    assert found["the same with BatchNorm in train mode"] > 0.05


@pytest.fixture(scope="module")
def trained(digits, images):
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.25), nn.Linear(1568, 10)),
    )
    training.fit(model, images, digits.labels, epochs=8)
    return model


def test_A7_the_recipe_predicts_real_digits_from_files(trained, tmp_path):
    test = data.digits(train=False)
    torch.save(trained.state_dict(), tmp_path / "digits.pth")
    loaded = copy.deepcopy(trained)
    for parameter in loaded.parameters():
        parameter.data.zero_()
    loaded.load_state_dict(torch.load(tmp_path / "digits.pth"))
    loaded.eval()
    right = 0
    for row in range(100):
        Image.fromarray(test.images[row, 0].numpy()).save(tmp_path / "digit.png")
        batch = ToTensor()(Image.open(tmp_path / "digit.png")).unsqueeze(0)
        with torch.no_grad():
            right += loaded(batch).argmax(1).item() == test.labels[row].item()
    assert right > 85 and claims.measure("A7")["digits right"] > 85


def test_A7_every_step_is_needed(trained):
    digit = data.digits(train=False).images[0]
    batch = digit[None].float() / 255
    model = copy.deepcopy(trained).train()
    with torch.no_grad():
        assert not torch.allclose(model(batch), model(batch))  # without eval
        model.eval()
        assert torch.equal(model(batch), model(batch))
        assert model(batch).argmax(0).tolist() == [0] * 10  # argmax over the wrong axis
    assert model(batch).requires_grad  # without no_grad
    with pytest.raises(ValueError, match="expected 4D input"):
        model(batch[0])  # without unsqueeze, BatchNorm refuses; without BatchNorm the Linear layer does
    with pytest.raises(RuntimeError, match="8x196 and 1568x10"):
        models.cnn()(batch[0])
    with pytest.raises(TypeError):
        model(Image.fromarray(digit[0].numpy()))  # without ToTensor


def test_A7_a_photograph_goes_through_the_recipe_too(trained):
    photo = Image.open(data.photograph_path())
    to_digit = v2.Compose([v2.Grayscale(), v2.Resize((28, 28)), ToTensor()])
    batch, raw = to_digit(photo).unsqueeze(0), ToTensor()(photo)
    assert batch.shape == (1, 1, 28, 28) and raw.shape == (3, 600, 512)
    with torch.no_grad():
        assert trained.eval()(batch).shape == (1, 10)
        with pytest.raises(RuntimeError, match="to have 1 channels, but got 3 channels"):
            trained(raw.unsqueeze(0))  # without Grayscale
        with pytest.raises(RuntimeError, match=r"\(1x\d+ and 1568x10\)"):
            trained(raw.mean(0)[None, None])  # without Resize


@pytest.fixture
def permutations(monkeypatch):
    """benchmarks/permutations.py as a module: the networks of lesson 06, and how they are trained."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import permutations

    return permutations


def losses(table, title: str, network: str) -> list[float]:
    """Points of accuracy that each order of the pixels costs, as a mean over the seeds."""
    plain, *mixed = (sum(row) / len(row) for row in table[title][network].values())
    return [plain - row for row in mixed]


def test_B1_a_fixed_permutation_costs_a_cnn_with_global_pooling(permutations, digits):
    """Measured anew: five seeds, two permutations."""
    test, build = data.digits(train=False), permutations.NETWORKS["CNN, global max"]
    rows = [[100 * permutations.accuracy(build, order, seed, digits, test) for seed in range(5)] for order in range(3)]
    plain, *mixed = (sum(row) / 5 for row in rows)
    assert 1 < plain - sum(mixed) / 2 < 8
    mean = permutations.NETWORKS["CNN, global mean"]
    assert permutations.accuracy(mean, 0, 0, digits, test) - permutations.accuracy(mean, 1, 0, digits, test) > 0.06


def test_B1_the_table_says_what_the_lesson_says_and_comes_from_these_networks(permutations, digits):
    table, test = json.loads(permutations.RESULTS.read_text()), data.digits(train=False)
    for title, (_, _, seeds, orders) in permutations.RUNS.items():
        assert list(table[title]) == list(permutations.NETWORKS)
        for rows in table[title].values():
            assert [len(row) for row in rows.values()] == [seeds] * (orders + 1)
    for network, rows in table["digits"].items():
        again = 100 * permutations.accuracy(permutations.NETWORKS[network], 1, 0, digits, test)
        assert min(rows["order 1"]) - 3 < again < max(rows["order 1"]) + 3, network
    for title in ("digits", "digits, 30 epochs"):
        assert all(2.5 < loss < 5 for loss in losses(table, title, "CNN, global max"))
        assert all(7 < loss < 21.5 for loss in losses(table, title, "CNN, global mean"))
        assert all(1 < loss < 2.5 for loss in losses(table, title, "CNN, Flatten"))
        assert all(-2 < loss < 0.5 for loss in losses(table, title, "small CNN, Flatten"))
        assert all(abs(loss) < 0.6 for loss in losses(table, title, "MLP"))


def test_B1_by_the_rule_of_the_lesson_global_pooling_falls_and_the_mlp_and_the_colours_do_not(permutations):
    """Seed by seed, all orders together: nine in ten the same way are more than chance."""
    table, counted, sure = json.loads(permutations.RESULTS.read_text()), {}, set()
    for title, networks in table.items():
        for network, (plain, *mixed) in ((name, rows.values()) for name, rows in networks.items()):
            fell = sum(after < before for row in mixed for before, after in zip(plain, row, strict=True))
            rose = sum(after > before for row in mixed for before, after in zip(plain, row, strict=True))
            counted[title, network] = fell, rose
            if max(fell, rose) >= 0.9 * len(plain) * len(mixed):
                sure.add((title, network))
    assert counted["digits", "CNN, Flatten"] == (24, 5) and counted["digits", "MLP"] == (5, 22)  # the lesson's numbers
    found = claims.measure("B1")
    assert all(found[f"trainings in which {name} fell"] == counted["digits", name][0] for name in table["digits"])
    assert found["MLP, pixels and weights in one order, largest difference"] < 1e-4
    assert counted["colours", "small CNN, Flatten"] == (23, 5)
    pooling = {(title, f"CNN, global {kind}") for title in ("digits", "digits, 30 epochs") for kind in ("max", "mean")}
    assert sure == pooling | {("digits, 30 epochs", "CNN, Flatten")}
    assert all(counted[one][1] <= 1 for one in sure)  # down, all of them


def test_B2_grey_pixels_are_uint8_and_become_floats_in_0_to_1(digits):
    image = digits.images[0]
    assert (image.shape, image.dtype, image.min().item()) == ((1, 28, 28), torch.uint8, 0)
    assert image.max() <= 255
    two = torch.tensor([200], dtype=torch.uint8), torch.tensor([100], dtype=torch.uint8)
    assert (two[0] + two[1]).item() == claims.measure("B2")["200 + 100 in uint8"] == 44
    picture = Image.fromarray(image[0].numpy())
    scaled = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])(picture)
    forgotten = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32)])(picture)
    assert torch.allclose(scaled, ToTensor()(picture))
    assert torch.allclose(scaled * 255, forgotten)
    assert scaled.min() >= 0 and 0.5 < scaled.max() <= 1 < forgotten.max()
    assert torch.equal(image.float(), forgotten) and torch.allclose(image.float() / 255, scaled)


def test_B3_colour_images_are_three_planes_in_the_order_rgb():
    colours = data.colours()
    assert colours.images.shape[1:] == (3, 32, 32)
    assert torch.equal(torch.stack(list(colours.images[0])), colours.images[0])
    sky = colours.images[colours.labels == colours.classes.index("backdrop")].float().mean((0, 2, 3))
    assert sky.argmax() == 2  # the blue backdrop is blue in the last plane
    assert claims.measure("B3")["blue of it"] == round(sky[2].item()) > claims.measure("B3")["red of the backdrop"]
    assert sky.flip(0).argmax() == 0  # read as BGR it would be red


def test_B4_imshow_and_layers_want_an_order_and_numpy_none():
    photo = np.array(Image.open(data.photograph_path()))
    img = np.transpose(photo, (2, 0, 1))  # NumPy takes both
    assert (photo.shape, img.shape) == ((600, 512, 3), (3, 600, 512))
    shown = Figure().subplots().imshow(np.transpose(img, (1, 2, 0)))
    assert np.array_equal(shown.get_array(), photo)
    for allowed in (photo[..., 0], photo[..., :1]):
        Figure().subplots().imshow(allowed)
    with pytest.raises(TypeError):
        Figure().subplots().imshow(img)
    found = claims.measure("B4")
    assert found["numbers that np.transpose moves"] == 0
    assert found["orders that a convolution takes, of NCHW and NHWC"] == 1
    assert found["orders that imshow takes, of HWC and CHW"] == 1
    aside = np.transpose(img, (2, 1, 0))  # turned by a quarter and mirrored
    assert aside.shape == (512, 600, 3) and np.array_equal(np.rot90(aside)[::-1], photo)


def test_B4_orders_of_axes_views_and_copies():
    image = torch.arange(3 * 5 * 7).view(3, 5, 7)
    hwc = image.permute(1, 2, 0)
    assert torch.equal(torch.from_numpy(np.transpose(image.numpy(), (1, 2, 0))), hwc)
    assert torch.equal(image.movedim(0, -1), hwc)
    scrambled = image.reshape(5, 7, 3)
    assert scrambled.shape == hwc.shape and not torch.equal(scrambled, hwc)
    for view in (hwc, image.movedim(0, -1), np.transpose(image.numpy(), (1, 2, 0)), image[1:, :, ::2]):
        assert np.shares_memory(view, image)
    assert not np.shares_memory(hwc.reshape(-1), image)
    Figure().subplots().imshow(hwc)
    with pytest.raises(TypeError):
        Figure().subplots().imshow(image)
    batch = torch.rand(4, 3, 8, 8)
    other = batch.to(memory_format=torch.channels_last)
    assert other.shape == batch.shape and torch.equal(other, batch)
    assert other.stride() == (192, 1, 24, 3) != batch.stride()
    assert not np.shares_memory(other, batch)
    row = torch.empty(0).set_(other.untyped_storage())  # all numbers in the order in which they lie
    assert torch.equal(row, batch.permute(0, 2, 3, 1).flatten())
    conv = nn.Conv2d(3, 4, 3)
    assert torch.allclose(conv(batch), conv(other), atol=1e-5)
    with pytest.raises(RuntimeError, match="to have 3 channels, but got 8 channels"):
        conv(batch.permute(0, 2, 3, 1))


def test_B5_linear_acts_on_the_last_axis_of_any_shape():
    layer = nn.Linear(7, 5)
    for shape in ((7,), (64, 7), (64, 1, 7), (2, 3, 4, 7)):
        x = torch.rand(shape)
        assert layer(x).shape == (*shape[:-1], 5)
        assert torch.allclose(layer(x), (layer(x.reshape(-1, 7))).reshape(*shape[:-1], 5), atol=1e-6)
    assert nn.Linear(28, 5)(torch.rand(64, 1, 28, 28)).shape == (64, 1, 28, 5)
    with pytest.raises(RuntimeError, match="1792x28 and 784x128"):  # 64 * 1 * 28 rows
        nn.Linear(784, 128)(torch.rand(64, 1, 28, 28))
    with pytest.raises(RuntimeError, match=r"\(28x28 and 784x128"):  # B is not the cause
        nn.Linear(784, 128)(torch.rand(1, 1, 28, 28))
    assert nn.Linear(784, 128)(torch.rand(64, 1, 784)).shape == (64, 1, 128)
    assert claims.measure("B5")["shapes with several axes that are taken"] == 3


def test_B6_flatten_keeps_the_batch_and_its_cousins_do_not():
    for shape in ((64, 1, 28, 28), (1, 3, 32, 32), (5, 2, 3)):
        x = torch.rand(shape)
        for flat in (nn.Flatten()(x), torch.flatten(x, 1), x.reshape(len(x), -1), x.view(len(x), -1)):
            assert flat.shape == (len(x), x[0].numel())
            assert flat.data_ptr() == x.data_ptr()
        assert torch.flatten(x).shape == x.view(-1).shape == (x.numel(),)
    assert nn.Flatten()(torch.rand(3, 32, 32)).shape == (3, 1024)  # no batch axis: the channels take its place
    found = claims.measure("B6")
    assert (found["batches whose B is kept"], found["rows that one image (3, 32, 32) gives"]) == (3, 3)
    assert torch.rand(64, 1, 28, 28).view(-1, 28).shape == (1792, 28)  # -1 on the batch: as many rows as it can


def test_B6_after_permute_view_fails_reshape_copies_and_the_order_is_another():
    x = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    nhwc = x.permute(0, 2, 3, 1)
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        nhwc.view(2, -1)
    flat = nhwc.reshape(2, -1)
    assert flat.shape == nn.Flatten()(nhwc).shape == nn.Flatten()(x).shape
    assert flat.data_ptr() != x.data_ptr() == nhwc.data_ptr()
    assert not torch.equal(flat, nn.Flatten()(x))
    assert torch.equal(flat.sort(1).values, nn.Flatten()(x))
    grey = torch.rand(4, 1, 6, 6)
    assert torch.equal(nn.Flatten()(grey.permute(0, 2, 3, 1)), nn.Flatten()(grey))  # one channel hides it


def mlp_share(train, test, epochs: int, seed: int, between: nn.Module) -> tuple[nn.Sequential, float]:
    """An MLP of 128 hidden numbers, trained from this start, and the share of the test images that is right."""
    torch.manual_seed(seed)
    layers = nn.Linear(train.images[0].numel(), 128), between, nn.Linear(128, 10)
    model = nn.Sequential(nn.Flatten(), *layers)
    training.fit(model, train.images.float() / 255, train.labels, epochs=epochs)
    return model, training.accuracy(model, test.images.float() / 255, test.labels)


def test_B7_the_mnist_mlp_has_784_inputs_and_learns_digits(digits):
    found = claims.measure("B7")
    assert found["inputs"] == digits.images[0].numel() == 784
    assert found["parameters in the first layer"] == 784 * 128 + 128 == 100_480
    assert found["parameters"] == 101_770
    share = found["right after 15 epochs"] / 100
    assert share > 0.85
    _, straight = mlp_share(digits, data.digits(train=False), 15, 0, nn.Identity())
    assert straight > share - 0.02  # on these digits, ReLU gains nothing


def test_B8_the_cifar_mlp_has_3072_inputs_and_learns_colours_in_their_order_only():
    colours, test = data.colours(), data.colours(train=False)
    found = claims.measure("B8")
    for seed in range(5):
        model, share = mlp_share(colours, test, 10, seed, nn.ReLU())
        if seed == 0:
            assert found["right after 10 epochs"] == pytest.approx(100 * share, abs=1)
        assert 0.77 < share < 0.9  # 80 to 87 %
        if seed in (0, 2):  # without ReLU, where it came nearest
            assert 0.69 < mlp_share(colours, test, 10, seed, nn.Identity())[1] < share  # 72 to 80 %
    first = model[1]
    assert first.in_features == colours.images[0].numel() == 3072
    assert models.parameter_count(first) == 3072 * 128 + 128 == 393_344
    assert models.parameter_count(model) == found["parameters"] == 394_634
    x = test.images.float() / 255
    assert training.accuracy(model, x.permute(0, 2, 3, 1), test.labels) < 0.4  # B6: scrambled, without an error


def test_B7_two_linear_layers_alone_are_one():
    first, last = nn.Linear(784, 128), nn.Linear(128, 10)
    x = torch.rand(64, 784)
    one = x @ (last.weight @ first.weight).T + last(first.bias)
    assert torch.allclose(last(first(x)), one, atol=1e-4)
    assert not torch.allclose(last(first(x).relu()), one, atol=1e-2)


def test_B9_the_weights_know_no_batch_and_only_the_bias_is_broadcast(images):
    torch.manual_seed(0)
    model = models.mlp()
    before = copy.deepcopy(model.state_dict())
    first = model[1]
    with torch.no_grad():
        for b in (1, 2, 7, 64, 128, 784, 1024):
            assert model(images[:b]).shape == (b, 10)
            x = images[:b].flatten(1)
            assert torch.allclose(x @ first.weight.T + first.bias, first(x), atol=1e-4)
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())
    assert claims.measure("B9")["batch sizes that fit"] == 7
    stretched = first.bias.expand(64, 128)
    assert stretched.stride() == (0, 1) and stretched.data_ptr() == first.bias.data_ptr()


def test_B9_a_wrong_product_runs_for_one_batch_size_only():
    torch.manual_seed(0)
    weights, runs = torch.randn(8, 8), []
    for b in range(1, 33):
        x = torch.randn(b, 8)
        try:
            wrong = weights @ x
        except RuntimeError as error:
            assert f"shapes cannot be multiplied (8x8 and {b}x8)" in str(error)
            continue
        runs.append(b)
        assert wrong.shape == (x @ weights).shape and not torch.allclose(wrong, x @ weights, atol=1e-2)
    assert runs == [8] and claims.measure("B9")["batch sizes from 1 to 32 for which weights @ x runs"] == 1
    assert models.mlp()(torch.rand(1, 1, 28, 28)).squeeze().shape == (10,)


MLPS = {(784, 256, 10): ((1, 28, 28), 256), (3072, 512, 10): ((3, 32, 32), 512)}


def rounded(tensors) -> int:
    return sum(-(-tensor.nbytes // 512) * 512 for tensor in tensors)


@pytest.mark.parametrize("sample_shape, hidden", MLPS.values())
def test_B10_parameters_take_four_bytes_each_whatever_the_batch_and_buffers_come_on_top(sample_shape, hidden):
    model = models.mlp(sample_shape, hidden)
    features = torch.Size(sample_shape).numel()
    count = features * hidden + hidden + hidden * 10 + 10
    assert sum(p.nbytes for p in model.parameters()) == 4 * count
    for b in (1, 64, 4096):
        assert memory.trace(model, sample_shape, b, device="cpu").most["parameters"] == 4 * count
        assert memory.trace(model, sample_shape, b).most["parameters"] == rounded(model.parameters())
        in_half = memory.trace(copy.deepcopy(model).bfloat16(), sample_shape, b, device="cpu")
        assert in_half.most["parameters"] == 2 * count
    found = claims.measure("B10")
    assert (found["bytes a parameter, float32"], found["bytes a parameter, bfloat16"]) == (4, 2)
    assert found["buffers of a BatchNorm2d(8)"] == 2 * 8 * 4 + 8


def test_B11_gradients_are_there_from_backward_until_zero_grad(digits, images):
    model = models.mlp()

    def gradients() -> int:
        return sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)

    loss = F.cross_entropy(model(images[:64]), digits.labels[:64])
    assert gradients() == 0
    loss.backward()
    assert gradients() == sum(p.nbytes for p in model.parameters())
    model.zero_grad(set_to_none=False)
    assert gradients() == sum(p.nbytes for p in model.parameters())
    model.zero_grad()
    assert gradients() == 0
    found = claims.measure("B11")
    assert found["gradients after forward"] == found["gradients after zero_grad"] == 0
    assert found["gradients after backward"] == found["parameters"] == sum(p.nbytes for p in model.parameters())
    timeline = memory.trace(model, (1, 28, 28), 64).timeline
    live = {phase: [e.live["gradients"] for e in timeline if e.phase == phase] for phase in ("forward", "backward")}
    assert set(live["forward"]) == {0}
    assert live["backward"] == sorted(live["backward"]) and live["backward"][-1] == rounded(model.parameters())
    assert len(set(live["backward"])) > 2  # they grow layer by layer


def test_B11_a_frozen_parameter_has_no_gradient_and_no_state():
    frozen = resnet18().requires_grad_(False)
    frozen.fc.requires_grad_(True)
    full, few = (memory.trace(net, (3, 224, 224), 32).most for net in (resnet18(), frozen))
    assert full["parameters"] == few["parameters"] == full["gradients"] == rounded(frozen.parameters())
    assert few["gradients"] == rounded(frozen.fc.parameters())
    assert (round(full["gradients"] / 2**20), round(few["gradients"] / 2**20)) == (45, 2)
    assert few["optimizer state"] == 2 * few["gradients"]
    images, labels = torch.rand(2, 3, 64, 64), torch.tensor([0, 1])
    F.cross_entropy(frozen(images), labels).backward()
    assert [name for name, p in frozen.named_parameters() if p.grad is not None] == ["fc.weight", "fc.bias"]


@pytest.mark.parametrize("optimizer, states", {"sgd": 0, "momentum": 1, "adam": 2, "adamw": 2}.items())
def test_B12_B13_what_an_optimizer_keeps_appears_in_the_first_step(optimizer, states, digits, images):
    model = models.mlp()
    parameters = rounded(model.parameters())
    assert memory.trace(model, (1, 28, 28), 64, optimizer=optimizer).most["optimizer state"] == states * parameters
    make = {
        "sgd": torch.optim.SGD,
        "momentum": lambda p: torch.optim.SGD(p, momentum=0.9),
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
    }[optimizer]
    real = make(model.parameters())
    assert not real.state
    F.cross_entropy(model(images[:64]), digits.labels[:64]).backward()
    real.step()
    kept = [t for state in real.state.values() for name, t in state.items() if name != "step" and t is not None]
    assert rounded(kept) == states * parameters
    shown = {"sgd": ("B12", "state / parameters"), "momentum": ("B12", "state / parameters, momentum")}
    name, figure = shown.get(optimizer, ("B13", "state / parameters"))
    assert claims.measure(name)[figure] == states


def test_B13_adam_needs_twice_what_sgd_needs_and_not_three_times():
    for sizes, (sample_shape, hidden) in MLPS.items():
        model = models.mlp(sample_shape, hidden)
        found = claims.measure("B13")
        assert found[f"fixed part, Adam / SGD, {'-'.join(map(str, sizes))}"] == 2
        adam = memory.trace(model, sample_shape, 64, optimizer="adam")
        assert adam.peak_phase == "step" and adam.at_peak["temporaries"] >= adam.most["parameters"]


@pytest.mark.parametrize("batch_size, factor", {1: 2.49, 64: 2.25, 4096: 1.06}.items())
def test_B13_at_the_peak_the_factor_depends_on_the_batch_size(batch_size, factor):
    assert round(claims.measure("B13")[f"peak, Adam / SGD, B = {batch_size}"], 2) == factor


def test_B13_what_step_borrows_is_one_copy_of_the_parameters_and_nothing_when_fused():
    model = models.mlp(hidden=256)
    each = rounded(model.parameters())
    adam, fused = (
        memory.trace(model, (1, 28, 28), 1, optimizer=make)
        for make in ("adam", lambda parameters: torch.optim.Adam(parameters, fused=True))
    )
    assert adam.peak_phase == "step" and adam.at_peak["temporaries"] == pytest.approx(each, rel=0.01)
    assert fused.peaks["step"] == pytest.approx(4 * each, rel=0.01) and fused.peak < 0.81 * adam.peak


@pytest.mark.parametrize("sizes, overstated", {(784, 256, 10): 0.24, (3072, 512, 10): 0.14}.items())
def test_B14_activations_are_what_backward_needs_and_not_every_output(sizes, overstated):
    sample_shape, hidden = MLPS[sizes]
    model = models.mlp(sample_shape, hidden)
    one, two = (memory.trace(model, sample_shape, b).most for b in (1024, 2048))
    slope = sum(two[name] - one[name] for name in ("batch", "activations")) / 1024
    assert slope == 4 * sum(sizes) + 8  # the label is an int64
    found = claims.measure("B14")[f"outputs over what is kept, {'-'.join(map(str, sizes))}"]
    assert found == pytest.approx(100 * overstated, abs=0.5)


def test_B14_relu_shares_gelu_does_not_pooling_keeps_int64_and_dropout_a_mask():
    def kept(*layers, device="cuda") -> list:
        net = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(10))
        net(torch.zeros(2, 1, 8, 8))
        saved = memory.trace(net, (1, 8, 8), 16, device=device).saved
        return [row for row in saved if row.layer != "loss" and not row.shared_with]

    conv = nn.Conv2d(1, 4, 3, padding=1)
    size = 16 * 4 * 8 * 8 * 4
    assert [row.bytes for row in kept(conv, nn.ReLU())] == [size]
    assert [row.bytes for row in kept(conv, nn.GELU())] == [size, size]
    places = [row for row in kept(conv, nn.ReLU(), nn.MaxPool2d(2)) if row.dtype == "int64"]
    assert [row.bytes for row in places] == [2 * size // 4]
    assert claims.measure("B14")["places that max-pooling keeps, over its output"] == 2
    masks = [row for row in kept(conv, nn.ReLU(), nn.Dropout(0.5)) if row.dtype == "bool"]
    assert [row.bytes for row in masks] == [size // 4]
    on_cpu = kept(conv, nn.ReLU(), nn.Dropout(0.5), device="cpu")
    assert [row.bytes for row in on_cpu if "Dropout" in row.layer] == [size]  # there it is a float32


def test_B14_activations_are_proportional_to_the_batch():
    model = models.mlp(hidden=256)
    one, four, eight = (memory.trace(model, (1, 28, 28), b).most["activations"] for b in (128, 512, 1024))
    assert eight - four == pytest.approx(4 * (four - one) / 3, abs=1024)
    assert eight == pytest.approx(8 * one, rel=0.02)


def test_B15_activations_rule_where_a_sample_keeps_more_than_it_weighs_beyond_the_crossover():
    at = memory.any_batch(resnet18(), (3, 224, 224))
    assert memory.crossover_of(at) == 9
    step = at(32)
    assert step.peak_phase == "backward" and step.largest == "activations"
    mib = [round(size / 2**20) for size in (step.at_peak["activations"], step.peak, step.allocated)]
    assert mib == [631, 833, 836]
    found = claims.measure("B15")
    assert [round(found[f"{name} of ResNet-18 at B = 32"]) for name in ("activations", "peak")] == [631, 833]
    assert found["crossover of ResNet-18"] == 9
    assert at(2).peak_phase == "step" and at(3).peak_phase == "backward"
    large = memory.trace(resnet18(), (3, 2048, 2048), 1)  # no batch at all, and too much for a GPU of 1.8 GiB
    assert large.largest == "activations" and round(large.peak / 2**30, 2) == 1.88


def test_B15_what_a_sample_keeps_decides_not_the_depth():
    def at_crossover(model):
        at = memory.any_batch(model, (1, 28, 28))
        crossover = memory.crossover_of(at)
        return crossover, [at(times * crossover) for times in (1, 2, 8)]

    hidden = [layer for _ in range(6) for layer in (nn.Linear(784, 784), nn.ReLU())]
    crossover, steps = at_crossover(nn.Sequential(nn.Flatten(), *hidden, nn.Linear(784, 10)))
    assert crossover == 2692 and {step.largest for step in steps} == {"activations"}
    crossover, steps = at_crossover(models.cnn())  # one convolution
    assert crossover == 6 and all(step.most["activations"] > 10 * step.most["batch"] for step in steps)
    assert {step.largest for step in steps} == {"temporaries"}


def test_B15_the_old_gradients_lift_the_end_of_forward_where_zero_grad_comes_late():
    late = memory.Loop(zero_grad="before backward")
    step = memory.trace(resnet18(), (3, 224, 224), 32, loop=late)
    assert step.peak_phase == "forward" and round(step.peak / 2**20) == 856


@pytest.mark.parametrize("sizes, crossover", {(784, 256, 10): 774, (3072, 512, 10): 1756}.items())
def test_B15_in_the_mlps_it_is_the_batch_itself(sizes, crossover):
    sample_shape, hidden = MLPS[sizes]
    model = models.mlp(sample_shape, hidden)
    assert memory.crossover(model, sample_shape, optimizer="adam") == crossover
    assert claims.measure("B15")[f"crossover of {'-'.join(map(str, sizes))}"] == crossover
    count = sum(a * b + b for a, b in zip(sizes, sizes[1:], strict=False))
    assert -(-16 * count // (4 * sum(sizes) + 8)) == crossover
    at = memory.any_batch(model, sample_shape)
    for b in (1, 64, crossover // 2, crossover, crossover + 1, 2 * crossover, 4096, 8192, 2**16):
        assert at(b).largest == ("batch" if b >= crossover else "optimizer state")
        assert at(b).most["batch"] > at(b).most["activations"]

    def saved(b: int) -> float:
        return 1 - at(b // 2).peak / at(b).peak

    assert saved(64) < 0.03 and saved(8 * crossover) > 0.4


def test_B15_batch_optimizer_and_network_move_the_peak():
    def phase(model, b, optimizer="adam"):
        return memory.trace(model, (1, 28, 28), b, optimizer=optimizer).peak_phase

    mlp = models.mlp(hidden=256)
    assert [phase(mlp, b) for b in (1, 64, 526, 527, 4096)] == ["step"] * 3 + ["backward"] * 2
    assert {phase(mlp, b, "sgd") for b in (1, 64, 4096)} == {"backward"}
    assert {phase(mlp, b, lambda p: torch.optim.Adam(p, fused=True)) for b in (1, 64)} == {"backward"}
    assert {phase(models.cnn(), b) for b in (1, 64)} == {"backward"}  # a network with few parameters


# lesson 09

PHOTO, DIGIT = (3, 224, 224), (1, 28, 28)
CARD = memory.SimulatedGpu("RTX 3070")


def straight_line(at, low, high, room):
    """The largest batch by the line through the peaks of two batch sizes."""
    slope = (at(high).peak - at(low).peak) / (high - low)
    return int((room - at(low).peak + slope * low) // slope)


def test_B16_the_line_is_close_where_backward_has_the_peak_and_the_simulated_card_decides():
    at, found = (
        memory.any_batch(resnet18(), PHOTO, gpu=CARD.name),
        memory.max_batch(resnet18(), CARD.room, PHOTO, gpu=CARD.name),
    )
    assert (found.exact, straight_line(at, 64, 128, CARD.room)) == (337, 343)
    shown = claims.measure("B16")
    assert (shown["ResNet-18 by the search"], shown["ResNet-18 by the sum"]) == (337, 343)
    assert CARD.step(resnet18(), PHOTO, 337).peak_phase == "backward"
    for b in (338, 512):
        with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory. Tried to allocate"):
            CARD.step(resnet18(), PHOTO, b)


def test_B16_below_the_kink_step_has_the_peak_and_a_smaller_batch_saves_nothing():
    wide = models.deep_mlp(DIGIT, 4096, 3)
    at, found = memory.any_batch(wide, DIGIT), memory.max_batch(wide, 700 * 2**20, DIGIT)
    assert (found.exact, found.formula) == (0, 3260) and found.too_large.peak_phase == "step"
    assert at(1).peak > 0.99 * at(2048).peak > 700 * 2**20
    assert not any(at(b).fits(700 * 2**20) for b in range(1, 4000))  # brute force
    assert at(4096).peak_phase == "backward" and at(3072).peak_phase == "step"
    shown = claims.measure("B16")
    assert (shown["wide MLP by the search"], shown["wide MLP by the sum"]) == (16_896, 443_185)
    assert shown["wide MLP: peak at B = 1 over that at 2,048"] > 0.99
    memory_of_sgd = memory.max_batch(wide, 700 * 2**20, DIGIT, optimizer="sgd")
    assert memory_of_sgd.exact > 2048  # what helps is another optimizer


def test_B16_on_an_h100_the_line_says_2_to_22_percent_too_many():
    rows = recorded.rows("limit")
    off = [int(row["straight line"]) / int(row["measured batch"]) - 1 for row in rows]
    assert min(off) > 0.01 and max(off) < 0.22
    found = claims.measure("B16")
    assert [found[f"sum over measured, {which}"] / 100 for which in ("least", "most")] == [min(off), max(off)]
    for row in rows:
        line, searched, measured = (int(row[name]) for name in ("straight line", "predicted batch", "measured batch"))
        assert abs(searched - measured) < abs(line - measured)


@pytest.mark.parametrize(
    "model, shape, b, mib",
    [(resnet18(), PHOTO, 32, (743, 461)), (models.deep_mlp(DIGIT, 4096, 3), DIGIT, 512, (294, 311))],
    ids=["ResNet-18", "wide MLP"],
)
def test_B17_autocast_halves_what_products_keep_and_adds_copies_of_weights(model, shape, b, mib):
    plain, half = (memory.trace(model, shape, b, optimizer="sgd", precision=how) for how in ("fp32", "bf16"))
    assert (round(plain.peak / 2**20), round(half.peak / 2**20)) == mib
    name = {32: "ResNet-18, B = 32", 512: "wide MLP, B = 512"}[b]
    assert tuple(round(claims.measure("B17")[f"{name}, {how}"]) for how in ("fp32", "bf16")) == mib
    for part in ("parameters", "gradients", "optimizer state", "batch"):
        assert half.most[part] == plain.most[part], part
    copies = [row for row in half.saved if "copy of weight" in row.tensor]
    assert copies and {row.dtype for row in copies} == {"bfloat16"}
    pure = memory.trace(copy.deepcopy(model).bfloat16(), shape, b, optimizer="sgd")
    assert pure.peak < 0.55 * plain.peak and pure.most["gradients"] < 0.51 * plain.most["gradients"]


def test_B17_fp16_needs_a_scaler_and_pure_bf16_loses_small_updates():
    bf16, fp16 = (memory.trace(resnet18(), PHOTO, 32, precision=how) for how in ("bf16", "fp16"))
    assert 0 < fp16.peak - bf16.peak <= 2048  # the scaler's numbers
    assert torch.tensor(1e-8).half() == 0 < torch.tensor(1e-8).bfloat16()
    assert torch.tensor(1.0).bfloat16() + 0.001 == 1 < torch.tensor(1.0) + 0.001


def test_B17_B18_time_on_an_h100_depends_on_network_and_batch():
    spent = {(row["model"], row["B"], row["lever"]): float(row["ms/step"]) for row in recorded.rows("levers")}
    half, parts = (
        {key[:2]: spent[key] / spent[*key[:2], "as it is"] for key in spent if key[2] == lever}
        for lever in ("bf16", "accumulate 4")
    )
    for (model, b), share in half.items():
        assert claims.measure("B17")[f"speed of bf16, {model}, B = {b}"] == pytest.approx(1 / share)
    assert half["deep_mlp", "16384"] < 0.15 and half["mlp", "1024"] > 1 and half["resnet18", "128"] > 0.8
    assert all(ratio > 1 for ratio in parts.values())


@pytest.mark.parametrize(
    "micro_batch, scale, network, error",
    [
        (16, "divided by k", "without BatchNorm", 0),
        (24, "weighted by its size", "without BatchNorm", 0),
        (16, "as it is", "without BatchNorm", 3),
        (8, "as it is", "without BatchNorm", 7),
        (24, "divided by k", "without BatchNorm", 0.18),
        (16, "divided by k", "with BatchNorm", 0.25),
    ],
)
def test_B18_accumulation_is_the_large_batch_if_weighted_and_without_batch_norm(micro_batch, scale, network, error):
    found = accumulate(micro_batch, scale, network).error
    assert found == pytest.approx(error, abs=0.005 if error else 1e-15)


def test_B18_the_figures_of_lesson_13():
    found = claims.measure("B18")
    assert found["relative error, 24, 24, 16, weighted"] < 1e-15
    for case, error in {"4 x 16, not divided": 3, "24, 24, 16, divided by k": 0.18, "4 x 16, BatchNorm": 0.25}.items():
        assert found[f"relative error, {case}"] == pytest.approx(error, abs=0.005)
    assert 1 / 4 <= found["peak with k = 4 over that of the batch, CNN"] < 1.1 / 4
    assert found["time with k = 4, least"] > 1


def test_B18_memory_falls_nearly_as_one_over_k():
    cnn = models.cnn((3, 32, 32), 32)
    peaks = {k: memory.trace(cnn, (3, 32, 32), 512, accumulate=k).peak for k in (1, 2, 4, 8, 16)}
    assert all(1 / k <= peak / peaks[1] < 1.1 / k for k, peak in peaks.items())


# lesson 11


@pytest.fixture(scope="module", params=[0, 1])
def moment(request):
    return noise.MOMENTS[request.param]


def gradient_of(model, images, labels) -> torch.Tensor:
    made = torch.autograd.grad(F.cross_entropy(model(images), labels), list(model.parameters()))
    return torch.cat([one.flatten() for one in made])


def test_B19_gradient_noise_falls_as_one_over_the_root_of_b_and_to_nothing_at_n(moment, digits, images):
    """Real batches, each with its own backward, against the formula from the gradients of single images."""
    model, every = noise.trained(moment), noise.samples_at(moment)
    full = gradient_of(model, images, digits.labels)
    generator = torch.Generator().manual_seed(0)
    for b, batches in {1: 400, 16: 200, 256: 60, 1024: 40}.items():
        rows = [torch.randperm(1437, generator=generator)[:b] for _ in range(batches)]
        misses = torch.stack([(gradient_of(model, images[r], digits.labels[r]) - full).norm() for r in rows])
        squares = misses.double().square()
        error = squares.std() / batches**0.5  # of their mean
        assert abs(squares.mean() - every.noise(b) ** 2) < 4 * error and error < 0.15 * squares.mean(), b
    whole = torch.randperm(1437, generator=generator)
    assert (gradient_of(model, images[whole], digits.labels[whole]) - full).norm() < 1e-5 * full.norm()
    assert every.noise(1437) == 0
    assert every.noise(1) / every.noise(64) == pytest.approx(8, rel=0.03)  # the root of 64
    assert every.noise(1024) < 0.6 * every.noise(1) / 32  # most images are in it: less than 1 / root of B


def test_B19_the_noise_scale_is_near_60_at_first_and_larger_after_training():
    start, _, late = (noise.samples_at(name).noise_scale for name in noise.MOMENTS)
    assert 50 < start < 75 and late > 1.5 * start
    for moment in noise.MOMENTS:
        every = noise.samples_at(moment)
        b = round(every.noise_scale)
        assert every.noise(b) == pytest.approx(every.length, rel=0.1)


def test_B19_the_noise_scale_jumps_and_is_larger_after_20_epochs_than_at_the_start():
    start, first, late = ([noise.scale_after(epochs, seed) for seed in range(3)] for epochs in (0, 1, 20))
    assert all(44 <= scale <= 68 for scale in start + first)
    assert round(min(late)) == 76 and round(max(late)) == 325
    assert all(after > before for before, after in zip(start, late, strict=True))


def test_B19_two_batch_sizes_give_the_noise_scale_and_a_little_more():
    """Nobody is asked twice, so the line in 1/B is a little lower: by trace / (N - 1), whatever the two sizes are."""
    every = noise.samples_at(noise.MOMENTS[2])
    for pair in ((1, 2), (16, 256), (64, 1400)):
        found = check.noise_scale.right(*((b, every.length**2 + every.noise(b) ** 2) for b in pair))
        assert (round(every.noise_scale), round(found)) == (194, 224)


def test_B19_with_the_best_rate_for_each_b_the_steps_saved_bend_at_the_noise_scale():
    best = {need.batch_size: need.steps for need in batch_size.fewest("digits", "steps")}
    saved = [round(best[b] / best[4 * b], 1) for b in (1, 4, 16, 64)]
    assert saved == [4.5, 3.1, 2.0, 1.2]
    assert 16 < noise.samples_at(noise.MOMENTS[0]).noise_scale < 256


def test_B19_which_batch_is_quickest_depends_on_the_rule():
    quickest = [batch_size.needed("digits, low rate", rule).least("seconds").batch_size for rule in batch_size.RULES]
    assert quickest == [16, 256, 64]
    needed = {line.batch_size: line for line in batch_size.needed("digits, low rate", "sqrt").lines}
    assert 1 < needed[16].seconds / needed[64].seconds < 1.05
    for rule in ("fixed", "sqrt"):  # in images as quick or quicker, in steps slower
        images = [line for line in batch_size.needed("digits, low rate", rule).lines if line.steps]
        assert [line.examples for line in images] == sorted(line.examples for line in images)
        assert [line.steps for line in images] == sorted((line.steps for line in images), reverse=True)
    times = batch_size.step_times("digits, low rate")
    assert 3 < 1 / times[1][0] < 3.5  # 64 images against one


def test_B19_slow_by_steps_is_not_slow_by_examples():
    """Digits, an MLP, plain SGD, five seeds: with a rate in step with B, the same examples teach the same, up to 64."""
    lines = {line.batch_size: line for line in batch_size.needed("digits, low rate", "linear").lines}
    small = [lines[size] for size in (1, 4, 16, 64)]
    assert all(line.reached == 5 for line in small)
    assert max(line.examples for line in small) < 1.1 * min(line.examples for line in small)
    for few, more in zip(small, small[1:], strict=False):
        assert few.steps > 3.5 * more.steps and few.seconds > 1.5 * more.seconds
    ends = {line.batch_size: line for line in batch_size.curves("digits, low rate", "loss", "steps", "linear").lines}
    assert ends[1].middle[-1] > 10 * ends[64].middle[-1]
    assert batch_size.needed("digits, low rate", "linear").least("seconds").batch_size == 256
    assert lines[1437].reached == 0  # 22 times the rate is too much


def test_B19_with_a_fixed_rate_more_images_in_a_batch_buy_few_steps_beyond_64():
    lines = {line.batch_size: line for line in batch_size.needed("digits, low rate", "fixed").lines}
    assert lines[1437].steps == pytest.approx(lines[64].steps, rel=0.1)
    assert lines[1437].examples > 20 * lines[64].examples and lines[1437].seconds > 10 * lines[64].seconds
    assert lines[4].examples < 0.2 * lines[64].examples and lines[4].seconds < lines[64].seconds
    assert lines[1].reached == 0  # the same rate is too much for one image at a time


@pytest.mark.parametrize("data_", ["digits", "colours"])
def test_B19_from_the_best_rate_at_64_rules_work_downwards_only(data_):
    """The rate that is best at 64 is near the largest that can be trained at all."""
    fixed, linear = (batch_size.curves(data_, rule=rule).lines for rule in ("fixed", "linear"))
    assert [line.learns for line in linear] == [True] * 4 + [False] * 2
    assert not fixed[0].learns and all(line.learns for line in fixed[2:])


def test_B19_an_example_costs_more_in_a_small_batch():
    """On the CPU, one thread: what a step costs beside its images."""
    for data_ in batch_size.DATA:
        each = [ratio / size for size, (ratio, _, _) in batch_size.step_times(data_).items()]
        assert each == sorted(each, reverse=True) or each[-1] < each[0] / 10
        assert each[0] > 10 * each[3]


def test_B20_at_the_same_training_loss_the_test_accuracy_does_not_depend_on_the_batch():
    """Digits and colours, an MLP, plain SGD, three rules, five seeds: no difference beyond what the seeds differ."""
    for data_ in batch_size.DATA:
        for rule in batch_size.RULES:
            found = batch_size.endings(data_, rule, "loss")
            assert len(found.there) >= 4 and not found.differs("accuracy"), (data_, rule)
            assert "no difference" in found.verdict("accuracy")
            for one, other in combinations((row.accuracy for row in found.there), 2):
                assert max(one) >= min(other) and max(other) >= min(one)  # nor between any other two sizes
    assert all(abs(batch_size.correlations(data_, "accuracy")["B"]) < 0.25 for data_ in batch_size.DATA)


def test_B20_after_the_same_examples_a_large_batch_is_behind_because_it_has_taken_few_steps():
    for data_ in ("digits", "colours"):
        same_examples, same_steps = (batch_size.endings(data_, "fixed", at) for at in ("examples", "steps"))
        assert "lower at the largest B in every run" in same_examples.verdict("accuracy")
        assert min(same_steps.there[-1].accuracy) > max(same_examples.there[-1].accuracy) + 0.08
        assert min(same_steps.there[-1].accuracy) >= max(same_steps.there[0].accuracy) - 0.005
    rows = batch_size.endings("digits, low rate", "fixed", "examples").rows
    means = {row.batch_size: f"{100 * mean(row.accuracy):.1f}" for row in rows}
    assert (means[1437], means[4]) == ("75.7", "92.5")


def test_B20_sharper_with_a_fixed_rate_on_the_digits_but_not_on_the_colours_or_by_the_linear_rule():
    for data_ in ("digits", "digits, low rate"):
        found = batch_size.endings(data_, "fixed", "loss")
        assert "higher at the largest B in every run" in found.verdict("sharpness")
        assert found.correlation("sharpness") > 0.8
    assert not batch_size.endings("colours", "fixed", "loss").differs("sharpness")
    for data_ in batch_size.DATA:  # here the rate rises with the batch
        found = batch_size.endings(data_, "linear", "loss")
        assert "lower at the largest B in every run" in found.verdict("sharpness")
    low = batch_size.endings("digits, low rate", "linear", "loss").there[:4]
    middles = [sorted(row.sharpness)[2] for row in low]
    assert max(middles) < 1.2 * min(middles)  # from 1 to 64
    last = batch_size.endings("digits, low rate", "linear", "loss").there[-1]
    limit = 2 / last.learning_rate
    assert limit == 5 and f"{min(last.sharpness):.1f} {max(last.sharpness):.1f}" == "4.4 6.6"


def test_B20_a_rate_above_2_over_the_sharpness_lands_farther_off():
    """In the valley 5 w²; and in the stored runs with little noise: they end below or around 2 / rate."""
    for rate, nearer in ((0.05, True), (0.15, True), (0.25, False)):
        assert (abs(1 - rate * 10) < 1) == nearer == (rate < 2 / 10)
    for data_ in ("digits", "digits, low rate"):
        for rule in batch_size.RULES:
            for row in batch_size.endings(data_, rule, "loss").rows[4:]:  # little noise
                reached = 2 / row.learning_rate
                assert all(value < 1.55 * reached for value in row.sharpness)
                assert bool(row.sharpness) == (reached > 2.5 + 1e-9)


def test_B20_a_large_batch_is_stable_only_where_the_rate_lets_it_be():
    """From a quarter of the best rate all sizes learn by "fixed" and "sqrt"; times 22, none does."""
    for rule, learns in (("fixed", 5), ("sqrt", 5), ("linear", 0)):
        line = batch_size.curves("digits, low rate", rule=rule).lines[-1]
        assert line.batch_size == 1437 and line.seeds - line.diverged == learns


def test_B20_the_same_network_can_be_written_sharper():
    net, digits = noise.trained(noise.MOMENTS[1]), data.digits()
    images, labels = digits.images.float() / 255, digits.labels
    before, logits = sharpness(net, images, labels).value, net(images)
    with torch.no_grad():
        for numbers, factor in ((net[1].weight, 5), (net[1].bias, 5), (net[3].weight, 1 / 5)):
            numbers *= factor
    assert torch.allclose(net(images), logits, atol=1e-3)
    assert sharpness(net, images, labels).value > 3 * before


def test_B21_batch_and_width_move_the_peak_and_depth_only_where_nothing_is_pooled():
    peak = {depth: capstone.preview(capstone.Design(depth=depth)).peak for depth in (2, 3, 4, 5)}
    assert max(peak.values()) < 1.01 * min(peak.values())  # each pooling leaves a quarter to the layers behind it
    assert capstone.preview(capstone.Design(width=32)).peak == pytest.approx(2 * peak[2], rel=0.1)
    assert capstone.preview(capstone.Design(batch_size=32)).peak == pytest.approx(peak[2] / 2, rel=0.02)
    assert capstone.preview(capstone.Design(checkpointing=True)).peak == peak[2]  # the first block has it anyway

    def unpooled(depth: int) -> int:
        convolutions = [nn.Conv2d(3 if place == 0 else 16, 16, 3, padding=1) for place in range(depth)]
        layers = [layer for convolution in convolutions for layer in (convolution, nn.ReLU())]
        return memory.trace(nn.Sequential(*layers, nn.Flatten(), nn.Linear(16384, 10)), (3, 32, 32), 64).peak

    assert unpooled(8) > 1.5 * unpooled(4)


def test_B21_the_figures_that_lesson_12_states():
    found = {figure.name: round(figure.value, 2) for figure in claims.measure("B21").figures}
    assert (found["depth 1, pooling"], found["depth 5, pooling"]) == (13.07, 12.83)
    assert (found["depth 1, no pooling"], found["depth 5, no pooling"]) == (12.76, 28.8)
    alone = round(capstone.preview(capstone.Design(batch_size=16)).peak / 2**20, 2)
    assert found["64 images in 4 parts"] == alone == 3.29


def test_B21_memory_is_paid_for_with_time_and_time_with_what_is_learned():
    def judged(**how) -> capstone.Report:
        return capstone.judge(capstone.Design(width=8, optimizer="adam", learning_rate=5e-3, epochs=1, **how))

    whole, parts, large = judged(batch_size=8), judged(batch_size=8, micro_batches=4), judged(batch_size=128)
    assert parts.peak < 0.4 * whole.peak and parts.time > 1.4 * whole.time  # less memory takes longer …
    assert parts.losses[0] == pytest.approx(whole.losses[0], rel=0.1)  # … and learns the same
    assert large.peak > 14 * whole.peak and large.time < whole.time / 1.3  # a large batch is quicker …
    assert large.losses[0] > 1.3 * whole.losses[0]  # … and learns less: it takes fewer steps
