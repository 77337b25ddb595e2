"""An experiment as a value: its batches, feeds, optimisers, periods and what its best checkpoint is."""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toys
import walks
from tiny_run import EXPERIMENT, HOST, MODEL, SPLITS, X, fit, validations
from unchecked import unchecked

import vae
from vae.data import Split, Splits, feed, from_splits, image_splits
from vae.objectives import analytic, batch_mean, log_ratio, terms_of
from vae.objectives import plain as plain_objective
from vae.training.digest import tree_sha256
from vae.training.load import load_run
from vae.training.planning import planned, splits_of
from vae.training.workdir import RunError, read_config

# Batches


def showing(objective):
    """The objective, with the batch that it saw among its metrics."""

    def loss(params, carried, key, batch, settings, model):
        value, (terms, aux) = objective.loss(params, carried, key, batch, settings, model)
        return value, (terms, aux | {"metrics": {"x": batch.x}})

    return objective._replace(loss=loss)


@pytest.mark.slow_but("False")
@pytest.mark.parametrize("resident", [True, False])
def test_a_batch_at_a_step_is_what_the_step_sees(resident):
    """Binarised anew at every step, from data on the device and on the host."""
    experiment = vae.Experiment(
        data=walks.source(resident), model=walks.MODEL, steps=4, objective=showing(vae.elbo()), batch_size=walks.BATCH, seed=3
    )
    seen = [np.asarray(r["x"]) for r in vae.fit(experiment, host=vae.Host(log_every=1, progress=False)).records]
    for step, x in enumerate(seen):
        np.testing.assert_array_equal(vae.batch_at(experiment, step).x, x)
    assert {0.0, 1.0} == set(np.unique(seen))
    assert not np.array_equal(seen[0], seen[1])
    assert not np.array_equal(vae.batch_at(experiment._replace(seed=4), 0).x, seen[0])


# Several feeds

CLASSES = 3
BINARY = (X > 0).astype(np.float32)
LABELS = np.arange(40) % CLASSES


def observed(key, stored):
    """A labelled example: its label is the value of the first latent group."""
    return stored["x"], (), (stored["y"], None)


def semi_supervised():
    """The ELBO of unlabelled examples plus twice that of labelled ones, whose label is given and scored by log q(y | x)."""

    def loss(params, carried, key, batch, settings, model):
        def labelled(key, x, values):
            trace = model.infer(params, carried.model, x, (), settings)(key, values)
            terms = terms_of(trace, x, (log_ratio, analytic), key)
            prior = jnp.log(1.0 / CLASSES)  # a label that is given costs its prior, and nothing is drawn
            return terms._replace(rates=(-prior, terms.rates[1])), -trace.latents[0].log_q

        def unlabelled(key, x):
            return terms_of(model.infer(params, carried.model, x, (), settings)(key), x, (log_ratio, analytic), key)

        keys = {name: jax.random.split(jax.random.fold_in(key, i), len(batch[name].x)) for i, name in enumerate(sorted(batch))}
        with_label, cross_entropy = jax.vmap(labelled)(keys["labelled"], batch["labelled"].x, batch["labelled"].values)
        without = jax.vmap(unlabelled)(keys["unlabelled"], batch["unlabelled"].x)
        total = 2.0 * bound(with_label, batch["labelled"]) + bound(without, batch["unlabelled"])
        classified = batch_mean(cross_entropy, batch["labelled"].weight)
        metrics = {"cross_entropy": classified, "seen": jnp.array([len(batch[name].x) for name in sorted(batch)])}
        return classified - total, ({"labelled": with_label, "unlabelled": without}, {"statistics": {}, "metrics": metrics})

    return plain_objective(loss, rates=(log_ratio, analytic))


def bound(terms, batch):
    """The mean ELBO of a batch."""
    rates = terms.rates[0] + terms.rates[1].sum(axis=1)
    return batch_mean(terms.log_likelihood - rates, batch.weight)


