"""Whatever a public function is given, it answers in a sentence, or it works; and soon.

Every parameter of every public function is driven with every value of `HOSTILE`, the others being as in `VALID`. The
functions come from the rooms that `helpers/__init__` names, the parameters from their signatures.
"""

import dataclasses
import gc
import importlib
import inspect
import re
import signal
import tempfile
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch
from ipywidgets import Widget
from PIL import Image
from test_originals import small_mnist, write
from tools import out_of_memory
from torch import nn

import helpers
from helpers import accumulate, batch_size, capstone, claims, data, memory, models, noise, originals, panels, split
from helpers.problems import Problem

if not hasattr(signal, "setitimer"):
    pytest.skip("no timers here, so a call that never ends would stop the tests", allow_module_level=True)

#: Rooms with tests of their own: the exercise checks, and what a person runs from a terminal.
ELSEWHERE = {"check", "course", "environment", "authoring"}


# Hostile values ------------------------------------------------------------------------------------------------------


class Hostile:
    """Raises whatever is asked of it."""

    def _refuse(self, *_):
        raise RuntimeError("no")

    __repr__ = __str__ = __index__ = __float__ = __len__ = __iter__ = __fspath__ = __bool__ = __eq__ = _refuse
    __hash__ = object.__hash__


class LyingList(list):
    def __len__(self):
        return 4


class Text(str):
    """A str that is none of ours."""


class Model(nn.Module):
    """Returns what it is told to, whatever it is given; raises it if it is an exception."""

    def __init__(self, answer):
        super().__init__()
        self.weight, self.answer = nn.Parameter(torch.ones(1)), answer

    def forward(self, _):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Unready(nn.Module):
    def __init__(self):
        pass


class Speechless(Exception):
    def __str__(self):
        raise RuntimeError("no")


def around(module: nn.Module) -> nn.Module:
    module.inner = module
    return module


loop: list = []
loop.append(loop)
HOSTILE = {
    "None": None, "...": ..., "True": True, "-1": -1, "0": 0, "2.5": 2.5, "nan": float("nan"), "inf": float("inf"),
    "2**62": 2**62, "10**400": 10**400, "-10**5000": -(10**5000), "1j": 1j,
    "''": "", "text": "text", "long text": "x" * 10**6, "NUL": "\0", "str of another kind": Text("text"),
    "bytes": b"", "[]": [], "()": (), "{}": {}, "set": {1}, "(None,)": (None,), "(2.5, 0)": (2.5, 0),
    "(2**40, 2**40)": (2**40, 2**40), "65 axes": (1,) * 65, "loop": loop, "lying list": LyingList([1]),
    "{'a': object()}": {"a": object()}, "slice": slice(8), "object()": object(), "hostile": Hostile(),
    "list of hostile": [Hostile()], "int": int,
    "Linear": nn.Linear, "function": lambda *_: None, "raises": lambda *_: 1 / 0, "module": torch,
    "array": np.zeros((2, 1, 4, 4)), "array ()": np.array(3.5), "array of objects": np.array([None, "a"], dtype=object),
    "0-dim float": torch.tensor(2.5), "bool tensor": torch.tensor(True), "two numbers": torch.tensor([1, 2]),
    "gradient": torch.rand(2, 1, 4, 4, requires_grad=True), "meta": torch.empty(2, 1, 4, 4, device="meta"),
    "uint8 on meta": torch.empty(2, 1, 4, 4, dtype=torch.uint8, device="meta"), "no rows": torch.empty(0, 1, 4, 4),
    "no pixels": torch.empty(2, 1, 0, 4, dtype=torch.uint8), "sparse": torch.eye(4)[None, None].to_sparse(),
    "complex": torch.zeros(2, 1, 4, 4, dtype=torch.complex64), "bfloat16": torch.zeros(3, 4, 4, dtype=torch.bfloat16),
    "huge": torch.zeros(1, dtype=torch.uint8).expand(2**20, 1, 2**10, 2**10),
    "long": torch.zeros(1, dtype=torch.int64).expand(2**45), "image": torch.zeros(3, 4, 4),
    "columns of labels": torch.tensor([[0], [1]]), "float labels": torch.tensor([0.0, 1.0]),
    "label -100": torch.tensor([0, -100]), "label 99": torch.tensor([0, 99]), "int8": torch.zeros(2, dtype=torch.int8),
    "model of None": Model(None), "model of two": Model((torch.zeros(2, 2),) * 2),
    "model of one row": Model(torch.ones(1)),
    "model that raises": Model(Speechless()), "model without init": Unready(), "lazy": nn.LazyLinear(2),
    "layer without init": nn.Sequential(Unready()),
    "no parameters": nn.Flatten(), "wrong size": nn.Linear(3, 2), "model on meta": nn.Linear(4, 2, device="meta"),
    "model in itself": around(nn.Linear(4, 2)), "frozen": nn.Linear(4, 2).requires_grad_(False),
}  # fmt: skip


