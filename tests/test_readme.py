"""The README's code runs as it stands."""

import re
from pathlib import Path

import chex
import jax
import numpy as np
import pytest

import vae

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def readme(tmp_path_factory):
    """The names of the README's first block, after it has run."""
    names: dict = {"runs": tmp_path_factory.mktemp("readme")}
    exec(BLOCKS[0].replace('"runs/mine"', 'runs / "mine"'), names)
    return names


def test_the_experiment_of_the_readme_runs_and_loads(readme):
    assert int(readme["fitted"].state.step) == 1000
    chex.assert_trees_all_equal(vae.load(readme["runs"] / "mine", "latest").params, readme["fitted"].params)
    assert jax.tree.structure(readme["trained"].params) == jax.tree.structure(readme["fitted"].params)


def test_the_experiment_of_the_readme_teaches_a_code_that_carries_something(readme):
    """The row of beta 1 in its table: a KL of 4.7 nats at the end of training, and one that collapsed would have none."""
    last = [record for record in readme["fitted"].records if record["split"] == "validation"][-1]
    assert 4.0 < last["kl"] < 5.5
    assert -24.5 < last["elbo"] < -22.5
    [row] = re.findall(r"^ *\| 1 \| 2 \| (\S+) ± \S+ \| \S+ ± \S+ \| (\S+) ±", README, re.MULTILINE)
    assert last["elbo"] == pytest.approx(float(row[0]), abs=0.3)
    assert last["kl"] == pytest.approx(float(row[1]), abs=0.3)


@pytest.mark.slow
def test_the_lines_that_vary_a_run_are_right(readme):
    images = np.zeros((40, 4, 4, 1), np.float32)
    model = vae.reference_to(vae.models.mlp, latent_dim=2, hidden=[4])
    data = vae.data.Splits(images, validation=images[:5], test=images[:5])
    small = readme["experiment"]._replace(data=data, model=model, steps=4, batch_size=8, schedules={})
    names = readme | {
        "experiment": small,
        "prior_over": lambda trained: small,
        "MyPosterior": vae.Normal,
        "MyPrior": vae.Bernoulli,
    }
    exec(BLOCKS[2].replace('"runs/two"', 'runs / "two"'), names | {"my_formula": lambda q, p: 0.0})
    assert (readme["runs"] / "two" / "second" / "config.json").is_file()


def test_the_paper_of_the_readme_is_short():
    """It is run from outside the repository in tests/command."""
    assert "vae.main(experiment)" in BLOCKS[1]
    assert len(BLOCKS[1].splitlines()) <= 30


@pytest.mark.slow
def test_the_table_of_the_readme_is_read_and_refused_as_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [
        f"{100 + i if i % 9 else ''},{i % 4},{'yes' if i % 3 else 'no'},{'north' if i % 2 else 'south'},{i}" for i in range(50)
    ]
    table = Path("patients.csv")
    table.write_text("\n".join(["pressure,visits,smokes,ward,age", *rows]))
    names: dict = {"vae": vae}
    exec(next(block for block in BLOCKS if "table_splits" in block), names)
    spec = vae.resolve(names["data"]).train.spec
    assert [column.space for column in spec.columns] == ["real", "count", "tokens"]
    assert {name: leaf.shape for name, leaf in spec.context.items()} == {"observed": (3,), "given": (1,)}
    test = vae.resolve(names["data"]).test
    model, key = vae.models.mlp(test.spec, latent_dim=2, hidden=(3,)), jax.random.key(0)
    names |= {"test": test, "key": key, "trained": vae.Trained(model, *model.init(key), spec=test.spec)}
    exec(*re.findall(r"`(x, context = .*?)`", README), names)
    whole = eval(*re.findall(r"`(vae\.evaluation\.impute\(.*?\))`", README), names)
    named = eval(*re.findall(r"`(vae\.data\.as_columns\(.*?\))`", README), names | {"x": whole})
    assert list(named) == ["pressure", "visits", "smokes"]
    assert set(named["smokes"]) <= {"yes", "no"}
    table.write_text(table.read_text().replace("104,0,", "104,-1,"))
    with pytest.raises(ValueError, match="row 5") as caught:
        vae.resolve(names["data"])
    assert f"\n    {caught.value}\n" in README


def test_every_path_of_the_readme_exists():
    paths = set(re.findall(r"`((?:vae|experiments|benchmarks|tests|docs)/[\w/.-]*)`", README)) | set(
        re.findall(r"\]\(((?:docs|benchmarks)/[^)]+)\)", README)
    )
    missing = [path for path in paths if not (REPOSITORY / path).exists()]
    assert not missing
