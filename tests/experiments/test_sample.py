"""`python -m experiments.sample`: images and their latents."""

import numpy as np
import pytest

import vae
from experiments import sample


def test_it_writes_a_picture_and_the_arrays(call, trained, tmp_path):
    said = call(sample, "--workdir", trained, "--number", 5, "--output", tmp_path / "drawn.png")
    assert said.code == 0
    assert "best checkpoint" in said.out
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG")
    with np.load(tmp_path / "drawn.npz") as drawn:
        images, latents = drawn["images"], drawn["latents"]
    assert images.shape == (5, 8, 8, 1)
    assert latents.shape == (5, 2)
    loaded = vae.load(trained)
    decoded = loaded.decode((latents[3],)).mean
    np.testing.assert_allclose(images[3], decoded, rtol=1e-5, atol=1e-6)


def test_seed_and_temperature(call, trained, tmp_path):
    def latents(*flags):
        call(sample, "--workdir", trained, "--number", 5, "--output", tmp_path / "drawn.png", *flags)
        with np.load(tmp_path / "drawn.npz") as drawn:
            return drawn["latents"]

    np.testing.assert_array_equal(latents(), latents())
    np.testing.assert_allclose(latents("--temperature", 0.5), 0.5 * latents(), rtol=1e-6)
    assert not np.array_equal(latents("--seed", 1), latents())


@pytest.mark.parametrize("number", [0, -3])
def test_fewer_than_one_image_is_refused(refused, trained, number):
    assert f"number is {number}; wanted at least 1" in refused(sample, "--workdir", trained, "--number", number)


def test_a_folder_that_is_not_there_is_made_and_another_kind_of_file_is_refused(call, refused, trained, tmp_path):
    output = tmp_path / "new" / "drawn.png"
    assert call(sample, "--workdir", trained, "--number", 5, "--output", output).code == 0
    assert output.exists()
    said = refused(sample, "--workdir", trained, "--output", tmp_path / "drawn.npz")
    assert "wanted a name that ends in .png" in said


def test_what_is_not_a_run_is_refused(refused, tmp_path):
    assert "is not a run: it has no config.json" in refused(sample, "--workdir", tmp_path)
