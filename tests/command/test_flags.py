"""What a script's flags become: an experiment, JSON and back, or one sentence that says why they cannot be."""

import dataclasses
import enum
import textwrap
import typing
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import tyro

import vae
from experiments import objectives, train
from vae.command.flags import UNSEEN, Flags, require_usable, stop_of, with_flags
from vae.command.line import config_class, default_of
from vae.training.experiment import Select
from vae.training.origin import from_json, to_json
from vae.training.planning import planned
from vae.training.stopping import never

CHOICES = [typing.get_args(choice) for choice in typing.get_args(objectives.ChosenObjective)]
IMAGES = np.random.default_rng(0).integers(0, 2, (40, 8, 8, 1)).astype(np.float32)

# The objectives of the general script


@pytest.mark.parametrize("kind", [kind for kind, _ in CHOICES])
def test_every_objective_is_traced_and_its_flags_come_back_from_json(kind):
    config = train.Config(objective=kind(), hidden=(4,), latent_dim=2, batch_size=8, steps=3)
    assert from_json(train.Config, to_json(config)) == config
    feed = vae.data.feed(IMAGES, spec=vae.Data((8, 8, 1), "binary"))
    plan = planned(with_flags(train.experiment(config), config)._replace(data=feed))
    assert plan.program.step.trace(*plan.traced_with())
    assert ("beta" in plan.experiment.settings) == kind.weighed


def test_every_objective_has_its_numbers_on_the_command_line():
    for kind, subcommand in CHOICES:
        config = tyro.cli(train.Config, args=["--beta", "2", f"objective:{subcommand.name}"])
        assert (config.objective, config.beta) == (kind(), 2.0)
    words = ["objective:free-bits", "--objective.nats", "3", "--objective.per-dimension"]
    assert tyro.cli(train.Config, args=words).objective == objectives.FreeBits(3.0, True)


def test_a_weight_of_the_kl_where_the_objective_has_none_is_refused():
    config = train.Config(objective=objectives.Iwae(), beta=2.0, hidden=(4,), batch_size=8)
    experiment = with_flags(train.experiment(config), config)._replace(data=IMAGES, validate_every=1)
    with pytest.raises(ValueError, match="beta"):
        vae.fit(experiment, host=vae.Host(progress=False))


# JSON and back


class Kind(enum.Enum):
    FIRST = "1"


@dataclass(frozen=True)
class Inner:
    """Nested."""

    number: float = 1.0


@dataclass(frozen=True)
class Other:
    """Nested, too."""

    name: str = "other"


@dataclass(frozen=True)
class Outer(Flags):
    """Every kind of field."""

    inner: Inner | Other = Inner()
    pair: tuple[int, Literal["a", "b"]] = (1, "a")
    many: tuple[Path, ...] = (Path("a/b"),)
    kind: Kind = Kind.FIRST
    perhaps: int | None = None
    either: bool | float = 0.5


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"inner": Other("x"), "pair": (2, "b"), "many": (), "perhaps": 3, "either": True},
        {"workdir": Path("w"), "steps": 7, "either": 2.0, "inner": Inner(2.0)},
    ],
)
def test_flags_go_to_json_and_back(changes):
    config = Outer(**changes)
    assert from_json(Outer, to_json(config)) == config


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"steps": "many"}, "steps of Outer is 'many'"),
        ({"step": 1}, "Outer has no flag step; wanted some of"),
        ({"pair": [1, "c"]}, "pair of Outer"),
        ({"pair": [1]}, "pair of Outer"),
        ({"inner": {"class": "Gone"}}, "inner of Outer"),
        ({"kind": "SECOND"}, "kind of Outer"),
    ],
)
def test_what_no_longer_fits_is_named(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        from_json(Outer, to_json(Outer()) | changes)


# What cannot be


def test_every_unseen_flag_is_one():
    assert {field.name for field in dataclasses.fields(Flags)} > set(UNSEEN)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"patience": 0}, "patience is 0; wanted at least 1"),
        ({"samples": 0}, "samples is 0"),
        ({"test_examples": 0}, "test_examples is 0"),
        ({"average_decay": 1.0}, "average_decay is 1.0"),
    ],
)
def test_numbers_that_cannot_be(changes, sentence):
    with pytest.raises(ValueError, match=sentence):
        require_usable(Flags(**changes))


