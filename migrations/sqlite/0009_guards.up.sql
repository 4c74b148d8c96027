-- Sinks that have halted, and why. A sink removes its row once it runs again.
create table sink_halt (
    sink text not null primary key,
    reason text not null,
    halted_at text not null
) strict, without rowid;

-- The id that Kafka gave the topic when it was created: one that was deleted and created again shows by another id.
create table sink_topic (
    sink text not null,
    kafka_topic text not null,
    kafka_incarnation integer not null,
    kafka_partition integer not null,
    topic_id text not null,
    primary key (sink, kafka_topic, kafka_incarnation, kafka_partition)
) strict, without rowid;

-- What tells this database from others under the same sink's name. A backup and a replica have it too.
create table sink_identity (
    number integer primary key check (number = 1),
    database_id text not null
) strict;
insert into sink_identity select 1, lower(hex(randomblob(16)));
