-- Reads of past moments: `<dataset>_as_of(known, observed, snapshot)`, derived from the declarations.

-- How far a snapshot had read the topic of a dataset: its incarnation, and the next offset of each partition.
create function snapshot_of(snapshot text, dataset text) returns jsonb language plpgsql stable as $$
declare
    body text := regexp_replace(snapshot, '#[^#]*$', '');
    part text;
    its_id text;
    topic text := '%.' || replace(dataset, '_', '!_') || '.v%';
begin
    if snapshot !~ '^td1:.*#[0-9a-f]{8}$'
        or left(encode(sha256(convert_to(body, 'UTF8')), 'hex'), 8) <> right(snapshot, 8) then
        raise exception 'it is not a snapshot, or not a whole one: `tapedeck snapshot` prints one';
    end if;
    select piece into part from unnest(string_to_array(substr(body, 5), ';')) as piece
        where split_part(piece, '@', 1) = dataset;
    if part is null then
        raise exception 'the snapshot does not cover `%`', dataset;
    end if;
    its_id := substring(part from '@(.*)/[0-9]+=[0-9,]*$');
    if its_id <> '-'
        and exists (select from sink_topic where kafka_topic like topic escape '!')
        and not exists (select from sink_topic where kafka_topic like topic escape '!'
            and topic_id = its_id) then
        raise exception 'the snapshot is of another topic of `%` than this database has read', dataset;
    end if;
    return jsonb_build_object(
        'incarnation', substring(part from '/([0-9]+)=[0-9,]*$')::integer,
        'next', to_jsonb(string_to_array(substring(part from '=([0-9,]*)$'), ',')::bigint[]));
end
$$;

