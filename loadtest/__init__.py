"""Load generators, the benchmark and the side-by-side with other model servers."""
