"""One run and many: set-up, the loop, its result and pictures."""
