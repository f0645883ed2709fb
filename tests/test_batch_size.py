"""Training with batches of many sizes: what a run records, and what the stored tables say."""

import csv
import math

import pytest
import torch
from tools import problem

from helpers import batch_size, data, recorded
from helpers.batch_size import (
    AT,
    AXES,
    DATA,
    EXAMPLES,
    MOMENTS,
    RULES,
    SETTINGS,
    STEPS,
    Ending,
    Point,
    Run,
    ends,
    lines,
    needs,
)
from helpers.batch_size import tables as tables_room
from helpers.folders import ROOT


@pytest.fixture(scope="module")
def run():
    """A whole run of the cheapest kind."""
    return batch_size.train(AT, "fixed", 0, "digits")


# runs


def test_rules_multiply_the_rate_at_64():
    rate = SETTINGS["digits"].rate
    for rule, factor in (("fixed", 1), ("linear", 4), ("sqrt", 2)):
        assert batch_size.learning_rate(256, rule) == factor * rate
        assert batch_size.learning_rate(AT, rule) == rate
        assert batch_size.learning_rate(16, rule) == rate / factor
    assert batch_size.rule_in_words("linear", "colours") == "learning rate 0.05 x B / 64 (linear)"
    assert batch_size.rule_in_words("fixed", "colours") == "learning rate 0.05 (fixed)"


def test_a_run_has_as_many_steps_and_as_many_examples_as_that_at_64(run):
    assert run.points[-1].step == STEPS == 512 and EXAMPLES == 32_768
    for size in SETTINGS["digits"].sizes:
        steps = batch_size.all_steps(size)
        assert steps >= STEPS and steps * size >= EXAMPLES and (steps - 1 < STEPS or (steps - 1) * size < EXAMPLES)
    assert [one.at for one in run.endings] == ["loss", "examples", "steps", "end"]
    assert run.endings[0].loss <= SETTINGS["digits"].target < run.after(64).loss
    assert [step for step in range(1, 40) if batch_size.is_recorded(step)] == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]


def test_a_run_is_plain_sgd_as_anybody_writes_it():
    """Ten steps by hand, with the same weights and the same order."""
    setting, images = SETTINGS["digits"], data.digits().images.float() / 255
    labels, test = data.digits().labels, data.digits(train=False)
    torch.manual_seed(3)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, setting.hidden), torch.nn.ReLU(),
                                torch.nn.Linear(setting.hidden, 10))  # fmt: skip
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(3))
    for rows in order[:160].split(16):
        loss = torch.nn.functional.cross_entropy(model(images[rows]), labels[rows])
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                parameter -= setting.rate / 4 * gradient
    with torch.no_grad():
        loss = torch.nn.functional.cross_entropy(model(images), labels).item()
        right = (model(test.images.float() / 255).argmax(1) == test.labels).float().mean().item()
    last = batch_size.train(16, "linear", 3, "digits", steps=10).points[-1]
    assert last.step == 10 and last.loss == pytest.approx(loss, rel=1e-4)
    assert last.accuracy == pytest.approx(right, abs=0.006)


def test_a_batch_goes_on_where_the_shuffled_images_end():
    """With all images in a batch every step sees each image once, so the order does not matter."""
    losses = [batch_size.train(1437, "fixed", seed, steps=2).points[-1].loss for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


def test_a_run_leaves_random_numbers_and_gradient_mode_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with torch.no_grad():
        batch_size.train(AT, steps=2)
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.rand(3), expected)


def test_what_cannot_learn_any_more_is_stopped_and_kept():
    lost = batch_size.train(1437, "linear", 0, "digits, low rate", steps=100)
    assert lost.diverged and lost.points[-1].step < 100 and "did not learn" in lost.sentence
    assert lost.endings[-1].at == "end" and math.isnan(lost.endings[-1].sharpness)
    wild = batch_size.train(AT, steps=50, rate=1e6)
    assert wild.diverged


def test_a_run_says_how_it_went(run):
    assert "B = 64, learning rate 0.4 (fixed), seed 0, 512 steps: training loss 0.0" in run.sentence
    assert run.after(64).step == 64 and "1, 2, 3, 4" in problem(lambda: run.after(65))


def test_bad_settings_are_said():
    assert "'digits, low rate'" in problem(lambda: batch_size.train(1, data="cats"))
    assert "from 1 to 1,437" in problem(lambda: batch_size.train(1438))
    assert "from 1 to 512" in problem(lambda: batch_size.train(AT, steps=513))
    assert "'linear'" in problem(lambda: batch_size.curves(rule="cubic"))
    assert "'seconds'" in problem(lambda: batch_size.curves(axis="time"))
    assert "'accuracy'" in problem(lambda: batch_size.curves(measure="error"))
    assert "'examples'" in problem(lambda: batch_size.endings(at="end"))
    assert "train(…)" in problem(lambda: batch_size.stored(32))


