"""Checkpoints against what happens to files: flipped bits, kills, full and read-only disks, other machines."""

import json
import os
import random
import resource
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae.training import checkpoint
from vae.training.checkpoint import CheckpointError, Checkpoints
from vae.training.digest import tree_sha256


def make_state(seed):
    """A train state in small: every kind of leaf and of empty container."""
    key = jax.random.key(seed)
    params = {"posterior": {"Dense_0": {"kernel": jax.random.normal(key, (20, 30)), "bias": jnp.full(30, 0.5)}}}
    return {
        "params": params,
        "optimiser": optax.adam(1e-3).init(params),
        "key": key,
        "keys": jax.random.split(key, (2, 3)),
        "step": jnp.int32(seed),
        "half": jnp.ones(3, jnp.bfloat16),
        "rows": np.arange(4, dtype=np.int64) + seed,
        "number": seed,
        "ratio": 0.1 * seed,
        "flag": True,
        "nothing": {"none": None, "empty": (), "array": np.zeros((0, 2))},
    }


def abstract(state):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype) if isinstance(x, jax.Array) else x, state)


@pytest.fixture
def two(tmp_path):
    """A directory with steps 1 and 2, the first with the better score."""
    with Checkpoints(tmp_path / "c") as checkpoints:
        checkpoints.save(1, make_state(1), score=-1.0, notes={"order": [1, 2]})
        checkpoints.save(2, make_state(2), score=-2.0)
        checkpoints.restore(make_state(0))
    return tmp_path / "c"


def gone(directory, pattern):
    """Whether nothing matches within a while; Orbax removes remains in the background."""
    for _ in range(100):
        if not list(directory.glob(pattern)):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("asynchronous", [True, False])
def test_round_trip_keeps_every_bit_type_and_container(tmp_path, asynchronous):
    state = make_state(3)
    with Checkpoints(tmp_path, asynchronous=asynchronous) as checkpoints:
        checkpoints.save(3, state, score=-7.5, notes={"best": {"step": 3}})
        for template in (make_state(0), abstract(make_state(0))):
            restored = checkpoints.restore(template)
            assert restored[0::2] == (3, {"best": {"step": 3}}, ())
            assert restored.score == -7.5
            chex.assert_trees_all_equal_structs(restored.state, state)
            assert tree_sha256(restored.state) == tree_sha256(state)
            assert jax.tree.map(type, restored.state) == jax.tree.map(type, state)
    np.testing.assert_array_equal(jax.random.normal(restored.state["key"]), jax.random.normal(state["key"]))


def test_partial_restore_reads_the_parameters_alone(two):
    with Checkpoints(two, read_only=True) as checkpoints:
        params = {"params": make_state(0)["params"]}
        restored = checkpoints.restore(params, partial=True)
        chex.assert_trees_all_equal(restored.state, {"params": make_state(2)["params"]})
        with pytest.raises(CheckpointError, match=r"stored .*, wanted nothing"):
            checkpoints.restore(params)


def test_arrays_go_to_the_sharding_of_the_template(tmp_path):
    mesh = jax.make_mesh((1,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
    template = {"a": jax.ShapeDtypeStruct((4,), jnp.float32, sharding=sharding), "b": jnp.zeros(4)}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"a": jnp.arange(4.0), "b": jnp.ones(4)})
        restored = checkpoints.restore(template).state
    assert restored["a"].sharding == sharding
    assert not restored["b"].committed  # else a resumed run would compile its step a second time


def test_donating_the_state_after_save_does_not_reach_the_files(tmp_path):
    overwrite = jax.jit(lambda tree: jax.tree.map(lambda x: x * 0 - 1, tree), donate_argnums=0)
    state = {f"leaf{i}": jnp.full((300, 300), float(i)) for i in range(8)}
    wanted, pointers = tree_sha256(state), {leaf.unsafe_buffer_pointer() for leaf in state.values()}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state)
        after = overwrite(state)
        jax.block_until_ready(after)
        assert {leaf.unsafe_buffer_pointer() for leaf in after.values()} == pointers  # the donation did take place
        restored = checkpoints.restore(after)
    assert tree_sha256(restored.state) == wanted


