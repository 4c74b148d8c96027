-- no-transaction
-- Every version of every row. A table keeps the highest version of each key, its table of revisions all others.
-- Both say where on the topic a version is first: a snapshot is read by that.

-- Superseded records that are kept as revisions. Null in chunks of an executable that kept none.
alter table sink_chunk add column if not exists records_kept integer;

alter table analyst_rating add column if not exists topic_incarnation integer,
    add column if not exists topic_partition integer, add column if not exists topic_offset bigint;
comment on column analyst_rating.topic_incarnation is
    'How often the topic had been created again when this version was first on it.';
comment on column analyst_rating.topic_partition is
    'The partition on which this version is first.';
comment on column analyst_rating.topic_offset is
    'The lowest offset of this version. A snapshot leaves out versions at its own offset and after.';
create table if not exists analyst_rating_revision (like analyst_rating including all excluding indexes,
    primary key (symbol, rated_on, source, known_at, observed_at, content_hash));
comment on table analyst_rating_revision is
    'The other versions of the rows of analyst_rating: earlier ones, and those that came late.';

alter table company add column if not exists topic_incarnation integer,
    add column if not exists topic_partition integer, add column if not exists topic_offset bigint;
comment on column company.topic_incarnation is
    'How often the topic had been created again when this version was first on it.';
comment on column company.topic_partition is
    'The partition on which this version is first.';
comment on column company.topic_offset is
    'The lowest offset of this version. A snapshot leaves out versions at its own offset and after.';
create table if not exists company_revision (like company including all excluding indexes,
    primary key (symbol, source, known_at, observed_at, content_hash));
comment on table company_revision is
    'The other versions of the rows of company: earlier ones, and those that came late.';

alter table corporate_action add column if not exists topic_incarnation integer,
    add column if not exists topic_partition integer, add column if not exists topic_offset bigint;
comment on column corporate_action.topic_incarnation is
    'How often the topic had been created again when this version was first on it.';
comment on column corporate_action.topic_partition is
    'The partition on which this version is first.';
comment on column corporate_action.topic_offset is
    'The lowest offset of this version. A snapshot leaves out versions at its own offset and after.';
create table if not exists corporate_action_revision (like corporate_action including all excluding indexes,
    primary key (symbol, action_type, ex_date, source, known_at, observed_at, content_hash));
comment on table corporate_action_revision is
    'The other versions of the rows of corporate_action: earlier ones, and those that came late.';

alter table dead_letter add column if not exists topic_incarnation integer,
    add column if not exists topic_partition integer, add column if not exists topic_offset bigint;
comment on column dead_letter.topic_incarnation is
    'How often the topic had been created again when this version was first on it.';
comment on column dead_letter.topic_partition is
    'The partition on which this version is first.';
comment on column dead_letter.topic_offset is
    'The lowest offset of this version. A snapshot leaves out versions at its own offset and after.';
create table if not exists dead_letter_revision (like dead_letter including all excluding indexes,
    primary key (dead_letter_id, source, known_at, observed_at, content_hash));
comment on table dead_letter_revision is
    'The other versions of the rows of dead_letter: earlier ones, and those that came late.';

alter table etf_flow add column if not exists topic_incarnation integer,
    add column if not exists topic_partition integer, add column if not exists topic_offset bigint;
comment on column etf_flow.topic_incarnation is
    'How often the topic had been created again when this version was first on it.';
comment on column etf_flow.topic_partition is
    'The partition on which this version is first.';
comment on column etf_flow.topic_offset is
    'The lowest offset of this version. A snapshot leaves out versions at its own offset and after.';
create table if not exists etf_flow_revision (like etf_flow including all excluding indexes,
    primary key (report, frequency, period_end, category, source, known_at, observed_at, content_hash));
comment on table etf_flow_revision is
    'The other versions of the rows of etf_flow: earlier ones, and those that came late.';

alter table exchange add column if not exists topic_incarnation integer,
    add column if not exists topic_partition integer, add column if not exists topic_offset bigint;
