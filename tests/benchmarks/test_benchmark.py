"""The benchmark counts before it times: everyone computes the same loss, the limit multiplies what a step multiplies."""

import json
import math
from functools import partial
from importlib.util import find_spec

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import vae
from benchmarks import numpy_peer, ours, profile, rounds, run, timing
from benchmarks.costs import matrix_products
from benchmarks.floor import floor_carry, floor_chunk
from benchmarks.peers import PEERS
from benchmarks.presets import PRESETS, Layer, Preset, dense_layers
from benchmarks.timing import Times
from benchmarks.trainer import LEARNING_RATE
from vae.data.pixels import dynamic_binarisation
from vae.distributions.bernoulli import bernoulli_log_prob
from vae.objectives import analytic, importance_weighted, log_weight, terms_of
from vae.settings import Settings
from vae.training.loop import on_stored, stored_example
from vae.training.state import initial_state
from vae.training.step import all_squares_finite

SHAPE, BATCH, LATENT, HIDDEN = (6, 6, 1), 8, 3, 16
PIXELS = math.prod(SHAPE)


def bound():
    """The plain bound: what a monitor watches is none of the peers' work."""
    return vae.elbo(monitors=())


TINY = Preset(
    objective=bound,
    model=vae.reference_to(vae.models.mlp, latent_dim=LATENT, hidden=(HIDDEN,)),
    layers=dense_layers(BATCH, (PIXELS, HIDDEN, 2 * LATENT), first=2) + dense_layers(BATCH, (LATENT, HIDDEN, PIXELS)),
    batch_size=BATCH,
    shape=SHAPE,
)
TINY_IWAE = TINY._replace(samples=4, objective=lambda: importance_weighted(4))
TINY_CONV = TINY._replace(
    model=vae.reference_to(vae.models.convolutional, latent_dim=LATENT, widths=(4, 6)), shape=(8, 8, 1), layers=()
)
TINY_EVALUATION = TINY._replace(samples=6, images=10, layers=dense_layers(30, (LATENT, HIDDEN, PIXELS), 1, 1), repeats=2)
DENSE_PEERS = ("numpy", "flax example", "torch example", "torch resident", "torch compile", "pythae")
TORCH = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed: pip install 'vae[bench]'")


def images_like(shape, count=64):
    return np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)


@pytest.fixture(scope="module")
def problem():
    """The tiny one with log scales so small that our smooth bound on them does nothing."""
    given = ours.problem_of(TINY, images_like(SHAPE))
    kernel, _ = given.weights["encoder"][-1]
    kernel[:, LATENT:] *= 0.05
    return given


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(1)
    x = (rng.random((BATCH, PIXELS)) < 0.4).astype(np.float32)
    return x, rng.standard_normal((BATCH, LATENT)).astype(np.float32)


def params_of(weights):
    """Layers as the parameters of `vae.models.mlp`."""

    def network(layers):
        named = {"hidden": {f"Dense_{i}": layer for i, layer in enumerate(layers[:-1])}, "output": layers[-1]}
        return jax.tree.map(
            lambda layer: {"kernel": jnp.asarray(layer[0]), "bias": jnp.asarray(layer[1])},
            named,
            is_leaf=lambda t: isinstance(t, tuple),
        )

    return {"posterior": network(weights["encoder"]), "generative": {"decoder": network(weights["decoder"]), "prior": {}}}


def at_noise(draw, noise):
    """The pass through the model whose latent is mean + std * noise."""
    key = jax.random.key(0)
    q = draw(key).latents[0].posterior
    return draw(key, (q.mean + q.std * noise,))


def loss_of(preset, params, x, noise, state=None):
    """The mean loss of this library's own pieces, at given noise instead of a key."""
    model = preset.build(vae.Data(shape=preset.shape, space="binary"))
    state = {"encoder": {}, "decoder": {}}

    def one(image, noise):
        draw = model.infer(params, state, image.reshape(preset.shape), (), Settings(training=True))
        if preset.samples:
            weights = jax.vmap(lambda e: log_weight(at_noise(draw, e), image.reshape(preset.shape)))(noise)
            return -(jax.nn.logsumexp(weights) - jnp.log(preset.samples))
        terms = terms_of(at_noise(draw, noise), image.reshape(preset.shape), analytic, jax.random.key(0))
        return jnp.sum(terms.rates[0]) - terms.log_likelihood

    return jnp.mean(jax.vmap(one)(x, noise))


