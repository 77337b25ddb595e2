import numpy as np
import pytest
from sklearn.datasets import load_digits

from vae.evaluation.features import classifier_features
from vae.evaluation.sample_quality import frechet_distance, with_reference_split


def test_features_of_a_classifier_tell_digits_apart_and_are_the_same_twice():
    digits = load_digits()
    images, labels = digits.images.astype(np.uint8), digits.target
    features = classifier_features(images[:1000], labels[:1000], seed=0, width=16, epochs=60)
    assert features.accuracy > 0.9
    extracted = features.extract(images[1200:])
    assert extracted.shape == (597, 16)
    assert np.all(extracted >= 0)
    again = classifier_features(images[:1000], labels[:1000], seed=0, width=16, epochs=60)
    np.testing.assert_array_equal(again.extract(images[1200:]), extracted)
    held_out = with_reference_split(frechet_distance, extracted, features.extract(images[1200:1400, ::-1]), seed=0)
    assert held_out.value > 3 * held_out.reference, "digits upside down are farther off than other digits"


def test_examples_and_labels_of_different_number_are_refused():
    with pytest.raises(ValueError, match="got 400 examples and 3 labels; wanted one label for each"):
        classifier_features(np.zeros((400, 5)), [0, 1, 2], seed=0)
