"""Environment variables that Kubernetes and Docker set for other services.

For a Service named `gateway`, Kubernetes gives every container of the namespace `GATEWAY_PORT`,
`GATEWAY_SERVICE_HOST` and their kind, in the form of Docker's links:
https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
"""

import re
from collections.abc import Mapping

ADDRESS = re.compile(r"(tcp|udp|sctp)://")
NAME = re.compile(
    r".*_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)


def without_service_links(variables: Mapping[str, str | None]) -> dict[str, str | None]:
    """The variables that do not tell where another service listens.

    `GATEWAY_PORT` and `GATEWAY_GRPC_PORT` are settings too, so their values decide.
    """
    return {
        name: value
        for name, value in variables.items()
        if not NAME.fullmatch(name.upper())
        and not (name.upper().endswith("_PORT") and ADDRESS.match(value or ""))
    }