TWO = Splits(
    train={"labelled": feed({"x": BINARY, "y": LABELS}, observed), "unlabelled": feed(BINARY)},
    validation=feed({"x": BINARY[:10], "y": LABELS[:10]}, observed),
)
TWO_FEEDS = EXPERIMENT._replace(
    data=TWO, model=toys.labelled(CLASSES), objective=semi_supervised(), batch_size={"labelled": 4, "unlabelled": 10}
)


@pytest.fixture(scope="module")
def two_feeds():
    return vae.fit(TWO_FEEDS, host=HOST)


@pytest.mark.slow
def test_two_feeds_have_their_own_batches_and_their_own_numbers(two_feeds):
    batch = vae.batch_at(TWO_FEEDS, 2)
    assert (batch["labelled"].x.shape, batch["unlabelled"].x.shape) == ((4, 4), (10, 4))
    shown, labels = np.asarray(batch["labelled"].x), np.asarray(batch["labelled"].values[0])
    rows = [np.flatnonzero((x == BINARY).all(axis=1) & (y == LABELS)) for x, y in zip(shown, labels)]
    assert all(len(row) for row in rows), "a label stays with its example"
    assert batch["unlabelled"].values == ()
    record = two_feeds.records[0]
    assert {f"{name}/{number}" for name in TWO.train for number in ("elbo", "log_likelihood")} <= set(record)
    assert {"labelled/rate", "unlabelled/kl"} <= set(record), "a label costs -log p of its value, which is no KL"
    assert not {"labelled/kl", "unlabelled/rate"} & set(record)
    assert record["seen"] == [4.0, 10.0]
    assert {"elbo", "rate", "log_likelihood"} <= set(validations(two_feeds.records)[0]), "it is validated on labelled data"


@pytest.mark.slow
def test_several_feeds_are_resumed_bit_for_bit_and_wherever_they_are(two_feeds, tmp_path):
    streamed = TWO._replace(
        train={name: one._replace(arrays=jax.device_get(one.arrays), resident=False) for name, one in TWO.train.items()}
    )
    vae.fit(TWO_FEEDS._replace(steps=3), tmp_path / "run", HOST)
    resumed = vae.fit(TWO_FEEDS._replace(data=streamed, validate_every=None, steps=8), tmp_path / "other", HOST)
    again = vae.fit(TWO_FEEDS, tmp_path / "run", HOST._replace(chunk=1))
    assert tree_sha256(again.state) == tree_sha256(two_feeds.state) == tree_sha256(resumed.state)
    digests = read_config(tmp_path / "run")["digests"]
    assert {"train/labelled", "train/unlabelled"} <= set(digests)
    assert digests["train/labelled"] == read_config(tmp_path / "other")["digests"]["train/labelled"]
    swapped = TWO._replace(train=TWO.train | {"unlabelled": feed(BINARY[::-1].copy())})
    with pytest.raises(ValueError, match=r"the training data are others, or in another order \(unlabelled\)"):
        vae.fit(TWO_FEEDS._replace(data=swapped), tmp_path / "run", HOST)


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        (TWO_FEEDS._replace(batch_size=10), "batch_size is 10; wanted one for each of labelled, unlabelled"),
        (TWO_FEEDS._replace(batch_size={"labelled": 4}), r"batch_size is \{'labelled': 4\}; wanted one for each of labelled"),
        (TWO_FEEDS._replace(batch_size={"labelled": 4, "unlabelled": 41}), "batch_size is 41, more than the 40"),
        (EXPERIMENT._replace(batch_size={"labelled": 4}), r"batch_size is \{'labelled': 4\}; wanted a number"),
    ],
)
def test_batch_sizes_that_do_not_match_the_feeds_are_refused(experiment, message):
    with pytest.raises(ValueError, match=message):
        vae.fit(experiment, host=HOST)


# What may be given as data


