"""The family as code: definitions, costs, checkpoint readers and the ONNX export."""
