-- The primary key begins with `source` again.
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
    ('analyst_rating', 'primary key (symbol, rated_on, source)', 'primary key (source, symbol, rated_on)'),
    ('company', 'primary key (symbol, source)', 'primary key (source, symbol)'),
    ('corporate_action', 'primary key (symbol, action_type, ex_date, source)', 'primary key (source, symbol, action_type, ex_date)'),
    ('dead_letter', 'primary key (dead_letter_id, source)', 'primary key (source, dead_letter_id)'),
    ('etf_flow', 'primary key (report, frequency, period_end, category, source)', 'primary key (source, report, frequency, period_end, category)'),
    ('exchange', 'primary key (exchange_code, source)', 'primary key (source, exchange_code)'),
    ('fetch_log', 'primary key (endpoint, item, fetched_at, source)', 'primary key (source, endpoint, item, fetched_at)'),
    ('filing', 'primary key (cik, accession_number, source)', 'primary key (source, cik, accession_number)'),
    ('financial_ratio', 'primary key (symbol, ratio_set, period, period_end, source)', 'primary key (source, symbol, ratio_set, period, period_end)'),
    ('financial_statement', 'primary key (symbol, statement, period, period_end, source)', 'primary key (source, symbol, statement, period, period_end)'),
    ('industry', 'primary key (classification, industry_code, source)', 'primary key (source, classification, industry_code)'),
    ('insider_transaction', 'primary key (transaction_id, source)', 'primary key (source, transaction_id)'),
    ('instrument', 'primary key (symbol, source)', 'primary key (source, symbol)'),
    ('model_performance', 'primary key (model, metric, evaluated_at, source)', 'primary key (source, model, metric, evaluated_at)'),
    ('news_article', 'primary key (article_id, source)', 'primary key (source, article_id)'),
    ('observation', 'primary key (series_id, observation_date, source)', 'primary key (source, series_id, observation_date)'),
    ('observation_vintage', 'primary key (series_id, observation_date, realtime_start, source)', 'primary key (source, series_id, observation_date, realtime_start)'),
    ('ohlcv_bar', 'primary key (symbol, bar_interval, ts_start, source)', 'primary key (source, symbol, bar_interval, ts_start)'),
    ('option_quote', 'primary key (contract_symbol, quoted_at, source)', 'primary key (source, contract_symbol, quoted_at)'),
    ('prediction', 'primary key (model, symbol, horizon, made_at, source)', 'primary key (source, model, symbol, horizon, made_at)'),
    ('sector', 'primary key (classification, sector_code, source)', 'primary key (source, classification, sector_code)'),
    ('series', 'primary key (series_id, source)', 'primary key (source, series_id)'),
    ('series_vintage', 'primary key (series_id, vintage_date, source)', 'primary key (source, series_id, vintage_date)'),
    ('technical_indicator', 'primary key (symbol, bar_interval, indicator, ts_start, source)', 'primary key (source, symbol, bar_interval, indicator, ts_start)'),
    ('xbrl_fact', 'primary key (cik, taxonomy, concept, unit, period_type, period_start, period_end, accession_number, source)', 'primary key (source, cik, taxonomy, concept, unit, period_type, period_start, period_end, accession_number)');

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

insert into analyst_rating_turned select * from analyst_rating order by source, symbol, rated_on;
insert into company_turned select * from company order by source, symbol;
insert into corporate_action_turned select * from corporate_action order by source, symbol, action_type, ex_date;
insert into dead_letter_turned select * from dead_letter order by source, dead_letter_id;
insert into etf_flow_turned select * from etf_flow order by source, report, frequency, period_end, category;
insert into exchange_turned select * from exchange order by source, exchange_code;
insert into fetch_log_turned select * from fetch_log order by source, endpoint, item, fetched_at;
insert into filing_turned select * from filing order by source, cik, accession_number;
insert into financial_ratio_turned select * from financial_ratio order by source, symbol, ratio_set, period, period_end;
insert into financial_statement_turned select * from financial_statement order by source, symbol, statement, period, period_end;
insert into industry_turned select * from industry order by source, classification, industry_code;
insert into insider_transaction_turned select * from insider_transaction order by source, transaction_id;
insert into instrument_turned select * from instrument order by source, symbol;
insert into model_performance_turned select * from model_performance order by source, model, metric, evaluated_at;
insert into news_article_turned select * from news_article order by source, article_id;
insert into observation_turned select * from observation order by source, series_id, observation_date;
insert into observation_vintage_turned select * from observation_vintage order by source, series_id, observation_date, realtime_start;
insert into ohlcv_bar_turned select * from ohlcv_bar order by source, symbol, bar_interval, ts_start;
insert into option_quote_turned select * from option_quote order by source, contract_symbol, quoted_at;
insert into prediction_turned select * from prediction order by source, model, symbol, horizon, made_at;
insert into sector_turned select * from sector order by source, classification, sector_code;
insert into series_turned select * from series order by source, series_id;
insert into series_vintage_turned select * from series_vintage order by source, series_id, vintage_date;
insert into technical_indicator_turned select * from technical_indicator order by source, symbol, bar_interval, indicator, ts_start;
insert into xbrl_fact_turned select * from xbrl_fact order by source, cik, taxonomy, concept, unit, period_type, period_start, period_end, accession_number;

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
