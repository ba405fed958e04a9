"""The built-in tasks: base models and rollouts, and how they were made."""
