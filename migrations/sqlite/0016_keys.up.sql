-- The primary key begins with what a record is about, and `source` is last: a query without a source finds its rows by it.
-- The rows are stored in the order of the key, so each table is written anew. Its columns, indexes and triggers stay, also those
-- of others: a second table with the same definition but for the key is filled, and then the two exchange their pages.

create table analyst_rating_turned (source text primary key) strict, without rowid;
create table company_turned (source text primary key) strict, without rowid;
create table corporate_action_turned (source text primary key) strict, without rowid;
create table dead_letter_turned (source text primary key) strict, without rowid;
create table etf_flow_turned (source text primary key) strict, without rowid;
create table exchange_turned (source text primary key) strict, without rowid;
create table fetch_log_turned (source text primary key) strict, without rowid;
create table filing_turned (source text primary key) strict, without rowid;
create table financial_ratio_turned (source text primary key) strict, without rowid;
create table financial_statement_turned (source text primary key) strict, without rowid;
create table industry_turned (source text primary key) strict, without rowid;
create table insider_transaction_turned (source text primary key) strict, without rowid;
create table instrument_turned (source text primary key) strict, without rowid;
create table model_performance_turned (source text primary key) strict, without rowid;
create table news_article_turned (source text primary key) strict, without rowid;
create table observation_turned (source text primary key) strict, without rowid;
create table observation_vintage_turned (source text primary key) strict, without rowid;
create table ohlcv_bar_turned (source text primary key) strict, without rowid;
create table option_quote_turned (source text primary key) strict, without rowid;
create table prediction_turned (source text primary key) strict, without rowid;
create table sector_turned (source text primary key) strict, without rowid;
create table series_turned (source text primary key) strict, without rowid;
create table series_vintage_turned (source text primary key) strict, without rowid;
create table technical_indicator_turned (source text primary key) strict, without rowid;
create table xbrl_fact_turned (source text primary key) strict, without rowid;

create table key_order (name text primary key, before text not null, after text not null) strict;
insert into key_order values
    ('analyst_rating', 'primary key (source, symbol, rated_on)', 'primary key (symbol, rated_on, source)'),
    ('company', 'primary key (source, symbol)', 'primary key (symbol, source)'),
    ('corporate_action', 'primary key (source, symbol, action_type, ex_date)', 'primary key (symbol, action_type, ex_date, source)'),
    ('dead_letter', 'primary key (source, dead_letter_id)', 'primary key (dead_letter_id, source)'),
    ('etf_flow', 'primary key (source, report, frequency, period_end, category)', 'primary key (report, frequency, period_end, category, source)'),
    ('exchange', 'primary key (source, exchange_code)', 'primary key (exchange_code, source)'),
    ('fetch_log', 'primary key (source, endpoint, item, fetched_at)', 'primary key (endpoint, item, fetched_at, source)'),
    ('filing', 'primary key (source, cik, accession_number)', 'primary key (cik, accession_number, source)'),
    ('financial_ratio', 'primary key (source, symbol, ratio_set, period, period_end)', 'primary key (symbol, ratio_set, period, period_end, source)'),
    ('financial_statement', 'primary key (source, symbol, statement, period, period_end)', 'primary key (symbol, statement, period, period_end, source)'),
    ('industry', 'primary key (source, classification, industry_code)', 'primary key (classification, industry_code, source)'),
    ('insider_transaction', 'primary key (source, transaction_id)', 'primary key (transaction_id, source)'),
    ('instrument', 'primary key (source, symbol)', 'primary key (symbol, source)'),
    ('model_performance', 'primary key (source, model, metric, evaluated_at)', 'primary key (model, metric, evaluated_at, source)'),
    ('news_article', 'primary key (source, article_id)', 'primary key (article_id, source)'),
    ('observation', 'primary key (source, series_id, observation_date)', 'primary key (series_id, observation_date, source)'),
    ('observation_vintage', 'primary key (source, series_id, observation_date, realtime_start)', 'primary key (series_id, observation_date, realtime_start, source)'),
    ('ohlcv_bar', 'primary key (source, symbol, bar_interval, ts_start)', 'primary key (symbol, bar_interval, ts_start, source)'),
    ('option_quote', 'primary key (source, contract_symbol, quoted_at)', 'primary key (contract_symbol, quoted_at, source)'),
    ('prediction', 'primary key (source, model, symbol, horizon, made_at)', 'primary key (model, symbol, horizon, made_at, source)'),
    ('sector', 'primary key (source, classification, sector_code)', 'primary key (classification, sector_code, source)'),
    ('series', 'primary key (source, series_id)', 'primary key (series_id, source)'),
    ('series_vintage', 'primary key (source, series_id, vintage_date)', 'primary key (series_id, vintage_date, source)'),
    ('technical_indicator', 'primary key (source, symbol, bar_interval, indicator, ts_start)', 'primary key (symbol, bar_interval, indicator, ts_start, source)'),
    ('xbrl_fact', 'primary key (source, cik, taxonomy, concept, unit, period_type, period_start, period_end, accession_number)', 'primary key (cik, taxonomy, concept, unit, period_type, period_start, period_end, accession_number, source)');