# Valid values --------------------------------------------------------------------------------------------------------


def pixels() -> torch.Tensor:
    return torch.arange(2 * 16, dtype=torch.uint8).view(2, 1, 4, 4)


def numbers() -> torch.Tensor:
    return torch.arange(6).view(2, 3)


def network() -> nn.Module:
    return models.mlp((1, 4, 4), 3, 2)


@cache
def mnist_folder() -> Path:
    folder = Path(tempfile.mkdtemp())
    write(folder / "MNIST" / "raw", small_mnist())
    return folder


@cache
def own_folder() -> Path:
    folder = Path(tempfile.mkdtemp())
    for place in range(10):
        (folder / "ab"[place % 2]).mkdir(exist_ok=True)
        Image.fromarray(np.full((9, 9, 3), place, np.uint8)).save(folder / "ab"[place % 2] / f"{place}.png")
    return folder


def to_train() -> dict:
    return {"model": network(), "images": pixels().float(), "labels": torch.tensor([0, 1])}


def to_trace() -> dict:
    return {"model": network(), "sample_shape": (1, 4, 4)}


@cache
def traced() -> memory.Trace:
    return memory.trace(network(), (1, 4, 4), 2)


@cache
def sample_gradients() -> noise.SampleGradients:
    return noise.per_sample(**to_train())


@cache
def every_batch():
    return memory.any_batch(**to_trace())


@cache
def two_sets():
    return (data.ImageSet("mine", pixels().repeat(40, 1, 1, 1), torch.tensor([0, 1]).repeat(40), ("a", "b")),) * 2


@cache
def judged():
    return capstone.judge(capstone.Design(width=1, epochs=1), two_sets())


def one_number(rank, ranks):
    return rank


