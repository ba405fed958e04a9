"""Completions of problems, sampled and graded, to be trained on."""
