"""The README's code runs as it stands, with fewer steps."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import vae

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_experiment_of_the_readme_runs_and_loads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(BLOCKS[0].replace("steps=1000", "steps=20").replace("linear(500)", "linear(10)"), names)
    loaded = vae.load("runs/mine", "latest")
    assert loaded.step == 20
    np.testing.assert_array_equal(jax.tree.leaves(loaded.params)[0], np.asarray(jax.tree.leaves(names["fitted"].params)[0]))


def test_the_lines_that_vary_a_run_are_right(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"jax": jax, "jnp": jnp, "vae": vae, "key": jax.random.key(0), "optax": __import__("optax")}
    names["data"] = vae.data.feed(jnp.zeros((200, 4, 4, 1)))
    names["model"] = vae.reference_to(vae.models.mlp, latent_dim=2, hidden=[4])
    names |= {"q": vae.Bernoulli(jnp.zeros(2)), "p": vae.standard_normal(2)}
    names |= {"MyPosterior": vae.Bernoulli, "MyPrior": vae.Normal, "my_formula": lambda q, p: jnp.array([1.0, 2.0])}
    exec(BLOCKS[1].replace("steps=1000", "steps=2"), names)
    assert vae.kl_divergence(names["q"], names["p"], table={(vae.Bernoulli, vae.Normal): names["my_formula"]}) == 3.0


def test_every_path_of_the_readme_exists():
    paths = set(re.findall(r"`((?:vae|experiments|benchmarks|tests|docs)/[\w/.-]*)`", README)) | set(
        re.findall(r"\]\(((?:docs|benchmarks)/[^)]+)\)", README)
    )
    missing = [path for path in paths if not (REPOSITORY / path).exists()]
    assert not missing