# what is read from tables, on tables that are made for it


def small(rows: dict) -> tuple:
    """Two seeds of two batch sizes: {(B, seed): losses after 1, 2, 4 … steps}, as `_runs` gives them."""
    points, endings = {}, {}
    for (size, seed), losses in rows.items():
        key = ("digits", size, "fixed", seed)
        points[key] = tuple(Point(2**place, loss, 1 - loss / 3) for place, loss in enumerate(losses))
        last = points[key][-1]
        endings[key] = (Ending("steps", last.step, last.loss, last.accuracy, 1.0 * size + seed, 9, True),)
    return points, endings


@pytest.fixture
def tables(monkeypatch):
    """The readers see only batch sizes 1 and 64, two seeds each; the third loss is at 4 steps, and so on."""
    setting = SETTINGS["digits"]
    few = type("Few", (type(setting),), {"sizes": (1, 64)})
    monkeypatch.setitem(SETTINGS, "digits", few(*(getattr(setting, name) for name in vars(setting))))
    for room in (lines, needs):
        monkeypatch.setattr(room, "step_times", lambda data: {1: (0.25, 0.2, 0.3), 64: (1.0, 1.0, 1.0)})

    def fill(rows):
        monkeypatch.setattr(tables_room, "_runs", lambda: small(rows))

    return fill


def falling(to: float, count: int = 10) -> list[float]:
    return [2 * (to / 2) ** (place / (count - 1)) for place in range(count)]


def test_all_lines_end_at_the_same_place(tables):
    tables({(1, 0): falling(0.02, 16), (1, 1): falling(0.04, 16), (64, 0): falling(0.01), (64, 1): falling(0.01)})
    for axis, limit, last in (("examples", 32_768, 2**15), ("steps", 512, 2**9), ("seconds", 512, 2**11)):
        found = batch_size.curves(axis=axis)
        assert found.limit == limit and {line.x[-1] for line in found.lines} == {float(limit)}
        one, large = found.lines
        values = [batch_size.stored(1, "fixed", seed).after(last).loss for seed in (0, 1)]
        assert (one.low[-1], one.high[-1]) == pytest.approx((min(values), max(values)))
        assert one.middle[-1] == pytest.approx(sum(values) / 2) and large.middle[-1] == pytest.approx(0.01)
        assert found.order[0] is large and "B = 64 is ahead of B = 1 by more than the seeds differ" in found.sentence


def test_what_did_not_learn_is_counted_and_not_ranked(tables):
    tables({(1, 0): [2.3] * 9, (1, 1): [2.3, float("nan")], (64, 0): falling(0.01), (64, 1): falling(0.01)})
    found = batch_size.curves()
    assert [line.batch_size for line in found.order] == [64] and found.lines[0].diverged == 2
    assert "Did not learn: B = 1 in 2 of 2 runs" in found.sentence and found.lines[0].high[-1] == math.inf
    need, _ = batch_size.needed(loss=0.5).lines
    assert (need.reached, need.steps) == (0, None)
    assert "fewer than two" in batch_size.endings(at="steps").verdict("sharpness")


def test_what_is_needed_is_where_the_line_first_crosses(tables):
    tables({(1, 0): [1.0, 0.25, 0.25], (1, 1): [1.0, 0.25, 0.9], (64, 0): [0.4], (64, 1): [2.0, 1.0]})
    found = batch_size.needed(loss=0.5)
    one, large = found.lines
    assert one.steps == pytest.approx(2**0.5) and one.examples == one.steps and one.seconds == one.steps / 4
    assert (large.reached, large.steps) == (1, None)
    assert found.least("examples") is one and "never come there: B = 64" in found.sentence
    assert found.table.splitlines()[2].split() == ["64", "0.4", "-", "-", "-", "1", "of", "2"]


def test_the_fewest_are_those_of_the_best_stored_rate():
    """Of both settings with these images and this network: B = 4 has 0.1 from either."""
    for axis in batch_size.AXES:
        found = batch_size.fewest("digits", axis)
        assert found == batch_size.fewest("digits, low rate", axis) and found != batch_size.fewest("colours", axis)
        for line in found:
            others = [
                other
                for name in ("digits", "digits, low rate")
                for rule in batch_size.RULES
                for other in batch_size.needed(name, rule).lines
                if other.batch_size == line.batch_size and other.steps
            ]
            assert getattr(line, axis) == min(getattr(other, axis) for other in others)


