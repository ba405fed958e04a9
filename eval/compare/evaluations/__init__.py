"""Evaluations of models compared: folders of python -m eval, files of lm-evaluation-harness."""
