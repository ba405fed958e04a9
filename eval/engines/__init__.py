"""What completions are sampled by: token ids in, token ids out, whoever computes."""
