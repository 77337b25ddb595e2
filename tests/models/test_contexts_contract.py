"""The models that see labels, contexts, captions or nothing but these are held to the contract."""

import jax
import jax.numpy as jnp
import pytest

import vae
from vae import models
from vae.testing import check_model

KEY, SHAPE = jax.random.key(0), (4, 4, 1)
X = (jax.random.normal(KEY, (3, *SHAPE)) > 0).astype(jnp.float32)
CLASSES = jnp.eye(3)
CAPTIONS = {
    "text": jnp.array([[1, 2, 0], [3, 1, 2], [2, 0, 0]], jnp.int32),
    "seen": {"image": jnp.array([True, True, False]), "text": jnp.array([True, False, True])},
}
SIZES = {"latent_dim": 2, "hidden": (4,)}


def data(context):
    like = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), context)
    return vae.Data(SHAPE, "binary", context=like)


MODELS = {
    "conditional": (models.conditional(data(CLASSES), **SIZES), CLASSES),
    "semi-supervised": (models.semi_supervised(data(()), classes=3, **SIZES), ()),
    "apart": (models.captioned(data(CAPTIONS), 4, told="apart", text_dim=2, **SIZES), CAPTIONS),
    "product": (models.captioned(data(CAPTIONS), 4, told="product", **SIZES), CAPTIONS),
    "mixture": (models.captioned(data(CAPTIONS), 4, told="mixture", **SIZES), CAPTIONS),
}


@pytest.mark.slow  # five models, five to fifteen seconds of compilation each
@pytest.mark.parametrize("name", MODELS)
def test_the_contract_is_kept(name):
    model, context = MODELS[name]
    check_model(model, X, KEY, context=context)


@pytest.mark.slow  # as above
def test_a_regression_keeps_all_of_it_that_has_a_meaning_without_a_latent():
    check_model(models.regression(data(CLASSES), hidden=(4,)), X, KEY, context=CLASSES, skip=("prior moments", "temperature"))
