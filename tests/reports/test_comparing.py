"""`vae.compare`: equal starts, one program where it can be one, differences in pairs, and what it refuses."""

import numpy as np
import optax
import pytest
import toys

import vae
from vae.reports import comparing
from vae.reports.comparing import programs

X = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
SPLITS = vae.data.Splits(train=X[:40], test=X[40:])
PLAIN = vae.Experiment(
    data=SPLITS,
    model=toys.linear_gaussian(),
    steps=4,
    objective=vae.elbo(monitors=()),
    batch_size=10,
    settings={"learning_rate": 1e-2, "beta": 1.0},
)
HEAVY = PLAIN._replace(settings={"learning_rate": 1e-2, "beta": 4.0})
SLOW = PLAIN._replace(optimiser=optax.sgd(0.01))
VARIANTS = {"plain": PLAIN, "slow": SLOW, "heavy": HEAVY}
HOST = vae.Host(progress=False)


def compare(variants=VARIANTS, **changed):
    return vae.compare(variants, **{"seeds": 2, "samples": 3, "limit": 12, "host": HOST, **changed})


def loadings(trained, examples):
    return np.sum(np.square(trained.params["generative"]["loadings"]))


@pytest.fixture(scope="module")
def found():
    seen = []
    scores = {"size": loadings, "shape": lambda trained, examples: {"rows": len(examples.x), "columns": 4}}
    result = compare(scores=scores, each=lambda name, numbers: seen.append(name))
    assert seen == ["plain", "heavy", "slow"], "as they come: two of one program, then the other"
    return result


def test_only_what_differs_in_levels_alone_is_one_program():
    assert programs(VARIANTS) == [["plain", "heavy"], ["slow"]]
    others = {
        "steps": PLAIN._replace(steps=5),
        "objective": PLAIN._replace(objective=vae.elbo(monitors=())),
        "settings": PLAIN._replace(settings={"learning_rate": 1e-2}),
        "data": PLAIN._replace(data=SPLITS._replace(train=X[:40].copy())),
        "schedules": PLAIN._replace(schedules={"beta": vae.schedules.linear(2)}),
    }
    assert programs({"plain": PLAIN, **others}) == [[name] for name in ("plain", *others)]
    assert programs({"plain": PLAIN, "again": PLAIN._replace(seed=7)}) == [["plain", "again"]]


@pytest.mark.slow_but("slow")
@pytest.mark.parametrize("name", ["heavy", "slow"])
def test_a_run_is_the_run_alone(found, name):
    """In a program of several variants or of one, on the test examples and the noise of all."""
    experiment = VARIANTS[name]._replace(data=SPLITS._replace(test=None), seed=1)
    alone = vae.fit(experiment, host=HOST).trained
    numbers = vae.evaluation.comparison.measure([alone], vae.evaluation.examples.Examples(X[40:52]), samples=3)
    for quantity in ("nll", "rate", "distortion"):
        np.testing.assert_allclose(getattr(found.measured[name], quantity)[1], getattr(numbers, quantity)[0], rtol=1e-5)


@pytest.mark.slow
def test_a_seed_starts_alike_in_every_variant():
    variants = {
        name: variant._replace(steps=1, settings={**variant.settings, "learning_rate": 0.0})
        for name, variant in VARIANTS.items()
    }
    variants["slow"] = variants["slow"]._replace(optimiser=optax.sgd(1.0))
    found = compare(variants).measured
    for name in ("slow", "heavy"):
        np.testing.assert_allclose(found[name].nll, found["plain"].nll, rtol=1e-6)


def test_the_numbers_are_those_of_the_variants_in_their_order(found):
    assert list(found.numbers["models"]) == ["plain", "slow", "heavy"]
    assert list(found.numbers["differences"]) == ["slow minus plain", "heavy minus plain"]
    rates = [found.measured[name].rate for name in ("heavy", "plain")]
    pair = found.numbers["differences"]["heavy minus plain"]["rate"]
    assert pair["per_seed"] == pytest.approx((rates[0] - rates[1]).mean(axis=1).tolist())
    assert rates[0].shape == (2, 12)


def test_scores_see_all_test_examples_and_may_be_several(found):
    of = found.numbers["models"]["plain"]
    assert of["shape_rows"]["per_seed"] == [20.0, 20.0]
    assert of["shape_columns"]["mean"] == 4.0
    assert of["size"]["mean"] == pytest.approx(np.sum(toys.LOADINGS**2), rel=0.1)


