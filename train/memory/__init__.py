"""Memory that a training run needs, computed before it starts."""