def test_arrays_feeds_splits_data_sets_and_functions_are_data():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 1)).astype(np.uint8)
    parts = {"train": pixels, "validation": pixels[:5], "test": pixels[:6]}
    dataset = from_splits("small", {name: Split(x=part) for name, part in parts.items()})
    wanted = image_splits(dataset)
    for data in (dataset, wanted, lambda: dataset):
        found = splits_of(data)
        assert tree_sha256([part.arrays for part in found]) == tree_sha256([part.arrays for part in wanted])
    for data in (X, feed(X), Splits(train=X), lambda: X):
        found = splits_of(data)
        np.testing.assert_array_equal(found.train.arrays, X)
        assert (found.validation, found.test) == (None, None)


@pytest.mark.slow
def test_what_is_no_model_and_no_seed_is_refused():
    with (
        unchecked(),
        pytest.raises(TypeError, match=r"the model is a int; wanted a vae.Model, a function from vae.Data to one"),
    ):
        fit(model=3)
    with unchecked(), pytest.raises(TypeError, match=r"the model is a str; wanted a vae.Model"):
        fit(model=lambda data: "a model")
    for seed in (1.5, True, "three", [1, 2]):
        with unchecked(), pytest.raises(ValueError, match=r"the seed is .*; wanted a whole number or a key"):
            fit(seed=seed)
    assert tree_sha256(fit(seed=jax.random.key(7)).state) == tree_sha256(fit(seed=7).state)


# Optimisers


def clipped(settings):
    return optax.chain(
        optax.clip_by_global_norm(settings["clip"]),
        optax.adamw(settings["learning_rate"], weight_decay=settings["decay"]),
    )


SETTINGS = {"clip": 0.5, "decay": 0.1, "learning_rate": 0.01}


def plain(rate=0.01):
    return optax.chain(optax.clip_by_global_norm(0.5), optax.adamw(rate, weight_decay=0.1))


@pytest.mark.slow
def test_an_optimiser_of_the_settings_is_the_plain_one():
    ours, theirs = fit(optimiser=clipped, settings=SETTINGS), fit(optimiser=plain())
    chex.assert_trees_all_close(ours.params, theirs.params, rtol=1e-6, atol=1e-7)
    unclipped = fit(optimiser=clipped, settings=SETTINGS | {"clip": 1e6})
    assert not np.allclose(ours.params["posterior"]["weights"], unclipped.params["posterior"]["weights"], atol=1e-5)


@pytest.mark.slow
def test_its_numbers_can_be_scheduled_and_swept():
    schedules = {"learning_rate": vae.schedules.linear(4)}
    scheduled = fit(optimiser=clipped, settings=SETTINGS, schedules=schedules)
    theirs = fit(optimiser=plain(optax.linear_schedule(0.0, 0.01, 4)))
    chex.assert_trees_all_close(scheduled.params, theirs.params, rtol=1e-6, atol=1e-7)
    experiment = EXPERIMENT._replace(optimiser=clipped, settings=SETTINGS)
    swept = vae.sweep(experiment, seeds=1, settings={"clip": [0.5, 1e6], "decay": [0.1, 0.0]}, host=HOST)
    chex.assert_trees_all_close(swept.trained(0).params, fit(optimiser=plain()).params, rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_close(swept.trained(3).params, fit(optimiser=optax.adam(0.01)).params, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_players_may_each_have_one():
    players = {"posterior": clipped, "generative": lambda settings: optax.sgd(settings["speed"])}
    ours = fit(optimiser=players, settings=SETTINGS | {"speed": 0.02})
    theirs = fit(optimiser={"posterior": plain(), "generative": optax.sgd(0.02)})
    chex.assert_trees_all_close(ours.params, theirs.params, rtol=1e-6, atol=1e-7)
    with pytest.raises(ValueError, match="there is no optimiser for generative; got optimisers for"):
        fit(optimiser={"posterior": clipped}, settings=SETTINGS)


def test_what_is_no_optimiser_is_refused():
    with unchecked(), pytest.raises(TypeError, match="the optimiser is 'adam'; wanted an optax transformation, a function"):
        fit(optimiser="adam")


# Which settings are read


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"settings": {"betta": 4.0}}, "nothing in this run reads betta; it reads beta, learning_rate, likelihood"),
        ({"settings": {"beta": 4.0}, "objective": vae.objectives.importance_weighted(5)}, "reads beta; it reads learning_rate"),
        ({"settings": {"beta": 1.0, "gama": 1.0, "alfa": 1.0}}, "reads alfa, gama; it reads beta"),
    ],
)
def test_a_setting_that_nothing_reads_is_refused_before_anything_is_written(tmp_path, changed, message):
    with pytest.raises(ValueError, match=message):
        fit(tmp_path / "run", **changed)
    assert not (tmp_path / "run").exists()


