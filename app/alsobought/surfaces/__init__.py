"""Surfaces: the places of a shop where lists are shown, and the experiments on them."""
