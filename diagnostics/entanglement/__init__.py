"""How the gradients of correct and incorrect completions are entangled."""
