"""What every family does alike: a value of another shape than the event is refused, never broadcast."""

import jax
import jax.numpy as jnp
import pytest
from unchecked import unchecked

from vae import distributions as d

THREE, FACTOR, NORTH = jnp.array([0.3, 1.2, 0.7]), jnp.eye(3), jnp.array([0.0, 1.0, 0.0])
FAMILIES = {
    "Normal": d.Normal(THREE, THREE),
    "MultivariateNormal": d.MultivariateNormal(THREE, FACTOR),
    "LowRankNormal": d.LowRankNormal(THREE, FACTOR, THREE),
    "Laplace": d.Laplace(THREE, THREE),
    "Gamma": d.Gamma(THREE, THREE),
    "Beta": d.Beta(THREE, THREE),
    "Kumaraswamy": d.Kumaraswamy(THREE, THREE),
    "VonMises": d.VonMises(THREE, THREE),
    "VonMisesFisher": d.VonMisesFisher(NORTH, THREE[0]),
    "PowerSpherical": d.PowerSpherical(NORTH, THREE[0]),
    "UniformSphere": d.UniformSphere(3),
    "UniformCircle": d.UniformCircle((3,)),
    "Bernoulli": d.Bernoulli(THREE),
    "ContinuousBernoulli": d.ContinuousBernoulli(THREE),
    "Categorical": d.Categorical(FACTOR),
    "RelaxedBernoulli": d.RelaxedBernoulli(THREE, 0.5),
    "LogitRelaxedBernoulli": d.LogitRelaxedBernoulli(THREE, 0.5),
    "RelaxedCategorical": d.RelaxedCategorical(THREE, 0.5),
    "ExpRelaxedCategorical": d.ExpRelaxedCategorical(THREE, 0.5),
    "StraightThroughCategorical": d.StraightThroughCategorical(THREE, 0.5),
    "SpikeAndSlab": d.SpikeAndSlab(THREE, d.Normal(THREE, THREE)),
    "Poisson": d.Poisson(THREE),
    "NegativeBinomial": d.NegativeBinomial(THREE, THREE),
    "ZeroInflated": d.ZeroInflated(d.Poisson(THREE), THREE),
    "DiscretisedLogistic": d.DiscretisedLogistic(THREE, THREE),
    "DiscretisedLogisticMixture": d.DiscretisedLogisticMixture(THREE, FACTOR, FACTOR),
    "OptimalSigmaNormal": d.OptimalSigmaNormal(THREE),
    "Dequantised": d.Dequantised(d.Normal(THREE, THREE)),
    "Masked": d.Masked(d.Normal(THREE, THREE), THREE > 0),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("shape", [(), (1,), (3, 1), (2, 3)], ids=str)
def test_a_value_of_another_shape_is_refused_and_not_broadcast(family, shape):
    """Summed over a (3, 3) array, or with the normaliser of one component for three, a density would be silently wrong."""
    sentence = r"asked at a value of shape|wanted one entry for each component"
    with unchecked(), jax.numpy_rank_promotion("allow"), pytest.raises(ValueError, match=sentence):
        FAMILIES[family].log_prob(jnp.full(shape, 0.5))


def test_a_scalar_gaussian_does_not_score_a_vector():
    with unchecked(), pytest.raises(ValueError, match=r"Normal over \(\) was asked at a value of shape \(3,\)"):
        d.Normal(0.0, 0.0).log_prob(THREE)
