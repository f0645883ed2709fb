"""What a verdict follows from, and the table of the claims: filters, pages, words."""

import dataclasses

import pytest
import torch
from tools import refused

from helpers import claims
from helpers.claims.records import Case, Measured, verdict_of

YES, NO = Case("tried", True), Case("tried", False)
ELSEWHERE, ASIDE = dataclasses.replace(NO, meant=False), dataclasses.replace(YES, main=False)


@pytest.mark.parametrize(
    "cases, verdict",
    [
        ((YES, YES), "holds"),
        ((YES, dataclasses.replace(YES, meant=False)), "holds"),
        ((YES, ELSEWHERE), "holds if"),
        ((YES, NO), "imprecise"),
        ((YES, NO, ELSEWHERE), "imprecise"),
        ((NO, NO), "wrong as said"),
        ((NO, ASIDE), "wrong as said"),  # true only on the way to the point
        ((NO, dataclasses.replace(YES, meant=False)), "wrong as said"),  # true only where it is not meant
    ],
)
def test_a_verdict_follows_from_the_cases(cases, verdict):
    assert verdict_of(cases) == verdict
    assert Measured("words", (), cases).verdict == verdict


def test_a_row_says_where_its_figures_do_not_bear_the_lessons_verdict():
    (row,) = [row for row in claims.table("05").rows if row.claim.name == "B5"]
    assert row.borne and row.verdict == "wrong as said"
    true = tuple(dataclasses.replace(case, true=True) for case in row.measured.cases)
    stray = dataclasses.replace(row, measured=dataclasses.replace(row.measured, cases=true))
    assert not stray.borne and stray.sign == "✓"
    assert stray.verdict == "holds, by these figures: they do not bear the lesson's “wrong as said”"
    table = dataclasses.replace(claims.table("05"), rows=(stray,))
    assert "The figures do not bear the lessons' verdicts on B5." in table.sentence
    assert stray.verdict in table._repr_markdown_()


def test_filters_and_pages():
    everything = claims.table()
    assert [row.claim.name for row in everything.rows] == list(claims.CLAIMS)
    assert sum(everything.counts.values()) == len(claims.CLAIMS)
    pages = [claims.table(page=page).shown for page in range(1, claims.PAGES + 1)]
    assert sum(pages, ()) == everything.rows and everything.pages == claims.PAGES
    for lesson in claims.LESSONS[1:]:
        found = claims.table(lesson)
        assert found.rows and all(lesson in row.claim.lessons for row in found.rows)
    for verdict, count in everything.counts.items():
        found = claims.table(verdict=verdict)
        assert len(found.rows) == count and {row.measured.verdict for row in found.rows} <= {verdict}
    assert claims.table("01", page=claims.PAGES).page == 1  # past the last page it is the last one
    assert claims.table("01", "wrong as said").sentence.endswith("0 claims, page 1 of 1. No claim.")


def test_a_table_in_a_notebook_has_every_link_and_no_cell_too_many():
    table = claims.table()
    text = table._repr_markdown_()
    lines = text.splitlines()
    assert len(lines) == len(claims.CLAIMS) + 2 and {line.count(" | ") for line in lines[2:]} == {4}
    for claim in claims.CLAIMS.values():
        assert all(f"[{title}]({address})" in text for title, address in claim.links)
    assert repr(table) == f"<claims: {table.sentence}>"


def test_measuring_leaves_random_numbers_and_threads_alone_and_happens_once():
    torch.manual_seed(3)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    assert claims.measure("A2") is claims.measure("A2")
    assert torch.equal(before, torch.get_rng_state()) and torch.get_num_threads() == threads


def test_bad_input_is_refused():
    for wrong in ("B99", "a1", None, 1, ["A1"]):
        refused(lambda wrong=wrong: claims.measure(wrong))
    for wrong in ({"lesson": "99"}, {"lesson": 1}, {"verdict": "true"}, {"page": 0}, {"page": claims.PAGES + 1}):
        refused(lambda wrong=wrong: claims.table(**wrong))
    refused(lambda: claims.measure("B12")["no such figure"])
