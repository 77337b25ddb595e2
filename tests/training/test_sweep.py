"""A sweep: every run is the run alone, and what is said of the runs side by side."""

import logging

import chex
import jax
import jax.numpy as jnp
import matplotlib.figure
import numpy as np
import optax
import pytest
from tiny_run import EXPERIMENT, HOST, MODEL, X, fit, validations
from unchecked import unchecked

import vae
from vae.objectives import REMEDIES, CollapseWatch
from vae.training.sweeping import Member, noted, one_after_another, run_of, side_by_side, warn_of_collapses

BETAS = [0.5, 1.0, 4.0]
SWEPT = EXPERIMENT._replace(optimiser=vae.training.adam, settings={"learning_rate": 1e-2}, metrics={"size": lambda t: size(t)})


def size(trained):
    return jnp.sum(jnp.square(trained.params["generative"]["loadings"]))


def levels(swept):
    return [member.settings for member in swept.members]


@pytest.fixture(scope="module")
def swept():
    """Fifteen runs: three betas by five seeds."""
    return vae.sweep(SWEPT, seeds=5, settings={"beta": BETAS}, host=HOST)


@pytest.mark.slow
def test_fifteen_runs_are_validated_and_recorded_each(swept):
    assert [(member.settings["beta"], member.seed) for member in swept.members] == [(b, s) for b in BETAS for s in range(5)]
    for member in swept.members:
        steps = [(record["step"], record["split"]) for record in member.records]
        assert steps == [(step, split) for step in (2, 4, 6, 8) for split in ("train", "validation")[: 1 + (step % 4 == 0)]]
        assert {"elbo", "log_likelihood", "kl", "size"} <= set(validations(member.records)[-1])


@pytest.mark.parametrize(
    "index", [pytest.param(0, marks=pytest.mark.slow), 7, pytest.param(14, marks=pytest.mark.slow)]
)  # a fit each
def test_every_run_of_a_sweep_is_the_run_alone(swept, index):
    member = swept.members[index]
    alone = vae.fit(SWEPT._replace(settings={"learning_rate": 1e-2, **member.settings}, seed=member.seed), host=HOST)
    chex.assert_trees_all_close(swept.trained(index).params, alone.params, rtol=1e-5, atol=1e-6)
    for mine, other in zip(member.records, alone.records, strict=True):
        assert (mine["step"], mine["split"]) == (other["step"], other["split"])
        for name in ("elbo", "log_likelihood", "kl"):
            np.testing.assert_allclose(mine[name], other[name], rtol=1e-5, atol=1e-5)


def test_the_same_seed_starts_alike_at_every_setting(swept):
    """Settings are compared in pairs: the first batch, its noise and the start are those of the seed."""
    first = {(m.settings["beta"], m.seed): m.records[0]["log_likelihood"] for m in swept.members}
    for seed in range(5):
        np.testing.assert_allclose([first[beta, seed] for beta in BETAS], first[1.0, seed], rtol=0.02)
    assert len({round(first[1.0, seed], 3) for seed in range(5)}) == 5


def test_the_table_has_a_row_per_setting_with_mean_and_standard_error(swept):
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in swept.table().splitlines())
    assert header == ["beta", "seeds", "elbo", "log_likelihood", "kl", "size"]
    assert [row[0] for row in rows] == ["0.5", "1", "4"]
    values = [validations(member.records)[-1]["elbo"] for member in swept.members[5:10]]
    wanted = f"{np.mean(values):.3f} ± {np.std(values, ddof=1) / np.sqrt(5):.3f}"
    assert rows[1][:3] == ["1", "5", wanted]
    assert swept.table("size").splitlines()[0].replace(" ", "") == "|beta|seeds|size|"
    assert repr(swept) == f"Swept(15 runs of 8 steps)\n{swept.table()}"
    assert swept._repr_markdown_() == swept.table()


def test_the_picture_is_of_the_selected_metric(swept):
    figure = swept.figure()
    assert isinstance(figure, matplotlib.figure.Figure)
    said = " ".join(text.get_text() for axes in figure.axes for text in [*axes.get_yticklabels(), axes.title, axes.xaxis.label])
    assert all(f"beta {beta:g}" in said for beta in BETAS)
    assert "elbo" in said
    assert isinstance(swept.figure("size"), matplotlib.figure.Figure)


