-- The names that dashboards, factor labs and research backends already use, as views: an old query runs unchanged.
--
-- A view that a provider's name is part of shows that provider alone. All others show every provider, with `source` or
-- `source_provider`: two providers of one symbol are two rows, because their prices are different quantities.
-- Deleted rows are in no view. `created_at` is when the record was received. An `id` is the natural key's text.
-- `data_quality_score` is the share of the dataset's expectations that the row meets.
-- `model_performance` is a dataset's own table; the view `model_performance_metrics` has its earlier columns.

create view fred_data as
select series_id, observation_date as date, value, observed_at as created_at, updated_at
from observation
where source = 'fred' and not deleted;

create view yfinance_ohlcv as
select symbol as ticker, symbol, trading_date as date, open, high, low, close, volume, adjusted_close as adj_close,
    currency,
    1 - json_array_length(flags) / 4.0 as data_quality_score, observed_at as created_at, updated_at
from ohlcv_bar
where source = 'yahoo' and bar_interval = '1d' and not deleted;

create view cboe_vix_history as
select trading_date as date, open, high, low, close,
    1 - json_array_length(flags) / 4.0 as data_quality_score, observed_at as created_at,
    updated_at
from ohlcv_bar
where source = 'cboe' and symbol = 'VIX' and bar_interval = '1d' and not deleted;

-- Flows in millions of US dollars.
create view ici_etf_weekly_flows as
select period_end as week_ending,
    max(case category when 'total' then net_flow_millions end) as total_net_flows,
    max(case category when 'equity' then net_flow_millions end) as equity_net_flows,
    max(case category when 'hybrid' then net_flow_millions end) as hybrid_net_flows,
    max(case category when 'bond' then net_flow_millions end) as bond_net_flows,
    max(case category when 'commodity' then net_flow_millions end) as commodity_net_flows,
    max(observed_at) as created_at, max(updated_at) as updated_at
from etf_flow
where source = 'ici' and report = 'etf' and frequency = 'weekly' and not deleted
group by period_end;

create view ici_etf_monthly_flows as
select period_end as month_ending,
    max(case category when 'total' then net_flow_millions end) as total_net_flows,
    max(case category when 'equity' then net_flow_millions end) as equity_net_flows,
    max(case category when 'hybrid' then net_flow_millions end) as hybrid_net_flows,
    max(case category when 'bond' then net_flow_millions end) as bond_net_flows,
    max(case category when 'commodity' then net_flow_millions end) as commodity_net_flows,
    max(observed_at) as created_at, max(updated_at) as updated_at
from etf_flow
where source = 'ici' and report = 'etf' and frequency = 'monthly' and not deleted
group by period_end;

-- One row per article; the labels have the usual thresholds of VADER's scores.
create view news_sentiment as
select article_id as id, coalesce(publisher, source) as source, source as provider, title, title as headline, url,
    published_at, sentiment_score,
    case when sentiment_score >= 0.05 then 'positive' when sentiment_score <= -0.05 then 'negative'
        when sentiment_score is not null then 'neutral' end as sentiment_label,
    cast(null as double precision) as relevance_score, symbols as entities, observed_at as created_at, updated_at
from news_article
where not deleted;

-- One row per article and symbol; an article about no symbol has one row without.
create view news as
select article_id as id, about.value as company_id, about.value as symbol, published_at, title, content,
    description as summary, url, coalesce(publisher, source) as source, source as provider, author, sentiment_score,
    case when sentiment_score >= 0.05 then 'positive' when sentiment_score <= -0.05 then 'negative'
        when sentiment_score is not null then 'neutral' end as sentiment_label,
    max(sentiment_negative, sentiment_neutral, sentiment_positive) as sentiment_confidence, tags,
    observed_at as created_at
from news_article left join json_each(symbols) as about
where not deleted;

