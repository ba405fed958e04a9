"""Ready settings and model configurations, as files."""