@pytest.fixture(scope="module")
def expected(problem, batch):
    """Our loss, its gradients and the weights after one step of optax's Adam."""

    @jax.jit
    def step(params, x, noise):
        loss, gradients = jax.value_and_grad(partial(loss_of, TINY))(params, x, noise)
        optimiser = optax.adam(LEARNING_RATE)
        updates, _ = optimiser.update(gradients, optimiser.init(params), params)
        return loss, gradients, optax.apply_updates(params, updates)

    loss, gradients, params = step(params_of(problem.weights), *batch)
    return float(loss), ours.dense_weights(gradients), ours.dense_weights(params)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", DENSE_PEERS)
def test_every_peer_computes_our_loss_and_takes_our_step(name, problem, batch, expected):
    peer = PEERS[name]
    if not peer.installed:
        pytest.skip(f"{peer.package} is not installed: pip install 'vae[bench]'")
    if name == "torch compile":
        pytest.skip("compiles for half a minute; it is `torch resident` otherwise, which is tested")
    trainer = peer.build(problem)
    loss, gradients, after = expected
    np.testing.assert_allclose(trainer.step(*batch), loss, rtol=1e-4)
    by_log_std = name == "numpy"  # the others descend the log variance, which Adam moves by the same step
    for part in ("encoder", "decoder"):
        for index, (got, wanted, slope) in enumerate(zip(trainer.weights()[part], after[part], gradients[part], strict=True)):
            ours_only = slice(None) if by_log_std or part == "decoder" or index == 0 else slice(LATENT)
            for g, w, s in zip(got, wanted, slope, strict=True):
                clear = np.abs(s) > 1e-5  # where the gradient's sign is rounding, Adam's first step is too
                assert clear[..., ours_only].mean() > 0.5
                np.testing.assert_allclose(
                    np.where(clear, g, 0)[..., ours_only], np.where(clear, w, 0)[..., ours_only], atol=2e-5
                )


def test_gradients_derived_by_hand_are_those_of_automatic_differentiation(problem, batch, expected):
    loss, gradients = numpy_peer.loss_and_gradients(problem.weights, *batch, numpy_peer.ACTIVATIONS["relu"])
    np.testing.assert_allclose(loss, expected[0], rtol=1e-5)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=2e-4, atol=2e-6), gradients, dict(expected[1]))


def test_gradient_of_the_kl_derived_by_hand():
    rng = np.random.default_rng(2)
    mean, log_std = rng.standard_normal((2, 4, 5)).astype(np.float32)
    both = jax.grad(lambda m, s: jnp.sum(0.5 * (m**2 + jnp.exp(2 * s) - 1) - s), argnums=(0, 1))(mean, log_std)
    for by_hand, automatic in zip(numpy_peer.kl_gradient(mean, log_std), both, strict=True):
        np.testing.assert_allclose(by_hand, automatic, rtol=1e-5, atol=1e-6)


def test_tanh_by_hand(problem, batch):
    act = numpy_peer.ACTIVATIONS["tanh"]
    tanh = TINY._replace(model=vae.reference_to(vae.models.mlp, latent_dim=LATENT, hidden=(HIDDEN,), activation="tanh"))
    gradients = jax.jit(jax.grad(partial(loss_of, tanh)))(params_of(problem.weights), *batch)
    _, by_hand = numpy_peer.loss_and_gradients(problem.weights, *batch, act)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=2e-4, atol=2e-6), by_hand, dict(ours.dense_weights(gradients)))


