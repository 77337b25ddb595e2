"""Compositions that cannot be: refused before a step is taken, in a sentence that names both sides."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys
from tiny_run import EXPERIMENT, MODEL, X

import vae
from vae.data import Splits, feed
from vae.evaluation.generate import decode_means, sample_prior
from vae.training.planning import planned

WHO = np.eye(3, dtype=np.float32)[np.arange(len(X)) % 3]
BINARY = (X > 0).astype(np.float32)


def by_context(context, x=X):
    """A feed of examples under a context."""
    return feed((x, context), lambda key, stored: stored)


def with_prior(*sizes):
    """The model with a prior that draws groups of other sizes."""
    return MODEL._replace(prior=lambda p, s, key, c, values=(), temperature=1.0: tuple(jnp.zeros(size) for size in sizes))


def composed(encoded=4, decoded=4, prior=2):
    """A VAE of four numbers with two latent ones; what does not fit is said by the numbers."""
    return vae.variational_autoencoder(
        encoder=vae.networks.mlp((4,), (encoded,)),
        decoder=vae.networks.mlp((4,), (decoded,)),
        posterior=vae.posteriors.normal(2),
        prior=vae.priors.normal(prior),
        likelihood=vae.likelihoods.normal((4,)),
        data=vae.Data((4,), "real"),
    )


CONDITIONAL = vae.models.mlp(by_context(WHO).spec, latent_dim=2, hidden=[4], likelihood="normal")
REFUSED = {
    "no context": (CONDITIONAL, X, r"an example of the data, x of shape \(4,\) and no context: .*model for the data"),
    "a context of another shape": (CONDITIONAL, by_context(WHO[:, :2]), r"and a context of shape \(2,\): "),
    "a context for none": (composed(), by_context(WHO), r"x of shape \(4,\) and a context of shape \(3,\): "),
    "other data": (MODEL, X[:, :3], r"x of shape \(3,\) and no context: .*\(4,\) and \(3,\)"),
    "more groups in the prior": (
        with_prior(2, 2),
        X,
        "prior draws 2 latent groups, and a pass through it has 1; wanted the same",
    ),
    "a larger group in the prior": (
        with_prior(3),
        X,
        r"draws latent group 0 as float32\(3,\), and the posterior Normal as float32\(2,\); wanted the same of both",
    ),
    "a group that its prior cannot score": (
        composed(prior=3),
        X,
        r"the values of latent group 0, float32\(2,\) by the posterior Normal, do not fit its prior Normal: .*\(3,\)",
    ),
    "an encoder of other outputs": (
        composed(encoded=5),
        X,
        r"the encoder gives .* \(5,\), and the posterior .* \(4,\)",
    ),
    "a decoder of other outputs": (
        composed(decoded=3),
        X,
        r"the decoder gives .* \(3,\), and the likelihood .* \(4,\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name):
    model, data, message = REFUSED[name]
    with pytest.raises((ValueError, TypeError), match=message):
        planned(EXPERIMENT._replace(model=model, data=data))


def test_a_model_that_draws_nothing_may_train():
    silent = MODEL._replace(prior=lambda p, s, key, c, values=(), temperature=1.0: ())
    assert planned(EXPERIMENT._replace(model=silent)).claim.is_bound


def test_importance_weights_of_a_point():
    model = vae.reference_to(vae.models.mlp, latent_dim=2, hidden=[4], latents="deterministic")
    plan = planned(EXPERIMENT._replace(model=model, objective=vae.objectives.importance_weighted(2)))
    message = r"importance weights .* were asked of latent group 0, whose posterior Deterministic has no density; use"
    with pytest.raises(TypeError, match=message):
        jax.eval_shape(plan.program.step, *plan.traced_with())


def labelled_run(labels):
    """Training with observed classes."""
    observed = feed((BINARY, np.asarray(labels, np.int32)), lambda key, stored: (stored[0], (), (stored[1],)))
    log_ratios = vae.elbo(vae.objectives.log_ratio)
    return EXPERIMENT._replace(model=toys.labelled(), objective=log_ratios, data=Splits(observed))


@pytest.mark.parametrize("label", [3, -1])
def test_an_observed_class_that_there_is_not(label):
    labels = np.arange(len(X)) % 3
    assert planned(labelled_run(labels))
    labels[7] = label
    with pytest.raises(ValueError, match=f"group 0 is observed as {label} in the data, and its prior has the classes 0 to 2"):
        planned(labelled_run(labels))


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_class_that_is_never_trained_on(split):
    rare = WHO[:, [1, 2, 0]][:5]
    assert planned(EXPERIMENT._replace(model=CONDITIONAL, data=Splits(by_context(WHO), by_context(rare, X[:5]))))
    train = by_context(WHO[WHO[:, 2] == 0], X[WHO[:, 2] == 0])
    data = Splits(train=train)._replace(**{split: by_context(rare, X[:5])})
    with pytest.raises(ValueError, match=f"the {split} data are conditioned on class 2, which no training example has"):
        planned(EXPERIMENT._replace(model=CONDITIONAL, data=data))


def test_a_given_class_that_the_model_does_not_have():
    model = toys.labelled()
    trained = vae.Trained(model, *model.init(jax.random.key(0)), spec=vae.Data((4,), "binary"))
    code = np.zeros((2, 2), np.float32)
    assert decode_means(trained, (np.array([0, 2]), code)).shape == (2, 4)
    for wrong in (3, -1):
        message = f"latent group 0 was given the class {wrong}, and the model has the classes 0 to 2"
        with pytest.raises(ValueError, match=message):
            decode_means(trained, (np.array([0, wrong]), code))
        with pytest.raises(ValueError, match=message):
            sample_prior(trained, jax.random.key(0), values=(np.array([0, wrong]), None))
    with pytest.raises(ValueError, match="got values of 3 latent groups, and the model has 2"):
        sample_prior(trained, jax.random.key(0), values=(np.array([0, 1]), code, code))
