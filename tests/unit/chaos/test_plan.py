"""The same seed plans the same faults, and no kind of fault is left out."""

from collections import Counter

from tests.chaos.plan import PROCESSES, kinds, links, plan


def test_a_seed_plans_the_same_faults_again_and_another_one_others() -> None:
    first = plan(7, lasts_s=600)

    assert plan(7, lasts_s=600) == first
    assert plan(7, lasts_s=60) == [one for one in first if one.at_s <= 60]
    assert plan(8, lasts_s=600) != first


def test_each_round_has_every_kind_of_fault() -> None:
    known = kinds()
    round_ = sum(one.times for one in known.values())

    found = plan(3, lasts_s=0, faults=2 * round_)

    assert Counter(one.kind for one in found[:round_]) == {k: one.times for k, one in known.items()}
    assert [one.at_s for one in found] == sorted(one.at_s for one in found)
    assert all(one.target in known[one.kind].targets for one in found)


def test_a_proxy_sits_between_every_pair_that_talks() -> None:
    pairs = {link.rpartition("-")[::2] for link in links()}

    assert {(name, "postgres") for name in PROCESSES} <= pairs
    assert {(name, "redis") for name in PROCESSES if not name.startswith("beat")} <= pairs
    assert {("client", "web"), ("io-1", "models"), ("workers", "hooks")} <= pairs


def test_a_smaller_site_has_no_faults_of_processes_that_are_not_there() -> None:
    names = ("web", "io-1", "beat-1")

    targets = {one.target for one in plan(1, lasts_s=0, faults=200, names=names)}

    assert not {one for one in targets if one.startswith(("cpu", "stream", "io-2", "beat-2"))}
