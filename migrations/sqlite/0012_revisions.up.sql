-- Every version of every row. A table keeps the highest version of each key, its table of revisions all others.
-- Both say where on the topic a version is first: a snapshot is read by that.

-- Superseded records that are kept as revisions. Null in chunks of an executable that kept none.
alter table sink_chunk add column records_kept integer;

alter table analyst_rating add column topic_incarnation integer;
alter table analyst_rating add column topic_partition integer;
alter table analyst_rating add column topic_offset integer;
create table analyst_rating_revision (
    source text not null,
    symbol text not null,
    rated_on text not null,
    rating real,
    target_price any,
    strong_buy integer,
    buy integer,
    hold integer,
    sell integer,
    strong_sell integer,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (symbol, rated_on, source, known_at, observed_at, content_hash),
    check (strong_buy >= 0),
    check (buy >= 0),
    check (hold >= 0),
    check (sell >= 0),
    check (strong_sell >= 0)
) strict, without rowid;

alter table company add column topic_incarnation integer;
alter table company add column topic_partition integer;
alter table company add column topic_offset integer;
create table company_revision (
    source text not null,
    symbol text not null,
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
    employees integer,
    listed_on text,
    delisted_on text,
    fiscal_year_end text,
    shares_outstanding any,
    market_cap any,
    former_names text,
    other text,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (symbol, source, known_at, observed_at, content_hash),
    check (deleted or name is not null and former_names is not null)
) strict, without rowid;

alter table corporate_action add column topic_incarnation integer;
alter table corporate_action add column topic_partition integer;
alter table corporate_action add column topic_offset integer;
create table corporate_action_revision (
    source text not null,
    symbol text not null,
    action_type text not null,
    ex_date text not null,
    amount any,
    unadjusted_amount any,
    currency text,
    split_to any,
    split_from any,
    period text,
    declared_on text,
    record_date text,
    paid_on text,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (symbol, action_type, ex_date, source, known_at, observed_at, content_hash)
) strict, without rowid;

alter table dead_letter add column topic_incarnation integer;
alter table dead_letter add column topic_partition integer;
alter table dead_letter add column topic_offset integer;
create table dead_letter_revision (
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
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (dead_letter_id, source, known_at, observed_at, content_hash),
    check (deleted or stage is not null and error_class is not null and reason is not null and dataset is not null)
) strict, without rowid;

alter table etf_flow add column topic_incarnation integer;
alter table etf_flow add column topic_partition integer;
alter table etf_flow add column topic_offset integer;
create table etf_flow_revision (
    source text not null,
    report text not null,
    frequency text not null,
    period_end text not null,
    category text not null,
    net_flow_millions integer,
    parts_deviation_millions integer,
    source_file text,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (report, frequency, period_end, category, source, known_at, observed_at, content_hash),
    check (deleted or net_flow_millions is not null and source_file is not null)
) strict, without rowid;

alter table exchange add column topic_incarnation integer;
alter table exchange add column topic_partition integer;
alter table exchange add column topic_offset integer;
create table exchange_revision (
    source text not null,
    exchange_code text not null,
    name text,
    country text,
    country_code text,
    currency text,
    time_zone text,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (exchange_code, source, known_at, observed_at, content_hash)
) strict, without rowid;

alter table fetch_log add column topic_incarnation integer;
alter table fetch_log add column topic_partition integer;
alter table fetch_log add column topic_offset integer;
create table fetch_log_revision (
    source text not null,
    endpoint text not null,
    item text not null,
    fetched_at text not null,
    outcome text,
    records integer,
    rejects integer,
    calls integer,
    bytes integer,
    duration_ms integer,
    error text,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    corrections integer check (corrections >= 0),
    unchanged integer check (unchanged >= 0),
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (endpoint, item, fetched_at, source, known_at, observed_at, content_hash),
    check (records >= 0),
    check (rejects >= 0),
    check (calls >= 0),
    check (bytes >= 0),
    check (duration_ms >= 0),
    check (deleted or outcome is not null and records is not null and rejects is not null and calls is not null and bytes is not null and duration_ms is not null)
) strict, without rowid;

