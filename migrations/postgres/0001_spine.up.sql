-- Positions, the ledger of chunks, and the first datasets.
-- Patterns among the rules are checked by the consumer alone, because they would halve the speed of an upsert.
-- The data tables are what schemas/*.avsc declare; the test `declared` holds them together.

-- How far each sink has got in each partition: moves in the transaction that writes the rows, so it is the truth
-- and Kafka's own group offsets are only for lag dashboards.
create table sink_position (
    sink text collate "C" not null,
    kafka_topic text collate "C" not null,
    kafka_incarnation integer not null check (kafka_incarnation >= 0),
    kafka_partition integer not null check (kafka_partition >= 0),
    next_offset bigint not null check (next_offset >= 0),
    updated_at timestamptz not null default now(),
    primary key (sink, kafka_topic, kafka_incarnation, kafka_partition)
);

-- One row per committed chunk: what became of every record in it.
create table sink_chunk (
    sink text collate "C" not null,
    kafka_topic text collate "C" not null,
    kafka_incarnation integer not null,
    kafka_partition integer not null,
    from_offset bigint not null,
    to_offset bigint not null check (to_offset > from_offset),
    records_read integer not null,
    records_inserted integer not null,
    records_changed integer not null,
    records_unchanged integer not null,
    records_superseded integer not null,
    records_dead_lettered integer not null,
    committed_at timestamptz not null default now(),
    primary key (sink, kafka_topic, kafka_incarnation, kafka_partition, from_offset),
    check (records_read = records_inserted + records_changed + records_unchanged + records_superseded
        + records_dead_lettered)
);

create table ohlcv_bar (
    source text collate "C" not null,
    symbol text collate "C" not null,
    bar_interval text collate "C" not null,
    ts_start timestamptz not null,
    trading_date date not null,
    open double precision,
    high double precision,
    low double precision,
    close double precision not null,
    volume double precision check (volume >= 0),
    adjusted_close double precision,
    currency text,
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    primary key (source, symbol, bar_interval, ts_start),
    check (low <= high)
);

create table observation (
    source text collate "C" not null,
    series_id text collate "C" not null,
    observation_date date not null,
    value double precision,
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    primary key (source, series_id, observation_date)
);

create table series (
    source text collate "C" not null,
    series_id text collate "C" not null,
    title text not null,
    frequency text not null,
    units text not null,
    seasonal_adjustment text not null,
    first_observation_date date not null,
    last_observation_date date not null,
    popularity bigint,
    notes text,
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    primary key (source, series_id),
    check (first_observation_date <= last_observation_date)
);

create table dead_letter (
    source text collate "C" not null,
    dead_letter_id text collate "C" not null,
    stage text not null,
    error_class text not null,
    sqlstate text,
    reason text not null,
    dataset text not null,
    kafka_topic text,
    kafka_incarnation bigint,
    kafka_partition bigint,
    kafka_offset bigint,
    record_timestamp_ms bigint,
    record_key bytea,
    record_value bytea,
    record_headers bytea,
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    primary key (source, dead_letter_id)
);

-- With TimescaleDB the datasets that grow with time are hypertables.
do $$
begin
    if exists (select from pg_extension where extname = 'timescaledb') then
        -- Daily bars of many symbols and minute bars of few: a year per chunk keeps either in memory.
        perform create_hypertable('ohlcv_bar', 'ts_start', chunk_time_interval => interval '1 year');
        -- Mostly monthly and quarterly series, decades long.
        perform create_hypertable('observation', 'observation_date', chunk_time_interval => interval '10 years');
    end if;
end
$$;
