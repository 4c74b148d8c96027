-- no-transaction
-- The primary key begins with `source` again.

create unique index concurrently if not exists analyst_rating_pkey on analyst_rating (source, symbol, rated_on);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'analyst_rating'::regclass and conname = 'analyst_rating_key') then
        alter table analyst_rating drop constraint analyst_rating_key;
        if to_regclass('analyst_rating_pkey') is not null then
            alter table analyst_rating add constraint analyst_rating_pkey primary key using index analyst_rating_pkey;
        else
            alter table analyst_rating add constraint analyst_rating_pkey primary key (source, symbol, rated_on);
        end if;
    end if;
end $$;

create unique index concurrently if not exists company_pkey on company (source, symbol);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'company'::regclass and conname = 'company_key') then
        alter table company drop constraint company_key;
        if to_regclass('company_pkey') is not null then
            alter table company add constraint company_pkey primary key using index company_pkey;
        else
            alter table company add constraint company_pkey primary key (source, symbol);
        end if;
    end if;
end $$;

create unique index concurrently if not exists corporate_action_pkey on corporate_action (source, symbol, action_type, ex_date);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'corporate_action'::regclass and conname = 'corporate_action_key') then
        alter table corporate_action drop constraint corporate_action_key;
        if to_regclass('corporate_action_pkey') is not null then
            alter table corporate_action add constraint corporate_action_pkey primary key using index corporate_action_pkey;
        else
            alter table corporate_action add constraint corporate_action_pkey primary key (source, symbol, action_type, ex_date);
        end if;
    end if;
end $$;

create unique index concurrently if not exists dead_letter_pkey on dead_letter (source, dead_letter_id);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'dead_letter'::regclass and conname = 'dead_letter_key') then
        alter table dead_letter drop constraint dead_letter_key;
        if to_regclass('dead_letter_pkey') is not null then
            alter table dead_letter add constraint dead_letter_pkey primary key using index dead_letter_pkey;
        else
            alter table dead_letter add constraint dead_letter_pkey primary key (source, dead_letter_id);
        end if;
    end if;
end $$;

create unique index concurrently if not exists etf_flow_pkey on etf_flow (source, report, frequency, period_end, category);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'etf_flow'::regclass and conname = 'etf_flow_key') then
        alter table etf_flow drop constraint etf_flow_key;
        if to_regclass('etf_flow_pkey') is not null then
            alter table etf_flow add constraint etf_flow_pkey primary key using index etf_flow_pkey;
        else
            alter table etf_flow add constraint etf_flow_pkey primary key (source, report, frequency, period_end, category);
        end if;
    end if;
end $$;

create unique index concurrently if not exists exchange_pkey on exchange (source, exchange_code);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'exchange'::regclass and conname = 'exchange_key') then
        alter table exchange drop constraint exchange_key;
        if to_regclass('exchange_pkey') is not null then
            alter table exchange add constraint exchange_pkey primary key using index exchange_pkey;
        else
            alter table exchange add constraint exchange_pkey primary key (source, exchange_code);
        end if;
    end if;
end $$;

create unique index concurrently if not exists fetch_log_pkey on fetch_log (source, endpoint, item, fetched_at);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'fetch_log'::regclass and conname = 'fetch_log_key') then
        alter table fetch_log drop constraint fetch_log_key;
        if to_regclass('fetch_log_pkey') is not null then
            alter table fetch_log add constraint fetch_log_pkey primary key using index fetch_log_pkey;
        else
            alter table fetch_log add constraint fetch_log_pkey primary key (source, endpoint, item, fetched_at);
        end if;
    end if;
end $$;

create unique index concurrently if not exists filing_pkey on filing (source, cik, accession_number);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'filing'::regclass and conname = 'filing_key') then
        alter table filing drop constraint filing_key;
        if to_regclass('filing_pkey') is not null then
            alter table filing add constraint filing_pkey primary key using index filing_pkey;
        else
            alter table filing add constraint filing_pkey primary key (source, cik, accession_number);
        end if;
    end if;
end $$;

