"""The connection to the broker: made again whenever it breaks, and fed from the outbox."""

import asyncio
import logging
import random
from collections.abc import Callable

from aiomqtt import Client, Message, MqttError, Will
from aiomqtt.exceptions import MqttConnectError

from app.cameras.mqtt.broker import Broker
from app.cameras.mqtt.outbox import Outbox
from app.errors import SettingError
from app.system.first_done import first_done

KEEP_ALIVE_S = 20  # a broker that vanished without a word is noticed after 30 s
ANSWER_S = 10.0  # for which an answer of the broker is awaited
CONNECT_S = 5.0
LAST_WORD_S = 1.0  # for the message that the gateway goes offline
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 15.0  # between two attempts
STEADY_S = 30.0  # a connection that lasts so long ends the growth of the pause
SHORT_S = 5.0  # a connection that lasts less may be ended by another client with the same id
INCOMING = 1000  # messages that are kept until they are read: retained ones come all at once
QUIET = logging.getLogger("app.cameras.mqtt.client")  # paho's: what matters of it is an MqttError
QUIET.setLevel(logging.CRITICAL)

log = logging.getLogger(__name__)


class Connection:
    """Sends what the outbox holds, and hands on what the broker says; event loop only.

    One message at a time, which the broker confirms: whatever happens meanwhile stays in the
    outbox, where a newer payload replaces an older one. The client id is the same every time, so
    that the broker ends the session before with its last will, and not after the new one's
    first words.
    """

    def __init__(
        self,
        broker: Broker,
        outbox: Outbox,
        status_topic: str,
        offline: bytes,
        receive: Callable[[str, bytes, bool], None],
        subscriptions: tuple[str, ...] = (),
        once: tuple[str, ...] = (),
    ) -> None:
        """`receive` gets topic, payload, and whether the broker had retained it.

        Topics of `once` are subscribed to only for what the broker has retained of them.
        """
        self.connected = False
        self.connections = 0
        self._broker, self._outbox, self._receive = broker, outbox, receive
        self._will = Will(status_topic, offline, qos=1, retain=True)
        self._subscriptions, self._once = subscriptions, once
        self._stopping = asyncio.Event()
        self._failing = False
        self.client: Client | None = None

    async def run(self) -> None:
        """Stay connected until `stop` is called."""
        pause_s = FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        while True:
            began, connections = loop.time(), self.connections
            try:
                await self._connect()
            except (MqttError, OSError, SettingError) as error:
                short = self.connections > connections and loop.time() - began < SHORT_S
                self._report(error, short)
            except Exception:  # nothing may end the service's only connection
                log.exception("MQTT: unexpected error")
            if loop.time() - began >= STEADY_S:
                pause_s = FIRST_PAUSE_S
            try:
                async with asyncio.timeout(pause_s * random.uniform(0.5, 1)):  # noqa: S311  # no secret
                    await self._stopping.wait()
            except TimeoutError:
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                return

    def stop(self) -> None:
        """Say that the gateway goes offline, and let `run` end."""
        self._stopping.set()

    async def _connect(self) -> None:
        """Connect and stay so; returns when stopped."""
        await self._look()
        broker = self._broker
        client = self.client = Client(
            broker.host,
            broker.port,
            username=broker.user,
            password=await asyncio.to_thread(broker.read_password),
            identifier=broker.client_id,
            will=self._will,
            keepalive=KEEP_ALIVE_S,
            timeout=ANSWER_S,
            tls_context=broker.tls,
            logger=QUIET,
            max_queued_incoming_messages=INCOMING,
        )
        try:
            async with client:
                self.connections += 1
                self.connected, self._failing = True, False
                log.info("MQTT: connected to %s.", broker)
                await self._talk(client)
        finally:
            self.connected = False
            self._outbox.pause()
            client._client.disconnect()  # aiomqtt leaves the socket of a failed attempt open

    async def _look(self) -> None:
        """See whether the broker is there, in a way that can be cancelled.

        The client connects on a thread, which would hold up the end of the process.

        Raises:
            OSError: it is not.
        """
        async with asyncio.timeout(CONNECT_S):  # TimeoutError is an OSError
            _, writer = await asyncio.open_connection(self._broker.host, self._broker.port)
        writer.transport.abort()

    async def _talk(self, client: Client) -> None:
        for topic in (*self._once, *self._subscriptions):
            await client.subscribe(topic, qos=1)
        self._outbox.start_again()
        await first_done(self._send(client), self._listen(client), self._stopping.wait())
        await client.publish(
            self._will.topic, self._will.payload, qos=1, retain=True, timeout=LAST_WORD_S
        )

    async def _send(self, client: Client) -> None:
        subscribed = self._once
        while True:
            if subscribed and not self._outbox.waiting:
                await client.unsubscribe(list(subscribed))
                subscribed = ()
            message = await self._outbox.next()
            await client.publish(message.topic, message.payload, qos=1, retain=message.retained)

    async def _listen(self, client: Client) -> None:
        async for message in client.messages:
            self._receive(str(message.topic), _payload(message), message.retain)

    def _report(self, error: Exception, short: bool) -> None:
        """Log why there is no connection, once until there is one again."""
        if self._failing or self._stopping.is_set():
            return
        self._failing = True
        hint = ""
        if isinstance(error, MqttConnectError):
            hint = " Check `user` and `password_file` of [mqtt]."
        elif short:
            hint = " If another gateway has the same `topic` in [mqtt], give it one of its own."
        reason = str(error) or type(error).__name__
        log.warning("MQTT: no connection to %s: %s.%s Trying again.", self._broker, reason, hint)


def _payload(message: Message) -> bytes:
    return message.payload if isinstance(message.payload, bytes) else b""
