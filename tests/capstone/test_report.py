"""What a report says, for runs that went one way or another."""

from dataclasses import replace

from helpers.capstone import TIERS, Design, Report, preview

#: Enough for "sharp" alone, where it is trained well.
REACHES = Design(depth=1, batch_size=8, optimizer="adam")


def report(**how) -> Report:
    """Of a design that reaches "sharp", but for what is given."""
    design = how.pop("design", REACHES)
    usual = {
        "preview": preview(design), "accuracy": 0.98, "chance": 0.1, "test_images": 400, "time": 4.0, "seconds": 1.8,
        "clock": 2.0, "epochs": 4.0, "losses": (1.0,), "made": 0, "predicted": 0, "stopped": "", "findings": (),
        "not_covered": (), "tiers": tuple(TIERS.values()),
    }  # fmt: skip
    return Report(**usual | how)


def test_a_tier_is_reached_where_all_three_are_met_and_nothing_was_found():
    good = report()
    assert good.reached == ("sharp",) and "Reached: sharp." in good.sentence
    assert [standing.missed for standing in good.standings] == [("time",), ("memory",), ()]
    for how in ({"findings": ("It sleeps.",)}, {"stopped": "Step 3 failed."}, {"accuracy": 0.9}, {"time": 20.0}):
        bad = report(**how)
        assert bad.reached == () and "No tier is reached." in bad.sentence and "sharp (" in bad.text
    assert "It sleeps." in report(findings=("It sleeps.",)).sentence
    assert report(findings=("It sleeps.",)).lever == "First comes what was found out."


def test_the_lever_leads_to_the_tier_that_was_asked_for_or_to_the_nearest():
    slow = report(time=1.5 * TIERS["sharp"].time, aim="sharp")
    assert "is too long; an epoch takes" in slow.lever
    assert report(epochs=0.5, time=2 * TIERS["sharp"].time, aim="sharp").lever.count("so is one epoch") == 1
    large = report(design=Design(batch_size=16), aim="small")
    assert large.lever.startswith("Towards small: ") and "MiB of memory too much; " in large.lever
    low = report(accuracy=0.7, time=0.5, aim="sharp")
    assert low.lever.startswith("Towards sharp: ") and "points of accuracy are missing; left are time for" in low.lever
    assert report(aim="sharp").lever == "None is needed: sharp is reached."
    assert report().lever.startswith("Sharp is reached. Towards ")


def test_what_may_help_depends_on_the_design():
    assert "Adam, a smaller batch_size (more steps), less depth" in report(design=Design(), accuracy=0.5).advice
    good = report(accuracy=0.9).advice
    assert "Adam" not in good and "depth" not in good and "more width" in good
    assert "hardly better than the same answer to all" in report(accuracy=0.12).advice


def test_a_run_that_ended_early_is_first_told_to_run():
    assert report(stopped="Step 1 failed.", epochs=0.0).lever == "First make a step run: see what stopped it."
    assert report(stopped="It ran away.").lever == "First let the training come to its end: see what stopped it."
    assert ": see stopped." in report(stopped="It ran away.").text
    assert ": see found out." in report(findings=("It sleeps.",)).text


def test_without_tiers_the_lever_speaks_of_accuracy():
    own = report(tiers=(), test_images=100)
    assert own.reached == () and own.nearest is None and "tier" not in own.sentence
    assert own.lever.startswith("2 of 100 are wrong. May help: ")
    assert report(tiers=(), accuracy=1.0).lever == "None is needed."


def test_it_shows_its_words():
    one = replace(report(), stopped="Step 7 failed: KeyError.", not_covered=("What is in C.",), made=5, predicted=7)
    one = replace(one, notes=("It has BatchNorm.",))
    assert repr(one) == str(one) == one.text and all(len(line) <= 92 for line in one.text.splitlines())
    words = " ".join(one.text.split())
    for said in (
        "stopped Step 7 failed",
        "not seen What is in C.",
        "made 5 bytes at most; a trace for the CPU says 7.",
    ):
        assert said in words
    assert "note It has BatchNorm." in words
