"""How fast is a step, beside its own matrix products and beside everyone else's step?

    python -m benchmarks --quick                      fewer presets, short rounds
    python -m benchmarks                              everything; benchmarks/results/DEVICE.json
    python -m benchmarks --rounds 6                   the same in a quarter of an hour on two cores
    python -m benchmarks --pin 1 --presets mlp        on one core

Every preset is timed as `vae.fit` runs it, in rounds that take turns with its peers and with its limit: the same matrix
products alone, in a scan, with an SGD update. Ratios are our speed over the other's, from the fastest rounds and as the median
of paired rounds; on a shared machine they are what holds. The figure (beside the JSON) is the roofline. Peers that are not
installed are named: pip install 'vae[bench]' has them all.
"""

import json
import os
import platform
import re
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import numpy as np

import vae
from benchmarks.epoch import measure_epochs
from benchmarks.floor import bandwidth
from benchmarks.peers import PEERS
from benchmarks.presets import PRESETS, QUICK_PRESETS, Preset
from benchmarks.rounds import LIMIT, OURS, Effort, Row, contest
from benchmarks.start import Start, measure_start

QUICK = Effort(rounds=3, seconds=0.15)
FULL = Effort(rounds=15, seconds=1.0)
QUICK_NAMES = ("mlp", "conv28", "evaluation")
QUICK_IMAGES, IMAGES = 10_000, 60_000
START_PRESET = "mlp"
EPOCH_ROUNDS = 5
COLUMNS = ("images/s", "steps/s", "fastest", "median", "of limit", "of peak")


@dataclass(frozen=True)
class Config:
    """The flags of a benchmark."""

    quick: bool = False
    """Fewer presets, rounds and images."""
    presets: tuple[str, ...] = ()
    """Which; all of them by default."""
    peers: tuple[str, ...] = tuple(PEERS)
    """Which."""
    rounds: int | None = None
    """In which every contestant has its turn."""
    json: Path | None = None
    """Where the rows go, the roofline beside it; default: benchmarks/results/DEVICE.json, with --quick runs/DEVICE.json."""
    pin: int | None = None
    """Run on this many cores."""
    start: bool = True
    """Time whole processes: to the first step, cold and warm, and (not with --quick) one epoch beside PyTorch's."""


def main(config: Config) -> int:
    """Measure, print, write."""
    require_known(config)
    pin_to(config.pin)
    effort = QUICK if config.quick else FULL
    effort = effort._replace(rounds=config.rounds or effort.rounds)
    known = QUICK_PRESETS if config.quick else PRESETS
    names = config.presets or (QUICK_NAMES if config.quick else tuple(PRESETS))
    images, source = images_of(QUICK_IMAGES if config.quick else IMAGES)
    rows: list[Row] = []
    for name in names:
        rows += contest(name, known[name], fitting(images, known[name]), config.peers, effort)
        print(f"{name}: done", file=sys.stderr)
    starts = starts_of(START_PRESET) if config.start else {}
    facts = facts_of(source) | {name: start._asdict() for name, start in starts.items()}
    if config.start and not config.quick:
        facts["epoch_seconds"] = measure_epochs(images, EPOCH_ROUNDS)
    show(rows, facts)
    folder = Path("runs" if config.quick else "benchmarks/results")
    write(config.json or folder / f"{file_name(facts)}.json", rows, facts)
    return 0


def require_known(config: Config) -> None:
    """Refuse names that are not in the registries, and numbers that are none."""
    for kind, given, known in (("preset", config.presets, PRESETS), ("peer", config.peers, PEERS)):
        unknown = sorted(set(given) - set(known))
        if unknown:
            raise ValueError(f"{kind} is {unknown[0]!r}; wanted one of {', '.join(known)}.")
    if config.rounds is not None and config.rounds < 1:
        raise ValueError(f"rounds is {config.rounds}; wanted at least 1.")
    if config.pin is not None and not 1 <= config.pin <= os.cpu_count():
        raise ValueError(f"pin is {config.pin}; wanted 1 to {os.cpu_count()} cores.")


def pin_to(cores: int | None) -> None:
    """Start this command again on so many cores: libraries count theirs when they are imported."""
    available = sorted(os.sched_getaffinity(0))
    if cores is not None and len(available) > cores:
        os.sched_setaffinity(0, available[:cores])
        os.execv(sys.executable, [sys.executable, "-m", "benchmarks", *sys.argv[1:]])


def images_of(limit: int) -> tuple[np.ndarray, str]:
    """Training images of MNIST where they are at hand, else noise of the same shape; and which of the two."""
    try:
        return np.asarray(vae.data.load("mnist").train.x[:limit]), "MNIST"
    except (OSError, ValueError, ImportError):
        rng = np.random.default_rng(0)
        return rng.integers(0, 256, (limit, 28, 28, 1), np.uint8), "random pixels (MNIST is not at hand)"


