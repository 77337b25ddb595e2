"""A run that is stopped, by whatever and wherever, ends as one that never was."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import tiny_run
from tiny_run import X

import vae
from vae.training.digest import tree_sha256

REPOSITORY = Path(__file__).parents[2]
STEPS = 1200
FLAGS = (
    f"--steps {STEPS} --batch-size 16 --hidden 16 --latent-dim 3 --log-every 20 --checkpoint-every 30 --samples 5"
    " --beta-warm-up 600 --clip 1 --average-decay 0.99 --no-progress"
).split()
TIMING = ("images_per_second",)


class Ended(NamedTuple):
    """How a process ended, with the number of records that it left."""

    code: int
    out: str
    err: str
    records: int


def command(workdir, *flags):
    return [sys.executable, "-m", "experiments.train", *FLAGS, "--workdir", str(workdir), *flags]


def records(workdir):
    path = workdir / "metrics.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def whole_records(workdir):
    lines = [json.loads(line) for line in records(workdir)]
    return [{name: value for name, value in line.items() if name not in TIMING} for line in lines]


def summary(workdir):
    return json.loads((workdir / "summary.json").read_text())


def start(workdir, stop=None, after=0):
    """Run the command; where `stop` is given, send that signal as soon as there are `after` records."""
    process = subprocess.Popen(command(workdir), cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while stop is not None and process.poll() is None and len(records(workdir)) < after:
        time.sleep(0.001)
    if stop is not None:
        process.send_signal(stop)
    out, err = process.communicate(timeout=300)
    return Ended(process.returncode, out, err, len(records(workdir)))


pytestmark = pytest.mark.slow  # processes that are stopped and started again

STOPS = (
    (signal.SIGKILL, 1),  # before the first checkpoint
    (signal.SIGKILL, 8),
    (signal.SIGTERM, 25),
    (signal.SIGKILL, 40),
    (signal.SIGINT, 55),
)


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory):
    """One run, stopped five times and then left alone."""
    workdir = tmp_path_factory.mktemp("interrupted") / "run"
    stopped = [start(workdir, *stop) for stop in STOPS]
    return workdir, stopped, start(workdir)


COUNTING = """
import collections, runpy, sys
import jax.monitoring
events = collections.Counter()
jax.monitoring.register_event_listener(lambda event, **_: events.update([event]))
sys.argv = ["experiments.train", *sys.argv[1:]]
try:
    runpy.run_module("experiments.train", run_name="__main__", alter_sys=True)
except SystemExit as end:
    assert not end.code, end.code
