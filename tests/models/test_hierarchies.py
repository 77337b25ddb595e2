"""The hierarchies by plain numbers: KL against Monte Carlo, one example against the batch, a run that is cut and resumed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import vae
from vae.evaluation import generate
from vae.evaluation.evidence import elbo_terms
from vae.objectives import analytic, log_ratio, log_weight
from vae.settings import Settings

KEY = jax.random.key(0)
SHAPE = (6, 5, 1)
DATA = vae.Data(SHAPE, "binary", mean=jnp.full(SHAPE, 0.3))
X = np.random.default_rng(0).random((24, *SHAPE)) < 0.3
QUIET = vae.Host(progress=False)

MODELS = {
    "bottom_up": vae.reference_to(vae.models.bottom_up, latent_dims=[3, 2], hidden=[[6], [5]]),
    "ladder": vae.reference_to(vae.models.ladder, latent_dims=[3, 2], hidden=[[6], [5]], batch_normalised=True),
    "top_down": vae.reference_to(vae.models.top_down, groups=[1, 1], latent_channels=2, width=4, middle=2, halvings=1),
}
GROUPS = {"bottom_up": [(2,), (3,)], "ladder": [(2,), (3,)], "top_down": [(2, 2, 2), (3, 3, 2)]}


@pytest.fixture(scope="module", params=MODELS)
def named(request):
    """A model with its parameters a little away from their start, where the priors of maps are standard."""
    model = vae.resolve(MODELS[request.param], DATA)
    params, state = jax.jit(model.init)(KEY)
    moved = jax.tree.map(lambda leaf: leaf + 0.1 * jnp.sin(jnp.arange(leaf.size, dtype=float)).reshape(leaf.shape), params)
    return request.param, vae.Trained(model, moved, state, spec=DATA)


@jax.jit
def sampled(trained, x, keys, first):
    """Rates of the second group given the first one's value, in closed form and as log ratios; log weights."""

    def one(key):
        trace = trained.infer(x, ())(key, (first,))
        latent = trace.latents[1]
        closed = jnp.sum(analytic(latent)) if not isinstance(latent.prior, vae.distributions.AtSample) else jnp.nan
        return closed, log_ratio(latent), jnp.stack([jnp.sum(latent.prior.sample(key)), log_weight(trace, x)])

    return jax.vmap(one)(keys)


def test_every_group_has_its_shape_and_its_kl_agrees_with_monte_carlo(named):
    """2,000 draws, 4 standard errors."""
    name, trained = named
    x = jnp.asarray(X[0], jnp.float32)
    latents = trained.infer(x, ())(KEY).latents
    assert [latent.value.shape for latent in latents] == GROUPS[name]
    closed, ratios, others = sampled(trained, x, jax.random.split(KEY, 2_000), latents[0].value)
    assert np.all(np.isfinite(others))
    if name != "bottom_up":
        assert_allclose(closed, closed[0], rtol=1e-4, err_msg="it depends on the groups above only")
        assert abs(ratios.mean() - closed[0]) < 4 * ratios.std() / np.sqrt(len(ratios))
        assert closed[0] > 0.01


def test_one_example_is_the_batch_and_prior_samples_are_scored(named):
    name, trained = named
    x = jnp.asarray(X[:3], jnp.float32)
    together = elbo_terms(trained, x, KEY, rates=log_ratio)

    @jax.jit
    def alone(x, key):
        return vae.objectives.terms_of(trained.infer(x, ())(jax.random.split(key)[0]), x, log_ratio, key)

    for row in range(3):
        own = alone(x[row], jax.random.fold_in(KEY, row))
        assert_allclose(own.log_likelihood, together.log_likelihood[row], rtol=1e-4)
        assert_allclose(own.rates, [r[row] for r in together.rates], rtol=1e-3, atol=1e-4)
    values = generate.sample_prior(trained, KEY, 3, temperature=(1.0, 0.5))
    assert [value.shape[1:] for value in values] == GROUPS[name]
    drawn = generate.sample_likelihood(trained, values, KEY)
    assert np.all(np.isfinite(elbo_terms(trained, drawn, KEY, rates=log_ratio).log_likelihood))


@pytest.mark.parametrize("name", ["ladder", "top_down"])
def test_no_gradient_of_the_prior_at_the_top_depends_on_the_encoder(name):
    """The generative model alone: samples from it do not move with the posterior's parameters, and do with their own."""
    model = vae.resolve(MODELS[name], DATA)
    params, state = jax.jit(model.init)(KEY)

    def drawn(params):
        values = model.prior(params, state, KEY, ())
        return sum(jnp.sum(value) for value in values) + jnp.sum(model.decode(params, state, values, ()).mean)

    gradients = jax.jit(jax.grad(drawn))(params)
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(gradients["posterior"]))
    assert any(np.any(leaf) for leaf in jax.tree.leaves(gradients["generative"]))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A ladder with batch normalisation, trained at once and in two parts."""
    folder, x = tmp_path_factory.mktemp("ladder"), np.asarray(X, np.float32)
    experiment = vae.Experiment(
        vae.data.Splits(x, x), MODELS["ladder"], steps=4, batch_size=8, validate_every=2, average_decay=0.9
    )
    whole = vae.fit(experiment, folder / "whole", QUIET)
    vae.fit(experiment._replace(steps=2), folder / "cut", QUIET)
    return whole, vae.fit(experiment, folder / "cut", QUIET), folder


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


def test_settings_are_only_read_where_networks_train():
    """A draw in training returns the averages that the batch makes, one in evaluation none."""
    model = vae.resolve(MODELS["ladder"], DATA)
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
