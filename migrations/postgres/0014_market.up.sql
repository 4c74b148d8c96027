-- Prices by week and month, the latest ones, a summary of each day, and market capitalisations.
--
-- `tapedeck refresh` brings the two materialized views up to date, also after corrections. The others are never stale.
-- Prices are in `currency`, as their provider adjusts them.

create view weekly_bars as
select span.source, span.symbol, span.week_start, closing.trading_date as date, opening.open, span.high, span.low,
    closing.close, closing.adjusted_close, span.volume, span.trading_days, closing.currency
from (
    select source, symbol, cast(date_trunc('week', trading_date) as date) as week_start, min(ts_start) as first_start,
        max(ts_start) as last_start, max(high) as high, min(low) as low, sum(volume) as volume, count(*) as trading_days
    from ohlcv_bar
    where bar_interval = '1d' and not deleted
    group by source, symbol, cast(date_trunc('week', trading_date) as date)
) as span
join ohlcv_bar as opening on opening.source = span.source and opening.symbol = span.symbol
    and opening.bar_interval = '1d' and opening.ts_start = span.first_start
join ohlcv_bar as closing on closing.source = span.source and closing.symbol = span.symbol
    and closing.bar_interval = '1d' and closing.ts_start = span.last_start;

create view monthly_bars as
select span.source, span.symbol, span.month_start, closing.trading_date as date, opening.open, span.high, span.low,
    closing.close, closing.adjusted_close, span.volume, span.trading_days, closing.currency
from (
    select source, symbol, cast(date_trunc('month', trading_date) as date) as month_start, min(ts_start) as first_start,
        max(ts_start) as last_start, max(high) as high, min(low) as low, sum(volume) as volume, count(*) as trading_days
    from ohlcv_bar
    where bar_interval = '1d' and not deleted
    group by source, symbol, cast(date_trunc('month', trading_date) as date)
) as span
join ohlcv_bar as opening on opening.source = span.source and opening.symbol = span.symbol
    and opening.bar_interval = '1d' and opening.ts_start = span.first_start
join ohlcv_bar as closing on closing.source = span.source and closing.symbol = span.symbol
    and closing.bar_interval = '1d' and closing.ts_start = span.last_start;

create materialized view latest_price as
select symbol, source, trading_date as date, close, previous_close, close - previous_close as change,
    100 * (close / nullif(previous_close, 0) - 1) as change_percent, volume, adjusted_close, currency, known_at
from (
    select symbol, source, trading_date, close, lead(close) over newest_first as previous_close, volume,
        adjusted_close, currency, known_at, row_number() over newest_first as place
    from ohlcv_bar
    where bar_interval = '1d' and not deleted
    window newest_first as (partition by source, symbol order by ts_start desc)
) as day
where place = 1;

create materialized view market_summary as
select date, source, count(*) as symbols,
    count(case when close > previous_close then 1 end) as advancing,
    count(case when close < previous_close then 1 end) as declining,
    count(case when close = previous_close then 1 end) as unchanged,
    sum(volume) as volume, avg(100 * (close / nullif(previous_close, 0) - 1)) as mean_change_percent
from (
    select trading_date as date, source, close, volume,
        lag(close) over (partition by source, symbol order by ts_start) as previous_close
    from ohlcv_bar
    where bar_interval = '1d' and not deleted
) as day
group by date, source;

-- `refresh materialized view concurrently` needs them.
create unique index latest_price_key on latest_price (symbol, source);
create unique index market_summary_key on market_summary (date, source);

-- Which number of shares was the latest one known, and when. The cover page of a filing is of its own day; the other
-- numbers are of the end of their period. The row of a company is of the day of its receipt.
create view shares_known as
select symbol, source, basis, as_of, shares, known_at as known_from,
    lead(known_at) over (partition by symbol order by known_at, as_of, basis, source) as known_until
