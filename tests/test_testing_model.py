"""check_model passes ours and names planted mistakes, each by the check that is meant to find it."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toys

import vae
from vae.distributions import Normal
from vae.models import given
from vae.testing import check_model
from vae.testing.model import CHECKS
from vae.testing.objective import Shifted

KEY = jax.random.key(0)
X = jax.random.normal(jax.random.key(1), (3, 4))
BINARY = (X > 0).astype(jnp.float32)
BASE = toys.linear_gaussian()
OURS = {
    "linear-Gaussian": (BASE, X, ()),
    "bottom-up": (toys.two_groups(bottom_up=True), X[:, :1], ()),
    "top-down": (toys.two_groups(bottom_up=False), X[:, :1], ()),
    "a class and a code": (toys.labelled(), BINARY, ()),
    "a quantised code without a price": (toys.vector_quantised(), X, ()),
    "a quantised code with a price": (
        toys.vector_quantised(priced=True),
        X,
        ("posterior leak",),
    ),  # it is passed straight through
}


@pytest.mark.slow_but("bottom-up")  # five to ten seconds each of compiling
@pytest.mark.parametrize("name", OURS)
def test_toys_pass(name):
    model, x, skip = OURS[name]
    used = check_model(model, x, KEY, skip=skip)
    wanted = set(CHECKS) - set(skip)
    if "without" in name:  # without a group there is no density to look at
        wanted = {
            "parameters",
            "trace",
            "jit",
            "seeds",
            "one example",
            "decode",
            "own draws",
            "gradient",
            "carried state",
            "resume",
        }
    if "price" in name:
        wanted -= {"prior moments", "temperature"}
    assert wanted <= set(used)


DATA = vae.Data((8, 8, 1), "binary")
IMAGES = (jax.random.normal(KEY, (2, 8, 8, 1)) > 0).astype(jnp.float32)


ENCODED = ("normal_vamp", "spike_and_slab_vamp")
"""Their priors are made of the encoder, so that log p(x, z) has a gradient in it."""


@pytest.mark.slow  # five to twenty seconds of compilation each; what a convolution changes shows in any family
@pytest.mark.parametrize(
    ("network", "latents"),
    [
        *(("mlp", latents) for latents in vae.models.choices.LATENTS),
        ("convolutional", "normal"),
        ("convolutional", "normal_vamp"),
    ],
)
def test_every_latent_family_passes(network, latents):
    sizes = {"hidden": (4,)} if network == "mlp" else {"widths": (2, 2)}
    model = getattr(vae.models, network)(DATA, latent_dim=3, latents=latents, **sizes)
    check_model(model, IMAGES, KEY, skip=("posterior leak",) if latents in ENCODED else ())


# Planted mistakes


def drawing(model, change):
    """The model with change(trace, x, params) in place of its traces."""

    def infer(params, state, x, context, settings):
        draw = model.infer(params, state, x, context, settings)
        return lambda key, values=(): change(draw(key, values), x, params)

    return model._replace(infer=infer)


def seeing(model, change):
    """The model that sees change(x)."""

    def infer(params, state, x, context, settings):
        return model.infer(params, state, change(x, settings), context, settings)

    return model._replace(infer=infer)


def first_group(**changes):
    """Every trace with fields of its first group changed: functions of the group."""

    def change(trace, x, params):
        first, *others = trace.latents
        return trace._replace(latents=(first._replace(**{n: f(first) for n, f in changes.items()}), *others))

    return change


def drawn(change, model=BASE):
    """The model whose prior gives change(values, keywords)."""

    def prior(params, state, key, context, values=(), temperature=1.0):
        kept = given(values, 0) is not None
        return change(model.prior(params, state, key, context, (), temperature), kept, values)

    return model._replace(prior=prior)


def without_temperature(params, state, key, context, values=(), temperature=1.0):
    return BASE.prior(params, state, key, context, values)


def deaf(params, state, x, context, settings):
    draw = BASE.infer(params, state, x, context, settings)
    return lambda key, values=(): draw(key)


def in_another_order():
    model = toys.two_groups(bottom_up=False)

    def infer(params, state, x, context, settings):
        draw = model.infer(params, state, x, context, settings)

        def turned(key, values=()):
            trace = draw(key, (given(values, 1), given(values, 0)))
            return trace._replace(latents=trace.latents[::-1])

        return turned

    def prior(params, state, key, context, values=(), temperature=1.0):
        return model.prior(params, state, key, context, (given(values, 1), given(values, 0)), temperature)[::-1]

    return model._replace(infer=infer, prior=prior, decode=lambda p, s, values, c: model.decode(p, s, values[::-1], c))


@jax.custom_batching.custom_vmap
def wrong_in_batches(x):
    return x


@wrong_in_batches.def_vmap
def _(size, batched, x):
    return x + 1.0, batched[0]


def counting():
    calls = itertools.count()
    return lambda x, settings: x + float(next(calls))


def with_parameter(player, name, start):
    def init(key):
        params, state = BASE.init(key)
        return {**params, player: {**params[player], name: start}}, state

    return BASE._replace(init=init)


def unseeded(key):
    params, state = BASE.init(key)
    return jax.tree.map(lambda leaf: leaf + np.random.default_rng().normal(), params), state


def seeded(key):
    params, state = BASE.init(key)
    return jax.tree.map(lambda leaf: leaf + 0.1 * jax.random.normal(key, leaf.shape), params), state


def steep(trace, x, params):
    """A penalty with an infinite slope at zero."""
    unused = params["posterior"]["unused"]
    return trace._replace(penalty=jnp.sqrt(jnp.sum(unused - jax.lax.stop_gradient(unused))))


def own_mean(trace, x, params):
    """A likelihood that looks at the posterior's parameters."""
    mean = trace.likelihood.mean + params["posterior"]["log_std"][0]
    return trace._replace(likelihood=Normal(mean, trace.likelihood.log_std))