create type ohlcv_bar_version as (
    source text collate "C",
    symbol text collate "C",
    bar_interval text collate "C",
    ts_start timestamp with time zone,
    trading_date date,
    open double precision,
    high double precision,
    low double precision,
    close double precision,
    volume double precision,
    adjusted_close double precision,
    currency text,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function ohlcv_bar_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof ohlcv_bar_version language sql stable parallel safe as $$
select t.source, t.symbol, t.bar_interval, t.ts_start, v.trading_date, v.open, v.high, v.low, v.close, v.volume, v.adjusted_close, v.currency, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from ohlcv_bar_revision as e where e.source = t.source and e.symbol = t.symbol and e.bar_interval = t.bar_interval and e.ts_start = t.ts_start and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'ohlcv_bar')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'ohlcv_bar')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from ohlcv_bar as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'ohlcv_bar')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'ohlcv_bar')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from ohlcv_bar_revision as r where r.source = t.source and r.symbol = t.symbol and r.bar_interval = t.bar_interval and r.ts_start = t.ts_start and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'ohlcv_bar')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'ohlcv_bar')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'ohlcv_bar')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'ohlcv_bar')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from ohlcv_bar_revision as r where r.source = t.source and r.symbol = t.symbol and r.bar_interval = t.bar_interval and r.ts_start = t.ts_start and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'ohlcv_bar')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'ohlcv_bar')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from ohlcv_bar_revision as r where a.content_hash is null and r.source = t.source and r.symbol = t.symbol and r.bar_interval = t.bar_interval and r.ts_start = t.ts_start and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'ohlcv_bar')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'ohlcv_bar')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.symbol, t.bar_interval, t.ts_start, t.trading_date, t.open, t.high, t.low, t.close, t.volume, t.adjusted_close, t.currency, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'ohlcv_bar')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'ohlcv_bar')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'ohlcv_bar')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'ohlcv_bar')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.symbol, a.bar_interval, a.ts_start, a.trading_date, a.open, a.high, a.low, a.close, a.volume, a.adjusted_close, a.currency, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.symbol, b.bar_interval, b.ts_start, b.trading_date, b.open, b.high, b.low, b.close, b.volume, b.adjusted_close, b.currency, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type observation_version as (
    source text collate "C",
    series_id text collate "C",
    observation_date date,
    value double precision,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function observation_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof observation_version language sql stable parallel safe as $$
select t.source, t.series_id, t.observation_date, v.value, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from observation_revision as e where e.source = t.source and e.series_id = t.series_id and e.observation_date = t.observation_date and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'observation')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'observation')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from observation as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'observation')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'observation')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from observation_revision as r where r.source = t.source and r.series_id = t.series_id and r.observation_date = t.observation_date and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'observation')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'observation')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'observation')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'observation')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from observation_revision as r where r.source = t.source and r.series_id = t.series_id and r.observation_date = t.observation_date and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'observation')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'observation')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from observation_revision as r where a.content_hash is null and r.source = t.source and r.series_id = t.series_id and r.observation_date = t.observation_date and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'observation')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'observation')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.series_id, t.observation_date, t.value, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'observation')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'observation')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'observation')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'observation')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.series_id, a.observation_date, a.value, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.series_id, b.observation_date, b.value, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type series_version as (
    source text collate "C",
    series_id text collate "C",
    title text,
    frequency text,
    units text,
    seasonal_adjustment text,
    first_observation_date date,
    last_observation_date date,
    popularity bigint,
    notes text,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function series_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof series_version language sql stable parallel safe as $$
select t.source, t.series_id, v.title, v.frequency, v.units, v.seasonal_adjustment, v.first_observation_date, v.last_observation_date, v.popularity, v.notes, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from series_revision as e where e.source = t.source and e.series_id = t.series_id and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'series')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'series')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from series as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'series')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'series')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from series_revision as r where r.source = t.source and r.series_id = t.series_id and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'series')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'series')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'series')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'series')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from series_revision as r where r.source = t.source and r.series_id = t.series_id and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'series')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'series')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from series_revision as r where a.content_hash is null and r.source = t.source and r.series_id = t.series_id and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'series')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'series')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.series_id, t.title, t.frequency, t.units, t.seasonal_adjustment, t.first_observation_date, t.last_observation_date, t.popularity, t.notes, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'series')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'series')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'series')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'series')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.series_id, a.title, a.frequency, a.units, a.seasonal_adjustment, a.first_observation_date, a.last_observation_date, a.popularity, a.notes, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.series_id, b.title, b.frequency, b.units, b.seasonal_adjustment, b.first_observation_date, b.last_observation_date, b.popularity, b.notes, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type dead_letter_version as (
    source text collate "C",
    dead_letter_id text collate "C",
    stage text,
    error_class text,
    sqlstate text,
    reason text,
    dataset text,
    kafka_topic text,
    kafka_incarnation bigint,
    kafka_partition bigint,
    kafka_offset bigint,
    record_timestamp_ms bigint,
    record_key bytea,
    record_value bytea,
    record_headers bytea,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function dead_letter_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof dead_letter_version language sql stable parallel safe as $$
select t.source, t.dead_letter_id, v.stage, v.error_class, v.sqlstate, v.reason, v.dataset, v.kafka_topic, v.kafka_incarnation, v.kafka_partition, v.kafka_offset, v.record_timestamp_ms, v.record_key, v.record_value, v.record_headers, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from dead_letter_revision as e where e.source = t.source and e.dead_letter_id = t.dead_letter_id and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'dead_letter')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'dead_letter')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from dead_letter as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'dead_letter')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'dead_letter')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from dead_letter_revision as r where r.source = t.source and r.dead_letter_id = t.dead_letter_id and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'dead_letter')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'dead_letter')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'dead_letter')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'dead_letter')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from dead_letter_revision as r where r.source = t.source and r.dead_letter_id = t.dead_letter_id and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'dead_letter')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'dead_letter')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from dead_letter_revision as r where a.content_hash is null and r.source = t.source and r.dead_letter_id = t.dead_letter_id and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'dead_letter')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'dead_letter')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.dead_letter_id, t.stage, t.error_class, t.sqlstate, t.reason, t.dataset, t.kafka_topic, t.kafka_incarnation, t.kafka_partition, t.kafka_offset, t.record_timestamp_ms, t.record_key, t.record_value, t.record_headers, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'dead_letter')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'dead_letter')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'dead_letter')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'dead_letter')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.dead_letter_id, a.stage, a.error_class, a.sqlstate, a.reason, a.dataset, a.kafka_topic, a.kafka_incarnation, a.kafka_partition, a.kafka_offset, a.record_timestamp_ms, a.record_key, a.record_value, a.record_headers, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.dead_letter_id, b.stage, b.error_class, b.sqlstate, b.reason, b.dataset, b.kafka_topic, b.kafka_incarnation, b.kafka_partition, b.kafka_offset, b.record_timestamp_ms, b.record_key, b.record_value, b.record_headers, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type corporate_action_version as (
    source text collate "C",
    symbol text collate "C",
    action_type text collate "C",
    ex_date date,
    amount numeric,
    unadjusted_amount numeric,
    currency text,
    split_to numeric,
    split_from numeric,
    period text,
    declared_on date,
    record_date date,
    paid_on date,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function corporate_action_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof corporate_action_version language sql stable parallel safe as $$
select t.source, t.symbol, t.action_type, t.ex_date, v.amount, v.unadjusted_amount, v.currency, v.split_to, v.split_from, v.period, v.declared_on, v.record_date, v.paid_on, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from corporate_action_revision as e where e.source = t.source and e.symbol = t.symbol and e.action_type = t.action_type and e.ex_date = t.ex_date and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'corporate_action')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'corporate_action')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from corporate_action as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'corporate_action')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'corporate_action')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from corporate_action_revision as r where r.source = t.source and r.symbol = t.symbol and r.action_type = t.action_type and r.ex_date = t.ex_date and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'corporate_action')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'corporate_action')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'corporate_action')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'corporate_action')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from corporate_action_revision as r where r.source = t.source and r.symbol = t.symbol and r.action_type = t.action_type and r.ex_date = t.ex_date and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'corporate_action')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'corporate_action')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from corporate_action_revision as r where a.content_hash is null and r.source = t.source and r.symbol = t.symbol and r.action_type = t.action_type and r.ex_date = t.ex_date and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'corporate_action')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'corporate_action')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.symbol, t.action_type, t.ex_date, t.amount, t.unadjusted_amount, t.currency, t.split_to, t.split_from, t.period, t.declared_on, t.record_date, t.paid_on, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'corporate_action')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'corporate_action')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'corporate_action')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'corporate_action')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.symbol, a.action_type, a.ex_date, a.amount, a.unadjusted_amount, a.currency, a.split_to, a.split_from, a.period, a.declared_on, a.record_date, a.paid_on, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.symbol, b.action_type, b.ex_date, b.amount, b.unadjusted_amount, b.currency, b.split_to, b.split_from, b.period, b.declared_on, b.record_date, b.paid_on, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type observation_vintage_version as (
    source text collate "C",
    series_id text collate "C",
    observation_date date,
    realtime_start date,
    realtime_end date,
    value double precision,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function observation_vintage_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof observation_vintage_version language sql stable parallel safe as $$
select t.source, t.series_id, t.observation_date, t.realtime_start, v.realtime_end, v.value, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from observation_vintage_revision as e where e.source = t.source and e.series_id = t.series_id and e.observation_date = t.observation_date and e.realtime_start = t.realtime_start and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'observation_vintage')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'observation_vintage')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from observation_vintage as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'observation_vintage')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'observation_vintage')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from observation_vintage_revision as r where r.source = t.source and r.series_id = t.series_id and r.observation_date = t.observation_date and r.realtime_start = t.realtime_start and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'observation_vintage')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'observation_vintage')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'observation_vintage')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'observation_vintage')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from observation_vintage_revision as r where r.source = t.source and r.series_id = t.series_id and r.observation_date = t.observation_date and r.realtime_start = t.realtime_start and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'observation_vintage')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'observation_vintage')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from observation_vintage_revision as r where a.content_hash is null and r.source = t.source and r.series_id = t.series_id and r.observation_date = t.observation_date and r.realtime_start = t.realtime_start and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'observation_vintage')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'observation_vintage')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.series_id, t.observation_date, t.realtime_start, t.realtime_end, t.value, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'observation_vintage')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'observation_vintage')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'observation_vintage')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'observation_vintage')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.series_id, a.observation_date, a.realtime_start, a.realtime_end, a.value, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.series_id, b.observation_date, b.realtime_start, b.realtime_end, b.value, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type etf_flow_version as (
    source text collate "C",
    report text collate "C",
    frequency text collate "C",
    period_end date,
    category text collate "C",
    net_flow_millions bigint,
    parts_deviation_millions bigint,
    source_file text,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function etf_flow_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof etf_flow_version language sql stable parallel safe as $$
select t.source, t.report, t.frequency, t.period_end, t.category, v.net_flow_millions, v.parts_deviation_millions, v.source_file, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from etf_flow_revision as e where e.source = t.source and e.report = t.report and e.frequency = t.frequency and e.period_end = t.period_end and e.category = t.category and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'etf_flow')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'etf_flow')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from etf_flow as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'etf_flow')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'etf_flow')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from etf_flow_revision as r where r.source = t.source and r.report = t.report and r.frequency = t.frequency and r.period_end = t.period_end and r.category = t.category and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'etf_flow')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'etf_flow')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'etf_flow')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'etf_flow')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from etf_flow_revision as r where r.source = t.source and r.report = t.report and r.frequency = t.frequency and r.period_end = t.period_end and r.category = t.category and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'etf_flow')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'etf_flow')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from etf_flow_revision as r where a.content_hash is null and r.source = t.source and r.report = t.report and r.frequency = t.frequency and r.period_end = t.period_end and r.category = t.category and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'etf_flow')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'etf_flow')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.report, t.frequency, t.period_end, t.category, t.net_flow_millions, t.parts_deviation_millions, t.source_file, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'etf_flow')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'etf_flow')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'etf_flow')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'etf_flow')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.report, a.frequency, a.period_end, a.category, a.net_flow_millions, a.parts_deviation_millions, a.source_file, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.report, b.frequency, b.period_end, b.category, b.net_flow_millions, b.parts_deviation_millions, b.source_file, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type option_quote_version as (
    source text collate "C",
    contract_symbol text collate "C",
    quoted_at timestamp with time zone,
    underlying_symbol text,
    expiration_date date,
    strike numeric,
    option_type text,
    bid double precision,
    ask double precision,
    bid_size double precision,
    ask_size double precision,
    last_price double precision,
    last_traded_at timestamp with time zone,
    change double precision,
    change_percent double precision,
    open double precision,
    high double precision,
    low double precision,
    previous_close double precision,
    volume double precision,
    open_interest double precision,
    implied_volatility double precision,
    delta double precision,
    gamma double precision,
    theta double precision,
    vega double precision,
    rho double precision,
    theoretical_price double precision,
    underlying_price double precision,
    currency text,
    contract_size text,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function option_quote_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof option_quote_version language sql stable parallel safe as $$
select t.source, t.contract_symbol, t.quoted_at, v.underlying_symbol, v.expiration_date, v.strike, v.option_type, v.bid, v.ask, v.bid_size, v.ask_size, v.last_price, v.last_traded_at, v.change, v.change_percent, v.open, v.high, v.low, v.previous_close, v.volume, v.open_interest, v.implied_volatility, v.delta, v.gamma, v.theta, v.vega, v.rho, v.theoretical_price, v.underlying_price, v.currency, v.contract_size, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from option_quote_revision as e where e.source = t.source and e.contract_symbol = t.contract_symbol and e.quoted_at = t.quoted_at and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'option_quote')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'option_quote')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from option_quote as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'option_quote')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'option_quote')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from option_quote_revision as r where r.source = t.source and r.contract_symbol = t.contract_symbol and r.quoted_at = t.quoted_at and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'option_quote')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'option_quote')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'option_quote')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'option_quote')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from option_quote_revision as r where r.source = t.source and r.contract_symbol = t.contract_symbol and r.quoted_at = t.quoted_at and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'option_quote')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'option_quote')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from option_quote_revision as r where a.content_hash is null and r.source = t.source and r.contract_symbol = t.contract_symbol and r.quoted_at = t.quoted_at and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'option_quote')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'option_quote')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.contract_symbol, t.quoted_at, t.underlying_symbol, t.expiration_date, t.strike, t.option_type, t.bid, t.ask, t.bid_size, t.ask_size, t.last_price, t.last_traded_at, t.change, t.change_percent, t.open, t.high, t.low, t.previous_close, t.volume, t.open_interest, t.implied_volatility, t.delta, t.gamma, t.theta, t.vega, t.rho, t.theoretical_price, t.underlying_price, t.currency, t.contract_size, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'option_quote')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'option_quote')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'option_quote')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'option_quote')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.contract_symbol, a.quoted_at, a.underlying_symbol, a.expiration_date, a.strike, a.option_type, a.bid, a.ask, a.bid_size, a.ask_size, a.last_price, a.last_traded_at, a.change, a.change_percent, a.open, a.high, a.low, a.previous_close, a.volume, a.open_interest, a.implied_volatility, a.delta, a.gamma, a.theta, a.vega, a.rho, a.theoretical_price, a.underlying_price, a.currency, a.contract_size, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.contract_symbol, b.quoted_at, b.underlying_symbol, b.expiration_date, b.strike, b.option_type, b.bid, b.ask, b.bid_size, b.ask_size, b.last_price, b.last_traded_at, b.change, b.change_percent, b.open, b.high, b.low, b.previous_close, b.volume, b.open_interest, b.implied_volatility, b.delta, b.gamma, b.theta, b.vega, b.rho, b.theoretical_price, b.underlying_price, b.currency, b.contract_size, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type news_article_version as (
    source text collate "C",
    article_id text collate "C",
    published_at timestamp with time zone,
    title text,
    url text,
    publisher text,
    author text,
    description text,
    content text,
    image_url text,
    language text,
    symbols text[],
    tags text[],
    sentiment_score double precision,
    sentiment_negative double precision,
    sentiment_neutral double precision,
    sentiment_positive double precision,
    sentiment_scorer text,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function news_article_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof news_article_version language sql stable parallel safe as $$
select t.source, t.article_id, v.published_at, v.title, v.url, v.publisher, v.author, v.description, v.content, v.image_url, v.language, v.symbols, v.tags, v.sentiment_score, v.sentiment_negative, v.sentiment_neutral, v.sentiment_positive, v.sentiment_scorer, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from news_article_revision as e where e.source = t.source and e.article_id = t.article_id and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'news_article')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'news_article')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from news_article as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'news_article')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'news_article')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from news_article_revision as r where r.source = t.source and r.article_id = t.article_id and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'news_article')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'news_article')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'news_article')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'news_article')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from news_article_revision as r where r.source = t.source and r.article_id = t.article_id and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'news_article')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'news_article')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from news_article_revision as r where a.content_hash is null and r.source = t.source and r.article_id = t.article_id and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'news_article')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'news_article')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.article_id, t.published_at, t.title, t.url, t.publisher, t.author, t.description, t.content, t.image_url, t.language, t.symbols, t.tags, t.sentiment_score, t.sentiment_negative, t.sentiment_neutral, t.sentiment_positive, t.sentiment_scorer, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'news_article')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'news_article')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'news_article')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'news_article')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.article_id, a.published_at, a.title, a.url, a.publisher, a.author, a.description, a.content, a.image_url, a.language, a.symbols, a.tags, a.sentiment_score, a.sentiment_negative, a.sentiment_neutral, a.sentiment_positive, a.sentiment_scorer, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.article_id, b.published_at, b.title, b.url, b.publisher, b.author, b.description, b.content, b.image_url, b.language, b.symbols, b.tags, b.sentiment_score, b.sentiment_negative, b.sentiment_neutral, b.sentiment_positive, b.sentiment_scorer, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type financial_statement_version as (
    source text collate "C",
    symbol text collate "C",
    statement text collate "C",
    period text collate "C",
    period_end date,
    fiscal_year bigint,
    currency text,
    cik text,
    filed_on date,
    accepted_at timestamp with time zone,
    link text,
    revenue numeric,
    operating_income numeric,
    net_income numeric,
    eps_diluted numeric,
    total_assets numeric,
    total_liabilities numeric,
    total_equity numeric,
    operating_cash_flow numeric,
    free_cash_flow numeric,
    metrics jsonb,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function financial_statement_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof financial_statement_version language sql stable parallel safe as $$
select t.source, t.symbol, t.statement, t.period, t.period_end, v.fiscal_year, v.currency, v.cik, v.filed_on, v.accepted_at, v.link, v.revenue, v.operating_income, v.net_income, v.eps_diluted, v.total_assets, v.total_liabilities, v.total_equity, v.operating_cash_flow, v.free_cash_flow, v.metrics, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from financial_statement_revision as e where e.source = t.source and e.symbol = t.symbol and e.statement = t.statement and e.period = t.period and e.period_end = t.period_end and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'financial_statement')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'financial_statement')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from financial_statement as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'financial_statement')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'financial_statement')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from financial_statement_revision as r where r.source = t.source and r.symbol = t.symbol and r.statement = t.statement and r.period = t.period and r.period_end = t.period_end and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'financial_statement')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'financial_statement')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'financial_statement')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'financial_statement')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from financial_statement_revision as r where r.source = t.source and r.symbol = t.symbol and r.statement = t.statement and r.period = t.period and r.period_end = t.period_end and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'financial_statement')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'financial_statement')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from financial_statement_revision as r where a.content_hash is null and r.source = t.source and r.symbol = t.symbol and r.statement = t.statement and r.period = t.period and r.period_end = t.period_end and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'financial_statement')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'financial_statement')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.symbol, t.statement, t.period, t.period_end, t.fiscal_year, t.currency, t.cik, t.filed_on, t.accepted_at, t.link, t.revenue, t.operating_income, t.net_income, t.eps_diluted, t.total_assets, t.total_liabilities, t.total_equity, t.operating_cash_flow, t.free_cash_flow, t.metrics, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'financial_statement')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'financial_statement')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'financial_statement')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'financial_statement')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.symbol, a.statement, a.period, a.period_end, a.fiscal_year, a.currency, a.cik, a.filed_on, a.accepted_at, a.link, a.revenue, a.operating_income, a.net_income, a.eps_diluted, a.total_assets, a.total_liabilities, a.total_equity, a.operating_cash_flow, a.free_cash_flow, a.metrics, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.symbol, b.statement, b.period, b.period_end, b.fiscal_year, b.currency, b.cik, b.filed_on, b.accepted_at, b.link, b.revenue, b.operating_income, b.net_income, b.eps_diluted, b.total_assets, b.total_liabilities, b.total_equity, b.operating_cash_flow, b.free_cash_flow, b.metrics, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type financial_ratio_version as (
    source text collate "C",
    symbol text collate "C",
    ratio_set text collate "C",
    period text collate "C",
    period_end date,
    fiscal_year bigint,
    currency text,
    market_cap numeric,
    price_earnings double precision,
    price_book double precision,
    return_on_equity double precision,
    debt_to_equity double precision,
    current_ratio double precision,
    net_margin double precision,
    metrics jsonb,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function financial_ratio_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof financial_ratio_version language sql stable parallel safe as $$
select t.source, t.symbol, t.ratio_set, t.period, t.period_end, v.fiscal_year, v.currency, v.market_cap, v.price_earnings, v.price_book, v.return_on_equity, v.debt_to_equity, v.current_ratio, v.net_margin, v.metrics, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from financial_ratio_revision as e where e.source = t.source and e.symbol = t.symbol and e.ratio_set = t.ratio_set and e.period = t.period and e.period_end = t.period_end and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'financial_ratio')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'financial_ratio')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from financial_ratio as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'financial_ratio')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'financial_ratio')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from financial_ratio_revision as r where r.source = t.source and r.symbol = t.symbol and r.ratio_set = t.ratio_set and r.period = t.period and r.period_end = t.period_end and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'financial_ratio')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'financial_ratio')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'financial_ratio')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'financial_ratio')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from financial_ratio_revision as r where r.source = t.source and r.symbol = t.symbol and r.ratio_set = t.ratio_set and r.period = t.period and r.period_end = t.period_end and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'financial_ratio')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'financial_ratio')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from financial_ratio_revision as r where a.content_hash is null and r.source = t.source and r.symbol = t.symbol and r.ratio_set = t.ratio_set and r.period = t.period and r.period_end = t.period_end and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'financial_ratio')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'financial_ratio')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.symbol, t.ratio_set, t.period, t.period_end, t.fiscal_year, t.currency, t.market_cap, t.price_earnings, t.price_book, t.return_on_equity, t.debt_to_equity, t.current_ratio, t.net_margin, t.metrics, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'financial_ratio')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'financial_ratio')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'financial_ratio')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'financial_ratio')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.symbol, a.ratio_set, a.period, a.period_end, a.fiscal_year, a.currency, a.market_cap, a.price_earnings, a.price_book, a.return_on_equity, a.debt_to_equity, a.current_ratio, a.net_margin, a.metrics, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.symbol, b.ratio_set, b.period, b.period_end, b.fiscal_year, b.currency, b.market_cap, b.price_earnings, b.price_book, b.return_on_equity, b.debt_to_equity, b.current_ratio, b.net_margin, b.metrics, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type company_version as (
    source text collate "C",
    symbol text collate "C",
    name text,
    cik text,
    isin text,
    cusip text,
    lei text,
    kind text,
    exchange text,
    currency text,
    country text,
    sector text,
    industry text,
    sic text,
    description text,
    website text,
    employees bigint,
    listed_on date,
    delisted_on date,
    fiscal_year_end text,
    shares_outstanding numeric,
    market_cap numeric,
    former_names text[],
    other jsonb,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function company_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof company_version language sql stable parallel safe as $$
select t.source, t.symbol, v.name, v.cik, v.isin, v.cusip, v.lei, v.kind, v.exchange, v.currency, v.country, v.sector, v.industry, v.sic, v.description, v.website, v.employees, v.listed_on, v.delisted_on, v.fiscal_year_end, v.shares_outstanding, v.market_cap, v.former_names, v.other, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from company_revision as e where e.source = t.source and e.symbol = t.symbol and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'company')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'company')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from company as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'company')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'company')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from company_revision as r where r.source = t.source and r.symbol = t.symbol and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'company')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'company')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'company')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'company')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from company_revision as r where r.source = t.source and r.symbol = t.symbol and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'company')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'company')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from company_revision as r where a.content_hash is null and r.source = t.source and r.symbol = t.symbol and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'company')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'company')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.symbol, t.name, t.cik, t.isin, t.cusip, t.lei, t.kind, t.exchange, t.currency, t.country, t.sector, t.industry, t.sic, t.description, t.website, t.employees, t.listed_on, t.delisted_on, t.fiscal_year_end, t.shares_outstanding, t.market_cap, t.former_names, t.other, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'company')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'company')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'company')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'company')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.symbol, a.name, a.cik, a.isin, a.cusip, a.lei, a.kind, a.exchange, a.currency, a.country, a.sector, a.industry, a.sic, a.description, a.website, a.employees, a.listed_on, a.delisted_on, a.fiscal_year_end, a.shares_outstanding, a.market_cap, a.former_names, a.other, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.symbol, b.name, b.cik, b.isin, b.cusip, b.lei, b.kind, b.exchange, b.currency, b.country, b.sector, b.industry, b.sic, b.description, b.website, b.employees, b.listed_on, b.delisted_on, b.fiscal_year_end, b.shares_outstanding, b.market_cap, b.former_names, b.other, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type analyst_rating_version as (
    source text collate "C",
    symbol text collate "C",
    rated_on date,
    rating double precision,
    target_price numeric,
    strong_buy bigint,
    buy bigint,
    hold bigint,
    sell bigint,
    strong_sell bigint,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function analyst_rating_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof analyst_rating_version language sql stable parallel safe as $$
select t.source, t.symbol, t.rated_on, v.rating, v.target_price, v.strong_buy, v.buy, v.hold, v.sell, v.strong_sell, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from analyst_rating_revision as e where e.source = t.source and e.symbol = t.symbol and e.rated_on = t.rated_on and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'analyst_rating')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'analyst_rating')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from analyst_rating as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'analyst_rating')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'analyst_rating')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from analyst_rating_revision as r where r.source = t.source and r.symbol = t.symbol and r.rated_on = t.rated_on and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'analyst_rating')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'analyst_rating')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'analyst_rating')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'analyst_rating')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from analyst_rating_revision as r where r.source = t.source and r.symbol = t.symbol and r.rated_on = t.rated_on and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'analyst_rating')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'analyst_rating')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from analyst_rating_revision as r where a.content_hash is null and r.source = t.source and r.symbol = t.symbol and r.rated_on = t.rated_on and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'analyst_rating')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'analyst_rating')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.symbol, t.rated_on, t.rating, t.target_price, t.strong_buy, t.buy, t.hold, t.sell, t.strong_sell, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'analyst_rating')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'analyst_rating')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'analyst_rating')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'analyst_rating')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.symbol, a.rated_on, a.rating, a.target_price, a.strong_buy, a.buy, a.hold, a.sell, a.strong_sell, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.symbol, b.rated_on, b.rating, b.target_price, b.strong_buy, b.buy, b.hold, b.sell, b.strong_sell, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type insider_transaction_version as (
    source text collate "C",
    transaction_id text collate "C",
    symbol text,
    issuer_cik text,
    accession_number text,
    form text,
    table_name text,
    owner_name text,
    owner_cik text,
    owner_title text,
    security_title text,
    transaction_date date,
    transaction_code text,
    shares numeric,
    price numeric,
    acquired_disposed text,
    shares_after numeric,
    ownership text,
    reported_on date,
    link text,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function insider_transaction_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof insider_transaction_version language sql stable parallel safe as $$
select t.source, t.transaction_id, v.symbol, v.issuer_cik, v.accession_number, v.form, v.table_name, v.owner_name, v.owner_cik, v.owner_title, v.security_title, v.transaction_date, v.transaction_code, v.shares, v.price, v.acquired_disposed, v.shares_after, v.ownership, v.reported_on, v.link, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from insider_transaction_revision as e where e.source = t.source and e.transaction_id = t.transaction_id and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'insider_transaction')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'insider_transaction')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from insider_transaction as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'insider_transaction')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'insider_transaction')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from insider_transaction_revision as r where r.source = t.source and r.transaction_id = t.transaction_id and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'insider_transaction')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'insider_transaction')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'insider_transaction')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'insider_transaction')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from insider_transaction_revision as r where r.source = t.source and r.transaction_id = t.transaction_id and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'insider_transaction')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'insider_transaction')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from insider_transaction_revision as r where a.content_hash is null and r.source = t.source and r.transaction_id = t.transaction_id and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'insider_transaction')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'insider_transaction')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.transaction_id, t.symbol, t.issuer_cik, t.accession_number, t.form, t.table_name, t.owner_name, t.owner_cik, t.owner_title, t.security_title, t.transaction_date, t.transaction_code, t.shares, t.price, t.acquired_disposed, t.shares_after, t.ownership, t.reported_on, t.link, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'insider_transaction')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'insider_transaction')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'insider_transaction')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'insider_transaction')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.transaction_id, a.symbol, a.issuer_cik, a.accession_number, a.form, a.table_name, a.owner_name, a.owner_cik, a.owner_title, a.security_title, a.transaction_date, a.transaction_code, a.shares, a.price, a.acquired_disposed, a.shares_after, a.ownership, a.reported_on, a.link, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.transaction_id, b.symbol, b.issuer_cik, b.accession_number, b.form, b.table_name, b.owner_name, b.owner_cik, b.owner_title, b.security_title, b.transaction_date, b.transaction_code, b.shares, b.price, b.acquired_disposed, b.shares_after, b.ownership, b.reported_on, b.link, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type filing_version as (
    source text collate "C",
    cik text collate "C",
    accession_number text collate "C",
    form text,
    filed_on date,
    reported_on date,
    accepted_at timestamp with time zone,
    act text,
    file_number text,
    film_number text,
    items text,
    size_bytes bigint,
    primary_document text,
    primary_document_description text,
    core_type text,
    is_xbrl bigint,
    is_inline_xbrl bigint,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function filing_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof filing_version language sql stable parallel safe as $$
select t.source, t.cik, t.accession_number, v.form, v.filed_on, v.reported_on, v.accepted_at, v.act, v.file_number, v.film_number, v.items, v.size_bytes, v.primary_document, v.primary_document_description, v.core_type, v.is_xbrl, v.is_inline_xbrl, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from filing_revision as e where e.source = t.source and e.cik = t.cik and e.accession_number = t.accession_number and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'filing')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'filing')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from filing as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'filing')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'filing')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from filing_revision as r where r.source = t.source and r.cik = t.cik and r.accession_number = t.accession_number and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'filing')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'filing')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'filing')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'filing')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from filing_revision as r where r.source = t.source and r.cik = t.cik and r.accession_number = t.accession_number and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'filing')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'filing')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from filing_revision as r where a.content_hash is null and r.source = t.source and r.cik = t.cik and r.accession_number = t.accession_number and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'filing')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'filing')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.cik, t.accession_number, t.form, t.filed_on, t.reported_on, t.accepted_at, t.act, t.file_number, t.film_number, t.items, t.size_bytes, t.primary_document, t.primary_document_description, t.core_type, t.is_xbrl, t.is_inline_xbrl, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'filing')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'filing')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'filing')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'filing')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.cik, a.accession_number, a.form, a.filed_on, a.reported_on, a.accepted_at, a.act, a.file_number, a.film_number, a.items, a.size_bytes, a.primary_document, a.primary_document_description, a.core_type, a.is_xbrl, a.is_inline_xbrl, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.cik, b.accession_number, b.form, b.filed_on, b.reported_on, b.accepted_at, b.act, b.file_number, b.film_number, b.items, b.size_bytes, b.primary_document, b.primary_document_description, b.core_type, b.is_xbrl, b.is_inline_xbrl, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type xbrl_fact_version as (
    source text collate "C",
    cik text collate "C",
    taxonomy text collate "C",
    concept text collate "C",
    unit text collate "C",
    period_type text collate "C",
    period_start date,
    period_end date,
    accession_number text collate "C",
    value numeric,
    fiscal_year bigint,
    fiscal_period text,
    form text,
    filed_on date,
    frame text,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function xbrl_fact_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof xbrl_fact_version language sql stable parallel safe as $$
select t.source, t.cik, t.taxonomy, t.concept, t.unit, t.period_type, t.period_start, t.period_end, t.accession_number, v.value, v.fiscal_year, v.fiscal_period, v.form, v.filed_on, v.frame, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from xbrl_fact_revision as e where e.source = t.source and e.cik = t.cik and e.taxonomy = t.taxonomy and e.concept = t.concept and e.unit = t.unit and e.period_type = t.period_type and e.period_start = t.period_start and e.period_end = t.period_end and e.accession_number = t.accession_number and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'xbrl_fact')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'xbrl_fact')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from xbrl_fact as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'xbrl_fact')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'xbrl_fact')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from xbrl_fact_revision as r where r.source = t.source and r.cik = t.cik and r.taxonomy = t.taxonomy and r.concept = t.concept and r.unit = t.unit and r.period_type = t.period_type and r.period_start = t.period_start and r.period_end = t.period_end and r.accession_number = t.accession_number and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'xbrl_fact')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'xbrl_fact')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'xbrl_fact')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'xbrl_fact')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from xbrl_fact_revision as r where r.source = t.source and r.cik = t.cik and r.taxonomy = t.taxonomy and r.concept = t.concept and r.unit = t.unit and r.period_type = t.period_type and r.period_start = t.period_start and r.period_end = t.period_end and r.accession_number = t.accession_number and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'xbrl_fact')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'xbrl_fact')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from xbrl_fact_revision as r where a.content_hash is null and r.source = t.source and r.cik = t.cik and r.taxonomy = t.taxonomy and r.concept = t.concept and r.unit = t.unit and r.period_type = t.period_type and r.period_start = t.period_start and r.period_end = t.period_end and r.accession_number = t.accession_number and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'xbrl_fact')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'xbrl_fact')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.cik, t.taxonomy, t.concept, t.unit, t.period_type, t.period_start, t.period_end, t.accession_number, t.value, t.fiscal_year, t.fiscal_period, t.form, t.filed_on, t.frame, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'xbrl_fact')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'xbrl_fact')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'xbrl_fact')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'xbrl_fact')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.cik, a.taxonomy, a.concept, a.unit, a.period_type, a.period_start, a.period_end, a.accession_number, a.value, a.fiscal_year, a.fiscal_period, a.form, a.filed_on, a.frame, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.cik, b.taxonomy, b.concept, b.unit, b.period_type, b.period_start, b.period_end, b.accession_number, b.value, b.fiscal_year, b.fiscal_period, b.form, b.filed_on, b.frame, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type technical_indicator_version as (
    source text collate "C",
    symbol text collate "C",
    bar_interval text collate "C",
    indicator text collate "C",
    ts_start timestamp with time zone,
    value double precision,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function technical_indicator_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof technical_indicator_version language sql stable parallel safe as $$
select t.source, t.symbol, t.bar_interval, t.indicator, t.ts_start, v.value, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from technical_indicator_revision as e where e.source = t.source and e.symbol = t.symbol and e.bar_interval = t.bar_interval and e.indicator = t.indicator and e.ts_start = t.ts_start and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'technical_indicator')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'technical_indicator')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from technical_indicator as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'technical_indicator')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'technical_indicator')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from technical_indicator_revision as r where r.source = t.source and r.symbol = t.symbol and r.bar_interval = t.bar_interval and r.indicator = t.indicator and r.ts_start = t.ts_start and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'technical_indicator')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'technical_indicator')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'technical_indicator')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'technical_indicator')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from technical_indicator_revision as r where r.source = t.source and r.symbol = t.symbol and r.bar_interval = t.bar_interval and r.indicator = t.indicator and r.ts_start = t.ts_start and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'technical_indicator')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'technical_indicator')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from technical_indicator_revision as r where a.content_hash is null and r.source = t.source and r.symbol = t.symbol and r.bar_interval = t.bar_interval and r.indicator = t.indicator and r.ts_start = t.ts_start and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'technical_indicator')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'technical_indicator')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.symbol, t.bar_interval, t.indicator, t.ts_start, t.value, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'technical_indicator')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'technical_indicator')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'technical_indicator')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'technical_indicator')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.symbol, a.bar_interval, a.indicator, a.ts_start, a.value, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.symbol, b.bar_interval, b.indicator, b.ts_start, b.value, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type prediction_version as (
    source text collate "C",
    model text collate "C",
    symbol text collate "C",
    horizon text collate "C",
    made_at timestamp with time zone,
    target text,
    value double precision,
    lower double precision,
    upper double precision,
    confidence double precision,
    features jsonb,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function prediction_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof prediction_version language sql stable parallel safe as $$
select t.source, t.model, t.symbol, t.horizon, t.made_at, v.target, v.value, v.lower, v.upper, v.confidence, v.features, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from prediction_revision as e where e.source = t.source and e.model = t.model and e.symbol = t.symbol and e.horizon = t.horizon and e.made_at = t.made_at and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'prediction')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'prediction')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from prediction as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'prediction')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'prediction')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from prediction_revision as r where r.source = t.source and r.model = t.model and r.symbol = t.symbol and r.horizon = t.horizon and r.made_at = t.made_at and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'prediction')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'prediction')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'prediction')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'prediction')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from prediction_revision as r where r.source = t.source and r.model = t.model and r.symbol = t.symbol and r.horizon = t.horizon and r.made_at = t.made_at and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'prediction')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'prediction')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from prediction_revision as r where a.content_hash is null and r.source = t.source and r.model = t.model and r.symbol = t.symbol and r.horizon = t.horizon and r.made_at = t.made_at and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'prediction')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'prediction')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.model, t.symbol, t.horizon, t.made_at, t.target, t.value, t.lower, t.upper, t.confidence, t.features, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'prediction')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'prediction')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'prediction')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'prediction')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.model, a.symbol, a.horizon, a.made_at, a.target, a.value, a.lower, a.upper, a.confidence, a.features, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.model, b.symbol, b.horizon, b.made_at, b.target, b.value, b.lower, b.upper, b.confidence, b.features, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type model_performance_version as (
    source text collate "C",
    model text collate "C",
    metric text collate "C",
    evaluated_at timestamp with time zone,
    value double precision,
    sample_count bigint,
    sample_start timestamp with time zone,
    sample_end timestamp with time zone,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function model_performance_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof model_performance_version language sql stable parallel safe as $$
select t.source, t.model, t.metric, t.evaluated_at, v.value, v.sample_count, v.sample_start, v.sample_end, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from model_performance_revision as e where e.source = t.source and e.model = t.model and e.metric = t.metric and e.evaluated_at = t.evaluated_at and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'model_performance')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'model_performance')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from model_performance as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'model_performance')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'model_performance')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from model_performance_revision as r where r.source = t.source and r.model = t.model and r.metric = t.metric and r.evaluated_at = t.evaluated_at and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'model_performance')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'model_performance')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'model_performance')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'model_performance')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from model_performance_revision as r where r.source = t.source and r.model = t.model and r.metric = t.metric and r.evaluated_at = t.evaluated_at and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'model_performance')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'model_performance')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from model_performance_revision as r where a.content_hash is null and r.source = t.source and r.model = t.model and r.metric = t.metric and r.evaluated_at = t.evaluated_at and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'model_performance')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'model_performance')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.model, t.metric, t.evaluated_at, t.value, t.sample_count, t.sample_start, t.sample_end, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'model_performance')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'model_performance')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'model_performance')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'model_performance')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.model, a.metric, a.evaluated_at, a.value, a.sample_count, a.sample_start, a.sample_end, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.model, b.metric, b.evaluated_at, b.value, b.sample_count, b.sample_start, b.sample_end, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type fetch_log_version as (
    source text collate "C",
    endpoint text collate "C",
    item text collate "C",
    fetched_at timestamp with time zone,
    outcome text,
    records bigint,
    corrections bigint,
    unchanged bigint,
    rejects bigint,
    calls bigint,
    bytes bigint,
    duration_ms bigint,
    error text,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function fetch_log_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof fetch_log_version language sql stable parallel safe as $$
select t.source, t.endpoint, t.item, t.fetched_at, v.outcome, v.records, v.corrections, v.unchanged, v.rejects, v.calls, v.bytes, v.duration_ms, v.error, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from fetch_log_revision as e where e.source = t.source and e.endpoint = t.endpoint and e.item = t.item and e.fetched_at = t.fetched_at and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'fetch_log')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'fetch_log')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from fetch_log as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'fetch_log')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'fetch_log')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from fetch_log_revision as r where r.source = t.source and r.endpoint = t.endpoint and r.item = t.item and r.fetched_at = t.fetched_at and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'fetch_log')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'fetch_log')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'fetch_log')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'fetch_log')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from fetch_log_revision as r where r.source = t.source and r.endpoint = t.endpoint and r.item = t.item and r.fetched_at = t.fetched_at and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'fetch_log')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'fetch_log')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from fetch_log_revision as r where a.content_hash is null and r.source = t.source and r.endpoint = t.endpoint and r.item = t.item and r.fetched_at = t.fetched_at and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'fetch_log')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'fetch_log')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.endpoint, t.item, t.fetched_at, t.outcome, t.records, t.corrections, t.unchanged, t.rejects, t.calls, t.bytes, t.duration_ms, t.error, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'fetch_log')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'fetch_log')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'fetch_log')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'fetch_log')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.endpoint, a.item, a.fetched_at, a.outcome, a.records, a.corrections, a.unchanged, a.rejects, a.calls, a.bytes, a.duration_ms, a.error, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.endpoint, b.item, b.fetched_at, b.outcome, b.records, b.corrections, b.unchanged, b.rejects, b.calls, b.bytes, b.duration_ms, b.error, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type series_vintage_version as (
    source text collate "C",
    series_id text collate "C",
    vintage_date date,
    vintage_number bigint,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function series_vintage_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof series_vintage_version language sql stable parallel safe as $$
select t.source, t.series_id, t.vintage_date, v.vintage_number, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from series_vintage_revision as e where e.source = t.source and e.series_id = t.series_id and e.vintage_date = t.vintage_date and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'series_vintage')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'series_vintage')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from series_vintage as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'series_vintage')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'series_vintage')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from series_vintage_revision as r where r.source = t.source and r.series_id = t.series_id and r.vintage_date = t.vintage_date and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'series_vintage')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'series_vintage')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'series_vintage')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'series_vintage')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from series_vintage_revision as r where r.source = t.source and r.series_id = t.series_id and r.vintage_date = t.vintage_date and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'series_vintage')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'series_vintage')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from series_vintage_revision as r where a.content_hash is null and r.source = t.source and r.series_id = t.series_id and r.vintage_date = t.vintage_date and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'series_vintage')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'series_vintage')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.series_id, t.vintage_date, t.vintage_number, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'series_vintage')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'series_vintage')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'series_vintage')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'series_vintage')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.series_id, a.vintage_date, a.vintage_number, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.series_id, b.vintage_date, b.vintage_number, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type exchange_version as (
    source text collate "C",
    exchange_code text collate "C",
    name text,
    country text,
    country_code text,
    currency text,
    time_zone text,
    mic text,
    opens_at text,
    closes_at text,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function exchange_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof exchange_version language sql stable parallel safe as $$
select t.source, t.exchange_code, v.name, v.country, v.country_code, v.currency, v.time_zone, v.mic, v.opens_at, v.closes_at, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from exchange_revision as e where e.source = t.source and e.exchange_code = t.exchange_code and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'exchange')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'exchange')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from exchange as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'exchange')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'exchange')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from exchange_revision as r where r.source = t.source and r.exchange_code = t.exchange_code and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'exchange')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'exchange')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'exchange')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'exchange')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from exchange_revision as r where r.source = t.source and r.exchange_code = t.exchange_code and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'exchange')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'exchange')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from exchange_revision as r where a.content_hash is null and r.source = t.source and r.exchange_code = t.exchange_code and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'exchange')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'exchange')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.exchange_code, t.name, t.country, t.country_code, t.currency, t.time_zone, t.mic, t.opens_at, t.closes_at, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'exchange')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'exchange')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'exchange')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'exchange')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.exchange_code, a.name, a.country, a.country_code, a.currency, a.time_zone, a.mic, a.opens_at, a.closes_at, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.exchange_code, b.name, b.country, b.country_code, b.currency, b.time_zone, b.mic, b.opens_at, b.closes_at, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type sector_version as (
    source text collate "C",
    classification text collate "C",
    sector_code text collate "C",
    name text,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function sector_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof sector_version language sql stable parallel safe as $$
select t.source, t.classification, t.sector_code, v.name, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from sector_revision as e where e.source = t.source and e.classification = t.classification and e.sector_code = t.sector_code and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'sector')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'sector')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from sector as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'sector')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'sector')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from sector_revision as r where r.source = t.source and r.classification = t.classification and r.sector_code = t.sector_code and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'sector')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'sector')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'sector')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'sector')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from sector_revision as r where r.source = t.source and r.classification = t.classification and r.sector_code = t.sector_code and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'sector')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'sector')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from sector_revision as r where a.content_hash is null and r.source = t.source and r.classification = t.classification and r.sector_code = t.sector_code and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'sector')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'sector')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.classification, t.sector_code, t.name, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'sector')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'sector')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'sector')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'sector')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.classification, a.sector_code, a.name, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.classification, b.sector_code, b.name, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type industry_version as (
    source text collate "C",
    classification text collate "C",
    industry_code text collate "C",
    name text,
    sector_code text,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function industry_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof industry_version language sql stable parallel safe as $$
select t.source, t.classification, t.industry_code, v.name, v.sector_code, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from industry_revision as e where e.source = t.source and e.classification = t.classification and e.industry_code = t.industry_code and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'industry')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'industry')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from industry as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'industry')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'industry')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from industry_revision as r where r.source = t.source and r.classification = t.classification and r.industry_code = t.industry_code and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'industry')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'industry')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'industry')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'industry')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from industry_revision as r where r.source = t.source and r.classification = t.classification and r.industry_code = t.industry_code and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'industry')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'industry')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from industry_revision as r where a.content_hash is null and r.source = t.source and r.classification = t.classification and r.industry_code = t.industry_code and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'industry')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'industry')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.classification, t.industry_code, t.name, t.sector_code, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'industry')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'industry')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'industry')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'industry')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.classification, a.industry_code, a.name, a.sector_code, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.classification, b.industry_code, b.name, b.sector_code, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;