def test_it_is_shown_as_a_table_and_a_figure(found):
    lines = found.table().splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == [
        "plain",
        "slow",
        "heavy",
        "slow minus plain",
        "heavy minus plain",
    ]
    assert "| NLL, at most" in lines[0]
    assert "| shape rows" in lines[0]
    assert repr(found) == f"Comparison(3 variants, 2 seeds, 12 test examples)\n{found.table()}"
    assert found._repr_markdown_() == found.table()
    assert [cell.strip() for cell in found.table({"rate": ("KL", 1)}).splitlines()[0].split("|")] == ["", "", "KL", ""]
    assert found.figure("Three").get_suptitle() == "Three"


def test_the_figure_needs_no_pairs_with_the_first(found):
    assert len(comparing.Comparison(found.measured, found.numbers | {"differences": {}}).figure().axes) == 3


def test_data_that_several_share_are_read_once():
    calls = []

    def data():
        calls.append(1)
        return SPLITS

    read = comparing.with_data({"a": PLAIN._replace(data=data), "b": HEAVY._replace(data=data)})
    assert calls == [1]
    assert read["a"].data is read["b"].data


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"variants": {}}, "no variants"),
        ({"pairs": [("heavy", "light")]}, "the pairs name light; wanted some of plain, slow, heavy"),
        ({"scores": {"rate": loadings}}, "the scores are called rate"),
        ({"samples": 0}, "samples is 0; wanted at least 1"),
        ({"limit": 0}, "limit is 0; wanted at least 1"),
        ({"seeds": 0}, "seeds is 0; wanted at least 1"),
        ({"variants": {"a": PLAIN._replace(data=X)}}, "neither a test nor a validation split"),
    ],
)
def test_what_cannot_be_compared_is_refused(changed, said):
    with pytest.raises(ValueError, match=said):
        compare(**changed)


NARROW = vae.data.Splits(train=X[:40, :3], test=X[40:, :3])
MLP = PLAIN._replace(model=vae.reference_to(vae.models.mlp, latent_dim=2, hidden=[4], likelihood="normal"))
WRAPPED = PLAIN.model._replace(
    infer=lambda *given: lambda key: with_prior_at_sample(PLAIN.model.infer(*given)(key)),
)


def with_prior_at_sample(trace):
    """The trace with a prior that has no closed form of the KL."""
    group = trace.latents[0]
    return trace._replace(latents=(group._replace(prior=vae.distributions.AtSample(group.prior)),))


@pytest.mark.parametrize(
    ("changed", "kind", "said"),
    [
        ({"settings": {"learning_rate": 1e-2, "gamma": 1.0}}, ValueError, "odd: nothing in this run reads gamma"),
        ({"data": NARROW, "model": MLP.model}, ValueError, r"odd: .*shape \(4,\).*wanted \(3,\)"),
        ({"model": WRAPPED, "objective": vae.elbo(vae.objectives.log_ratio)}, TypeError, "odd: .*closed form"),
        (
            {"data": vae.data.Splits(train=X[:40], test=X[39:59])},
            ValueError,
            "odd: its test data are others than those of the first",
        ),
        ({"batch_size": 41}, ValueError, "odd: batch_size is 41, more than the 40 training examples"),
    ],
)
def test_a_variant_that_would_fail_is_refused_before_any_is_trained(monkeypatch, changed, kind, said):
    monkeypatch.setattr(comparing, "sweep", lambda *args, **kwargs: pytest.fail("trained"))
    with pytest.raises(kind, match=said):
        compare({"plain": PLAIN, "odd": PLAIN._replace(**changed)})


@pytest.mark.filterwarnings("ignore:.*what is logged is called score:RuntimeWarning")
def test_there_is_no_nll_to_compare_of_bits_under_a_density(monkeypatch):
    monkeypatch.setattr(comparing, "sweep", lambda *args, **kwargs: pytest.fail("trained"))
    bits = (X > 0).astype(np.float32)
    with pytest.raises(ValueError, match=r"odd: the data are zeros and ones, and the likelihood Normal .* no NLL to compare"):
        compare({"odd": PLAIN._replace(data=vae.data.Splits(train=bits[:40], test=bits[40:]))})


@pytest.mark.slow
def test_all_are_charged_as_the_first_variant_unless_told_otherwise(monkeypatch):
    first = PLAIN._replace(model=WRAPPED, objective=vae.elbo(vae.objectives.log_ratio))
    variants = {"first": first._replace(steps=1), "second": PLAIN._replace(steps=1)}
    found, told = (compare(variants, seeds=1, **rates) for rates in ({}, {"rates": vae.objectives.log_ratio}))
    np.testing.assert_array_equal(found.measured["second"].rate, told.measured["second"].rate)
    skewed = PLAIN._replace(objective=vae.elbo(vae.objectives.geometric_jensen_shannon()))
    with pytest.raises(TypeError, match=r"the objective of the first variant charges no KL.* give compare the rates"):
        compare({"skewed": skewed, "plain": PLAIN})
