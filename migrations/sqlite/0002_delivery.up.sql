-- Deletions, fingerprints and gaps, the outbox and the resolutions of dead letters, replays.

-- A deleted row stays, so that an older record cannot bring it back; its values are null. SQLite cannot take back a
-- `not null`: each table is made anew.
create table ohlcv_bar_next (
    source text not null,
    symbol text not null,
    bar_interval text not null,
    ts_start text not null,
    trading_date text,
    open real,
    high real,
    low real,
    close real,
    volume real check (volume >= 0),
    adjusted_close real,
    currency text,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    primary key (source, symbol, bar_interval, ts_start),
    check (low <= high),
    check (deleted or trading_date is not null and close is not null)
) strict, without rowid;
insert into ohlcv_bar_next (source, symbol, bar_interval, ts_start, trading_date, open, high, low, close, volume, adjusted_close, currency, known_at, observed_at, flags, content_hash, updated_at) select source, symbol, bar_interval, ts_start, trading_date, open, high, low, close, volume, adjusted_close, currency, known_at, observed_at, flags, content_hash, updated_at from ohlcv_bar;
drop table ohlcv_bar;
alter table ohlcv_bar_next rename to ohlcv_bar;

create table observation_next (
    source text not null,
    series_id text not null,
    observation_date text not null,
    value real,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    primary key (source, series_id, observation_date)
) strict, without rowid;
insert into observation_next (source, series_id, observation_date, value, known_at, observed_at, flags, content_hash, updated_at) select source, series_id, observation_date, value, known_at, observed_at, flags, content_hash, updated_at from observation;
drop table observation;
alter table observation_next rename to observation;

create table series_next (
    source text not null,
    series_id text not null,
    title text,
    frequency text,
    units text,
    seasonal_adjustment text,
    first_observation_date text,
    last_observation_date text,
    popularity integer,
    notes text,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    primary key (source, series_id),
    check (first_observation_date <= last_observation_date),
    check (deleted or title is not null and frequency is not null and units is not null and seasonal_adjustment is not null and first_observation_date is not null and last_observation_date is not null)
) strict, without rowid;
insert into series_next (source, series_id, title, frequency, units, seasonal_adjustment, first_observation_date, last_observation_date, popularity, notes, known_at, observed_at, flags, content_hash, updated_at) select source, series_id, title, frequency, units, seasonal_adjustment, first_observation_date, last_observation_date, popularity, notes, known_at, observed_at, flags, content_hash, updated_at from series;
drop table series;
alter table series_next rename to series;

create table dead_letter_next (
    source text not null,
    dead_letter_id text not null,
    stage text,
    error_class text,
    sqlstate text,
    reason text,
    dataset text,
    kafka_topic text,
    kafka_incarnation integer,
    kafka_partition integer,
    kafka_offset integer,
    record_timestamp_ms integer,
    record_key blob,
    record_value blob,
    record_headers blob,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    primary key (source, dead_letter_id),
    check (deleted or stage is not null and error_class is not null and reason is not null and dataset is not null)
) strict, without rowid;
insert into dead_letter_next (source, dead_letter_id, stage, error_class, sqlstate, reason, dataset, kafka_topic, kafka_incarnation, kafka_partition, kafka_offset, record_timestamp_ms, record_key, record_value, record_headers, known_at, observed_at, flags, content_hash, updated_at) select source, dead_letter_id, stage, error_class, sqlstate, reason, dataset, kafka_topic, kafka_incarnation, kafka_partition, kafka_offset, record_timestamp_ms, record_key, record_value, record_headers, known_at, observed_at, flags, content_hash, updated_at from dead_letter;
drop table dead_letter;
alter table dead_letter_next rename to dead_letter;

-- The last record that was taken and a hash of its bytes: a topic that was deleted and made anew shows by another one.
alter table sink_position add column last_offset integer;
alter table sink_position add column last_fingerprint integer;

-- Offsets that a sink passed without having read them, because Kafka no longer had them.
create table sink_gap (
    sink text not null,
    kafka_topic text not null,
    kafka_incarnation integer not null,
    kafka_partition integer not null,
    from_offset integer not null,
    to_offset integer not null check (to_offset >= from_offset),
    reason text not null check (reason in ('retention', 'truncated', 'recreated')),
    noticed_at text not null,
    primary key (sink, kafka_topic, kafka_incarnation, kafka_partition, from_offset)
) strict, without rowid;

-- Dead letters that are still to be published on the topic of dead letters; written with them, removed when Kafka has
-- acknowledged them.
create table dead_letter_outbox (
    source text not null,
    dead_letter_id text not null,
    primary key (source, dead_letter_id)
) strict, without rowid;

-- What became of dead letters that were tried again; those without a row here are open.
create table dead_letter_resolution (
    source text not null,
    dead_letter_id text not null,
    resolution text not null check (resolution in ('inserted', 'changed', 'unchanged', 'superseded')),
    resolved_at text not null,
    primary key (source, dead_letter_id)
) strict, without rowid;

-- Replays: each is a sink of its own. One that is not finished is resumed by the same command.
create table replay_run (
    sink text not null primary key,
    parameters text not null,
    started_at text not null,
    finished_at text
) strict, without rowid;

create index dead_letter_dataset on dead_letter (dataset, known_at);
