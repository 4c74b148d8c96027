"""A producer and a consumer that outlive restarts: restarts.py ADDRESS produce|consume. They end with standard input."""

import logging
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

ADDRESS = {"bootstrap.servers": sys.argv[1], "reconnect.backoff.max.ms": 500}
SECONDS = 60

# What the client logs is on standard output, behind a `#`.
LOGGER = logging.Logger("client")
LOGGER.addHandler(logging.StreamHandler(sys.stdout))
LOGGER.handlers[0].setFormatter(logging.Formatter("# %(message)s"))

input_ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), input_ended.set()), daemon=True).start()


def produce():
    acknowledged, number = [], 0

    def on_delivery(error, message):
        assert error is None, error
        acknowledged.append(message.value())
        if len(acknowledged) % 100 == 0:
            print("# a hundred acknowledged", flush=True)

    # After a second without a response it connects anew and sends the same records again.
    settings = {"enable.idempotence": True, "linger.ms": 2, "request.timeout.ms": 1000, "socket.timeout.ms": 1000}
    producer = Producer({**ADDRESS, **settings}, logger=LOGGER)
    while not input_ended.is_set():
        producer.produce("t", str(number), f"k{number % 10}", on_delivery=on_delivery)
        producer.poll(0)
        number += 1
        if number % 20 == 0:
            time.sleep(0.01)  # a steady stream, in which each restart interrupts batches
    assert producer.flush(SECONDS) == 0
    assert len(acknowledged) == number
    print("acknowledged", number, flush=True)


def consume():
    settings = {"group.id": "g", "auto.offset.reset": "earliest", "enable.auto.commit": False}
    times = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500}
    reader = Consumer({**ADDRESS, **settings, **times}, logger=LOGGER)
    reader.subscribe(["t"])
    while not input_ended.is_set():
        messages = reader.consume(100, 0.1)
        for message in messages:
            if message.error():
                assert not message.error().fatal(), message.error()
            else:
                print(message.partition(), message.offset(), message.value().decode(), flush=True)
        try:
            if messages:
                reader.commit(asynchronous=False)
        except KafkaException as error:  # the broker is away, or the group rebalances: a later commit covers this one
            print("#", error, flush=True)
    try:
        reader.commit(asynchronous=False)
    except KafkaException as error:
        assert error.args[0].code() == KafkaError._NO_OFFSET, error  # everything is committed already
    reader.close()


{"produce": produce, "consume": consume}[sys.argv[2]]()