comment on column exchange.topic_incarnation is
    'How often the topic had been created again when this version was first on it.';
comment on column exchange.topic_partition is
    'The partition on which this version is first.';
comment on column exchange.topic_offset is
    'The lowest offset of this version. A snapshot leaves out versions at its own offset and after.';
create table if not exists exchange_revision (like exchange including all excluding indexes,
    primary key (exchange_code, source, known_at, observed_at, content_hash));
comment on table exchange_revision is
    'The other versions of the rows of exchange: earlier ones, and those that came late.';

alter table fetch_log add column if not exists topic_incarnation integer,
    add column if not exists topic_partition integer, add column if not exists topic_offset bigint;
comment on column fetch_log.topic_incarnation is
    'How often the topic had been created again when this version was first on it.';
comment on column fetch_log.topic_partition is
    'The partition on which this version is first.';
comment on column fetch_log.topic_offset is
    'The lowest offset of this version. A snapshot leaves out versions at its own offset and after.';
create table if not exists fetch_log_revision (like fetch_log including all excluding indexes,
    primary key (endpoint, item, fetched_at, source, known_at, observed_at, content_hash));
comment on table fetch_log_revision is
    'The other versions of the rows of fetch_log: earlier ones, and those that came late.';

alter table filing add column if not exists topic_incarnation integer,
    add column if not exists topic_partition integer, add column if not exists topic_offset bigint;
comment on column filing.topic_incarnation is
    'How often the topic had been created again when this version was first on it.';
comment on column filing.topic_partition is
    'The partition on which this version is first.';
comment on column filing.topic_offset is
    'The lowest offset of this version. A snapshot leaves out versions at its own offset and after.';
create table if not exists filing_revision (like filing including all excluding indexes,
    primary key (cik, accession_number, source, known_at, observed_at, content_hash));
comment on table filing_revision is
    'The other versions of the rows of filing: earlier ones, and those that came late.';

alter table financial_ratio add column if not exists topic_incarnation integer,
    add column if not exists topic_partition integer, add column if not exists topic_offset bigint;
comment on column financial_ratio.topic_incarnation is
    'How often the topic had been created again when this version was first on it.';
comment on column financial_ratio.topic_partition is
    'The partition on which this version is first.';
comment on column financial_ratio.topic_offset is
    'The lowest offset of this version. A snapshot leaves out versions at its own offset and after.';
create table if not exists financial_ratio_revision (like financial_ratio including all excluding indexes,
    primary key (symbol, ratio_set, period, period_end, source, known_at, observed_at, content_hash));
comment on table financial_ratio_revision is
    'The other versions of the rows of financial_ratio: earlier ones, and those that came late.';

alter table financial_statement add column if not exists topic_incarnation integer,
    add column if not exists topic_partition integer, add column if not exists topic_offset bigint;
comment on column financial_statement.topic_incarnation is
    'How often the topic had been created again when this version was first on it.';
comment on column financial_statement.topic_partition is
    'The partition on which this version is first.';
comment on column financial_statement.topic_offset is
    'The lowest offset of this version. A snapshot leaves out versions at its own offset and after.';
create table if not exists financial_statement_revision (like financial_statement including all excluding indexes,
    primary key (symbol, statement, period, period_end, source, known_at, observed_at, content_hash));
comment on table financial_statement_revision is
    'The other versions of the rows of financial_statement: earlier ones, and those that came late.';

alter table insider_transaction add column if not exists topic_incarnation integer,
    add column if not exists topic_partition integer, add column if not exists topic_offset bigint;
comment on column insider_transaction.topic_incarnation is
    'How often the topic had been created again when this version was first on it.';
comment on column insider_transaction.topic_partition is
    'The partition on which this version is first.';
comment on column insider_transaction.topic_offset is
    'The lowest offset of this version. A snapshot leaves out versions at its own offset and after.';
create table if not exists insider_transaction_revision (like insider_transaction including all excluding indexes,
    primary key (transaction_id, source, known_at, observed_at, content_hash));