create unique index concurrently if not exists financial_ratio_pkey on financial_ratio (source, symbol, ratio_set, period, period_end);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'financial_ratio'::regclass and conname = 'financial_ratio_key') then
        alter table financial_ratio drop constraint financial_ratio_key;
        if to_regclass('financial_ratio_pkey') is not null then
            alter table financial_ratio add constraint financial_ratio_pkey primary key using index financial_ratio_pkey;
        else
            alter table financial_ratio add constraint financial_ratio_pkey primary key (source, symbol, ratio_set, period, period_end);
        end if;
    end if;
end $$;

create unique index concurrently if not exists financial_statement_pkey on financial_statement (source, symbol, statement, period, period_end);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'financial_statement'::regclass and conname = 'financial_statement_key') then
        alter table financial_statement drop constraint financial_statement_key;
        if to_regclass('financial_statement_pkey') is not null then
            alter table financial_statement add constraint financial_statement_pkey primary key using index financial_statement_pkey;
        else
            alter table financial_statement add constraint financial_statement_pkey primary key (source, symbol, statement, period, period_end);
        end if;
    end if;
end $$;

create unique index concurrently if not exists industry_pkey on industry (source, classification, industry_code);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'industry'::regclass and conname = 'industry_key') then
        alter table industry drop constraint industry_key;
        if to_regclass('industry_pkey') is not null then
            alter table industry add constraint industry_pkey primary key using index industry_pkey;
        else
            alter table industry add constraint industry_pkey primary key (source, classification, industry_code);
        end if;
    end if;
end $$;

create unique index concurrently if not exists insider_transaction_pkey on insider_transaction (source, transaction_id);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'insider_transaction'::regclass and conname = 'insider_transaction_key') then
        alter table insider_transaction drop constraint insider_transaction_key;
        if to_regclass('insider_transaction_pkey') is not null then
            alter table insider_transaction add constraint insider_transaction_pkey primary key using index insider_transaction_pkey;
        else
            alter table insider_transaction add constraint insider_transaction_pkey primary key (source, transaction_id);
        end if;
    end if;
end $$;

create unique index concurrently if not exists instrument_pkey on instrument (source, symbol);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'instrument'::regclass and conname = 'instrument_key') then
        alter table instrument drop constraint instrument_key;
        if to_regclass('instrument_pkey') is not null then
            alter table instrument add constraint instrument_pkey primary key using index instrument_pkey;
        else
            alter table instrument add constraint instrument_pkey primary key (source, symbol);
        end if;
    end if;
end $$;

create unique index concurrently if not exists model_performance_pkey on model_performance (source, model, metric, evaluated_at);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'model_performance'::regclass and conname = 'model_performance_key') then
        alter table model_performance drop constraint model_performance_key;
        if to_regclass('model_performance_pkey') is not null then
            alter table model_performance add constraint model_performance_pkey primary key using index model_performance_pkey;
        else
            alter table model_performance add constraint model_performance_pkey primary key (source, model, metric, evaluated_at);
        end if;
    end if;
end $$;

create unique index concurrently if not exists news_article_pkey on news_article (source, article_id);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'news_article'::regclass and conname = 'news_article_key') then
        alter table news_article drop constraint news_article_key;
        if to_regclass('news_article_pkey') is not null then
            alter table news_article add constraint news_article_pkey primary key using index news_article_pkey;
        else
            alter table news_article add constraint news_article_pkey primary key (source, article_id);
        end if;
    end if;
end $$;

create unique index concurrently if not exists observation_pkey on observation (source, series_id, observation_date);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'observation'::regclass and conname = 'observation_key') then
        alter table observation drop constraint observation_key;
        if to_regclass('observation_pkey') is not null then
            alter table observation add constraint observation_pkey primary key using index observation_pkey;
        else
            alter table observation add constraint observation_pkey primary key (source, series_id, observation_date);
        end if;
    end if;
end $$;

create unique index concurrently if not exists observation_vintage_pkey on observation_vintage (source, series_id, observation_date, realtime_start);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'observation_vintage'::regclass and conname = 'observation_vintage_key') then
        alter table observation_vintage drop constraint observation_vintage_key;
        if to_regclass('observation_vintage_pkey') is not null then
            alter table observation_vintage add constraint observation_vintage_pkey primary key using index observation_vintage_pkey;
        else
            alter table observation_vintage add constraint observation_vintage_pkey primary key (source, series_id, observation_date, realtime_start);
        end if;
    end if;
end $$;

