"""Where records go: lines of JSON that survive a kill, and event files that TensorBoard can read."""

import json
import math
import sys

import pytest
from tensorboardX.proto import event_pb2

from vae.training.records import JsonLines, TensorBoard, WeightsAndBiases, Writer, numbers, read_records, records_until


def record(step, **numbers):
    return {"step": step, "split": "train", **numbers}


def test_a_resumed_run_drops_the_lines_after_its_step(tmp_path):
    path = tmp_path / "metrics.jsonl"
    writer = JsonLines(path, 0)
    for step in (10, 20, 30):
        writer.write(record(step, elbo=-float(step)))
    writer.close()
    resumed = JsonLines(path, 20)
    resumed.write(record(30, elbo=-31.0))
    resumed.close()
    assert [(r["step"], r["elbo"]) for r in read_records(path)] == [(10, -10.0), (20, -20.0), (30, -31.0)]
    assert [r["step"] for r in records_until(path, 20)] == [10, 20]


def test_a_line_leaves_the_process_at_once(tmp_path):
    writer = JsonLines(tmp_path / "metrics.jsonl", 0)
    writer.write(record(1))
    assert [r["step"] for r in read_records(tmp_path / "metrics.jsonl")] == [1]
    writer.close()


def test_a_last_line_cut_off_by_a_kill_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    whole = json.dumps(record(1)) + "\n"
    for cut in range(1, len(whole) - 1):
        path.write_text(whole + whole[:cut])
        assert read_records(path) == [record(1)]
    JsonLines(path, 1).close()
    assert path.read_text() == whole
    assert read_records(tmp_path / "none.jsonl") == []


def test_what_json_cannot_say_becomes_null(tmp_path):
    writer = JsonLines(tmp_path / "metrics.jsonl", 0)
    writer.write(record(1, elbo=math.nan, kl=math.inf, loss=1.5))
    writer.close()
    text = (tmp_path / "metrics.jsonl").read_text()
    assert json.loads(text, parse_constant=pytest.fail) == record(1, elbo=None, kl=None, loss=1.5)


def events(directory):
    """Every event of a folder, read by the format: length, checksum, protocol buffer, checksum."""
    found = []
    for path in sorted(directory.glob("events.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            length = int.from_bytes(data[at : at + 8], "little")
            found.append(event_pb2.Event.FromString(data[at + 12 : at + 12 + length]))
            at += 16 + length
    return found


def test_event_files_hold_every_number(tmp_path):
    writer = TensorBoard(tmp_path / "tensorboard", 0)
    writer.write(record(10, elbo=-1.5, kl=math.nan, note="text", empty=None))
    writer.write({"step": 10, "split": "validation", "elbo": -2.0})
    writer.close()
    found = {(v.tag, e.step): v.simple_value for e in events(tmp_path / "tensorboard") for v in e.summary.value}
    assert found == {("train/elbo", 10): -1.5, ("validation/elbo", 10): -2.0}


def test_event_files_of_a_resumed_run_purge_what_comes_again(tmp_path):
    for step in (0, 20):
        writer = TensorBoard(tmp_path, step)
        writer.write(record(step + 10, elbo=1.0))
        writer.close()
    starts = [e.step for e in events(tmp_path) if e.HasField("session_log")]
    assert starts == [21]


def test_numbers_are_what_can_be_drawn():
    assert numbers(record(3, a=1, b=2.5, c=None, d="x", e=math.inf, f=[1.0])) == {"a": 1, "b": 2.5}


def test_writers_are_writers(tmp_path):
    lines = JsonLines(tmp_path / "metrics.jsonl", 0)
    assert isinstance(lines, Writer)
    lines.close()
    assert not isinstance(object(), Writer)


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ValueError, match=r"wanted the extra: pip install 'vae\[wandb\]'"):
        WeightsAndBiases("project", "name", {})
