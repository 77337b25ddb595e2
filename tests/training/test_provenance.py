"""What a run writes down about itself, and the files it writes it to."""

import json
import os
import subprocess
import threading
from importlib.metadata import version

import jax
import numpy as np
import pytest

from vae.training.provenance import fingerprint, git_state, provenance, read_json, visible_cores, write_json


def git(directory, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", directory, *identity, *arguments], check=True, capture_output=True)


def test_git_state_follows_the_repository(tmp_path):
    assert git_state(tmp_path) == {"commit": None, "dirty": None}
    git(tmp_path, "init")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-m", "first")
    head = subprocess.check_output(["git", "-C", tmp_path, "rev-parse", "HEAD"], text=True).strip()
    assert git_state(tmp_path) == {"commit": head, "dirty": False}
    (tmp_path / "new.py").write_text("2")
    assert git_state(tmp_path) == {"commit": head, "dirty": True}


def test_git_state_without_git(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_state() == {"commit": None, "dirty": None}


def test_provenance_names_what_ran(tmp_path):
    found = provenance(["train", "--steps", "3"], "ab12", {"samples": 10}, parent="runs/a")
    assert found["packages"]["jax"] == jax.__version__
    assert found["packages"]["orbax-checkpoint"] == version("orbax-checkpoint")
    assert found["command"] == ["train", "--steps", "3"]
    assert (found["data_sha256"], found["evaluation_protocol"], found["parent"]) == ("ab12", {"samples": 10}, "runs/a")
    assert found["device_count"] == jax.device_count()
    assert found["started_utc"].endswith("+00:00")
    write_json(tmp_path / "provenance.json", found)
    assert read_json(tmp_path / "provenance.json") == found


def test_fingerprint_counts_the_cores_this_process_may_use():
    assert visible_cores() == len(os.sched_getaffinity(0))
    found = fingerprint()
    assert set(found) >= {"jax", "jaxlib", "platform", "device_kind", "device_count", "cpu_cores", "cpu_instruction_set"}
    assert found["cpu_cores"] == (visible_cores() if found["platform"] == "cpu" else None)


def test_json_round_trip_turns_what_json_cannot_say_into_null(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"nan": float("nan"), "inf": [np.float32(-np.inf)], "tuple": (1, np.int64(2)), "x": 0.1, "s": "é"})
    assert read_json(path) == {"nan": None, "inf": [None], "tuple": [1, 2], "x": 0.1, "s": "é"}
    assert os.listdir(tmp_path) == ["a.json"]


def test_failing_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        write_json(path, {"new": object()})
    assert read_json(path) == {"old": 1}
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_reader_never_sees_half_a_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, [0] * 5000)

    def rewrite():
        for number in range(1, 60):
            write_json(path, [number] * 5000)

    writer = threading.Thread(target=rewrite)
    writer.start()
    while writer.is_alive():
        found = json.loads(path.read_text())
        assert len(found) == 5000
        assert len(set(found)) == 1
    writer.join()


def test_broken_and_missing_files_are_named(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1,\n "b" 2}')
    with pytest.raises(ValueError, match=r"a\.json is not valid JSON \(Expecting ':' delimiter at line 2, column 6\)"):
        read_json(tmp_path / "a.json")
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"b\.json is not a text file"):
        read_json(tmp_path / "b.json")
    with pytest.raises(FileNotFoundError, match=r"there is no file .*c\.json"):
        read_json(tmp_path / "c.json")
