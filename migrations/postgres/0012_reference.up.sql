-- Reference data: what prices are, sectors, industries, and an exchange's code and hours.
create table sector (
    source text collate "C" not null,
    classification text collate "C" not null,
    sector_code text collate "C" not null,
    name text,
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    deleted boolean not null default false,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    primary key (source, classification, sector_code),
    check (deleted or name is not null)
);

create table industry (
    source text collate "C" not null,
    classification text collate "C" not null,
    industry_code text collate "C" not null,
    name text,
    sector_code text,
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    deleted boolean not null default false,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    primary key (source, classification, industry_code),
    check (deleted or name is not null)
);

create table instrument (
    source text collate "C" not null,
    symbol text collate "C" not null,
    mic text,
    ticker text,
    isin text,
    exchange text,
    kind text,
    currency text,
    unit text,
    units_per_currency double precision check (units_per_currency > 0),
    price_adjustment text,
    adjusted_close_adjustment text,
    volume_adjustment text,
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    deleted boolean not null default false,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset bigint,
    primary key (source, symbol)
);

alter table exchange
    add column mic text,
    add column opens_at text,
    add column closes_at text;
alter table exchange_revision
    add column mic text,
    add column opens_at text,
    add column closes_at text;

create table sector_revision (like sector including all excluding indexes,
    primary key (classification, sector_code, source, known_at, observed_at, content_hash));
create table industry_revision (like industry including all excluding indexes,
    primary key (classification, industry_code, source, known_at, observed_at, content_hash));
create table instrument_revision (like instrument including all excluding indexes,
    primary key (symbol, source, known_at, observed_at, content_hash));
