"""Check the address that the page is to be served at, before anything that takes long, and who reaches it."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket

LOCALHOST = "127.0.0.1"


def why_not_served(host: str | None, port: int | str | None) -> str:
    """Return one sentence on why nothing can be served at this address; empty where something can.

    Args:
        host: a name or number of this machine; None or "" for this machine only.
        port: 1 to 65535, or its digits; None or "" where Gradio is to find a free one.
    """
    if port not in (None, ""):
        if not str(port).isascii() or not str(port).isdigit() or not 1 <= int(port) <= 65535:
            return f"port {port} is out of range: choose one from 1 to 65535, such as 7860"
        port = int(port)
    host = (host or LOCALHOST).removeprefix("[").removesuffix("]")
    try:
        found = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        return f"there is no address {host}: leave --host out, or give 0.0.0.0 for all of this machine"
    for family, kind, protocol, _, address in found:
        if reason := _why_not_bound(family, kind, protocol, address):
            return _sentence(reason, host, port)
    if port and (reason := _why_not_bound(socket.AF_INET, socket.SOCK_STREAM, 0, (LOCALHOST, port))):
        return _sentence(reason, LOCALHOST, port)  # where Gradio looks whether the port is free
    return ""


def is_loopback(host: str | None) -> bool:
    """Return whether only this machine reaches a host: localhost, 127.0.0.1, ::1 and the like.

    Args:
        host: a name or an address, without a port; None or "" stands for this machine only.
    """
    name = (host or LOCALHOST).lower().removeprefix("[").removesuffix("]")
    address = parse_address(name)
    return name == "localhost" or (address is not None and address.is_loopback)


def parse_address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return a host that is written as an IP address, or None for a name."""
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _why_not_bound(family: int, kind: int, protocol: int, address: tuple) -> OSError | None:
    try:
        with socket.socket(family, kind, protocol) as probe:
            if os.name == "posix":  # elsewhere it would let two programs share a port
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None


def _sentence(reason: OSError, host: str, port: int | None) -> str:
    if reason.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is in use: end what uses it, or choose another with --port"
    if reason.errno == errno.EACCES:
        return f"port {port} of {host} is reserved: choose one from 1024 on with --port"
    if reason.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine: leave --host out, or give 0.0.0.0 for all addresses"
    where = host if port is None else f"{host}, port {port}"
    return f"nothing can be served at {where}: {reason.strerror or reason}"
