"""Where a request comes from."""

from ipaddress import IPv6Address, ip_address

from starlette.types import Scope

NETWORK_BITS = 64  # of IPv6: what one customer of a provider has; each has 2^64 addresses in it


def address_of(scope: Scope) -> str:
    """Return the address that asks, an IPv6 one as its network; empty where there is none.

    Behind a proxy it is the client's as the proxy tells it, if uvicorn is told to believe the
    proxy (`FORWARDED_ALLOW_IPS`).
    """
    host = (scope.get("client") or ("", 0))[0]
    try:
        ip = ip_address(host.partition("%")[0])
    except ValueError:
        return str(host)
    if not isinstance(ip, IPv6Address):
        return str(ip)
    if ip.ipv4_mapped:
        return str(ip.ipv4_mapped)
    return f"{IPv6Address(int(ip) >> NETWORK_BITS << NETWORK_BITS)}/{NETWORK_BITS}"
