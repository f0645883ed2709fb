"""Records in, a picture with its sentence out. No state, no pyplot."""

from helpers.figures.base import COLOURS, DPI, FONT, HATCHES, WIDTH, Picture
from helpers.figures.shapes import (
    batch_picture,
    image_row,
    layout_picture,
    shape_flow_picture,
    speed_up,
    tile_grid,
    tiles,
    walk_picture,
)
from helpers.figures.step_memory import memory_bar, step_timeline
