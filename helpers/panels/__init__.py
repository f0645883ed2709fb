"""Panels: ipywidgets around the floors below. See `helpers.panels.core.Panel` for the recipe that all follow."""

from helpers.panels.batch import BatchPanel
from helpers.panels.core import Panel, choice, number
