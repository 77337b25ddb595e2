"""The statistics that all comparisons report, against NumPy."""

import numpy as np
import pytest

from experiments import comparison
from experiments.comparison import Measured

RNG = np.random.default_rng(0)


def measured(seeds=3, images=50):
    rows = [RNG.normal(100.0, 5.0, (seeds, images)) for _ in range(3)]
    return Measured(*rows, scores={"active_units": RNG.integers(0, 20, seeds).astype(float)})


def test_differences_are_taken_image_by_image_and_seed_by_seed():
    a = measured()
    b = a._replace(nll=a.nll + np.array([[0.5], [1.0], [1.5]]) + 0.1 * RNG.normal(size=a.nll.shape))
    found = comparison.paired(b, a)["nll"]
    difference = b.nll - a.nll
    assert found["mean"] == pytest.approx(difference.mean())
    assert found["per_seed"] == pytest.approx(difference.mean(axis=1).tolist())
    assert found["sd_seeds"] == pytest.approx(np.std(difference.mean(axis=1), ddof=1))
    assert found["se_images"] == pytest.approx(np.std(difference.mean(axis=0), ddof=1) / np.sqrt(50))
    assert found["se_images"] < 0.1 * comparison.summary(a)["nll"]["se_images"], "pairing takes the images' spread out"


def test_the_elbo_is_minus_rate_and_distortion_and_scores_have_no_error_over_images():
    a = measured()
    found = comparison.summary(a)
    assert found["elbo"]["mean"] == pytest.approx(-(found["rate"]["mean"] + found["distortion"]["mean"]))
    assert found["active_units"]["per_seed"] == a.scores["active_units"].tolist()
    assert "se_images" not in found["active_units"]


def test_one_seed_has_no_spread():
    found = comparison.over_images(RNG.normal(size=(1, 9)))
    assert found["sd_seeds"] is None
    assert comparison.cell(found).count("±") == 1


def test_levels_are_cut_where_they_begin():
    a = measured(seeds=6)
    first, second = comparison.by_level(a, 3)
    np.testing.assert_array_equal(first.nll, a.nll[:3])
    np.testing.assert_array_equal(second.scores["active_units"], a.scores["active_units"][3:])


def test_a_table_is_markdown_with_columns_of_one_width():
    lines = comparison.table(["", "nll"], [["a", "1.00 ± 0.10"], ["longer", "2"]]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert set(lines[1]) == {"|", "-", " "}
    assert [cell.strip() for cell in lines[2].split("|")] == ["", "a", "1.00 ± 0.10", ""]
