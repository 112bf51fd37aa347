import pytest

from config.addresses import is_allowed

LOOPBACK = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]
PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",  # metadata of most clouds
    "100.100.100.200",  # metadata of Alibaba's cloud, in the carriers' range
    "0.0.0.0",
    "255.255.255.255",
    "224.0.0.251",
    "239.1.1.1",
    "240.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "2001:db8::1",
    "::ffff:10.0.0.1",
    "::10.0.0.1",
    "fec0::1",
    "5f00::1",
    "3fff::1",
    "4000::1",
    "2002:a00:1::",  # 6to4 of 10.0.0.1
    "2002:7f00:1::",
    "64:ff9b::a00:1",  # NAT64 of 10.0.0.1
    "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1",
    "2001:0:a00:1::f5ff:fffe",  # Teredo
]
PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
@pytest.mark.parametrize("allow_loopback", [False, True])
def test_a_private_address_is_never_allowed(address: str, allow_loopback: bool) -> None:
    if "7f00" not in address:
        assert not is_allowed(address, allow_loopback=allow_loopback)
    assert not is_allowed(address, allow_loopback=False)


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_is_allowed_by_the_setting_only(address: str) -> None:
    assert is_allowed(address, allow_loopback=True)
    assert not is_allowed(address, allow_loopback=False)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address: str) -> None:
    assert is_allowed(address, allow_loopback=False)
