"""The hierarchies by plain numbers: the contract, temperatures by group, a run that is cut and resumed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_array_equal

import vae
from vae.evaluation import generate
from vae.settings import Settings
from vae.testing import check_model

KEY = jax.random.key(0)
SHAPE = (6, 5, 1)
DATA = vae.Data(SHAPE, "binary", mean=jnp.full(SHAPE, 0.3))
X = np.random.default_rng(0).random((24, *SHAPE)) < 0.3
QUIET = vae.Host(progress=False)

MODELS = {
    "bottom_up": vae.reference_to(vae.models.bottom_up, latent_dims=[3, 2], hidden=[[6], [5]]),
    "ladder": vae.reference_to(vae.models.ladder, latent_dims=[3, 2], hidden=[[6], [5]]),
    "top_down": vae.reference_to(vae.models.top_down, groups=[1, 1], latent_channels=2, width=4, middle=2, halvings=1),
}
GROUPS = {"bottom_up": [(2,), (3,)], "ladder": [(2,), (3,)], "top_down": [(2, 2, 2), (3, 3, 2)]}


BATCH_NORMALISED = vae.reference_to(vae.models.ladder, latent_dims=[3, 2], hidden=[[6], [5]], batch_normalised=True)
SKIPPED = {"bottom_up": (), "ladder": ("generative leak",), "top_down": ("generative leak",)}
"""A posterior that goes down is built on the prior."""


@pytest.mark.slow  # ten to forty seconds of compilation each
@pytest.mark.parametrize("name", MODELS)
def test_the_contract_is_kept(name):
    """Also: the KL of every group against Monte Carlo, one example as in the batch, resumption, prior samples scored."""
    model = vae.resolve(MODELS[name], DATA)
    check_model(model, jnp.asarray(X[:3], jnp.float32), KEY, skip=SKIPPED[name])


@pytest.mark.slow_but("ladder")
@pytest.mark.parametrize("name", MODELS)
def test_every_group_has_its_shape_and_samples_a_temperature_for_each(name):
    model = vae.resolve(MODELS[name], DATA)
    trained = vae.Trained(model, *jax.jit(model.init)(KEY), spec=DATA)
    values = generate.sample_prior(trained, KEY, 3, temperature=(1.0, 0.0))
    assert [value.shape[1:] for value in values] == GROUPS[name]
    again = generate.sample_prior(trained, jax.random.key(1), 3, temperature=(1.0, 0.0), values=(values[0], None))
    assert_array_equal(again[1], values[1], err_msg="at temperature 0 the lower group is a function of the upper one")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A ladder with batch normalisation, trained at once and in two parts."""
    folder, x = tmp_path_factory.mktemp("ladder"), np.asarray(X, np.float32)
    experiment = vae.Experiment(
        vae.data.Splits(x, x), BATCH_NORMALISED, steps=4, batch_size=8, validate_every=2, average_decay=0.9
    )
    whole = vae.fit(experiment, folder / "whole", QUIET)
    vae.fit(experiment._replace(steps=2), folder / "cut", QUIET)
    return whole, vae.fit(experiment, folder / "cut", QUIET), folder


@pytest.mark.slow
def test_a_resumed_run_is_the_same_bit_for_bit_and_loads(runs):
    whole, cut, folder = runs
    jax.tree.map(
        assert_array_equal, (whole.trained.params, whole.trained.model_state), (cut.trained.params, cut.trained.model_state)
    )
    loaded = vae.load(folder / "whole", "latest")
    jax.tree.map(assert_array_equal, loaded.params, whole.trained.params)
    moved = jax.tree.leaves(whole.trained.model_state)
    assert any(np.any(leaf != 0) and np.any(leaf != 1) for leaf in moved), "the averages of batch normalisation are carried"


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="bottom_up got 2 latent_dims and 1 lists of hidden widths"):
        vae.models.bottom_up(DATA, latent_dims=(3, 2), hidden=((6,),))
    with pytest.raises(ValueError, match="ladder got 0 latent_dims"):
        vae.models.ladder(DATA, latent_dims=(), hidden=())
    with pytest.raises(ValueError, match=r"wanted images .*: use ladder"):
        vae.models.top_down(vae.Data((4,), "real"))
    with pytest.raises(ValueError, match=r"top_down got groups \(1, 0\) and 1 halvings"):
        vae.models.top_down(DATA, groups=(1, 0), halvings=1)


@pytest.mark.slow
def test_settings_are_only_read_where_networks_train():
    """A draw in training returns the averages that the batch makes, one in evaluation none."""
    model = vae.resolve(BATCH_NORMALISED, DATA)
    params, state = jax.jit(model.init)(KEY)
    x = jnp.asarray(X[:4], jnp.float32)

    def statistics(training):
        def one(x):
            return model.infer(params, state, x, (), Settings(training=training))(KEY).statistics

        return jax.jit(jax.vmap(one, axis_name="batch"))(x)

    assert statistics(False) == {}
    after = model.update(state, statistics(True), KEY)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert any(np.any(a != b) for a, b in zip(jax.tree.leaves(after), jax.tree.leaves(state), strict=True))
