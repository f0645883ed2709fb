"""What is counted in a lesson: its words, its lines, its minutes, its links."""

import nbformat
import pytest

from helpers.authoring import lessons, links


def lesson(*cells):
    kinds = {"text": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    return nbformat.v4.new_notebook(cells=[kinds[kind](source) for kind, source in cells])


def test_words_in_a_fold_are_not_counted():
    fold = "<details><summary>Hint 1</summary>\n\nmany words\nthat nobody must read\n</details>"
    assert lessons.words(lesson(("text", f"One two.\n\n{fold}\n\nThree."), ("code", "x = 1"))) == 3


@pytest.mark.parametrize(
    ("cells", "minutes"),
    [
        ([("text", "word " * 200)], 2),
        ([("code", "a = 1\n\nb = 2\nc = 3")], 0.6),
        ([("text", "**Predict.** 1")], 1.02),
        ([("code", "panels.BatchPanel()")], 2.15),
        ([("code", "panel.set(batch_size=3)\npanel.picture()")], 0.3),
        ([("text", "(1 to 3 lines, 4 minutes)")], 6.06),
        ([("text", "(1, 3) goes in, (2, 2) comes out. (1 line, 1 minute)")], 1.62),
    ],
)
def test_minutes_follow_the_rule_of_the_course(cells, minutes):
    assert lessons.minutes(lesson(*cells)) == pytest.approx(minutes)


def test_links_are_those_of_the_text(capsys):
    text = "As [PyTorch](https://docs.pytorch.org/docs/stable/nn.html) says, and [this](images/a.png)."
    assert lessons.links(lesson(("text", text), ("code", "[x](https://no.org)"))) == [
        "https://docs.pytorch.org/docs/stable/nn.html"
    ]
    links.main()
    listed = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == sorted({link for path in lessons.LESSONS for link in lessons.links(lessons.read(path))})
