"""How well the scores of several models tell out-sets from the in-set: numbers over seeds, a table, a figure."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from vae.evaluation.anomaly import compressed_size, mean_intensity, placements
from vae.evaluation.anomaly_scores import scores_by_name
from vae.evaluation.comparison import Summary, markdown_table, mean_with_errors, over_seeds
from vae.reports.writing import write_results
from vae.trained import Trained
from vae.types import PyTree
from vae.visualise import image_grid, save
from vae.visualise.comparisons import Interval, intervals

if TYPE_CHECKING:
    import matplotlib.figure

NOISE_SEED = 5_004
"""Of the noise that every model is scored with."""
INSIDE, SHOWN = "in-set", 12
Scores = Mapping[str, np.ndarray]
Areas = dict[str, dict[str, Summary]]


def detect(
    models: Mapping[str, Sequence[Trained]],
    sets: Mapping[str, np.ndarray],
    show: Callable[[np.ndarray, str], PyTree],
    *,
    samples: int,
) -> Areas:
    """The AUROC of every score and out-set: by "model: score", and by out-set, its mean over seeds with both errors.

    models:  runs of each, one for each seed; scored by `anomaly_scores.scores_by_name`, all with the same noise.
    sets:    by name, `INSIDE` among them, uint8 images (N, H, W, C), which `mean_intensity` and `compressed_size` see so.
    show:    images and the name of their set -> what the models see of them.
    samples: importance samples of the NLL; a tenth as many draws of the other scores.
    """
    key, draws = jax.random.key(NOISE_SEED), max(1, samples // 10)
    found: Areas = {}
    for name, runs in models.items():
        by_set = {
            of: [scores_by_name(run, show(x, of), key, samples=draws, importance_samples=samples) for run in runs]
            for of, x in sets.items()
        }
        found |= {f"{name}: {score}": row for score, row in areas(by_set).items()}
    images = {of: [{"mean intensity": mean_intensity(x), "compressed size": compressed_size(x)}] for of, x in sets.items()}
    return found | areas(images)


def areas(scores: Mapping[str, Sequence[Scores]]) -> Areas:
    """By score and out-set the AUROC: `per_seed`, their `mean` with `sd_seeds`, and `se_images`, DeLong's error of that mean.

    scores: by set, the in-set among them, the scores of every run.
    """
    inside = scores[INSIDE]
    outside = {of: runs for of, runs in scores.items() if of != INSIDE}
    return {
        name: {of: _area([run[name] for run in inside], [run[name] for run in runs]) for of, runs in outside.items()}
        for name in inside[0]
    }


def _area(inside: Sequence[np.ndarray], outside: Sequence[np.ndarray]) -> Summary:
    """Of one score and out-set. The images are the same in every run, so that their shares are averaged before they vary."""
    shares = [placements(*pair) for pair in zip(inside, outside, strict=True)]
    lower, higher = (np.mean(share, axis=0) for share in zip(*shares, strict=True))
    error = np.sqrt(lower.var(ddof=1) / len(lower) + higher.var(ddof=1) / len(higher))
    return {**over_seeds([share.mean() for share, _ in shares]), "se_images": float(error)}


def write_areas(folder: Path, found: Areas, sets: Mapping[str, np.ndarray], config: Any, data_sha256: str) -> None:
    """Print the table; write it as `areas.md`, with `areas.json` and `areas.png`, and some images of every set as `sets.png`.

    config, data_sha256: the flags of the script and the digest of its data, for the JSON.
    """
    figure = figure_of_areas(found, "What tells the out-sets from the in-set")
    write_results(folder, "areas", {"areas": found}, table_of_areas(found), figure, config, data_sha256)
    shown = np.concatenate([images[:SHOWN] for images in sets.values()])
    save(image_grid(shown, SHOWN, "The sets, before they are binarised", row_names=list(sets)), folder / "sets.png")


def table_of_areas(found: Areas) -> str:
    """A row for each score and a column for each out-set, as Markdown."""
    columns = list(next(iter(found.values())))
    rows = [[name, *(mean_with_errors(row[column], 3) for column in columns)] for name, row in found.items()]
    return markdown_table(["AUROC", *columns], rows)


def figure_of_areas(found: Areas, title: str) -> "matplotlib.figure.Figure":
    """A panel for each out-set and a row for each score."""
    columns: dict[str, Any] = {
        f"AUROC: {of}": [
            Interval(name, row[of]["mean"], row[of]["se_images"], tuple(row[of]["per_seed"])) for name, row in found.items()
        ]
        for of in next(iter(found.values()))
    }
    return intervals(columns, title, note="bars: one standard error over images")
