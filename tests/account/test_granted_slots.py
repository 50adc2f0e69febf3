"""The slots that an account grants to one client: it uses no slot without a grant."""

import asyncio

from modelslab_async._account.granted_slots import GrantedSlots
from modelslab_async._account.report_and_answer_types import KeyAllotment
from modelslab_async._submitting.slot_polls import SlotPolls


def test_expired_slot_goes_back_to_the_account(virtually):
    """Clients get slots in turn, so a waiting submit does not take it without a new grant."""

    async def main():
        changes = []
        # No ticket holds a slot in this test, so there is nothing to poll.
        slots = GrantedSlots(
            polls=SlotPolls(poller=None), on_change=lambda: changes.append(slots.used)
        )
        waiter = asyncio.create_task(slots.acquire(0))
        await asyncio.sleep(0)
        slots.apply(KeyAllotment(slot_limit=1), 0.0)
        await waiter
        slots.hold_uncertain("realtime/text2img")
        waiter = asyncio.create_task(slots.acquire(1))
        await asyncio.sleep(150.0)
        assert not waiter.done()
        assert 0 == changes[-1]
        slots.apply(KeyAllotment(slot_limit=1), 0.0)
        await waiter

    virtually(main)