PANELS = [name for name in vars(panels) if name[0].isupper() and name != "Panel"]
#: For each public function what it must be given: what is missing here has a default, and is driven as well.
VALID = {
    "problems.InWords": dict,
    "problems.labelled": lambda: {"images": pixels(), "labels": torch.tensor([0, 1])},
    "problems.shown": lambda: {"value": 1},
    "problems.said": lambda: {"error": ValueError("no")},
    "problems.words_of": lambda: {"error": ValueError("no")},
    "problems.whole_number": lambda: {"name": "n", "value": 1, "low": 0},
    "problems.whole_numbers": lambda: {"name": "n", "value": (1,), "low": 0, "wanted": "sizes"},
    "problems.number": lambda: {"name": "n", "value": 1.5, "low": 0, "high": 2, "example": 1},
    "problems.true_or_false": lambda: {"name": "n", "value": True},
    "problems.one_of": lambda: {"name": "n", "value": "a", "allowed": ("a",)},
    "problems.instance_of": lambda: {"name": "n", "value": 1, "kind": int, "example": "1"},
    "problems.folder_path": lambda: {"name": "n", "value": "text"},
    "problems.tensor_of": lambda: {"name": "n", "value": pixels(), "axes": "N, ...", "example": "images"},
    "problems.network": lambda: {"name": "n", "value": network()},
    "problems.layer_name": lambda: {"name": "0", "module": network()},
    "folders.lessons_folder": dict,
    "folders.work_folder": dict,
    "folders.lesson_names": lambda: {"folder": Path()},
    "folders.script_names": lambda: {"folder": Path()},
    "folders.lesson_file": lambda: {"name": "split_batch.py"},
    "units.bytes_of": lambda: {"shape": (2, 3)},
    "units.readable": lambda: {"n_bytes": 3},
    "units.exact_and_readable": lambda: {"n_bytes": 3},
    "data.ImageSet": lambda: {
        "name": "mine",
        "images": pixels(),
        "labels": torch.tensor([0, 1]),
        "classes": ("a", "b"),
    },
    "data.ImageSet[i]": lambda: {"i": 0},
    "data.photograph": dict,
    "data.photograph_path": dict,
    "data.digits": dict,
    "data.colours": dict,
    "own_images.load": lambda: {"path": own_folder()},
    "originals.load": lambda: {"name": "mnist", "train": True, "folder": mnist_folder(), "make": data.ImageSet},
    "models.mlp": dict,
    "models.deep_mlp": dict,
    "models.cnn": dict,
    "models.deep_cnn": dict,
    "models.parameter_count": lambda: {"model": network()},
    "models.without_bytes": dict,
    "models.kept_modes": lambda: {"model": network()},
    "training.fit": lambda: to_train() | {"epochs": 1},
    "training.accuracy": to_train,
    "training.seconds": lambda: {"work": lambda: None, "at_least": 1e-4},
    "batch.batch_facts": lambda: {"images": pixels(), "model": network(), "batch_size": 2},
    "layout.layout": lambda: {"image": pixels()[0], "code": "image"},
    "layout.offset": lambda: {"index": (1, 2), "strides": (4, 1)},
    "layout.walk": lambda: {"shape": (2, 3, 4, 5), "index": (0, 0, 0, 0)},
    "shape_flow.shape_flow": lambda: {"images": pixels(), "in_features": 16},
    "memory.trace": to_trace,
    "memory.any_batch": to_trace,
    "memory.any_batch(…)": lambda: {"batch_size": 2},
    "memory.measure": to_trace,
    "memory.max_batch": lambda: to_trace() | {"capacity": 2**16},
    "memory.crossover": to_trace,
    "memory.crossover_of": lambda: {"at": every_batch()},
    "memory.watch": dict,
    "step_memory.step_memory": lambda: {"model": "digits MLP", "batch_size": 8},
    "step_memory.is_slow": lambda: {"model": "digits MLP"},
    "memory.max_batch_of": lambda: {"at": every_batch(), "capacity": 2**25},
    "accumulate.accumulate": dict,
    "recorded.permutations": dict,
    "recorded.text": lambda: {"name": "permutations.json"},
    "recorded.rows": lambda: {"what": "speed"},
    "recorded.shares": lambda: {"column": "ms/step", "levers": ["bf16"]},
    "recorded.largest_batches": lambda: {"names": ["resnet18"]},
    "will_it_fit.will_it_fit": lambda: {"gpu": "T4", "model": "digits MLP"},
    "will_it_fit.is_slow": lambda: {"gpu": "T4", "model": "digits MLP"},
    "will_it_fit.network": lambda: {"model": "digits MLP"},
    "models.in_blocks": lambda: {"layers": network()},
    "capstone.preview": lambda: {"design": capstone.Design(width=1)},
    "capstone.judge": lambda: {"design": capstone.Design(width=1, epochs=1), "data": two_sets()},
    "processes.launch": lambda: {"script": "split_batch.py"},
    "processes.run": lambda: {"function": one_number},
    "sharpness.sharpness": lambda: to_train() | {"most": 3},
    "batch_size.learning_rate": lambda: {"batch_size": 8},
    "batch_size.rule_in_words": dict,
    "batch_size.correlations": dict,
    "batch_size.all_steps": lambda: {"batch_size": 8},
    "batch_size.train": lambda: {"batch_size": 8, "steps": 3},
    "batch_size.is_recorded": lambda: {"step": 8},
    "batch_size.one_step": lambda: {"batch_size": 8},
    "batch_size.stored": lambda: {"batch_size": 16},
    "batch_size.step_times": dict,
    "batch_size.curves": dict,
    "batch_size.needed": dict,
    "batch_size.fewest": dict,
    "batch_size.endings": dict,
    "split.split": lambda: {"model": "digits MLP", "global_batch": 8},
    "split.is_slow": lambda: {"model": "digits MLP"},
    "split.shard_bytes": lambda: {"shapes": [(3, 2)], "rank": 0, "ranks": 2, "sharding": "FSDP"},
    "split.held": lambda: {"model": network(), "optimizer": torch.optim.Adam(network().parameters())},
    "noise.per_sample": to_train,
    "noise.gradient_noise": lambda: {"samples": sample_gradients(), "batch_size": 2},
    "noise.samples_at": lambda: {"moment": "at the start"},
    "noise.trained": lambda: {"moment": "at the start"},
    "noise.scale_after": lambda: {"epochs": 0},
    "noise.is_slow": lambda: {"moment": "at the start"},
    "claims.measure": lambda: {"name": "B12"},
    "claims.table": lambda: {"lesson": "01"},
    "progress.overview": lambda: {"folder": ".", "run": "01"},
    "progress.is_slow": lambda: {"run": "01", "folder": "."},
    "claims.is_slow": lambda: {"lesson": "01"},
    "figures.tiles": lambda: {"images": pixels(), "columns": 2, "rows": 1},
    "figures.tile_grid": lambda: {"batch_size": 8},
    "figures.image_row": lambda: {"images": pixels(), "titles": ("a", "b"), "sentence": "Two."},
    "figures.imshow_row": lambda: {"arrays": {"plane": pixels()[0, 0]}, "sentence": "One."},
    "figures.order_picture": lambda: {"height": 2, "width": 4},
    "figures.block_picture": lambda: {"images": pixels()},
    "figures.layers_picture": lambda: {"model": network(), "inputs": {"two images": pixels().float()}},
    "figures.norm_picture": lambda: {"maps": pixels().float()},
    "figures.memory_row": lambda: {"tensors": {"x": torch.arange(6)}},
    "figures.bars": lambda: {"sizes": {"a photograph": 921_600}, "sentence": "One."},
    "figures.read_error": lambda: {"text": "got (3, 4)", "parts": {"(3, 4)": "the shape"}},
    "figures.entry_picture": lambda: {"a": numbers(), "b": numbers().T, "row": 0, "column": 1},
    "figures.product_picture": lambda: {"left": (64, 784), "right": (784, 128), "bias": True},
    "figures.unroll_picture": lambda: {"image": data.digits().images[0]},
    "figures.features_picture": lambda: {"image": numbers().reshape(3, 1, 2)},
    "figures.broadcast_picture": lambda: {"shapes": {"batch": (2, 3, 4, 4), "mean": (3,)}},
    "figures.curves": lambda: {"lines": {"MLP": {1: 1.0, 2: 1.5}}, "x": "batch size B", "y": "MiB", "sentence": "One."},
    "figures.spread": lambda: {
        "groups": {"MLP": {"as they are": [89.0, 90.0]}},
        "x": "accuracy in %",
        "sentence": "One.",
    },
    "figures.speed_up": lambda: {"ratios": {"MLP": {1: 1.0, 2: 1.5}}},
    "figures.gpu_boxes": lambda: {"allocated": 1, "reserved": 2, "in_use": 3, "capacity": 4},
    "figures.out_of_memory": lambda: {"text": out_of_memory()},
    "figures.peak_against_batch": lambda: {"at": every_batch(), "batches": (1, 8), "title": "MLP"},
    "figures.memory_bar": lambda: {"trace": traced()},
    "figures.step_timeline": lambda: {"trace": traced()},
    "figures.kept_picture": lambda: {"trace": traced()},
    "figures.design_picture": lambda: {"of": capstone.preview(capstone.Design(width=1))},
    "hand_in.page": lambda: {"report": judged()},
    "hand_in.write_report": lambda: {"report": judged(), "path": "report.html"},
    "figures.split_picture": lambda: {"split": split.split("digits MLP", 8)},
    "figures.noise_picture": lambda: {"noise": noise.gradient_noise(sample_gradients(), 2)},
    "figures.strips_picture": lambda: {"trace": traced(), "names": ["parameters"]},
    "figures.levers_picture": lambda: {"steps": {"now": traced(), "bf16": traced()}, "sentence": "Two."},
    "figures.curves_picture": lambda: {"curves": batch_size.curves()},
    "figures.endings_picture": lambda: {"endings": batch_size.endings()},
    "figures.claims_picture": lambda: {"table": claims.table("01")},
    "figures.verdicts_picture": lambda: {"table": claims.table("01")},
    "figures.accumulate_picture": lambda: {"accumulated": accumulate.accumulate()},
} | {f"panels.{name}{part}": dict for name in PANELS for part in ("", ".set")}
#: What the authors of the course write, not a learner: the texts and bounds of guards, and the recipe of all panels.
OURS = set(["name", "low", "high", "allowed", "kind", "example", "wanted", "counts", "what", "axes", "dtype", "most"])
NO_DOOR = {"panels.Panel", "panels.number", "panels.choice", "panels.doublings"}