def warm(read_in_training):
    """A model whose decoder is warmer in evaluation by a setting, and in training too where it says so."""

    def infer(params, state, x, context, settings):
        if settings.training and not read_in_training:
            return MODEL.infer(params, state, x, context, settings)
        return MODEL.infer(params, state, settings["warmth"] * x, context, settings)

    return MODEL._replace(infer=infer)


@pytest.mark.slow
def test_a_setting_that_only_an_evaluation_reads_is_read():
    """Also without a validation, since whoever evaluates the model reads it."""
    one, two = (validations(fit(model=warm(False), settings={"warmth": level, "beta": 1.0}).records) for level in (1.0, 2.0))
    assert one[0]["elbo"] != two[0]["elbo"]
    assert validations(fit().records)[0]["elbo"] == pytest.approx(one[0]["elbo"], rel=1e-5)
    for read_in_training in (False, True):
        assert int(fit(model=warm(read_in_training), settings={"warmth": 1.0}, data=X).state.step) == 8


@pytest.mark.slow
def test_a_setting_that_only_a_metric_or_the_first_state_reads_is_read():
    metrics = {"double": lambda trained: 2 * trained.settings["scale"]}
    assert validations(fit(metrics=metrics, settings={"scale": 3.0}).records)[0]["double"] == 6.0

    def adagrad(settings):
        return optax.adagrad(1e-2, initial_accumulator_value=settings["accumulator"])

    assert int(fit(steps=1, optimiser=adagrad, settings={"accumulator": 0.1}).state.step) == 1


def test_a_start_takes_over_what_the_model_carried_and_the_optimiser_begins_there():
    trained = vae.Trained(toys.vector_quantised(), *toys.vector_quantised().init(jax.random.key(5)))
    quantised = {"model": toys.vector_quantised(), "data": X, "optimiser": optax.contrib.schedule_free(optax.sgd(0.0), 0.0)}
    state = planned(EXPERIMENT._replace(**quantised, start=trained)).start()
    chex.assert_trees_all_equal(state.model_state, trained.model_state)
    chex.assert_trees_all_equal(state.optimiser_state.z, trained.params)


# Validation


@pytest.mark.slow
def test_the_rate_of_an_objective_is_said_once():
    """A mixture prior has no closed form; training and validation charge the group as the objective does."""
    model = vae.models.mlp(vae.Data((4,), "binary"), latent_dim=2, hidden=(4,), latents="normal_mixture")
    fitted = fit(model=model, objective=vae.elbo(rates=log_ratio), data=Splits(BINARY, BINARY[:10]))
    records = validations(fitted.records)
    assert [record["step"] for record in records] == [4, 8]
    assert all(math.isfinite(record["elbo"]) for record in records)
    with pytest.raises(TypeError, match=r"log_ratio"):
        fit(model=model, data=Splits(BINARY, BINARY[:10]))


