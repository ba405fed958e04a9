"""Where a run computes: devices, processes, shards, memory."""
