"""Panels: ipywidgets around the floors below. State, compute, draw, say.

Every panel follows one recipe, the class `Panel`. A panel is used in three ways: by hand through its controls, from
code through ``panel.set(...)``, and in words through ``panel.text``.
"""

import asyncio
import base64
import html
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import ipywidgets as widgets

from helpers.figures import ERROR, SIZE, WIDTH, Picture, paper, svg
from helpers.figures.shapes import LINE, Drawing, Text, box, lines
from helpers.problems import Problem, one_of, said, shown, whole_number

_LETTERS = 88  # on a line as wide as a drawing
_TALL = 440  # pixels: a higher drawing has no room above it for controls when it is presented, see lab_presenting
LARGEST_B = 256  # of the panels that show real images
# ipywidgets' own letters are smaller than the notebook's text; the drawing grows with that text, and so must the panel.
_TEXT = "var(--jp-content-font-size1,14px)"
_STYLE = (
    f".course-panel{{--jp-widgets-font-size:{_TEXT};--jp-widgets-inline-height:calc(2*{_TEXT});"
    f"width:calc({WIDTH / SIZE + 1.5:.1f}*{_TEXT});"
    "max-width:100%;overflow:hidden}"
    ".course-panel .widget-html-content{flex:1;min-width:0}"  # so that a drawing shrinks with the window
    f".course-panel .course-text{{line-height:1.5;font-size:{_TEXT};max-width:{WIDTH / SIZE:.4g}em;white-space:normal}}"
)


def wide(pixels: int) -> str:
    """A width that is this many pixels where the notebook's text has `SIZE`, and grows with that text."""
    return f"calc({pixels / SIZE:.4g}*{_TEXT})"


class Control:
    """One setting of a panel: what a person moves, and the same check for values that come from code."""

    def __init__(self, view: widgets.Widget, value: widgets.Widget, check: Callable[[str, object], object]):
        self.view, self.value, self.check = view, value, check


def number(label: str, low: int, high: int, value: int, stops: Sequence[int] = ()) -> Control:
    """A slider with a labelled number box linked to it: the box has a name for screen readers, the slider has none.

    stops: the numbers that the slider goes through, in rising order; every whole number if there are none. The box
    takes any; then the slider stands at the nearest stop.
    """
    box = widgets.BoundedIntText(
        value=value,
        min=low,
        max=high,
        description=label,
        tooltip=label,  # without one ipywidgets shows the word "null"
        style={"description_width": wide(110)},
        layout=widgets.Layout(width=wide(200)),
    )
    first, last = (0, len(stops) - 1) if stops else (low, high)
    slider = widgets.IntSlider(
        value=first, min=first, max=last, readout=False, layout=widgets.Layout(width=wide(260)), tooltip=label
    )
    if stops:
        _link_to_stops(box, slider, stops)
    else:
        widgets.link((box, "value"), (slider, "value"))
    return Control(widgets.HBox([box, slider]), box, lambda name, given: whole_number(name, given, low, high))


def _link_to_stops(box: widgets.BoundedIntText, slider: widgets.IntSlider, stops: Sequence[int]) -> None:
    def nearest(value: int) -> int:
        after = min(bisect_left(stops, value), len(stops) - 1)
        return after - (after > 0 and stops[after] - value > value - stops[after - 1])

    def to_box(change: Mapping[str, object]) -> None:
        if nearest(box.value) != change["new"]:  # otherwise the slider follows the box, which may be between two stops
            box.value = stops[change["new"]]

    slider.value = nearest(box.value)
    box.observe(lambda change: setattr(slider, "value", nearest(change["new"])), names="value")
    slider.observe(to_box, names="value")


def doublings(low: int, high: int) -> list[int]:
    """Stops for a slider over several powers of two: every whole number up to 64, then 32 to each doubling."""
    return [number for number in range(low, high + 1) if number % 2 ** max(number.bit_length() - 6, 0) == 0]


def choice(label: str, options: tuple[str, ...], width: int = 330) -> Control:
    """A drop-down list; the first option is chosen at the start. `width`: of label and list together, in pixels."""
    box = widgets.Dropdown(
        options=options,
        description=label,
        tooltip=label,
        style={"description_width": wide(110)},
        layout=widgets.Layout(width=wide(width), margin="2px"),
    )
    return Control(box, box, lambda name, given: one_of(name, given, options))


SLOW = 0.25  #: seconds of quiet before work that takes longer than a moment


