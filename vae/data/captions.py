"""Sentences as tokens of a fixed number, padded at the end: of a small grammar, or of the frequent words of any language."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vae.requirements import require

PADDING = 0


class Grammar(NamedTuple):
    """What a sentence may say, one word at most for each thing, in the order in which it says it.

    slots: by name, the words that may stand there; "" says nothing.

    A token is the number of a word, from 1 on, in the order of the slots and words; 0 is padding.

    >>> grammar = Grammar({"size": ("small", "", "large"), "animal": ("cat", "dog")})
    >>> grammar.tokens({"size": [2, 1], "animal": [0, 1]}).tolist()
    [[2, 3], [4, 0]]
    >>> grammar.sentence([2, 3]), grammar.length, grammar.words
    ('large cat', 2, 5)
    """

    slots: Mapping[str, tuple[str, ...]]

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The words by their token; the first is padding."""
        return ("", *(word for words in self.slots.values() for word in words if word))

    @property
    def words(self) -> int:
        """How many tokens there are, padding among them."""
        return len(self.vocabulary)

    @property
    def length(self) -> int:
        """Of every sentence, padding included."""
        return len(self.slots)

    def tokens(self, said: Mapping[str, Any]) -> np.ndarray:
        """The sentences that choose the words with these numbers: (N, length) int32.

        said: by slot, (N,) whole numbers, which of its words each sentence has.

        Raises ValueError for other slots, and for numbers that none of the words has.
        """
        require(set(said) == set(self.slots), f"said is of {sorted(said)}; wanted the slots {sorted(self.slots)}.")
        columns = []
        for name, words in self.slots.items():
            chosen = np.asarray(said[name])
            require(
                bool(np.all((chosen >= 0) & (chosen < len(words)))),
                f"the {name} is said by words with the numbers {np.unique(chosen)[:20].tolist()}; wanted 0 to "
                f"{len(words) - 1}, as there are {len(words)}.",
            )
            columns.append(self.of_slot(name)[chosen])
        rows = np.stack(columns, axis=1)
        order = np.argsort(rows == PADDING, axis=1, kind="stable")
        return np.take_along_axis(rows, order, axis=1)

    def of_slot(self, name: str) -> np.ndarray:
        """The tokens of a slot's words, int32; padding for the one that says nothing."""
        known = list(self.vocabulary)
        return np.array([known.index(word) if word else PADDING for word in self.slots[name]], np.int32)

    def sentence(self, tokens: Any) -> str:
        """One sentence in words; ValueError for a token that there is not."""
        numbers = np.asarray(tokens)
        require(
            bool(np.all((numbers >= 0) & (numbers < self.words))),
            f"the tokens are {numbers.tolist()}; wanted 0 to {self.words - 1}, as the grammar has {self.words} of them.",
        )
        return " ".join(self.vocabulary[token] for token in numbers if token != PADDING)


def thirds(values: Any, edges: Any) -> np.ndarray:
    """0, 1 or 2 for values below, between and above two edges, such as the terciles of the training examples."""
    return np.searchsorted(np.asarray(edges), np.asarray(values)).astype(np.int32)


def frequent_words(sentences: Sequence[str], at_least: int) -> tuple[str, ...]:
    """The words that stand in so many sentences or more, the most frequent first, equally frequent ones by the alphabet.

    >>> frequent_words(["a red cat", "a cat", "a dog"], 2)
    ('a', 'cat')
    """
    counts = Counter(word for sentence in sentences for word in set(words_of(sentence)))
    return tuple(word for word, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])) if count >= at_least)


def tokens_of(sentences: Sequence[str], vocabulary: Sequence[str], length: int) -> np.ndarray:
    """(N, length) int32: the words that the vocabulary has, numbered from 1 on in its order, the first `length` of each.

    Other words are left out; 0 is padding.

    >>> tokens_of(["a red cat", "dog"], ("a", "cat"), 3).tolist()
    [[1, 2, 0], [0, 0, 0]]
    """
    numbers = {word: 1 + place for place, word in enumerate(vocabulary)}
    known = [[numbers[word] for word in words_of(sentence) if word in numbers][:length] for sentence in sentences]
    return np.array([row + [PADDING] * (length - len(row)) for row in known], np.int32).reshape(-1, length)


def words_of(sentence: str) -> list[str]:
    """Its words in lower case, without the punctuation around them."""
    return [word for word in (part.strip(".,:;!?()\"'").lower() for part in sentence.split()) if word]