create type instrument_version as (
    source text collate "C",
    symbol text collate "C",
    mic text,
    ticker text,
    isin text,
    exchange text,
    kind text,
    currency text,
    unit text,
    units_per_currency double precision,
    price_adjustment text,
    adjusted_close_adjustment text,
    volume_adjustment text,
    known_at timestamp with time zone,
    observed_at timestamp with time zone,
    flags text[],
    content_hash bigint,
    deleted boolean,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    updated_at timestamp with time zone,
    known_basis text
);
create function instrument_as_of(known timestamptz, observed timestamptz default 'infinity', snapshot text default null)
returns setof instrument_version language sql stable parallel safe as $$
select t.source, t.symbol, v.mic, v.ticker, v.isin, v.exchange, v.kind, v.currency, v.unit, v.units_per_currency, v.price_adjustment, v.adjusted_close_adjustment, v.volume_adjustment, v.known_at, v.observed_at, v.flags, v.content_hash, v.deleted, v.topic_incarnation, v.topic_partition, v.topic_offset, v.updated_at,
    case when v.known_at = v.observed_at or exists (select 1 from instrument_revision as e where e.source = t.source and e.symbol = t.symbol and e.known_at = v.known_at and (e.observed_at, e.content_hash) < (v.observed_at, v.content_hash) and ($3 is null or e.topic_offset is null or (e.topic_incarnation, e.topic_offset) < (((select snapshot_of($3, 'instrument')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'instrument')) -> 'next' ->> e.topic_partition)::bigint, 0)))) then 'receipt' else 'provider' end
