"""Simulated shoppers who use a shop through its front door, and what is true of them: to judge what the shop reports."""
