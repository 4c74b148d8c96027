-- no-transaction
-- Plain tables of revisions again, with their rows. Policies and compression end. One table after the other, so that each
-- is locked only while its own rows are copied.
do $$
declare
    name text;
    names text[] := array[
        'analyst_rating', 'company', 'corporate_action', 'dead_letter', 'etf_flow', 'exchange', 'fetch_log',
        'filing', 'financial_ratio', 'financial_statement', 'industry', 'insider_transaction', 'instrument', 'model_performance',
        'news_article', 'observation', 'observation_vintage', 'ohlcv_bar', 'option_quote', 'prediction', 'sector',
        'series', 'series_vintage', 'technical_indicator', 'xbrl_fact'
    ];
    rights record;
begin
    if not exists (select from pg_extension where extname = 'timescaledb') then
        return;
    end if;
    foreach name in array names loop
        name := name || '_revision';
        continue when not exists (select from timescaledb_information.hypertables
            where hypertable_schema = current_schema() and hypertable_name = name);
        execute format('lock table %I in access exclusive mode', name);
        execute format('create table plain_revision (like %I including all)', name);
        execute format('insert into plain_revision select * from %I', name);
        execute format('comment on table plain_revision is %L', obj_description(name::regclass, 'pg_class'));
        execute format('alter table plain_revision owner to %I',
            (select pg_get_userbyid(relowner) from pg_class where oid = name::regclass));
        for rights in select privilege_type, grantee from pg_class, aclexplode(relacl)
            where oid = name::regclass and grantee <> relowner loop
            execute format('grant %s on plain_revision to %s', rights.privilege_type,
                case rights.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(rights.grantee)) end);
        end loop;
        execute format('drop table %I', name);
        execute format('alter table plain_revision rename to %I', name);
        execute format('alter index plain_revision_pkey rename to %I', name || '_pkey');
        commit;
    end loop;
end
$$;
