"""The warning of a collapse: when, once, what it names, and what it costs."""

from vae.objectives import CollapseWatch, collapse_after, collapse_after_all


def records(*rates, groups=None, split="train"):
    return [
        {"step": 100 * (i + 1), "split": split, "kl": rate} | ({f"kl/{g}": v for g, v in groups[i].items()} if groups else {})
        for i, rate in enumerate(rates)
    ]


def warnings(history, **options):
    """What is said after each record, as a run would ask."""
    watch, said = CollapseWatch(**options), []
    for record in history:
        watch, sentence = collapse_after(watch, record)
        said.append(sentence)
    return said


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
    assert warnings([{"step": 1, "split": "train", "rate": 0.01, "rate/0": 0.01}]) == [None], "only a KL says what is carried"


def test_a_resumed_run_goes_on_where_it_was():
    history = records(12.0, 3.0, 0.05, 0.01, 5.0, 0.02)
    for cut in range(len(history) + 1):
        watch, said = collapse_after_all(CollapseWatch(), history[:cut]), []
        for record in history[cut:]:
            watch, sentence = collapse_after(watch, record)
            said.append(sentence)
        assert said == warnings(history)[cut:]


class Counted(dict):
    """A record that counts how often it is looked at."""

    looks = 0

    def __getitem__(self, name):
        self.looks += 1
        return super().__getitem__(name)

    def get(self, name, default=None):
        self.looks += 1
        return super().get(name, default)


def test_the_work_per_record_does_not_grow_with_the_run():
    """Every record is looked at as often as the first one, though 300 more come; none again when a later one is judged."""
    groups = [{0: [4.0, 1.0], 1: 2.0}] * 300
    history = [Counted(record) for record in records(*[7.0] * 300, groups=groups)]
    warnings(history)
    assert {record.looks for record in history} == {history[0].looks}
    assert history[0].looks < 10
