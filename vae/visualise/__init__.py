"""Pictures: arrays in, figure out.

Every function takes arrays of NumPy or JAX and returns a `matplotlib.figure.Figure` made through matplotlib's objects: no
backend is chosen, nothing global is kept, nothing is shown. `save` writes one as PNG. matplotlib is imported on the first call.

    images.py       images side by side: grids, stacks, traversals, interpolations
    latents.py      what the latent space holds: posterior means, KL per dimension
    circles.py      a latent circle
    codes.py        how often each code is used
    comparisons.py  models side by side: intervals, one quantity against another
    curves.py       numbers against numbers: training, rate against distortion, signal to noise
    animation.py    images that move
    neighbours.py   which training images a sample resembles
    tiles.py        the layout that every picture of images shares
    style.py        the look, the checks of what comes in, and `save`
"""

from vae.visualise.animation import save_animation
from vae.visualise.circles import on_circle
from vae.visualise.codes import code_usage
from vae.visualise.comparisons import Interval, Trade, intervals, trade_offs
from vae.visualise.curves import RateDistortion, rate_distortion, signal_to_noise, training_curves
from vae.visualise.images import image_grid, interpolation, latent_traversals, reconstructions, samples, samples_by_row
from vae.visualise.latents import kl_per_dimension, latent_means
from vae.visualise.neighbours import nearest_training_images
from vae.visualise.style import save

__all__ = [
    "Interval",
    "RateDistortion",
    "Trade",
    "code_usage",
    "image_grid",
    "interpolation",
    "intervals",
    "kl_per_dimension",
    "latent_means",
    "latent_traversals",
    "nearest_training_images",
    "on_circle",
    "rate_distortion",
    "reconstructions",
    "samples",
    "samples_by_row",
    "save",
    "save_animation",
    "signal_to_noise",
    "trade_offs",
    "training_curves",
]
