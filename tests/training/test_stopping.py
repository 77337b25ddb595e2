"""Early stopping as a function of the records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vae.training.stopping import never, patience


def validations(values, name="elbo"):
    return [{"step": i, "split": "validation", name: value} for i, value in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "stops"),
    [([], False), ([1.0], False), ([1.0, 0.5], False), ([1.0, 0.5, 0.9], True), ([1.0, 0.5, 1.1], False), ([2, 2, 2], True)],
)
def test_patience_counts_evaluations_since_the_best(values, stops):
    assert patience(2)(validations(values)) is stops
    assert never(validations(values)) is False


@given(st.lists(st.floats(-100, 100), max_size=20), st.integers(1, 5))
def test_patience_against_a_loop(values, evaluations):
    best, age = float("-inf"), 0
    for value in values:
        best, age = (value, 0) if value > best else (best, age + 1)
    assert patience(evaluations)(validations(values)) == (bool(values) and age >= evaluations)


def test_only_validations_with_the_number_count():
    training = [{"step": i, "split": "train", "elbo": -float(i)} for i in range(9)]
    assert not patience(1)(training)
    assert not patience(1)(validations([3.0, None]))
    assert not patience(1)(validations([3.0, 2.0], name="other"))
    assert patience(1, "other")(validations([3.0, 2.0], name="other"))


def test_patience_below_one_is_refused():
    with pytest.raises(ValueError, match="patience is 0; wanted at least 1"):
        patience(0)
