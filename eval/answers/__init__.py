"""From a completion to its answer, and from two answers to whether they are equal."""