from instrument as t
left join lateral (select case when t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'instrument')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'instrument')) -> 'next' ->> t.topic_partition)::bigint, 0))) then t.known_at else (select r.known_at from instrument_revision as r where r.source = t.source and r.symbol = t.symbol and r.known_at <= $1 and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'instrument')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'instrument')) -> 'next' ->> r.topic_partition)::bigint, 0))) order by r.known_at desc, r.observed_at desc, r.content_hash desc limit 1) end as known_at) as g on not (t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'instrument')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'instrument')) -> 'next' ->> t.topic_partition)::bigint, 0))))
left join lateral (select r.* from instrument_revision as r where r.source = t.source and r.symbol = t.symbol and r.known_at = g.known_at and r.observed_at <= least($1, $2) and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'instrument')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'instrument')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at desc, r.content_hash desc limit 1) as a on true
left join lateral (select r.* from instrument_revision as r where a.content_hash is null and r.source = t.source and r.symbol = t.symbol and r.known_at = g.known_at and r.observed_at <= $2 and ($3 is null or r.topic_offset is null or (r.topic_incarnation, r.topic_offset) < (((select snapshot_of($3, 'instrument')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'instrument')) -> 'next' ->> r.topic_partition)::bigint, 0)))
    order by r.observed_at, r.content_hash limit 1) as b on true
