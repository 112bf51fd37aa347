"""Which addresses an outgoing request may reach."""

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# The special-purpose registry of IANA (RFC 6890), and all multicast. What `ipaddress` calls global
# depends on the age of its tables: Python 3.11 lets 192.0.0.192 pass, a metadata server of Oracle.
SPECIAL_V4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # "this" network; Linux connects 0.0.0.0 to itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' NAT, and a metadata server of Alibaba's
        "127.0.0.0/8",
        "168.63.129.16/32",  # not in the registry: what Azure answers to its own machines
        "169.254.0.0/16",  # link-local: the metadata servers of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)

# All of version 6 that has been given out for the public internet, but for what is special in it.
UNICAST_V6 = IPv6Network("2000::/3")
SPECIAL_V6 = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which carries an IPv4 address within
        "3fff::/20",  # documentation
    )
)
# Its last 32 bits are an IPv4 address (RFC 6052). Networks without IPv4 reach all of it that way.
NAT64 = IPv6Network("64:ff9b::/96")


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of `host`, in the order in which to try them.

    The system's resolver also reads the odd spellings (`127.1`, `0x7f000001`, `2130706433`), so
    what is checked is what is connected to. It takes as long as `resolv.conf` lets it.
    Raises socket.gaierror; UnicodeError for what cannot be a name.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_allowed(address: str, *, allow_loopback: bool) -> bool:
    """Say whether an address is on the public internet (or, where allowed, this machine).

    What cannot be read, or names a network interface (`fe80::1%eth0`), is not.
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        if ip.scope_id is not None:
            return False
        if ip in NAT64:
            return _is_public(IPv4Address(int(ip) & 0xFFFFFFFF))
        ip = ip.ipv4_mapped or ip
    return allow_loopback if ip.is_loopback else _is_public(ip)


def _is_public(ip: IPv4Address | IPv6Address) -> bool:
    if isinstance(ip, IPv4Address):
        return not any(ip in block for block in SPECIAL_V4)
    return ip in UNICAST_V6 and not any(ip in block for block in SPECIAL_V6)
