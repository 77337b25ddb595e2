"""A comparison in a work directory: the numbers of one in memory, kept as they come, gone on with, and what is refused."""

import json
import logging
import os
from signal import SIGINT, SIGTERM

import jax
import numpy as np
import pytest
import toys

import vae
from vae.evaluation.comparison import Measured
from vae.evaluation.examples import Examples
from vae.reports import durable
from vae.reports.durable import MEASUREMENTS, as_json, folder_of, from_json, safe_name

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
PLAIN = vae.Experiment(
    data=vae.data.Splits(train=X[:40], test=X[40:]),
    model=toys.linear_gaussian(),
    steps=4,
    objective=vae.elbo(monitors=()),
    batch_size=10,
    settings={"learning_rate": 1e-2, "beta": 1.0},
)
VARIANTS = {"plain": PLAIN, "beta = 4/1": PLAIN._replace(settings={"learning_rate": 1e-2, "beta": 4.0})}
HOST = vae.Host(progress=False, log_every=2)


def compare(workdir, variants=VARIANTS, **changed):
    return vae.compare(variants, workdir=workdir, **{"seeds": 2, "samples": 3, "limit": 12, "host": HOST, **changed})


def loadings(trained, examples):
    return {"size": np.sum(np.square(trained.params["generative"]["loadings"])), "rows": len(examples.x)}


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A finished comparison: its folder, its numbers and the order in which variants were ready."""
    workdir, ready = tmp_path_factory.mktemp("kept"), []
    found = compare(workdir, scores={"of": loadings}, each=lambda name, numbers: ready.append(name))
    assert ready == list(VARIANTS)
    return workdir, found


def require_equal(a, b, **tolerances):
    assert list(a.measured) == list(b.measured)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, **tolerances), a.measured, b.measured)


def nothing(*args, **kwargs):
    pytest.fail("a finished comparison trained or measured")


@pytest.mark.slow
def test_the_numbers_are_those_of_a_comparison_in_memory(kept):
    require_equal(kept[1], compare(None, scores={"of": loadings}), rtol=1e-5, atol=1e-5)


def test_a_finished_one_neither_trains_nor_measures_and_has_the_same_bits(kept, monkeypatch):
    monkeypatch.setattr(durable, "fit", nothing)
    monkeypatch.setattr(durable, "measured_by", nothing)
    again = compare(kept[0], scores={"of": loadings})
    require_equal(kept[1], again, rtol=0)
    assert again.table() == kept[1].table()
    fewer = compare(kept[0], seeds=1, scores={"of": loadings})
    np.testing.assert_array_equal(fewer.measured["plain"].nll, kept[1].measured["plain"].nll[:1])
    monkeypatch.undo()
    assert list(again.first) == list(VARIANTS)
    size = loadings(again.first["plain"], Examples(X))["size"]  # read from its folder now
    assert size == pytest.approx(kept[1].measured["plain"].scores["of_size"][0], rel=1e-6)


def test_what_is_asked_for_otherwise_is_measured_again_and_not_trained(kept, caplog):
    files = [folder_of(kept[0], "plain", 0) / "metrics.jsonl", folder_of(kept[0], "plain", 0) / MEASUREMENTS]
    records, kept_numbers = (file.read_bytes() for file in files)
    with caplog.at_level(logging.WARNING, "vae"):
        compare(kept[0], {"plain": PLAIN}, seeds=1, samples=4, scores={"of": loadings})
    (said,) = [record.message for record in caplog.records]
    assert said.endswith("seed-0 is measured again: samples was 3 and is 4.")
    assert files[0].read_bytes() == records
    files[1].write_bytes(kept_numbers)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"batch_size": 20},
            r"plain: .*seed-0 holds another run: batch_size is 10 there, 20 now; use the old value or another",
        ),
        ({"data": PLAIN.data._replace(train=X[1:41])}, "plain: .* holds another run: the training data are others"),
        (
            {"objective": vae.elbo(rate_term=vae.objectives.free_bits(2.0), monitors=())},
            "plain: .*the objective computes something else",
        ),
        ({"steps": 3}, "plain: .* steps is 4 there, 3 now"),
    ],
)
def test_another_run_is_refused_before_anything_is_trained(kept, monkeypatch, changed, said):
    monkeypatch.setattr(durable, "fit", nothing)
    with pytest.raises(ValueError, match=said):
        compare(kept[0], {"new": PLAIN, "plain": PLAIN._replace(**changed)})


@pytest.mark.slow_but("2")
@pytest.mark.parametrize("end", [SIGTERM, SIGINT])
def test_one_that_is_stopped_goes_on_in_the_middle_of_a_run_with_the_same_bits(kept, tmp_path, caplog, end):
    class Stopper:
        """Ends the process, as a scheduler would, after the first records of the second run."""

        seen = 0

        def write(self, record):
            self.seen += 1
            if self.seen == 3:
                os.kill(os.getpid(), end)

        def close(self):
            pass

    with pytest.raises(KeyboardInterrupt if end == SIGINT else SystemExit) as left:
        compare(tmp_path, host=HOST._replace(writers=(Stopper(),)), scores={"of": loadings})
    assert getattr(left.value, "code", 143) == 143
    first, second = (folder_of(tmp_path, name, 0) for name in VARIANTS)
    assert (first / MEASUREMENTS).exists()
    assert not (second / MEASUREMENTS).exists()
    assert [json.loads(line)["step"] for line in (second / "metrics.jsonl").read_text().splitlines()] == [2]
    assert f"{second} is stopped by signal {int(end)}; the same call goes on with it." in caplog.text
    seeds = 2 if end == SIGTERM else 1
    resumed = compare(tmp_path, seeds=seeds, scores={"of": loadings})
    for name, numbers in resumed.measured.items():
        jax.tree.map(lambda x, y: np.testing.assert_array_equal(x, y[:seeds]), numbers, kept[1].measured[name])
    assert json.loads((second / "provenance.json").read_text())["resumed"][0]["step"] == 2


def test_every_name_has_a_safe_folder_of_its_own():
    names = ["elbo", "ELBO", "elbo ", "a/b", "a b", "a.b", "..", "", "/", "é", "x" * 300, "x" * 301, "con\n", "-h", "elbo.json"]
    folders = [safe_name(name) for name in names]
    assert folders[0] == "elbo"
    assert len({folder.lower() for folder in folders}) == len(names)
    for folder in folders:
        assert 0 < len(folder) <= 60
        assert set(folder) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_")
        assert not folder.startswith("-")


def test_the_folder_of_a_key_has_its_words(tmp_path):
    assert folder_of(tmp_path, "a", jax.random.key(5)) == tmp_path / "a" / "seed-0-5"
    assert folder_of(tmp_path, "a", 5) == tmp_path / "a" / "seed-5"


def test_numbers_survive_their_file_whatever_they_are():
    rows = np.array([0.1, np.pi, 1e-300, -0.0, np.nan, np.inf, -np.inf])
    numbers = Measured(
        nll=rows, rate=-rows, distortion=rows[:1], scores={"diverged": np.float64(np.inf), "units": np.float64(3)}
    )
    again = from_json(json.loads(json.dumps(as_json(numbers), allow_nan=False)))
    jax.tree.map(np.testing.assert_array_equal, numbers, again)
    assert np.signbit(again.nll[3])