comment on table insider_transaction_revision is
    'The other versions of the rows of insider_transaction: earlier ones, and those that came late.';

alter table model_performance add column if not exists topic_incarnation integer,
    add column if not exists topic_partition integer, add column if not exists topic_offset bigint;
comment on column model_performance.topic_incarnation is
    'How often the topic had been created again when this version was first on it.';
comment on column model_performance.topic_partition is
    'The partition on which this version is first.';
comment on column model_performance.topic_offset is
    'The lowest offset of this version. A snapshot leaves out versions at its own offset and after.';
create table if not exists model_performance_revision (like model_performance including all excluding indexes,
    primary key (model, metric, evaluated_at, source, known_at, observed_at, content_hash));
comment on table model_performance_revision is
    'The other versions of the rows of model_performance: earlier ones, and those that came late.';

alter table news_article add column if not exists topic_incarnation integer,
    add column if not exists topic_partition integer, add column if not exists topic_offset bigint;
comment on column news_article.topic_incarnation is
    'How often the topic had been created again when this version was first on it.';
comment on column news_article.topic_partition is
    'The partition on which this version is first.';
comment on column news_article.topic_offset is
    'The lowest offset of this version. A snapshot leaves out versions at its own offset and after.';
create table if not exists news_article_revision (like news_article including all excluding indexes,
    primary key (article_id, source, known_at, observed_at, content_hash));
comment on table news_article_revision is
    'The other versions of the rows of news_article: earlier ones, and those that came late.';

alter table observation add column if not exists topic_incarnation integer,
    add column if not exists topic_partition integer, add column if not exists topic_offset bigint;
comment on column observation.topic_incarnation is
    'How often the topic had been created again when this version was first on it.';
comment on column observation.topic_partition is
    'The partition on which this version is first.';
comment on column observation.topic_offset is
    'The lowest offset of this version. A snapshot leaves out versions at its own offset and after.';
create table if not exists observation_revision (like observation including all excluding indexes,
    primary key (series_id, observation_date, source, known_at, observed_at, content_hash));
comment on table observation_revision is
    'The other versions of the rows of observation: earlier ones, and those that came late.';

alter table observation_vintage add column if not exists topic_incarnation integer,
    add column if not exists topic_partition integer, add column if not exists topic_offset bigint;
comment on column observation_vintage.topic_incarnation is
    'How often the topic had been created again when this version was first on it.';
comment on column observation_vintage.topic_partition is
    'The partition on which this version is first.';
comment on column observation_vintage.topic_offset is
    'The lowest offset of this version. A snapshot leaves out versions at its own offset and after.';
create table if not exists observation_vintage_revision (like observation_vintage including all excluding indexes,
    primary key (series_id, observation_date, realtime_start, source, known_at, observed_at, content_hash));
comment on table observation_vintage_revision is
    'The other versions of the rows of observation_vintage: earlier ones, and those that came late.';

alter table ohlcv_bar add column if not exists topic_incarnation integer,
    add column if not exists topic_partition integer, add column if not exists topic_offset bigint;
comment on column ohlcv_bar.topic_incarnation is
    'How often the topic had been created again when this version was first on it.';
comment on column ohlcv_bar.topic_partition is
    'The partition on which this version is first.';
comment on column ohlcv_bar.topic_offset is
    'The lowest offset of this version. A snapshot leaves out versions at its own offset and after.';
create table if not exists ohlcv_bar_revision (like ohlcv_bar including all excluding indexes,
    primary key (symbol, bar_interval, ts_start, source, known_at, observed_at, content_hash));
comment on table ohlcv_bar_revision is
    'The other versions of the rows of ohlcv_bar: earlier ones, and those that came late.';

alter table option_quote add column if not exists topic_incarnation integer,
    add column if not exists topic_partition integer, add column if not exists topic_offset bigint;
comment on column option_quote.topic_incarnation is
    'How often the topic had been created again when this version was first on it.';
comment on column option_quote.topic_partition is
    'The partition on which this version is first.';
