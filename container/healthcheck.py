"""Request /readyz once; exit status 0 if the service in this container is ready.

It runs every few seconds on a small board, so it imports little: a socket instead of urllib, no
`site`. It follows the variables for the port, address and TLS of the service.
"""

import os
import socket
import sys

TIMEOUT_S = 2
HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  an address to listen on, not to connect to


def status_line() -> bytes:
    """The first line of the answer."""
    host = os.environ.get("GATEWAY_HOST", "127.0.0.1")
    port = int(os.environ.get("GATEWAY_PORT", "8000"))
    with socket.create_connection((HERE.get(host, host), port), TIMEOUT_S) as plain:
        connection = plain
        if "GATEWAY_TLS_CERT" in os.environ:
            import ssl

            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False  # its name is that for clients outside the container
            context.verify_mode = ssl.CERT_NONE
            connection = context.wrap_socket(plain)
        connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return connection.makefile("rb").readline()


if __name__ == "__main__":
    try:
        line = status_line()
    except OSError as error:
        sys.exit(f"not ready: {error}")
    sys.exit(0 if b" 200 " in line else f"not ready: {line.decode(errors='replace').strip()}")
