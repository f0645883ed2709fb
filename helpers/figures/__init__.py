"""Records in, a picture with its sentence out. No state, no pyplot.

A room for each panel, named like its record, and one for each kind of picture beside them. `draw` and `draw_…` give
the shapes of a drawing (see `shapes`), which `svg` draws for a live panel and `paper` with Matplotlib for a picture.
`charts` and `spread` draw in Matplotlib's axes.
"""

from helpers.figures.accumulate import accumulate_picture
from helpers.figures.bars import bars
from helpers.figures.base import COLOURS, DPI, ERROR, HATCHES, SIZE, WIDTH, Picture
from helpers.figures.batch_size import curves_picture, endings_picture
from helpers.figures.blocks import block_picture, layers_picture, norm_picture
from helpers.figures.broadcast import broadcast_picture
from helpers.figures.capstone import design_picture
from helpers.figures.cells import memory_row
from helpers.figures.charts import curves, speed_up
from helpers.figures.claims import claims_picture, verdicts_picture
from helpers.figures.error_text import read_error
from helpers.figures.flatten import entry_picture, features_picture, product_picture, unroll_picture
from helpers.figures.gpu_memory import gpu_boxes, out_of_memory
from helpers.figures.images import image_row, tile_grid, tiles
from helpers.figures.kept import kept_picture
from helpers.figures.noise import noise_picture
from helpers.figures.peak import peak_against_batch
from helpers.figures.shown import imshow_row, order_picture
from helpers.figures.split import split_picture
from helpers.figures.spread import spread
from helpers.figures.step_memory import memory_bar, step_timeline
from helpers.figures.strips import strips_picture
from helpers.figures.will_it_fit import levers_picture
