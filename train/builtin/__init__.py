"""The built-in task: its base model and rollouts, and how they were made."""
