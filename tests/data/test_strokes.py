"""Measures of drawn strokes, held against bars of known width, lean and spread."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae.data import strokes


def bar(thickness, length=30.0, angle=0.0, lean=0.0, side=56, fine=8):
    """A bar of that thickness and length, turned by an angle from upright and sheared, each pixel by how much it covers."""
    places = (np.arange(side * fine) + 0.5) / fine - side / 2
    x, y = np.meshgrid(places, -places)
    x = x - lean * y
    across, along = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    inside = (np.abs(across) < thickness / 2) & (np.abs(along) < length / 2)
    return jnp.asarray(inside.reshape(side, fine, side, fine).mean(axis=(1, 3))[..., None], jnp.float32)


@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 4])
@pytest.mark.parametrize("thickness", [2.0, 3.0, 5.0])
def test_the_thickness_is_twice_the_area_over_the_perimeter(thickness, angle):
    exact = thickness * 36.0 / (thickness + 36.0)
    assert float(strokes.thickness(bar(thickness, 36.0, angle))) == pytest.approx(exact, rel=0.12)


def test_thicker_is_thicker_and_fainter_is_not():
    found = [float(strokes.thickness(bar(w, angle=0.3))) for w in (1.0, 2.0, 3.0, 4.0)]
    assert np.all(np.diff(found) > 0.5)
    assert float(strokes.thickness(0.5 * bar(3.0))) == pytest.approx(float(strokes.thickness(bar(3.0))), rel=1e-4)


@pytest.mark.parametrize("lean", [-1, 0, 1])
def test_shearing_adds_to_the_slant_and_leaves_the_width(lean):
    """By whole pixels a row, so that no pixel is cut."""
    image = bar(4.0, length=20.0, angle=0.2)
    sheared = jnp.stack([jnp.roll(row, lean * (28 - i), axis=0) for i, row in enumerate(image)])
    assert float(strokes.slant(sheared) - strokes.slant(image)) == pytest.approx(lean, abs=1e-4)
    assert float(strokes.width(sheared)) == pytest.approx(float(strokes.width(image)), rel=1e-3)
    leaning = bar(4.0, lean=0.3 * lean)
    assert float(strokes.slant(leaning)) == pytest.approx(0.3 * lean, abs=5e-3)


def test_an_upright_bar_is_as_wide_as_it_is_and_stretching_stretches():
    """Over w pixels the middles of the pixels have the variance (w^2 - 1) / 12."""
    for wide in (4.0, 8.0, 12.0):
        assert float(strokes.width(bar(wide))) == pytest.approx(np.sqrt(wide**2 - 1), rel=1e-3)


def test_where_it_stands_does_not_matter_and_nothing_has_no_measure():
    image = bar(3.0, angle=0.3)
    for measure in strokes.MEASURES.values():
        moved = jnp.roll(image, (3, -4), axis=(0, 1))
        assert float(measure(moved)) == pytest.approx(float(measure(image)), rel=1e-3, abs=1e-4)
        assert abs(float(measure(jnp.zeros((8, 8, 1))))) < 1e-2
        assert np.all(np.isfinite(jax.grad(measure)(jnp.zeros((8, 8, 1)))))
