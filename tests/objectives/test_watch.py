"""The warning of a collapse: when, once, and what it names."""

from vae.objectives import collapse_warning


def records(*rates, groups=None, split="train"):
    return [
        {"step": 100 * (i + 1), "split": split, "kl": rate} | ({f"kl/{g}": v for g, v in groups[i].items()} if groups else {})
        for i, rate in enumerate(rates)
    ]


def warnings(history, **options):
    """What is said after each record, as a run would ask."""
    return [collapse_warning(history[: i + 1], **options) for i in range(len(history))]


def test_said_once_and_names_every_remedy():
    said = warnings(records(12.0, 3.0, 0.05, 0.01, 5.0, 0.02))
    assert [text is not None for text in said] == [False, False, True, False, False, False]
    for words in ("step 300", "0.05 nats", "linear", "cyclical", "free_bits", "learning rate", "aggressive"):
        assert words in said[2]


def test_a_warm_up_is_not_judged():
    said = warnings(records(0.01, 0.01, 0.01, 8.0, 0.02), warmed_up=400)
    assert [text is not None for text in said] == [False, False, False, False, True]


def test_one_idle_group_of_several_is_named():
    groups = [{0: [4.0, 1.0], 1: 2.0}, {0: [4.0, 1.0], 1: 0.001}]
    said = warnings(records(7.0, 5.0, groups=groups))
    assert said[0] is None
    assert "latent group 1 carries under" in said[1]
    alone = [{0: [0.0, 0.005]}]
    assert warnings(records(0.5, groups=alone)) == [None], "the only group is judged by the whole rate"


def test_validation_and_missing_rates_say_nothing():
    assert warnings(records(0.01, split="validation")) == [None]
    assert warnings([{"step": 1, "split": "train", "kl": None}]) == [None]
    assert collapse_warning([]) is None
