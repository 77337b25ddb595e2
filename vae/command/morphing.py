"""`morph`: on the way from one test image of a run to the next, as a moving picture.

    vae morph --workdir runs/digits --between 3 17 42 --steps 16
    vae morph --workdir runs/digits --other runs/digits-2 --output both.gif

Goes through the latent codes of the test images named and back to the first, by the path that the latent space has: a straight
line, a great circle of a sphere, the shorter arc of angles, classes one after another (`vae.evaluation.paths`). Writes
`morph.gif` into the run's figures, or where `--output` says, and beside it a PNG with every pair as a row. A context stays that
of the image that is left. With `--other` the codes of the one run are decoded by both, side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from vae.command.runs import RunFlags, experiment_of_run, loaded_run
from vae.distributions import Normal
from vae.evaluation import generate
from vae.evaluation.examples import Examples
from vae.evaluation.paths import Path as Walk
from vae.evaluation.paths import norm_preserving, path_of
from vae.evaluation.rows import require_same_columns, shapes_of_pass
from vae.reports.evaluation import examples_of
from vae.reports.pictures import picture, some_rows, what_can_be_drawn
from vae.reports.walks import IN_ITS_CONTEXT
from vae.trained import Trained
from vae.training import workdir as files
from vae.training.composed import looks
from vae.training.load import Loaded
from vae.training.planning import splits_of
from vae.types import Key

SHOWN_STEPS = 9


@dataclass(frozen=True)
class Config(RunFlags):
    """The flags of morphing."""

    between: tuple[int, ...] = (0, 1, 2, 3)
    """Numbers of test images, counted from 0, two or more."""
    steps: int = 16
    """Frames from one image to the next."""
    other: Path | None = None
    """Work directory of another run, whose decoder is shown beside that of this one."""
    keep_norm: bool = False
    """In Gaussian latent spaces a great circle whose radius goes from the one code's to the other's, instead of a line."""
    seconds: float = 0.08
    """How long a frame stands."""
    seed: int = 0
    output: Path | None = None
    """GIF to write; a PNG of the same name goes beside it."""


def main(config: Config) -> int:
    """Morph and save."""
    from vae import visualise

    if config.steps < 2 or not config.seconds > 0:
        raise ValueError(
            f"steps is {config.steps} and seconds {config.seconds}; wanted at least 2 steps and a positive number."
        )
    output = config.output or config.workdir / files.FIGURES / "morph.gif"
    if output.suffix != ".gif":
        raise ValueError(f"output is {output}; wanted a name that ends in .gif.")
    loaded = loaded_run(config.workdir, config.which)
    examples = examples_between(examples_of(splits_of(experiment_of_run(loaded, config.data).data)), config.between)
    runs = [loaded] if config.other is None else [loaded, loaded_run(config.other, config.which)]
    if config.other is not None:
        require_same_latents(*runs)
    decoders, paths = [run.trained for run in runs], paths_for(loaded, config)
    key = jax.random.key(config.seed)
    frames = morphed(decoders, paths, examples, config.steps + 1, key)[:, :-1]
    visualise.save_animation(frames.reshape(-1, *frames.shape[2:]), output, config.seconds)
    draw(morphed(decoders[:1], paths, examples, SHOWN_STEPS, key)[:, :, 0], examples, loaded, output.with_suffix(".png"))
    print(f"written: {output}, {output.with_suffix('.png')} ({loaded.which} checkpoint, step {loaded.step})")
    return 0


def examples_between(examples: Examples, rows: Sequence[int]) -> Examples:
    """The test examples named; ValueError for fewer than two, and for one that there is not."""
    size = len(jax.tree.leaves(examples.x)[0])
    if len(rows) < 2 or not all(0 <= row < size for row in rows):
        raise ValueError(f"between is {' '.join(map(str, rows))}; wanted two or more test images, numbered 0 to {size - 1}.")
    x, context = some_rows((examples.x, examples.context), np.asarray(rows))
    return Examples(x, context)


def require_same_latents(first: Loaded, second: Loaded) -> None:
    """Refuse two runs whose latent spaces, data or contexts are not the same; ValueError names both."""
    require_same_columns(first.trained, second.spec)
    if (first.spec.shape, first.spec.space, first.spec.context) != (second.spec.shape, second.spec.space, second.spec.context):
        raise ValueError(
            f"the run in {first.workdir} is of {first.spec.space} data {first.spec.shape}, that in {second.workdir} of "
            f"{second.spec.space} data {second.spec.shape}, or their contexts differ; wanted two runs on data alike."
        )
    has, other = latent_space(first), latent_space(second)
    if has != other:
        raise ValueError(
            f"the latent space of the run in {first.workdir} is {has}, and that of {second.workdir} {other}; wanted runs of "
            "one latent space, so that a code of the one is a code of the other."
        )


def latent_space(loaded: Loaded) -> str:
    """The groups by the families of their priors and the shapes of their values."""
    latents = shapes_of_pass(loaded.trained, loaded.spec).latents
    return ", ".join(f"{type(latent.prior).__name__} over {looks(latent.value)}" for latent in latents)


def morphed(decoders: Sequence[Trained], paths: Sequence[Walk], examples: Examples, steps: int, key: Key) -> np.ndarray:
    """(pairs, steps, decoders, H, W, C) in [0, 1]: from each image to the next, the last to the first.

    decoders: whose codes these are, then any others. Raises TypeError for a model that has no latent group, or gives no images.
    """
    trained = decoders[0]
    if not what_can_be_drawn(trained, examples).pictures:
        raise TypeError("what the run's model decodes is no picture, or has no mean; morph is for images.")
    codes = generate.codes_of(trained, examples.x, key, context=examples.context)
    if not codes:
        raise TypeError("the run's model has no latent group, so there is no code to go from or to.")
    following = jax.tree.map(lambda leaf: jnp.roll(leaf, -1, axis=0), codes)
    ways = [generate.interpolate(each, codes, following, steps, context=examples.context, paths=paths) for each in decoders]
    return np.stack([picture(way, trained) for way in ways], axis=2)


def paths_for(loaded: Loaded, config: Config) -> tuple[Walk, ...]:
    """The path of each group, with the norm kept in Gaussian spaces where that is asked for."""
    latents = shapes_of_pass(loaded.trained, loaded.spec).latents
    return tuple(
        norm_preserving if config.keep_norm and isinstance(latent.posterior, Normal) else path_of(latent) for latent in latents
    )


def draw(images: np.ndarray, examples: Examples, loaded: Loaded, output: Path) -> None:
    """(pairs, steps, H, W, C): a row for each pair, with the test images at its ends."""
    from vae import visualise

    originals = picture(examples.x, loaded.trained)
    pairs = np.stack([originals, np.roll(originals, -1, axis=0)], axis=1)
    title = "From one test image to the next: decoder means"
    note = IN_ITS_CONTEXT if jax.tree.leaves(examples.context) else ""
    visualise.save(visualise.interpolation(images, originals=pairs, title=title, note=note), output)
