"""From a name to a policy, its reference and its past."""
