"""Quantisers: vectors of one example -> codes, and codes -> the vectors that a decoder sees.

Each is a value of one record, `Quantiser`, of pure functions of one example; what they learn from a batch is its `update`,
after the vmap. Arithmetic is in float32, codes are int32, whatever the rest of a model runs in.

    base.py           the records; straight-through; which codes there are
    nearest.py        the nearest of many vectors, by one matrix product
    vector.py         a codebook of vectors, learned by gradient
    moving_average.py a codebook that follows the mean of what is assigned to it; codes without use are revived
    composed.py       several codes for a vector: of what is left (residual), of its pieces (product); codes of directions
    scalar.py         a grid in place of a codebook: finite scalar, lookup-free
    relaxed.py        classes drawn from logits, relaxed in training (Gumbel-softmax)
"""

from vae.quantisation.base import Assigned as Assigned
from vae.quantisation.base import Quantiser as Quantiser
from vae.quantisation.base import require_codes as require_codes
from vae.quantisation.base import straight_through as straight_through
from vae.quantisation.composed import of_directions as of_directions
from vae.quantisation.composed import product as product
from vae.quantisation.composed import residual as residual
from vae.quantisation.moving_average import by_moving_average as by_moving_average
from vae.quantisation.nearest import nearest_code as nearest_code
from vae.quantisation.relaxed import gumbel_softmax as gumbel_softmax
from vae.quantisation.scalar import finite_scalar as finite_scalar
from vae.quantisation.scalar import lookup_free as lookup_free
from vae.quantisation.vector import by_gradient as by_gradient
