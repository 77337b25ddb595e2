"""Flags and shapes through JSON and back: what a script was called with, and what its model was built for."""

import json
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import pytest
from tiny_run import EXPERIMENT

from vae.spec import Data
from vae.training import shapes
from vae.training.experiment import Origin
from vae.training.origin import config_of, experiment_of, from_json, origin_of, to_json


class Colour(Enum):
    RED = 1
    BLUE = 2


@dataclass(frozen=True)
class Adam:
    rate: float = 1e-3


@dataclass(frozen=True)
class Momentum:
    rate: float = 1e-2
    decay: float = 0.9


@dataclass(frozen=True)
class Config:
    optimiser: Adam | Momentum = Adam()
    either: Momentum | Adam = Momentum()
    hidden: tuple[int, ...] = (8, 4)
    pair: tuple[int, str] = (1, "a")
    levels: list[float] = field(default_factory=lambda: [1.0])
    nested: tuple[Adam, ...] = ()
    workdir: Path | None = None
    kind: Literal["mlp", "conv"] = "mlp"
    clip: float | None = None
    steps: Annotated[int, "of training"] = 10
    progress: bool = True
    colour: Colour = Colour.RED
    beta: float = 1.0
    whatever: Any = None


def experiment(config):
    return EXPERIMENT._replace(steps=config.steps)


OTHER = Config(
    optimiser=Momentum(decay=0.5),
    either=Adam(0.1),
    hidden=(),
    pair=(2, "b"),
    levels=[0.5, 2.0],
    nested=(Adam(0.3), Adam(0.4)),
    workdir=Path("runs/a"),
    kind="conv",
    clip=1.0,
    steps=3,
    progress=False,
    colour=Colour.BLUE,
    beta=4,
    whatever={"a": [1, None]},
)


@pytest.mark.parametrize("config", [Config(), OTHER])
def test_a_config_survives_json(config):
    written = json.loads(json.dumps(to_json(config), allow_nan=False))
    read = from_json(Config, written)
    assert read == config
    assert isinstance(read.hidden, tuple)
    assert isinstance(read.beta, float)
    assert to_json(read) == written


def test_an_origin_builds_the_experiment_again():
    origin = origin_of(experiment, OTHER)
    assert origin.function == f"{__name__}:experiment"
    stored = Origin(**json.loads(json.dumps(origin._asdict())))
    assert config_of(stored) == OTHER
    assert experiment_of(stored) == EXPERIMENT._replace(steps=3)
    assert origin_of(experiment, OTHER, report=experiment).report == origin.function
    with pytest.raises(ValueError, match=r"a lambda .* cannot be found again"):
        origin_of(lambda config: None, OTHER)


def test_fields_that_were_not_written_keep_their_defaults():
    assert from_json(Config, {"steps": 4}) == Config(steps=4)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"stepz": 1}, "Config has no flag stepz; wanted some of beta, clip, "),
        ({"steps": "many"}, "steps of Config is 'many': 'many' is no int"),
        ({"steps": True}, "steps of Config is True: True is no int"),
        ({"steps": 1.5}, "1.5 is no int"),
        ({"progress": 1}, "progress of Config is 1: 1 is no bool"),
        ({"kind": "cnn"}, "kind of Config is 'cnn': 'cnn' is none of 'mlp', 'conv'"),
        ({"clip": "a"}, "clip of Config is 'a': 'a' fits none of float, NoneType"),
        ({"hidden": 8}, "hidden of Config is 8: 8 is no "),
        ({"hidden": ["a"]}, "'a' is no int"),
        ({"pair": [1]}, r"pair of Config is \[1\]: \[1\] is no "),
        ({"workdir": 3}, "workdir of Config is 3: 3 fits none of Path, NoneType"),
        ({"colour": "GREEN"}, "colour of Config is 'GREEN': 'GREEN' is none of 'RED', 'BLUE'"),
        ({"optimiser": {"class": "Sgd", "rate": 1.0}}, "optimiser of Config is .* fits none of Adam, Momentum"),
        ({"nested": [{"speed": 1.0}]}, r"nested of Config is .*Adam has no flag speed; wanted some of rate"),
    ],
)
def test_what_does_not_fit_is_named_by_its_field(flags, message):
    with pytest.raises(ValueError, match=message):
        from_json(Config, flags)


def test_what_is_no_config_is_said():
    with pytest.raises(ValueError, match=r"\[1\] is not a Config; write its fields as JSON"):
        from_json(Config, [1])


# Shapes


class Both(NamedTuple):
    label: Any
    angle: Any


def shape(*dims, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(dims, dtype)


@pytest.mark.parametrize(
    "context", [(), shape(10), {"a": shape(), "b": [shape(2, dtype=jnp.uint8), None]}, (shape(3, dtype=jnp.bfloat16), ())]
)
def test_the_shapes_of_a_context_survive_json(context):
    spec = Data(shape=(4, 4, 1), space="binary", context=context)
    assert shapes.spec_from_json(json.loads(json.dumps(shapes.spec_to_json(spec)))) == spec


def test_a_named_tuple_of_shapes_becomes_a_tuple_and_the_mean_is_left_behind():
    spec = Data(shape=(4,), space="real", mean=jnp.ones(4), context=Both(label=shape(3), angle=shape()))
    read = shapes.spec_from_json(shapes.spec_to_json(spec))
    assert read == Data(shape=(4,), space="real", context=(shape(3), shape()))


def test_a_run_of_an_earlier_format_has_no_context():
    assert shapes.spec_from_json({"shape": [4], "space": "real"}) == Data(shape=(4,), space="real")
