-- Publishers whose records a sink refuses too often. A few of their refused records still become dead letters; of the others
-- only the coordinates are kept, until the quarantine is released.
create table quarantine (
    sink text collate "C" not null,
    publisher text collate "C" not null,
    since timestamptz not null,
    refused bigint not null,
    seen bigint not null,
    reason text not null,
    dead_letters bigint not null,
    primary key (sink, publisher)
);

-- Refused records without a dead letter: the offsets of one chunk and publisher, as `5-9,12`.
create table parked_record (
    sink text collate "C" not null,
    publisher text collate "C" not null,
    kafka_topic text collate "C" not null,
    kafka_incarnation integer not null,
    kafka_partition integer not null,
    from_offset bigint not null,
    offsets text not null,
    records bigint not null check (records > 0),
    parked_at timestamptz not null,
    primary key (sink, publisher, kafka_topic, kafka_incarnation, kafka_partition, from_offset)
);
