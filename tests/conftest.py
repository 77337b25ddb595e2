"""What every test runs under: checked shapes, no rank promotion, two simulated devices, the data beside the repository."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
SHARED = REPOSITORY.parent / "shared"
if (SHARED / "tensorflow_datasets").is_dir():
    os.environ.setdefault("TFDS_DATA_DIR", str(SHARED / "tensorflow_datasets"))

import chex  # noqa: E402
import jax  # noqa: E402
import pytest  # noqa: E402
from jaxtyping import install_import_hook  # noqa: E402

chex.set_n_cpu_devices(2)
jax.config.update("jax_numpy_rank_promotion", "raise")
with install_import_hook("vae", "beartype.beartype"):
    import vae


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
