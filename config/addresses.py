"""Which addresses an outgoing request may reach."""

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

# Prefixes whose last 32 bits are an IPv4 address: NAT64 (RFC 6052) and the old "compatible" form.
EMBEDDING_PREFIXES = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))


# All that IANA has given out for the public internet, but for examples; what `ipaddress` calls
# global depends on the age of its tables, and includes much that is not.
UNICAST = IPv6Network("2000::/3")
EXAMPLES = IPv6Network("3fff::/20")


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of `host`, in the order in which to try them.

    The system's resolver also reads the odd spellings (`127.1`, `0x7f000001`, `2130706433`), so
    what is checked is what is connected to. It takes as long as `resolv.conf` lets it.
    Raises socket.gaierror.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_allowed(address: str, *, allow_loopback: bool) -> bool:
    """Say whether an address is on the public internet (or, where allowed, this machine)."""
    ip = _innermost(ip_address(address.partition("%")[0]))
    if ip.is_loopback:
        return allow_loopback
    if isinstance(ip, IPv6Address) and (ip not in UNICAST or ip in EXAMPLES):
        return False
    return ip.is_global and not ip.is_multicast


def _innermost(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that a transition mechanism would deliver to, or `ip` itself."""
    if isinstance(ip, IPv4Address) or ip.is_loopback or ip.is_unspecified:
        return ip
    if ip.ipv4_mapped or ip.sixtofour:
        return ip.ipv4_mapped or ip.sixtofour or ip
    if ip.teredo:
        return ip.teredo[1]
    if any(ip in prefix for prefix in EMBEDDING_PREFIXES):
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip
