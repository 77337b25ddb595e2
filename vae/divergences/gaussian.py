"""KL rows between Gaussians. Each is KL(q || p) in nats, unsummed where it factorises."""

import jax.numpy as jnp
from jaxtyping import Array

from vae.distributions.normal import Normal


def normal_normal(q: Normal, p: Normal) -> Array:
    """Per component, with r = log_std_q - log_std_p and d the difference of means in units of p's std:

        1/2 [ expm1(2 r) - 2 r + d^2 ]

    expm1 keeps the digits when the scales are close. The gradient in mean is d / std_p, in log_std_q expm1(2 r); with
    v = 2 log_std and p = N(0, 1) that is mean and 1/2 expm1(v). (Kingma & Welling 2014, appendix B.)
    """
    log_ratio = q.log_std - p.log_std
    shift = (q.mean - p.mean) * jnp.exp(-p.log_std)
    return 0.5 * (jnp.expm1(2.0 * log_ratio) - 2.0 * log_ratio + jnp.square(shift))