def fitting(images: np.ndarray, preset: Preset) -> np.ndarray:
    """The images on the preset's canvas, padded with black; a larger one takes fewer, so that all hold as many pixels."""
    side, own = preset.shape[0], images.shape[1]
    pad = (side - own) // 2
    if pad <= 0:
        return images
    return np.pad(images[: len(images) * own**2 // side**2], ((0, 0), (pad, pad), (pad, pad), (0, 0)))


def starts_of(preset: str) -> dict[str, Start]:
    """The start of a fresh process without and with a compilation cache."""
    with tempfile.TemporaryDirectory() as cache:
        return {name: measure_start(preset, Path(cache)) for name in ("cold_start", "warm_start")}


def facts_of(source: str) -> dict[str, Any]:
    """What the numbers were measured on."""
    versions = {"python": platform.python_version(), "jax": jax.__version__}
    if find_spec("torch"):
        import torch

        versions |= {"torch": torch.__version__, "torch_threads": torch.get_num_threads()}
    return {
        "device": device_name(),
        "platform": jax.default_backend(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg()[0],
        "data": source,
        "bytes_per_second": bandwidth(),
        **versions,
    }


def device_name() -> str:
    """The accelerator, or the model of the processor where the system tells."""
    kind, listed = jax.devices()[0].device_kind, Path("/proc/cpuinfo")
    if kind != "cpu":
        return kind
    names = re.findall(r"model name\s*:\s*(.+)", listed.read_text() if listed.exists() else "")
    return names[0] if names else platform.machine()


def file_name(facts: dict[str, Any]) -> str:
    """The device as the name of a file, with the number of cores where it is a processor."""
    words = facts["device"] + (f" {facts['cores']} cores" if facts["platform"] == "cpu" else "")
    return "-".join(re.findall(r"[a-z0-9]+", words.lower()))


def show(rows: list[Row], facts: dict[str, Any]) -> None:
    """Print a table for each preset, what the peers are, and what it was measured on."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for preset in dict.fromkeys(row["preset"] for row in rows):
        own, *_ = shown = [row for row in rows if row["preset"] == preset]
        table = Table(title=preset, caption=costs_line(own), title_justify="left", caption_justify="left")
        table.add_column("", no_wrap=True)
        for column in COLUMNS:
            table.add_column(column, justify="right", no_wrap=column == COLUMNS[0])
        for row in shown:
            table.add_row(row["peer"], *cells(row))
        console.print(table)
    console.print("fastest, median: our speed over theirs, of the fastest rounds and of paired ones.", highlight=False)
    for peer, note in {row["peer"]: row["note"] for row in rows if row["note"]}.items():
        console.print(f"{peer}: {note}", highlight=False)
    console.print(json.dumps(facts, indent=1), highlight=False)


def cells(row: Row) -> tuple[str, ...]:
    """A row of the printed table, after its name."""
    if row["status"] != "measured":
        return (row["status"], *[""] * (len(COLUMNS) - 1))
    return (
        f"{row['images_per_second']:,.0f}",
        f"{row['steps_per_second']:,.1f}",
        "" if row["peer"] == OURS else f"{row['ratio_fastest']:.2f}",
        "" if row["peer"] == OURS else f"{row['ratio_median']:.2f}",
        "" if row["peer"] == LIMIT else f"{100 * row['own_gemm_limit_fraction']:.0f} %",
        f"{100 * row['model_flops_utilisation']:.0f} %",
    )


def costs_line(own: Row) -> str:
    """Memory and traffic of our program, in words."""
    parts = [f"{own['model_flops'] / 1e6:,.0f} MFLOP of products"]
    if own.get("bytes_moved"):
        parts.append(f"{own['bytes_moved'] / 1e6:,.0f} MB moved")
    if own.get("temporary_bytes") is not None:
        parts.append(f"{own['temporary_bytes'] / 1e6:,.1f} MB temporary")
    return ", ".join(parts)


def write(path: Path, rows: list[Row], facts: dict[str, Any]) -> None:
    """The rows as JSON and the roofline beside them."""
    from benchmarks.roofline import roofline
    from vae.visualise.style import save

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"facts": facts, "rows": rows}, indent=1) + "\n")
    title = f"Roofline: {facts['device']}, {facts['cores']} cores"
    save(roofline(rows, facts["bytes_per_second"], title), path.with_suffix(".png"))
    print(f"written: {path}, {path.with_suffix('.png')}")
