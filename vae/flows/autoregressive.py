"""Flows that are affine in each component given those before it: inverse and masked autoregressive flow, affine coupling.

One map serves all three. Components carry a degree; component i is shifted and scaled by functions of the components of lower
degree. n different degrees make an autoregressive flow, two make a coupling.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from vae.flows.base import Flow, invert, require_context, require_dimension
from vae.flows.masked_network import masked_network
from vae.special import smooth_bound


def inverse_autoregressive(dim: int, hidden: Sequence[int] = (64,), context_dim: int = 0, log_scale_limit: float = 3.0) -> Flow:
    """Inverse autoregressive flow, for posteriors: one pass to sample with log q, n passes to score any other value.

        x_i = m_i(z_1..z_{i-1}, h) + exp(s_i(z_1..z_{i-1}, h)) z_i,    ln |det dx/dz| = sum_i s_i

    dim:             n.
    hidden:          widths of the masked network that gives m and s.
    context_dim:     size of the vector h that the encoder gives (the paper's amortised context), 0 for none.
    log_scale_limit: |s_i| stays below it, smoothly.

    Chain several with `reverse(dim)` between. (Kingma et al. 2016, equation 10, with exp(s) for the scale; the gated form of
    that paper is a further restriction of it.)
    """
    return _affine("inverse_autoregressive", np.arange(1, dim + 1), hidden, context_dim, log_scale_limit)


def masked_autoregressive(dim: int, hidden: Sequence[int] = (64,), context_dim: int = 0, log_scale_limit: float = 3.0) -> Flow:
    """Masked autoregressive flow, for priors: one pass to score any value, n passes to sample.

        z_i = m_i(x_1..x_{i-1}, h) + exp(s_i(x_1..x_{i-1}, h)) x_i

    `inverse_autoregressive` with its directions exchanged; the arguments are the same. (Papamakarios et al. 2017, equations 3
    to 5; there the affine map is written for x, here for z, which is the same family of maps.)
    """
    return invert(inverse_autoregressive(dim, hidden, context_dim, log_scale_limit))


def affine_coupling(dim: int, hidden: Sequence[int] = (64,), context_dim: int = 0, log_scale_limit: float = 3.0) -> Flow:
    """Affine coupling, for priors and posteriors: one pass in either direction.

        x_a = z_a,    x_b = m(z_a, h) + exp(s(z_a, h)) z_b,    ln |det dx/dz| = sum s

    a is the first half of the components, rounded down, and b the rest. Chain several with `reverse(dim)` between, or b alone
    is ever changed. The arguments are those of `inverse_autoregressive`. (Dinh et al. 2017, equations 4 to 8.)
    """
    return _affine("affine_coupling", (np.arange(dim) >= dim // 2).astype(int), hidden, context_dim, log_scale_limit)


def _affine(name: str, degrees: np.ndarray, hidden: Sequence[int], context_dim: int, log_scale_limit: float) -> Flow:
    """x_i = m_i + exp(s_i) z_i with m_i and s_i functions of the components of lower degree; degree 0 is passed on."""
    if degrees.size < 1 or not hidden:
        raise ValueError(f"{name} got dim {degrees.size} and hidden {tuple(hidden)}, wanted at least 1 and one hidden layer.")
    network = masked_network(degrees, hidden, context_dim)
    changed = degrees > 0

    def shift_and_log_scale(params, z: Array, context) -> tuple[Array, Array]:
        shift, raw = network.apply(params, z, context)
        return jnp.where(changed, shift, 0.0), jnp.where(changed, smooth_bound(raw, log_scale_limit), 0.0)

    def forward_and_log_det(params, z, context=()):
        require_dimension(name, z, degrees.size)
        require_context(name, context, context_dim)
        shift, log_scale = shift_and_log_scale(params, z, context)
        return shift + jnp.exp(log_scale) * z, jnp.sum(log_scale)

    def inverse_and_log_det(params, x, context=()):
        require_dimension(name, x, degrees.size)
        require_context(name, context, context_dim)

        def solve_degree(carry, degree):
            z, log_det = carry
            shift, log_scale = shift_and_log_scale(params, z, context)
            now = degrees == degree
            z = jnp.where(now, (x - shift) * jnp.exp(-log_scale), z)
            return (z, log_det - jnp.sum(jnp.where(now, log_scale, 0.0))), None

        start = (jnp.where(changed, 0.0, x), jnp.zeros((), x.dtype))
        return jax.lax.scan(solve_degree, start, np.arange(1, degrees.max() + 1))[0]

    return Flow(network.init, forward_and_log_det, inverse_and_log_det)
