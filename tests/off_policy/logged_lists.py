"""Synthetic logs of lists that explored, whose truth is known. Needs numpy alone: make_obp.py runs it in an environment of its own.

A user is shown lists of `slots` items out of `candidates`, in an order that depends on the user's taste and is drawn as the macro
`explored` of sql/macros/ranking.sql draws it. An item is clicked with the probability examination(position) * attraction(item) *
activity(user). The new lists swap the greedy item of some slots for its first alternative, so that the log supports them all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SLOTS, CANDIDATES = 4, 12


@dataclass(frozen=True)
class Logged:
    """Columns by impression, and the click-through rate that the new lists have for all users there could be."""

    users: np.ndarray
    draws: np.ndarray
    positions: np.ndarray
    items: np.ndarray
    propensities: np.ndarray
    rewards: np.ndarray
    new_items: np.ndarray
    truth: float


def logged_lists(
    seed: int, users: int = 400, lists: int = 3, explore: float = 0.4, shared_draws: bool = False
) -> Logged:
    """`shared_draws`: all users see the same order, and hundreds of them the same draw of it."""
    random = np.random.default_rng(seed)
    attraction = np.linspace(0.5, 0.02, CANDIDATES)
    examination = 1 / np.arange(1, SLOTS + 1)
    taste = random.permuted(np.tile(np.arange(CANDIDATES), (users, 1)), axis=1)
    if shared_draws:
        taste[:] = np.arange(CANDIDATES)
    activity = random.uniform(0.2, 1.8, users)
    draw_of = random.integers(0, 12, (users, lists)) if shared_draws else np.arange(users * lists).reshape(users, lists)
    draws = int(draw_of.max()) + 1
    others = (CANDIDATES - 1 - np.arange(SLOTS)) // SLOTS
    is_explored = random.random((draws, SLOTS)) < explore
    which = 1 + (random.random((draws, SLOTS)) * others).astype(int)
    turns = np.where(is_explored, which, 0)
    user = np.repeat(np.arange(users), lists * SLOTS)
    draw = np.repeat(draw_of.ravel(), SLOTS)
    slot = np.tile(np.arange(SLOTS), users * lists)
    turn = turns[draw, slot]
    items = taste[user, slot + turn * SLOTS]
    new_items = taste[user, slot + (slot % 2) * SLOTS]
    propensities = np.where(turn == 0, 1 - explore, explore / others[slot])
    chances = examination[slot] * attraction[items] * activity[user]
    in_order = attraction[np.arange(SLOTS) + np.arange(SLOTS) % 2 * SLOTS] if shared_draws else attraction.mean()
    truth = float((examination * in_order).mean())
    rewards = (random.random(len(user)) < chances).astype(float)
    return Logged(user, draw, slot + 1, items, propensities, rewards, new_items, truth)
