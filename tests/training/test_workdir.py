"""Whose directory it is: new, the same run's, another's, held, or not to be written."""

import json
import subprocess
import sys

import pytest

from vae.training import workdir as files
from vae.training.workdir import RunError, flatten, open_run, read_config

CONFIG = {"experiment": {"beta": 1.0, "steps": 10, "hidden": (4, 4)}, "fit": {"steps": 10, "schedules": {"beta": "constant"}}}


def changed(**experiment):
    return {**CONFIG, "experiment": {**CONFIG["experiment"], **experiment}}


def snapshot(directory):
    return {str(p): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


@pytest.fixture
def run(tmp_path):
    """A run that has a record."""
    with open_run(tmp_path / "run", CONFIG) as directory:
        (directory / files.METRICS).write_text('{"step": 1, "split": "train"}\n')
    return tmp_path / "run"


def test_the_same_run_may_be_opened_again(run):
    before = snapshot(run)
    with open_run(run, CONFIG) as directory:
        assert directory == run
    assert snapshot(run) == before
    assert read_config(run)["experiment"]["hidden"] == [4, 4]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (changed(beta=4.0), "beta is 1.0 there, 4.0 now"),
        (changed(hidden=(4,)), r"hidden is \[4, 4\] there, \[4\] now"),
        (changed(steps=9), "steps is 10 there, 9 now"),
        (changed(new="x"), "new is None there, 'x' now"),
        ({**CONFIG, "fit": {"steps": 20, "schedules": {"beta": "linear(20)"}}}, "fit.schedules.beta is 'constant' there"),
    ],
)
def test_another_run_is_refused_by_field_and_nothing_changes(run, other, message):
    before = snapshot(run)
    with pytest.raises(RunError, match=f"holds another run: {message}"), open_run(run, other):
        pass
    assert snapshot(run) == before


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
        with open_run(tmp_path / "run", CONFIG) as directory:
            (directory / files.CHECKPOINTS).mkdir()
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


def test_fields_of_the_experiment_stand_bare():
    assert flatten(CONFIG) == {
        "beta": 1.0,
        "steps": 10,
        "hidden": (4, 4),
        "fit.steps": 10,
        "fit.schedules.beta": "constant",
    }
