"""Where a run came from: the code, the packages, the machine, the data; and the JSON files of a work directory."""

import functools
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

PACKAGES = ("vae", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "chex", "tensorflow-datasets", "numpy")

# The instruction sets among which XLA chooses its CPU kernels; a different choice rounds differently.
_X86_INSTRUCTION_SETS = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "avx512_fp16", "amx_tile")


def provenance(
    command: Sequence[str], data_sha256: str | None, evaluation_protocol: Any = None, **extra: Any
) -> dict[str, Any]:
    """What has to be known to do a run again, ready for `write_json`.

    command:             the words of the command line, `sys.argv` as a rule.
    data_sha256:         digest of the decoded training data.
    evaluation_protocol: how the test numbers are computed, as JSON.
    extra:               further entries (`parent` of a run that was initialised from another).

    `commit` and `dirty` are those of the checkout that holds this package, or of the current directory where the package is
    installed; both None outside a repository or without git. Untracked files count as dirty: they may be the code that ran.
    """
    return {
        "command": list(command),
        **git_state(),
        "packages": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "operating_system": platform.platform(),
        **fingerprint(),
        "cpu_model": _cpu_info("model name") or platform.processor() or platform.machine(),
        "data_sha256": data_sha256,
        "evaluation_protocol": evaluation_protocol,
        "started_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        **extra,
    }


def fingerprint() -> dict[str, Any]:
    """What decides whether two runs can agree bit for bit: jax, the devices and, on a CPU, its cores and instruction sets."""
    device = jax.devices()[0]
    on_cpu = device.platform == "cpu"
    return {
        "jax": jax.__version__,
        "jaxlib": _version("jaxlib"),
        "platform": device.platform,
        "device_kind": device.device_kind,
        "device_count": jax.device_count(),
        "cpu_cores": visible_cores() if on_cpu else None,
        "cpu_instruction_set": instruction_set() if on_cpu else None,
    }


def visible_cores() -> int:
    """How many cores this process may use, which is what sizes XLA's thread pool and so the blocks of a matrix product."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def instruction_set() -> str:
    """The machine and, on x86 Linux, those of its vector instruction sets that change how XLA rounds."""
    flags = set(_cpu_info("flags").split())
    return " ".join([platform.machine(), *(name for name in _X86_INSTRUCTION_SETS if name in flags)])


def git_state(directory: str | Path | None = None) -> dict[str, Any]:
    """{"commit": sha or None, "dirty": bool or None} of the repository around a directory."""
    if directory is None:
        package_root = Path(__file__).resolve().parents[2]
        directory = package_root if (package_root / ".git").exists() else Path.cwd()
    commit = _git(directory, "rev-parse", "HEAD")
    status = None if commit is None else _git(directory, "status", "--porcelain")
    return {"commit": commit, "dirty": None if status is None else bool(status)}


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never half of it; NaN and infinities become null.

    Raises TypeError for what JSON cannot say, and the OSError of the file system; the old file is untouched in both cases.
    """
    path = Path(path)
    text = json.dumps(finite(value), indent=2, allow_nan=False) + "\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: str | Path) -> Any:
    """Read a JSON file; ValueError says where a broken one breaks, FileNotFoundError that there is none."""
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"there is no file {path}; is this the work directory of a run?") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file; restore it from a copy or delete it.") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"{path} is not valid JSON ({error.msg} at {where}); restore it from a copy or delete it.") from error


def finite(value: Any) -> Any:
    """The same JSON value with None for every float that is not finite, and lists for tuples; array scalars become numbers."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


@functools.cache  # read from a file each time otherwise
def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _git(directory: str | Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(directory), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu_info(field: str) -> str:
    """The first entry of that name in Linux's description of its processors; empty elsewhere."""
    if not sys.platform.startswith("linux"):
        return ""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            name, _, entry = line.partition(":")
            if name.strip() == field:
                return entry.strip()
    return ""
