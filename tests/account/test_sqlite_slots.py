"""The slots of a key are divided among clients: never too many, in turn, and none is lost."""

import random

import pytest
from everyday import cases

from modelslab_async import Ticket
from modelslab_async._account.report_and_answer_types import KeyReport, SlotUse


async def test_no_more_slots_than_the_queue_has(members):
    """Two clients together get as many slots as the account has."""
    one, other = members(2, queue=3)
    await one.report(waiting=2)
    await other.report(waiting=2)
    assert (2, 1) == (one.in_flight, other.in_flight)


async def test_without_a_limit_each_submit_is_admitted(members):
    """An account without a queue limits no submit."""
    (member,) = members(1, queue=None)
    allotment = await member.report(waiting=50)
    assert allotment.slot_limit is None


async def test_free_slot_goes_to_another_client(members):
    """A ticket that is no longer reported frees its slot."""
    one, other = members(2, queue=1)
    await one.report(waiting=1)
    one.submitted(1)
    await one.report()
    await other.report(waiting=1)
    assert 0 == other.in_flight
    one.tickets.clear()
    await one.report()
    await other.report(waiting=1)
    assert 1 == other.in_flight


async def test_clients_that_wait_get_slots_in_turn(members, clock):
    """A client with a thousand submits does not keep out one with a single submit."""
    greedy, modest = members(2, queue=1)
    await greedy.report(waiting=1000)
    clock.now += 0.01
    await modest.report(waiting=1)
    for expected in (1, 0):
        clock.now += 0.01
        greedy.in_flight = 0
        await greedy.report(waiting=1000)
        assert expected == greedy.in_flight, "the client that waits for longest is first"
    await modest.report(waiting=1)
    assert 1 == modest.in_flight


async def test_client_that_stands_still_loses_its_turn(members, clock):
    """A stopped process that waits for a slot does not hold up the others."""
    stopped, running = members(2, queue=1)
    await running.report(waiting=1)
    await stopped.report(waiting=1)
    running.in_flight = 0
    clock.now += 1.0
    await running.report(waiting=1)
    assert 1 == running.in_flight


async def test_holder_hears_that_others_wait(members):
    """A client that waits for nothing learns that its tickets should be polled often."""
    holder, waiter = members(2, queue=1)
    await holder.report(waiting=1)
    holder.submitted(1)
    assert not (await holder.report()).has_other_waiters
    await waiter.report(waiting=1)
    assert (await holder.report()).has_other_waiters


async def test_tickets_of_a_client_that_left_are_adopted(members):
    """The tickets keep their slots until another client has seen their end."""
    gone, (heir, third) = members(1, queue=1)[0], members(2, queue=1)
    await gone.report(waiting=1)
    gone.submitted(7)
    await gone.leave()
    await heir.report(waiting=1)
    assert [Ticket("images", 7)] == heir.tickets
    assert 0 == heir.in_flight
    await third.report(waiting=1)
    assert ([], 0) == (third.tickets, third.in_flight)
    heir.tickets.clear()
    await heir.report(waiting=1)
    await third.report(waiting=1)
    assert 1 == heir.in_flight + third.in_flight


async def test_tickets_of_a_silent_client_are_adopted(members, clock):
    """A client that reports nothing for half a minute counts as dead."""
    silent, heir = members(2, queue=1)
    await silent.report(waiting=1)
    silent.submitted(7)
    await silent.report()
    clock.now += 29.0
    await heir.report(waiting=1)
    assert [] == heir.tickets
    clock.now += 2.0
    await heir.report(waiting=1)
    assert [Ticket("images", 7)] == heir.tickets


async def test_ticket_of_two_clients_holds_one_slot(members, clock):
    """A client that comes back after half a minute shares its ticket with the heir."""
    silent, heir = members(2, queue=2)
    await silent.report(waiting=1)
    silent.submitted(7)
    await silent.report()
    clock.now += 31.0
    await heir.report(waiting=1)
    assert ([Ticket("images", 7)], 1) == (heir.tickets, heir.in_flight)
    heir.in_flight = 0
    await silent.report()
    await heir.report(waiting=1)
    assert 1 == heir.in_flight, "the ticket was counted twice"