def test_latest_and_best_are_kept_across_restarts(tmp_path):
    scores = {1: -5.0, 2: -1.0, 3: -4.0, 4: None, 5: float("nan"), 6: -3.0}
    for step, score in scores.items():
        with Checkpoints(tmp_path) as checkpoints:
            checkpoints.save(step, {"a": np.float32(step)}, score=score)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps() == [2, 5, 6]
        assert (checkpoints.latest_step(), checkpoints.best_step()) == (6, 2)
        best = checkpoints.restore({"a": np.float32(0)}, "best")
        assert (best.step, best.score, best.state["a"]) == (2, -1.0, 2.0)
        checkpoints.save(7, {"a": np.float32(7)}, score=-0.5)
        assert checkpoints.best_step() == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["6", "7"]


def test_equal_scores_keep_the_newer(tmp_path):
    with Checkpoints(tmp_path, keep_latest=1) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(step, {"a": np.float32(step)}, score=0.0 if step < 3 else -1.0)
        assert checkpoints.steps() == [2, 3]


def test_every_flipped_bit_is_found_or_harmless(two):
    """Whatever bit of whatever file: the state is exactly one that was saved, and an older one comes with a reason."""
    wanted = {step: tree_sha256(make_state(step)) for step in (1, 2)}
    template, flips, passed_over = abstract(make_state(0)), random.Random(0), set()
    for path in sorted(p for p in (two / "2").rglob("*") if p.is_file()):
        original = path.read_bytes()
        for position in flips.sample(range(8 * len(original)), 4):
            damaged = bytearray(original)
            damaged[position // 8] ^= 1 << position % 8
            path.write_bytes(damaged)
            with warnings.catch_warnings(record=True) as caught, Checkpoints(two) as checkpoints:
                warnings.simplefilter("always")
                restored = checkpoints.restore(template)
            assert tree_sha256(restored.state) == wanted[restored.step]
            assert len(restored.skipped) == len(caught) == 2 - restored.step
            passed_over |= {path.name} if restored.skipped else set()
        path.write_bytes(original)
    assert "metadata" in passed_over  # the record: digests, score, notes
    assert "manifest.ocdbt" in passed_over


def test_arrays_that_are_not_those_of_the_record_are_named(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, {"same": np.zeros(3), "params": {"bias": np.full(3, step)}})
    shutil.rmtree(tmp_path / "2" / "state")
    shutil.copytree(tmp_path / "1" / "state", tmp_path / "2" / "state")
    template = {"same": np.zeros(3), "params": {"bias": np.zeros(3, int)}}
    message = r"step 2 is damaged: params/bias is not what was saved; restored step 1 instead\."
    with Checkpoints(tmp_path) as checkpoints, pytest.warns(RuntimeWarning, match=message):
        assert checkpoints.restore(template).step == 1
    shutil.copytree(tmp_path / "1", tmp_path / "3")  # a whole checkpoint under another name
    with Checkpoints(tmp_path) as checkpoints, pytest.warns(RuntimeWarning, match="it belongs to step 1"):
        assert checkpoints.restore(template).step == 1


def test_after_a_fallback_the_damaged_step_is_saved_again(two):
    (two / "2" / "record" / "metadata").write_text("{")
    with Checkpoints(two) as checkpoints:
        with pytest.warns(RuntimeWarning, match="step 2 is damaged: its record cannot be read"):
            assert checkpoints.restore(make_state(0)).step == 1
        assert checkpoints.latest_step() == 1
        checkpoints.save(2, make_state(5))
        assert tree_sha256(checkpoints.restore(make_state(0)).state) == tree_sha256(make_state(5))


def test_best_and_numbered_steps_do_not_fall_back(two):
    shutil.rmtree(two / "1" / "state")
    with Checkpoints(two) as checkpoints, pytest.raises(CheckpointError, match=r"no checkpoint in .* step 1 is damaged"):
        checkpoints.restore(make_state(0), "best")
    with Checkpoints(two) as checkpoints, pytest.raises(CheckpointError, match="step 1 is damaged: its arrays cannot be read"):
        checkpoints.restore(make_state(0), 1)
    (two / "2" / "record" / "metadata").unlink()
    with Checkpoints(two) as checkpoints, pytest.raises(CheckpointError, match=r"step 2 is damaged: .*; .*step 1 is damaged"):
        checkpoints.restore(make_state(0))


def test_what_is_not_there_is_said(tmp_path, two):
    with Checkpoints(tmp_path / "new") as checkpoints:
        assert checkpoints.steps() == []
        assert (checkpoints.latest_step(), checkpoints.best_step()) == (None, None)
        for which in ("latest", "best", 3):
            with pytest.raises(CheckpointError, match=r"there is no checkpoint .*; the steps there are: none\."):
                checkpoints.restore({}, which)
    with Checkpoints(two) as checkpoints, pytest.raises(CheckpointError, match=r"no checkpoint of step 7 in .*: 1, 2"):
        checkpoints.restore({}, 7)
    with pytest.raises(CheckpointError, match=r"there are no checkpoints in .*nowhere"):
        Checkpoints(tmp_path / "nowhere", read_only=True)
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(ValueError, match="keep_latest=0"):
        Checkpoints(tmp_path, keep_latest=0)


def test_a_state_that_does_not_fit_names_the_parameter(two):
    template = make_state(0)
    template["params"]["posterior"]["Dense_0"]["kernel"] = jnp.zeros((20, 15))
    template["rows"] = template["rows"].astype(np.int32)
    template["key"] = jax.random.key(0, impl="rbg")
    template["more"] = jnp.zeros(2)
    del template["flag"]
    with Checkpoints(two) as checkpoints, pytest.raises(CheckpointError) as caught:
        checkpoints.restore(template)
    for difference in (
        "params/posterior/Dense_0/kernel: stored (20, 30) float32, wanted (20, 15) float32",
        "rows: stored (4,) int64, wanted (4,) int32",
        "key: stored () key<fry>, wanted () key<rbg>",
        "more: stored nothing, wanted (2,) float32",
        "flag: stored () bool, wanted nothing",
    ):
        assert difference in str(caught.value)


def test_saving_refuses_what_cannot_be_kept(two):
    with Checkpoints(two) as checkpoints:
        with pytest.raises(CheckpointError, match="holds step 2 already; save step 2 in another directory"):
            checkpoints.save(2, make_state(2))
        with pytest.raises(TypeError, match=r"notes of a checkpoint must be JSON .* save arrays in the state"):
            checkpoints.save(3, make_state(3), notes={"a": np.ones(2)})
        with pytest.raises(TypeError, match="a leaf of type str has no digest"):
            checkpoints.save(3, {"a": "text"})
        assert checkpoints.steps() == [1, 2]


KILLED = """
import os, signal, sys, types
import numpy as np
from vae.training.checkpoint import Checkpoints
commits = []
def kill_at_second_commit(event, arguments):
    if event == "os.rename" and os.path.basename(os.fsdecode(arguments[1])) in ("1", "2"):
        commits.append(1)
        if len(commits) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(kill_at_second_commit)
with Checkpoints(sys.argv[1]) as checkpoints:
    for step in (1, 2):
        checkpoints.save(step, {"a": np.full(1000, step)}, score=step)
"""


def test_kill_in_the_last_moment_of_a_save_leaves_the_one_before(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    assert len(list(tmp_path.glob("2.*tmp*"))) == 1  # written in full, never committed
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert checkpoints.steps() == [1]
    assert list(tmp_path.glob("2.*tmp*"))  # a reader removes nothing
    with Checkpoints(tmp_path) as checkpoints:
        restored = checkpoints.restore({"a": np.zeros(1000, int)})
        assert (restored.step, checkpoints.best_step(), restored.state["a"][0]) == (1, 1, 1)
        assert gone(tmp_path, "*tmp*")
        checkpoints.save(2, {"a": np.full(1000, 2)})
        assert checkpoints.restore({"a": np.zeros(1000, int)}).step == 2


@pytest.fixture
def small_files():
    """No file of this process may grow beyond 100 kB: what a full disk does, without one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("asynchronous", [True, False])
def test_a_save_that_does_not_fit_on_the_disk_loses_nothing(tmp_path, small_files, asynchronous, capfd):
    small, large = {"a": np.ones(10)}, {"a": np.random.default_rng(0).normal(size=100_000)}
    message = r"the checkpoint of step 2 could not be written \(File too large\); kept are the steps: 1\."
    with Checkpoints(tmp_path, asynchronous=asynchronous, keep_latest=1) as checkpoints:
        checkpoints.save(1, small, score=1.0)
        with pytest.raises(CheckpointError, match=message):  # noqa: PT012 - whichever of the two comes to know
            checkpoints.save(2, large, score=2.0)
            checkpoints.wait()
        assert (checkpoints.steps(), checkpoints.best_step()) == ([1], 1)
        assert checkpoints.restore(small).step == 1
        checkpoints.save(3, small)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps() == [1, 3]
        assert gone(tmp_path, "2*")
    assert capfd.readouterr().err == ""


def test_leaving_waits_for_the_save_and_reports_its_failure(tmp_path, small_files):
    state, large = {"a": np.ones(10)}, {"a": np.random.default_rng(0).normal(size=100_000)}
    message = "step 2 could not be written"
    with pytest.raises(CheckpointError, match=message), Checkpoints(tmp_path) as checkpoints:  # noqa: PT012
        checkpoints.save(1, state)
        checkpoints.save(2, large)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps() == [1]


def test_an_error_in_the_block_still_waits_and_is_the_one_that_is_seen(tmp_path, monkeypatch):
    with pytest.raises(ZeroDivisionError), Checkpoints(tmp_path) as checkpoints:  # noqa: PT012
        checkpoints.save(1, {"a": np.ones(100_000)})
        _ = 1 / 0
    assert (tmp_path / "1").is_dir()

    def fail(checkpoints):
        raise CheckpointError("the disk is full.")

    monkeypatch.setattr(Checkpoints, "wait", fail)
    with pytest.warns(RuntimeWarning, match="the disk is full"), pytest.raises(ZeroDivisionError), Checkpoints(tmp_path):
        _ = 1 / 0


def test_a_directory_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"cannot be written to .*file \(File exists\); choose another directory"):
        Checkpoints(tmp_path / "file")
    with pytest.raises(CheckpointError, match=r"cannot be written to .*file/c \(Not a directory\)"):
        Checkpoints(tmp_path / "file" / "c")


@pytest.fixture
def unwritable(two):
    """A directory of checkpoints that this user may read and not write; root steps down for that."""
    closed = [path for path in two.parents if not path.stat().st_mode & 0o001]  # of pytest's own folders
    user, modes = os.geteuid(), {path: path.stat().st_mode for path in (two, *closed)}
    for path in modes:
        path.chmod(0o555)
    if user == 0:
        os.seteuid(65534)
    yield two
    os.seteuid(user)
    for path, mode in modes.items():
        path.chmod(mode)


def test_a_reader_needs_no_permission_to_write(unwritable):
    with pytest.raises(CheckpointError, match=r"cannot be written to .* \(Permission denied\)"):
        Checkpoints(unwritable)
    with Checkpoints(unwritable, read_only=True) as checkpoints:
        assert checkpoints.restore(make_state(0)).step == 2


def test_another_machine_is_warned_of_and_still_restored(two, monkeypatch):
    here = checkpoint.fingerprint()
    monkeypatch.setattr(checkpoint, "fingerprint", lambda: {**here, "jax": "0.0.1", "device_count": 64})
    message = (
        rf"resumption of step 2 cannot be promised: jax was {jax.__version__} and is 0\.0\.1, device_count was \d+ and is 64\."
    )
    with Checkpoints(two) as checkpoints, pytest.warns(RuntimeWarning, match=message):
        assert tree_sha256(checkpoints.restore(make_state(0)).state) == tree_sha256(make_state(2))
    with Checkpoints(two, read_only=True) as checkpoints:  # an evaluation resumes nothing, so nothing is said
        assert checkpoints.restore(make_state(0)).step == 2


def test_the_record_is_readable_json(two):
    record = json.loads((two / "1" / "record" / "metadata").read_text())["record"]
    assert (record["step"], record["score"], record["notes"]) == (1, -1.0, {"order": [1, 2]})
    assert record["leaves"]["half"]["dtype"] == "bfloat16"
    assert Path(two / "1" / "state").is_dir()


def test_orbax_is_imported_only_where_a_directory_is_opened():
    package = Path(checkpoint.__file__).parents[1]
    script = (
        "import sys, types\n"
        "for name, path in (('vae', sys.argv[1]), ('vae.training', sys.argv[1] + '/training')):\n"
        "    module = sys.modules[name] = types.ModuleType(name)\n"
        "    module.__path__ = [path]\n"
        "import vae.training.checkpoint\n"
        "print([name for name in sys.modules if name.startswith(('orbax', 'tensorstore'))])\n"
    )
    out = subprocess.run([sys.executable, "-c", script, package], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