-- Indicators by the names of the columns. A day's bar starts at 00:00 of its exchange: at most 13 hours before the UTC
-- day begins, and at most 10 after.
create view technical_features as
select symbol as ticker, symbol, source, date(ts_start, '+13 hours') as date,
    max(case indicator when 'rsi_14' then value end) as rsi_14,
    max(case indicator when 'rsi_28' then value end) as rsi_28,
    max(case indicator when 'stoch_k' then value end) as stoch_k,
    max(case indicator when 'stoch_d' then value end) as stoch_d,
    max(case indicator when 'williams_r' then value end) as williams_r,
    max(case indicator when 'roc_10' then value end) as roc_10,
    max(case indicator when 'roc_20' then value end) as roc_20,
    max(case indicator when 'sma_20' then value end) as sma_20,
    max(case indicator when 'sma_50' then value end) as sma_50,
    max(case indicator when 'sma_200' then value end) as sma_200,
    max(case indicator when 'ema_12' then value end) as ema_12,
    max(case indicator when 'ema_26' then value end) as ema_26,
    max(case indicator when 'macd' then value end) as macd,
    max(case indicator when 'macd_signal' then value end) as macd_signal,
    max(case indicator when 'macd_histogram' then value end) as macd_histogram,
    max(case indicator when 'adx' then value end) as adx,
    max(case indicator when 'bb_upper' then value end) as bb_upper,
    max(case indicator when 'bb_middle' then value end) as bb_middle,
    max(case indicator when 'bb_lower' then value end) as bb_lower,
    max(case indicator when 'bb_width' then value end) as bb_width,
    max(case indicator when 'bb_bandwidth' then value end) as bb_bandwidth,
    max(case indicator when 'atr_14' then value end) as atr_14,
    max(case indicator when 'keltner_upper' then value end) as keltner_upper,
    max(case indicator when 'keltner_lower' then value end) as keltner_lower,
    max(case indicator when 'obv' then value end) as obv,
    max(case indicator when 'obv_sma' then value end) as obv_sma,
    max(case indicator when 'mfi' then value end) as mfi,
    max(case indicator when 'ad_line' then value end) as ad_line,
    max(case indicator when 'cmf' then value end) as cmf,
    max(case indicator when 'vwap' then value end) as vwap,
    max(case indicator when 'volume_sma_20' then value end) as volume_sma_20,
    max(case indicator when 'historical_volatility_30' then value end) as historical_volatility_30,
    max(observed_at) as created_at, max(updated_at) as updated_at
from technical_indicator
where bar_interval = '1d' and not deleted
group by source, symbol, ts_start;

create view technical_indicators as
select ticker as company_id, symbol, source, date, sma_20, sma_50, sma_200, ema_12, ema_26, macd, macd_signal,
    macd_histogram, rsi_14, bb_upper, bb_middle, bb_lower, bb_bandwidth, volume_sma_20, obv, atr_14,
    historical_volatility_30, created_at as calculated_at
from technical_features;

-- A day (UTC) of all contracts of an underlying: the last quote of each. `implied_volatility` is the plain mean.
create view options_data as
select underlying_symbol as ticker, underlying_symbol as symbol, source, date,
    sum(case option_type when 'put' then volume end) as put_volume,
    sum(case option_type when 'call' then volume end) as call_volume,
    sum(case option_type when 'put' then volume end) / nullif(sum(case option_type when 'call' then volume end), 0)
        as put_call_ratio,
    avg(implied_volatility) as implied_volatility, sum(open_interest) as open_interest,
    sum(case option_type when 'put' then open_interest end) as put_open_interest,
    sum(case option_type when 'call' then open_interest end) as call_open_interest,
    sum(case option_type when 'put' then open_interest end)
        / nullif(sum(case option_type when 'call' then open_interest end), 0) as put_call_oi_ratio,
    max(observed_at) as created_at, max(updated_at) as updated_at
