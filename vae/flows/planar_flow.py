"""The planar flow."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from vae.flows.base import Flow, require_context, require_dimension

MARGIN = 1e-3
BISECTIONS = 40


def planar(dim: int, context_dim: int = 0) -> Flow:
    """Planar flow: stretches space along one direction, across one hyperplane.

        x = z + u tanh(w'z + b),    ln |det dx/dz| = ln(1 + u'w (1 - tanh(w'z + b)^2))

    dim:         n.
    context_dim: size of a vector to which u, w and b are linearly related (amortised parameters), 0 for none.

    The map is invertible where u'w >= -1, so u is replaced by u + (c(u'w) - u'w) w / |w|^2 with the increasing function
    c(t) = softplus(t + const) - 1 + 1e-3, where const makes c(0) = 0; the margin keeps the log-determinant finite in float32.
    (Rezende & Mohamed 2015, equations 10 to 12 and appendix A.1.)

    The inverse has no closed form but is a search in one dimension: a = w'z solves a + u'w tanh(a + b) = w'x, whose left side
    increases. A fixed number of bisections and one Newton step find it, and the Newton step carries its gradient.
    """
    if dim < 1:
        raise ValueError(f"planar got dim {dim}, wanted at least 1.")

    def init(key: Array):
        stretch_key, normal_key, context_key = jax.random.split(key, 3)
        return {
            "stretch": 0.01 * jax.random.normal(stretch_key, (dim,)),
            "normal": jax.random.normal(normal_key, (dim,)) / math.sqrt(dim),
            "offset": jnp.zeros(()),
            "context": 0.01 * jax.random.normal(context_key, (context_dim, 2 * dim + 1)),
        }

    def plane(params, value, context):
        """u, w, b and u'w, for this context."""
        require_dimension("planar", value, dim)
        require_context("planar", context, context_dim)
        added = context @ params["context"] if context_dim else jnp.zeros(2 * dim + 1)
        normal, offset = params["normal"] + added[dim : 2 * dim], params["offset"] + added[-1]
        stretch, product = constrained(params["stretch"] + added[:dim], normal)
        return stretch, normal, offset, product

    def forward_and_log_det(params, z, context=()):
        u, w, b, product = plane(params, z, context)
        bend = jnp.tanh(w @ z + b)
        return z + u * bend, jnp.log1p(product * (1.0 - jnp.square(bend)))

    def inverse_and_log_det(params, x, context=()):
        u, w, b, product = plane(params, x, context)
        bend = jnp.tanh(across(w @ x, product, b) + b)
        return x - u * bend, -jnp.log1p(product * (1.0 - jnp.square(bend)))

    return Flow(init, forward_and_log_det, inverse_and_log_det)


def constrained(stretch: Float[Array, "n"], normal: Float[Array, "n"]) -> tuple[Float[Array, "n"], Float[Array, ""]]:
    """The u nearest to `stretch` whose product with w is c(stretch'w) > -1, and that product."""
    free = stretch @ normal
    product = jax.nn.softplus(free + math.log(math.expm1(1.0 - MARGIN))) - (1.0 - MARGIN)
    return stretch + (product - free) * normal / jnp.maximum(normal @ normal, 1e-12), product


def across(target: Float[Array, ""], product: Float[Array, ""], offset: Float[Array, ""]) -> Float[Array, ""]:
    """The root a of a + product tanh(a + offset) = target, differentiable once in all three; it lies within |product|."""

    def halve(_, bounds):
        low, high = bounds
        middle = 0.5 * (low + high)
        below = middle + product * jnp.tanh(middle + offset) < target
        return jnp.where(below, middle, low), jnp.where(below, high, middle)

    reach = jnp.abs(product)
    low, high = jax.lax.fori_loop(0, BISECTIONS, halve, (target - reach, target + reach))
    root = jax.lax.stop_gradient(0.5 * (low + high))
    bend = jnp.tanh(root + offset)
    return root - (root + product * bend - target) / (1.0 + product * (1.0 - jnp.square(bend)))
