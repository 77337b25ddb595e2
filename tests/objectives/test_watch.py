"""The warning of a collapse: when, once, what it names, and what it costs."""

import numpy as np
import pytest

from vae.objectives import REMEDIES, CollapseWatch, collapse_after, collapse_after_all

STEPS = 3_000


def records(rates, groups=None, split="train", every=100):
    return [
        {"step": every * (i + 1), "split": split, "kl": float(rate)}
        | ({f"kl/{g}": v for g, v in groups[i].items()} if groups else {})
        for i, rate in enumerate(rates)
    ]


def said_by(history, **options):
    """What is said after each record, as a run would ask."""
    watch, said = CollapseWatch(**options), []
    for record in history:
        watch, sentence = collapse_after(watch, record)
        said.append(sentence)
    return said


def spoken(history, **options):
    """The steps of the records after which something is said, and what."""
    said = zip(history, said_by(history, **options), strict=True)
    return [(record["step"], sentence) for record, sentence in said if sentence]


FLAT = [0.001] * 30


def test_said_once_with_the_step_since_which_the_kl_has_not_risen():
    """Windows of at least two records and an eighth of the steps: 100-200, 300-400, 500-600."""
    assert spoken(records(FLAT)) == [
        (
            600,
            "at step 600 the latent variables carry 0.001 nats per example, and the KL has not risen since step 100: "
            "the posterior has collapsed onto the prior.",
        )
    ]
    for words in ("linear", "cyclical", "free_bits", "learning rate", "aggressive"):
        assert words in REMEDIES


SHAPES = {
    "in proportion to the steps, to 0.06 nats": lambda step: 0.06 * step / STEPS,
    "as their square root": lambda step: 0.06 * np.sqrt(step / STEPS),
    "exponentially, from next to nothing": lambda step: 1e-6 * np.exp(step / 200),
    "at last, after a fall": lambda step: 12 * np.exp(-step / 30) + 0.01 * (step / 300) ** 2,
}