-- Without columns, a foreign key refers to those of the primary key in their order.
create table foreign_key (
    name text,
    constraint "a foreign key refers to a dataset's table without its columns: drop it, migrate, and create it again with them" check (false)
);
insert into foreign_key
select child.name
from sqlite_schema as child, pragma_foreign_key_list(child.name) as reference
where child.type = 'table' and lower(reference."table") in (select name from key_order) and reference."to" is null;
drop table foreign_key;

pragma writable_schema = on;
update sqlite_schema as slot set sql = (
    select 'CREATE TABLE ' || key_order.name || '_turned ' || substr(replace(live.sql, before, after), instr(live.sql, '('))
    from key_order join sqlite_schema as live on live.type = 'table' and live.name = key_order.name
    where slot.name = key_order.name || '_turned')
where type = 'table' and name in (select name || '_turned' from key_order);
pragma writable_schema = reset;

insert into analyst_rating_turned select * from analyst_rating order by symbol, rated_on, source;
insert into company_turned select * from company order by symbol, source;
insert into corporate_action_turned select * from corporate_action order by symbol, action_type, ex_date, source;
insert into dead_letter_turned select * from dead_letter order by dead_letter_id, source;
insert into etf_flow_turned select * from etf_flow order by report, frequency, period_end, category, source;
insert into exchange_turned select * from exchange order by exchange_code, source;
insert into fetch_log_turned select * from fetch_log order by endpoint, item, fetched_at, source;
insert into filing_turned select * from filing order by cik, accession_number, source;
insert into financial_ratio_turned select * from financial_ratio order by symbol, ratio_set, period, period_end, source;
insert into financial_statement_turned select * from financial_statement order by symbol, statement, period, period_end, source;
insert into industry_turned select * from industry order by classification, industry_code, source;
insert into insider_transaction_turned select * from insider_transaction order by transaction_id, source;
insert into instrument_turned select * from instrument order by symbol, source;
insert into model_performance_turned select * from model_performance order by model, metric, evaluated_at, source;
insert into news_article_turned select * from news_article order by article_id, source;
insert into observation_turned select * from observation order by series_id, observation_date, source;
insert into observation_vintage_turned select * from observation_vintage order by series_id, observation_date, realtime_start, source;
insert into ohlcv_bar_turned select * from ohlcv_bar order by symbol, bar_interval, ts_start, source;
insert into option_quote_turned select * from option_quote order by contract_symbol, quoted_at, source;
insert into prediction_turned select * from prediction order by model, symbol, horizon, made_at, source;
insert into sector_turned select * from sector order by classification, sector_code, source;
insert into series_turned select * from series order by series_id, source;
insert into series_vintage_turned select * from series_vintage order by series_id, vintage_date, source;
insert into technical_indicator_turned select * from technical_indicator order by symbol, bar_interval, indicator, ts_start, source;
insert into xbrl_fact_turned select * from xbrl_fact order by cik, taxonomy, concept, unit, period_type, period_start, period_end, accession_number, source;

create table root_page as
select live.name as name, turned.rootpage as live_page, live.rootpage as turned_page, replace(live.sql, before, after) as live_sql,
    replace(turned.sql, after, before) as turned_sql
from key_order join sqlite_schema as live on live.type = 'table' and live.name = key_order.name
join sqlite_schema as turned on turned.type = 'table' and turned.name = key_order.name || '_turned';

pragma writable_schema = on;
update sqlite_schema as slot set rootpage = root_page.live_page, sql = root_page.live_sql
from root_page where slot.type = 'table' and slot.name = root_page.name;
update sqlite_schema as slot set rootpage = root_page.turned_page, sql = root_page.turned_sql
from root_page where slot.type = 'table' and slot.name = root_page.name || '_turned';
pragma writable_schema = reset;

drop table analyst_rating_turned;
reindex analyst_rating;
drop table company_turned;
reindex company;
drop table corporate_action_turned;
reindex corporate_action;
drop table dead_letter_turned;
reindex dead_letter;
drop table etf_flow_turned;
reindex etf_flow;
drop table exchange_turned;
reindex exchange;
drop table fetch_log_turned;
reindex fetch_log;
drop table filing_turned;
reindex filing;
drop table financial_ratio_turned;
reindex financial_ratio;
drop table financial_statement_turned;
reindex financial_statement;
drop table industry_turned;
reindex industry;
drop table insider_transaction_turned;
reindex insider_transaction;
drop table instrument_turned;
reindex instrument;
drop table model_performance_turned;
reindex model_performance;
drop table news_article_turned;
reindex news_article;
drop table observation_turned;
reindex observation;
drop table observation_vintage_turned;
reindex observation_vintage;
drop table ohlcv_bar_turned;
reindex ohlcv_bar;
drop table option_quote_turned;
reindex option_quote;
drop table prediction_turned;
reindex prediction;
drop table sector_turned;
reindex sector;
drop table series_turned;
reindex series;
drop table series_vintage_turned;
reindex series_vintage;
drop table technical_indicator_turned;
reindex technical_indicator;
drop table xbrl_fact_turned;
reindex xbrl_fact;
drop table root_page;
drop table key_order;
