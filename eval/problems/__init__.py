"""Problems to solve: files, benchmarks, the built-in arithmetic."""
