"""The usual route that the benchmark runs beside ours does the same work, and the table names all three."""

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import von_mises_fisher as benchmark
from vae.special import mean_resultant_length, von_mises_fisher_information


def test_the_usual_route_draws_from_the_same_family_and_finds_the_same_divergence():
    rng = np.random.default_rng(0)
    directions = rng.standard_normal((5_000, 8))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    concentrations = np.resize([1.0, 30.0], 5_000)
    points, rates = benchmark.usual_draws(rng, directions, concentrations)
    lengths, exact = jax.jit(lambda k: (mean_resultant_length(8, k), von_mises_fisher_information(8, k)))(
        jnp.array([1.0, 30.0])
    )
    np.testing.assert_allclose(rates[:2], exact, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1.0, rtol=1e-4)
    cosines = np.sum(points * directions, axis=1).reshape(-1, 2)
    error = np.std(cosines, axis=0) / np.sqrt(len(cosines))
    assert np.all(np.abs(np.mean(cosines, axis=0) - lengths) < 4 * error + 1e-4)


def test_the_table_has_a_line_for_each_route(monkeypatch, capsys):
    """With stand-ins for the compiled programs, whose own tests are those of the family."""
    for name in ("our_draws", "our_gradient"):
        monkeypatch.setattr(benchmark, name, lambda key, directions, concentrations: directions)
    benchmark.main(dim=4, batch=16, rounds=2)
    title, *lines = capsys.readouterr().out.splitlines()
    assert title.startswith("dimension 4, batch 16, 2 rounds")
    assert [line[:14].strip() for line in lines] == ["NumPy and SciP", "this library", "with its gradi"]
    assert all("draws/s" in line and line.endswith("x the usual route") for line in lines)