def built_on_the_decoder(params, state, x, context, settings):
    moved = params["posterior"]["log_std"] + 0.1 * params["generative"]["loadings"][0]
    return BASE.infer({**params, "posterior": {**params["posterior"], "log_std": moved}}, state, x, context, settings)


def decoding(change):
    return BASE._replace(decode=lambda *arguments: change(BASE.decode(*arguments)))


MISTAKES = {
    "a third player": ("parameters", BASE._replace(init=lambda key: ({**BASE.init(key)[0], "other": ()}, ()))),
    "parameters from no key": ("parameters", BASE._replace(init=unseeded)),
    "log q by dimension": ("trace", drawing(BASE, first_group(log_q=lambda z: z.posterior.element_log_prob(z.value)))),
    "groups in a list": ("trace", drawing(BASE, lambda trace, x, params: trace._replace(latents=list(trace.latents)))),
    "a prior of another shape": ("trace", drawn(lambda values, kept, own: (values[0][:1],))),
    "descendants first": ("order", in_another_order()),
    "another number where compiled": ("jit", seeing(BASE, lambda x, s: x + isinstance(x, jax.core.Tracer))),
    "another number for each seed": (
        "seeds",
        drawing(BASE._replace(init=seeded), lambda t, x, p: t._replace(penalty=wrong_in_batches(p["posterior"]["log_std"][0]))),
    ),
    "the batch's mean taken off": (
        "one example",
        seeing(BASE, lambda x, s: x - jax.lax.pmean(x, "batch") if s.training else x),
    ),
    "log q a nat too large": ("own density", drawing(BASE, first_group(log_q=lambda z: z.log_q + 1.0))),
    "values given in vain": ("given", BASE._replace(infer=deaf)),
    "a prior that keeps nothing": ("some given", drawn(lambda values, kept, own: values)),
    "another decoder for samples": ("decode", decoding(lambda p: Normal(p.mean + 1.0, p.log_std))),
    "a likelihood without its draws": ("own draws", decoding(lambda p: Shifted(p, jnp.array(jnp.nan)))),
    "a closed form where z2 hangs on z1": (
        "KL",
        drawing(
            toys.two_groups(bottom_up=True),
            lambda t, x, p: t._replace(latents=(t.latents[0], t.latents[1]._replace(prior=t.latents[1].prior.base))),
        ),
    ),
    "a KL of zero": ("bound", drawing(BASE, first_group(posterior=lambda z: z.prior))),
    "a prior that draws no number": ("prior samples", drawn(lambda values, kept, own: (values[0] * jnp.nan,))),
    "a prior twice as wide": ("prior moments", drawn(lambda values, kept, own: own if kept else (2.0 * values[0],))),
    "no temperature": ("temperature", BASE._replace(prior=without_temperature)),
    "a prior that is no density": (
        "importance sampling",
        drawing(BASE, first_group(prior=lambda z: Shifted(z.prior, jnp.ones(())))),
    ),
    "a decoder on the posterior's parameters": ("posterior leak", drawing(BASE, own_mean)),
    "a posterior on the decoder's parameters": ("generative leak", BASE._replace(infer=built_on_the_decoder)),
    "a parameter that nothing reads": ("gradient", with_parameter("posterior", "unused", jnp.ones(2))),
    "a gradient that is none": ("gradient", drawing(with_parameter("posterior", "unused", jnp.ones(2)), steep)),
    "a state of another shape": ("carried state", BASE._replace(update=lambda state, found, key: jnp.zeros(3))),
    "a count outside the state": ("resume", seeing(BASE, counting())),
}


@pytest.mark.slow_but(
    "log q by dimension",
    "log q a nat too large",
    "a KL of zero",
    "a decoder on the posterior's parameters",
    "a parameter that nothing reads",
)
@pytest.mark.parametrize("name", MISTAKES)
def test_planted_mistakes_are_named(name):
    check, model = MISTAKES[name]
    x = X[:, :1] if check in ("order", "KL") else X
    with pytest.raises(AssertionError, match=f"the model fails the check '{check}'"):
        check_model(model, x, KEY, skip=[other for other in CHECKS if other != check])


def test_each_check_has_a_mistake_that_it_finds():
    assert {check for check, _ in MISTAKES.values()} == set(CHECKS)


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(ValueError, match="wanted x with a leading axis of 2 or more"):
        check_model(BASE, X[:1], KEY)
    with pytest.raises(ValueError, match="to skip gradients; wanted some of parameters, trace"):
        check_model(BASE, X, KEY, skip=("gradients",))
