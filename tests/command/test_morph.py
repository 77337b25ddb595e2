"""`vae morph`: a moving picture of any run of images, and of two runs with one latent space."""

import jax
import numpy as np
import pytest
from PIL import Image

import vae
from vae.reports.evaluation import examples_of
from vae.training.load import load_run
from vae.visualise import save_animation

DIGITS = vae.reference_to(vae.data.image_splits, dataset="digits")


def fitted(workdir, seed=0, **model):
    experiment = vae.Experiment(
        data=DIGITS, model=vae.reference_to(vae.models.mlp, **{"latent_dim": 2, "hidden": [4], **model}), steps=1, seed=seed
    )
    vae.fit(experiment, workdir, vae.Host(progress=False))
    return workdir


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of one latent space, and one of a larger one."""
    folder = tmp_path_factory.mktemp("runs")
    return fitted(folder / "one"), fitted(folder / "two", seed=1), fitted(folder / "wide", latent_dim=3)


def frames_of(path):
    with Image.open(path) as image:
        found = []
        for index in range(image.n_frames):
            image.seek(index)
            found.append(np.asarray(image.convert("L"), np.float32) / 255.0)
    return np.stack(found)


def test_it_goes_through_the_test_images_and_back(vae_command, runs, tmp_path):
    output = tmp_path / "new" / "m.gif"
    words = ("morph", "--workdir", runs[0], "--between", 3, 17, 42, "--steps", 4, "--output", output)
    said = vae_command(*words)
    assert said.code == 0, said
    assert output.with_suffix(".png").is_file()
    frames = frames_of(output)
    assert frames.shape == (3 * 4, 160, 160)
    trained = load_run(runs[0], "latest").trained
    x = examples_of(vae.data.image_splits("digits")).x[np.array([3, 17, 42])]
    wanted = vae.evaluation.generate.reconstruct(trained, x, jax.random.key(0))
    for stop in range(3):
        np.testing.assert_allclose(frames[4 * stop, ::20, ::20], wanted[stop, :, :, 0], atol=0.03)


def test_two_runs_decode_the_codes_of_the_first_side_by_side(vae_command, refused, runs, tmp_path):
    output = tmp_path / "m.gif"
    words = ("morph", "--workdir", runs[0], "--between", 0, 1, "--steps", 2, "--output", output, "--other")
    assert vae_command(*words, runs[1]).code == 0
    both = frames_of(output)
    assert both.shape == (4, 160, 2 * 160 + 6 * 20)
    assert np.abs(both[:, :, :160] - both[:, :, -160:]).max() > 0.01
    said = refused(*words, runs[2])
    assert "wide Normal over float32(3,); wanted runs of one latent space" in said
    assert "one is Normal over float32(2,)" in said


def test_what_cannot_be_morphed_is_said(refused, runs, tmp_path):
    words = ("morph", "--workdir", runs[0])
    assert "wanted two or more test images, numbered 0 to 358" in refused(*words, "--between", 0, 359)
    assert "wanted two or more test images" in refused(*words, "--between", 5)
    assert "wanted a name that ends in .gif" in refused(*words, "--output", tmp_path / "m.png")
    assert "wanted at least 2 steps" in refused(*words, "--steps", 1)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_picture_that_moves_has_its_frames(channels, tmp_path):
    frames = np.zeros((3, 4, 5, channels))
    frames[1] = 1.0 if channels < 4 else [0.0, 0.0, 0.0, 1.0]
    found = frames_of(save_animation(frames, tmp_path / "x.gif", 0.2))
    assert found.shape == (3, 160, 200)
    wanted = [1.0, 0.0, 1.0] if channels == 4 else [0.0, 1.0, 0.0]  # what is transparent is white
    np.testing.assert_allclose(found.mean(axis=(1, 2)), wanted, atol=0.01)
    with Image.open(tmp_path / "x.gif") as image:
        assert (image.info["duration"], image.info["loop"]) == (200, 0)


@pytest.mark.parametrize(
    ("frames", "name", "message"),
    [
        (np.zeros((3, 4, 5, 1)), "x.png", "ends in .gif"),
        (np.zeros((3, 4, 5)), "x.gif", r"shape \(3, 4, 5\)"),
        (np.full((3, 4, 5, 1), 2.0), "x.gif", "numbers from 2 to 2"),
        (np.full((3, 4, 5, 1), np.nan), "x.gif", "numbers from nan"),
    ],
)
def test_what_is_no_picture_is_refused(frames, name, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        save_animation(frames, tmp_path / name)