from (
    select underlying_symbol, source, option_type, volume, open_interest, implied_volatility, observed_at, updated_at,
        date(quoted_at) as date,
        row_number() over (
            partition by source, underlying_symbol, contract_symbol, date(quoted_at)
            order by quoted_at desc
        ) as place
    from option_quote
    where not deleted
) as quote
where place = 1
group by underlying_symbol, source, date;

-- `target_date` is known where the horizon counts days or weeks, e.g. `5d`.
create view ml_predictions as
select model as model_name, model as model_version, symbol as ticker, symbol, source,
    date(made_at) as prediction_date,
    case when length(horizon) between 2 and 5 and horizon glob '*[0-9][dw]'
        and rtrim(horizon, 'dw') not glob '*[^0-9]*' and length(rtrim(horizon, 'dw')) = length(horizon) - 1
        then date(made_at,
            '+' || (rtrim(horizon, 'dw') * case substr(horizon, -1) when 'w' then 7 else 1 end) || ' days')
        end as target_date,
    horizon, target, value as prediction_value, lower, upper, confidence, confidence as confidence_score,
    features as top_features,
    1 - json_array_length(flags) / 2.0 as data_quality_score, observed_at as created_at
from prediction
where not deleted;

create view model_performance_metrics as
select model as model_name, model as model_version, source,
    date(evaluated_at) as evaluation_date,
    metric as metric_name, value as metric_value, cast(null as text) as dataset_type,
    sample_count as total_predictions, observed_at as created_at
from model_performance
where not deleted;

create view ohlcv as
select symbol as company_id, symbol, source, trading_date as date, open, high, low, close, volume, adjusted_close,
    currency,
    1 - json_array_length(flags) / 4.0 as data_quality_score, observed_at as created_at, updated_at
from ohlcv_bar
where bar_interval = '1d' and not deleted;

create view price_data as
select symbol, trading_date as date, open as open_price, high as high_price, low as low_price, close as close_price,
    volume, adjusted_close, source as source_provider,
    1 - json_array_length(flags) / 4.0 as data_quality_score, observed_at as created_at
from ohlcv_bar
where bar_interval = '1d' and not deleted;

create view dividends as
select symbol as company_id, symbol, source, ex_date, ex_date as date, paid_on as payment_date, record_date,
    declared_on as declaration_date, amount, unadjusted_amount, currency, cast(null as text) as dividend_type,
    period as frequency,
    1 - json_array_length(flags) / 1.0 as data_quality_score, observed_at as created_at
from corporate_action
where action_type = 'dividend' and not deleted;

-- `accepted_date` is the day in Washington.
create view financial_statements as
select symbol, statement as statement_type, period_end as fiscal_date, period as fiscal_period, fiscal_year,
    date(accepted_at, case
        when strftime('%Y', accepted_at) >= '2007' and accepted_at >= date(accepted_at, 'start of year', '+2 months',
            '+7 days', 'weekday 0') || 'T07' and accepted_at < date(accepted_at, 'start of year', '+10 months',
            'weekday 0') || 'T06' then '-4 hours'
        when strftime('%Y', accepted_at) < '2007' and accepted_at >= date(accepted_at, 'start of year', '+3 months',
            'weekday 0') || 'T07' and accepted_at < date(accepted_at, 'start of year', '+10 months', '-7 days',
            'weekday 0') || 'T06' then '-4 hours'
        else '-5 hours' end) as accepted_date,
    filed_on as filing_date, accepted_at, currency, revenue, operating_income, net_income, eps_diluted, total_assets,
    total_liabilities, total_equity, operating_cash_flow, free_cash_flow, metrics,
    1 - json_array_length(flags) / 1.0 as data_quality_score, source as source_provider,
    observed_at as created_at, updated_at
from financial_statement
where not deleted;

-- Each number of a statement or a set of ratios, under the provider's own name.
create view financial_metrics as
select source, symbol, period_end as fiscal_date, period as fiscal_period, statement as part, metric.key as name,
    metric.value as value, known_at