async def test_submit_of_a_dead_client_holds_its_slot_for_two_minutes(members, clock):
    """It may have started work, and no client knows its ticket."""
    dead, other = members(2, queue=1)
    await dead.report(waiting=1)
    clock.now += 31.0
    await other.report(waiting=1)
    clock.now += 25.0
    await other.report(waiting=1)
    clock.now += 25.0
    await other.report(waiting=1)
    assert 0 == other.in_flight
    for _ in range(4):
        clock.now += 25.0
        await other.report(waiting=1)
    assert 1 == other.in_flight


async def test_client_that_stood_still_keeps_its_slots_once(members, clock):
    """It does not count itself as dead, so its submits are not uncertain ones as well."""
    (client,) = members(1, queue=2)
    await client.report(waiting=2)
    clock.now += 31.0
    await client.report()
    client.in_flight = 0
    await client.report(waiting=2)
    assert 2 == client.in_flight


async def test_uncertain_submit_holds_its_slot_until_its_time(members, clock):
    """The client says until when; the account keeps the slot, even if the client leaves."""
    one, other = members(2, queue=1)
    one.uncertain_until = (clock.now + 10.0,)
    await one.report()
    await one.leave()
    one.uncertain_until = ()
    await other.report(waiting=1)
    assert 0 == other.in_flight
    clock.now += 11.0
    await other.report(waiting=1)
    assert 1 == other.in_flight


async def test_ticket_loses_its_slot_after_an_hour(members, clock):
    """Otherwise a ticket that is never polled would hold its slot for good."""
    holder, waiter = members(2, queue=1)
    await holder.report(waiting=1)
    holder.submitted(1)
    await holder.report()
    await holder.leave()
    holder.tickets.clear()
    clock.now += 3601.0
    await waiter.report(waiting=1)
    assert ([], 1) == (waiter.tickets, waiter.in_flight)


async def test_expired_slot_of_a_live_client_is_free_after_its_next_report(members, clock):
    """Until then the client may itself use that slot for another submit."""
    one, other = members(2, queue=2)
    one.uncertain_until = (clock.now + 10.0,)
    one.tickets.append(Ticket("images", 1))
    await one.report()
    one.tickets.clear()
    for _ in range(4):
        clock.now += 2.5
        await other.report(waiting=1)
        assert 0 == other.in_flight
    one.uncertain_until = ()
    await one.report()
    await other.report(waiting=1)
    assert 1 == other.in_flight


async def test_keys_have_slots_of_their_own(members):
    """The slots of one key are not those of another."""
    (member,) = members(1, queue=1)
    await member.report(waiting=1)
    reports = {"another key": KeyReport(slots=SlotUse(waiting=1))}
    allotments = await member.membership.exchange(reports)
    assert 1 == allotments["another key"].slot_limit


@pytest.mark.parametrize("seed", cases(range(5), range(5, 20)))
async def test_random_clients_never_use_more_than_the_queue(members, clock, seed):
    """Whatever clients submit, end, wait for, leave or forget: the sum stays within the queue."""
    dice = random.Random(seed)
    queue = dice.randint(1, 4)
    team, ids = members(4, queue=queue), iter(range(1, 10_000))
    for _ in range(120):
        member = dice.choice(team)
        match dice.randrange(8):
            case 0 if member.in_flight:
                member.submitted(next(ids))
            case 1 if member.tickets:
                member.tickets.pop(dice.randrange(len(member.tickets)))
            case 2 if member.in_flight:
                member.in_flight -= 1
            case 3:
                clock.now += dice.uniform(0.0, 0.4)
            case 4 if member.in_flight:
                member.in_flight -= 1
                member.uncertain_until += (clock.now + dice.uniform(0.0, 1.0),)
            case 5:
                member.uncertain_until = tuple(
                    when for when in member.uncertain_until if when > clock.now
                )
        await member.report(waiting=dice.choice((0, 0, 1, 3, 50)))
        tickets = {ticket for each in team for ticket in each.tickets}
        assert queue >= len(tickets) + sum(
            each.in_flight + len(each.uncertain_until) for each in team
        )
    for member in team:
        member.tickets.clear()
        member.in_flight = 0
        member.uncertain_until = ()
        await member.report()
    await team[0].report(waiting=100)
    assert queue == team[0].in_flight, "a slot was lost"
    team[0].in_flight = 0
