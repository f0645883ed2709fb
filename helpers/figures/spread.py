"""Results of several runs as dots, one row for each group and case: what differs by chance, and what by more."""

from collections.abc import Mapping, Sequence

from helpers.figures.base import Picture
from helpers.figures.charts import LETTERS, can_be_drawn, empty_axes
from helpers.problems import Problem, instance_of, shown

_LOOKS = (("o", "#0072B2"), ("D", "#D55E00"), ("^", "#009E73"), ("s", "#CC79A7"))
_ROW, _MOST = 17, 8  # pixels from one row of dots to the next; groups
Groups = Mapping[str, Mapping[str, Sequence[float]]]


def spread(groups: Groups, x: str, sentence: str) -> Picture:
    """A row of dots for each case of each group, a dot for each run, and a line with a number at their mean.

    groups: {"MLP": {"as they are": [89.4, 88.3], "scrambled": [89.9, 90.0]}}, one to eight groups of one to four cases,
    the same ones in each. x: what the numbers are. Raises `Problem` for anything else.
    """
    cases = _cases(groups)
    for name, words in {"x": x, "sentence": sentence}.items():
        instance_of(name, words, str, '"accuracy in %"')
    axis = empty_axes(100 + _ROW * len(groups) * (len(cases) + 0.8), x)
    for place, group in enumerate(groups.values()):
        for row, ((marker, colour), case) in enumerate(zip(_LOOKS, cases, strict=False)):
            values, y = group[case], place * (len(cases) + 0.8) + row
            mean = sum(values) / len(values)
            axis.plot(values, [y] * len(values), marker, color=colour, alpha=0.5, label="" if place else case)
            axis.plot([mean, mean], [y - 0.4, y + 0.4], color="#000000", linewidth=2)
            where = {"xy": (1, y), "xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
            axis.annotate(f"mean {mean:.1f}", xytext=(6, 0), va="center", annotation_clip=False, **where, **LETTERS)
    middles = [place * (len(cases) + 0.8) + (len(cases) - 1) / 2 for place in range(len(groups))]
    axis.set_yticks(middles, [str(name).replace(", ", "\n") for name in groups])
    axis.set_ylim(middles[-1] + len(cases) / 2 + 0.3, -len(cases) / 2 + middles[0] - 0.3)
    axis.grid(axis="x", color="#DDDDDD")
    axis.set_axisbelow(True)
    if len(cases) > 1:
        axis.figure.legend(loc="outside upper center", ncols=len(cases), frameon=False, **LETTERS)
    return Picture(lambda: axis.figure, sentence)


def _cases(groups: Groups) -> list[str]:
    """The names of the cases, if all groups have the same ones and every number can be drawn."""
    instance_of("groups", groups, Mapping, '{"MLP": {"as they are": [89.4, 88.3]}}')
    if not 1 <= len(groups) <= _MOST:
        raise Problem(f"{len(groups)} groups; allowed are 1 to {_MOST}. Draw more in a second picture.")
    first = next(iter(groups.values()))
    for name, group in groups.items():
        if not isinstance(group, Mapping) or not 1 <= len(group) <= len(_LOOKS) or list(group) != list(first):
            raise Problem(
                f"the group {shown(name)} is {shown(group)}; give {{case: numbers}}, 1 to {len(_LOOKS)} cases, "
                "the same in each group."
            )
        for case, values in group.items():
            if not isinstance(values, list | tuple) or not values or not all(map(can_be_drawn, values)):
                raise Problem(f"{shown(case)} of {shown(name)} is {shown(values)}; give a list of numbers.")
    return list(first)
