-- The datasets of all providers, and those that others publish.

create table corporate_action (
    source text collate "C" not null,
    symbol text collate "C" not null,
    action_type text collate "C" not null,
    ex_date date not null,
    amount numeric,
    unadjusted_amount numeric,
    currency text,
    split_to numeric,
    split_from numeric,
    period text,
    declared_on date,
    record_date date,
    paid_on date,
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    deleted boolean not null default false,
    primary key (source, symbol, action_type, ex_date)
);

create table observation_vintage (
    source text collate "C" not null,
    series_id text collate "C" not null,
    observation_date date not null,
    realtime_start date not null,
    realtime_end date,
    value double precision,
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    deleted boolean not null default false,
    primary key (source, series_id, observation_date, realtime_start),
    check (realtime_end >= realtime_start)
);

create table etf_flow (
    source text collate "C" not null,
    report text collate "C" not null,
    frequency text collate "C" not null,
    period_end date not null,
    category text collate "C" not null,
    net_flow_millions bigint,
    parts_deviation_millions bigint,
    source_file text,
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    deleted boolean not null default false,
    primary key (source, report, frequency, period_end, category),
    check (deleted or net_flow_millions is not null and source_file is not null)
);

create table option_quote (
    source text collate "C" not null,
    contract_symbol text collate "C" not null,
    quoted_at timestamptz not null,
    underlying_symbol text,
    expiration_date date,
    strike numeric,
    option_type text,
    bid double precision,
    ask double precision,
    bid_size double precision,
    ask_size double precision,
    last_price double precision,
    last_traded_at timestamptz,
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
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    deleted boolean not null default false,
    primary key (source, contract_symbol, quoted_at),
    check (bid >= 0),
    check (ask >= 0),
    check (volume >= 0),
    check (open_interest >= 0),
    check (deleted or underlying_symbol is not null and expiration_date is not null and strike is not null and option_type is not null)
);

create table news_article (
    source text collate "C" not null,
    article_id text collate "C" not null,
    published_at timestamptz,
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
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    deleted boolean not null default false,
    primary key (source, article_id),
    check (sentiment_score >= -1),
    check (sentiment_score <= 1),
    check (deleted or title is not null and symbols is not null and tags is not null)
);

create table financial_statement (
    source text collate "C" not null,
    symbol text collate "C" not null,
    statement text collate "C" not null,
    period text collate "C" not null,
    period_end date not null,
    fiscal_year bigint,
    currency text,
    cik text,
    filed_on date,
    accepted_at timestamptz,
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
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    deleted boolean not null default false,
    primary key (source, symbol, statement, period, period_end),
    check (deleted or metrics is not null)
);

create table financial_ratio (
    source text collate "C" not null,
    symbol text collate "C" not null,
    ratio_set text collate "C" not null,
    period text collate "C" not null,
    period_end date not null,
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
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    deleted boolean not null default false,
    primary key (source, symbol, ratio_set, period, period_end),
    check (deleted or metrics is not null)
);

create table company (
    source text collate "C" not null,
    symbol text collate "C" not null,
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
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    deleted boolean not null default false,
    primary key (source, symbol),
    check (deleted or name is not null and former_names is not null)
);

create table exchange (
    source text collate "C" not null,
    exchange_code text collate "C" not null,
    name text,
    country text,
    country_code text,
    currency text,
    time_zone text,
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    deleted boolean not null default false,
    primary key (source, exchange_code)
);

create table analyst_rating (
    source text collate "C" not null,
    symbol text collate "C" not null,
    rated_on date not null,
    rating double precision,
    target_price numeric,
    strong_buy bigint,
    buy bigint,
    hold bigint,
    sell bigint,
    strong_sell bigint,
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    deleted boolean not null default false,
    primary key (source, symbol, rated_on),
    check (strong_buy >= 0),
    check (buy >= 0),
    check (hold >= 0),
    check (sell >= 0),
    check (strong_sell >= 0)
);

create table insider_transaction (
    source text collate "C" not null,
    transaction_id text collate "C" not null,
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
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    deleted boolean not null default false,
    primary key (source, transaction_id),
    check (deleted or owner_name is not null)
);

create table filing (
    source text collate "C" not null,
    cik text collate "C" not null,
    accession_number text collate "C" not null,
    form text,
    filed_on date,
    reported_on date,
    accepted_at timestamptz,
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
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    deleted boolean not null default false,
    primary key (source, cik, accession_number),
    check (deleted or form is not null and filed_on is not null)
);