from (
    select symbol, source, basis, as_of, shares, known_at,
        max(as_of) over (partition by symbol order by known_at, as_of, basis, source
            rows between unbounded preceding and current row) as latest
    from (
        select company.symbol, fact.source, 'cover_page' as basis, fact.period_end as as_of, fact.known_at,
            cast(fact.value as double precision) as shares
        from (
            select symbol, max(cik) as cik from company where cik is not null and not deleted group by symbol
        ) as company
        join xbrl_fact as fact on fact.cik = company.cik and fact.taxonomy = 'dei'
            and fact.concept = 'EntityCommonStockSharesOutstanding' and fact.unit = 'shares'
        where not fact.deleted
        union all
        select symbol, source, 'balance_sheet', period_end, known_at,
            cast(metrics ->> 'commonStockSharesOutstanding' as double precision)
        from financial_statement
        where statement = 'balance_sheet' and not deleted
            and jsonb_typeof(metrics -> 'commonStockSharesOutstanding') = 'number'
        union all
        select symbol, source, 'weighted_average', period_end, known_at,
            cast(metrics ->> 'weightedAverageShsOut' as double precision)
        from financial_statement
        where statement = 'income' and not deleted
            and jsonb_typeof(metrics -> 'weightedAverageShsOut') = 'number'
        union all
        select symbol, source, 'company', cast(known_at at time zone 'UTC' as date), known_at,
            cast(shares_outstanding as double precision)
        from company
        where not deleted
    ) as stated
    where shares > 0
) as known
where as_of = latest;

-- How many shares one share of the beginning has become, from a split's day until the next one's.
create view split_factor as
with recursive split as (
    select symbol, ex_date, max(cast(split_to as double precision) / cast(split_from as double precision)) as ratio,
        row_number() over (partition by symbol order by ex_date) as place
    from corporate_action
    where action_type = 'split' and split_to > 0 and split_from > 0 and not deleted
    group by symbol, ex_date
), product as (
    select symbol, ex_date, place, ratio as factor
    from split
    where place = 1
    union all
    select split.symbol, split.ex_date, split.place, product.factor * split.ratio
    from product
    join split on split.symbol = product.symbol and split.place = product.place + 1
)
select symbol, ex_date, lead(ex_date) over (partition by symbol order by ex_date) as until_date, factor
from product;

-- A day's close times the shares known at 16:00 of its exchange. Splits after the day of the number of shares count:
-- all of them where the provider adjusts its closes (Yahoo, FMP), else those until the day.
create view market_cap as
select bar.symbol, bar.source, bar.trading_date as date, bar.close, bar.currency, known.shares,
    known.basis as shares_basis, known.as_of as shares_as_of,
    coalesce(later.factor, 1) / coalesce(before.factor, 1) as split_factor,
    bar.close * known.shares * coalesce(later.factor, 1) / coalesce(before.factor, 1) as market_cap
from ohlcv_bar as bar
join shares_known as known on known.symbol = bar.symbol
    and known.known_from <= bar.ts_start + interval '16 hours'
    and (known.known_until is null or known.known_until > bar.ts_start + interval '16 hours')
left join split_factor as before on before.symbol = known.symbol and before.ex_date <= known.as_of
    and (before.until_date is null or before.until_date > known.as_of)
left join split_factor as later on later.symbol = bar.symbol
    and case when bar.source in ('yahoo', 'fmp') then later.until_date is null
        else later.ex_date <= bar.trading_date
            and (later.until_date is null or later.until_date > bar.trading_date) end
where bar.bar_interval = '1d' and not bar.deleted;

-- The capitalisations of many symbols on many days in one query.
create function market_caps(symbols text[], dates date[]) returns setof market_cap
    language sql stable parallel safe
    as $$ select * from market_cap where symbol = any (symbols) and date = any (dates) $$;

-- What two providers' prices have in common: in the currency instead of its pence, by what they are adjusted for. Null
-- where the provider has no such price. Exchange and ticker are the same at all providers.
create view comparable_price as
select bar.source, bar.symbol, instrument.mic, instrument.ticker, instrument.isin, bar.trading_date as date,
    instrument.currency,
    case when instrument.price_adjustment = 'none' then bar.close end
        / coalesce(instrument.units_per_currency, 1) as close_as_traded,
    case when instrument.price_adjustment = 'splits' then bar.close end
        / coalesce(instrument.units_per_currency, 1) as close_adjusted_for_splits,
    case when instrument.adjusted_close_adjustment = 'all' then bar.adjusted_close
        when instrument.price_adjustment = 'all' then bar.close end
        / coalesce(instrument.units_per_currency, 1) as close_adjusted_for_all
from ohlcv_bar as bar
join instrument on instrument.source = bar.source and instrument.symbol = bar.symbol
where bar.bar_interval = '1d' and not bar.deleted and not instrument.deleted;
