"""The service: loads exported MobileNet ONNX files and classifies images over HTTP."""

__version__ = "0.1.0"
