"""Quantised models: bounds by enumeration, bits, one example against the batch, training that uses its codes, refusals."""

import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp

import vae
from vae import objectives, priors, quantisation
from vae.data import Splits
from vae.evaluation import code_usage, generate
from vae.evaluation.report import report
from vae.models import quantised_autoencoder, with_settled_codes
from vae.networks import causal_transformer, mlp
from vae.objectives.core import terms_of
from vae.rates import chain_rule
from vae.settings import Settings
from vae.training.claimed import claims_of
from vae.types import Batch, Carried

KEY = jax.random.key(0)
X = (np.random.default_rng(0).random((48, 6)) < 0.4).astype(np.float32)
DATA = vae.Data((6,), "binary")
HOST = vae.Host(log_every=4, progress=False)


def tiny(quantiser=None, prior="transformer", data=DATA, codes=3):
    """Two places of one code each, on six bits."""
    quantiser = quantiser or quantisation.by_moving_average(codes, 2)
    shape = (2, quantiser.depth)
    network = causal_transformer((2,), quantiser.depth, quantiser.codes, width=8, layers=1, heads=2, context=data.context)
    return quantised_autoencoder(
        encoder=mlp((8,), (2, quantiser.inputs)),
        decoder=mlp((8,), (6,)),
        quantiser=quantiser,
        grid=(2,),
        prior=priors.autoregressive(network) if prior == "transformer" else priors.uniform_codes(shape, quantiser.codes),
        likelihood=vae.likelihoods.bernoulli((6,)),
        data=data,
    )


QUANTISERS = {
    "gradient": quantisation.by_gradient(3, 2),
    "moving average": quantisation.by_moving_average(3, 2),
    "residual": quantisation.residual(quantisation.by_moving_average(3, 2), 2),
    "product": quantisation.product(quantisation.by_gradient(3, 1), 2),
    "finite scalar": quantisation.finite_scalar((3, 2)),
    "lookup free": quantisation.lookup_free(2),
    "gumbel": quantisation.gumbel_softmax(3, 2),
}


def started(model):
    return model, *model.init(KEY)


def trace_of(model, params, state, x=X[0], settings=None, key=KEY, values=()):
    return model.infer(params, state, jnp.asarray(x), (), settings or Settings())(key, values)


@pytest.mark.slow_but("gumbel")
@pytest.mark.parametrize("name", ["moving average", "residual", "gumbel"])
def test_the_bound_is_under_the_evidence_by_enumeration(name):
    """log p(x) = log sum_k p(k) p(x | k) over every grid of codes; a single code is one of its terms."""
    quantiser = QUANTISERS[name]
    model, params, state = started(tiny(quantiser))
    shape, number = (2, quantiser.depth), quantiser.codes ** (2 * quantiser.depth)
    grids = jnp.stack(jnp.unravel_index(jnp.arange(number), (quantiser.codes,) * (2 * quantiser.depth)), -1)
    grids = grids.reshape(-1, *shape).astype(jnp.int32)

    def joint(value):
        trace = trace_of(model, params, state, values=(value,))
        decoded = model.decode(params, state, (value,), ())
        return trace.latents[0].prior.log_prob(value) + decoded.log_prob(jnp.asarray(X[0])), trace.latents[0].log_q

    joints, log_q = jax.jit(jax.vmap(joint))(grids)
    evidence = logsumexp(np.asarray(joints, np.float64))
    terms = terms_of(trace_of(model, params, state), jnp.asarray(X[0]), chain_rule, KEY)
    assert_allclose(np.exp(np.asarray(log_q, np.float64)).sum(), 1.0, rtol=1e-5)
    if name == "gumbel":
        q = np.exp(np.asarray(log_q, np.float64))
        assert (q * (np.asarray(joints) - np.asarray(log_q))).sum() < evidence
    else:
        assert_allclose(terms.log_likelihood - terms.rates[0].sum(), np.asarray(joints)[np.asarray(log_q) == 0][0], rtol=1e-5)
        assert float(terms.log_likelihood - terms.rates[0].sum()) < evidence


def test_uniform_codes_cost_their_logarithm():
    model, params, state = started(tiny(prior="uniform"))
    trace = trace_of(model, params, state)
    terms = terms_of(trace, jnp.asarray(X[0]), objectives.analytic, KEY)
    assert_allclose(terms.rates[0], np.full((2, 1), np.log(3)), rtol=1e-6)


def losses(model, x, settings=None, objective=None):
    """The loss of a batch and its gradient."""
    objective = objective or vae.elbo(rates=chain_rule, monitors=())

    def loss(params, state, x, settings):
        batch = Batch(x, (), jnp.ones(len(x)))
        return objective.loss(params, Carried(state, ()), KEY, batch, settings, model)[0]

    settings = Settings({}, training=True) if settings is None else settings
    return jax.jit(jax.value_and_grad(loss))(*model.init(KEY), jnp.asarray(x), settings)


