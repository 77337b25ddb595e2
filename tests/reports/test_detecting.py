"""Areas under the curve over seeds, against pairs written out; what is written."""

import json

import jax
import numpy as np
import pytest
from toys import linear_gaussian, two_groups

from vae.evaluation.anomaly import auroc_error, compressed_size, detection
from vae.reports.detecting import INSIDE, areas, detect, figure_of_areas, table_of_areas, write_areas
from vae.trained import Trained

RNG = np.random.default_rng(0)
SETS = {INSIDE: 30, "bright": 200, "alike": 30}


@pytest.fixture(scope="module")
def images():
    return {name: RNG.integers(0, top, (12, 2, 2, 1), dtype=np.uint8) for name, top in SETS.items()}


@pytest.fixture(scope="module")
def found(images):
    """Two runs of a model with one group, and of one with two, whose example is the first number."""
    one, two = linear_gaussian(), two_groups(bottom_up=False)
    runs = [Trained(one, one.init(key)[0]) for key in jax.random.split(jax.random.key(0), 2)]
    runs[1] = runs[1].replace(params=jax.tree.map(lambda leaf: 0.5 * leaf, runs[1].params))
    plain = detect({"one": runs}, images, lambda x, of: x.reshape(-1, 4) / np.float32(100), samples=4)
    grouped = [Trained(two, two.init(jax.random.key(0))[0])]
    return plain, detect({"two": grouped}, images, lambda x, of: x.reshape(-1, 4)[:, :1] / np.float32(100), samples=4)


def test_the_area_of_one_run_is_that_of_detection(images):
    inside, outside = RNG.normal(size=15), RNG.normal(1.0, size=12)
    area = areas({INSIDE: [{"score": inside}], "out": [{"score": outside}]})["score"]["out"]
    assert area["mean"] == pytest.approx(detection(inside, outside).auroc)
    assert area["se_images"] == pytest.approx(auroc_error(inside, outside))
    assert area["sd_seeds"] is None


def test_the_error_of_several_runs_is_that_of_their_mean():
    """Pairs are averaged over the runs, which see the same images, before they vary."""
    inside, outside = RNG.normal(size=(2, 40)), RNG.normal(0.7, size=(2, 30))
    runs = {INSIDE: [{"score": row} for row in inside], "out": [{"score": row} for row in outside]}
    area = areas(runs)["score"]["out"]
    pairs = np.mean([(b[None] > a[:, None]) for a, b in zip(inside, outside, strict=True)], axis=0)
    assert area["mean"] == pytest.approx(pairs.mean())
    assert area["se_images"] == pytest.approx(np.sqrt(pairs.mean(0).var(ddof=1) / 30 + pairs.mean(1).var(ddof=1) / 40))
    assert area["per_seed"] == pytest.approx([detection(a, b).auroc for a, b in zip(inside, outside, strict=True)])


def test_every_score_of_every_model_stands_beside_those_without_one(found, images):
    plain, grouped = found
    assert list(plain) == ["one: NLL", "one: KL", "mean intensity", "compressed size"]
    assert list(grouped)[:4] == ["two: NLL", "two: KL 1", "two: KL 2", "two: LLR>1"]
    for row in (*plain.values(), *grouped.values()):
        assert list(row) == ["bright", "alike"]
    assert len(plain["one: NLL"]["bright"]["per_seed"]) == 2
    assert plain["one: NLL"]["bright"]["mean"] > 0.9
    assert plain["mean intensity"]["bright"]["mean"] > 0.9
    sizes = compressed_size(images[INSIDE]), compressed_size(images["alike"])
    assert plain["compressed size"]["alike"]["mean"] == pytest.approx(detection(*sizes).auroc)


def test_what_is_written(found, images, tmp_path, capsys):
    class Flags:
        """None."""

    table = table_of_areas(found[0])
    assert "bright" in table.splitlines()[0]
    assert len(table.splitlines()) == 2 + len(found[0])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vae.reports.writing.flags_as_json", lambda config: {})
        write_areas(tmp_path, found[0], images, Flags(), "digest")
    assert (tmp_path / "areas.md").read_text() == table
    assert json.loads((tmp_path / "areas.json").read_text())["areas"]["one: NLL"]["bright"]["mean"] > 0.9
    assert all((tmp_path / f"{name}.png").stat().st_size > 1000 for name in ("areas", "sets"))
    assert table in capsys.readouterr().out
    assert figure_of_areas(found[0], "Areas").get_axes()[0].get_xlabel() == "AUROC: bright"