@pytest.mark.slow
def test_an_objective_whose_rate_is_no_kl_selects_by_its_score(tmp_path):
    objective = vae.elbo(rates=vae.objectives.geometric_jensen_shannon(0.5))
    fitted = fit(tmp_path / "run", objective=objective)
    record = validations(fitted.records)[-1]
    assert {"rate", "score", "log_likelihood"} <= set(record)
    assert not {"kl", "elbo"} & set(record)
    assert record["score"] == pytest.approx(record["log_likelihood"] - record["rate"], rel=1e-6)
    assert read_config(tmp_path / "run")["run"]["select"] == ["score", True]
    assert load_run(tmp_path / "run", model=MODEL).which == "best"


def steps_of_saves(workdir):
    return sorted(int(path.name) for path in (workdir / "checkpoints").iterdir() if path.name.isdigit())


def from_middle(trained):
    """A metric that is least at the second of three validations."""
    return jnp.abs(trained.params["generative"]["loadings"][0, 0] - MIDDLE)


FALLING = {"steps": 12, "optimiser": optax.sgd(1.0), "settings": {"learning_rate": 0.01}}
MIDDLE = float(fit(**{**FALLING, "steps": 8}).params["generative"]["loadings"][0, 0])


@pytest.mark.slow_but("middle-max")
@pytest.mark.parametrize(
    ("select", "best"),
    [(vae.Select("middle", higher_is_better=False), min), (vae.Select("middle"), max), ("middle", max), (None, "elbo")],
)
def test_the_best_is_what_the_experiment_selects(tmp_path, select, best):
    fitted = fit(tmp_path / "run", **FALLING, metrics={"middle": from_middle}, select=select)
    found = {r["step"]: r["elbo" if best == "elbo" else "middle"] for r in validations(fitted.records)}
    wanted = max(found, key=found.get) if best == "elbo" else best(found, key=found.get)
    assert load_run(tmp_path / "run", model=MODEL).step == wanted
    assert (wanted == 8) == (best is min)


@pytest.mark.parametrize(("validate_every", "steps"), [(3, [3, 6, 8]), (5, [5, 8]), (8, [8]), (None, list(range(1, 9)))])
def test_validate_every_decides_when(validate_every, steps):
    records = validations(fit(validate_every=validate_every).records)
    assert [record["step"] for record in records] == steps


@pytest.mark.slow
def test_a_period_that_nobody_gave_follows_the_steps_and_one_that_was_given_stays(tmp_path):
    """Ten validations of the whole run, also where it was shorter before."""
    fit(tmp_path / "run", steps=20, validate_every=None)
    raised = fit(tmp_path / "run", steps=40, validate_every=None)
    assert [record["step"] for record in validations(raised.records)] == [*range(2, 21, 2), *range(24, 41, 4)]
    with pytest.raises(RunError, match="validate_every is None there, 5 now"):
        fit(tmp_path / "run", steps=40, validate_every=5)


class Killed(Exception):
    """What ends a run from within."""


@pytest.mark.slow
def test_saves_between_validations_are_resumed_from_and_never_show(tmp_path):
    """A run that dies at step 8 goes on from the save at step 7, and ends bit for bit as one that saved nothing."""
    calls = []

    def dies(trained):
        calls.append(1)
        if len(calls) == 2:
            raise Killed
        return 0.0

    whole = fit(steps=12)
    with pytest.raises(Killed):
        fit(tmp_path / "run", steps=12, save_every=7, metrics={"zero": dies})
    assert steps_of_saves(tmp_path / "run") == [4, 7]
    resumed = fit(tmp_path / "run", steps=12, save_every=7, metrics={"zero": lambda trained: 0.0})
    assert json_of(tmp_path / "run" / "provenance.json")["resumed"][0]["step"] == 7
    assert tree_sha256(resumed.state) == tree_sha256(whole.state)
    without = [{k: v for k, v in r.items() if k not in ("images_per_second", "zero")} for r in resumed.records]
    assert without == [{k: v for k, v in r.items() if k != "images_per_second"} for r in whole.records]


def json_of(path):
    return vae.training.provenance.read_json(path)


# What is said of it


