"""confluent-kafka against the broker: confluent.py ADDRESS SCENARIO. Every scenario asserts by itself and ends with `done`."""

import sys
import time

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    Consumer,
    KafkaError,
    KafkaException,
    OFFSET_BEGINNING,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
)

ADDRESS = {"bootstrap.servers": sys.argv[1]}
RECORDS = 1000
FIRST_TIME = 1_700_000_000_000
KEPT = {"retention.ms": "-1"}  # the records are years old


def create(topic, partitions):
    admin = AdminClient(ADDRESS)
    admin.create_topics([NewTopic(topic, partitions, 1, config=KEPT)])[topic].result(20)


def consumer(group, **settings):
    return Consumer({**ADDRESS, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False, **settings})


def take(reader, count, seconds=40):
    """The next messages, of which none may be an error."""
    messages, end = [], time.monotonic() + seconds
    while len(messages) < count:
        assert time.monotonic() < end, f"{len(messages)} of {count} messages came"
        message = reader.poll(0.2)
        if message is not None:
            assert not message.error(), message.error()
            messages.append(message)
    return messages


def produce(topic):
    """Idempotent, zstd, with keys, times and two headers of one name; returns the delivered messages."""
    delivered = []

    def on_delivery(error, message):
        assert error is None, error
        delivered.append(message)

    producer = Producer({**ADDRESS, "enable.idempotence": True, "compression.type": "zstd", "linger.ms": 5})
    for number in range(RECORDS):
        headers = [("a", b"1"), ("a", b"2"), ("number", str(number).encode())]
        producer.produce(topic, str(number), f"k{number % 10}", timestamp=FIRST_TIME + number, headers=headers, on_delivery=on_delivery)
    assert producer.flush(30) == 0
    return delivered