from financial_statement join json_each(metrics) as metric
where not deleted and metric.type in ('integer', 'real')
union all
select source, symbol, period_end, period, ratio_set, metric.key, metric.value, known_at
from financial_ratio join json_each(metrics) as metric
where not deleted and metric.type in ('integer', 'real');

-- What a provider's statements and sets of ratios say about one period.
create view fundamentals as
select symbol as company_id, symbol, source, fiscal_date as date, fiscal_date, fiscal_period,
    case fiscal_period when 'FY' then 'annual' when 'TTM' then 'ttm' else 'quarterly' end as period_type,
    max(fiscal_year) as fiscal_year,
    case when fiscal_period in ('Q1', 'Q2', 'Q3', 'Q4') then cast(substr(fiscal_period, 2) as integer) end
        as fiscal_quarter,
    max(accepted_date) as accepted_date,
    max(market_cap) as market_cap,
    max(case when name in ('enterpriseValue', 'EnterpriseValue') then value end) as enterprise_value,
    max(price_earnings) as pe_ratio,
    max(case when name in ('priceToEarningsGrowthRatio', 'PEGRatio') then value end) as peg_ratio,
    max(price_book) as price_to_book,
    max(case when name in ('priceToSalesRatio', 'PriceSalesTTM') then value end) as price_to_sales,
    max(case when name in ('evToSales', 'EnterpriseValueRevenue') then value end) as ev_to_revenue,
    max(case when name in ('evToEBITDA', 'EnterpriseValueEbitda') then value end) as ev_to_ebitda,
    max(revenue) as revenue,
    max(case name when 'grossProfit' then value end) as gross_profit,
    max(operating_income) as operating_income,
    max(net_income) as net_income,
    max(case name when 'ebitda' then value end) as ebitda,
    max(case name when 'eps' then value end) as eps,
    max(eps_diluted) as eps_diluted,
    max(case name when 'grossProfitMargin' then value end) as gross_margin,
    max(case when name in ('operatingProfitMargin', 'OperatingMarginTTM') then value end) as operating_margin,
    max(net_margin) as profit_margin,
    max(return_on_equity) as roe,
    max(case when name in ('returnOnAssets', 'ReturnOnAssetsTTM') then value end) as roa,
    max(case name when 'returnOnInvestedCapital' then value end) as roic,
    max(case name when 'QuarterlyRevenueGrowthYOY' then value end) as revenue_growth,
    max(case name when 'QuarterlyEarningsGrowthYOY' then value end) as earnings_growth,
    max(total_assets) as total_assets,
    max(total_liabilities) as total_liabilities,
    max(total_equity) as total_equity,
    max(case when name in ('totalDebt', 'shortLongTermDebtTotal') then value end) as total_debt,
    max(case when name in ('cashAndCashEquivalents', 'cash') then value end) as cash_and_equivalents,
    max(case when name in ('bookValuePerShare', 'BookValue') then value end) as book_value_per_share,
    max(debt_to_equity) as debt_to_equity,
    max(current_ratio) as current_ratio,
    max(case name when 'quickRatio' then value end) as quick_ratio,
    max(case when name in ('dividendPerShare', 'DividendShare') then value end) as dividend_per_share,
    max(case when name in ('dividendYield', 'DividendYield') then value end) as dividend_yield,
    max(case when name in ('dividendPayoutRatio', 'PayoutRatio') then value end) as payout_ratio,
    max(operating_cash_flow) as operating_cash_flow,
    max(free_cash_flow) as free_cash_flow,
    max(case when name in ('capitalExpenditure', 'capitalExpenditures') then value end) as capex,
    max(case when name in ('commonStockSharesOutstanding', 'weightedAverageShsOut', 'SharesOutstanding') then value end)
        as shares_outstanding,
    max(case name when 'SharesFloat' then value end) as float_shares,
    count(is_ratio) as ratio_sets,
    source as data_source,
    json_group_object(part, json(metrics)) filter (where metrics is not null) as raw_data,
    max(created_at) as created_at,
    max(updated_at) as updated_at
