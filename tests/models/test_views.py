"""How an encoder sees classes, counts and missing entries."""

import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from vae.models.views import decoder_view, encoder_view
from vae.spec import Column, Data

COLUMNS = (
    Column("colour", "tokens", ("red", "green", "blue")),
    Column("size", "real"),
    Column("dots", "count"),
    Column("sex", "tokens", ("f", "m")),
    Column("alive", "binary"),
)
TABLE = Data((5,), "mixed", columns=COLUMNS)
ROW = jnp.array([2.0, -1.5, 9.0, 0.0, 1.0])
SEEN = [-1.5, np.log(10.0), 1.0, 0, 0, 1, 1, 0]


def test_a_row_is_its_numbers_and_then_its_classes():
    seen, context = encoder_view(TABLE)(ROW, ())
    assert_allclose(seen, SEEN, rtol=1e-6)
    assert context == ()


def test_what_is_missing_is_zero_beside_the_mask():
    data = TABLE._replace(context={"observed": None})
    mask = jnp.array([False, True, False, True, True])
    seen, context = encoder_view(data)(ROW, {"observed": mask, "given": "this"})
    assert_allclose(seen, np.array([-1.5, 0, 1, 0, 0, 0, 1, 0, *np.asarray(mask)]), rtol=1e-6)
    assert context == "this"
    assert decoder_view(data)("z", {"observed": mask}) == ("z", ())


def test_tables_of_one_kind():
    numbers = TABLE._replace(shape=(2,), columns=COLUMNS[1:3])
    assert_allclose(encoder_view(numbers)(jnp.array([0.5, 0.0]), ())[0], [0.5, 0.0])
    classes = TABLE._replace(shape=(1,), columns=COLUMNS[:1])
    assert_array_equal(encoder_view(classes)(jnp.array([1.0]), ())[0], [0, 1, 0])


def test_tokens_and_counts():
    tokens = Data((3,), "tokens", tokens=4, context={"observed": None})
    seen, _ = encoder_view(tokens)(jnp.array([3, 0, 1]), {"observed": jnp.array([True, True, False])})
    assert_array_equal(seen, [[0, 0, 0, 1, 1], [1, 0, 0, 0, 1], [0, 0, 0, 0, 0]])
    assert_allclose(encoder_view(Data((2,), "count"))(jnp.array([0.0, 20.0]), ())[0], np.log1p([0.0, 20.0]), rtol=1e-6)


def test_channels_of_an_image_get_a_channel_of_their_mask():
    image = Data((2, 2, 3), "uint8", context={"observed": None})
    x, mask = jnp.full((2, 2, 3), 255, jnp.uint8), jnp.zeros((2, 2, 3), bool).at[0].set(True)
    seen, _ = encoder_view(image)(x, {"observed": mask})
    assert seen.shape == (2, 2, 6)
    assert_array_equal(seen[0], 1.0)
    assert_array_equal(seen[1], 0.0)


def test_nothing_stands_before_the_networks_of_other_data():
    for space in ("binary", "unit_interval", "real", "uint8"):
        assert encoder_view(Data((3,), space)) is None
        assert decoder_view(Data((3,), space)) is None