def test_the_verdict_asks_for_runs_that_have_no_value_in_common(tables):
    learned = {(size, seed): falling(0.01) for size in (1, 64) for seed in range(5)}
    tables(learned)
    found = batch_size.endings(at="steps")
    assert found.differs("sharpness") and "higher at the largest B in every run" in found.verdict("sharpness")
    assert found.correlation("sharpness") == pytest.approx(0.870, abs=1e-3)
    assert not found.differs("accuracy") and "no difference" in found.verdict("accuracy")
    assert found.correlation("accuracy") == 0


def test_what_goes_with_sharpness_is_counted_over_all_rules(monkeypatch):
    def one_rule(data, rule, at):
        rates = {"fixed": (0.4, 0.4), "linear": (0.1, 0.4), "sqrt": (0.2, 0.4)}[rule]
        rows = tuple(
            batch_size.Ends(size, rate, (size / rate,) * 2, (0.9, 0.9), (), 0)
            for size, rate in zip((16, 64), rates, strict=True)
        )
        return batch_size.Endings(data, rule, at, rows)

    monkeypatch.setattr(ends, "endings", one_rule)
    found = batch_size.correlations("digits")
    assert found["learning rate / B"] == pytest.approx(-1) and found["learning rate"] > -1
    assert set(batch_size.correlations("digits", "accuracy").values()) == {0.0}


def test_equal_values_share_their_rank():
    from scipy.stats import spearmanr

    sizes, values = [1, 1, 4, 4, 64], [3.0, 2.0, 2.0, 7.0, 9.0]
    rows = tuple(
        batch_size.Ends(size, 0.4, tuple(v for s, v in zip(sizes, values, strict=True) if s == size), (), (), 0)
        for size in (1, 4, 64)
    )
    found = batch_size.Endings("digits", "fixed", "steps", rows)
    assert found.correlation("sharpness") == pytest.approx(spearmanr(sizes, values).statistic)


# the stored tables


def test_the_tables_have_every_run_and_nothing_else():
    for data_ in DATA:
        for size in SETTINGS[data_].sizes:
            for rule in RULES:
                for seed in range(5):
                    found = batch_size.stored(size, rule, seed, data_)
                    assert found.endings[-1].at == "end"
                    assert found.diverged or found.points[-1].step == batch_size.all_steps(size)
        assert "seeds 0 to 4" in problem(lambda data_=data_: batch_size.stored(1, "fixed", 5, data_))


@pytest.mark.parametrize("setting", [(64, "fixed", 1, "digits"), (16, "linear", 2, "digits, low rate")])
def test_a_run_done_again_gives_what_is_stored(setting):
    """Other machines round otherwise, so it may differ by as much as the five seeds do."""
    size, rule, _, data_ = setting
    again, runs = batch_size.train(*setting), [batch_size.stored(size, rule, seed, data_) for seed in range(5)]
    first = batch_size.stored(*setting).points[0]
    assert again.points[0].loss == pytest.approx(first.loss, rel=1e-3)
    for place, name in ((-1, "loss"), (-1, "accuracy")):
        values = [getattr(run.points[place], name) for run in runs]
        spread = max(values) - min(values)
        assert min(values) - spread <= getattr(again.points[place], name) <= max(values) + spread
    sharp = [next(one.sharpness for one in run.endings if one.at == "loss") for run in runs]
    found = next(one.sharpness for one in again.endings if one.at == "loss")
    assert 2 * min(sharp) - max(sharp) <= found <= 2 * max(sharp) - min(sharp)


def test_the_stored_sharpness_has_converged_nearly_always():
    with open(ROOT / "benchmarks" / "results" / "batch-size-endings.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["diverged"] == "False"]
    assert {(row["torch"], row["threads"]) for row in rows} == {(rows[0]["torch"], "1")}
    assert sum(row["converged"] != "True" for row in rows) <= 0.02 * len(rows)


def test_every_sentence_of_the_stored_tables_can_be_said():
    for data_ in DATA:
        times = batch_size.step_times(data_)
        assert list(times) == list(SETTINGS[data_].sizes) and times[AT][0] == 1 < times[256][0]
        for rule in RULES:
            assert batch_size.needed(data_, rule).sentence.endswith(".")
            for axis in AXES:
                assert len(batch_size.curves(data_, "loss", axis, rule).lines) == 6
            for at in MOMENTS:
                assert "sharpness" in batch_size.endings(data_, rule, at).sentence


def test_a_missing_table_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(recorded, "ROOT", tmp_path)
    tables_room._runs.cache_clear()
    assert "git checkout" in problem(lambda: batch_size.curves())
    assert "git checkout" in problem(lambda: batch_size.stored(1))


def test_a_run_that_ends_well_is_no_lost_one():
    points = (Point(1, 2.3, 0.1), Point(512, 2.0, 0.3))
    assert not Run("digits", 1, "fixed", 0, 0.4, points, ()).diverged
    assert Run("digits", 1, "fixed", 0, 0.4, points[:1], ()).diverged
