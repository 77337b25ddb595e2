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
from vae.training.loop import chunk_length, has_convolution, make_program, on_stored, stored_example
from vae.training.state import TrainState, initial_state
from vae.training.step import make_train_step
from vae.types import Data, Trained


def feed_of(images: np.ndarray) -> Feed:
    """Images on the device, binarised afresh in every step."""
    spec = Data(shape=images.shape[1:], space="binary", mean=images.mean(axis=0) / 255.0)
    return feed(images, partial(_binarised), spec=spec)


def _binarised(key: jax.Array, stored: jax.Array) -> tuple[jax.Array, tuple]:
    return dynamic_binarisation(key, stored), ()


def pieces(preset: Preset, images: np.ndarray) -> tuple[Any, Feed, TrainState]:
    """The train step, the feed and the first state of a preset."""
    source, optimiser, objective = feed_of(images), optax.adam(LEARNING_RATE), preset.objective()
    model = preset.build(source.spec)
    state = initial_state(model, objective, optimiser, jax.random.key(0))
    return make_train_step(model, objective, optimiser), source, state


def build(problem: Problem) -> Trainer:
    """Chunks of the length that `vae.fit` chooses when nobody says otherwise."""
    step, source, state = pieces(problem.preset, problem.images)
    batch_size = problem.preset.batch_size
    convolves = partial(has_convolution, partial(on_stored, step, source), state, stored_example(source, batch_size))
    chunk = chunk_length(None, (problem.preset.log_every,), convolves)
    program = make_program(step, source, batch_size)
    held, taken = [state], [0]

    def run(steps: int) -> None:
        for _ in range(max(steps // chunk, 1)):
            held[0], _metrics = program.run(held[0], taken[0], chunk)
            taken[0] += chunk
        jax.block_until_ready(held[0])

    return Trainer(run, weights=lambda: dense_weights(held[0].params), multiple=chunk)


def one_step(preset: Preset, images: np.ndarray) -> jax.stages.Compiled:
    """One step alone, compiled, to ask what it costs."""
    step, source, state = pieces(preset, images)
    return jax.jit(partial(on_stored, step, source)).lower(state, stored_example(source, preset.batch_size)).compile()


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
    return Problem(preset, images, None if preset.convolutional else dense_weights(params))
