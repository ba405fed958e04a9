"""How well the future policy is forecast."""
