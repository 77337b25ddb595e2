"""What a run is, by what it computes: digests of its traced step, of its start and of its data.

Two runs are the same where every digest agrees, however their scripts are written. The text of a traced program is the same in
every process of one version of jax; array constants, which the text leaves out, are digested beside it at every depth.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal
from jax.interpreters import partial_eval

from vae.data.feeds import Feed, batch_like, each_feed
from vae.data.values import blocks
from vae.trained import Trained
from vae.training.digest import LeafType, blocks_sha256, combine_sha256, named_leaves, tree_sha256
from vae.training.experiment import Experiment
from vae.training.planning import Plan, planned, start_of
from vae.training.state import as_levels
from vae.training.step import PARTS
from vae.training.validation import validation_program
from vae.types import PyTree

VERSIONED = ("vae", "jax", "flax", "optax")
"""Packages whose version decides whether two digests can be compared."""

FLAGS = (
    *("jax_enable_x64", "jax_default_matmul_precision", "jax_disable_jit", "jax_default_prng_impl"),
    *("jax_threefry_partitionable", "jax_numpy_dtype_promotion"),
)
"""Flags of jax that change what is traced or how it is computed."""

_UNTOLD = re.compile(r"0x[0-9a-f]+|\bname=\S+")
"""What the text of a program holds that decides nothing: addresses, and what jitted functions are called."""

_PART = re.compile("|".join(PARTS))


def identity(experiment: Experiment) -> dict[str, str]:
    """Digests of everything that decides the numbers of an experiment, by part: equal exactly if it is the same run.

    "step" is one training step, of which "model", "objective", "optimiser", "schedules" and "prepare" name the parts; "start"
    the state before the first; "evaluation" the program that validates, but for the code of one's own metrics; "train" and
    "validation" the data in their order; "parent/NAME" the models it stands on; "numbers" those that a person gave, the seed,
    the levels of the settings and how many steps among them.
    """
    plan = planned(experiment)
    return identity_of(plan) | {"numbers": hashlib.sha256(json.dumps(numbers_of(plan), sort_keys=True).encode()).hexdigest()}


def numbers_of(plan: Plan) -> dict[str, Any]:
    """The numbers that a person gave, as JSON; compared one by one, so that `steps` may rise."""
    experiment = plan.experiment
    return {
        "steps": experiment.steps,
        "batch_size": experiment.batch_size if isinstance(experiment.batch_size, int) else dict(experiment.batch_size),
        "seed": seed_as_json(experiment.seed),
        "settings": {name: float(level) for name, level in experiment.settings.items()},
        "average_decay": experiment.average_decay,
        "validate_every": experiment.validate_every,
        "select": list(plan.select),
        "metrics": sorted(experiment.metrics),
    }


def seed_as_json(seed: Any) -> int | list[int]:
    """A seed, or the words of a key."""
    return np.asarray(jax.random.key_data(seed)).tolist() if isinstance(seed, jax.Array) else int(seed)


def identity_of(plan: Plan) -> dict[str, str]:
    """`identity` of an experiment that is planned already; its step is traced once, for this and for compilation."""
    digests = program_digests(plan.program.step.trace(*plan.traced_with()).jaxpr)
    digests["start"] = start_digest(plan)
    trains = each_feed(feed_digest, plan.splits.train)
    digests |= {f"train/{name}": digest for name, digest in trains.items()} if isinstance(trains, dict) else {"train": trains}
    if plan.splits.validation is not None:
        digests["validation"] = combined(feed_digest(plan.splits.validation), prepare_digest(plan.splits.validation))
        digests["evaluation"] = evaluation_digest(plan, plan.splits.validation)
    return digests | {f"parent/{name}": trained_digest(parent) for name, parent in plan.experiment.parents.items()}


def evaluation_digest(plan: Plan, validation: Feed) -> str:
    """Of the program that validates, without training: the model in evaluation, and how its groups are charged there."""
    trained = jax.eval_shape(plan.trained, jax.eval_shape(plan.start))
    return program_digests(validation_program(plan.objective, validation, trained))["step"]


def start_digest(plan: Plan) -> str:
    """Of the program that makes the first state, and of the parameters that take the place of its own."""
    experiment = plan.experiment._replace(start=None)

    def fresh(key, settings):
        return start_of(experiment, plan.model, plan.objective, key, settings)

    levels = as_levels(experiment.settings)
    program = program_digests(without_dead(jax.make_jaxpr(fresh)(plan.key, levels)))["step"]
    given = plan.experiment.start
    return program if given is None else combined(program, trained_digest(given))


def without_dead(program: ClosedJaxpr) -> ClosedJaxpr:
    """The program without what no output depends on: Flax initialises by a forward pass whose numbers are thrown away."""
    live, _ = partial_eval.dce_jaxpr(program.jaxpr, [True] * len(program.jaxpr.outvars), True)
    return ClosedJaxpr(live, program.consts)


def trained_digest(trained: Trained | PyTree) -> str:
    """Of the parameters and what the model carries; of a pytree of parameters alone."""
    if not isinstance(trained, Trained):
        return tree_sha256(trained)
    return tree_sha256({"params": trained.params, "model_state": trained.model_state})


def feed_digest(feed: Feed) -> str:
    """Of the stored arrays, in their order, as the device has them: streamed data may be of 64 bits, resident ones are not.

    They are read a block of rows at a time, so that what lies on the disk is never in memory as a whole.
    """
    types = named_leaves({"arrays": batch_like(feed.arrays, 1)})
    return combine_sha256(
        {name: rows_sha256(leaf, types[name].dtype) for name, leaf in named_leaves({"arrays": feed.arrays}).items()}
    )


def rows_sha256(array: Any, dtype: Any) -> str:
    """`leaf_sha256` of an array in another type, from its rows."""
    kind = LeafType(tuple(array.shape), np.dtype(dtype).name)
    return blocks_sha256(kind, (rows.astype(dtype, copy=False) for _, rows in blocks(array)))


def prepare_digest(feed: Feed) -> str:
    """Of what is made of a stored example."""
    return program_digests(jax.make_jaxpr(feed.prepare)(jax.random.key(0), batch_like(feed.arrays, 1)))["step"]


def program_digests(program: ClosedJaxpr) -> dict[str, str]:
    """One digest of a whole traced program, "step", and one of each part that its scopes name."""
    hashes = {part: hashlib.sha256() for part in PARTS}
    whole = hashlib.sha256(_UNTOLD.sub("", program.jaxpr.pretty_print(use_color=False)).encode())
    for part, text, constants in equations(program, ""):
        own = [hashes[part]] if part else []
        for digest in own:
            digest.update(text.encode())
        for constant in map(constant_bytes, constants):
            for digest in (whole, *own):
                digest.update(constant)
    for constant in program.consts:
        whole.update(constant_bytes(constant))
    names = {part: part.partition(":")[2] for part in PARTS}
    return {names[part]: digest.hexdigest() for part, digest in hashes.items()} | {"step": whole.hexdigest()}


def equations(program: ClosedJaxpr | Jaxpr, part: str, known: Mapping = {}) -> Iterator[tuple[str, str, list]]:
    """(part, text, array constants) of every equation at every depth; the innermost scope names the part.

    known: constants by the variables that stand for them, those that an outer program hands in.
    """
    jaxpr = program.jaxpr if isinstance(program, ClosedJaxpr) else program
    known = {**known, **(dict(zip(jaxpr.constvars, program.consts)) if isinstance(program, ClosedJaxpr) else {})}
    for equation in jaxpr.eqns:
        found = _PART.findall(str(equation.source_info.name_stack))
        own = found[-1] if found else part
        literals = [v.val for v in equation.invars if isinstance(v, Literal)]
        arrays = [value for value in literals if np.size(value) > 1]
        arrays += [known[v] for v in equation.invars if not isinstance(v, Literal) and v in known]
        numbers = [repr(value) for value in literals if np.size(value) <= 1]
        types = [str(v.aval) for v in (*equation.invars, *equation.outvars)]
        plain = {n: value for n, value in equation.params.items() if n != "name" and not list(inner_programs({n: value}))}
        text = f"{equation.primitive.name} {types} {numbers} {sorted((name, str(value)) for name, value in plain.items())}\n"
        yield own, _UNTOLD.sub("", text), arrays
        for inner in inner_programs(equation.params):
            yield from equations(inner, own, handed_in(equation, inner, known))


def handed_in(equation: JaxprEqn, inner: ClosedJaxpr | Jaxpr, known: Mapping) -> dict:
    """The known constants by the names that an inner program has for them; its arguments are the last of the equation's."""
    names = (inner.jaxpr if isinstance(inner, ClosedJaxpr) else inner).invars
    pairs = zip(reversed(names), reversed(equation.invars))
    return {name: known[v] for name, v in pairs if not isinstance(v, Literal) and v in known}


def inner_programs(params: Mapping[str, Any]) -> Iterator[ClosedJaxpr | Jaxpr]:
    """The programs inside an equation: branches, bodies, called functions."""
    for value in params.values():
        for each in value if isinstance(value, list | tuple) else (value,):
            if isinstance(each, ClosedJaxpr | Jaxpr):
                yield each


def constant_bytes(constant: Any) -> bytes:
    """Type, shape and values of a constant; a typed key by its words."""
    if hasattr(constant, "dtype") and jax.dtypes.issubdtype(constant.dtype, jax.dtypes.prng_key):
        constant = jax.random.key_data(constant)
    array = np.asarray(constant)
    return f"{array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes()


def combined(*digests: str) -> str:
    """One digest of several, in their order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Of the packages that decide what a step looks like once it is traced."""
    return {name: metadata.version(name) for name in VERSIONED}


def flags() -> dict[str, str]:
    """Those of jax that change what is traced or how it is computed, as text."""
    return {name: str(getattr(jax.config, name)) for name in FLAGS}