create unique index concurrently if not exists ohlcv_bar_pkey on ohlcv_bar (source, symbol, bar_interval, ts_start);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'ohlcv_bar'::regclass and conname = 'ohlcv_bar_key') then
        alter table ohlcv_bar drop constraint ohlcv_bar_key;
        if to_regclass('ohlcv_bar_pkey') is not null then
            alter table ohlcv_bar add constraint ohlcv_bar_pkey primary key using index ohlcv_bar_pkey;
        else
            alter table ohlcv_bar add constraint ohlcv_bar_pkey primary key (source, symbol, bar_interval, ts_start);
        end if;
    end if;
end $$;

create unique index concurrently if not exists option_quote_pkey on option_quote (source, contract_symbol, quoted_at);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'option_quote'::regclass and conname = 'option_quote_key') then
        alter table option_quote drop constraint option_quote_key;
        if to_regclass('option_quote_pkey') is not null then
            alter table option_quote add constraint option_quote_pkey primary key using index option_quote_pkey;
        else
            alter table option_quote add constraint option_quote_pkey primary key (source, contract_symbol, quoted_at);
        end if;
    end if;
end $$;

create unique index concurrently if not exists prediction_pkey on prediction (source, model, symbol, horizon, made_at);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'prediction'::regclass and conname = 'prediction_key') then
        alter table prediction drop constraint prediction_key;
        if to_regclass('prediction_pkey') is not null then
            alter table prediction add constraint prediction_pkey primary key using index prediction_pkey;
        else
            alter table prediction add constraint prediction_pkey primary key (source, model, symbol, horizon, made_at);
        end if;
    end if;
end $$;

create unique index concurrently if not exists sector_pkey on sector (source, classification, sector_code);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'sector'::regclass and conname = 'sector_key') then
        alter table sector drop constraint sector_key;
        if to_regclass('sector_pkey') is not null then
            alter table sector add constraint sector_pkey primary key using index sector_pkey;
        else
            alter table sector add constraint sector_pkey primary key (source, classification, sector_code);
        end if;
    end if;
end $$;

create unique index concurrently if not exists series_pkey on series (source, series_id);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'series'::regclass and conname = 'series_key') then
        alter table series drop constraint series_key;
        if to_regclass('series_pkey') is not null then
            alter table series add constraint series_pkey primary key using index series_pkey;
        else
            alter table series add constraint series_pkey primary key (source, series_id);
        end if;
    end if;
end $$;

create unique index concurrently if not exists series_vintage_pkey on series_vintage (source, series_id, vintage_date);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'series_vintage'::regclass and conname = 'series_vintage_key') then
        alter table series_vintage drop constraint series_vintage_key;
        if to_regclass('series_vintage_pkey') is not null then
            alter table series_vintage add constraint series_vintage_pkey primary key using index series_vintage_pkey;
        else
            alter table series_vintage add constraint series_vintage_pkey primary key (source, series_id, vintage_date);
        end if;
    end if;
end $$;

create unique index concurrently if not exists technical_indicator_pkey on technical_indicator (source, symbol, bar_interval, indicator, ts_start);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'technical_indicator'::regclass and conname = 'technical_indicator_key') then
        alter table technical_indicator drop constraint technical_indicator_key;
        if to_regclass('technical_indicator_pkey') is not null then
            alter table technical_indicator add constraint technical_indicator_pkey primary key using index technical_indicator_pkey;
        else
            alter table technical_indicator add constraint technical_indicator_pkey primary key (source, symbol, bar_interval, indicator, ts_start);
        end if;
    end if;
end $$;

create unique index concurrently if not exists xbrl_fact_pkey on xbrl_fact (source, cik, taxonomy, concept, unit, period_type, period_start, period_end, accession_number);
do $$ begin
    if exists (select from pg_constraint where conrelid = 'xbrl_fact'::regclass and conname = 'xbrl_fact_key') then
        alter table xbrl_fact drop constraint xbrl_fact_key;
        if to_regclass('xbrl_fact_pkey') is not null then
            alter table xbrl_fact add constraint xbrl_fact_pkey primary key using index xbrl_fact_pkey;
        else
            alter table xbrl_fact add constraint xbrl_fact_pkey primary key (source, cik, taxonomy, concept, unit, period_type, period_start, period_end, accession_number);
        end if;
    end if;
end $$;
