-- Positions, the ledger of chunks, and the first datasets.
-- Times are texts of one width (2020-01-02T14:30:00.000000Z), so that they sort; lists are JSON.
-- SQLite has no operator for patterns: those rules are checked by the consumer alone.
-- The data tables are what schemas/*.avsc declare; the test `declared` holds them together.

-- How far each sink has got in each partition: moves in the transaction that writes the rows, so it is the truth
-- and Kafka's own group offsets are only for lag dashboards.
create table sink_position (
    sink text not null,
    kafka_topic text not null,
    kafka_incarnation integer not null check (kafka_incarnation >= 0),
    kafka_partition integer not null check (kafka_partition >= 0),
    next_offset integer not null check (next_offset >= 0),
    updated_at text not null,
    primary key (sink, kafka_topic, kafka_incarnation, kafka_partition)
) strict, without rowid;

-- One row per committed chunk: what became of every record in it.
create table sink_chunk (
    sink text not null,
    kafka_topic text not null,
    kafka_incarnation integer not null,
    kafka_partition integer not null,
    from_offset integer not null,
    to_offset integer not null check (to_offset > from_offset),
    records_read integer not null,
    records_inserted integer not null,
    records_changed integer not null,
    records_unchanged integer not null,
    records_superseded integer not null,
    records_dead_lettered integer not null,
    committed_at text not null,
    primary key (sink, kafka_topic, kafka_incarnation, kafka_partition, from_offset),
    check (records_read = records_inserted + records_changed + records_unchanged + records_superseded
        + records_dead_lettered)
) strict, without rowid;

create table ohlcv_bar (
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

create table observation (
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

create table series (
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

create table dead_letter (
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