def test_a_batch_size_is_refused_where_every_feed_has_its_own():
    experiment = vae.Experiment(data=None, model=vae.models.mlp, steps=1, batch_size={"a": 2, "b": 3})
    assert with_flags(experiment, Flags()).batch_size == {"a": 2, "b": 3}
    with pytest.raises(ValueError, match="batch_size is 64, but this script has a batch size for each feed; leave it out"):
        with_flags(experiment, Flags(batch_size=64))


def test_patience_follows_what_is_selected_by():
    feed = vae.data.feed(IMAGES)
    metrics = {"loss": lambda trained: 0.0}
    model = vae.reference_to(vae.models.mlp, latent_dim=2, hidden=[4])
    experiment = vae.Experiment(vae.data.Splits(feed, feed), model, steps=1, batch_size=8, metrics=metrics)
    records = [{"split": "validation", "elbo": value, "loss": -value} for value in (1.0, 3.0, 2.0)]
    assert stop_of(Flags(), experiment) is never
    for select in (None, "elbo", Select("loss", higher_is_better=False)):
        stop = stop_of(Flags(patience=1), experiment._replace(select=select))
        assert (stop(records[:2]), stop(records)) == (False, True)
    with pytest.raises(ValueError, match="patience is 1, but the data have no validation split"):
        stop_of(Flags(patience=1), experiment._replace(data=vae.data.Splits(feed)))


@dataclass
class Bare:
    """No flags of ours."""


class Forgotten(Flags):
    """A class without the decorator."""

    own: int = 1


@dataclass(frozen=True, kw_only=True)
class Required(Flags):
    """A flag without a default."""

    own: int


def with_bare(config: Bare): ...


def with_forgotten(config: Forgotten): ...


def with_two(config: Flags, other: int): ...


def without(config): ...


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (with_bare, "with_bare takes config: Bare; wanted one argument, annotated with a frozen dataclass"),
        (with_two, "with_two takes config: Flags, other: int; wanted one argument"),
        (without, "without takes nothing annotated; wanted one argument"),
        (with_forgotten, r"Forgotten is no dataclass, its flags would not be seen; put @dataclass\(frozen=True\) above it"),
    ],
)
def test_functions_that_say_no_flags(function, sentence):
    with pytest.raises(TypeError, match=sentence):
        config_class(function)


def test_a_flag_without_a_default_is_named():
    with pytest.raises(TypeError, match="Required has no default for own; give every flag one"):
        default_of(Required)


def test_an_experiment_that_is_something_else_is_refused():
    with pytest.raises(TypeError, match="the script returned a dict; wanted"):
        with_flags({}, Flags())


# The console


def test_the_console_says_what_there_is(vae_command):
    for words in ((), ("--help",)):
        assert vae_command(*words).code == 0
        assert "vae evaluate" in vae_command(*words).out
    said = vae_command("evalute")
    assert (said.code, said.out) == (2, "")
    assert "vae evaluate" in said.err
    assert vae_command("evaluate").code == 2, "a work directory is required"
    assert "usage: vae sample" in vae_command("sample", "--help").out


def test_modules_that_are_no_scripts_are_refused(refused, folder):
    assert "there is no module nowhere; name one as import does" in refused("train", "nowhere")
    assert "there is no module own_parts.py; name one as import does, without .py" in refused("train", "own_parts.py")
    (folder / "forgot.py").write_text('"""No last line."""\n')
    assert "forgot does not call vae.main" in refused("train", "forgot")


def test_a_work_directory_that_cannot_be_one(refused, folder):
    (folder / "file").write_text("in the way")
    assert "file cannot be written" in refused("train", "two_groups", "--smoke", "--workdir", "file")
    for action in ("evaluate", "sample", "gaps"):
        assert "is not a run" in refused(action, "--workdir", "file")
    assert "is not a run" in refused("train", "two_groups", "--smoke", "--init-from", "file")


def test_a_warning_is_a_line(vae_command, folder):
    script = """
        import warnings
        import vae

        def experiment(config: vae.Flags) -> vae.Experiment:
            warnings.warn("beware of\\n  this", RuntimeWarning)
            raise ValueError("enough")

        vae.main(experiment)
    """
    (folder / "warns.py").write_text(textwrap.dedent(script))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        said = vae_command("train", "warns")
    assert (said.code, said.err) == (1, "warning: beware of this\nerror: enough\n")
