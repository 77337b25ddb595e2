"""From the words of a command line to a run: flags from a frozen dataclass, presets, errors of one sentence."""

import contextlib
import dataclasses
import os
import sys
import typing
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from signal import SIGINT
from typing import Any, NoReturn, TypeVar

import jax

from vae.command import evaluating, gapping, morphing, sampling, training
from vae.command.flags import Flags
from vae.data.cache import cache_root
from vae.reference import name_of_script
from vae.training.interrupt import exit_code

Config = TypeVar("Config")
ACTIONS = {"evaluate": evaluating, "sample": sampling, "morph": morphing, "gaps": gapping}


def main(
    experiment: Callable[[Any], Any],
    *,
    presets: Mapping[str, Any] | None = None,
    smoke: Mapping[str, Any] | None = None,
    report: Callable[[Any], Any] | None = None,
    workdir: Callable[[Any], Path] | None = None,
) -> NoReturn:
    """Run a script of an experiment:  python -m my_paper [train|evaluate|sample|morph|gaps] --workdir W --help

    experiment: a function from the script's flags to an `Experiment`; the flags are the dataclass that its argument is
                annotated with, which adds to `Flags`.
    presets:    flags by name, chosen by `--preset NAME`; those beside it change single ones.
    smoke:      what `--smoke` makes of the script's own flags.
    report:     from the flags to a `vae.reports.Report`: further metrics and figures.
    workdir:    from the flags to the default work directory; runs/ and the script's name without it.

    Without a word it trains, then evaluates and draws. Everything else works on any work directory of the script.

        if __name__ == "__main__":
            vae.main(experiment)
    """
    action, arguments = action_of(sys.argv[1:])
    if action in ACTIONS:
        run(ACTIONS[action].main, ACTIONS[action].Config, arguments=arguments, program=f"{name_of_program()} {action}")
    config, named = flags_of(experiment, presets)
    script = training.Script(experiment, named, dict(smoke or {}), report, workdir)
    run(lambda flags: training.train(script, flags), config, named, arguments, sys.modules[experiment.__module__].__doc__)


def flags_of(function: Callable, presets: Mapping[str, Any] | None = None, common: type = Flags) -> tuple[Any, dict[str, Any]]:
    """The dataclass of a script's flags, and its presets with the default one."""
    with guarded():
        config = config_class(function, common)
        return config, {"default": default_of(config), **(presets or {})}


def config_class(function: Callable, common: type = Flags) -> Any:
    """The dataclass of a script's flags, which extends the common ones, from the annotation of its function's argument."""
    hints = {name: hint for name, hint in typing.get_type_hints(function).items() if name != "return"}
    found = next(iter(hints.values()), None)
    if len(hints) != 1 or not isinstance(found, type) or not issubclass(found, common):
        taken = ", ".join(f"{name}: {getattr(hint, '__name__', hint)}" for name, hint in hints.items()) or "nothing annotated"
        raise TypeError(
            f"{function.__qualname__} takes {taken}; wanted one argument, annotated with a frozen dataclass that extends "
            f"{common.__qualname__} of vae.command."
        )
    if "__dataclass_fields__" not in vars(found):
        raise TypeError(
            f"{found.__qualname__} is no dataclass, its flags would not be seen; put @dataclass(frozen=True) above it."
        )
    return found


def default_of(config: Any) -> Any:
    """The flags as they are where nothing is said; TypeError names one without a default."""
    empty = (dataclasses.MISSING, dataclasses.MISSING)
    bare = [field.name for field in dataclasses.fields(config) if (field.default, field.default_factory) == empty]
    if bare:
        raise TypeError(f"{config.__qualname__} has no default for {', '.join(bare)}; give every flag one.")
    return config()


def action_of(arguments: list[str]) -> tuple[str, list[str]]:
    """The first word, if it is an action, and the rest; training otherwise."""
    if arguments and arguments[0] in ("train", *ACTIONS):
        return arguments[0], arguments[1:]
    return "train", arguments


def run(
    action: Callable[[Any], int | None],
    config: Any,
    presets: Mapping[str, Any] | None = None,
    arguments: list[str] | None = None,
    description: str | None = None,
    program: str | None = None,
) -> NoReturn:
    """Parse the command line into a config, call the action, exit with what it returns.

    presets:     configs by name, chosen by `--preset NAME`; flags beside it change single fields of it.
    arguments:   the words, those after the program's name by default.
    description: for --help, the docstring of the config's module by default.
    program:     how the command begins, for --help; python -m and the script's name by default.
    """
    import tyro

    arguments = sys.argv[1:] if arguments is None else arguments
    description = description or sys.modules[config.__module__].__doc__ or ""
    if presets and len(presets) > 1:
        description += f"\n\nPresets: {', '.join(presets)}."
    with guarded():
        chosen = {"default": preset_of(arguments, presets)} if presets else {}
        parsed = tyro.cli(config, prog=program or name_of_program(), args=arguments, description=description, **chosen)
        use_compilation_cache()
        sys.exit(action(parsed) or 0)


def name_of_program() -> str:
    """How the script that runs was called."""
    return f"python -m {name_of_script()}"


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """Say what a user did wrong in one sentence and exit with code 1; warnings are a line each.

    A defect of a script or of the library keeps its traceback; VAE_DEBUG=1 shows that of a user's mistake as well.
    """
    debug = bool(os.environ.get("VAE_DEBUG"))
    try:
        with warnings.catch_warnings():
            if not debug:
                warnings.showwarning = show_warning  # type: ignore[assignment]
            yield
    except (ValueError, TypeError, OSError) as error:
        if debug:
            raise
        print(f"error: {one_line(error)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; run the same command to go on.", file=sys.stderr)
        sys.exit(exit_code(SIGINT))


def show_warning(message: Warning | str, *where: Any, **further: Any) -> None:
    """A warning without the line of code that it came from, which says nothing to who runs a script."""
    print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)


def preset_of(arguments: list[str], presets: Mapping[str, Config]) -> Config:
    """The config of `--preset NAME` or `--preset=NAME`, else the default; ValueError names the known presets."""
    for i, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name != "--preset":
            continue
        value = value if equals else (arguments[i + 1] if i + 1 < len(arguments) else "")
        if value not in presets:
            raise ValueError(f"preset is {value!r}; wanted one of {', '.join(presets)}.")
        return presets[value]
    return presets["default"]


def one_line(error: Exception) -> str:
    """An error's sentence; with the file's name for what the operating system says."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}; check the path and its permissions."
    return " ".join(str(error).split())


def use_compilation_cache() -> None:
    """Keep every compiled program on disk, so that a second start compiles nothing."""
    folder = cache_root() / "xla"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # a cache is a convenience
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
