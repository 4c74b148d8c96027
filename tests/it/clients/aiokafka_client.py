"""aiokafka against the broker: aiokafka_client.py ADDRESS."""

import asyncio
import sys

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic

ADDRESS = {"bootstrap_servers": sys.argv[1]}
RECORDS = 400
FIRST_TIME = 1_700_000_000_000
KEPT = {"retention.ms": "-1"}  # the records are years old
CODECS = [None, "gzip", "snappy", "lz4", "zstd"]


async def produce():
    sent = {}
    for round, codec in enumerate(CODECS):
        producer = AIOKafkaProducer(**ADDRESS, enable_idempotence=True, compression_type=codec, linger_ms=5)
        await producer.start()
        futures = []
        for number in range(round * RECORDS, (round + 1) * RECORDS):
            key, value, headers = b"k%d" % (number % 10), b"%d" % number, [("a", b"1"), ("a", b"2")]
            future = await producer.send("t", value, key, timestamp_ms=FIRST_TIME + number, headers=headers)
            futures.append((number, future))
        for number, future in futures:
            found = await future
            sent[(found.partition, found.offset)] = number
        await producer.stop()
    assert sorted(sent.values()) == list(range(len(CODECS) * RECORDS))
    return sent


async def consume(sent):
    consumer = AIOKafkaConsumer("t", **ADDRESS, group_id="g", auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    read = {}
    async for message in consumer:
        number = sent[(message.partition, message.offset)]
        assert (message.key, message.value) == (b"k%d" % (number % 10), b"%d" % number)
        assert message.timestamp == FIRST_TIME + number
        assert list(message.headers) == [("a", b"1"), ("a", b"2")]
        read[(message.partition, message.offset)] = number
        if len(read) == len(sent):
            break
    assert read == sent
    await consumer.commit()
    places = [TopicPartition("t", partition) for partition in range(3)]
    ends = {place: sum(partition == place.partition for partition, _ in sent) for place in places}
    assert await consumer.end_offsets(places) == ends
    assert {place: await consumer.committed(place) for place in places} == ends
    early = await consumer.offsets_for_times({place: FIRST_TIME for place in places})
    assert [early[place].offset for place in places] == [0, 0, 0]
    late = await consumer.offsets_for_times({place: FIRST_TIME + len(sent) for place in places})
    assert [late[place] for place in places] == [None, None, None], late
    await consumer.stop()


async def main():
    admin = AIOKafkaAdminClient(**ADDRESS)
    await admin.start()
    await admin.create_topics([NewTopic("t", 2, 1, topic_configs=KEPT)])
    await admin.create_partitions({"t": NewPartitions(3)})
    await consume(await produce())
    assert [group[0] for group in await admin.list_consumer_groups()] == ["g"]
    offsets = await admin.list_consumer_group_offsets("g")
    assert sum(offset.offset for offset in offsets.values()) == len(CODECS) * RECORDS
    await admin.create_topics([NewTopic("u", 1, 1)])
    await admin.delete_topics(["u"])
    assert await admin.list_topics() == ["t"]
    await admin.close()


asyncio.run(asyncio.wait_for(main(), 90))
print("done with", aiokafka.__version__)
