"""The page of a report: what stands on it, that nobody's words become code, and that it is one sheet for everybody."""

import html
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import pytest
import torch
from tools import problem

from helpers import capstone, hand_in, models
from helpers.authoring import lab
from helpers.capstone import TIERS, Design, Report

HOSTILE = (
    "<script>document.title = 'taken'</script>",
    '"><img src=x onerror=alert(1)>',
    "</title></style></svg><h1>mine</h1>",
    "&lt;b&gt; &amp; 'quotes' \"both\"",
    "{braces} %s %(x)s \\n",
    "\0\x1b[31m\u202egnissim\ud800",
    "Zoë 猫 🐈",
)


@cache
def judged() -> Report:
    """Of a small training."""
    return capstone.judge(Design(width=1, epochs=1))


def report(design: Design | None = None, **changes: object) -> Report:
    """A report as the judge gives it, with other figures."""
    facts = {"preview": capstone.preview(design or Design()), "accuracy": 0.9575, "time": 8.68, "epochs": 4.0}
    facts |= {"made": 1_234_567, "predicted": 1_234_568, "stopped": "", "findings": ()}
    return replace(judged(), **facts | {"not_covered": ("Code that hides in C.",)} | changes)


class Reader(HTMLParser):
    """The tags of a page, and the text between them."""

    def __init__(self, page: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def test_everything_of_the_report_stands_on_the_page():
    design = Design(width=16, batch_size=16, micro_batches=2, optimizer="adam", learning_rate=0.002, epochs=6)
    one = report(design, findings=("It kept a batch.",))
    text = Reader(hand_in.page(one, "Ada")).text
    for said in (
        "Capstone report: Ada", one.sentence, "batch size 16 micro-batches 2 optimizer adam learning rate 0.002",
        "epochs 6", f"{one.peak:,} bytes: parameters 0.05 MiB", "95.8%", "8.7", "right of 400", "at most 8.00 MiB",
        f"at least {TIERS['sharp'].accuracy:.0%}", one.lever, "It kept a batch.", "Code that hides in C.",
        "1,234,567 bytes", "always the same class",
        f"PyTorch {torch.__version__}", "Python 3.",
    ):  # fmt: skip
        assert " ".join(said.split()) in text, said


def test_reached_and_missed_tiers_are_said_apart():
    design = Design(width=8, depth=1, batch_size=8)
    text = Reader(hand_in.page(report(design, accuracy=0.98, time=4.0))).text
    quick, small, sharp = (
        re.search(rf"tier {name} .*? at most [0-9.]+ (yes|no: [a-z ]+?) (tier|The)", text)[1] for name in TIERS
    )
    assert (quick, small, sharp) == ("no: time", "no: memory", "yes")
    lie = report(design, accuracy=0.98, time=1.0, findings=("A lie.",))
    assert "no: see what was found out" in Reader(hand_in.page(lie)).text


def test_a_report_on_own_images_has_no_tiers_and_says_what_guessing_would_have():
    own = Design(network=lambda: models.mlp((3, 48, 48), 8, 3))
    one = report(tiers=(), chance=0.34, preview=capstone.preview(own, (3, 48, 48), 3))
    text = Reader(hand_in.page(one)).text
    assert "always the same class 34.0%" in text and "image 3 x 48 x 48 classes 3" in text and "my own" in text
    assert "quick" not in text and "None" not in text


def test_the_page_needs_nothing_from_elsewhere():
    page = hand_in.page(report())
    tags = Reader(page).tags
    assert {"script", "link", "img", "iframe", "object", "base", "form"}.isdisjoint(tag for tag, _ in tags)
    assert not re.search(r"https?:|url\((?!#)|@import", page)
    assert any("default-src 'none'" in attrs.get("content", "") for tag, attrs in tags if tag == "meta")


def test_the_page_has_a_language_a_title_and_headings_in_order():
    tags = Reader(hand_in.page(report(findings=("One.",)), "Ada")).tags
    assert ("html", {"lang": "en"}) in tags
    levels = [int(tag[1]) for tag, _ in tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and set(levels[1:]) == {2}
    (drawing,) = [attrs for tag, attrs in tags if tag == "svg"]
    assert drawing["role"] == "img" and "peak" in drawing["aria-label"]


@pytest.mark.parametrize("words", HOSTILE, ids=range(len(HOSTILE)))
def test_what_a_learner_typed_stands_there_as_text(words):
    network = type(words.replace("\0", "") or "x", (torch.nn.Flatten,), {})() if "\ud800" not in words else None
    design = Design(network=lambda: models.mlp((3, 32, 32), 8, 10))
    design.network.__name__ = words
    one = report(design, findings=(words,), not_covered=(words,), stopped=words)
    page = hand_in.page(one, words)
    plain = Reader(hand_in.page(report(design, findings=("x",), not_covered=("x",)), "x"))
    reader = Reader(page)
    assert [tag for tag, _ in reader.tags] == [tag for tag, _ in plain.tags]
    assert [attrs for tag, attrs in reader.tags if tag != "svg"] == [a for tag, a in plain.tags if tag != "svg"]
    page.encode("utf-8")
    assert not any(sign in page for sign in "\0\x1b\u202e")
    shown = hand_in.Written(None, words, page)._repr_html_()
    assert [tag for tag, _ in Reader(shown).tags] == ["p", "iframe"]
    assert network is None or html.escape(words.split("<")[0]) in page


def test_long_words_and_lists_are_cut():
    one = report(findings=("word " * 300,) * 50, not_covered=("x" * 5000,) * 9)
    page = hand_in.page(one, "A" * 10_000)
    assert len(page) < 30_000 and "and 45 more" in page


def test_a_file_that_is_there_stays(tmp_path):
    (tmp_path / "report.html").write_text("mine")
    one = report()
    first, second = (hand_in.write_report(one, tmp_path / "report.html", "Ada") for _ in range(2))
    assert (tmp_path / "report.html").read_text() == "mine"
    assert (first.path.name, second.path.name) == ("report-2.html", "report-3.html")
    assert "report.html was there already and stays as it is." in first.sentence == repr(first)
    assert first.path.read_text(encoding="utf-8") == first.page == hand_in.page(one, "Ada")
    last = hand_in.write_report(one, str(tmp_path), hand_in.UNNAMED)  # a folder will do
    assert last.path.name == "report-4.html" and last.sentence.endswith("put it into name= and run this again.")


def test_a_path_that_does_not_serve_is_refused_in_words(tmp_path):
    one = report()
    for path, said in {
        tmp_path / "report.txt": "ends in .html", tmp_path / "no" / "report.html": "no folder", 3: "ends in .html",
        "": "ends in .html", "a\0b.html": "ends in .html", tmp_path / f"{'x' * 300}.html": "cannot be written",
    }.items():  # fmt: skip
        assert said in problem(lambda path=path: hand_in.write_report(one, path))
    assert list(tmp_path.iterdir()) == []
    assert "capstone.judge" in problem(lambda: hand_in.write_report("report", tmp_path))
    assert "name" in problem(lambda: hand_in.write_report(one, tmp_path, name=3))


# in a browser

BROWSER = pytest.mark.skipif(lab.why_not() is not None, reason=str(lab.why_not()))


@pytest.fixture(scope="module")
def tab():
    with lab.browser() as context:
        yield context.new_page()


LONGEST = {
    "findings": ("A long finding, word after word, in which all is said that there is. " * 9,) * 20,
    "not_covered": ("Something that nobody looks at, and why. " * 9,) * 20,
    "stopped": "It ended early. " * 99,
}
PAGES = {
    "default": lambda: hand_in.page(report(), "Ada"),
    "hostile": lambda: hand_in.page(report(findings=HOSTILE, not_covered=HOSTILE[:6]), HOSTILE[0]),
    "longest": lambda: hand_in.page(report(**LONGEST), "Wolfeschlegelsteinhausenbergerdorff" * 3),
}


@BROWSER
@pytest.mark.parametrize("name", PAGES)
def test_it_prints_on_one_sheet_and_axe_finds_nothing(tab, name, tmp_path):
    from axe_playwright_python.sync_playwright import Axe

    (tmp_path / "page.html").write_text(PAGES[name](), encoding="utf-8")
    tab.goto((tmp_path / "page.html").as_uri())
    assert tab.title().startswith("Capstone report: ") and tab.locator("h1").count() == 1
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        found = Axe().run(tab).response["violations"]
        assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == []
    assert tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    sheets = re.findall(rb"/Type\s*/Page[^s]", tab.pdf(prefer_css_page_size=True))
    assert len(sheets) == 1
