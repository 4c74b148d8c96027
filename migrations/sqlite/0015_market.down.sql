drop view comparable_price;
drop view market_cap;
drop view split_factor;
drop view shares_known;
drop view market_summary;
drop view latest_price;
drop view monthly_bars;
drop view weekly_bars;
