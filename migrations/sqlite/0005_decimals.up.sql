-- Decimals as doubles, which compare and sum as numbers. A decimal of more than 15 digits stays a text, because no
-- double keeps it. The type `any` takes both; what is stored does not change with it, so the declaration is rewritten in
-- place.

pragma writable_schema = on;

update sqlite_schema set sql = replace(sql, char(10) || '    target_price text', char(10) || '    target_price any') where type = 'table' and name = 'analyst_rating';
update sqlite_schema set sql = replace(sql, char(10) || '    shares_outstanding text', char(10) || '    shares_outstanding any') where type = 'table' and name = 'company';
update sqlite_schema set sql = replace(sql, char(10) || '    market_cap text', char(10) || '    market_cap any') where type = 'table' and name = 'company';
update sqlite_schema set sql = replace(sql, char(10) || '    amount text', char(10) || '    amount any') where type = 'table' and name = 'corporate_action';
update sqlite_schema set sql = replace(sql, char(10) || '    unadjusted_amount text', char(10) || '    unadjusted_amount any') where type = 'table' and name = 'corporate_action';
update sqlite_schema set sql = replace(sql, char(10) || '    split_to text', char(10) || '    split_to any') where type = 'table' and name = 'corporate_action';
update sqlite_schema set sql = replace(sql, char(10) || '    split_from text', char(10) || '    split_from any') where type = 'table' and name = 'corporate_action';
update sqlite_schema set sql = replace(sql, char(10) || '    market_cap text', char(10) || '    market_cap any') where type = 'table' and name = 'financial_ratio';
update sqlite_schema set sql = replace(sql, char(10) || '    revenue text', char(10) || '    revenue any') where type = 'table' and name = 'financial_statement';
update sqlite_schema set sql = replace(sql, char(10) || '    operating_income text', char(10) || '    operating_income any') where type = 'table' and name = 'financial_statement';
update sqlite_schema set sql = replace(sql, char(10) || '    net_income text', char(10) || '    net_income any') where type = 'table' and name = 'financial_statement';
update sqlite_schema set sql = replace(sql, char(10) || '    eps_diluted text', char(10) || '    eps_diluted any') where type = 'table' and name = 'financial_statement';
update sqlite_schema set sql = replace(sql, char(10) || '    total_assets text', char(10) || '    total_assets any') where type = 'table' and name = 'financial_statement';
update sqlite_schema set sql = replace(sql, char(10) || '    total_liabilities text', char(10) || '    total_liabilities any') where type = 'table' and name = 'financial_statement';
update sqlite_schema set sql = replace(sql, char(10) || '    total_equity text', char(10) || '    total_equity any') where type = 'table' and name = 'financial_statement';
update sqlite_schema set sql = replace(sql, char(10) || '    operating_cash_flow text', char(10) || '    operating_cash_flow any') where type = 'table' and name = 'financial_statement';
update sqlite_schema set sql = replace(sql, char(10) || '    free_cash_flow text', char(10) || '    free_cash_flow any') where type = 'table' and name = 'financial_statement';
update sqlite_schema set sql = replace(sql, char(10) || '    shares text', char(10) || '    shares any') where type = 'table' and name = 'insider_transaction';
update sqlite_schema set sql = replace(sql, char(10) || '    price text', char(10) || '    price any') where type = 'table' and name = 'insider_transaction';
update sqlite_schema set sql = replace(sql, char(10) || '    shares_after text', char(10) || '    shares_after any') where type = 'table' and name = 'insider_transaction';
update sqlite_schema set sql = replace(sql, char(10) || '    strike text', char(10) || '    strike any') where type = 'table' and name = 'option_quote';
update sqlite_schema set sql = replace(sql, char(10) || '    value text', char(10) || '    value any') where type = 'table' and name = 'xbrl_fact';

pragma writable_schema = reset;