from (
    select source_provider as source, symbol, fiscal_date, fiscal_period, statement_type as part, fiscal_year,
        accepted_date, metrics, revenue, operating_income, net_income, eps_diluted, total_assets, total_liabilities,
        total_equity, operating_cash_flow, free_cash_flow, cast(null as numeric) as market_cap,
        cast(null as double precision) as price_earnings, cast(null as double precision) as price_book,
        cast(null as double precision) as return_on_equity, cast(null as double precision) as debt_to_equity,
        cast(null as double precision) as current_ratio, cast(null as double precision) as net_margin,
        cast(null as integer) as is_ratio, cast(null as text) as name, cast(null as numeric) as value, created_at,
        updated_at
    from financial_statements
    union all
    select source, symbol, period_end, period, ratio_set, fiscal_year, null, metrics, null, null, null, null, null,
        null, null, null, null, market_cap, price_earnings, price_book, return_on_equity, debt_to_equity,
        current_ratio, net_margin, 1, null, null, observed_at, updated_at
    from financial_ratio
    where not deleted
    union all
    select source, symbol, fiscal_date, fiscal_period, part, null, null, null, null, null, null, null, null, null,
        null, null, null, null, null, null, null, null, null, null, null, name, value, null, null
    from financial_metrics
) as part
group by source, symbol, fiscal_date, fiscal_period;

-- A provider's sets of ratios of one period, side by side.
create view financial_ratios as
select symbol, fiscal_date, fiscal_period, accepted_date, pe_ratio, price_to_book as pb_ratio, roe, roa, debt_to_equity,
    current_ratio, operating_margin, profit_margin as net_margin, market_cap, shares_outstanding,
    source as source_provider, created_at, updated_at
from fundamentals
where ratio_sets > 0;

create view analyst_ratings as
select symbol as company_id, symbol, rated_on as date, source as firm, cast(null as text) as analyst_name,
    case when rating >= 4.5 then 'Strong Buy' when rating >= 3.5 then 'Buy' when rating >= 2.5 then 'Hold'
        when rating >= 1.5 then 'Sell' when rating is not null then 'Strong Sell' end as rating,
    rating as rating_numeric, cast(null as text) as previous_rating, target_price as price_target,
    cast(null as numeric) as price_target_low, cast(null as numeric) as price_target_high,
    cast(null as numeric) as previous_price_target, cast(null as text) as action, strong_buy, buy, hold, sell,
    strong_sell,
    1 - json_array_length(flags) / 2.0 as data_quality_score, observed_at as created_at
from analyst_rating
where not deleted;

-- Transactions only: a holding has no date. The codes are those of form 4.
create view insider_transactions as
select transaction_id as id, symbol as company_id, symbol, source, reported_on as filing_date, transaction_date,
    owner_name as insider_name, owner_title as insider_title,
    coalesce(lower(owner_title) like '%director%', 0) as is_director,
    coalesce(lower(owner_title) like '%officer%' or lower(owner_title) like '%chief%'
        or lower(owner_title) like '%president%', 0) as is_officer,
    coalesce(lower(owner_title) like '%10^%%' escape '^', 0) as is_ten_percent_owner,
    case transaction_code when 'P' then 'Purchase' when 'S' then 'Sale' when 'A' then 'Award' when 'G' then 'Gift'
        when 'M' then 'Exercise' when 'F' then 'Tax' when 'D' then 'Disposition' when 'C' then 'Conversion'
        else transaction_code end as transaction_type,
    transaction_code, shares, price as price_per_share, shares * price as total_value,
    shares_after as shares_owned_after, link as sec_link,
    1 - json_array_length(flags) / 2.0 as data_quality_score,
    observed_at as created_at
from insider_transaction
where transaction_date is not null and not deleted;

