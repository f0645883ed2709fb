"""What a report says, for runs that went one way or another."""

from dataclasses import replace

from helpers.capstone import TIERS, Design, Report, preview


def report(**how) -> Report:
    """Of a design that reaches "sharp", but for what is given."""
    design = how.pop("design", Design(depth=1, batch_size=8))
    usual = {
        "preview": preview(design), "accuracy": 0.97, "chance": 0.1, "test_images": 400, "time": 6.0, "seconds": 1.8,
        "clock": 2.0, "epochs": 4.0, "losses": (1.0,), "made": 0, "predicted": 0, "stopped": "", "findings": (),
        "not_covered": (), "tiers": tuple(TIERS.values()),
    }  # fmt: skip
    return Report(**usual | how)


def test_a_tier_is_reached_where_all_three_are_met_and_nothing_was_found():
    good = report()
    assert good.reached == ("sharp",) and "Reached: sharp." in good.sentence
    assert [standing.missed for standing in good.standings] == [("time",), ("memory",), ()]
    for how in ({"findings": ("It sleeps.",)}, {"stopped": "Step 3 failed."}, {"accuracy": 0.9}, {"time": 11.0}):
        bad = report(**how)
        assert bad.reached == () and "No tier is reached." in bad.sentence and "sharp (95%" in bad.text
    assert "It sleeps." in report(findings=("It sleeps.",)).sentence
    assert report(findings=("It sleeps.",)).lever == "First comes what was found out."


def test_the_lever_leads_to_the_nearest_tier():
    assert report(time=6.0).lever == "Towards quick: 6.0 is too long; an epoch takes 1.50, so 1 of them fit."
    assert "so is one epoch (2.50)" in report(time=10.0).lever
    short = report(accuracy=0.9, time=1.9)
    assert short.reached == ("quick",) and short.nearest.tier.name == "small"  # the first of those that miss one thing
    large = report(design=Design(width=8, batch_size=16), time=1.9, accuracy=0.97)
    assert "MiB of memory too much; enough would be micro_batches=8 (0.26 MiB) or " in large.lever
    wide = report(design=Design(depth=1, batch_size=16), time=1.9, accuracy=0.97)
    assert "MiB of memory too much; no lever alone is enough: " in wide.lever and " leaves " in wide.lever
    low = report(design=Design(width=2, batch_size=8), accuracy=0.7, time=1.0)
    assert "Towards quick: 10.0 points of accuracy are missing; left are time for 1.0 more and" in low.lever
    assert report(design=Design(width=2, batch_size=8), accuracy=1.0, time=1.0).lever == "None is needed."


def test_without_tiers_the_lever_saves_most():
    own = report(tiers=())
    assert own.reached == () and own.nearest is None and "tier" not in own.sentence
    name, _, rest = own.lever.partition(" would bring the peak to ")
    assert own.preview.levers[name] == min(own.preview.levers.values()) and rest


def test_it_shows_its_words():
    one = replace(report(), stopped="Step 7 failed: KeyError.", not_covered=("What is in C.",), made=5, predicted=7)
    assert repr(one) == str(one) == one.text and all(len(line) <= 92 for line in one.text.splitlines())
    for words in ("stopped   Step 7 failed", "not seen  What is in C.", "made 5 bytes at most; the trace says 7."):
        assert words in one.text
