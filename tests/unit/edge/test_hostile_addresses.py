"""No address of the corpus gets a connection, whatever it is written like."""

from ipaddress import ip_address

import pytest

from config.addresses import SPECIAL_V4, is_allowed
from config.fetch import Failed, GuardedClient, Refused, check_url
from config.settings import FetchSettings
from tests.hostile_addresses import HOSTS, NOT_PUBLIC, PUBLIC, SPELLINGS, URLS, within_url
from tests.networks import Internet, Names

LIMITS = FetchSettings(timeout_s=5.0)
NAMED = Names(files=[["93.184.216.34"]])
LOOPBACK = ("127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1")


def reason(url: str, resolver: Names = NAMED) -> str:
    """Return why a URL is refused, after seeing that nobody was connected to for it."""
    internet = Internet()
    client = GuardedClient(LIMITS, resolver=resolver, dial=internet)
    with pytest.raises(Refused) as refused:
        client.download(url)
    with pytest.raises(Refused, match=str(refused.value)):
        client.send("POST", url, headers={"Authorization": "Bearer secret"}, content=b"{}")
    assert internet.dialled == []
    return refused.value.reason


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_not_allowed(address: str) -> None:
    assert not is_allowed(address, allow_loopback=False)
    assert is_allowed(address, allow_loopback=True) == (address in LOOPBACK)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_a_name_of_an_address_that_is_not_public_is_refused(address: str) -> None:
    alone = Names(inside=[[address]])
    assert reason("http://inside.example/", alone) == "address"
    for mixed in (["93.184.216.34", address], [address, "93.184.216.34"]):
        assert reason("http://inside.example/", Names(inside=[mixed])) == "address"


@pytest.mark.parametrize("address", [one for one in NOT_PUBLIC if "%" not in one])
def test_a_number_that_is_not_public_is_refused(address: str) -> None:
    assert reason(within_url(address)) == "address"


@pytest.mark.parametrize("host", SPELLINGS)
def test_another_spelling_does_not_help(host: str) -> None:
    assert reason(f"http://{host}/") in {"address", "host"}
    assert reason(f"https://{host}:8443/") in {"address", "host"}


@pytest.mark.parametrize("host", HOSTS)
def test_what_is_no_host_is_refused(host: str) -> None:
    assert reason(f"http://{host}/") == "host"


@pytest.mark.parametrize(("url", "why"), URLS, ids=[url[:40] for url, _ in URLS])
def test_a_hostile_url_is_refused(url: str, why: str) -> None:
    assert reason(url) == why


@pytest.mark.parametrize("answer", ["127.1", "0x7f000001", "2130706433", "localhost", "", "::1%lo"])
def test_a_resolver_that_answers_in_riddles_is_not_believed(answer: str) -> None:
    assert reason("http://riddle.example/", Names(riddle=[[answer]])) == "address"


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_connected_to_as_it_was_checked(address: str) -> None:
    internet, names = Internet(), Names(two_faced=[[address], ["127.0.0.1"]])
    with pytest.raises(Failed):
        GuardedClient(LIMITS, resolver=names, dial=internet).download("http://two_faced.example/")
    assert internet.dialled == [address]
    assert names.asked == ["two_faced.example"], "a second question might be answered otherwise"


def test_the_other_addresses_of_a_name_are_tried_without_asking_again() -> None:
    internet, names = Internet(), Names(rebinding=[["93.184.216.34", "8.8.8.8"], ["10.0.0.1"]])
    with pytest.raises(Failed):
        GuardedClient(LIMITS, resolver=names, dial=internet).download("http://rebinding.example/")
    assert internet.dialled == ["93.184.216.34", "8.8.8.8"]


@pytest.mark.parametrize("block", SPECIAL_V4)
def test_a_special_block_is_closed_from_end_to_end(block: object) -> None:
    first, _, bits = str(block).partition("/")
    last = ip_address(int(ip_address(first)) + 2 ** (32 - int(bits)) - 1)
    assert not is_allowed(first, allow_loopback=False)
    assert not is_allowed(str(last), allow_loopback=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://files.example/book.txt",
        "HTTPS://Files.Example:443/a%20b?x=1#y",
        "http://files.example:8080",
        "http://my_files.example./",
        "http://bücher.example/",
        "http://xn--bcher-kva.example/",
        "http://8.8.8.8/",
        "http://[2606:4700::1111]:11434/v1",
    ],
)
def test_an_ordinary_url_passes(url: str) -> None:
    assert check_url(url).raw_scheme in {b"http", b"https"}
