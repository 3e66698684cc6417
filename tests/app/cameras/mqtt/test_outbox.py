"""What waits for the broker."""

import asyncio

from app.cameras.mqtt.outbox import EVENTS, Message, Outbox


async def taken(outbox: Outbox) -> list[Message]:
    """All that waits, in the order in which it is sent."""
    return [await outbox.next() for _ in range(outbox.waiting)]


def test_of_a_topic_only_the_newest_payload_is_sent() -> None:
    async def run() -> None:
        outbox = Outbox()
        for number in range(1000):
            outbox.retain("gate/state", b"%d" % number)
        assert await taken(outbox) == [Message("gate/state", b"999", retained=True)]

    asyncio.run(run())


def test_a_payload_that_the_broker_has_is_not_sent_again_until_the_next_connection() -> None:
    async def run() -> None:
        outbox = Outbox()
        outbox.retain("gate/state", b"open")
        await taken(outbox)
        outbox.retain("gate/state", b"open")
        assert not outbox.waiting
        outbox.start_again()
        assert await taken(outbox) == [Message("gate/state", b"open", retained=True)]

    asyncio.run(run())


def test_states_and_events_go_before_frames() -> None:
    async def run() -> None:
        outbox = Outbox()
        outbox.start_again()
        outbox.retain("gate/frame", b"jpeg", large=True)
        outbox.add_event("gate/event", b"start")
        outbox.retain("yard/state", b"shut")
        topics = [message.topic for message in await taken(outbox)]
        assert topics == ["yard/state", "gate/event", "gate/frame"]

    asyncio.run(run())


def test_no_event_waits_for_a_broker_that_is_gone_and_few_for_one_that_is_slow() -> None:
    async def run() -> None:
        outbox = Outbox()
        outbox.add_event("gate/event", b"early")
        assert outbox.waiting == 0
        outbox.start_again()
        for number in range(EVENTS + 5):
            outbox.add_event("gate/event", b"%d" % number)
        first, *_ = await taken(outbox)
        assert first.payload == b"5"
        outbox.add_event("gate/event", b"late")
        outbox.pause()
        outbox.start_again()
        assert outbox.waiting == 0
        assert outbox.dropped_events == 7

    asyncio.run(run())


def test_a_cleared_topic_stays_cleared_at_a_broker_that_comes_back() -> None:
    async def run() -> None:
        outbox = Outbox()
        outbox.forget("old/state")
        await taken(outbox)
        outbox.start_again()
        assert await taken(outbox) == [Message("old/state", b"", retained=True)]

    asyncio.run(run())
