"""Decode a batch: in step with a cache of ours, or by a model's own `generate`; draws are ours."""