@pytest.mark.parametrize("name", ["gradient", "residual"])
def test_a_batch_of_copies_weighs_as_one_example(name):
    """Losses are means over examples: their weight does not grow with the batch, as where VQ losses are summed over it."""
    model = tiny(QUANTISERS[name], prior="uniform")
    one, many = (losses(model, np.repeat(X[:1], rows, axis=0)) for rows in (1, 4))
    chex.assert_trees_all_close(one, many, rtol=1e-4, atol=1e-6)


def test_the_penalty_has_the_weight_it_is_given_and_no_other():
    model = tiny(quantisation.by_gradient(3, 2), prior="uniform")

    def at(commitment):
        return float(losses(model, X[:8], Settings({"commitment": commitment, "codebook": 0.0}, training=True))[0])

    params, state = model.init(KEY)
    settings = Settings({"commitment": 1.0, "codebook": 0.0})
    penalty = jax.jit(jax.vmap(lambda x: trace_of(model, params, state, x, settings).penalty))(X[:8])
    assert_allclose(at(1.0) - at(0.0), penalty.mean(), rtol=1e-3)
    assert_allclose(at(3.0) - at(0.0), 3 * (at(1.0) - at(0.0)), rtol=1e-3)


def named(slopes):
    """The parts of the model that a gradient is not zero for."""
    parts = {"encoder": slopes["posterior"], **slopes["generative"]}
    return {name for name, part in parts.items() if any(map(np.any, jax.tree.leaves(part)))}


def test_gradients_stay_with_their_players():
    """The prior's come from the codes' cost alone, none of it reaches the encoder; the codebook's from its own loss alone."""
    model, params, state = started(tiny(quantisation.by_gradient(3, 2)))

    def parts(params, model):
        trace = trace_of(model, params, state, settings=Settings({"commitment": 0.0}))
        terms = terms_of(trace, jnp.asarray(X[0]), chain_rule, KEY)
        return jnp.stack([terms.log_likelihood, terms.rates[0].sum(), terms.penalty])

    slopes = jax.jit(jax.jacrev(lambda params: parts(params, model)))(params)
    found = [named(jax.tree.map(lambda leaf, i=i: leaf[i], slopes)) for i in range(3)]
    assert found == [{"encoder", "decoder"}, {"prior"}, {"quantiser"}]
    second = with_settled_codes(model)
    settled = jax.jit(jax.grad(lambda params: parts(params, second).sum()))(params)
    assert named(settled) == {"prior"}, "a second stage trains the prior and nothing else"
    first = jax.tree.map(lambda leaf: leaf[1], slopes["generative"]["prior"])
    chex.assert_trees_all_close(settled["generative"]["prior"], first, rtol=1e-4, atol=1e-6)
    assert second.update({"a": 1}, {"a": 2}, KEY) == {"a": 1}


def test_one_example_is_the_batch_and_jit_is_no_jit():
    model, params, state = started(tiny(prior="uniform"))

    def numbers(x):
        terms = terms_of(trace_of(model, params, state, x), x, chain_rule, KEY)
        return terms.log_likelihood, terms.rates[0], terms.penalty

    batched = jax.jit(jax.vmap(numbers))(jnp.asarray(X[:5]))
    with jax.disable_jit():
        single = [numbers(jnp.asarray(x)) for x in X[:1]]
    for row, one in enumerate(single):
        chex.assert_trees_all_close(jax.tree.map(lambda leaf, i=row: leaf[i], batched), one, rtol=1e-5, atol=1e-6)


def test_values_given_are_kept_and_scored():
    model, params, state = started(tiny(prior="uniform"))
    value = jnp.array([[2], [0]], jnp.int32)
    trace = trace_of(model, params, state, values=(value,))
    assert_array_equal(trace.latents[0].value, value)
    assert_allclose(
        trace.likelihood.log_prob(jnp.asarray(X[0])),
        model.decode(params, state, (value,), ()).log_prob(jnp.asarray(X[0])),
        rtol=1e-5,
    )
    assert_array_equal(model.prior(params, state, KEY, (), (value,))[0], value)


# Through the loop


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """The experiment, and its run."""
    experiment = vae.Experiment(
        data=Splits(train=vae.data.feed(X, spec=DATA), validation=vae.data.feed(X[:16], spec=DATA)),
        model=tiny(),
        steps=24,
        objective=vae.elbo(rates=chain_rule),
        settings={"learning_rate": 0.02, "commitment": 0.25},
        batch_size=16,
        validate_every=12,
    )
    return experiment, vae.fit(experiment, tmp_path_factory.mktemp("quantised") / "run", HOST)


