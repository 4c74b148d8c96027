-- no-transaction
-- The primary key begins with what a record is about, and `source` is last: a query without a source finds its rows by it.
-- A table's new index is built while others read and write it; its exchange for the old one takes a moment. TimescaleDB
-- does neither: readers and writers of a hypertable wait while its key is built.

create unique index concurrently if not exists analyst_rating_key on analyst_rating (symbol, rated_on, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'analyst_rating'::regclass and conname = 'analyst_rating_pkey') then
        alter table analyst_rating drop constraint analyst_rating_pkey;
        if to_regclass('analyst_rating_key') is not null then
            alter table analyst_rating add constraint analyst_rating_key primary key using index analyst_rating_key;
        else
            alter table analyst_rating add constraint analyst_rating_key primary key (symbol, rated_on, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists company_key on company (symbol, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'company'::regclass and conname = 'company_pkey') then
        alter table company drop constraint company_pkey;
        if to_regclass('company_key') is not null then
            alter table company add constraint company_key primary key using index company_key;
        else
            alter table company add constraint company_key primary key (symbol, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists corporate_action_key on corporate_action (symbol, action_type, ex_date, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'corporate_action'::regclass and conname = 'corporate_action_pkey') then
        alter table corporate_action drop constraint corporate_action_pkey;
        if to_regclass('corporate_action_key') is not null then
            alter table corporate_action add constraint corporate_action_key primary key using index corporate_action_key;
        else
            alter table corporate_action add constraint corporate_action_key primary key (symbol, action_type, ex_date, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists dead_letter_key on dead_letter (dead_letter_id, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'dead_letter'::regclass and conname = 'dead_letter_pkey') then
        alter table dead_letter drop constraint dead_letter_pkey;
        if to_regclass('dead_letter_key') is not null then
            alter table dead_letter add constraint dead_letter_key primary key using index dead_letter_key;
        else
            alter table dead_letter add constraint dead_letter_key primary key (dead_letter_id, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists etf_flow_key on etf_flow (report, frequency, period_end, category, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'etf_flow'::regclass and conname = 'etf_flow_pkey') then
        alter table etf_flow drop constraint etf_flow_pkey;
        if to_regclass('etf_flow_key') is not null then
            alter table etf_flow add constraint etf_flow_key primary key using index etf_flow_key;
        else
            alter table etf_flow add constraint etf_flow_key primary key (report, frequency, period_end, category, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists exchange_key on exchange (exchange_code, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'exchange'::regclass and conname = 'exchange_pkey') then
        alter table exchange drop constraint exchange_pkey;
        if to_regclass('exchange_key') is not null then
            alter table exchange add constraint exchange_key primary key using index exchange_key;
        else
            alter table exchange add constraint exchange_key primary key (exchange_code, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists fetch_log_key on fetch_log (endpoint, item, fetched_at, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'fetch_log'::regclass and conname = 'fetch_log_pkey') then
        alter table fetch_log drop constraint fetch_log_pkey;
        if to_regclass('fetch_log_key') is not null then
            alter table fetch_log add constraint fetch_log_key primary key using index fetch_log_key;
        else
            alter table fetch_log add constraint fetch_log_key primary key (endpoint, item, fetched_at, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists filing_key on filing (cik, accession_number, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'filing'::regclass and conname = 'filing_pkey') then
        alter table filing drop constraint filing_pkey;
        if to_regclass('filing_key') is not null then
            alter table filing add constraint filing_key primary key using index filing_key;
        else
            alter table filing add constraint filing_key primary key (cik, accession_number, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists financial_ratio_key on financial_ratio (symbol, ratio_set, period, period_end, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'financial_ratio'::regclass and conname = 'financial_ratio_pkey') then
        alter table financial_ratio drop constraint financial_ratio_pkey;
        if to_regclass('financial_ratio_key') is not null then
            alter table financial_ratio add constraint financial_ratio_key primary key using index financial_ratio_key;
        else
            alter table financial_ratio add constraint financial_ratio_key primary key (symbol, ratio_set, period, period_end, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists financial_statement_key on financial_statement (symbol, statement, period, period_end, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'financial_statement'::regclass and conname = 'financial_statement_pkey') then
        alter table financial_statement drop constraint financial_statement_pkey;
        if to_regclass('financial_statement_key') is not null then
            alter table financial_statement add constraint financial_statement_key primary key using index financial_statement_key;
        else
            alter table financial_statement add constraint financial_statement_key primary key (symbol, statement, period, period_end, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists industry_key on industry (classification, industry_code, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'industry'::regclass and conname = 'industry_pkey') then
        alter table industry drop constraint industry_pkey;
        if to_regclass('industry_key') is not null then
            alter table industry add constraint industry_key primary key using index industry_key;
        else
            alter table industry add constraint industry_key primary key (classification, industry_code, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists insider_transaction_key on insider_transaction (transaction_id, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'insider_transaction'::regclass and conname = 'insider_transaction_pkey') then
        alter table insider_transaction drop constraint insider_transaction_pkey;
        if to_regclass('insider_transaction_key') is not null then
            alter table insider_transaction add constraint insider_transaction_key primary key using index insider_transaction_key;
        else
            alter table insider_transaction add constraint insider_transaction_key primary key (transaction_id, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists instrument_key on instrument (symbol, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'instrument'::regclass and conname = 'instrument_pkey') then
        alter table instrument drop constraint instrument_pkey;
        if to_regclass('instrument_key') is not null then
            alter table instrument add constraint instrument_key primary key using index instrument_key;
        else
            alter table instrument add constraint instrument_key primary key (symbol, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists model_performance_key on model_performance (model, metric, evaluated_at, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'model_performance'::regclass and conname = 'model_performance_pkey') then
        alter table model_performance drop constraint model_performance_pkey;
        if to_regclass('model_performance_key') is not null then
            alter table model_performance add constraint model_performance_key primary key using index model_performance_key;
        else
            alter table model_performance add constraint model_performance_key primary key (model, metric, evaluated_at, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists news_article_key on news_article (article_id, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'news_article'::regclass and conname = 'news_article_pkey') then
        alter table news_article drop constraint news_article_pkey;
        if to_regclass('news_article_key') is not null then
            alter table news_article add constraint news_article_key primary key using index news_article_key;
        else
            alter table news_article add constraint news_article_key primary key (article_id, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists observation_key on observation (series_id, observation_date, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'observation'::regclass and conname = 'observation_pkey') then
        alter table observation drop constraint observation_pkey;
        if to_regclass('observation_key') is not null then
            alter table observation add constraint observation_key primary key using index observation_key;
        else
            alter table observation add constraint observation_key primary key (series_id, observation_date, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists observation_vintage_key on observation_vintage (series_id, observation_date, realtime_start, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'observation_vintage'::regclass and conname = 'observation_vintage_pkey') then
        alter table observation_vintage drop constraint observation_vintage_pkey;
        if to_regclass('observation_vintage_key') is not null then
            alter table observation_vintage add constraint observation_vintage_key primary key using index observation_vintage_key;
        else
            alter table observation_vintage add constraint observation_vintage_key primary key (series_id, observation_date, realtime_start, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists ohlcv_bar_key on ohlcv_bar (symbol, bar_interval, ts_start, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'ohlcv_bar'::regclass and conname = 'ohlcv_bar_pkey') then
        alter table ohlcv_bar drop constraint ohlcv_bar_pkey;
        if to_regclass('ohlcv_bar_key') is not null then
            alter table ohlcv_bar add constraint ohlcv_bar_key primary key using index ohlcv_bar_key;
        else
            alter table ohlcv_bar add constraint ohlcv_bar_key primary key (symbol, bar_interval, ts_start, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists option_quote_key on option_quote (contract_symbol, quoted_at, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'option_quote'::regclass and conname = 'option_quote_pkey') then
        alter table option_quote drop constraint option_quote_pkey;
        if to_regclass('option_quote_key') is not null then
            alter table option_quote add constraint option_quote_key primary key using index option_quote_key;
        else
            alter table option_quote add constraint option_quote_key primary key (contract_symbol, quoted_at, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists prediction_key on prediction (model, symbol, horizon, made_at, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'prediction'::regclass and conname = 'prediction_pkey') then
        alter table prediction drop constraint prediction_pkey;
        if to_regclass('prediction_key') is not null then
            alter table prediction add constraint prediction_key primary key using index prediction_key;
        else
            alter table prediction add constraint prediction_key primary key (model, symbol, horizon, made_at, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists sector_key on sector (classification, sector_code, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'sector'::regclass and conname = 'sector_pkey') then
        alter table sector drop constraint sector_pkey;
        if to_regclass('sector_key') is not null then
            alter table sector add constraint sector_key primary key using index sector_key;
        else
            alter table sector add constraint sector_key primary key (classification, sector_code, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists series_key on series (series_id, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'series'::regclass and conname = 'series_pkey') then
        alter table series drop constraint series_pkey;
        if to_regclass('series_key') is not null then
            alter table series add constraint series_key primary key using index series_key;
        else
            alter table series add constraint series_key primary key (series_id, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists series_vintage_key on series_vintage (series_id, vintage_date, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'series_vintage'::regclass and conname = 'series_vintage_pkey') then
        alter table series_vintage drop constraint series_vintage_pkey;
        if to_regclass('series_vintage_key') is not null then
            alter table series_vintage add constraint series_vintage_key primary key using index series_vintage_key;
        else
            alter table series_vintage add constraint series_vintage_key primary key (series_id, vintage_date, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists technical_indicator_key on technical_indicator (symbol, bar_interval, indicator, ts_start, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'technical_indicator'::regclass and conname = 'technical_indicator_pkey') then
        alter table technical_indicator drop constraint technical_indicator_pkey;
        if to_regclass('technical_indicator_key') is not null then
            alter table technical_indicator add constraint technical_indicator_key primary key using index technical_indicator_key;
        else
            alter table technical_indicator add constraint technical_indicator_key primary key (symbol, bar_interval, indicator, ts_start, source);
        end if;
    end if;
end $$;

create unique index concurrently if not exists xbrl_fact_key on xbrl_fact (cik, taxonomy, concept, unit, period_type, period_start, period_end, accession_number, source);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'xbrl_fact'::regclass and conname = 'xbrl_fact_pkey') then
        alter table xbrl_fact drop constraint xbrl_fact_pkey;
        if to_regclass('xbrl_fact_key') is not null then
            alter table xbrl_fact add constraint xbrl_fact_key primary key using index xbrl_fact_key;
        else
            alter table xbrl_fact add constraint xbrl_fact_key primary key (cik, taxonomy, concept, unit, period_type, period_start, period_end, accession_number, source);
        end if;
    end if;
end $$;