#: Not a fault: what the iteration protocol wants of a number that is too large.
RIGHT_ERRORS = {"data.ImageSet[i]": IndexError}
#: Takes as many seconds as it is told to.
SLOW = {"training.seconds.at_least": {"2.5", "0-dim float", "array ()"}}
SLOW |= {"processes.launch.port": {"None"}}  # as if it were left out: the valid values show that
SLOW |= {"batch_size.train.steps": {"None"}}  # a whole run: tests/test_batch_size.py has one
#: Rooms in which every hostile value that gives a result stands in `TAKEN`, so that none is taken by mistake.
LISTED = {"units", "data", "originals", "models", "training", "batch", "layout", "shape_flow"}
TEXTS = {"text", "str of another kind"}
UNREADY = {"lazy", "model without init", "layer without init"}
MODELS = {label for label, value in HOSTILE.items() if isinstance(value, nn.Module)} - UNREADY
TAKEN = {
    "units.bytes_of.shape": {"()", "[]", "lying list"},
    "units.readable.n_bytes": {"0", "2**62"},
    "units.exact_and_readable.n_bytes": {"0", "2**62"},
    "data.ImageSet.name": TEXTS | {"''", "long text", "NUL"},
    "data.ImageSet[i].i": {"-1", "0", "2**62"},
    "data.digits.train": {"True"},
    "data.digits.folder": TEXTS | {"None"},
    "data.colours.train": {"True"},
    "data.colours.folder": TEXTS | {"None"},
    "originals.load.train": {"True"},
    "originals.load.make": {"function"},
    "models.mlp.sample_shape": {"lying list"},
    "models.deep_mlp.sample_shape": {"lying list"},
    "models.parameter_count.model": MODELS,
    "models.kept_modes.model": MODELS,
    "training.fit.images": {"gradient"},
    "training.fit.batch_size": {"2**62"},
    "training.fit.learning_rate": {"0", "2.5", "0-dim float", "array ()"},
    "training.fit.seed": {"0", "2**62"},
    "training.accuracy.model": {"no parameters"},
    "training.accuracy.images": {"gradient"},
    "training.seconds.work": {"function", "int"},
    "batch.batch_facts.model": {"no parameters", "model of one row", "frozen"},
    "layout.layout.image": {"bfloat16", "image"},
    "layout.offset.index": {"(2**40, 2**40)"},
    "layout.offset.strides": {"(2**40, 2**40)"},
    "shape_flow.shape_flow.images": {"gradient", "bfloat16", "image", "columns of labels"},
}


