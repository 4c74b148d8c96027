-- Market capitalisations in the unit of the closes, and bars of weeks and months by joins.

create or replace function market_caps(symbols text[], dates date[]) returns setof market_cap
    language sql stable parallel safe
    as $$ select * from market_cap where symbol = any (symbols) and date = any (dates) $$;

create or replace view market_cap as
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

create or replace view weekly_bars as
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

create or replace view monthly_bars as
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
