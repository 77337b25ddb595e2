"""A grammar of one word for each thing: sentences become tokens and words again, and what it cannot say is refused."""

import doctest
import itertools

import numpy as np
import pytest

from vae.data import captions
from vae.data.captions import Grammar, thirds

GRAMMAR = Grammar({"size": ("small", "", "large"), "animal": ("cat", "dog"), "place": ("", "here")})


def test_the_examples_run():
    assert doctest.testmod(captions) == doctest.TestResults(failed=0, attempted=5)


def test_words_are_the_same_with_other_letters_and_marks_and_a_long_sentence_is_cut():
    sentences = ["Waving hand: medium skin tone", "hand, (raised)", "TONE"]
    assert captions.frequent_words(sentences, 2) == ("hand", "tone")
    assert captions.tokens_of(sentences, ("tone", "hand"), 1).tolist() == [[2], [2], [1]]


def test_every_choice_is_another_sentence_with_padding_at_its_end():
    choices = np.array(list(itertools.product(range(3), range(2), range(2))))
    tokens = GRAMMAR.tokens(dict(zip(GRAMMAR.slots, choices.T, strict=True)))
    assert len({row.tobytes() for row in tokens}) == 12
    for choice, row in zip(choices, tokens, strict=True):
        words = [options[number] for options, number in zip(GRAMMAR.slots.values(), choice, strict=True)]
        assert GRAMMAR.sentence(row) == " ".join(word for word in words if word)
        used = row != captions.PADDING
        assert not np.any(np.diff(used.astype(int)) > 0), "no word behind padding"
    assert tokens.dtype == np.int32
    assert tokens.max() == GRAMMAR.words - 1


def test_what_the_grammar_cannot_say_is_refused():
    with pytest.raises(ValueError, match=r"size is said by words with the numbers \[3\]; wanted 0 to 2"):
        GRAMMAR.tokens({"size": [3], "animal": [0], "place": [0]})
    with pytest.raises(ValueError, match=r"wanted the slots \['animal', 'place', 'size'\]"):
        GRAMMAR.tokens({"size": [0]})
    with pytest.raises(ValueError, match=r"tokens are \[9\]; wanted 0 to 5"):
        GRAMMAR.sentence([9])


def test_thirds_by_their_edges():
    np.testing.assert_array_equal(thirds([-1.0, 0.5, 2.0], (0.0, 1.0)), [0, 1, 2])
