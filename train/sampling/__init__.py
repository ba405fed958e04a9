"""Completions while training: what is evaluated, and what is trained on online."""
