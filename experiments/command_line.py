"""What every script shares: flags from a frozen dataclass, presets, errors of one sentence, the compilation cache."""

import dataclasses
import os
import sys
from collections.abc import Callable, Mapping
from signal import SIGINT
from typing import Any, TypeVar

import jax

from vae.data.cache import cache_root
from vae.training.interrupt import exit_code

Config = TypeVar("Config")


def run(main: Callable[[Config], int | None], config: type[Config], presets: Mapping[str, Config] | None = None) -> None:
    """Parse the command line into a config, call main, exit with what it returns.

    presets: configs by name, chosen by `--preset NAME`; flags beside it change single fields of it.

    What a user did wrong is said in one sentence with exit code 1; VAE_DEBUG=1 shows the traceback as well.
    """
    import tyro

    try:
        chosen = {"default": preset_of(sys.argv[1:], presets)} if presets else {}
        parsed = tyro.cli(config, description=sys.modules[main.__module__].__doc__, **chosen)
        use_compilation_cache()
        sys.exit(main(parsed) or 0)
    except (ValueError, TypeError, OSError) as error:
        if os.environ.get("VAE_DEBUG"):
            raise
        print(f"error: {one_line(error)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; run the same command to go on.", file=sys.stderr)
        sys.exit(exit_code(SIGINT))


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


def as_json(config: Any, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """A config's fields as JSON, less those that do not identify a run."""
    fields = {f.name: getattr(config, f.name) for f in dataclasses.fields(config) if f.name not in without}
    return {
        name: value if isinstance(value, int | float | bool | list | tuple | None) else str(value)
        for name, value in fields.items()
    }