# Doors ---------------------------------------------------------------------------------------------------------------


def rooms() -> list[str]:
    return re.findall(r"``([a-z]\w*)``", helpers.__doc__)


def is_door(thing: object) -> bool:
    """A function, or a class that somebody makes an object of: a record comes out, and no exception goes in."""
    if inspect.isclass(thing) and issubclass(thing, BaseException):
        return False
    return callable(thing) and not (dataclasses.is_dataclass(thing) and thing.__dataclass_params__.frozen)


def doors() -> dict:
    found = {"data.ImageSet[i]": lambda i: SET[i]}
    found["memory.any_batch(…)"] = lambda batch_size: every_batch()(batch_size)
    for room in set(rooms()) - ELSEWHERE:
        module = importlib.import_module(f"helpers.{room}")
        for name, thing in vars(module).items():
            at_home = getattr(thing, "__module__", "").startswith(module.__name__)
            if not name.startswith("_") and is_door(thing) and at_home and f"{room}.{name}" not in NO_DOOR:
                found[f"{room}.{name}"] = thing
                if isinstance(thing, type) and issubclass(thing, panels.Panel):
                    found[f"{room}.{name}.set"] = thing.set
    return found


SET, COLOURS = data.digits(), data.colours()
DOORS = doors() | {"models.kept_modes": lambda model: models.kept_modes(model).__enter__()}


