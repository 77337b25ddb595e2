"""What a run is: its digests differ by part where something else is computed, and nowhere else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from tiny_run import EXPERIMENT, SPLITS, X, fit

import vae
from vae.data import feed
from vae.spec import Data
from vae.training.identity import feed_digest, train_digests
from vae.training.workdir import RunError, read_config


def mlp(**changed):
    arguments = {"latent_dim": 2, "hidden": (8,), "likelihood": "normal", **changed}
    return vae.models.mlp(Data((4,), "real"), **arguments)


def shifted(by):
    """A model that adds an array of its own to every example."""
    model = mlp()
    shift = np.asarray(by, np.float32)
    return model._replace(infer=lambda params, state, x, *rest: model.infer(params, state, x + shift, *rest))


def scaled(by):
    """The ELBO times a constant."""

    def loss(params, carried, key, batch, settings, model):
        value, aux = vae.elbo().loss(params, carried, key, batch, settings, model)
        return by * value, aux

    return vae.elbo()._replace(loss=loss)


def scaled_in_other_words(by):
    """The same with other names, of its own variables and of a jitted function inside it."""

    @jax.jit
    def product(number):
        return by * number

    def minimised(*arguments):
        bound, rest = vae.elbo().loss(*arguments)
        return product(bound), rest

    return vae.elbo()._replace(loss=minimised)


def scaled_by_a_function(by):
    @jax.jit
    def times(value):
        return by * value

    def loss(*arguments):
        value, aux = vae.elbo().loss(*arguments)
        return times(value), aux

    return vae.elbo()._replace(loss=loss)


def as_doubles(key, stored):
    return 2.0 * stored, ()


def as_triples(key, stored):
    return 3.0 * stored, ()


def trained(seed):
    return vae.Trained(mlp(), *mlp().init(jax.random.key(seed)))


BASE = EXPERIMENT._replace(model=mlp(), settings={"beta": 1.0})


@pytest.fixture(scope="module")
def plain():
    """The identity of the run that the others differ from."""
    return vae.identity(BASE)


def parts_that_differ(one, other, plain):
    first, second = (vae.identity(BASE._replace(**changed)) if changed else plain for changed in (one, other))
    return {name for name in {*first, *second} if first.get(name) != second.get(name)}


DIFFERENT = {
    "activation": ({}, {"model": mlp(activation="tanh")}, {"model", "evaluation", "step"}),
    "width": ({}, {"model": mlp(hidden=(9,))}, {"model", "optimiser", "evaluation", "start", "step"}),
    "objective": ({}, {"objective": vae.elbo(rate_term=vae.objectives.free_bits(0.5))}, {"objective", "step"}),
    "a constant of the objective": ({"objective": scaled(2.0)}, {"objective": scaled(3.0)}, {"objective", "step"}),
    "an array of the model": (
        {"model": shifted([1, 2, 3, 4])},
        {"model": shifted([1, 2, 3, 5])},
        {"model", "evaluation", "step"},
    ),
    "an array of the optimiser": (
        {"optimiser": optax.adam(jnp.array(0.01))},
        {"optimiser": optax.adam(jnp.array(0.02))},
        {"optimiser", "step"},
    ),
    "a schedule": (
        {"schedules": {"beta": vae.schedules.linear(4)}},
        {"schedules": {"beta": vae.schedules.linear(8)}},
        {"schedules", "step"},
    ),
    "how data are prepared": (
        {"data": SPLITS._replace(train=feed(X, as_doubles))},
        {"data": SPLITS._replace(train=feed(X, as_triples))},
        {"prepare", "step"},
    ),
    "the order of the data": ({}, {"data": SPLITS._replace(train=X[::-1].copy())}, {"train"}),
    "the validation data": ({}, {"data": SPLITS._replace(validation=X[10:20])}, {"validation"}),
    "how validation data are prepared": (
        {"data": SPLITS._replace(validation=feed(X, as_doubles))},
        {"data": SPLITS._replace(validation=feed(X, as_triples))},
        {"validation"},
    ),
    "the start": ({"start": trained(1)}, {"start": trained(2)}, {"start"}),
    "that there is a start": ({}, {"start": trained(1).params}, {"start"}),
    "a parent": ({"parents": {"codes": trained(1)}}, {"parents": {"codes": trained(2)}}, {"parent/codes"}),
    "the seed": ({}, {"seed": 1}, {"numbers"}),
    "a level": ({}, {"settings": {"beta": 2.0}}, {"numbers"}),
    "the steps": ({}, {"steps": 9}, {"numbers"}),
    "what is best": ({}, {"select": "kl"}, {"numbers"}),
    "which metrics there are": ({}, {"metrics": {"one": lambda trained: 1.0}}, {"numbers"}),
    "what is charged in validation alone": (
        {},
        {"objective": vae.elbo()._replace(rates=vae.objectives.log_ratio)},
        {"evaluation"},
    ),
}


@pytest.mark.slow_but("activation", "a schedule", "how data are prepared", "a constant of the objective")
@pytest.mark.parametrize("what", DIFFERENT)
def test_what_is_computed_otherwise_differs_in_its_part(what, plain):
    one, other, parts = DIFFERENT[what]
    assert parts_that_differ(one, other, plain) == parts


EQUAL = {
    "the same once more": ({"model": mlp()}, {"model": mlp()}),
    "names inside the objective": (
        {"objective": scaled_by_a_function(2.0)},
        {"objective": scaled_in_other_words(2.0)},
    ),
    "where the data are": ({}, {"data": SPLITS._replace(train=feed(X, resident=False))}),
    "the width of numbers that the device has not": (
        {"data": feed(X.astype(np.float64), resident=True)},
        {"data": feed(X.astype(np.float64), resident=False)},
    ),
    "data by a function": ({"data": SPLITS}, {"data": lambda: SPLITS}),
    "colours of the figures": ({"data": feed(X)}, {"data": feed(X, labels=np.arange(40))}),
    "the test data": ({}, {"data": SPLITS._replace(test=X)}),
}


@pytest.mark.parametrize("what", EQUAL)
def test_what_is_only_written_otherwise_does_not_differ(what, plain):
    assert parts_that_differ(*EQUAL[what], plain) == set()


def test_the_host_does_not_show(tmp_path):
    hosts = {
        "plain": {},
        "other": {"log_every": 1, "save_every": 3, "chunk": 1, "provenance": {"by": "hand"}, "figures": {}},
    }
    configs = []
    for name, host in hosts.items():
        fit(tmp_path / name, **host)
        configs.append(read_config(tmp_path / name))
    assert configs[0] == configs[1]
    assert set(configs[0]["digests"]) >= {"step", "start", "train", "validation"}


SCRIPT = """
import json, sys
import numpy as np, optax
import vae