cross join lateral (
    select t.source, t.symbol, t.mic, t.ticker, t.isin, t.exchange, t.kind, t.currency, t.unit, t.units_per_currency, t.price_adjustment, t.adjusted_close_adjustment, t.volume_adjustment, t.known_at, t.observed_at, t.flags, t.content_hash, t.deleted, t.topic_incarnation, t.topic_partition, t.topic_offset, t.updated_at where g.known_at is null and t.known_at <= $1 and t.observed_at <= least($1, $2) and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'instrument')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'instrument')) -> 'next' ->> t.topic_partition)::bigint, 0))) or g.known_at = t.known_at and a.content_hash is null and b.content_hash is null and t.known_at <= $1 and t.observed_at <= $2 and ($3 is null or t.topic_offset is null or (t.topic_incarnation, t.topic_offset) < (((select snapshot_of($3, 'instrument')) ->> 'incarnation')::integer, coalesce(((select snapshot_of($3, 'instrument')) -> 'next' ->> t.topic_partition)::bigint, 0)))
    union all select a.source, a.symbol, a.mic, a.ticker, a.isin, a.exchange, a.kind, a.currency, a.unit, a.units_per_currency, a.price_adjustment, a.adjusted_close_adjustment, a.volume_adjustment, a.known_at, a.observed_at, a.flags, a.content_hash, a.deleted, a.topic_incarnation, a.topic_partition, a.topic_offset, a.updated_at where a.content_hash is not null
    union all select b.source, b.symbol, b.mic, b.ticker, b.isin, b.exchange, b.kind, b.currency, b.unit, b.units_per_currency, b.price_adjustment, b.adjusted_close_adjustment, b.volume_adjustment, b.known_at, b.observed_at, b.flags, b.content_hash, b.deleted, b.topic_incarnation, b.topic_partition, b.topic_offset, b.updated_at where b.content_hash is not null) as v
where not v.deleted
$$;
