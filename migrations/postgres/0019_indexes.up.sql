-- no-transaction
-- Indexes for queries that do not name the beginning of a key: docs/views.md lists them, BENCHMARKS.md what each costs.

create index concurrently if not exists ohlcv_bar_trading_date on ohlcv_bar (trading_date) where bar_interval = '1d';
create index concurrently if not exists corporate_action_split on corporate_action (symbol, ex_date) where action_type = 'split';
create index concurrently if not exists option_quote_expiration on option_quote (underlying_symbol, expiration_date, quoted_at);
create index concurrently if not exists xbrl_fact_concept on xbrl_fact (concept, period_end);
create index concurrently if not exists filing_accession_number on filing (accession_number);
create index concurrently if not exists filing_accepted_at on filing (accepted_at);
create index concurrently if not exists company_cik on company (cik);
create index concurrently if not exists news_article_symbols on news_article using gin (symbols);
