"""`course --present`: what a class sees on a screen of 1280 x 720, in the real JupyterLab."""

import os

import pytest

from helpers.authoring import lab, presenting

MISSING = lab.why_not()
if MISSING and not os.environ.get("CI"):
    pytest.skip(MISSING, allow_module_level=True)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Lesson 00 as `course --present 00` opens it."""
    assert MISSING is None, MISSING  # in CI a browser is a must
    with lab.course(tmp_path_factory.mktemp("present"), "--present", "00") as server, lab.browser() as chromium:
        page = lab.Page(chromium, server, presenting.HIGH)
        page.open()
        yield page


def test_it_opens_in_presentation_mode_with_nothing_beside_the_lesson(page):
    page.tab.locator("#main.jp-mod-presentationMode[data-shell-mode=single-document]").wait_for()
    for part in (".jp-SideBar", "#jp-left-stack", "#jp-right-stack", "#jp-top-panel", "#jp-bottom-panel"):
        assert not page.tab.locator(f"{part}:visible").count(), part
    assert page.dialogs() == []
    assert not page.tab.locator(".jp-OutputArea-output").count()
    assert page.name == "00_start_here.ipynb" and page.server.work.name == "present"


def test_all_text_is_large_and_nothing_is_cut(page):
    """After Run All, with every fold open; `python -m helpers.authoring.presenting` measures every lesson so."""
    page.run_all()
    seen = presenting.look(page)
    assert seen.faults == []
    assert len(seen.sizes) > 500 and min(seen.sizes) > presenting.LEAST - 0.01
    assert len(seen.parts) == 9  # two panels, their pictures, four figures and the photograph
    assert all(wide <= presenting.WIDE and high <= presenting.HIGH for wide, high in seen.parts)
    assert page.errors == page.console == []


def test_what_is_too_small_or_too_large_is_found(page):
    page.tab.evaluate("document.querySelector('.jp-RenderedHTMLCommon p').style.fontSize = '17px'")
    page.tab.evaluate("document.querySelector('.course-panel').style.height = '700px'")
    page.tab.evaluate(
        "document.querySelector('.jp-OutputArea-output pre').style.cssText = 'height:5px;overflow:hidden'"
    )
    faults = " ".join(presenting.look(page).faults)
    assert "text of 17.0 px" in faults and "700 of " in faults and "higher than its box" in faults
