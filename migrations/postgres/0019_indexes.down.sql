-- no-transaction
-- Only the keys, and the indexes of earlier migrations.
drop index concurrently if exists news_article_symbols;
drop index concurrently if exists company_cik;
drop index concurrently if exists filing_accepted_at;
drop index concurrently if exists filing_accession_number;
drop index concurrently if exists xbrl_fact_concept;
drop index concurrently if exists option_quote_expiration;
drop index concurrently if exists corporate_action_split;
drop index concurrently if exists ohlcv_bar_trading_date;