def {function}(seed):
    images = np.random.default_rng(0).random((40, 4)).astype(np.float32)
    model = vae.reference_to(vae.models.mlp, latent_dim=2, hidden=[8], likelihood="normal", activation="gelu")
    return vae.Experiment(data=images, model=model, steps=3, batch_size=10, seed=seed, objective={objective})

print(json.dumps([vae.identity({function}(1)), np.asarray(vae.batch_at({function}(1), 2).x).tolist()]))
"""


def printed(folder, hash_seed, **names):
    """What the script prints in a process of its own."""
    path = folder / f"script_{hash_seed}.py"
    path.write_text(SCRIPT.format(objective="vae.objectives.importance_weighted(3)", **names))
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(Path(vae.__file__).parents[1])}
    done = subprocess.run([sys.executable, path], env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_fresh_process_and_a_renamed_script_have_the_same_identity_and_batches(tmp_path):
    first, second = printed(tmp_path, 1, function="experiment"), printed(tmp_path, 2, function="my_run")
    assert first == second
    assert len(first[0]["step"]) == 64


# What is refused


@pytest.fixture(scope="module")
def elbo_run(tmp_path_factory):
    """A finished run of the ELBO, with what it wrote."""
    workdir = tmp_path_factory.mktemp("elbo") / "run"
    fit(workdir, optimiser=optax.adam(1e-3))
    return workdir


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"objective": vae.objectives.importance_weighted(5), "optimiser": optax.adam(1e-2)},
            "the objective computes something else; the optimiser computes something else",
        ),
        ({"objective": vae.elbo(rate_term=vae.objectives.free_bits(0.5))}, "the objective computes something else"),
        ({"data": SPLITS._replace(train=X[::-1].copy())}, "the training data are others, or in another order"),
        ({"data": SPLITS._replace(validation=X[10:20])}, "the validation data are others"),
        ({"data": X}, "the validation data are others"),
        ({"start": vae.Trained(EXPERIMENT.model, EXPERIMENT.model.init(jax.random.key(0))[0])}, "the first state is made"),
        ({"settings": {"beta": 2.0}}, "beta is None there, 2.0 now"),
    ],
)
def test_another_run_is_refused_in_one_sentence_that_says_what_differs(elbo_run, changed, message):
    with pytest.raises(RunError) as caught:
        fit(elbo_run, **{"optimiser": optax.adam(1e-3), **changed})
    said = str(caught.value)
    assert f"holds another run: {message}" in said
    assert 'use the old value or another workdir, or resume it anyway (resume="anyway"' in said
    assert said.count("\n") == 0


def test_other_test_data_are_noted_apart_and_make_no_other_run(tmp_path):
    noted = []
    for test in (X[:7], X[7:15], None):
        fit(tmp_path / "run", data=SPLITS._replace(test=test))
        noted.append(json.loads((tmp_path / "run" / "config.json").read_text())["test_sha256"])
    assert noted == [feed_digest(feed(X[:7])), feed_digest(feed(X[7:15])), None]


def test_several_training_feeds_are_digested_by_name():
    feeds = {"b": feed(X[:7]), "a": feed(X[7:15])}
    assert train_digests(feeds) == {f"train/{name}": feed_digest(one) for name, one in feeds.items()}
    assert train_digests(feeds["a"]) == {"train": feed_digest(feeds["a"])}


@pytest.mark.slow
def test_anyway_goes_on_with_what_is_there_and_notes_what_differs(tmp_path):
    fit(tmp_path / "run", steps=4)
    objective = vae.objectives.importance_weighted(5)
    on = fit(tmp_path / "run", "anyway", objective=objective)
    assert int(on.state.step) == 8
    assert [record["step"] for record in on.records if record["split"] == "train"] == [2, 4, 6, 8]
    resumed = json.loads((tmp_path / "run" / "provenance.json").read_text())["resumed"]
    assert resumed[0]["differences"] == ["the objective computes something else"]
    assert int(fit(tmp_path / "run", objective=objective).state.step) == 8


@pytest.mark.slow
def test_other_versions_are_warned_of_and_noted(tmp_path):
    fit(tmp_path / "run", steps=4)
    path = tmp_path / "run" / "config.json"
    config = json.loads(path.read_text())
    config["versions"]["jax"] = "0.0.1"
    config["digests"]["step"] = "of another text"
    path.write_text(json.dumps(config))
    message = rf"cannot be told: jax was 0.0.1 and is {jax.__version__}; the training step computes something else"
    with pytest.warns(RuntimeWarning, match=message):
        raised = fit(tmp_path / "run")
    assert int(raised.state.step) == 8
    resumed = json.loads((tmp_path / "run" / "provenance.json").read_text())["resumed"]
    assert resumed[0]["differences"] == [f"jax was 0.0.1 and is {jax.__version__}", "the training step computes something else"]
    fit(tmp_path / "run")  # whose own digests are there now


def test_an_identity_does_not_know_whether_it_is_printed_on_a_terminal(monkeypatch):
    """On a terminal jax colours the text of a program."""
    plain = vae.identity(EXPERIMENT)
    monkeypatch.setattr("jax._src.pretty_printer.CAN_USE_COLOR", True)  # found out when jax is imported
    assert "\x1b" in str(jax.make_jaxpr(lambda x: x + 1)(1.0)), "the text is not coloured here, so that nothing is tested"
    assert vae.identity(EXPERIMENT) == plain
