"""The report of a judged design as one page to hand in: HTML that needs no network and prints on one sheet of A4."""

import html
import os
import platform
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch

from helpers.capstone import UNIT, Report
from helpers.figures import capstone as figures
from helpers.figures import svg
from helpers.problems import Problem, instance_of, shown
from helpers.units import readable

UNNAMED = "(your name)"  #: what stands in the lesson for it
_LONGEST_NAME = 60  # letters
_FOUND, _UNSEEN = (5, 180), (8, 100)  # rows of a list and letters of each, at most: the page must stay one sheet
_MOST_FILES = 1000  # of one name, numbered

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --soft: #505050; --paper: #fff; --line: #8a8a8a; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #ececec; --soft: #c2c2c2; --paper: #1c1c1c; --line: #8a8a8a; }
}
@page { size: A4; margin: 10mm 14mm; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5em; max-width: 57em; background: var(--paper); color: var(--ink);
  font: 14px/1.4 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6em; margin: 0; } h2 { font-size: 1.1em; margin: 1em 0 .3em; }
p { margin: .3em 0; } ul { margin: .2em 0; padding-left: 1.3em; } figure { margin: .4em 0; }
figcaption, footer, .soft { color: var(--soft); } footer { margin-top: 1em; border-top: 1px solid var(--line); }
dl { display: grid; grid-template-columns: repeat(5, 1fr); gap: .3em 1em; margin: .3em 0; }
dt { color: var(--soft); } dd { margin: 0; font-weight: bold; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .2em 1.5em .2em 0; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:last-child, td:last-child { white-space: normal; width: 100%; padding-right: 0; }
@media print {
  :root { color-scheme: light; }
  body { padding: 0; max-width: none; font-size: 8.6pt; line-height: 1.3; print-color-adjust: exact;
    -webkit-print-color-adjust: exact; }
  section, figure, tr { break-inside: avoid; }
  figure { font-size: 7.8pt; } h2 { margin-top: .6em; } h1 { font-size: 1.4em; } ul { font-size: .92em; }
  dl { grid-template-columns: repeat(6, 1fr); }
}
"""


@dataclass(frozen=True, repr=False)
class Written:
    """Where a page was written, and in words; a notebook shows the page."""

    path: Path
    sentence: str
    page: str

    def __repr__(self) -> str:
        return self.sentence

    def _repr_html_(self) -> str:
        return (
            f'<p role="status">{html.escape(self.sentence)}</p><iframe title="Your report" sandbox '
            f'style="width:100%;height:40em;border:1px solid #8a8a8a" srcdoc="{html.escape(self.page)}"></iframe>'
        )


def write_report(report: Report, path: str | os.PathLike, name: str = "") -> Written:
    """Write the page to a file that is not there yet; where one is, it stays, and a new name is taken beside it.

    report: what `helpers.capstone.judge` gave. path: of the file, which ends in .html, or of a folder that is there.
    name: yours, at most 60 letters. Raises `Problem` for anything else, and if the file cannot be written.
    """
    text = page(report, name)
    wanted = _file(path)
    for place in range(1, _MOST_FILES):
        here = wanted if place == 1 else wanted.with_stem(f"{wanted.stem}-{place}")
        try:
            with open(here, "x", encoding="utf-8", newline="\n") as file:
                file.write(text)
        except FileExistsError:
            continue
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise Problem(
                f"{shown(str(here))} cannot be written ({why}); give the path of a file in a folder of yours, as in "
                "path='report.html'."
            ) from None
        stays = f" {wanted.name} was there already and stays as it is." if here != wanted else ""
        unnamed = " Your name is not on it yet: put it into name= and run this again." if name == UNNAMED else ""
        return Written(here, f"Your report is in the file {here.name}.{stays}{unnamed}", text)
    raise Problem(f"{shown(str(wanted))} and {_MOST_FILES - 2} more are there already; give another name for the file.")


def _file(path: object) -> Path:
    try:
        text = os.path.expanduser(os.fspath(path))
        if not isinstance(text, str) or "\0" in text or not 1 <= len(text) <= 1000:
            raise ValueError
    except Exception:  # an object's own __fspath__ may raise anything
        text = ""
    found = Path(text)
    if text and os.path.isdir(found):
        return found / "report.html"
    if found.suffix.lower() not in (".html", ".htm"):
        given = shown(text or path)
        raise Problem(f"path is {given}; give the path of a file that ends in .html, as in path='report.html'.")
    if not found.absolute().parent.is_dir():
        raise Problem(
            f"path is {shown(str(found))}, but there is no folder {shown(str(found.parent))}; make it first, or give a "
            "file in a folder that is there, as in path='report.html'."
        )
    return found


def page(report: Report, name: str = "") -> str:
    """The whole page as HTML; what a learner typed stands there as text. Raises `Problem` as `write_report` does."""
    instance_of("report", report, Report, "capstone.judge(capstone.Design())")
    who = _plain(instance_of("name", name, str, "'Ada'"), _LONGEST_NAME)
    title = _text(f"Capstone report{f': {who}' if who else ''}")
    parts = ", ".join(f"{part} {readable(size)}" for part, size in report.preview.at_peak.items() if size)
    caption = f"At the peak {report.peak:,} bytes: {parts}."
    if report.made:
        caption += f" Counted: {report.counted}"
    rows = "".join(f"<div><dt>{what}</dt><dd>{_text(value, 60)}</dd></div>" for what, value in _design(report))
    drawing = svg.write(figures.draw(report.preview, report.tiers), "design")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p>{_text(report.sentence, 360)}</p>
<section><h2>The design</h2><dl>{rows}</dl></section>
<section><h2>Memory</h2>
<figure>{drawing}<figcaption>{_text(caption, 400)}</figcaption>
</figure></section>
<section><h2>Accuracy and time</h2>{_table(report)}</section>
<section><h2>The nearest lever</h2><p>{_text(report.lever, 360)}</p></section>
{_list("To be known", report.notes, *_FOUND)}
{_list("Found out", report.findings, *_FOUND)}
{_list("Not covered", report.not_covered, *_UNSEEN)}
</main>
<footer>{_text(_versions(), 400)}</footer>
</body>
</html>
"""


def _design(report: Report) -> Iterable[tuple[str, object]]:
    design = report.design
    if design.network is None:
        yield from (("network", "the course's CNN"), ("width", design.width), ("depth", design.depth))
    else:
        called = getattr(design.network, "__name__", type(design.network).__name__)
        yield "network", "my own" if called == "<lambda>" else f"my own, {called}"
    yield from (("image", " x ".join(map(str, report.preview.sample_shape))), ("classes", report.preview.classes))
    yield from (("batch size", design.batch_size), ("micro-batches", design.micro_batches))
    yield from (("optimizer", design.optimizer), ("learning rate", f"{design.learning_rate:g}"))
    yield from (("precision", design.precision), ("checkpointing", "on" if design.checkpointing else "off"))
    yield "epochs", design.epochs


def _table(report: Report) -> str:
    """What the run had, and under it what guessing would have had, and what each tier asks."""
    rows = [("this design", f"{report.accuracy:.1%}", readable(report.peak), f"{report.time:.1f}", "")]
    for standing in report.standings:
        tier = standing.tier
        done = (
            "yes" if tier.name in report.reached else f"no: {' and '.join(standing.missed) or 'see what was found out'}"
        )
        limits = (f"at least {tier.accuracy:.0%}", f"at most {readable(tier.bytes)}", f"at most {tier.time:g}")
        rows.append((f"tier {tier.name}", *limits, done))
    rows.insert(1, ("always the same class", f"{report.chance:.1%}", "", "", ""))
    heads = ("", f"right of {report.test_images:,} test images", "peak", UNIT, "reached")
    head = "".join(f'<th scope="col">{_text(cell)}</th>' if cell else "<td></td>" for cell in heads)
    body = "".join(
        f'<tr><th scope="row">{_text(first)}</th>{"".join(f"<td>{_text(cell)}</td>" for cell in more)}</tr>'
        for first, *more in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _list(title: str, rows: Iterable[str], most: int, longest: int) -> str:
    rows = list(rows)
    if not rows:
        return ""
    more = [f"and {len(rows) - most} more"] if len(rows) > most else []
    items = "".join(f"<li>{_text(row, longest)}</li>" for row in rows[:most] + more)
    return f"<section><h2>{_text(title)}</h2><ul>{items}</ul></section>"


def _versions() -> str:
    return (
        "The peak is traced, as on a CUDA GPU. Accuracy and time are of a real training in one thread, timed beside "
        f"epochs of the default design. Python {platform.python_version()}, PyTorch {torch.__version__}, "
        f"{platform.system()}, {date.today().isoformat()}. The Shape of a Batch, lesson 12."
    )


def _plain(value: object, longest: int) -> str:
    """As text on one line, of letters that can be shown and stored; cut where it is too long."""
    text = re.sub(r"\s+", " ", str(value)).strip()
    text = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _text(value: object, longest: int = 200) -> str:
    return html.escape(_plain(value, longest))
