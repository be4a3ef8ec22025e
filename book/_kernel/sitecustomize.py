"""Imported by Python at the start of every kernel that runs a page's cells.

A page must build on a train: an attempt to reach beyond this machine is an
error, not a wait. (Jupyter itself talks to the kernel over loopback.)
"""

import ipaddress
import sys


def is_here(host: object) -> bool:
    if host in (None, "", "localhost", b"localhost"):
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


def stay_here(event: str, args: tuple) -> None:
    if event in ("socket.connect", "socket.sendto"):
        address = args[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = args[0]
    else:
        return
    if not is_here(host):
        raise PermissionError(
            f"the cells of a page may not use the network, but one asked"
            f" for {host!r}; vendor the data, with its provenance"
        )


sys.addaudithook(stay_here)
