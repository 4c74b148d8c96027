-- Deletions, fingerprints and gaps, the outbox and the resolutions of dead letters, replays.

-- A deleted row stays, so that an older record cannot bring it back; its values are null.
alter table ohlcv_bar
    add column deleted boolean not null default false,
    alter column trading_date drop not null,
    alter column close drop not null,
    add check (deleted or trading_date is not null and close is not null);
alter table observation
    add column deleted boolean not null default false;
alter table series
    add column deleted boolean not null default false,
    alter column title drop not null,
    alter column frequency drop not null,
    alter column units drop not null,
    alter column seasonal_adjustment drop not null,
    alter column first_observation_date drop not null,
    alter column last_observation_date drop not null,
    add check (deleted or title is not null and frequency is not null and units is not null and seasonal_adjustment is not null and first_observation_date is not null and last_observation_date is not null);
alter table dead_letter
    add column deleted boolean not null default false,
    alter column stage drop not null,
    alter column error_class drop not null,
    alter column reason drop not null,
    alter column dataset drop not null,
    add check (deleted or stage is not null and error_class is not null and reason is not null and dataset is not null);

-- The last record that was taken and a hash of its bytes: a topic that was deleted and made anew shows by another one.
alter table sink_position add column last_offset bigint, add column last_fingerprint bigint;

-- Offsets that a sink passed without having read them, because Kafka no longer had them.
create table sink_gap (
    sink text collate "C" not null,
    kafka_topic text collate "C" not null,
    kafka_incarnation integer not null,
    kafka_partition integer not null,
    from_offset bigint not null,
    to_offset bigint not null check (to_offset >= from_offset),
    reason text not null check (reason in ('retention', 'truncated', 'recreated')),
    noticed_at timestamptz not null,
    primary key (sink, kafka_topic, kafka_incarnation, kafka_partition, from_offset)
);

-- Dead letters that are still to be published on the topic of dead letters; written with them, removed when Kafka has
-- acknowledged them.
create table dead_letter_outbox (
    source text collate "C" not null,
    dead_letter_id text collate "C" not null,
    primary key (source, dead_letter_id)
);

-- What became of dead letters that were tried again; those without a row here are open.
create table dead_letter_resolution (
    source text collate "C" not null,
    dead_letter_id text collate "C" not null,
    resolution text not null check (resolution in ('inserted', 'changed', 'unchanged', 'superseded')),
    resolved_at timestamptz not null,
    primary key (source, dead_letter_id)
);

-- Replays: each is a sink of its own. One that is not finished is resumed by the same command.
create table replay_run (
    sink text collate "C" not null primary key,
    parameters text not null,
    started_at timestamptz not null,
    finished_at timestamptz
);

create index dead_letter_dataset on dead_letter (dataset, known_at);