print("misses", events["/jax/compilation_cache/cache_misses"], "hits", events["/jax/compilation_cache/cache_hits"])
"""


class Uninterrupted(NamedTuple):
    """A run that was left alone, with how often it found a compiled program and how often it did not."""

    workdir: Path
    misses: int
    hits: int


@pytest.fixture(scope="module")
def uninterrupted(interrupted, tmp_path_factory):
    """The same run, never stopped, after the one that was: what that one compiled is in the cache."""
    workdir = tmp_path_factory.mktemp("uninterrupted") / "run"
    arguments = [sys.executable, "-c", COUNTING, *command(workdir)[3:]]
    done = subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    _, misses, _, hits = done.stdout.split()[-4:]
    return Uninterrupted(workdir, int(misses), int(hits))


def test_every_way_of_stopping_has_its_exit_code_and_came_before_the_end(interrupted):
    _, stopped, last = interrupted
    assert [ended.code for ended in stopped] == [-9, -9, 143, -9, 130]
    assert last.code == 0, last.err
    assert all(before.records < last.records for before in stopped)
    for ended in (stopped[2], stopped[4]):
        assert "run the same command to go on" in ended.out
        assert ended.err == ""


def test_an_interrupted_run_ends_with_the_parameters_of_one_that_was_not(uninterrupted, interrupted):
    workdir, _, _ = interrupted
    assert summary(workdir)["params_sha256"] == summary(uninterrupted.workdir)["params_sha256"]
    assert summary(workdir)["step"] == STEPS
    for name in ("elbo", "nll", "kl", "log_likelihood", "active_units", "evaluated_step"):
        assert summary(workdir)[name] == summary(uninterrupted.workdir)[name]


def test_an_interrupted_run_leaves_the_records_of_one_that_was_not(uninterrupted, interrupted):
    workdir, _, _ = interrupted
    assert whole_records(workdir) == whole_records(uninterrupted.workdir)
    assert len(records(workdir)) == STEPS // 20 + STEPS // 30


def test_the_provenance_tells_of_every_resumption(uninterrupted, interrupted):
    workdir, _, _ = interrupted
    resumed = json.loads((workdir / "provenance.json").read_text())["resumed"]
    steps = [entry["step"] for entry in resumed]
    assert steps == sorted(steps)
    assert 3 <= len(steps) <= 5, "a kill before the first checkpoint starts afresh"
    assert json.loads((uninterrupted.workdir / "provenance.json").read_text())["resumed"] == []


def test_a_finished_run_started_again_is_not_touched(uninterrupted):
    def snapshot():
        return {str(p): p.read_bytes() for p in sorted(uninterrupted.workdir.rglob("*")) if p.is_file()}

    before = snapshot()
    ended = start(uninterrupted.workdir)
    assert ended.code == 0, ended.err
    assert snapshot() == before


def test_a_second_start_with_a_warm_cache_compiles_nothing(uninterrupted):
    """Another run of the same programs, in a directory of its own."""
    assert uninterrupted.misses == 0
    assert uninterrupted.hits > 10


# In this process, where the moment can be chosen


def fit(workdir, steps=12, signal_at=None, **changed):
    """Windows of 4 and validations every 3 steps; the validation at `signal_at` asks the process to stop."""

    def metric(trained):
        if signal_at is not None and calls_until_signal() == signal_at:
            os.kill(os.getpid(), signal.SIGTERM)
        return trained.params["generative"]["loadings"][0, 0]

    calls = []

    def calls_until_signal():
        calls.append(1)
        return 3 * len(calls)

    arguments = {"data": X, "log_every": 4, "validate_every": 3, "metrics": {"first": metric}}
    return tiny_run.fit(workdir, steps=steps, **arguments | changed)


@pytest.mark.parametrize("signal_at", [3, 6, 9])
def test_a_window_that_was_cut_in_two_is_averaged_as_a_whole(tmp_path, signal_at):
    whole = fit(tmp_path / "whole")
    cut = fit(tmp_path / "cut", signal_at=signal_at)
    assert (cut.signal, int(cut.state.step)) == (signal.SIGTERM, signal_at)
    resumed = fit(tmp_path / "cut")
    assert resumed.signal is None
    assert tree_sha256(resumed.state) == tree_sha256(whole.state)
    assert whole_records(tmp_path / "cut") == whole_records(tmp_path / "whole")
    assert [r["step"] for r in resumed.records] == [r["step"] for r in whole.records]


def test_raised_steps_give_what_more_steps_would_have_given(tmp_path):
    fit(tmp_path / "raised", steps=6)
    raised = fit(tmp_path / "raised", steps=12)
    assert tree_sha256(raised.state) == tree_sha256(fit(None, steps=12).state)


def test_a_schedule_that_depends_on_the_steps_does_not_let_them_rise(tmp_path):
    def cosine(steps):
        return {"settings": {"learning_rate": 1.0}, "schedules": {"learning_rate": vae.schedules.cosine(steps)}}

    fit(tmp_path / "run", steps=6, **cosine(6))
    before = (tmp_path / "run" / "config.json").read_bytes()
    with pytest.raises(ValueError, match=r"holds another run: the schedules have other shapes; use the old value"):
        fit(tmp_path / "run", steps=12, **cosine(12))
    assert (tmp_path / "run" / "config.json").read_bytes() == before
    assert int(fit(tmp_path / "run", steps=6, **cosine(6)).state.step) == 6


def test_the_seed_and_the_data_are_part_of_the_run(tmp_path):
    fit(tmp_path / "run", steps=3)
    with pytest.raises(ValueError, match=r"holds another run: the training data are others, or in another order;"):
        fit(tmp_path / "run", steps=3, data=X[:30])
    with pytest.raises(ValueError, match=r"holds another run: seed is 0 there, 1 now;"):
        fit(tmp_path / "run", steps=3, seed=1)


def test_where_the_chunk_ends_and_how_often_is_logged_may_change(tmp_path):
    """When it is validated decides which checkpoint is the best, so that this may not."""
    fit(tmp_path / "run", steps=6, chunk=1)
    other = fit(tmp_path / "run", steps=12, chunk=2, log_every=2, save_every=2)
    assert tree_sha256(other.state) == tree_sha256(fit(None, steps=12).state)
    with pytest.raises(ValueError, match=r"holds another run: validate_every is 3 there, 4 now;"):
        fit(tmp_path / "run", steps=12, validate_every=4)