@pytest.mark.slow
def test_training_uses_its_codes_and_is_a_bound(fitted):
    _, run = fitted
    first, last = (record for record in run.records if record["split"] == "validation")
    assert last["elbo"] > first["elbo"] - 0.5
    numbers = report(run.trained, X, KEY, samples=2, rates=chain_rule)
    assert numbers["elbo"] == pytest.approx(-numbers["nll"], rel=1e-5), "one code is all that a posterior of a point has"
    assert numbers["bits_per_dim"] == pytest.approx(numbers["nll"] / 6 / np.log(2), rel=1e-6)
    assert numbers["code_perplexity"][0] == pytest.approx(code_usage(run.trained, X, KEY)[0].perplexity)
    assert 1.0 < numbers["code_perplexity"][0] <= 3.0
    assert sum(code_usage(run.trained, X, KEY)[0].counts) == 48 * 2


def test_samples_are_codes_that_the_decoder_takes(fitted):
    _, run = fitted
    (codes,) = generate.sample_prior(run.trained, KEY, 9)
    assert codes.shape == (9, 2, 1)
    assert codes.dtype == jnp.int32
    assert generate.decode_means(run.trained, (codes,)).shape == (9, 6)
    (sharp,) = generate.sample_prior(run.trained, KEY, 64, temperature=jnp.float32(1e-3))
    assert len(np.unique(sharp.reshape(64, -1), axis=0)) == 1, "at a temperature of nothing, the likeliest grid"
    assert_allclose(generate.reconstruct(run.trained, X[:3], KEY).shape, (3, 6))


def test_relaxed_training_is_no_bound_and_its_evaluation_is_one():
    splits = Splits(train=vae.data.feed(X, spec=DATA), validation=vae.data.feed(X[:16], spec=DATA))
    objective = vae.elbo(rates=chain_rule)
    train, validation = claims_of(splits, tiny(QUANTISERS["gumbel"]), objective, {"temperature": 1.0})
    assert (train.total, train.rate) == ("score", "kl")
    assert "mixed codes in training" in train.why
    assert validation.is_bound
    train, validation = claims_of(splits, tiny(), objective, {})
    assert train.is_bound
    assert validation is train


# What is refused


def test_importance_weights_of_a_point_are_refused():
    point, relaxed = tiny(prior="uniform"), tiny(QUANTISERS["gumbel"], prior="uniform")
    with pytest.raises(TypeError, match="5 samples were asked of a posterior PointMass, which are all the same code"):
        losses(point, X[:4], objective=objectives.importance_weighted(5))
    with pytest.raises(TypeError, match="density of mixed classes"):
        losses(relaxed, X[:4], objective=objectives.importance_weighted(5))
    assert_allclose(losses(point, X[:4], objective=objectives.importance_weighted(1))[0], losses(point, X[:4])[0], rtol=1e-5)


def test_a_code_out_of_range_is_refused():
    model, params, state = started(tiny())
    with pytest.raises(ValueError, match="got the code 3, but there are 3 codes; wanted whole numbers from 0 to 2"):
        model.decode(params, state, (jnp.array([[3], [0]]),), ())


def test_presets_are_named_by_plain_json_and_refuse_what_they_cannot_be():
    image = vae.Data((8, 8, 1), "binary")
    small = {"codes": 4, "dim": 4, "depth": 2, "widths": [4, 4], "prior_width": 8, "prior_layers": 1, "prior": "convolution"}
    for name in ("product",):
        reference = vae.reference_to(vae.models.vector_quantised, quantiser=name, **small)
        json.dumps(reference.arguments)
        model = vae.resolve(reference, image)
        params, state = jax.eval_shape(model.init, KEY)
        trace = jax.eval_shape(lambda p, s, m=model: m.infer(p, s, jnp.zeros((8, 8, 1)), (), Settings())(KEY), params, state)
        assert trace.latents[0].value.shape == (2, 2, 2)
        assert trace.likelihood.logits.shape == (8, 8, 1)
    for change, said in (
        ({"quantiser": "other"}, "quantiser is 'other'; wanted one of gradient"),
        ({"prior": "other"}, "prior is 'other'; wanted one of uniform"),
        ({"quantiser": "lookup_free", "codes": 5}, "a power of two"),
        ({"quantiser": "finite_scalar", "codes": 5}, "got 5; use one of these"),
        ({"quantiser": "product", "depth": 3}, "a dim of 4 for 3 pieces"),
    ):
        with pytest.raises(ValueError, match=said):
            vae.models.vector_quantised(image, **{**small, **change})
    with pytest.raises(ValueError, match="is of images"):
        vae.models.gumbel(vae.Data((6,), "binary"))
