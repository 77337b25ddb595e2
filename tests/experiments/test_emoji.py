"""The emoji experiment at its smallest, on gray digits."""

import jax
import numpy as np
import pytest
from smoke_runs import smoke_run

import vae
from experiments import emoji as experiment
from vae.distributions import DiscretisedLogisticMixture


@pytest.mark.slow  # three models, each with three programs of its own to be measured
def test_likelihoods_are_compared_and_laid_beside_the_files(tmp_path):
    numbers = smoke_run(experiment, tmp_path, train=False)
    logistic, mixture = (numbers["models"][name] for name in ("logistic", "mixture"))
    assert list(numbers["differences"]) == ["mixture minus logistic", "top-down mixture minus logistic"]
    assert logistic["bits_png"] == mixture["bits_png"]
    assert logistic["bits_model"] != mixture["bits_model"]
    for found in (logistic, mixture):  # the scores see all 359 test images, the ELBO beside them 20 of these
        assert found["bits_model"]["mean"] == pytest.approx(-found["elbo"]["mean"] / (64 * np.log(2)), rel=0.05)


def test_the_variants_see_the_same_data_and_differ_in_their_models():
    found = experiment.variants(experiment.Config(**experiment.SMOKE))
    assert len({id(variant.data) for variant in found.values()}) == 1
    spec = next(iter(found.values())).data.train.spec
    assert spec.space == "uint8"
    for name, variant in found.items():
        model = vae.training.planning.model_of(variant.model, spec)
        params, state = jax.eval_shape(model.init, jax.random.key(0))
        draw = lambda *args: model.decode(*args[:2], model.prior(*args, ()), ())  # noqa: B023, E731
        likelihood = jax.eval_shape(draw, params, state, jax.random.key(0))
        assert isinstance(likelihood, DiscretisedLogisticMixture) == ("mixture" in name)


def test_the_presets_are_of_the_sizes_that_they_say():
    presets = {name: preset for name, preset in experiment.PRESETS.items() if name != "default"}
    assert [preset.data for preset in presets.values()] == ["emoji/32", "emoji/64"]