create table xbrl_fact (
    source text collate "C" not null,
    cik text collate "C" not null,
    taxonomy text collate "C" not null,
    concept text collate "C" not null,
    unit text collate "C" not null,
    period_type text collate "C" not null,
    period_start date not null,
    period_end date not null,
    accession_number text collate "C" not null,
    value numeric,
    fiscal_year bigint,
    fiscal_period text,
    form text,
    filed_on date,
    frame text,
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    deleted boolean not null default false,
    primary key (source, cik, taxonomy, concept, unit, period_type, period_start, period_end, accession_number),
    check (period_start <= period_end),
    check (deleted or value is not null and form is not null and filed_on is not null)
);

create table technical_indicator (
    source text collate "C" not null,
    symbol text collate "C" not null,
    bar_interval text collate "C" not null,
    indicator text collate "C" not null,
    ts_start timestamptz not null,
    value double precision,
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    deleted boolean not null default false,
    primary key (source, symbol, bar_interval, indicator, ts_start)
);

create table prediction (
    source text collate "C" not null,
    model text collate "C" not null,
    symbol text collate "C" not null,
    horizon text collate "C" not null,
    made_at timestamptz not null,
    target text,
    value double precision,
    lower double precision,
    upper double precision,
    confidence double precision,
    features jsonb,
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    deleted boolean not null default false,
    primary key (source, model, symbol, horizon, made_at),
    check (lower <= upper),
    check (deleted or target is not null and value is not null)
);

create table model_performance (
    source text collate "C" not null,
    model text collate "C" not null,
    metric text collate "C" not null,
    evaluated_at timestamptz not null,
    value double precision,
    sample_count bigint,
    sample_start timestamptz,
    sample_end timestamptz,
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    deleted boolean not null default false,
    primary key (source, model, metric, evaluated_at),
    check (deleted or value is not null)
);

create table fetch_log (
    source text collate "C" not null,
    endpoint text collate "C" not null,
    item text collate "C" not null,
    fetched_at timestamptz not null,
    outcome text,
    records bigint,
    rejects bigint,
    calls bigint,
    bytes bigint,
    duration_ms bigint,
    error text,
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    deleted boolean not null default false,
    primary key (source, endpoint, item, fetched_at),
    check (records >= 0),
    check (rejects >= 0),
    check (calls >= 0),
    check (bytes >= 0),
    check (duration_ms >= 0),
    check (deleted or outcome is not null and records is not null and rejects is not null and calls is not null and bytes is not null and duration_ms is not null)
);

create table series_vintage (
    source text collate "C" not null,
    series_id text collate "C" not null,
    vintage_date date not null,
    vintage_number bigint,
    known_at timestamptz not null,
    observed_at timestamptz not null,
    flags text[] not null,
    content_hash bigint not null,
    updated_at timestamptz not null default now(),
    deleted boolean not null default false,
    primary key (source, series_id, vintage_date),
    check (vintage_number >= 1),
    check (deleted or vintage_number is not null)
);

-- What is asked for by something else than the key.
create index news_article_published_at on news_article (published_at);
create index insider_transaction_symbol on insider_transaction (symbol, transaction_date);
create index filing_form on filing (cik, form, filed_on);

-- With TimescaleDB the datasets that grow with time are hypertables.
do $$
begin
    if exists (select from pg_extension where extname = 'timescaledb') then
        -- A few in a year for each symbol.
        perform create_hypertable('corporate_action', 'ex_date', chunk_time_interval => interval '10 years');
        -- As `observation`.
        perform create_hypertable('observation_vintage', 'observation_date', chunk_time_interval => interval '10 years');
        -- A few hundred rows in a year.
        perform create_hypertable('etf_flow', 'period_end', chunk_time_interval => interval '10 years');
        -- Thousands of contracts for each underlying, several times a day.
        perform create_hypertable('option_quote', 'quoted_at', chunk_time_interval => interval '7 days');
        -- A few in a year for each symbol.
        perform create_hypertable('financial_statement', 'period_end', chunk_time_interval => interval '10 years');
        -- A few in a year for each symbol.
        perform create_hypertable('financial_ratio', 'period_end', chunk_time_interval => interval '10 years');
        -- One a day for each symbol.
        perform create_hypertable('analyst_rating', 'rated_on', chunk_time_interval => interval '1 year');
        -- Some thousands in a year for each company.
        perform create_hypertable('xbrl_fact', 'period_end', chunk_time_interval => interval '10 years');
        -- As `ohlcv_bar`.
        perform create_hypertable('technical_indicator', 'ts_start', chunk_time_interval => interval '1 year');
        -- As many as others publish.
        perform create_hypertable('prediction', 'made_at', chunk_time_interval => interval '90 days');
        -- A few a day.
        perform create_hypertable('model_performance', 'evaluated_at', chunk_time_interval => interval '1 year');
        -- One for each request.
        perform create_hypertable('fetch_log', 'fetched_at', chunk_time_interval => interval '30 days');
        -- As `observation`.
        perform create_hypertable('series_vintage', 'vintage_date', chunk_time_interval => interval '10 years');
    end if;
end
$$;
