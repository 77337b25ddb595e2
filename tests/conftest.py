"""What every test runs under: checked shapes, no rank promotion, two simulated devices, the data beside the repository."""

import gc
import os
from functools import partial
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
SHARED = REPOSITORY.parent / "shared"
if (SHARED / "tensorflow_datasets").is_dir():
    os.environ.setdefault("TFDS_DATA_DIR", str(SHARED / "tensorflow_datasets"))

import chex  # noqa: E402
import jax  # noqa: E402
import pytest  # noqa: E402
from jax._src import compiler  # noqa: E402  (there is no public way to give an option to every program)
from jaxtyping import install_import_hook  # noqa: E402

chex.set_n_cpu_devices(2)
jax.config.update("jax_numpy_rank_promotion", "raise")
with install_import_hook("vae", "beartype.beartype"):
    import vae

gc.set_threshold(100_000, 50, 100)  # tracing makes many small objects, few of them garbage

OPTIMISED = {
    *("test_numbers.py", "test_low_rank_normal.py", "test_likelihoods.py", "test_elementary.py", "test_special.py"),
    *("test_loop.py", "test_resume.py"),
}
"""Where the machine code is what is tested, bit for bit or at the extremes of float32. Elsewhere the mathematics is, and the
compiler's last optimisations, most of the time of a test that is run once, are left out unless `--optimised` is given."""

NO_FUSION = {"xla_cpu_use_fusion_emitters": False}
FAST_TO_COMPILE = (
    NO_FUSION | {"xla_cpu_parallel_codegen_split_count": 1},
    NO_FUSION,
    {"xla_cpu_opt_preset": "CPU_OPT_PRESET_FAST_COMPILE"},
    {},
)
"""Options of the compiler, the best first, of which a release knows one or the other. Without fusion a step compiles in a third
of the time, and in a sixth less again where it is not cut into pieces for threads that the other worker keeps busy."""


def pytest_addoption(parser):
    parser.addoption("--optimised", action="store_true", help="compile every test as users' programs are: twice the time")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Mark the cases of a test slow that its mark `slow_but` does not name; refuse a name that no case has."""
    whole = not config.getoption("lf", False) and not any("::" in argument for argument in config.args)
    missing = set()
    for item in items:
        kept = [name for mark in item.iter_markers("slow_but") for name in mark.args]
        test = item.nodeid.partition("[")[0]
        missing |= {(test, name) for name in kept if whole}
        if kept and item.callspec.id not in kept:
            item.add_marker("slow")
    missing -= {(item.nodeid.partition("[")[0], item.callspec.id) for item in items if hasattr(item, "callspec")}
    if missing:
        raise pytest.UsageError(f"slow_but names cases that there are not: {sorted(missing)}; use the names of --collect-only.")


@pytest.fixture(scope="session")
def _fast_to_compile():
    """The best options that this jax knows."""
    for options in FAST_TO_COMPILE:
        try:
            jax.jit(lambda: 0, compiler_options=options)()
        except jax.errors.JaxRuntimeError:
            continue
        return options


@pytest.fixture(scope="module", autouse=True)
def _machine_code(request, _fast_to_compile):
    """Compile the tests of a file in a hurry or as users do; what a subprocess does is always optimised.

    Programs of the other kind are forgotten where one kind of files ends and the other begins.
    """
    hurried = request.path.name not in OPTIMISED and not request.config.getoption("--optimised")
    if hurried != jax.config.read("jax_disable_most_optimizations"):
        jax.clear_caches()
        jax.config.update("jax_disable_most_optimizations", hurried)
        compiler.get_compile_options = partial(_compile_options, _fast_to_compile if hurried else {})


def _compile_options(added, *args, env_options_overrides=None, _original=compiler.get_compile_options, **kwargs):
    return _original(*args, env_options_overrides={**added, **(env_options_overrides or {})}, **kwargs)


@pytest.fixture(scope="session")
def mnist():
    """The real MNIST of the folder beside the repository."""
    if not (SHARED / "tensorflow_datasets" / "mnist").is_dir():
        pytest.skip("real MNIST is not at hand: no ../shared/tensorflow_datasets beside the repository")
    return vae.data.load("mnist")


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory):
    """Decoded data and compiled programs of the tests stay in a folder that pytest removes."""
    if "VAE_CACHE_DIR" not in os.environ:
        os.environ["VAE_CACHE_DIR"] = str(tmp_path_factory.getbasetemp().parent / "vae-cache")
    # A folder per worker: two writers of one entry could let a third read half of it, which warns.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    jax.config.update("jax_compilation_cache_dir", str(Path(os.environ["VAE_CACHE_DIR"]) / f"xla-tests-{worker}"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