-- One row per symbol: that of the provider that says most about it.
create view companies as
select symbol as id, symbol as ticker, symbol, source, name, exchange as exchange_id, sector as sector_id,
    industry as industry_id, exchange, sector, industry, sic, currency, country, cik, isin, cusip, description, website,
    employees, shares_outstanding, market_cap, delisted_on is null or delisted_on > current_date as is_active,
    listed_on as ipo_date,
    1 - json_array_length(flags) / 1.0 as data_quality_score, observed_at as created_at, updated_at
from (
    select *, row_number() over (partition by symbol order by
        case when sector is not null then 0 when sic is not null then 1 else 2 end, known_at desc, source) as place
    from company
    where not deleted
) as company
where place = 1;

-- One row per code: that of the provider that says most about it.
create view exchanges as
select exchange_code as id, exchange_code as code, coalesce(name, exchange_code) as name, country, country_code,
    currency, time_zone as timezone, mic, opens_at, closes_at, source, observed_at as created_at, updated_at
from (
    select *, row_number() over (partition by exchange_code order by
        case when time_zone is not null then 0 when name is not null then 1 else 2 end, known_at desc, source) as place
    from exchange
    where not deleted
) as exchange
where place = 1;

-- By name: those of a classification, and those that providers state of companies.
create view sectors as
select name as id, name, cast(null as text) as description, min(observed_at) as created_at
from (
    select name, observed_at
    from sector
    where not deleted
    union all
    select sector, observed_at
    from company
    where sector is not null and not deleted
) as named
group by name;

create view industries as
select name as id, min(sector_name) as sector_id, name, max(code) as sic, cast(null as text) as description,
    min(observed_at) as created_at
from (
    select industry.name, sector.name as sector_name,
        case industry.classification when 'sic' then industry.industry_code end as code, industry.observed_at
    from industry
    left join sector on sector.source = industry.source and sector.classification = industry.classification
        and sector.sector_code = industry.sector_code and not sector.deleted
    where not industry.deleted
    union all
    select industry, sector, null, observed_at
    from company
    where industry is not null and not deleted
) as named
group by name;

create view data_refresh_log as
select source as data_source, endpoint as data_type, item, fetched_at as refresh_time,
    strftime('%Y-%m-%dT%H:%M:%f000Z', substr(fetched_at, 1, 23) || 'Z',
        '-' || (duration_ms / 1000.0) || ' seconds') as refresh_start,
    fetched_at as refresh_end,
    case when outcome in ('answered', 'unchanged') then 'success' else 'failed' end as status,
    records as records_updated, records + coalesce(unchanged, 0) + rejects as records_processed,
    error as error_message, duration_ms / 1000.0 as duration_seconds, observed_at as created_at
from fetch_log
where not deleted;

create view data_ingestion_logs as
select endpoint as job_type, item as company_id, source,
    strftime('%Y-%m-%dT%H:%M:%f000Z', substr(fetched_at, 1, 23) || 'Z',
        '-' || (duration_ms / 1000.0) || ' seconds') as start_time,
    fetched_at as end_time,
    case when outcome in ('answered', 'unchanged') then 'success' else 'failed' end as status,
    records + coalesce(unchanged, 0) + rejects as records_processed,
    records - coalesce(corrections, 0) as records_inserted, coalesce(corrections, 0) as records_updated,
    error as error_message, observed_at as created_at
from fetch_log
where not deleted;

create view api_rate_limits as
select source as api_name, endpoint, item, fetched_at as request_time, duration_ms as response_time_ms,
    cast(null as integer) as status_code, calls, error as error_message, observed_at as created_at
from fetch_log
where not deleted;

create view data_fetch_log as
select item as symbol, endpoint as data_type, source, fetched_at as fetch_date, records as records_fetched,
    calls as api_calls_made, outcome in ('answered', 'unchanged') as success, error as error_message
from fetch_log
where not deleted;
