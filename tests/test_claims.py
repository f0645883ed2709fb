"""One measuring test for each claim of the course; its name begins with the claim's id. Lesson 08 will print these."""

import copy
import pickle

import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torchvision.transforms import ToTensor, v2

from helpers import batches, data, models, training


@pytest.fixture(scope="module")
def digits():
    return data.digits()


@pytest.fixture(scope="module")
def images(digits):
    return digits.images.float() / 255


def fails(layer: nn.Module, x: torch.Tensor) -> bool:
    try:
        layer(x)
    except (RuntimeError, ValueError):
        return True
    return False


def test_A1_one_model_takes_every_batch_size_and_rows_are_independent(digits, images):
    torch.manual_seed(0)
    model = models.cnn()
    before = copy.deepcopy(model.state_dict())
    for b in (1, 2, 3, 64, 1024):
        assert batches.batch_facts(digits.images, model, b).output_shape == (b, 10)
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())

    norm = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8))
    norm(images[:64])  # fills the running figures
    with torch.no_grad():
        for net, mode, expected in ((model, False, True), (norm, False, True), (norm, True, False)):
            net = copy.deepcopy(net).train(mode)
            together = net(images[:8])
            alone = torch.cat([net(images[i : i + 1]) for i in range(8)])
            assert torch.allclose(together, alone, atol=1e-5) is expected


def test_A1_several_samples_go_backward_at_once(digits, images):
    model = models.cnn()
    F.cross_entropy(model(images[:64]), digits.labels[:64]).backward()
    assert all(parameter.grad.shape == parameter.shape for parameter in model.parameters())


def test_A2_layers_differ_without_the_batch_axis():
    grey, colour = torch.rand(1, 28, 28), torch.rand(3, 32, 32)
    assert nn.Conv2d(1, 8, 3, padding=1)(grey).shape == (8, 28, 28)
    assert fails(nn.BatchNorm2d(1), grey)
    assert models.mlp()(grey).shape == (1, 10)  # silent: the channel plays the batch
    assert fails(models.mlp((3, 32, 32)), colour)
    assert fails(models.cnn(), grey)
    for model, image in ((models.mlp(), grey), (models.cnn(), grey), (models.mlp((3, 32, 32)), colour)):
        assert model(image[None]).shape == (1, 10)  # with the axis, one sample is no special case


def test_A3_samples_per_second_rise_with_the_batch_and_flatten(images):
    mlp, cnn = models.mlp(), models.cnn()

    def ratio(model: nn.Module, b: int) -> float:
        """Samples per second at B = b, as a ratio to B = 1."""
        with torch.no_grad():
            return b * training.seconds(lambda: model(images[:1])) / training.seconds(lambda: model(images[:b]))

    assert ratio(mlp, 256) > 4  # measured here: above 15
    assert ratio(cnn, 256) < ratio(mlp, 256)  # more work in a sample, less to gain
    with torch.no_grad():
        last = training.seconds(lambda: mlp(images[:1024])) / training.seconds(lambda: mlp(images[:512]))
    assert last > 1.3  # near 2: doubling the batch nearly doubles the time, so the curve has flattened


def test_A4_one_copy_beats_many(images):
    source, target = images[:1024], torch.empty(1024, 1, 28, 28)
    many = training.seconds(lambda: [target[i].copy_(source[i]) for i in range(1024)])
    assert many > 2 * training.seconds(lambda: target.copy_(source))  # measured here: above 10
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
    assert training.seconds(loop) > 1.5 * training.seconds(lambda: step(colours))
    whole = (colours - mean) / std
    assert torch.allclose(whole.mean((0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(whole.std((0, 2, 3)), torch.ones(3), atol=1e-4)


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
    assert right > 85


def test_A7_loading_a_whole_model_is_refused(trained, tmp_path):
    torch.save(trained, tmp_path / "model.pth")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "model.pth")


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
    with torch.no_grad():
        chances = trained.eval()(to_digit(photo).unsqueeze(0)).softmax(1)
    assert chances.shape == (1, 10)
    assert chances.sum().item() == pytest.approx(1, abs=1e-5)
