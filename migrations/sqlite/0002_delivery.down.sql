drop index dead_letter_dataset;
drop table replay_run;
drop table dead_letter_resolution;
drop table dead_letter_outbox;
drop table sink_gap;
alter table sink_position drop column last_offset;
alter table sink_position drop column last_fingerprint;

create table ohlcv_bar_next (
    source text not null,
    symbol text not null,
    bar_interval text not null,
    ts_start text not null,
    trading_date text not null,
    open real,
    high real,
    low real,
    close real not null,
    volume real check (volume >= 0),
    adjusted_close real,
    currency text,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    primary key (source, symbol, bar_interval, ts_start),
    check (low <= high)
) strict, without rowid;
insert into ohlcv_bar_next select source, symbol, bar_interval, ts_start, trading_date, open, high, low, close, volume, adjusted_close, currency, known_at, observed_at, flags, content_hash, updated_at from ohlcv_bar where not deleted;
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
    primary key (source, series_id, observation_date)
) strict, without rowid;
insert into observation_next select source, series_id, observation_date, value, known_at, observed_at, flags, content_hash, updated_at from observation where not deleted;
drop table observation;
alter table observation_next rename to observation;

create table series_next (
    source text not null,
    series_id text not null,
    title text not null,
    frequency text not null,
    units text not null,
    seasonal_adjustment text not null,
    first_observation_date text not null,
    last_observation_date text not null,
    popularity integer,
    notes text,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    primary key (source, series_id),
    check (first_observation_date <= last_observation_date)
) strict, without rowid;
insert into series_next select source, series_id, title, frequency, units, seasonal_adjustment, first_observation_date, last_observation_date, popularity, notes, known_at, observed_at, flags, content_hash, updated_at from series where not deleted;
drop table series;
alter table series_next rename to series;

create table dead_letter_next (
    source text not null,
    dead_letter_id text not null,
    stage text not null,
    error_class text not null,
    sqlstate text,
    reason text not null,
    dataset text not null,
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
    primary key (source, dead_letter_id)
) strict, without rowid;
insert into dead_letter_next select source, dead_letter_id, stage, error_class, sqlstate, reason, dataset, kafka_topic, kafka_incarnation, kafka_partition, kafka_offset, record_timestamp_ms, record_key, record_value, record_headers, known_at, observed_at, flags, content_hash, updated_at from dead_letter where not deleted;
drop table dead_letter;
alter table dead_letter_next rename to dead_letter;