@TORCH
@pytest.mark.filterwarnings("ignore")
def test_torch_importance_weighting_is_ours(problem, batch):
    x, _ = batch
    noise = np.random.default_rng(3).standard_normal((BATCH, TINY_IWAE.samples, LATENT)).astype(np.float32)
    wanted = jax.jit(partial(loss_of, TINY_IWAE))(params_of(problem.weights), x, noise)
    trainer = PEERS["torch resident"].build(problem._replace(preset=TINY_IWAE))
    np.testing.assert_allclose(trainer.step(x, noise), wanted, rtol=1e-4)


def down(kernel):
    """Our filters of a halving layer as PyTorch's: (u, v, 2 x 2 x inputs, outputs) -> (outputs, inputs, 4, 4)."""
    u, v, blocks, outputs = kernel.shape
    split = np.asarray(kernel).reshape(u, v, 2, 2, blocks // 4, outputs)
    return split.transpose(5, 4, 0, 2, 1, 3).reshape(outputs, blocks // 4, 4, 4)


def up(kernel):
    """Those of a doubling layer: (u, v, inputs, 2 x 2 x outputs) -> (inputs, outputs, 4, 4), the places in reverse."""
    u, v, inputs, blocks = kernel.shape
    split = np.asarray(kernel).reshape(u, v, inputs, 2, 2, blocks // 4)[::-1, ::-1]
    return split.transpose(2, 5, 0, 3, 1, 4).reshape(inputs, blocks // 4, 4, 4)


def channels_first(matrix, channels):
    """(height, width, channels) to (channels, height, width), in the rows."""
    rows = np.asarray(matrix).reshape(2, 2, channels, -1)
    return rows.transpose(2, 0, 1, 3).reshape(np.shape(matrix))


def copy_convolutions(network, encoder, decoder):
    """Give a PyTorch network our parameters."""
    import torch

    from benchmarks import torch_peers

    convolutions = [m for m in network.encoder if isinstance(m, torch.nn.Conv2d)]
    transposed = [m for m in network.decoder if isinstance(m, torch.nn.ConvTranspose2d)]
    (head,), (places,) = torch_peers.linear_layers(network.encoder), torch_peers.linear_layers(network.decoder)
    with torch.no_grad():
        for layer, name in zip(convolutions, ("Halve_0", "Halve_1"), strict=True):
            layer.weight.copy_(torch.tensor(down(encoder[name]["kernel"])))
            layer.bias.copy_(torch.tensor(np.asarray(encoder[name]["bias"])))
        for layer, name in zip(transposed, ("Double_0", "output"), strict=True):
            layer.weight.copy_(torch.tensor(up(decoder[name]["kernel"])))
        transposed[0].bias.copy_(torch.tensor(np.asarray(decoder["Double_0"]["bias"])))
        head.weight.copy_(torch.tensor(channels_first(encoder["output"]["kernel"], 6).T.copy()))
        head.bias.zero_()
        places.weight.copy_(torch.tensor(channels_first(np.asarray(decoder["places"]["kernel"]).T, 6).copy()))
        places.bias.zero_()


@TORCH
@pytest.mark.filterwarnings("ignore")
def test_torch_convolutions_are_ours():
    """Our kernels are filters over 2x2 blocks; entry for entry they are PyTorch's 4x4 filters with stride 2."""
    import torch

    from benchmarks import torch_peers

    model = TINY_CONV.build(vae.Data(shape=TINY_CONV.shape, space="binary"))
    params, state = model.init(jax.random.key(3))
    network = torch_peers.VAE(TINY_CONV)
    copy_convolutions(network, params["posterior"], params["generative"]["decoder"])
    x = np.random.default_rng(4).random((1, 8, 8, 1)).astype(np.float32)

    @jax.jit
    def both(image):
        mean = model.infer(params, state, image, (), Settings())(jax.random.key(0)).latents[0].posterior.mean
        return mean, model.decode(params, state, (mean,)).logits

    z, wanted = map(np.asarray, both(x[0]))
    with torch.no_grad():
        mean = network.encoder(torch.tensor(x.reshape(1, 64)))[0, :LATENT]
        logits = network.decoder(torch.tensor(z[None])).reshape(8, 8, 1)
    np.testing.assert_allclose(mean, z, atol=1e-5)
    np.testing.assert_allclose(logits, wanted, atol=1e-5)


def batch_native_step(params, moments, pixels, key):
    """784-400-20 as one writes it by hand for a whole batch, and as the library does it: binarised, guarded against NaN.

    What happens to a single number (the draw of a pixel, its log-likelihood) is the library's own.
    """
    x = dynamic_binarisation(key, pixels)

    def dense(layer, a):
        return a @ layer["kernel"] + jnp.broadcast_to(layer["bias"], (a.shape[0], layer["bias"].shape[0]))

    def network(layers, a):
        return dense(layers["output"], jax.nn.relu(dense(layers["hidden"]["Dense_0"], a)))

    def loss(params):
        mean, log_std = jnp.split(network(params["posterior"], x), 2, axis=1)
        logits = network(params["generative"]["decoder"], mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape))
        rate = jnp.sum(0.5 * (jnp.square(mean) + jnp.exp(2 * log_std) - 1) - log_std, axis=1)
        return jnp.mean(rate - jnp.sum(bernoulli_log_prob(logits, x), axis=1))

    gradients = jax.grad(loss)(params)
    updates, new_moments = optax.adam(LEARNING_RATE).update(gradients, moments, params)
    new = optax.apply_updates(params, updates), new_moments
    finite = all_squares_finite(gradients)
    return jax.tree.map(lambda after, before: jnp.where(finite, after, before), new, (params, moments))


@pytest.mark.slow
def test_code_for_one_example_costs_what_code_for_a_batch_costs():
    """The same number of matrix products and, within a hundredth, the same FLOPs."""
    mlp = PRESETS["mlp"]._replace(objective=bound)
    compiled = ours.one_step(mlp, images_like(mlp.shape, 200))
    params = params_of(ours.problem_of(mlp, images_like(mlp.shape, 200)).weights)
    arguments = params, optax.adam(LEARNING_RATE).init(params), jnp.zeros((128, 784), jnp.uint8), jax.random.key(0)
    by_hand = jax.jit(batch_native_step).lower(*arguments).compile()
    products = sum(layer.products + 1 for layer in mlp.layers)  # the one looks for NaN in the gradient
    assert matrix_products(by_hand) == products
    assert products <= matrix_products(compiled) <= products + 1  # the mean of the rates over the batch is one, of a vector
    flops = [program.cost_analysis()["flops"] for program in (compiled, by_hand)]
    assert flops[0] == pytest.approx(flops[1], rel=0.01)
    assert mlp.flops < flops[1] < 1.06 * mlp.flops


@pytest.mark.parametrize("name", ["mlp", "conv28", "conv64", "ladder"])
def test_the_limit_multiplies_what_a_step_multiplies(name):
    """The matrix products of the gradient, counted in its jaxpr, are those that the preset lists."""
    preset, objective, optimiser = PRESETS[name], bound(), optax.adam(LEARNING_RATE)
    source = ours.feed_of(images_like(preset.shape, preset.batch_size))
    model = preset.build(source.spec)
    state = jax.eval_shape(lambda: initial_state(model, objective, optimiser, jax.random.key(0)))
    step = partial(on_stored, vae.make_train_step(model, objective, optimiser), source)
    jaxpr = jax.make_jaxpr(step)(state, stored_example(source, preset.batch_size))
    batch_size = preset.batch_size
    assert sum(flops for flops in products_in(jaxpr.jaxpr) if flops > 1000 * batch_size) == preset.flops


def products_in(jaxpr):
    """FLOPs of every dot_general of two matrices, at any depth; one with a single row looks for NaN in the gradient."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            lhs, rhs = (v.aval.shape for v in equation.invars)
            (contracted, _), (shared, _) = equation.params["dimension_numbers"]
            if lhs[0] == 1:
                continue
            both = math.prod(lhs[i] for i in (*contracted, *shared)) * math.prod(lhs[i] for i in shared)
            yield 2 * math.prod(lhs) * math.prod(rhs) * math.prod(lhs[i] for i in shared) // both
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda p: hasattr(p, "eqns") or hasattr(p, "jaxpr")
        ):
            if hasattr(inner, "eqns") or hasattr(inner, "jaxpr"):
                yield from products_in(getattr(inner, "jaxpr", inner))


def test_a_profile_sums_operations_and_leaves_out_what_holds_them():
    """Two steps of a program with one product, one fusion and the loop around them."""

    def event(name, duration):
        return {"ph": "X", "name": name, "dur": duration, "args": {"hlo_op": name}}

    events = [event("dot.1", 6.0), event("dot.1", 2.0), event("add_fusion", 2.0), event("while.3", 10.0), {"ph": "M"}]
    found = profile.summarised([*events, {"ph": "X", "name": "$python", "dur": 99.0}], steps=2)
    assert found == profile.Profile({"dot.1": 4.0, "add_fusion": 1.0}, products=4.0)
    assert found.total == 5.0


def test_the_limit_keeps_every_product_alive():
    """As many matrix products in the compiled loop as are listed, and all their FLOPs: none is hoisted or deleted."""
    layers = (Layer(32, 24, 16, 2), Layer(32, 16, 40, 3), Layer(64, 8, 24, 1))
    compiled = floor_chunk.lower(floor_carry(layers), layers, 10).compile()
    text = compiled.as_text()
    assert matrix_products(compiled) == 6
    assert text.count("while(") == 1
    body = text[: text.index("ENTRY ")]
    assert sum(" dot(" in line for line in body.splitlines()) == 6  # in the loop, not before it
    assert sum(layer.flops for layer in layers) == 2 * (2 * 32 * 24 * 16 + 3 * 32 * 16 * 40 + 64 * 8 * 24)
    assert compiled.cost_analysis()["flops"] >= sum(layer.flops for layer in layers)
    before = floor_carry(layers)
    for old, new in zip(before, floor_chunk(floor_carry(layers), layers, 2), strict=True):
        assert not np.array_equal(old[0], new[0]) or not np.array_equal(old[1], new[1])


def test_the_program_is_traced_once_however_long_it_runs():
    traced = []

    def objective():
        built = bound()
        return built._replace(loss=lambda *args: traced.append(1) or built.loss(*args))

    trainer = ours.build(ours.problem_of(TINY._replace(objective=objective), images_like(SHAPE)))
    trainer.run(trainer.multiple)
    after_one = len(traced)
    trainer.run(2 * trainer.multiple)
    assert trainer.multiple == 100
    assert len(traced) == after_one <= 2  # the program, and the look for convolutions


def test_rounds_take_turns_and_ratios_are_paired(monkeypatch):
    """With a clock that a run moves: the other takes twice our time but for one disturbed round of ours."""
    clock, calls = [0.0], []
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])

    def run(name, seconds):
        def steps(number):
            calls.append(name)
            disturbed = name == "we" and calls.count("we") == 2
            clock[0] += number * seconds * (10 if disturbed else 1)

        return steps

    times = timing.interleave({"we": run("we", 1.0), "they": run("they", 2.0)}, {"we": 4, "they": 2}, 3)
    assert calls == ["we", "they", "they", "we", "we", "they"]
    assert times == {"we": Times((1.0, 10.0, 1.0)), "they": Times((2.0, 2.0, 2.0))}
    assert timing.ratio(times["we"], times["they"]) == (2.0, 2.0)


def test_steps_last_as_long_as_asked_for(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock[0])

    def run(number):
        clock[0] += 0.01 * number

    assert timing.steps_for(run, 1.0, multiple=20) == 100
    assert timing.steps_for(run, 0.001, multiple=20) == 20


@pytest.fixture(scope="module")
def rows():
    """Two tiny presets against three peers, one of which is not there."""
    missing = PEERS["numpy"]._replace(package="a_package_that_is_not_there")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(rounds.PEERS, "pythae", missing)
        effort = rounds.Effort(rounds=2, seconds=0.001)
        peers = ("numpy", "pythae", "plain vmap")
        return [
            row
            for name, preset in {"tiny": TINY, "tiny evaluation": TINY_EVALUATION}.items()
            for row in rounds.contest(name, preset, images_like(SHAPE), peers, effort)
        ]


def test_rows_have_what_the_schema_says(rows, tmp_path):
    facts = {"device": "test", "cores": 2, "bytes_per_second": 1e10}
    run.write(tmp_path / "out.json", rows, facts)
    written = json.loads((tmp_path / "out.json").read_text())
    assert (tmp_path / "out.png").stat().st_size > 1000
    assert [(row["preset"], row["peer"]) for row in written["rows"]] == [
        ("tiny", "vae"),
        ("tiny", "gemm limit"),
        ("tiny", "numpy"),
        ("tiny", "pythae"),
        ("tiny evaluation", "vae"),
        ("tiny evaluation", "gemm limit"),
        ("tiny evaluation", "plain vmap"),
    ]
    for row in written["rows"]:
        numbers = [row[name] for name in ("ratio_fastest", "ratio_median", "gemm_limit_fraction")]
        if row["peer"] == "pythae":
            assert numbers == [None, None, None]
            assert row["status"] == "not installed"
        else:
            assert row["status"] == "measured"
            assert all(number > 0 for number in numbers)
    own, limit = written["rows"][:2]
    assert own["ratio_fastest"] == own["ratio_median"] == 1.0
    assert limit["ratio_fastest"] == pytest.approx(own["gemm_limit_fraction"])
    assert own["model_flops"] == TINY.flops
    assert own["bytes_moved"] > 0
    assert 0 < own["model_flops_utilisation"] < limit["model_flops_utilisation"] < 1


def test_the_table_shows_every_row(rows, capsys):
    run.show(rows, {"device": "test"})
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("tiny evaluation", "numpy", "not installed", "plain vmap"))


def test_a_peer_that_cannot_run_is_named_with_its_error(monkeypatch):
    def broken(self, problem):
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr(type(PEERS["numpy"]), "build", broken)
    built, failed = rounds.build_all({"numpy": PEERS["numpy"]}, None)
    assert built == {}
    assert "no C++ compiler" in failed["numpy"]


def test_without_mnist_the_pixels_are_random_and_the_facts_say_so(monkeypatch):
    def missing(name):
        raise FileNotFoundError(name)

    monkeypatch.setattr(vae.data, "load", missing)
    images, source = run.images_of(10)
    assert images.shape == (10, 28, 28, 1)
    assert "random" in source


def test_results_are_named_by_their_device():
    assert run.file_name({"device": "NVIDIA H200", "platform": "gpu", "cores": 16}) == "nvidia-h200"
    assert run.file_name({"device": "AMD EPYC(TM)", "platform": "cpu", "cores": 2}) == "amd-epyc-tm-2-cores"
    assert run.device_name()


def test_an_evaluation_multiplies_the_decoder_for_every_sample():
    assert PRESETS["evaluation"].flops == 2 * 200 * 5_000 * (50 * 200 + 200 * 200 + 200 * 784)


def test_a_larger_canvas_is_padded_with_black():
    images = np.full((100, 28, 28, 1), 9, np.uint8)
    padded = run.fitting(images, PRESETS["conv64"])
    assert padded.shape == (100 * 28**2 // 64**2, 64, 64, 1)
    assert padded[0].sum() == images[0].sum()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ({"presets": ("vgg",)}, "preset is 'vgg'; wanted one of mlp, "),
        ({"peers": ("keras",)}, "peer is 'keras'; wanted one of "),
        ({"rounds": 0}, "rounds is 0; wanted at least 1."),
        ({"pin": 0}, "pin is 0; wanted 1 to "),
    ],
)
def test_names_and_numbers_that_are_not_known_are_refused(flags, sentence):
    with pytest.raises(ValueError, match=sentence[:30]):
        run.require_known(run.Config(**flags))
