"""Panels: ipywidgets around the floors below. See `helpers.panels.core.Panel` for the recipe that all follow."""

from helpers.panels.accumulate import AccumulatePanel
from helpers.panels.batch import BatchPanel
from helpers.panels.batch_size import CurvesPanel
from helpers.panels.capstone import DesignPanel
from helpers.panels.claims import ClaimsPanel
from helpers.panels.core import Panel, choice, doublings, number
from helpers.panels.layout import LayoutLab, StrideWalk
from helpers.panels.noise import GradientNoisePanel
from helpers.panels.progress import ProgressPanel
from helpers.panels.shape_flow import ShapeFlowPanel
from helpers.panels.split import SplitPanel
from helpers.panels.step_memory import MemoryBar, StepTimeline
from helpers.panels.will_it_fit import WillItFitPanel
