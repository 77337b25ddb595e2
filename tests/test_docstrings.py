"""The examples in the docstrings of what a user calls first, run as they stand."""

import doctest

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vae

FIRST = {
    "Experiment": vae.Experiment,
    "array_splits": vae.data.array_splits,
    "check_model": vae.testing.check_model,
    "as_columns": vae.data.as_columns,
    "batch_at": vae.batch_at,
    "compare": vae.compare,
    "elbo": vae.elbo,
    "feed": vae.data.feed,
    "fit": vae.fit,
    "image_splits": vae.data.image_splits,
    "impute": vae.evaluation.impute,
    "importance_weighted": vae.objectives.importance_weighted,
    "kl_divergence": vae.kl_divergence,
    "load": vae.load,
    "stages": vae.stages,
    "sweep": vae.sweep,
    "table_splits": vae.data.table_splits,
}


SLOW, TRAIN_SEVERAL = pytest.mark.slow, ("check_model", "compare", "stages", "sweep")


@pytest.fixture(scope="module")
def experiment():
    images = np.random.default_rng(0).integers(0, 2, (40, 8, 8, 1)).astype(np.float32)
    model = vae.reference_to(vae.models.mlp, latent_dim=2, hidden=[4])
    data = vae.data.Splits(images, validation=images[:10], test=images[:10])
    return vae.Experiment(data=data, model=model, steps=2, batch_size=8, settings={"beta": 1.0})


@pytest.fixture(scope="module")
def folder(experiment, tmp_path_factory):
    folder = tmp_path_factory.mktemp("docstrings")
    vae.fit(experiment, folder / "runs" / "mine", vae.Host(progress=False))
    return folder


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW if name in TRAIN_SEVERAL else ()) for name in FIRST])
def test_the_example_is_right(name, experiment, folder, monkeypatch):
    monkeypatch.chdir(folder)
    names = {"vae": vae, "jax": jax, "jnp": jnp, "np": np, "experiment": experiment}
    (example,) = doctest.DocTestFinder(recurse=False).find(FIRST[name], name, globs=names)
    assert example.examples, f"{name} has no example in its docstring"
    assert doctest.DocTestRunner().run(example).failed == 0