def records():
    create("t", 3)
    delivered = {(message.partition(), message.offset()): message.value() for message in produce("t")}
    assert len(delivered) == RECORDS
    reader = consumer("g", **{"isolation.level": "read_committed"})
    reader.assign([TopicPartition("t", partition, OFFSET_BEGINNING) for partition in range(3)])
    messages = take(reader, RECORDS)
    assert {(message.partition(), message.offset()): message.value() for message in messages} == delivered
    for message in messages:
        number = int(message.value())
        assert message.key() == f"k{number % 10}".encode()
        assert message.timestamp()[1] == FIRST_TIME + number
        assert message.headers() == [("a", b"1"), ("a", b"2"), ("number", message.value())]

    # From a time: the first of each partition that is not earlier.
    middle = FIRST_TIME + RECORDS // 2
    found = reader.offsets_for_times([TopicPartition("t", partition, middle) for partition in range(3)], 20)
    for place in found:
        times = {m.offset(): m.timestamp()[1] for m in messages if m.partition() == place.partition}
        at_or_after = min(offset for offset, at in times.items() if at >= middle)
        # A compressed batch is found by its first record: never too late.
        assert 0 <= place.offset <= at_or_after, (place, at_or_after)
    reader.assign(found)
    late = [m for m in take(reader, RECORDS // 2) if m.timestamp()[1] >= middle]
    assert late
    reader.seek(TopicPartition("t", 1, 7))
    sought = next(m for m in iter(lambda: take(reader, 1)[0], None) if m.partition() == 1 and m.offset() <= 7)
    assert sought.offset() == 7 and sought.value() == delivered[(1, 7)]
    later = reader.offsets_for_times([TopicPartition("t", 0, FIRST_TIME + RECORDS)], 20)
    low, high = reader.get_watermark_offsets(TopicPartition("t", 0), 20)
    assert low == 0 and high == sum(partition == 0 for partition, _ in delivered)
    assert later[0].offset in (-1, high), later
    reader.close()


def transactions():
    create("t", 1)
    started = time.monotonic()
    try:
        Producer({**ADDRESS, "transactional.id": "x"}).init_transactions(30)
        raise AssertionError("transactions were accepted")
    except KafkaException as error:
        assert error.args[0].code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, error
    assert time.monotonic() - started < 10


def refused(future, code):
    try:
        future.result(20)
    except KafkaException as error:
        assert error.args[0].code() == code, error
    else:
        raise AssertionError(f"no error, expected {code}")


def configuration(admin):
    resource = ConfigResource("topic", "t")
    before = admin.describe_configs([resource])[resource].result(20)
    assert before["retention.ms"].value == "-1" and before["cleanup.policy"].value == "delete"

    def change(name, value):
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        changed = ConfigResource("topic", "t", incremental_configs=[entry])
        return admin.incremental_alter_configs([changed])[changed]

    change("retention.ms", "5000000").result(20)
    assert admin.describe_configs([resource])[resource].result(20)["retention.ms"].value == "5000000"
    refused(change("cleanup.policy", "compact"), KafkaError.INVALID_CONFIG)


def administration():
    admin = AdminClient(ADDRESS)
    admin.create_topics([NewTopic("t", 2, 1, config={"retention.ms": "-1"})])["t"].result(20)
    refused(admin.create_topics([NewTopic("t", 2, 1)])["t"], KafkaError.TOPIC_ALREADY_EXISTS)
    refused(admin.create_topics([NewTopic("u", 2, 3)])["u"], KafkaError.INVALID_REPLICATION_FACTOR)
    admin.create_partitions([NewPartitions("t", 3)])["t"].result(20)
    assert len(admin.list_topics("t", 20).topics["t"].partitions) == 3
    assert len(admin.describe_cluster().result(20).nodes) == 1
    configuration(admin)

    delivered = produce("t")
    reader = consumer("g", **{"client.id": "reader"})
    reader.subscribe(["t"])
    take(reader, RECORDS)
    reader.commit(asynchronous=False)
    described = admin.describe_consumer_groups(["g"])["g"].result(20)
    assert described.state.name == "STABLE" and [m.client_id for m in described.members] == ["reader"]
    assert len(described.members[0].assignment.topic_partitions) == 3
    refused(admin.delete_consumer_groups(["g"])["g"], KafkaError.NON_EMPTY_GROUP)
    reader.close()
    assert [g.group_id for g in admin.list_consumer_groups().result(20).valid] == ["g"]
    group = ConsumerGroupTopicPartitions("g")
    committed = admin.list_consumer_group_offsets([group])["g"].result(20).topic_partitions
    ends = {p: sum(m.partition() == p for m in delivered) for p in range(3)}
    assert {place.partition: place.offset for place in committed} == ends
    moved = ConsumerGroupTopicPartitions("g", [TopicPartition("t", 0, 5)])
    admin.alter_consumer_group_offsets([moved])["g"].result(20)
    assert reader_position("g") == 5
    admin.delete_consumer_groups(["g"])["g"].result(20)
    refused(admin.delete_consumer_groups(["g"])["g"], KafkaError.GROUP_ID_NOT_FOUND)

    place = TopicPartition("t", 0, 10)
    assert list(admin.delete_records([place]).values())[0].result(20).low_watermark == 10
    for spec, expected in [(OffsetSpec.earliest(), 10), (OffsetSpec.latest(), ends[0])]:
        found = admin.list_offsets({TopicPartition("t", 0): spec})
        assert list(found.values())[0].result(20).offset == expected
    admin.delete_topics(["t"])["t"].result(20)
    refused(admin.delete_topics(["t"])["t"], KafkaError.UNKNOWN_TOPIC_OR_PART)
    assert admin.list_topics(timeout=20).topics == {}


def reader_position(group):
    reader = consumer(group)
    committed = reader.committed([TopicPartition("t", 0)], 20)[0].offset
    reader.close()
    return committed


def cooperative():
    create("t", 4)
    events = {"first": [], "second": []}

    def member(name):
        reader = consumer("g", **{"partition.assignment.strategy": "cooperative-sticky", "session.timeout.ms": 6000, "heartbeat.interval.ms": 500})
        note = lambda what: lambda _, places: events[name].append((what, {p.partition for p in places}))
        reader.subscribe(["t"], on_assign=note("assigned"), on_revoke=note("revoked"))
        return reader

    read = []

    def poll(readers, until):
        end = time.monotonic() + 40
        while not until():
            assert time.monotonic() < end, events
            for reader in readers:
                message = reader.poll(0.05)
                if message is not None:
                    assert not message.error(), message.error()
                    reader.commit(message, asynchronous=False)
                    read.append(message.value())

    owned = lambda reader: {place.partition for place in reader.assignment()}
    first = member("first")
    poll([first], lambda: owned(first) == {0, 1, 2, 3})
    second = member("second")
    poll([first, second], lambda: len(owned(first)) == len(owned(second)) == 2)
    assert owned(first) | owned(second) == {0, 1, 2, 3}
    revoked = [places for what, places in events["first"] if what == "revoked"]
    assert revoked == [owned(second)], f"the first keeps its other partitions: {events}"
    produce("t")
    poll([first, second], lambda: len(read) >= RECORDS)
    second.close()
    poll([first], lambda: owned(first) == {0, 1, 2, 3})
    produce("t")
    poll([first], lambda: len(read) >= 2 * RECORDS)
    assert sorted(map(int, read)) == sorted(list(range(RECORDS)) * 2), "each record once"
    first.close()


{f.__name__: f for f in (records, transactions, administration, cooperative)}[sys.argv[2]]()
print("done")
