-- Publishers whose records a sink refuses too often. A few of their refused records still become dead letters; of the others
-- only the coordinates are kept, until the quarantine is released.
create table quarantine (
    sink text not null,
    publisher text not null,
    since text not null,
    refused integer not null,
    seen integer not null,
    reason text not null,
    dead_letters integer not null,
    primary key (sink, publisher)
) strict, without rowid;

-- Refused records without a dead letter: the offsets of one chunk and publisher, as `5-9,12`.
create table parked_record (
    sink text not null,
    publisher text not null,
    kafka_topic text not null,
    kafka_incarnation integer not null,
    kafka_partition integer not null,
    from_offset integer not null,
    offsets text not null,
    records integer not null check (records > 0),
    parked_at text not null,
    primary key (sink, publisher, kafka_topic, kafka_incarnation, kafka_partition, from_offset)
) strict, without rowid;
