"""Whether a server is open to more than its own machine."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address that is listened on."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def warning_of(host: str, keys: object) -> str | None:
    """What to say of a server that anybody who reaches it may ask; None where nobody else does, or it asks for keys."""
    if keys or is_loopback(host):
        return None
    return f"everybody who reaches {host} may ask the models; expected --keys FILE, which telmo keys add makes"
