"""KL rows between discrete distributions. Each is KL(q || p) in nats, unsummed where it factorises."""

import jax
from jaxtyping import Array

from vae.distributions.bernoulli import Bernoulli


def bernoulli_bernoulli(q: Bernoulli, p: Bernoulli) -> Array:
    """Per component: p_q (l_q - l_p) + softplus(l_p) - softplus(l_q)."""
    q_mean = jax.nn.sigmoid(q.logits)
    return q_mean * (q.logits - p.logits) + jax.nn.softplus(p.logits) - jax.nn.softplus(q.logits)
