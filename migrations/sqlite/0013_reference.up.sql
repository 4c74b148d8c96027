-- Reference data: what prices are, sectors, industries, and an exchange's code and hours.
create table sector (
    source text not null,
    classification text not null,
    sector_code text not null,
    name text,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (source, classification, sector_code),
    check (deleted or name is not null)
) strict, without rowid;

create table sector_revision (
    source text not null,
    classification text not null,
    sector_code text not null,
    name text,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (classification, sector_code, source, known_at, observed_at, content_hash),
    check (deleted or name is not null)
) strict, without rowid;

create table industry (
    source text not null,
    classification text not null,
    industry_code text not null,
    name text,
    sector_code text,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (source, classification, industry_code),
    check (deleted or name is not null)
) strict, without rowid;

create table industry_revision (
    source text not null,
    classification text not null,
    industry_code text not null,
    name text,
    sector_code text,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (classification, industry_code, source, known_at, observed_at, content_hash),
    check (deleted or name is not null)
) strict, without rowid;

create table instrument (
    source text not null,
    symbol text not null,
    mic text,
    ticker text,
    isin text,
    exchange text,
    kind text,
    currency text,
    unit text,
    units_per_currency real check (units_per_currency > 0),
    price_adjustment text,
    adjusted_close_adjustment text,
    volume_adjustment text,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (source, symbol)
) strict, without rowid;

create table instrument_revision (
    source text not null,
    symbol text not null,
    mic text,
    ticker text,
    isin text,
    exchange text,
    kind text,
    currency text,
    unit text,
    units_per_currency real check (units_per_currency > 0),
    price_adjustment text,
    adjusted_close_adjustment text,
    volume_adjustment text,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (symbol, source, known_at, observed_at, content_hash)
) strict, without rowid;

alter table exchange add column mic text;
alter table exchange add column opens_at text;
alter table exchange add column closes_at text;
alter table exchange_revision add column mic text;
alter table exchange_revision add column opens_at text;
alter table exchange_revision add column closes_at text;
