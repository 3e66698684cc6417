"""Paths that more than one package has to know."""

PREDICT = "/predict"
OIP = "/v2"  # the Open Inference Protocol over HTTP
OIP_SERVICE = "inference.GRPCInferenceService"  # the same protocol over gRPC

# Probes never need an API key: whoever restarts the service does not have one.
PROBES = frozenset(
    {
        *("/healthz", "/readyz", f"{OIP}/health/live", f"{OIP}/health/ready"),
        *(f"/{OIP_SERVICE}/{call}" for call in ("ServerLive", "ServerReady")),
    }
)
# Requested every few seconds, so logged at debug level only and never traced.
QUIET = PROBES | {"/metrics"}


def speaks_oip(path: str) -> bool:
    """Whether the Open Inference Protocol is spoken at this path, which has its own errors."""
    return path == OIP or path.startswith(f"{OIP}/")
