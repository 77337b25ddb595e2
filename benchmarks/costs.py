"""What a program costs, as the compiler says: operations, bytes, memory."""

from typing import Any, NamedTuple

import jax


class Costs(NamedTuple):
    """Of one step (or one evaluation); None where the compiler does not say.

    flops:       floating-point operations, those of matrix products included.
    bytes_moved: read and written by all operations, caches not counted.
    temporary:   bytes of memory besides arguments and results.
    arguments:   bytes of arguments, the data not counted.
    """

    flops: float | None
    bytes_moved: float | None
    temporary: int | None
    arguments: int | None


def costs(compiled: jax.stages.Compiled) -> Costs:
    """Ask a compiled program."""
    analysis: Any = compiled.cost_analysis() or {}
    memory: Any = compiled.memory_analysis()
    return Costs(
        flops=analysis.get("flops"),
        bytes_moved=analysis.get("bytes accessed"),
        temporary=getattr(memory, "temp_size_in_bytes", None),
        arguments=getattr(memory, "argument_size_in_bytes", None),
    )


def device_peak_bytes() -> int | None:
    """The most memory that was in use on the device so far, where it keeps count."""
    return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")


def matrix_products(compiled: jax.stages.Compiled) -> int:
    """How many matrix products the optimised program holds: `dot` operations, or calls of a library that multiplies."""
    lines = compiled.as_text().splitlines()
    return sum(" dot(" in line or "$matmul" in line or "__cublas" in line for line in lines)
