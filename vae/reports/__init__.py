"""What is made of an evaluation for people to look at: the figures of a trained model."""

from vae.reports.figures import figures_of as figures_of
