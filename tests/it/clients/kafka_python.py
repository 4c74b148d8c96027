"""kafka-python against the broker: kafka_python.py ADDRESS [FOLDER]. FOLDER holds another version of the client."""

import sys

if len(sys.argv) > 2:
    sys.path.insert(0, sys.argv[2])
    if sys.version_info >= (3, 12):  # the old client's own copy of six cannot be imported there
        import six

        sys.modules["kafka.vendor.six.moves"] = six.moves

import kafka
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewPartitions, NewTopic

ADDRESS = {"bootstrap_servers": sys.argv[1]}
RECORDS = 400
FIRST_TIME = 1_700_000_000_000
KEPT = {"retention.ms": "-1"}  # the records are years old
CODECS = [None, "gzip", "snappy", "lz4", "zstd"]
IS_OLD = kafka.__version__.startswith("2.0")


def produce():
    sent = {}
    for round, codec in enumerate(CODECS):
        producer = KafkaProducer(**ADDRESS, compression_type=codec, acks="all", linger_ms=5)
        futures = []
        for number in range(round * RECORDS, (round + 1) * RECORDS):
            headers = [("a", b"1"), ("a", b"2")]
            key, value = b"k%d" % (number % 10), b"%d" % number
            futures.append((number, producer.send("t", value, key, headers, timestamp_ms=FIRST_TIME + number)))
        for number, future in futures:
            found = future.get(30)
            sent[(found.partition, found.offset)] = number
        producer.close()
    assert sorted(sent.values()) == list(range(len(CODECS) * RECORDS))
    return sent


def consume(sent):
    settings = {"group_id": "g", "auto_offset_reset": "earliest", "consumer_timeout_ms": 20000, "enable_auto_commit": False}
    consumer = KafkaConsumer("t", **ADDRESS, **settings)
    read = {}
    for message in consumer:
        number = sent[(message.partition, message.offset)]
        assert (message.key, message.value) == (b"k%d" % (number % 10), b"%d" % number)
        assert message.timestamp == FIRST_TIME + number
        assert [tuple(header) for header in message.headers] == [("a", b"1"), ("a", b"2")]
        read[(message.partition, message.offset)] = number
        if len(read) == len(sent):
            break
    assert read == sent, f"read {len(read)} of {len(sent)}; not {sorted(set(sent) - set(read))[:9]}"
    consumer.commit()
    places = [TopicPartition("t", partition) for partition in range(3)]
    ends = {place: sum(partition == place.partition for partition, _ in sent) for place in places}
    assert consumer.end_offsets(places) == ends
    assert {place: consumer.committed(place) for place in places} == ends
    assert set(consumer.beginning_offsets(places).values()) == {0}
    early = consumer.offsets_for_times({place: FIRST_TIME for place in places})
    assert [early[place].offset for place in places] == [0, 0, 0]
    late = consumer.offsets_for_times({place: FIRST_TIME + len(sent) for place in places})
    assert [late[place] for place in places] == [None, None, None], late
    consumer.close()


def main():
    admin = KafkaAdminClient(**ADDRESS)
    admin.create_topics([NewTopic("t", 2, 1, topic_configs=KEPT)])
    admin.create_partitions({"t": NewPartitions(3)})
    consume(produce())
    groups = admin.list_consumer_groups() if IS_OLD else admin.list_groups()
    assert [group[0] if IS_OLD else group["group_id"] for group in groups] == ["g"], groups
    offsets = admin.list_consumer_group_offsets("g") if IS_OLD else admin.list_group_offsets("g")
    print(offsets)
    print(admin.delete_consumer_groups(["g"]) if IS_OLD else admin.delete_groups(["g"]))
    assert not (admin.list_consumer_groups() if IS_OLD else admin.list_groups())
    admin.create_topics([NewTopic("u", 1, 1)])
    admin.delete_topics(["u"])
    assert admin.list_topics() == ["t"]
    admin.close()


main()
print("done with", kafka.__version__)
