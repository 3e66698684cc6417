"""The Open Inference Protocol (KServe V2), as far as it makes sense for a classifier."""
