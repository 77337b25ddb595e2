"""The loss in words, and the weights of other libraries checked by computing their losses."""

import numpy as np
import pytest

from vae import objectives, schedules
from vae.description import describe, description
from vae.spec import Data

DATA = Data(shape=(4, 3, 1), space="binary")
RNG = np.random.default_rng(0)


def weight_of(text, row, column):
    """A number of the translation, from its only row for a Gaussian likelihood."""
    (line,) = [line for line in text.splitlines() if line.startswith(row) and "Gaussian" in line]
    return float(line.split()[column])


def test_the_equation_has_every_weight_with_its_schedule_and_unit(capsys):
    objective = objectives.elbo(
        rate_term=objectives.free_bits(0.5), regularisers=[objectives.extra_rate(objectives.absolute(), 0.1, "l1")]
    )
    describe(objective, settings={"beta": 4.0}, schedules={"beta": schedules.linear(100)})
    text = capsys.readouterr().out
    assert text.startswith("loss = - likelihood * log p(x|z)\n     + beta * max(free_nats, rate)\n")
    assert "beta = 4 times linear(100, 0.0, 1.0), free_nats = 0.5 (default)" in text
    assert "l1 = 0.1 (default)" in text
    assert "mean over the batch, max, sum over groups" in text
    assert "nats per example" in text
    assert "pythae" not in text, "without the shape of the data nothing can be translated"


def test_weights_elsewhere_give_the_same_loss_up_to_a_constant():
    """Losses of pythae and PyTorch-VAE, computed here from squared errors, are ours divided by one factor."""
    std, beta = 0.3, 2.5
    text = description(objectives.elbo(), settings={"beta": beta}, data=DATA, std=std, batch_size=8, examples=400)
    square, rate = RNG.uniform(size=(8, 12)), RNG.uniform(1, 5, size=8)
    ours = square.sum(axis=1).mean() / (2 * std**2) + beta * rate.mean()
    pythae = (0.5 * square.sum(axis=1) + weight_of(text, "beta  ", 4) * rate).mean()
    torch_vae = square.mean() + weight_of(text, "beta  ", 5) * rate.mean()
    assert pythae / ours == pytest.approx(std**2, rel=1e-3)
    assert torch_vae / ours == pytest.approx(2 * std**2 / 12, rel=1e-3)
    default = 8 / 400
    assert f"is beta = {default * 12 / (2 * std**2):.4g} here" in text


def test_a_bound_of_several_samples_is_not_translated():
    text = description(objectives.importance_weighted(7), data=DATA)
    assert "K = 7" in text
    assert "no weight beside a reconstruction error" in text


def test_an_objective_without_words_is_refused():
    with pytest.raises(ValueError, match="no summands"):
        description(objectives.plain(lambda *arguments: None))