def test_what_fit_returns_is_shown_in_a_few_lines():
    fitted = fit(settings={"beta": 2.0})
    lines = repr(fitted).splitlines()
    assert lines[0] == "Fitted(finished at step 8, 6 records)"
    assert "18 parameters; beta 2" in lines[1]
    assert lines[2].startswith("  train: elbo -")
    assert lines[3].startswith("  validation: elbo -")
    assert len(lines) < 6
    assert len(repr(fitted)) < 1000
    html = fitted._repr_html_()
    assert html.count("<tr>") == 2
    assert "Fitted(finished at step 8" in html
    assert repr(fitted.trained) in html


@pytest.mark.parametrize("resident", [True, False])
def test_the_model_is_traced_once_to_look_at_it_once_to_train_and_once_to_validate(tmp_path, resident):
    """Identity, the settings that are read, the look for convolutions and chunks of any length share one trace of a step."""
    traced = []

    def infer(params, state, x, context, settings):
        traced.append(settings.training)
        return MODEL.infer(params, state, x, context, settings)

    data = SPLITS._replace(train=feed(X, resident=resident))
    fit(tmp_path / "run", model=MODEL._replace(infer=infer), data=data, settings={"beta": 1.0}, steps=7, log_every=3)
    assert sorted(traced) == [False, True, True], "the look is at what is trained"


# Numbers


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"steps": 20.5}, "steps is 20.5; wanted a whole number"),
        ({"steps": True}, "steps is True; wanted a whole number"),
        ({"batch_size": "8"}, "batch_size is '8'; wanted a whole number"),
        ({"validate_every": 2.0}, "validate_every is 2.0; wanted a whole number"),
        ({"average_decay": 1}, "average_decay is 1; wanted a number from 0 to below 1"),
        ({"average_decay": float("nan")}, "average_decay is nan"),
        ({"seed": 2**32}, "the seed is 4294967296; wanted one from 0 to 4294967295"),
        ({"seed": -1}, "the seed is -1"),
        ({"seed": jax.random.split(jax.random.key(0))}, r"the seed is \(2,\) keys; wanted one"),
        ({"settings": {"beta": "x"}}, "the setting beta is 'x'; wanted a finite number"),
        ({"settings": {"beta": 1e39}}, r"the setting beta is 1e\+39"),
        ({"metrics": {"step": lambda trained: 0.0}}, "the metrics are called step, as what is recorded anyway"),
        ({"select": "foo"}, "selected by 'foo'; wanted one of elbo, log_likelihood, kl"),
        ({"data": np.array([["a"]] * 40)}, "the data hold values of type <U1; wanted real numbers"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(changed, message):
    with pytest.raises(ValueError, match=message):
        planned(EXPERIMENT._replace(**changed))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"settings": [1.0]}, "settings is a list; wanted a mapping"),
        ({"settings": {"beta": 1.0}, "schedules": {"beta": 0.5}}, "the schedule of beta is 0.5; wanted a function of the step"),
        ({"optimiser": lambda settings: None}, "the optimiser is None; wanted an optax transformation"),
    ],
)
def test_what_is_of_another_kind_is_refused_in_one_sentence(changed, message):
    with pytest.raises(TypeError, match=message):
        planned(EXPERIMENT._replace(**changed)).start()


def test_numpy_numbers_are_numbers_also_in_the_files(tmp_path):
    given = {"steps": np.int64(2), "batch_size": np.int32(10), "average_decay": np.float32(0.5), "seed": np.int64(3)}
    fit(tmp_path / "run", log_every=np.int64(2), **given)
    found = read_config(tmp_path / "run")["run"]
    assert (found["steps"], found["batch_size"], found["average_decay"], found["seed"]) == (2, 10, 0.5, 3)


def test_a_metric_is_one_number():
    with pytest.raises(TypeError, match="the metric size gave None; wanted one number"):
        fit(steps=1, metrics={"size": lambda trained: None})