@pytest.mark.parametrize("every", [5, 20, 100])
@pytest.mark.parametrize("rises", SHAPES)
def test_a_kl_that_still_rises_is_not_accused(rises, every):
    """Under noise of 2 % in every record; ten runs each."""
    steps = np.arange(every, STEPS + 1, every)
    for seed in range(10):
        rates = SHAPES[rises](steps) * (1 + 0.02 * np.random.default_rng(seed).normal(size=len(steps)))
        assert min(rates) < 0.1, "so low that only its rise speaks for it"
        assert not spoken(records(rates, every=every), warmed_up=STEPS // 10)


def test_a_short_run_that_still_rises_is_not_accused():
    assert not spoken(records([0.01, 0.03, 0.06]), warmed_up=30)
    assert not spoken(records(np.linspace(0.002, 0.06, 30), every=10), warmed_up=30)


@pytest.mark.parametrize(("noise", "latest"), [(0.0, 700), (0.1, 1500), (0.5, 1500)])
def test_a_flat_kl_is_named_under_any_noise(noise, latest):
    for seed in range(20):
        rates = 0.004 * np.abs(1 + noise * np.random.default_rng(seed).normal(size=STEPS // 10))
        [(step, sentence)] = spoken(records(rates, every=10), warmed_up=300)
        assert 400 < step <= latest
        assert "0.00" in sentence


def test_noise_around_zero_of_an_estimated_kl_is_named():
    rates = 0.002 * np.random.default_rng(0).normal(size=STEPS // 10)
    assert len(spoken(records(rates, every=10), warmed_up=300)) == 1


def test_a_fall_is_named_once_it_is_over():
    steps = np.arange(10, STEPS + 1, 10)
    [(step, sentence)] = spoken(records(12 / (1 + np.exp((steps - 1500) / 20)), every=10), warmed_up=300)
    assert 1700 < step < 2500, "two windows under the threshold"
    since = int(sentence.split("since step ")[1].split(":")[0])
    assert 1200 < since < 1600


def test_swings_above_the_threshold_on_average_are_left_alone():
    steps = np.arange(10, STEPS + 1, 10)
    assert not spoken(records(np.where(steps // 50 % 2, 3.0, 0.02), every=10), warmed_up=500)
    assert not spoken(records(1.0 + np.cos(steps / 100), every=10), warmed_up=500)


def test_a_warm_up_is_not_judged():
    rising_beta = [0.01] * 10 + [3.0] * 20
    assert spoken(records(rising_beta))
    assert not spoken(records(rising_beta), warmed_up=1_100)
    assert [step for step, _ in spoken(records([8.0] * 5 + FLAT), warmed_up=1_000)] == [1_600]


def test_idle_groups_of_several_are_named_each_once():
    groups = [{0: [4.0, 1.0], 1: 2.0 if i < 6 else 1e-4, 2: 5e-4, 3: 0.1 * (i + 1)} for i in range(30)]
    (first, second) = spoken(records([7.0] * 30, groups=groups))
    assert first[0] == 600
    assert "latent group 2 carries 0.0005 nats per example" in first[1]
    assert second[0] > 900
    assert "latent group 1 carries 0.0001" in second[1]
    assert "group 2" not in second[1]
    rising = [{0: 1.0, 1: 1e-4 * (i + 1)} for i in range(30)]
    assert not spoken(records([1.0] * 30, groups=rising))


def test_groups_are_not_named_where_nothing_is_carried_at_all():
    [(_, sentence)] = spoken(records(FLAT, groups=[{0: 0.0005, 1: 0.0005}] * 30))
    assert "the latent variables carry" in sentence
    assert "group" not in sentence
    assert len(spoken(records(FLAT, groups=[{0: [0.0, 0.001]}] * 30))) == 1, "the only group is judged by the whole rate"
    assert not spoken(records([0.5] * 30, groups=[{0: [0.0, 0.005]}] * 30))


def test_what_is_no_kl_of_training_says_nothing():
    assert not spoken(records(FLAT, split="validation"))
    assert not spoken([{"step": 100 * (i + 1), "split": "train", "kl": None} for i in range(30)])
    assert not spoken([{"step": 100 * (i + 1), "split": "train", "rate": 0.01, "rate/0": 0.01} for i in range(30)])
    assert not spoken(records([0.0] * 30)), "a model without a latent group has nothing that could collapse"


def test_a_resumed_run_goes_on_where_it_was():
    history = records([12.0, *[3.0] * 8, *FLAT[:12]], groups=[{0: 1.0, 1: 0.002}] * 21)
    said = said_by(history)
    assert sum(sentence is not None for sentence in said) == 2
    for cut in range(len(history) + 1):
        watch, later = collapse_after_all(CollapseWatch(), history[:cut]), []
        for record in history[cut:]:
            watch, sentence = collapse_after(watch, record)
            later.append(sentence)
        assert later == said[cut:]


def test_a_run_resumed_with_other_monitors_starts_its_windows_again():
    watch = collapse_after_all(CollapseWatch(), records(FLAT[:5], groups=[{0: 1.0, 1: 0.002}] * 5))
    later = [record | {"step": record["step"] + 500} for record in records(FLAT)]
    steps = []
    for record in later:
        watch, sentence = collapse_after(watch, record)
        steps += [record["step"]] if sentence else []
    assert len(steps) == 1


class Counted(dict):
    """A record that counts how often it is looked at."""

    looks = 0

    def __getitem__(self, name):
        self.looks += 1
        return super().__getitem__(name)

    def get(self, name, default=None):
        self.looks += 1
        return super().get(name, default)


def test_the_work_and_the_memory_per_record_do_not_grow_with_the_run():
    """Every record is looked at about as often as the first one, though 300 more come; five windows are kept."""
    groups = [{0: [4.0, 1.0], 1: 2.0}] * 300
    history = [Counted(record) for record in records([7.0] * 300, groups=groups)]
    watch = collapse_after_all(CollapseWatch(), history)
    assert max(record.looks for record in history) < 10
    assert len(watch.closed) == 5


def test_a_trough_before_a_rise_is_not_accused_while_it_falls_and_what_was_said_is_taken_back():
    """The KL of a run at beta 1.7 that falls at first, stands still and rises then."""
    steps = np.arange(20, 1500, 20)
    falling = 0.3 * np.exp(-steps / 150)
    watch, said = CollapseWatch(), []
    for step, nats in zip(steps, np.maximum(falling, 0.0), strict=True):
        watch, sentence = collapse_after(watch, {"step": int(step), "kl": float(nats)})
        said += [(step, sentence)] if sentence else []
    assert len(said) == 1, said
    assert said[0][0] > 450, "not before it is under a tenth of the threshold, whatever the slope"
    for step in range(1500, 4000, 20):
        watch, sentence = collapse_after(watch, {"step": step, "kl": 0.001 * (step - 1500)})
        said += [(step, sentence)] if sentence else []
    assert len(said) == 2
    assert "what was said of a collapse before no longer holds" in said[1][1]
    assert not watch.said
