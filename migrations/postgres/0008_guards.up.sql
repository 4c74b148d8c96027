-- Sinks that have halted, and why. A sink removes its row once it runs again.
create table sink_halt (
    sink text collate "C" not null primary key,
    reason text not null,
    halted_at timestamptz not null
);

-- The id that Kafka gave the topic when it was created: one that was deleted and created again shows by another id.
create table sink_topic (
    sink text collate "C" not null,
    kafka_topic text collate "C" not null,
    kafka_incarnation integer not null,
    kafka_partition integer not null,
    topic_id text not null,
    primary key (sink, kafka_topic, kafka_incarnation, kafka_partition)
);

-- What tells this database from others under the same sink's name. A backup and a replica have it too.
create table sink_identity (
    number integer primary key check (number = 1),
    database_id text collate "C" not null
);
insert into sink_identity select 1, replace(gen_random_uuid()::text, '-', '');