alter table filing add column topic_incarnation integer;
alter table filing add column topic_partition integer;
alter table filing add column topic_offset integer;
create table filing_revision (
    source text not null,
    cik text not null,
    accession_number text not null,
    form text,
    filed_on text,
    reported_on text,
    accepted_at text,
    act text,
    file_number text,
    film_number text,
    items text,
    size_bytes integer,
    primary_document text,
    primary_document_description text,
    core_type text,
    is_xbrl integer,
    is_inline_xbrl integer,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (cik, accession_number, source, known_at, observed_at, content_hash),
    check (deleted or form is not null and filed_on is not null)
) strict, without rowid;

alter table financial_ratio add column topic_incarnation integer;
alter table financial_ratio add column topic_partition integer;
alter table financial_ratio add column topic_offset integer;
create table financial_ratio_revision (
    source text not null,
    symbol text not null,
    ratio_set text not null,
    period text not null,
    period_end text not null,
    fiscal_year integer,
    currency text,
    market_cap any,
    price_earnings real,
    price_book real,
    return_on_equity real,
    debt_to_equity real,
    current_ratio real,
    net_margin real,
    metrics text,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (symbol, ratio_set, period, period_end, source, known_at, observed_at, content_hash),
    check (deleted or metrics is not null)
) strict, without rowid;

alter table financial_statement add column topic_incarnation integer;
alter table financial_statement add column topic_partition integer;
alter table financial_statement add column topic_offset integer;
create table financial_statement_revision (
    source text not null,
    symbol text not null,
    statement text not null,
    period text not null,
    period_end text not null,
    fiscal_year integer,
    currency text,
    cik text,
    filed_on text,
    accepted_at text,
    link text,
    revenue any,
    operating_income any,
    net_income any,
    eps_diluted any,
    total_assets any,
    total_liabilities any,
    total_equity any,
    operating_cash_flow any,
    free_cash_flow any,
    metrics text,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (symbol, statement, period, period_end, source, known_at, observed_at, content_hash),
    check (deleted or metrics is not null)
) strict, without rowid;

alter table insider_transaction add column topic_incarnation integer;
alter table insider_transaction add column topic_partition integer;
alter table insider_transaction add column topic_offset integer;
create table insider_transaction_revision (
    source text not null,
    transaction_id text not null,
    symbol text,
    issuer_cik text,
    accession_number text,
    form text,
    table_name text,
    owner_name text,
    owner_cik text,
    owner_title text,
    security_title text,
    transaction_date text,
    transaction_code text,
    shares any,
    price any,
    acquired_disposed text,
    shares_after any,
    ownership text,
    reported_on text,
    link text,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (transaction_id, source, known_at, observed_at, content_hash),
    check (deleted or owner_name is not null)
) strict, without rowid;

alter table model_performance add column topic_incarnation integer;
alter table model_performance add column topic_partition integer;
alter table model_performance add column topic_offset integer;
create table model_performance_revision (
    source text not null,
    model text not null,
    metric text not null,
    evaluated_at text not null,
    value real,
    sample_count integer,
    sample_start text,
    sample_end text,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (model, metric, evaluated_at, source, known_at, observed_at, content_hash),
    check (deleted or value is not null)
) strict, without rowid;

alter table news_article add column topic_incarnation integer;
alter table news_article add column topic_partition integer;
alter table news_article add column topic_offset integer;
create table news_article_revision (
    source text not null,
    article_id text not null,
    published_at text,
    title text,
    url text,
    publisher text,
    author text,
    description text,
    content text,
    image_url text,
    language text,
    symbols text,
    tags text,
    sentiment_score real,
    sentiment_negative real,
    sentiment_neutral real,
    sentiment_positive real,
    sentiment_scorer text,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (article_id, source, known_at, observed_at, content_hash),
    check (sentiment_score >= -1),
    check (sentiment_score <= 1),
    check (deleted or title is not null and symbols is not null and tags is not null)
) strict, without rowid;

alter table observation add column topic_incarnation integer;
alter table observation add column topic_partition integer;
alter table observation add column topic_offset integer;
create table observation_revision (
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
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (series_id, observation_date, source, known_at, observed_at, content_hash)
) strict, without rowid;

alter table observation_vintage add column topic_incarnation integer;
alter table observation_vintage add column topic_partition integer;
alter table observation_vintage add column topic_offset integer;
create table observation_vintage_revision (
    source text not null,
    series_id text not null,
    observation_date text not null,
    realtime_start text not null,
    realtime_end text,
    value real,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (series_id, observation_date, realtime_start, source, known_at, observed_at, content_hash),
    check (realtime_end >= realtime_start)
) strict, without rowid;