comment on column option_quote.topic_offset is
    'The lowest offset of this version. A snapshot leaves out versions at its own offset and after.';
create table if not exists option_quote_revision (like option_quote including all excluding indexes,
    primary key (contract_symbol, quoted_at, source, known_at, observed_at, content_hash));
comment on table option_quote_revision is
    'The other versions of the rows of option_quote: earlier ones, and those that came late.';

alter table prediction add column if not exists topic_incarnation integer,
    add column if not exists topic_partition integer, add column if not exists topic_offset bigint;
comment on column prediction.topic_incarnation is
    'How often the topic had been created again when this version was first on it.';
comment on column prediction.topic_partition is
    'The partition on which this version is first.';
comment on column prediction.topic_offset is
    'The lowest offset of this version. A snapshot leaves out versions at its own offset and after.';
create table if not exists prediction_revision (like prediction including all excluding indexes,
    primary key (model, symbol, horizon, made_at, source, known_at, observed_at, content_hash));
comment on table prediction_revision is
    'The other versions of the rows of prediction: earlier ones, and those that came late.';

alter table series add column if not exists topic_incarnation integer,
    add column if not exists topic_partition integer, add column if not exists topic_offset bigint;
comment on column series.topic_incarnation is
    'How often the topic had been created again when this version was first on it.';
comment on column series.topic_partition is
    'The partition on which this version is first.';
comment on column series.topic_offset is
    'The lowest offset of this version. A snapshot leaves out versions at its own offset and after.';
create table if not exists series_revision (like series including all excluding indexes,
    primary key (series_id, source, known_at, observed_at, content_hash));
comment on table series_revision is
    'The other versions of the rows of series: earlier ones, and those that came late.';

alter table series_vintage add column if not exists topic_incarnation integer,
    add column if not exists topic_partition integer, add column if not exists topic_offset bigint;
comment on column series_vintage.topic_incarnation is
    'How often the topic had been created again when this version was first on it.';
comment on column series_vintage.topic_partition is
    'The partition on which this version is first.';
comment on column series_vintage.topic_offset is
    'The lowest offset of this version. A snapshot leaves out versions at its own offset and after.';
create table if not exists series_vintage_revision (like series_vintage including all excluding indexes,
    primary key (series_id, vintage_date, source, known_at, observed_at, content_hash));
comment on table series_vintage_revision is
    'The other versions of the rows of series_vintage: earlier ones, and those that came late.';

alter table technical_indicator add column if not exists topic_incarnation integer,
    add column if not exists topic_partition integer, add column if not exists topic_offset bigint;
comment on column technical_indicator.topic_incarnation is
    'How often the topic had been created again when this version was first on it.';
comment on column technical_indicator.topic_partition is
    'The partition on which this version is first.';
comment on column technical_indicator.topic_offset is
    'The lowest offset of this version. A snapshot leaves out versions at its own offset and after.';
create table if not exists technical_indicator_revision (like technical_indicator including all excluding indexes,
    primary key (symbol, bar_interval, indicator, ts_start, source, known_at, observed_at, content_hash));
comment on table technical_indicator_revision is
    'The other versions of the rows of technical_indicator: earlier ones, and those that came late.';

alter table xbrl_fact add column if not exists topic_incarnation integer,
    add column if not exists topic_partition integer, add column if not exists topic_offset bigint;
comment on column xbrl_fact.topic_incarnation is
    'How often the topic had been created again when this version was first on it.';
comment on column xbrl_fact.topic_partition is
    'The partition on which this version is first.';
comment on column xbrl_fact.topic_offset is
    'The lowest offset of this version. A snapshot leaves out versions at its own offset and after.';
create table if not exists xbrl_fact_revision (like xbrl_fact including all excluding indexes,
    primary key (cik, taxonomy, concept, unit, period_type, period_start, period_end, accession_number, source, known_at, observed_at, content_hash));
comment on table xbrl_fact_revision is
    'The other versions of the rows of xbrl_fact: earlier ones, and those that came late.';