@pytest.mark.parametrize(
    "lift", [side_by_side, pytest.param(one_after_another, marks=pytest.mark.slow)]
)  # on a CPU the latter is what the fixture took
def test_neither_layout_shows_in_the_numbers_and_the_loss_is_traced_once(swept, lift):
    chex.clear_trace_counter()
    counted = vae.elbo()._replace(loss=chex.assert_max_traces(vae.elbo().loss, n=1))
    again = vae.sweep(SWEPT._replace(objective=counted), seeds=[0, 2], settings={"beta": BETAS[:2]}, host=HOST, lift=lift)
    for index, other in enumerate((0, 2, 5, 7)):
        chex.assert_trees_all_close(again.trained(index).params, swept.trained(other).params, rtol=1e-5, atol=1e-6)


def test_zipped_levels_change_together_and_are_crossed_with_the_rest():
    few = SWEPT._replace(steps=1, metrics={}, data=X)
    zipped = vae.sweep(few, seeds=[3, 9], zip={"beta": [1.0, 2.0], "learning_rate": [1e-2, 1e-3]}, host=HOST)
    pairs = [{"beta": 1.0, "learning_rate": 1e-2}, {"beta": 2.0, "learning_rate": 1e-3}]
    assert levels(zipped) == [pairs[0], pairs[0], pairs[1], pairs[1]]
    assert [member.seed for member in zipped.members] == [3, 9, 3, 9]
    np.testing.assert_allclose(zipped.states.settings["learning_rate"], [1e-2, 1e-2, 1e-3, 1e-3])
    crossed = vae.sweep(few, seeds=1, settings={"beta": [1.0, 2.0], "learning_rate": [1e-2, 1e-3]}, host=HOST)
    assert levels(crossed) == [{"beta": b, "learning_rate": r} for b in (1.0, 2.0) for r in (1e-2, 1e-3)]


@pytest.mark.slow
def test_a_sweep_may_be_over_seeds_alone_counted_from_the_experiments_own():
    seeds = vae.sweep(SWEPT._replace(steps=1, metrics={}, seed=5), seeds=2, host=HOST)
    assert [member.name for member in seeds.members] == ["seed 5", "seed 6"]
    assert seeds.table().splitlines()[0].startswith("| seeds | elbo ")
    listed = vae.sweep(SWEPT._replace(steps=1, metrics={}, seed=jax.random.key(0)), seeds=[6], host=HOST)
    chex.assert_trees_all_close(listed.trained(0).params, seeds.trained(1).params, rtol=1e-6, atol=1e-7)


@pytest.mark.slow
def test_the_best_states_are_those_of_each_runs_best_validation():
    """Downhill at a negative rate, where the first validation is the best, and uphill at a positive one."""
    down = SWEPT._replace(metrics={}, steps=12, optimiser=optax.adam(1.0))
    both = vae.sweep(down, seeds=1, settings={"learning_rate": [-0.05, 1e-4]}, host=HOST)
    scores = [[record["elbo"] for record in validations(member.records)] for member in both.members]
    assert scores[0][0] > scores[0][-1]
    for index in range(2):
        best = 4 * (1 + int(np.argmax(scores[index])))
        assert both.best.step[index] == best
        assert both.states.step[index] == 12
    early = fit(steps=4, optimiser=optax.adam(1.0), settings={"learning_rate": -0.05}, validate_every=4)
    chex.assert_trees_all_close(both.trained(0, "best").params, early.params, rtol=1e-5, atol=1e-6)
    assert not np.allclose(run_of(both.states, 0).params["posterior"]["weights"], early.params["posterior"]["weights"])


@pytest.mark.slow
def test_without_validation_the_best_are_the_latest_and_the_table_is_of_training():
    plain = vae.sweep(SWEPT._replace(data=X, metrics={}), seeds=2, host=HOST)
    chex.assert_trees_all_equal(plain.trained(1, "best").params, plain.trained(1).params)
    assert "elbo" in plain.table().splitlines()[0]
    assert plain.table() == vae.sweep(SWEPT._replace(data=vae.data.feed(X), metrics={}), seeds=2, host=HOST).table()


