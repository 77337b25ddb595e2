"""This library as a contestant: exactly the program that `vae.fit` runs."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.presets import Preset
from benchmarks.trainer import LEARNING_RATE, Problem, Trainer, Weights
from vae.data.feeds import Feed, feed
from vae.data.pixels import dynamic_binarisation
from vae.evaluation import evidence
from vae.spec import Data
from vae.trained import Trained
from vae.training.experiment import Experiment
from vae.training.loop import chunk_length, has_convolution
from vae.training.planning import Plan, planned


def feed_of(images: np.ndarray) -> Feed:
    """Images on the device, binarised afresh in every step."""
    spec = Data(shape=images.shape[1:], space="binary", mean=images.mean(axis=0) / 255.0)
    return feed(images, partial(_binarised), spec=spec)


def _binarised(key: jax.Array, stored: jax.Array) -> tuple[jax.Array, tuple]:
    return dynamic_binarisation(key, stored), ()


def plan_of(preset: Preset, images: np.ndarray) -> Plan:
    """A preset as an experiment, planned as `vae.fit` does it."""
    return planned(
        Experiment(
            data=feed_of(images),
            model=preset.build,
            steps=preset.log_every,
            objective=preset.objective(),
            optimiser=optax.adam(LEARNING_RATE),
            batch_size=preset.batch_size,
        )
    )


def build(problem: Problem) -> Trainer:
    """Chunks of the length that `vae.fit` chooses when nobody says otherwise."""
    plan = plan_of(problem.preset, problem.images)
    chunk = chunk_length(None, (problem.preset.log_every,), partial(has_convolution, plan.program.step, *plan.traced_with()))
    held, taken = [plan.start()], [0]

    def run(steps: int) -> None:
        for _ in range(max(steps // chunk, 1)):
            held[0], _metrics = plan.program.run(held[0], taken[0], chunk)
            taken[0] += chunk
        jax.block_until_ready(held[0])

    return Trainer(run, weights=lambda: dense_weights(held[0].params), multiple=chunk)


def one_step(preset: Preset, images: np.ndarray) -> jax.stages.Compiled:
    """One step alone, compiled, to ask what it costs."""
    plan = plan_of(preset, images)
    return plan.program.step.lower(*plan.traced_with()).compile()


def evaluator(problem: Problem) -> tuple[Any, tuple]:
    """log p(x) by importance sampling as a user calls it: the function and its arguments."""
    preset, source = problem.preset, feed_of(problem.images)
    model = preset.build(source.spec)
    params, state = model.init(jax.random.key(0))
    x = dynamic_binarisation(jax.random.key(1), jnp.asarray(problem.images[: preset.images]))
    call = partial(evidence.importance_sampled_evidence, samples=preset.samples, batch_size=preset.batch_size)
    return call, (Trained(model, params, state), x, jax.random.key(2))


def build_evaluation(problem: Problem) -> Trainer:
    """A "step" is one evaluation of all images."""
    call, arguments = evaluator(problem)

    def run(steps: int) -> None:
        for _ in range(steps):
            jax.block_until_ready(call(*arguments))

    return Trainer(run)


def dense_weights(params: Any) -> Weights:
    """The parameters of a fully connected model as layers."""
    return {"encoder": _layers(params["posterior"]), "decoder": _layers(params["generative"]["decoder"])}


def _layers(tree: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    hidden = tree.get("hidden", {})
    layers = [hidden[f"Dense_{i}"] for i in range(len(hidden))] + [tree["output"]]
    return [(np.array(layer["kernel"]), np.array(layer["bias"])) for layer in layers]


def problem_of(preset: Preset, images: np.ndarray) -> Problem:
    """The preset with its first weights."""
    model = preset.build(feed_of(images[:100]).spec)
    params, _ = model.init(jax.random.key(0))
    return Problem(preset, images, None if preset.convolutional or preset.groups > 1 else dense_weights(params))
