"""A run on disk: its folder, checkpoints and state, and a run read back."""
