-- Bars of weeks and months in one pass: joined with their first and last bars, they ran into time limits while the table had no
-- statistics. Market capitalisations in the currency, not in its pence, and by what the provider says its closes are adjusted for.

create or replace view weekly_bars as
select source, symbol, cast(date_trunc('week', trading_date) as date) as week_start,
    (array_agg(trading_date order by ts_start desc))[1] as date, (array_agg(open order by ts_start))[1] as open,
    max(high) as high, min(low) as low, (array_agg(close order by ts_start desc))[1] as close,
    (array_agg(adjusted_close order by ts_start desc))[1] as adjusted_close, sum(volume) as volume, count(*) as trading_days,
    (array_agg(currency order by ts_start desc))[1] as currency
from ohlcv_bar
where bar_interval = '1d' and not deleted
group by source, symbol, cast(date_trunc('week', trading_date) as date);

create or replace view monthly_bars as
select source, symbol, cast(date_trunc('month', trading_date) as date) as month_start,
    (array_agg(trading_date order by ts_start desc))[1] as date, (array_agg(open order by ts_start))[1] as open,
    max(high) as high, min(low) as low, (array_agg(close order by ts_start desc))[1] as close,
    (array_agg(adjusted_close order by ts_start desc))[1] as adjusted_close, sum(volume) as volume, count(*) as trading_days,
    (array_agg(currency order by ts_start desc))[1] as currency
from ohlcv_bar
where bar_interval = '1d' and not deleted
group by source, symbol, cast(date_trunc('month', trading_date) as date);

-- A day's close in `currency` times the shares known at 16:00 of its exchange. Splits after the day of the number of shares
-- count: all of them where the closes are adjusted, else those until the day. Without an `instrument`, the closes of Yahoo and
-- FMP are adjusted, and all are in the currency.
create or replace view market_cap as
select bar.symbol, bar.source, bar.trading_date as date, bar.close / coalesce(priced.units_per_currency, 1) as close,
    coalesce(priced.currency, bar.currency) as currency, known.shares,
    known.basis as shares_basis, known.as_of as shares_as_of,
    coalesce(later.factor, 1) / coalesce(before.factor, 1) as split_factor,
    bar.close / coalesce(priced.units_per_currency, 1) * known.shares
        * coalesce(later.factor, 1) / coalesce(before.factor, 1) as market_cap
from ohlcv_bar as bar
join shares_known as known on known.symbol = bar.symbol
    and known.known_from <= bar.ts_start + interval '16 hours'
    and (known.known_until is null or known.known_until > bar.ts_start + interval '16 hours')
left join instrument as priced on priced.symbol = bar.symbol and priced.source = bar.source and not priced.deleted
left join split_factor as before on before.symbol = known.symbol and before.ex_date <= known.as_of
    and (before.until_date is null or before.until_date > known.as_of)
left join split_factor as later on later.symbol = bar.symbol
    and case when coalesce(priced.price_adjustment <> 'none', bar.source in ('yahoo', 'fmp')) then later.until_date is null
        else later.ex_date <= bar.trading_date
            and (later.until_date is null or later.until_date > bar.trading_date) end
where bar.bar_interval = '1d' and not bar.deleted;

-- The same for many symbols and days. Bars and numbers of shares are put in one order of time, where the view compares each
-- number of a symbol with each of its days.
create or replace function market_caps(symbols text[], dates date[]) returns setof market_cap
    language sql stable parallel safe
    as $$
    with split as materialized (
        select symbol, ex_date, until_date, factor
        from split_factor
        where symbol = any (symbols)
    ), moment as (
        select symbol, known_from as moment, 0 as place, shares, basis, as_of,
            null::text as source, null::date as trading_date, null::double precision as close, null::text as currency
        from shares_known
        where symbol = any (symbols) and (known_until is null or known_until > known_from)
        union all
        select symbol, ts_start + interval '16 hours', 1, null, null, null, source, trading_date, close, currency
        from ohlcv_bar
        where symbol = any (symbols) and trading_date = any (dates) and bar_interval = '1d' and not deleted
    ), numbered as (
        select *, count(shares) over (partition by symbol order by moment, place) as number
        from moment
    ), bar as materialized (
        select symbol, source, trading_date, close, currency,
            first_value(shares) over known as shares, first_value(basis) over known as basis,
            first_value(as_of) over known as as_of
        from numbered
        where number > 0
        window known as (partition by symbol, number order by moment, place)
    )
    select bar.symbol, bar.source, bar.trading_date, bar.close / coalesce(priced.units_per_currency, 1),
        coalesce(priced.currency, bar.currency), bar.shares, bar.basis, bar.as_of,
        coalesce(later.factor, 1) / coalesce(before.factor, 1),
        bar.close / coalesce(priced.units_per_currency, 1) * bar.shares
            * coalesce(later.factor, 1) / coalesce(before.factor, 1)
    from bar
    left join instrument as priced on priced.symbol = bar.symbol and priced.source = bar.source and not priced.deleted
    left join split as before on before.symbol = bar.symbol and before.ex_date <= bar.as_of
        and (before.until_date is null or before.until_date > bar.as_of)
    left join split as later on later.symbol = bar.symbol
        and case when coalesce(priced.price_adjustment <> 'none', bar.source in ('yahoo', 'fmp')) then later.until_date is null
            else later.ex_date <= bar.trading_date
                and (later.until_date is null or later.until_date > bar.trading_date) end
    where bar.source is not null
    $$;
