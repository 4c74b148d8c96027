-- Decimals as texts again.

update analyst_rating set
    target_price = case when typeof(target_price) = 'real' then rtrim(rtrim(printf('%.12f', target_price), '0'), '.') else target_price end;

update company set
    shares_outstanding = case when typeof(shares_outstanding) = 'real' then rtrim(rtrim(printf('%.12f', shares_outstanding), '0'), '.') else shares_outstanding end,
    market_cap = case when typeof(market_cap) = 'real' then rtrim(rtrim(printf('%.12f', market_cap), '0'), '.') else market_cap end;

update corporate_action set
    amount = case when typeof(amount) = 'real' then rtrim(rtrim(printf('%.12f', amount), '0'), '.') else amount end,
    unadjusted_amount = case when typeof(unadjusted_amount) = 'real' then rtrim(rtrim(printf('%.12f', unadjusted_amount), '0'), '.') else unadjusted_amount end,
    split_to = case when typeof(split_to) = 'real' then rtrim(rtrim(printf('%.12f', split_to), '0'), '.') else split_to end,
    split_from = case when typeof(split_from) = 'real' then rtrim(rtrim(printf('%.12f', split_from), '0'), '.') else split_from end;

update financial_ratio set
    market_cap = case when typeof(market_cap) = 'real' then rtrim(rtrim(printf('%.12f', market_cap), '0'), '.') else market_cap end;

update financial_statement set
    revenue = case when typeof(revenue) = 'real' then rtrim(rtrim(printf('%.12f', revenue), '0'), '.') else revenue end,
    operating_income = case when typeof(operating_income) = 'real' then rtrim(rtrim(printf('%.12f', operating_income), '0'), '.') else operating_income end,
    net_income = case when typeof(net_income) = 'real' then rtrim(rtrim(printf('%.12f', net_income), '0'), '.') else net_income end,
    eps_diluted = case when typeof(eps_diluted) = 'real' then rtrim(rtrim(printf('%.12f', eps_diluted), '0'), '.') else eps_diluted end,
    total_assets = case when typeof(total_assets) = 'real' then rtrim(rtrim(printf('%.12f', total_assets), '0'), '.') else total_assets end,
    total_liabilities = case when typeof(total_liabilities) = 'real' then rtrim(rtrim(printf('%.12f', total_liabilities), '0'), '.') else total_liabilities end,
    total_equity = case when typeof(total_equity) = 'real' then rtrim(rtrim(printf('%.12f', total_equity), '0'), '.') else total_equity end,
    operating_cash_flow = case when typeof(operating_cash_flow) = 'real' then rtrim(rtrim(printf('%.12f', operating_cash_flow), '0'), '.') else operating_cash_flow end,
    free_cash_flow = case when typeof(free_cash_flow) = 'real' then rtrim(rtrim(printf('%.12f', free_cash_flow), '0'), '.') else free_cash_flow end;

update insider_transaction set
    shares = case when typeof(shares) = 'real' then rtrim(rtrim(printf('%.12f', shares), '0'), '.') else shares end,
    price = case when typeof(price) = 'real' then rtrim(rtrim(printf('%.12f', price), '0'), '.') else price end,
    shares_after = case when typeof(shares_after) = 'real' then rtrim(rtrim(printf('%.12f', shares_after), '0'), '.') else shares_after end;

update option_quote set
    strike = case when typeof(strike) = 'real' then rtrim(rtrim(printf('%.12f', strike), '0'), '.') else strike end;

update xbrl_fact set
    value = case when typeof(value) = 'real' then rtrim(rtrim(printf('%.12f', value), '0'), '.') else value end;

pragma writable_schema = on;

update sqlite_schema set sql = replace(sql, char(10) || '    target_price any', char(10) || '    target_price text') where type = 'table' and name = 'analyst_rating';
update sqlite_schema set sql = replace(sql, char(10) || '    shares_outstanding any', char(10) || '    shares_outstanding text') where type = 'table' and name = 'company';
update sqlite_schema set sql = replace(sql, char(10) || '    market_cap any', char(10) || '    market_cap text') where type = 'table' and name = 'company';
update sqlite_schema set sql = replace(sql, char(10) || '    amount any', char(10) || '    amount text') where type = 'table' and name = 'corporate_action';
update sqlite_schema set sql = replace(sql, char(10) || '    unadjusted_amount any', char(10) || '    unadjusted_amount text') where type = 'table' and name = 'corporate_action';
update sqlite_schema set sql = replace(sql, char(10) || '    split_to any', char(10) || '    split_to text') where type = 'table' and name = 'corporate_action';
update sqlite_schema set sql = replace(sql, char(10) || '    split_from any', char(10) || '    split_from text') where type = 'table' and name = 'corporate_action';
update sqlite_schema set sql = replace(sql, char(10) || '    market_cap any', char(10) || '    market_cap text') where type = 'table' and name = 'financial_ratio';
update sqlite_schema set sql = replace(sql, char(10) || '    revenue any', char(10) || '    revenue text') where type = 'table' and name = 'financial_statement';
update sqlite_schema set sql = replace(sql, char(10) || '    operating_income any', char(10) || '    operating_income text') where type = 'table' and name = 'financial_statement';
update sqlite_schema set sql = replace(sql, char(10) || '    net_income any', char(10) || '    net_income text') where type = 'table' and name = 'financial_statement';
update sqlite_schema set sql = replace(sql, char(10) || '    eps_diluted any', char(10) || '    eps_diluted text') where type = 'table' and name = 'financial_statement';
update sqlite_schema set sql = replace(sql, char(10) || '    total_assets any', char(10) || '    total_assets text') where type = 'table' and name = 'financial_statement';
update sqlite_schema set sql = replace(sql, char(10) || '    total_liabilities any', char(10) || '    total_liabilities text') where type = 'table' and name = 'financial_statement';
update sqlite_schema set sql = replace(sql, char(10) || '    total_equity any', char(10) || '    total_equity text') where type = 'table' and name = 'financial_statement';
update sqlite_schema set sql = replace(sql, char(10) || '    operating_cash_flow any', char(10) || '    operating_cash_flow text') where type = 'table' and name = 'financial_statement';
update sqlite_schema set sql = replace(sql, char(10) || '    free_cash_flow any', char(10) || '    free_cash_flow text') where type = 'table' and name = 'financial_statement';
update sqlite_schema set sql = replace(sql, char(10) || '    shares any', char(10) || '    shares text') where type = 'table' and name = 'insider_transaction';
update sqlite_schema set sql = replace(sql, char(10) || '    price any', char(10) || '    price text') where type = 'table' and name = 'insider_transaction';
update sqlite_schema set sql = replace(sql, char(10) || '    shares_after any', char(10) || '    shares_after text') where type = 'table' and name = 'insider_transaction';
update sqlite_schema set sql = replace(sql, char(10) || '    strike any', char(10) || '    strike text') where type = 'table' and name = 'option_quote';
update sqlite_schema set sql = replace(sql, char(10) || '    value any', char(10) || '    value text') where type = 'table' and name = 'xbrl_fact';

pragma writable_schema = reset;

create table declarations_changed (x integer) strict;
drop table declarations_changed;
