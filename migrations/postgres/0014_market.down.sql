drop view comparable_price;
drop function market_caps;
drop view market_cap;
drop view split_factor;
drop view shares_known;
drop materialized view market_summary;
drop materialized view latest_price;
drop view monthly_bars;
drop view weekly_bars;
