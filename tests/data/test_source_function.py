import jax.numpy as jnp
import numpy as np
import pytest

from vae.data import load

SOURCE = """
import numpy as np
from vae.data import Dataset, Split, from_splits

images = np.arange(40 * 3 * 4).reshape(40, 3, 4) % 256
not_callable = 3

def plain():
    return images

def labelled():
    return images, np.arange(40)

def listed():
    return list(images), list(range(40))

def finished():
    split = Split(np.arange(6, dtype=np.int32), np.arange(12, dtype=np.int32).reshape(6, 2))
    return from_splits("inner", {"train": split, "validation": split, "test": split}, render=render, label_names=("a", "b"))

def broken():
    split = Split(np.zeros((6, 2, 2, 1), np.uint8))
    return Dataset("inner", split, split, split._replace(label=np.zeros(5, np.int32)), (2, 2, 1), False, "")

def render(index):
    import jax.numpy as jnp
    return jnp.full((5, 6, 1), index, jnp.uint8)

def nothing():
    return None
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    (tmp_path / "users_module_for_vae.py").write_text(SOURCE)
    (tmp_path / "users_broken_module_for_vae.py").write_text("import there_is_no_such_module_for_vae")
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize("function", ["plain", "labelled", "listed"])
def test_a_function_may_return_images_with_and_without_labels(function):
    data = load(f"users_module_for_vae:{function}", validation_fraction=0.1)
    assert [len(split.x) for split in (data.train, data.validation, data.test)] == [32, 4, 4]
    assert data.shape == (3, 4, 1)
    if function == "plain":
        assert data.train.label is None
    else:
        images = (np.arange(480) % 256).reshape(40, 3, 4, 1)
        np.testing.assert_array_equal(data.test.x, images[data.test.label])


def test_a_function_may_return_a_data_set():
    data = load("users_module_for_vae:finished")
    assert data.name == "users_module_for_vae:finished"
    assert data.shape == (5, 6, 1)
    assert data.label_names == ("a", "b")
    assert len(data.sha256) == 64
    assert int(data.render(jnp.int32(4)).max()) == 4


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("there_is_no_module_for_vae:f", ValueError, r"there is no module 'there_is_no_module_for_vae'"),
        ("users_module_for_vae:label", ValueError, r"has no function 'label': did you mean 'labelled'\?"),
        ("users_module_for_vae:not_callable", ValueError, r"has no function 'not_callable'"),
        ("users_module_for_vae:nothing", TypeError, r"returned NoneType, wanted a vae\.data\.Dataset"),
        ("users_module_for_vae:broken", ValueError, r"has 6 examples but 5 labels"),
        ("users_broken_module_for_vae:f", ModuleNotFoundError, r"there_is_no_such_module_for_vae"),
    ],
)
def test_functions_that_cannot_be_used(name, error, message):
    with pytest.raises(error, match=message):
        load(name)
