-- Market capitalisations in the unit of the closes.

drop view market_cap;

create view market_cap as
select bar.symbol, bar.source, bar.trading_date as date, bar.close, bar.currency, known.shares,
    known.basis as shares_basis, known.as_of as shares_as_of,
    coalesce(later.factor, 1) / coalesce(before.factor, 1) as split_factor,
    bar.close * known.shares * coalesce(later.factor, 1) / coalesce(before.factor, 1) as market_cap
from ohlcv_bar as bar
join shares_known as known on known.symbol = bar.symbol
    and known.known_from <= strftime('%Y-%m-%dT%H:%M:%f000Z', bar.ts_start, '+16 hours')
    and (known.known_until is null or known.known_until > strftime('%Y-%m-%dT%H:%M:%f000Z', bar.ts_start, '+16 hours'))
left join split_factor as before on before.symbol = known.symbol and before.ex_date <= known.as_of
    and (before.until_date is null or before.until_date > known.as_of)
left join split_factor as later on later.symbol = bar.symbol
    and case when bar.source in ('yahoo', 'fmp') then later.until_date is null
        else later.ex_date <= bar.trading_date
            and (later.until_date is null or later.until_date > bar.trading_date) end
where bar.bar_interval = '1d' and not bar.deleted;
