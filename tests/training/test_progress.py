"""What stands beside the progress bar."""

import pytest

from vae.training.progress import headline

SPEED = {"images_per_second": 1234.0, "log_likelihood": -3.0}


@pytest.mark.parametrize(
    ("record", "shown"),
    [
        ({"elbo": -4.0, "kl": 1.0}, "ELBO    -4.00  KL     1.00     1,234 images/s"),
        ({"score": -4.0, "kl": 1.0}, "score    -4.00  KL     1.00     1,234 images/s"),
        ({"score": -4.0, "rate": 1.0}, "score    -4.00  rate     1.00     1,234 images/s"),
        ({"elbo": None, "kl": None}, "ELBO     none  KL     none     1,234 images/s"),
    ],
)
def test_a_record_is_shown_by_what_it_claims_and_where_a_number_was_not_finite(record, shown):
    assert headline(SPEED | record) == shown