def parameters(door: str) -> list[str]:
    """By name; in place of **settings those of the function that gets them."""
    if door.endswith(".set"):
        return parameters(door.removesuffix(".set"))
    names = []
    for name, parameter in inspect.signature(DOORS[door]).parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            names += [more for more in inspect.signature(memory.trace).parameters if more not in names]
        else:
            names.append(name)
    return [name for name in names if not (door.startswith("problems.") and name in OURS)]


def call(door: str, given: dict) -> None:
    if door.endswith(".set"):
        opened_panel(door.removesuffix(".set")).set(**given)
    else:
        DOORS[door](**given)


@cache
def opened_panel(door: str) -> panels.Panel:
    return DOORS[door]()


class TooLong(BaseException):
    """No `except Exception` on the way swallows it."""


def limited(work, seconds: float = 2.0) -> None:
    """Stop it after so many seconds of processor time, or ten times as many on the clock.

    What earlier tests left is not collected meanwhile: that can take half a second.
    """

    def stop(*_):
        raise TooLong(f"more than {seconds} s")

    timers = ((signal.ITIMER_PROF, signal.SIGPROF, seconds), (signal.ITIMER_REAL, signal.SIGALRM, 10 * seconds))
    before = [signal.signal(number, stop) for _, number, _ in timers]
    try:
        gc.disable()
        for timer, _, limit in timers:
            signal.setitimer(timer, limit)
        work()
    finally:
        for timer, *_ in timers:
            signal.setitimer(timer, 0)
        for (_, number, _), handler in zip(timers, before, strict=True):
            signal.signal(number, handler)
        gc.enable()


def answer(door: str, name: str, value: object) -> str:
    """ "a result", "a sentence", or what is wrong with the answer to this value."""
    given = VALID[door]() | {name: value}
    try:
        limited(partial(call, door, given))
    except Problem as problem:
        text = "".join(problem._render_traceback_())
        return f"a message of {len(text):,} characters" if len(text) > 1000 else "a sentence"
    except BaseException as error:
        return "a result" if type(error) is RIGHT_ERRORS.get(door) else type(error).__name__
    return "a result"


@pytest.fixture(autouse=True)
def nothing_leaves_the_test(monkeypatch, tmp_path):
    def no_network(*_):
        raise ConnectionError("no network in this test")

    monkeypatch.setattr(originals, "_fetch", no_network)
    colours = data.colours  # it makes them anew, and panels ask for them some thousand times
    monkeypatch.setattr(
        data, "colours", lambda *given, **named: colours(*given, **named) if given or named else COLOURS
    )
    monkeypatch.chdir(tmp_path)
    yield
    Widget.close_all()  # ipywidgets keeps every widget until then: some gigabytes of panels, and slower with each


def test_every_public_function_is_a_door_with_valid_values():
    assert set(DOORS) == set(VALID), "give each of these its valid values, and no others"


@pytest.mark.parametrize("door", sorted(DOORS))
def test_valid_values_work(door):
    try:
        call(door, VALID[door]())
    except Problem as problem:
        assert door == "memory.measure" and "needs a CUDA GPU" in str(problem)


@pytest.mark.parametrize("door, name", [(door, name) for door in sorted(DOORS) for name in parameters(door)])
def test_any_value_is_answered_in_a_sentence_or_with_a_result(door, name, monkeypatch):
    room, parameter = door.partition(".")[0], f"{door}.{name}"
    monkeypatch.setenv("COURSE_PROCESSES", "stored")  # the valid values start real ones
    values = {label: value for label, value in HOSTILE.items() if label not in SLOW.get(parameter, ())}
    answers = {label: answer(door, name, value) for label, value in values.items()}
    assert {label: text for label, text in answers.items() if text not in ("a sentence", "a result")} == {}
    if room in LISTED:
        assert {label for label, text in answers.items() if text == "a result"} == TAKEN.get(parameter, set())
