"""One preset against its peers and its limit: from contestants to rows of the table."""

import contextlib
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks import ours
from benchmarks.costs import Costs, costs, device_peak_bytes
from benchmarks.floor import floor, square
from benchmarks.peers import PEERS, Peer
from benchmarks.presets import Preset
from benchmarks.timing import Run, Times, interleave, ratio, seconds_of, steps_for
from benchmarks.trainer import Trainer

OURS, LIMIT, PEAK = "vae", "gemm limit", "peak"
FLOOR_CHUNK = 10
Row = dict[str, Any]


class Effort(NamedTuple):
    """How long to measure.

    rounds:  in which every contestant has its turn.
    seconds: that a turn lasts about.
    """

    rounds: int
    seconds: float


def contest(name: str, preset: Preset, images: np.ndarray, peers: Sequence[str], effort: Effort) -> list[Row]:
    """The rows of one preset: ours first, the limit, then every peer that can do it, installed or not.

    The device's peak takes its turns too, so that what disturbs the one disturbs the other.
    """
    problem = ours.problem_of(preset, images)
    mine = (ours.build_evaluation if preset.images else ours.build)(problem)
    wanted = {peer: PEERS[peer] for peer in peers if PEERS[peer].does(preset)}
    built, failed = build_all({peer: entry for peer, entry in wanted.items() if entry.installed}, problem)
    chunk = 1 if preset.images else FLOOR_CHUNK
    runs: dict[str, Run] = {OURS: mine.run, LIMIT: floor(preset.layers, chunk, preset.repeats)}
    runs |= {peer: trainer.run for peer, trainer in built.items()} | {PEAK: floor((square(),), 1)}
    steps = turns(runs, {OURS: mine.multiple, LIMIT: chunk}, effort.seconds)
    times = interleave(runs, steps, effort.rounds)
    priced = costs(compiled_of(preset, problem))
    peak = square().flops / times.pop(PEAK).fastest
    rows = [row(name, preset, peer, times, peak) for peer in times]
    rows[0] |= measured_costs(priced)
    missing = {peer: "not installed" for peer, entry in wanted.items() if not entry.installed} | failed
    return rows + [absent(name, peer, status) for peer, status in missing.items()]


def turns(runs: Mapping[str, Run], multiples: Mapping[str, int], seconds: float) -> dict[str, int]:
    """Steps in a turn of each contestant: all turns last as long as ours, which is at least a chunk.

    On a machine that others use the fastest of short turns would beat the fastest of long ones.
    """
    own = steps_for(runs[OURS], seconds, multiples[OURS])
    seconds = max(seconds, seconds_of(runs[OURS], own))
    others = {peer: steps_for(run, seconds, multiples.get(peer, 1)) for peer, run in runs.items() if peer != OURS}
    return {OURS: own} | others


def build_all(peers: Mapping[str, Peer], problem: Any) -> tuple[dict[str, Trainer], dict[str, str]]:
    """Build every peer and let it take a step; one that cannot (no compiler for torch.compile) is named with its error."""
    built, failed = {}, {}
    for name, peer in peers.items():
        try:
            with warnings.catch_warnings(), contextlib.redirect_stdout(None):
                warnings.simplefilter("ignore")  # theirs to mend
                trainer = peer.build(problem)
                trainer.run(1)
            built[name] = trainer
        except Exception as error:
            failed[name] = f"failed: {type(error).__name__}: {' '.join(str(error).split())[:160]}"
    return built, failed


def compiled_of(preset: Preset, problem: Any) -> Any:
    """The compiled step, or the compiled evaluation."""
    if not preset.images:
        return ours.one_step(preset, problem.images)
    call, arguments = ours.evaluator(problem)
    return jax.jit(call).lower(*arguments).compile()


def row(name: str, preset: Preset, peer: str, times: Mapping[str, Times], peak: float) -> Row:
    """One line of the table; `ratio_*` are ours over the peer's, `gemm_limit_fraction` is ours.

    peak: operations per second of the device.
    """
    own, fastest, limit = times[OURS], times[peer].fastest, times[LIMIT].fastest
    faster = ratio(own, times[peer])
    return {
        "preset": name,
        "peer": peer,
        "status": "measured",
        "note": PEERS[peer].note if peer in PEERS else "",
        "ratio_fastest": faster.fastest,
        "ratio_median": faster.median,
        "gemm_limit_fraction": limit / own.fastest,
        "own_gemm_limit_fraction": limit / fastest,
        "images_per_second": (preset.images or preset.batch_size) / fastest,
        "steps_per_second": 1.0 / fastest,
        "seconds_per_step_fastest": fastest,
        "seconds_per_step_median": times[peer].median,
        "model_flops": preset.flops,
        "flops_per_second": preset.flops / fastest,
        "model_flops_utilisation": preset.flops / fastest / peak,
        "peak_flops_per_second": peak,
    }


def measured_costs(priced: Costs) -> Row:
    """What the compiler says of our program, and the device of its memory."""
    return {
        "compiled_flops": priced.flops,
        "bytes_moved": priced.bytes_moved,
        "temporary_bytes": priced.temporary,
        "argument_bytes": priced.arguments,
        "device_peak_bytes": device_peak_bytes(),
    }


def absent(name: str, peer: str, status: str) -> Row:
    """The line of a peer that was not measured."""
    numbers = dict.fromkeys(("ratio_fastest", "ratio_median", "gemm_limit_fraction", "images_per_second"))
    return {"preset": name, "peer": peer, "status": status, "note": PEERS[peer].note, **numbers}
