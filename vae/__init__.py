"""Variational autoencoders in JAX, as pure functions that compose."""