-- Other connections read the declarations again.
create table declarations_changed (x integer) strict;
drop table declarations_changed;

update analyst_rating set
    target_price = case when length(ltrim(replace(replace(target_price, '-', ''), '.', ''), '0')) <= 15 then cast(target_price as real) else target_price end;

update company set
    shares_outstanding = case when length(ltrim(replace(replace(shares_outstanding, '-', ''), '.', ''), '0')) <= 15 then cast(shares_outstanding as real) else shares_outstanding end,
    market_cap = case when length(ltrim(replace(replace(market_cap, '-', ''), '.', ''), '0')) <= 15 then cast(market_cap as real) else market_cap end;

update corporate_action set
    amount = case when length(ltrim(replace(replace(amount, '-', ''), '.', ''), '0')) <= 15 then cast(amount as real) else amount end,
    unadjusted_amount = case when length(ltrim(replace(replace(unadjusted_amount, '-', ''), '.', ''), '0')) <= 15 then cast(unadjusted_amount as real) else unadjusted_amount end,
    split_to = case when length(ltrim(replace(replace(split_to, '-', ''), '.', ''), '0')) <= 15 then cast(split_to as real) else split_to end,
    split_from = case when length(ltrim(replace(replace(split_from, '-', ''), '.', ''), '0')) <= 15 then cast(split_from as real) else split_from end;

update financial_ratio set
    market_cap = case when length(ltrim(replace(replace(market_cap, '-', ''), '.', ''), '0')) <= 15 then cast(market_cap as real) else market_cap end;

update financial_statement set
    revenue = case when length(ltrim(replace(replace(revenue, '-', ''), '.', ''), '0')) <= 15 then cast(revenue as real) else revenue end,
    operating_income = case when length(ltrim(replace(replace(operating_income, '-', ''), '.', ''), '0')) <= 15 then cast(operating_income as real) else operating_income end,
    net_income = case when length(ltrim(replace(replace(net_income, '-', ''), '.', ''), '0')) <= 15 then cast(net_income as real) else net_income end,
    eps_diluted = case when length(ltrim(replace(replace(eps_diluted, '-', ''), '.', ''), '0')) <= 15 then cast(eps_diluted as real) else eps_diluted end,
    total_assets = case when length(ltrim(replace(replace(total_assets, '-', ''), '.', ''), '0')) <= 15 then cast(total_assets as real) else total_assets end,
    total_liabilities = case when length(ltrim(replace(replace(total_liabilities, '-', ''), '.', ''), '0')) <= 15 then cast(total_liabilities as real) else total_liabilities end,
    total_equity = case when length(ltrim(replace(replace(total_equity, '-', ''), '.', ''), '0')) <= 15 then cast(total_equity as real) else total_equity end,
    operating_cash_flow = case when length(ltrim(replace(replace(operating_cash_flow, '-', ''), '.', ''), '0')) <= 15 then cast(operating_cash_flow as real) else operating_cash_flow end,
    free_cash_flow = case when length(ltrim(replace(replace(free_cash_flow, '-', ''), '.', ''), '0')) <= 15 then cast(free_cash_flow as real) else free_cash_flow end;

update insider_transaction set
    shares = case when length(ltrim(replace(replace(shares, '-', ''), '.', ''), '0')) <= 15 then cast(shares as real) else shares end,
    price = case when length(ltrim(replace(replace(price, '-', ''), '.', ''), '0')) <= 15 then cast(price as real) else price end,
    shares_after = case when length(ltrim(replace(replace(shares_after, '-', ''), '.', ''), '0')) <= 15 then cast(shares_after as real) else shares_after end;

update option_quote set
    strike = case when length(ltrim(replace(replace(strike, '-', ''), '.', ''), '0')) <= 15 then cast(strike as real) else strike end;

update xbrl_fact set
    value = case when length(ltrim(replace(replace(value, '-', ''), '.', ''), '0')) <= 15 then cast(value as real) else value end;
