"""Errors of the disk as problems that a client can act on."""

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from app.errors import StorageFull, StoreUnusable

log = logging.getLogger(__name__)
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def disk_errors() -> Iterator[None]:
    """Turn errors of the operating system into problems without paths, which the log has.

    Raises:
        StorageFull: the disk is full.
        StoreUnusable: any other error.
    """
    try:
        yield
    except OSError as error:
        log.error("Cannot use the folder of heads: %s", error)
        if error.errno in FULL:
            raise StorageFull(
                "The disk is full. Nothing was kept; delete something and try again."
            ) from error
        raise StoreUnusable(
            "Cannot use the folder of the setting `heads`. The server's log has the reason."
        ) from error
