import numpy as np
import pytest
from known_codes import CODES, FACTORS, STANDARDISED, TURNED
from scipy.stats import entropy
from sklearn.metrics import mutual_info_score

from vae.data.sources.sprites import SIZES
from vae.evaluation.disentanglement import mig, modularity, mutual_information


def binned(code, bins=20):
    return np.digitize(code, np.histogram(code, bins)[1][:-1])


def information_by_sklearn(codes, factors):
    return np.array([[mutual_info_score(v, binned(z)) for v in factors.T] for z in codes.T])


def mig_by_sklearn(codes, factors):
    gaps = []
    for column, factor in zip(information_by_sklearn(codes, factors).T, factors.T, strict=True):
        best, second = sorted(column)[:-3:-1]
        gaps.append((best - second) / entropy(np.unique(factor, return_counts=True)[1]))
    return np.mean(gaps)


def modularity_by_sklearn(codes, factors):
    scores = []
    for row in information_by_sklearn(codes, factors):
        template = np.where(np.arange(len(row)) == np.argmax(row), row.max(), 0.0)
        scores.append(1 - np.sum((row - template) ** 2) / (row.max() ** 2 * (len(row) - 1)))
    return np.mean(scores)


@pytest.fixture(scope="module")
def sprites():
    rng = np.random.default_rng(2)
    return np.stack([rng.integers(size, size=20_000) for size in SIZES], axis=1)


def test_information_is_that_of_scikit_learn():
    np.testing.assert_allclose(mutual_information(TURNED, FACTORS), information_by_sklearn(TURNED, FACTORS), atol=1e-9)


# Ten values fit into twenty bins, so the factors themselves lose nothing; a duplicate leaves no gap; of two evenly mixed codes
# neither tells more than the other; noise tells nothing but the bias of 19 x 9 / 20,000 nats, which has no gap.
@pytest.mark.parametrize(("name", "right"), [("factors", 1.0), ("duplicated", 0.0), ("noise", 0.0), ("rotated", 0.0)])
def test_mig_of_known_codes(name, right):
    value = mig(CODES[name], FACTORS)
    assert value == pytest.approx(right, abs=0.02)
    assert value == pytest.approx(mig_by_sklearn(CODES[name], FACTORS), abs=1e-9)


def test_mig_of_a_general_rotation_is_that_of_scikit_learn():
    assert mig(TURNED, FACTORS) == pytest.approx(mig_by_sklearn(TURNED, FACTORS), abs=1e-9)
    assert 0.1 < mig(TURNED, FACTORS) < 0.5


def test_mig_of_the_factors_of_sprites_is_what_twenty_bins_keep(sprites):
    # 40 values fall in pairs into 20 bins and keep ln 20 / ln 40; 32 values fall into bins of one or two.
    kept = [entropy(np.bincount(binned(np.arange(size)))) / np.log(size) for size in SIZES]
    assert kept[:3] == pytest.approx([1.0, 1.0, np.log(20) / np.log(40)])
    value = mig(sprites.astype(float), sprites)
    assert value == pytest.approx(np.mean(kept), abs=0.02)
    assert value == pytest.approx(0.90, abs=0.02)
    assert value == pytest.approx(mig_by_sklearn(sprites, sprites), abs=0.02)


def test_mig_does_not_depend_on_the_scale_or_sign_of_a_code():
    assert mig(TURNED * [-1.0, 100.0, 1e-3, 1.0], FACTORS) == pytest.approx(mig(TURNED, FACTORS), abs=1e-3)


# An even mixture of two of four factors: 1 - 1 / 3.
@pytest.mark.parametrize(("name", "right"), [("factors", 1.0), ("duplicated", 1.0), ("rotated", 2 / 3)])
def test_modularity_of_known_codes(name, right):
    value = modularity(CODES[name], FACTORS)
    assert value == pytest.approx(right, abs=0.02)
    assert value == pytest.approx(modularity_by_sklearn(CODES[name], FACTORS), abs=1e-9)


@pytest.mark.parametrize("sizes", [(10, 10, 10, 10), SIZES])
def test_modularity_of_noise_is_that_of_the_bias(sizes):
    # 2 N I is chi-squared with (bins - 1)(values - 1) degrees of freedom, whatever N: no zero, and
    # less of one where factors differ in size.
    rng = np.random.default_rng(3)
    factors = np.stack([rng.integers(size, size=20_000) for size in sizes], axis=1)
    codes = rng.uniform(size=(20_000, 40))
    chance = rng.chisquare(19 * (np.array(sizes) - 1), (20_000, len(sizes))) ** 2
    right = np.mean(1 - (chance.sum(axis=1) / chance.max(axis=1) - 1) / (len(sizes) - 1))
    value = modularity(codes, factors)
    assert value == pytest.approx(right, abs=0.02)
    assert value == pytest.approx(modularity_by_sklearn(codes[:, :20], factors), abs=0.03)
    assert (value > 0.6) == (sizes == SIZES)


def test_a_constant_dimension_counts_zero_for_modularity():
    codes = np.concatenate([STANDARDISED, np.full((len(FACTORS), 1), 7.0)], axis=1)
    assert modularity(codes, FACTORS) == pytest.approx(4 / 5)
    assert mig(codes, FACTORS) == pytest.approx(1.0)


def test_bad_input_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match="wanted one row of factors for each code"):
        mig(STANDARDISED[:5], FACTORS[:4])
    with pytest.raises(ValueError, match="wants at least 2 and 1"):
        mig(STANDARDISED[:, :1], FACTORS)
    with pytest.raises(ValueError, match="wants at least 1 and 2"):
        modularity(STANDARDISED, FACTORS[:, :1])
    with pytest.raises(ValueError, match="factor 1 has one value only"):
        mig(STANDARDISED[:10], FACTORS[:10, 2:][:, ::-1])
    with pytest.raises(TypeError, match="factors is float64; wanted integers"):
        mig(STANDARDISED, STANDARDISED)
    with pytest.raises(ValueError, match="codes has 1 of 40000 entries NaN or infinite"):
        mig(np.where(np.arange(40_000).reshape(-1, 4) == 5, np.nan, STANDARDISED), FACTORS)
    with pytest.raises(ValueError, match="bins is 1; wanted at least 2"):
        mig(STANDARDISED, FACTORS, bins=1)
