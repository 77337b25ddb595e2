"""What every family does alike: a value of another shape than the event is refused, never broadcast."""

import jax
import jax.numpy as jnp
import pytest
from families import MEMBERS, THREE
from unchecked import unchecked

from vae.distributions import Normal


@pytest.mark.parametrize("family", [name for name in MEMBERS if name != "Deterministic"])
@pytest.mark.parametrize("shape", [(), (1,), (3, 1), (2, 3)], ids=str)
def test_a_value_of_another_shape_is_refused_and_not_broadcast(family, shape):
    """Summed over a (3, 3) array, or with the normaliser of one component for three, a density would be silently wrong."""
    sentence = r"asked at a value of shape|wanted one entry for each component|got a value of shape"
    with unchecked(), jax.numpy_rank_promotion("allow"), pytest.raises(ValueError, match=sentence):
        MEMBERS[family].log_prob(jnp.full(shape, 0.5))


def test_a_scalar_gaussian_does_not_score_a_vector():
    with unchecked(), pytest.raises(ValueError, match=r"Normal over \(\) was asked at a value of shape \(3,\)"):
        Normal(0.0, 0.0).log_prob(THREE)