alter table ohlcv_bar add column topic_incarnation integer;
alter table ohlcv_bar add column topic_partition integer;
alter table ohlcv_bar add column topic_offset integer;
create table ohlcv_bar_revision (
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
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (symbol, bar_interval, ts_start, source, known_at, observed_at, content_hash),
    check (low <= high),
    check (deleted or trading_date is not null and close is not null)
) strict, without rowid;

alter table option_quote add column topic_incarnation integer;
alter table option_quote add column topic_partition integer;
alter table option_quote add column topic_offset integer;
create table option_quote_revision (
    source text not null,
    contract_symbol text not null,
    quoted_at text not null,
    underlying_symbol text,
    expiration_date text,
    strike any,
    option_type text,
    bid real,
    ask real,
    bid_size real,
    ask_size real,
    last_price real,
    last_traded_at text,
    change real,
    change_percent real,
    open real,
    high real,
    low real,
    previous_close real,
    volume real,
    open_interest real,
    implied_volatility real,
    delta real,
    gamma real,
    theta real,
    vega real,
    rho real,
    theoretical_price real,
    underlying_price real,
    currency text,
    contract_size text,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (contract_symbol, quoted_at, source, known_at, observed_at, content_hash),
    check (bid >= 0),
    check (ask >= 0),
    check (volume >= 0),
    check (open_interest >= 0),
    check (deleted or underlying_symbol is not null and expiration_date is not null and strike is not null and option_type is not null)
) strict, without rowid;

alter table prediction add column topic_incarnation integer;
alter table prediction add column topic_partition integer;
alter table prediction add column topic_offset integer;
create table prediction_revision (
    source text not null,
    model text not null,
    symbol text not null,
    horizon text not null,
    made_at text not null,
    target text,
    value real,
    lower real,
    upper real,
    confidence real,
    features text,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (model, symbol, horizon, made_at, source, known_at, observed_at, content_hash),
    check (lower <= upper),
    check (deleted or target is not null and value is not null)
) strict, without rowid;

alter table series add column topic_incarnation integer;
alter table series add column topic_partition integer;
alter table series add column topic_offset integer;
create table series_revision (
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
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (series_id, source, known_at, observed_at, content_hash),
    check (first_observation_date <= last_observation_date),
    check (deleted or title is not null and frequency is not null and units is not null and seasonal_adjustment is not null and first_observation_date is not null and last_observation_date is not null)
) strict, without rowid;

alter table series_vintage add column topic_incarnation integer;
alter table series_vintage add column topic_partition integer;
alter table series_vintage add column topic_offset integer;
create table series_vintage_revision (
    source text not null,
    series_id text not null,
    vintage_date text not null,
    vintage_number integer,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (series_id, vintage_date, source, known_at, observed_at, content_hash),
    check (vintage_number >= 1),
    check (deleted or vintage_number is not null)
) strict, without rowid;

alter table technical_indicator add column topic_incarnation integer;
alter table technical_indicator add column topic_partition integer;
alter table technical_indicator add column topic_offset integer;
create table technical_indicator_revision (
    source text not null,
    symbol text not null,
    bar_interval text not null,
    indicator text not null,
    ts_start text not null,
    value real,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (symbol, bar_interval, indicator, ts_start, source, known_at, observed_at, content_hash)
) strict, without rowid;

alter table xbrl_fact add column topic_incarnation integer;
alter table xbrl_fact add column topic_partition integer;
alter table xbrl_fact add column topic_offset integer;
create table xbrl_fact_revision (
    source text not null,
    cik text not null,
    taxonomy text not null,
    concept text not null,
    unit text not null,
    period_type text not null,
    period_start text not null,
    period_end text not null,
    accession_number text not null,
    value any,
    fiscal_year integer,
    fiscal_period text,
    form text,
    filed_on text,
    frame text,
    known_at text not null,
    observed_at text not null,
    flags text not null,
    content_hash integer not null,
    updated_at text not null,
    deleted integer not null default 0,
    topic_incarnation integer,
    topic_partition integer,
    topic_offset integer,
    primary key (cik, taxonomy, concept, unit, period_type, period_start, period_end, accession_number, source, known_at, observed_at, content_hash),
    check (period_start <= period_end),
    check (deleted or value is not null and form is not null and filed_on is not null)
) strict, without rowid;
