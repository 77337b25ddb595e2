"""A bottom-up hierarchy written by hand: z1 of the image, z2 of z1.   python -m two_groups --workdir W"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

import vae
from vae.models import given, latent_group

SHAPE = (4, 4, 1)


@dataclass(frozen=True)
class Config(vae.Flags):
    """The flags."""

    rate: float = 1e-2


def normal(outputs: jax.Array) -> vae.Normal:
    """Half of the outputs are the mean."""
    return vae.Normal(*jnp.split(outputs, 2))


def model(spec: vae.Data) -> vae.Model:
    """Linear maps throughout; the latents in ancestral order (z2, z1)."""

    def init(key):
        shapes = {"z1": (16, 6), "z2": (3, 4)}, {"z1": (2, 6), "x": (3, 16)}
        draw = [{name: 0.1 * jax.random.normal(key, shape) for name, shape in part.items()} for part in shapes]
        return {"posterior": draw[0], "generative": draw[1]}, ()

    def infer(params, state, x, context, settings):
        def draw(key, values=()):
            key_1, key_2 = jax.random.split(key)
            own, generative = params["posterior"], params["generative"]
            q1 = normal(x.ravel() @ own["z1"])
            z1 = q1.sample(key_1) if given(values, 1) is None else values[1]
            z2 = latent_group(normal(z1 @ own["z2"]), vae.standard_normal(2), key_2, given(values, 0))
            first = latent_group(q1, normal(z2.value @ generative["z1"]), key_1, z1)
            return vae.Trace(likelihood=decode(params, state, (z2.value, z1), context), latents=(z2, first))

        return draw

    def prior(params, state, key, context, values=(), temperature=1.0):
        key_1, key_2 = jax.random.split(key)
        z2 = vae.priors.sample_prior(vae.standard_normal(2), key_2, temperature) if given(values, 0) is None else values[0]
        p1 = normal(z2 @ params["generative"]["z1"])
        return z2, vae.priors.sample_prior(p1, key_1, temperature) if given(values, 1) is None else values[1]

    def decode(params, state, values, context):
        return vae.Bernoulli((values[1] @ params["generative"]["x"]).reshape(SHAPE))

    return vae.Model(init, infer, prior, decode, lambda state, statistics, key: state)


def data() -> vae.data.Splits:
    """Rows that are black or white."""
    rows = np.random.default_rng(0).integers(0, 2, (90, 4, 1, 1))
    images = np.broadcast_to(rows, (90, *SHAPE)).astype(np.float32)
    feeds = [vae.data.feed(part, spec=vae.Data(SHAPE, "binary")) for part in np.split(images, [50, 70])]
    return vae.data.Splits(*feeds)


def experiment(config: Config) -> vae.Experiment:
    """Everything that decides the numbers."""
    settings = {"learning_rate": config.rate, "beta": 1.0}
    return vae.Experiment(data=data, model=model, steps=config.steps, settings=settings)


if __name__ == "__main__":
    vae.main(experiment, smoke={"batch_size": 10})
