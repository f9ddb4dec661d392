"""The account of refused packets: sums and known losses are always what the kernel counted."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from carrel.node.account import MOST_DISTINCT, MOST_FLOWS, Account, Outcome, Past, Rest
from carrel.node.flow import Direction, Flow
from carrel.node.nflog import Batch
from carrel.render.nft import GROUP, WIRE_GROUP

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def flow(port: int) -> Flow:
    return Flow(Direction.OUT, "203.0.113.1", 17, port, 1000)


def batch(first: int, *ports: int) -> Batch:
    return Batch(GROUP, first, Counter(flow(port) for port in ports))


def counted(packets: int) -> dict[int, int]:
    return {GROUP: packets, WIRE_GROUP: 0}


NOTHING = counted(0)


def test_packets_of_one_flow_are_told_once() -> None:
    account = Account(Past())
    account.take(batch(0, 80, 80, 443), now=NOW)
    told = account.harvest()
    assert {each: tally.count for each, tally in told.flows.items()} == {flow(80): 2, flow(443): 1}
    assert (told.rest, told.lost) == ({}, {})
    assert account.compare(counted(3), before=NOTHING) is Outcome.EXACT


def test_a_hole_in_the_numbers_is_a_known_loss() -> None:
    account = Account(Past())
    account.take(batch(0, 80), now=NOW)
    account.take(batch(5, 80), now=NOW)
    assert account.harvest().lost == {GROUP: 4}
    assert account.compare(counted(6), before=NOTHING) is Outcome.EXACT


def test_what_comes_after_it_was_given_up_is_taken_back_from_the_loss() -> None:
    account = Account(Past())
    assert account.compare(counted(3), before=NOTHING) is Outcome.LOST
    account.take(batch(1, 80, 80), now=NOW)
    assert account.harvest().lost == {GROUP: 1}
    assert account.compare(counted(3), before=counted(3)) is Outcome.EXACT


def test_more_flows_than_are_told_one_by_one_are_one_sum() -> None:
    account = Account(Past())
    account.take(batch(0, *range(MOST_FLOWS + 3), MOST_FLOWS + 1), now=NOW)
    told = account.harvest()
    assert len(told.flows) == MOST_FLOWS
    assert told.rest == {GROUP: Rest(4, 3, NOW, NOW)}
    assert account.compare(counted(MOST_FLOWS + 4), before=NOTHING) is Outcome.EXACT


def test_a_clock_that_is_stepped_leaves_first_before_last_and_every_count() -> None:
    account = Account(Past())
    for hours in (0, -1, 2, -3):
        first = account.totals()[GROUP]
        account.take(batch(first, *range(MOST_FLOWS + 2)), now=NOW + timedelta(hours=hours))
    told = account.harvest()
    span = NOW - timedelta(hours=3), NOW + timedelta(hours=2)
    assert {(each.first, each.last) for each in told.flows.values()} == {span}
    assert told.rest[GROUP] == Rest(8, 2, *span)
    assert account.compare(counted(4 * (MOST_FLOWS + 2)), before=NOTHING) is Outcome.EXACT


def test_two_hundred_thousand_destinations_are_counted_and_not_remembered() -> None:
    account, many = Account(Past()), 200_000
    for port in range(0, many, 1_000):
        flows = Counter(
            flow(0)._replace(address=f"198.18.{number // 250}.{number % 250}")
            for number in range(port, port + 1_000)
        )
        account.take(Batch(GROUP, port, flows), now=NOW)
    told = account.harvest()
    assert len(told.flows) == MOST_FLOWS
    assert told.rest[GROUP] == Rest(many - MOST_FLOWS, MOST_DISTINCT, NOW, NOW)
    assert account.compare(counted(many), before=NOTHING) is Outcome.EXACT
    assert len(account.harvest().flows) == 0


def test_a_recorder_that_was_killed_goes_on_where_its_records_end() -> None:
    past = Past(recorded={GROUP: 10}, lost={GROUP: 2}, numbered={GROUP: 12})
    account = Account(past)
    account.take(batch(15, 80), now=NOW)
    assert account.harvest().lost == {GROUP: 3}
    assert account.compare(counted(16), before=counted(12)) is Outcome.EXACT


def test_numbers_that_wrap_are_no_loss() -> None:
    account = Account(Past(recorded={GROUP: 2**32 - 1}, numbered={GROUP: 2**32 - 1}))
    account.take(batch(2**32 - 1, 80), now=NOW)
    account.take(batch(0, 80), now=NOW)
    assert account.harvest().lost == {}


def test_counters_that_began_anew_are_found_out() -> None:
    account = Account(Past())
    account.take(batch(0, 80, 80), now=NOW)
    assert account.compare(counted(0), before=counted(2)) is Outcome.REBASED
    assert account.compare(counted(0), before=counted(2)) is Outcome.EXACT


def test_while_packets_go_on_coming_the_count_is_bounded_from_both_sides() -> None:
    account = Account(Past())
    account.take(batch(0, 80, 80, 80), now=NOW)
    assert account.compare(counted(2), before=counted(1)) is Outcome.BOUNDED


def test_the_kernels_list_says_where_lost_packets_went() -> None:
    account = Account(Past(destinations={("203.0.113.1", 17, 80): 4}))
    account.compare(counted(3), before=NOTHING)
    kernel = [(("203.0.113.1", 17, 80), 5), (("203.0.113.1", 17, 81), 2)]
    assert account.recover(kernel) == {("203.0.113.1", 17, 80): 1, ("203.0.113.1", 17, 81): 2}
    assert account.unrecovered == 0
    assert account.recover(kernel) == {}


def test_packets_that_no_socket_numbered_are_lost_once_and_stay_so() -> None:
    account = Account(Past())
    account.take(batch(0, 80, 80), now=NOW)
    account.renumber()  # a new socket; meanwhile the kernel counted 5 that nobody numbered
    assert account.compare(counted(7), before=counted(2)) is Outcome.LOST
    account.take(batch(0, 80), now=NOW)
    account.compare(counted(8), before=counted(2))
    account.take(batch(1, 80), now=NOW)
    assert account.compare(counted(9), before=counted(8)) is Outcome.EXACT
    assert account.lost[GROUP] == 5


@dataclass
class Life:
    """What durable records say, over recorders that die at any moment and sockets that do."""

    recorded: int = 0
    lost: int = 0
    numbered: int = 0
    """Of both, what came through the present socket."""

    def write(self, account: Account) -> None:
        """Make durable what is untold."""
        told = account.harvest()
        recorded = sum(tally.count for tally in told.flows.values())
        self.recorded += recorded
        self.lost += told.lost.get(GROUP, 0)
        self.numbered += recorded + told.lost.get(GROUP, 0)


FATES = ("seen", "dropped", "killed", "unlogged", "compared")


@given(st.lists(st.tuples(st.integers(1, 50), st.sampled_from(FATES)), max_size=40))
def test_whoever_dies_sums_and_losses_are_what_the_kernel_counted(
    steps: list[tuple[int, str]],
) -> None:
    life, kernel, number = Life(), 0, 0
    account = Account(Past())
    for packets, fate in [*steps, *2 * ((1, "seen"), (1, "compared")), (1, "seen")]:
        kernel += packets
        if fate == "unlogged":  # counted while there was no socket; now there is a new one
            life.write(account)
            account.renumber()
            life.numbered = number = 0
            continue
        if fate != "dropped":
            account.take(batch(number, *[80] * packets), now=NOW)
        number += packets
        if fate == "killed":  # before anything of the window was written
            account = Account(
                Past(
                    recorded={GROUP: life.recorded},
                    lost={GROUP: life.lost},
                    numbered={GROUP: life.numbered},
                )
            )
        elif fate == "seen":
            life.write(account)
        elif fate == "compared":
            before = account.totals()
            assert account.compare(counted(kernel), before=before) is not Outcome.REBASED
            life.write(account)
            assert life.recorded + life.lost == kernel
    # What was lost stays so: with nothing new lost, the last comparison finds nothing.
    assert account.compare(counted(kernel), before=account.totals()) is Outcome.EXACT
    assert life.recorded + life.lost == kernel