class Panel(widgets.VBox):
    """The recipe. A subclass names its controls and gives `compute`, and `draw` from `helpers.figures`.

    `title`: its name. `height`: pixels of the drawing, and `lines` of the words below it, the same for all values, so
    that nothing jumps. `delay`: seconds of quiet before slow work starts; meanwhile the panel says that it computes.
    """

    delay = 0.0
    height = 300
    lines = 3
    title = "panel"

    def __init__(self, controls: Mapping[str, Control], start: Mapping[str, object]):
        self._controls = dict(controls)
        self._picture = widgets.HTML()
        self._words = widgets.HTML()
        self._timer: asyncio.TimerHandle | None = None
        self._held = True
        self._key = f"course-{id(self)}"
        self._text = ""
        self.record: object = None
        for control in self._controls.values():
            control.value.observe(self._changed, names="value")
        rows = self.arrange(self._controls)
        self._style = widgets.HTML(layout=widgets.Layout(display="none"))
        super().__init__([self._style, *rows, self._picture, self._words])
        self.add_class("course-panel")
        if self.height > _TALL:
            self.add_class("course-tall")
        self._held = False
        self.set(**start)

    def arrange(self, controls: Mapping[str, Control]) -> list[widgets.Widget]:
        """The controls as rows, from top to bottom: one in each, where a panel does not say otherwise."""
        return [control.view for control in controls.values()]

    def wait(self, **values: object) -> float:
        """Seconds of quiet before the work for these values starts: `delay`, where not only some of it is slow."""
        return self.delay

    def compute(self, **values: object) -> object:
        """Values of the controls in, a record with a `sentence` out."""
        raise NotImplementedError

    def draw(self, record: object) -> Drawing:
        """A record in, its drawing out: `height` pixels high, whatever the record."""
        raise NotImplementedError

    def picture(self) -> Picture:
        """The static picture of what the panel shows now, for places where no kernel runs."""
        return paper.picture(self.draw(self.record))

    def with_words(self) -> Picture:
        """The static picture with its words below it, in one image: a place that shows one output shows both."""
        drawing = self.draw(self.record)
        words = lines(2, drawing.height + 26, self.text, _LETTERS)
        shapes, height = (*drawing.shapes, *words), drawing.height + 16 + LINE * len(words)
        return paper.picture(replace(drawing, shapes=shapes, height=height))

    @property
    def text(self) -> str:
        """What the panel shows, in words."""
        return self._text

    @property
    def values(self) -> dict[str, object]:
        """The settings now, by name: what `set` takes."""
        return {name: control.value.value for name, control in self._controls.items()}

    def set(self, *unnamed: object, **values: object) -> None:
        """Move controls from code, as in ``panel.set(batch_size=64)``, and draw once.

        Raises `Problem` for a name or a value that the controls do not allow; then nothing is moved.
        """
        if unnamed:
            first = next(iter(self._controls))
            raise Problem(
                f"{shown(unnamed[0])} has no name; allowed is panel.set(NAME=VALUE), as in {first}={shown(unnamed[0])}."
            )
        unknown = [name for name in values if name not in self._controls]
        if unknown:
            names = ", ".join(self._controls)
            raise Problem(
                f"the panel has no control named {shown(unknown[0])}; allowed is {names}. Write panel.set(NAME=…)."
            )
        checked = {name: self._controls[name].check(name, value) for name, value in values.items()}
        self._held = True
        try:
            for name, value in checked.items():
                self._controls[name].value.value = value
        finally:
            self._held = False
        self._stop_timer()
        self._update()

    def _changed(self, _change: object) -> None:
        if self._held:
            return
        self._stop_timer()
        delay = self.wait(**self.values)
        try:
            loop = asyncio.get_running_loop() if delay else None
        except RuntimeError:  # no loop: a plain Python run
            loop = None
        if loop is None:
            self._update()
        else:
            self._show_words("computing …", busy=True)
            self._timer = loop.call_later(delay, self._update)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _update(self) -> None:
        try:
            record = self.compute(**self.values)
            drawing = self.draw(record)
            words = record.sentence
        except Exception as error:  # a callback has nobody above it who could show the error
            self.record, self._text = None, f"This does not work: {said(error)}"
            why = Text(WIDTH / 2, self.height / 2, "No picture; the reason stands below.", "middle", colour=ERROR)
            frame = box(2, 2, WIDTH - 4, self.height - 4, edge=ERROR)
            self._show(Drawing(self.height, (frame, why), why.words))
            self._show_words(self.text, alert=True)
        else:
            self.record, self._text = record, words
            self._show(drawing)
            self._show_words(words)

    def _show(self, drawing: Drawing) -> None:
        self._style.value = f"<style>{_STYLE}{svg.style(drawing, self._key)}</style>"
        self._picture.value = f'<div class="course-text">{svg.write(drawing, self._key)}</div>'

    def _show_words(self, words: str, busy: bool = False, alert: bool = False) -> None:
        role = "alert" if alert else "status"
        mark = f";border-left:4px solid {ERROR};padding-left:8px" if alert else ""
        self._words.value = (
            f'<div role="{role}" aria-busy="{str(busy).lower()}" class="course-text" '
            f'style="min-height:{1.5 * self.lines}em{mark}">{html.escape(words)}</div>'
        )

    def _repr_mimebundle_(self, **options: object) -> dict[str, object]:
        bundle = dict(super()._repr_mimebundle_(**options) or {})
        bundle["text/plain"] = f"<{self.title}: {self.text}>"
        if self.record is not None:
            bundle["image/png"] = base64.b64encode(self.with_words().png()).decode()
        return bundle