@pytest.mark.slow
def test_players_of_a_sweep_have_their_own_optimisers():
    players = {"posterior": lambda s: optax.sgd(0.01 * s["speed"]), "generative": optax.set_to_zero()}
    swept = vae.sweep(SWEPT._replace(optimiser=players, settings={}), seeds=1, settings={"speed": [0.0, 1.0, 2.0]}, host=HOST)
    still, _ = MODEL.init(jax.random.key(0))
    for index in range(3):
        chex.assert_trees_all_equal(swept.trained(index).params["generative"], still["generative"])
    chex.assert_trees_all_equal(swept.trained(0).params, still)
    for index, speed in ((1, 1.0), (2, 2.0)):
        alone = fit(optimiser=players, settings={"speed": speed})
        chex.assert_trees_all_close(swept.trained(index).params, alone.params, rtol=1e-5, atol=1e-6)


def test_warnings_name_the_run(caplog):
    """A gradient that is not finite at one level is said of the runs of that level, and of no other."""

    def loss(params, carried, key, batch, settings, model):
        value, aux = vae.elbo().loss(params, carried, key, batch, settings, model)
        return value * jnp.where(settings["broken"] > 0.5, jnp.nan, 1.0), aux

    broken = SWEPT._replace(objective=vae.elbo()._replace(loss=loss), metrics={}, steps=2)
    with caplog.at_level(logging.WARNING, "vae"):
        vae.sweep(broken, seeds=2, settings={"broken": [0.0, 1.0]}, host=HOST)
    assert [r.message for r in caplog.records] == [
        f"broken 1, seed {seed}: 2 steps up to 2 had no finite gradient." for seed in (0, 1)
    ]


def test_a_collapse_is_said_of_its_members_and_the_advice_once(caplog):
    members = [Member(seed, {"beta": beta}, []) for beta in (1.0, 9.0) for seed in (0, 1)]
    watches, advised = [CollapseWatch()] * 4, False
    with caplog.at_level(logging.WARNING, "vae"):
        for i in range(20):
            rates = (5.0, 5.0, 0.001, 0.001 if i > 8 else 2.0)
            records = [{"step": 100 * (i + 1), "split": "train", "kl": rate, "skipped_steps": 0} for rate in rates]
            watches, said = noted(members, records, watches)
            advised = warn_of_collapses(said, advised)
    first, second = [record.message for record in caplog.records]
    assert first.startswith("beta 9, seed 0: at step 600 the latent variables carry 0.001 nats per example, and the KL has not")
    assert first.endswith(REMEDIES)
    assert second.startswith("beta 9, seed 1: at step ")
    assert REMEDIES not in second
    assert [len(member.records) for member in members] == [20] * 4


def test_progress_is_drawn(capsys):
    vae.sweep(SWEPT._replace(metrics={}, data=X), seeds=1, host=vae.Host(log_every=2))
    assert "8/8" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"settings": {"latent_dim": [2, 4]}}, r"nothing in this run reads latent_dim; it reads .*beta.*learning_rate"),
        ({"settings": {"beta": 4.0}}, r"the sweep got beta = 4.0; wanted a list of one level or more"),
        ({"settings": {"beta": []}}, r"beta = \[\]; wanted a list"),
        ({"zip": {"beta": [1.0, 2.0], "learning_rate": [1.0]}}, "zipped lists have lengths .*'beta': 2, 'learning_rate': 1"),
        ({"zip": {"beta": [1.0]}, "settings": {"beta": [1.0]}}, "beta stands in settings and in zip"),
        ({"settings": {"beta": [1.0, float("nan")]}}, "the setting beta is nan; wanted a finite number"),
        ({"seeds": 0}, "seeds is 0; wanted at least 1"),
        ({"seeds": []}, "the sweep got no seeds"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused(arguments, message):
    with unchecked(), pytest.raises(ValueError, match=message):
        vae.sweep(SWEPT, host=HOST, **arguments)


def test_seeds_cannot_be_counted_from_a_key():
    with pytest.raises(ValueError, match="the experiment's seed is a key, from which none can be counted"):
        vae.sweep(SWEPT._replace(seed=jax.random.key(0)), seeds=2, host=HOST)


def test_a_run_is_called_by_its_levels_and_its_seed_or_key():
    assert Member(3, {"beta": 4.0}, []).name == "beta 4, seed 3"
    assert Member(jax.random.key(5), {}, []).name == "key 0 5"
