"""Whose directory it is: new, the same run's, another's, held, or not to be written."""

import json
import re
import subprocess
import sys

import pytest

from vae.training import workdir as files
from vae.training.provenance import finite
from vae.training.sameness import flatten
from vae.training.workdir import RunError, open_run, read_config

DIGESTS = {"step": "a", "start": "b", "train": "c"}
CONFIG = {
    "origin": {"function": "m:f", "config": "m:C", "arguments": {"hidden": (4, 4), "clip": 1.0}, "report": None},
    "model": None,
    "run": {"steps": 10, "batch_size": 8, "settings": {"beta": 1.0}},
    "data": {"shape": [4], "space": "real"},
    "precision": {"jax_enable_x64": "False"},
    "digests": DIGESTS,
    "versions": {"jax": "1.0"},
}


def changed(**run):
    return {**CONFIG, "run": {**CONFIG["run"], **run}}


def digests(**parts):
    return {**CONFIG, "digests": {**DIGESTS, **parts}}


def flags(config, **arguments):
    return {**config, "origin": {**CONFIG["origin"], "arguments": {**CONFIG["origin"]["arguments"], **arguments}}}


def snapshot(directory):
    return {str(p): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


@pytest.fixture
def run(tmp_path):
    """A run that has a record."""
    with open_run(tmp_path / "run", CONFIG) as opened:
        assert opened.new
        (opened.directory / files.METRICS).write_text('{"step": 1, "split": "train"}\n')
    return tmp_path / "run"


def test_the_same_run_may_be_opened_again(run):
    before = snapshot(run)
    with open_run(run, CONFIG) as opened:
        assert opened == (run, False, [])
    assert snapshot(run) == before
    assert read_config(run)["origin"]["arguments"]["hidden"] == [4, 4]
    assert read_config(run)["format"] == files.FORMAT == 3


OTHERS = [
    (changed(settings={"beta": 4.0}), "beta is 1.0 there, 4.0 now"),
    (changed(settings={"beta": 1.0, "gamma": 2.0}), "gamma is None there, 2.0 now"),
    (changed(batch_size={"a": 8, "b": 8}), "batch_size is 8 there"),
    (changed(steps=9), "steps is 10 there, 9 now"),
    ({**CONFIG, "data": {"shape": [5], "space": "real"}}, r"data.shape is \[4\] there, \[5\] now"),
    ({**CONFIG, "precision": {"jax_enable_x64": "True"}}, "precision.jax_enable_x64 is 'False' there, 'True' now"),
    (digests(train="x"), "the training data are others, or in another order"),
    (digests(validation="x"), "the validation data are others"),
    (digests(**{"train/labelled": "x"}), r"the training data are others, or in another order \(labelled\)"),
    (digests(**{"parent/codes": "x"}), r"the parent is another \(codes\)"),
    (digests(step="x"), "the training step computes something else"),
    (digests(step="x", objective="x", model="x"), "the objective computes something else;"),
    (
        digests(step="x", objective="x", model="x", start="x"),
        "the first state is made otherwise .*; the objective .*; the model",
    ),
    (digests(step="x", optimiser="x"), "the optimiser computes something else"),
    (flags(digests(step="x", model="x"), hidden=(4,)), r"hidden is \[4, 4\] there, \[4\] now"),
]


@pytest.mark.parametrize(("other", "message"), OTHERS)
def test_another_run_is_refused_by_what_differs_and_nothing_changes(run, other, message):
    before = snapshot(run)
    with pytest.raises(RunError, match=f"holds another run: {message}"), open_run(run, other):
        pass
    assert snapshot(run) == before


@pytest.mark.parametrize(("other", "message"), OTHERS)
def test_any_of_them_is_resumed_anyway_and_noted(run, other, message):
    with open_run(run, other, "anyway") as opened:
        assert re.match(message.rstrip(";"), "; ".join(opened.notes))
    assert read_config(run)["run"] == finite(other["run"])


def test_a_flag_that_changes_no_number_is_no_difference(run):
    """A script may rename its flags, or give another name to the same thing."""
    with open_run(run, {**flags(CONFIG, hidden=(5,)), "model": {"function": "a:b", "arguments": {}}}) as opened:
        assert opened.notes == []


def test_programs_of_another_version_are_warned_of_and_data_still_refused(run):
    other = {**digests(step="x", model="x"), "versions": {"jax": "2.0"}}
    message = "cannot be told: jax was 1.0 and is 2.0; the model computes something else"
    with pytest.warns(RuntimeWarning, match=message), open_run(run, other) as opened:
        assert opened.notes == ["jax was 1.0 and is 2.0", "the model computes something else"]
    with pytest.raises(RunError, match="the training data are others"), open_run(run, {**digests(train="x"), "versions": {}}):
        pass


def test_how_to_resume_is_one_of_two_words(run):
    with pytest.raises(ValueError, match="resume is 'always'; wanted 'same' or 'anyway'"), open_run(run, CONFIG, "always"):
        pass


def test_steps_may_rise_and_then_not_fall_back(run):
    with open_run(run, changed(steps=20)):
        pass
    with pytest.raises(RunError, match="steps is 20 there, 10 now"), open_run(run, CONFIG):
        pass


def test_what_is_not_a_run_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    before = snapshot(tmp_path)
    with (
        pytest.raises(RunError, match=r"is not a run: it has no config.json but holds 'thesis.tex'"),
        open_run(tmp_path, CONFIG),
    ):
        pass
    assert snapshot(tmp_path) == before
    with pytest.raises(RunError, match="is not a run: it has no config"):
        read_config(tmp_path)


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_directory_that_cannot_be_made_is_refused(tmp_path, place):
    (tmp_path / "file").write_text("here")
    with pytest.raises(RunError, match="cannot be written"), open_run(tmp_path / place, CONFIG):
        pass


def test_a_run_that_another_process_trains_is_refused_even_with_more_steps(run):
    holder = (
        "import sys; from vae.training.workdir import open_run\n"
        f"with open_run(sys.argv[1], {CONFIG!r}):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", holder, run], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        before = snapshot(run)
        with pytest.raises(RunError, match="another process is training in"), open_run(run, changed(steps=20)):
            pass
        assert snapshot(run) == before
        process.kill()
    with open_run(run, CONFIG):
        pass  # the system freed it


def test_a_new_run_that_fails_before_its_first_record_leaves_no_claim(tmp_path):
    def claim_and_fail():
        with open_run(tmp_path / "run", CONFIG) as opened:
            (opened.directory / files.CHECKPOINTS).mkdir()
            raise ValueError("no such network")

    with pytest.raises(ValueError, match="no such network"):
        claim_and_fail()
    assert not (tmp_path / "run").exists()


def test_a_run_with_a_record_keeps_everything_when_it_fails(run):
    before = snapshot(run)
    with pytest.raises(ValueError, match="diverged"), open_run(run, CONFIG):
        raise ValueError("diverged")
    assert snapshot(run) == before


def test_a_broken_config_is_said(run):
    (run / files.CONFIG).write_text(json.dumps(CONFIG)[:-5])
    with pytest.raises(ValueError, match="not valid JSON"), open_run(run, CONFIG):
        pass


def test_numbers_of_the_run_and_its_settings_stand_bare():
    assert flatten({"run": CONFIG["run"], "data": CONFIG["data"]}) == {
        "steps": 10,
        "batch_size": 8,
        "beta": 1.0,
        "data.shape": [4],
        "data.space": "real",
    }


@pytest.mark.parametrize(
    ("likelihood", "std"), [({}, {}), ({"likelihood": "normal"}, {"std": 1.0}), ({"likelihood": "laplace"}, {})]
)
def test_a_run_of_format_2_has_the_likelihood_that_it_had(run, likelihood, std):
    model = {"function": "vae.models.presets:mlp", "arguments": {"latent_dim": 2, **likelihood}}
    origin = {**CONFIG["origin"], "function": "experiments.train:experiment", "arguments": {"hidden": [4], **likelihood}}
    (run / files.CONFIG).write_text(json.dumps({**CONFIG, "format": 2, "model": model, "origin": origin}))
    read = read_config(run)
    assert read["format"] == files.FORMAT
    assert read["model"]["arguments"] == {"latent_dim": 2, "likelihood": "bernoulli", **likelihood}
    assert read["origin"]["arguments"] == {"hidden": [4], **likelihood, **std}
    other = {**CONFIG, "format": 2, "model": {"function": "elsewhere:mlp", "arguments": {}}}
    (run / files.CONFIG).write_text(json.dumps(other))
    assert read_config(run) == {**json.loads(json.dumps(other)), "format": files.FORMAT}


def test_a_format_of_a_later_version_is_refused(run):
    (run / files.CONFIG).write_text(json.dumps({**CONFIG, "format": 99}))
    with pytest.raises(RunError, match="has format 99, this version reads up to 3; update vae to use that run"):
        read_config(run)


def test_a_resumption_that_fails_before_its_first_step_leaves_the_configuration(run):
    before = (run / "config.json").read_bytes()
    with pytest.raises(ValueError, match="of another shape"), open_run(run, changed(steps=20)):
        raise ValueError("the checkpoint is of another shape")
    assert (run / "config.json").read_bytes() == before

    def begin_and_fail():
        with open_run(run, changed(steps=20)):
            (run / "provenance.json").write_text('{"resumed": [1]}')
            raise ValueError("diverged")

    with pytest.raises(ValueError, match="diverged"):
        begin_and_fail()
    assert read_config(run)["run"]["steps"] == 20
