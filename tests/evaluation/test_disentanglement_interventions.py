import numpy as np
import pytest
from known_codes import CODES, EVEN_ROTATION, FACTORS, FACTORS_NUMBER, STANDARDISED, TURNED, VALUES
from sklearn.linear_model import LogisticRegression

from vae.evaluation.disentanglement import beta_vae_score, factor_vae_score, from_function, from_table


def rows_of(factors):
    """Where the combinations stand in the table, which holds each of them once."""
    return np.ravel_multi_index(tuple(np.moveaxis(factors, -1, 0)), (VALUES,) * FACTORS_NUMBER)


def beta_vae_by_hand(codes, seed, points=8000, pairs=64):
    """Accuracy of logistic regression on as many fresh points as it was trained on."""
    rng, parts = np.random.default_rng(seed), []
    for _ in range(2):
        labels = rng.integers(FACTORS_NUMBER, size=points)
        first, second = rng.integers(VALUES, size=(2, points, pairs, FACTORS_NUMBER))
        held = np.broadcast_to(labels[:, None, None], (points, pairs, 1))
        np.put_along_axis(second, held, np.take_along_axis(first, held, axis=2), axis=2)
        parts.append((np.abs(codes[rows_of(first)] - codes[rows_of(second)]).mean(axis=1), labels))
    return LogisticRegression(max_iter=1000).fit(*parts[0]).score(*parts[1])


def factor_vae_by_hand(codes, rng, votes, size=64):
    table = np.zeros((FACTORS_NUMBER, codes.shape[1]))
    scale = codes.var(axis=0)
    for _ in range(votes):
        label = rng.integers(FACTORS_NUMBER)
        group = rng.integers(VALUES, size=(size, FACTORS_NUMBER))
        group[:, label] = rng.integers(VALUES)
        table[label, np.argmin(codes[rows_of(group)].var(axis=0) / scale)] += 1
    return table


# The held factor is the only one whose differences vanish: always told, from codes and from duplicates. Noise is chance. After
# an even rotation the two factors of a pair leave the same trace on both of their codes: told apart by chance.
RIGHT = [("factors", 1.0), ("duplicated", 1.0), ("noise", 0.25), ("rotated", 0.5)]


@pytest.mark.parametrize(("name", "right"), RIGHT)
def test_beta_vae_score_of_known_codes(name, right):
    codes = CODES[name]
    value = beta_vae_score(from_table(codes, FACTORS), seed=0, train_points=8000, test_points=8000)
    assert value == pytest.approx(right, abs=0.02)
    assert value == pytest.approx(beta_vae_by_hand(codes, 4), abs=0.02)


def test_beta_vae_score_of_a_general_rotation_is_high_and_rises_with_the_pairs():
    table = from_table(TURNED, FACTORS)
    value = beta_vae_score(table, seed=0, train_points=8000, test_points=8000)
    assert value == pytest.approx(beta_vae_by_hand(TURNED, 5), abs=0.02)
    assert beta_vae_score(table, seed=0, pairs=512, train_points=800, test_points=800) > value + 0.05


@pytest.mark.parametrize(("name", "right"), RIGHT)
def test_factor_vae_score_of_known_codes(name, right):
    codes, rng = CODES[name], np.random.default_rng(6)
    guess = np.argmax(factor_vae_by_hand(codes, rng, 4000), axis=0)
    votes = factor_vae_by_hand(codes, rng, 4000)
    by_hand = votes[guess, np.arange(codes.shape[1])].sum() / 4000
    value = factor_vae_score(from_table(codes, FACTORS), seed=0)
    assert value == pytest.approx(right, abs=0.02)
    assert value == pytest.approx(by_hand, abs=0.02)


def test_collapsed_dimensions_do_not_vote():
    # A constant varies least of all, by 0 / 0; what is as good as constant has noise of its own.
    rng = np.random.default_rng(7)
    collapsed = np.stack([np.zeros(len(FACTORS)), 1e-3 * rng.normal(size=len(FACTORS))], axis=1)
    codes = np.concatenate([collapsed, STANDARDISED], axis=1)
    assert factor_vae_score(from_table(codes, FACTORS), seed=0, train_votes=500, test_votes=500) == 1.0
    assert factor_vae_score(from_table(collapsed, FACTORS), seed=0) == 0.0


def test_scale_does_not_decide_the_votes():
    table = from_table(CODES["factors"] * [1.0, 10.0, 100.0, 1000.0], FACTORS)
    assert factor_vae_score(table, seed=0, train_votes=500, test_votes=500) == 1.0


def test_groups_of_a_table_share_the_held_factor_and_nothing_else():
    rng = np.random.default_rng(8)
    groups = from_table(FACTORS.astype(float), FACTORS).groups(rng, 2, 500, 20)
    assert groups.shape == (500, 20, 4)
    spread = np.ptp(groups, axis=1)
    assert np.all(spread[:, 2] == 0)
    assert np.all(spread[:, [0, 1, 3]] > 0)
    assert np.unique(groups[:, 0, 2]).size == VALUES
    np.testing.assert_allclose(groups[:, :, [0, 1, 3]].mean(axis=(0, 1)), 4.5, atol=5 * 2.9 / np.sqrt(10_000))


def test_values_are_drawn_as_often_as_the_table_has_them():
    factors = np.array([[0], [0], [0], [0], [0], [0], [7], [7]])
    groups = from_table(factors.astype(float), factors).groups(np.random.default_rng(9), 0, 20_000, 2)
    assert np.mean(groups[:, 0, 0] == 7.0) == pytest.approx(0.25, abs=0.015)


def test_a_function_of_the_factors_scores_as_the_table_does():
    shapes = set()

    def codes_of(factors):
        shapes.add(factors.shape)
        return STANDARDISED[rows_of(factors)] @ EVEN_ROTATION

    made = from_function(codes_of, (VALUES,) * FACTORS_NUMBER, batch_size=512)
    assert factor_vae_score(made, seed=0) == pytest.approx(0.5, abs=0.02)
    assert beta_vae_score(made, seed=0, train_points=4000, test_points=4000) == pytest.approx(0.5, abs=0.02)
    assert shapes == {(512, 4)}
    held = made.groups(np.random.default_rng(0), 1, 3, 5) @ EVEN_ROTATION.T
    assert np.all(np.ptp(held, axis=1)[:, 1] < 1e-12)


def test_the_same_seed_gives_the_same_score_and_another_seed_another():
    def score(seed):
        return factor_vae_score(from_table(TURNED, FACTORS), seed=seed, train_votes=300, test_votes=300)

    assert score(0) == score(0)
    assert len({score(seed) for seed in range(4)}) > 1


def test_bad_input_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match="a value of factor 0 occurs in one row only"):
        from_table(STANDARDISED[:3], np.array([[0], [1], [1]]))
    with pytest.raises(ValueError, match="factor_sizes is"):
        from_function(lambda factors: factors, (3, 1))
