//! Exchanges of a side table: what people attached to the table stays.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _};
use tests::broker::{Bench, benches, block_on, embedded, postgres, timescale};
use tests::message::{bar, send_records};
use tests::process::{Running, command, fail, succeed, until};
use tests::unique;

use super::{consume, load, replay, table};
use crate::migrate::hypertables::POLICY;

pub(super) const SIDE: [&str; 4] = ["--into", "bars_next", "--rule", "close >= 10"];
const KEY: &str = "source, symbol, bar_interval, ts_start";

pub(super) fn swap(bench: &Bench, more: &[&str]) -> String {
    succeed("consumer", &[&["replay", "ohlcv_bar", "--swap"], &SIDE[..], more].concat(), &bench.environment)
}

pub(super) fn refused(bench: &Bench) -> String {
    let said = fail("consumer", &[&["replay", "ohlcv_bar", "--swap"], &SIDE[..]].concat(), &bench.environment);
    said.lines().last().unwrap().to_owned()
}

/// Rows whose exchange adds one, changes two, and removes the ten that the rule refuses.
pub(super) fn differ(bench: &Bench) {
    load(bench);
    consume(bench);
    replay(bench, &SIDE);
    bench.execute("delete from ohlcv_bar where close = 30");
    bench.execute("update ohlcv_bar set volume = 5 where close = 39");
    let is_sqlite = bench.database.address().expose().starts_with("sqlite");
    let flags = if is_sqlite { "[\"odd\"]" } else { "{odd}" };
    bench.execute(&format!("update ohlcv_bar set flags = '{flags}' where close = 38"));
}

/// Runs statements that a line break after a semicolon ends.
fn run_all(bench: &Bench, statements: &str) {
    block_on(async {
        let mut store = bench.database.store("test");
        if bench.database.address().expose().starts_with("postgres") {
            // TimescaleDB does not find the rows of a hypertable with the generic plan of a foreign key's check.
            store.rows("set plan_cache_mode = auto".to_owned(), &[]).await.unwrap();
        }
        for statement in statements.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()) {
            store.rows(statement.to_owned(), &[]).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    });
}

/// What people build on a table in either database.
const BUILT: &str = "create view bar_view as select symbol, close from ohlcv_bar where close is not null;
    create view bar_count as select count(*) as n from bar_view;
    create unique index bar_unique on ohlcv_bar (source, symbol, bar_interval, ts_start, close);
    create index bar_partial on ohlcv_bar (close) where close > 10;
    create index bar_expression on ohlcv_bar (lower(symbol));
    alter table ohlcv_bar add column remark text;
    update ohlcv_bar set remark = 'mine ' || close;
    create table bar_log (operation text not null, close double precision);
";

const BUILT_ON_POSTGRES: &str = "create materialized view bar_stored as select count(*) as n from bar_view;
    create table bar_source (source text collate \"C\" primary key);
    insert into bar_source values ('test');
    alter table ohlcv_bar add constraint bar_from foreign key (source) references bar_source;
    create table note (source text collate \"C\", symbol text collate \"C\", bar_interval text collate \"C\",
        ts_start timestamptz, foreign key (source, symbol, bar_interval, ts_start)
        references ohlcv_bar (source, symbol, bar_interval, ts_start));
    insert into note select source, symbol, bar_interval, ts_start from ohlcv_bar where close = 39;
    create function bar_logs() returns trigger language plpgsql as $$ begin
        insert into bar_log values (lower(tg_op), case tg_op when 'DELETE' then old.close else new.close end); \
        return null; end $$;
    create trigger bar_logged after insert or update or delete on ohlcv_bar for each row execute function bar_logs();
    create role ROLE;
    grant select (symbol, close) on ohlcv_bar to ROLE;
    grant select on bar_view to ROLE;
    alter table ohlcv_bar enable row level security;
    create policy bar_policy on ohlcv_bar for select to ROLE using (symbol = 'MSFT');
    create publication bar_publication for table ohlcv_bar;
    create statistics bar_statistics (dependencies) on symbol, close from ohlcv_bar;
    alter table ohlcv_bar set (autovacuum_vacuum_scale_factor = 0.3);
    comment on column ohlcv_bar.remark is 'ours';
    comment on index bar_partial is 'fast';
";

const BUILT_ON_SQLITE: &str = "create table note (source text, symbol text, bar_interval text, ts_start text,
        foreign key (source, symbol, bar_interval, ts_start)
        references ohlcv_bar (source, symbol, bar_interval, ts_start));
    insert into note select source, symbol, bar_interval, ts_start from ohlcv_bar where close = 39;
    create trigger logs_insert after insert on ohlcv_bar begin insert into bar_log values ('insert', new.close); end;
    create trigger logs_update after update on ohlcv_bar begin insert into bar_log values ('update', new.close); end;
    create trigger logs_delete after delete on ohlcv_bar begin insert into bar_log values ('delete', old.close); end;
";

/// All that the catalogue of PostgreSQL says about a table and what is attached to it.
const CATALOGUE: &str = "select 'table', relname, relowner::regrole::text, relacl::text, reloptions::text, \
        concat(relrowsecurity, relforcerowsecurity, relreplident, relpersistence), obj_description(oid, 'pg_class') \
        from pg_class where relname in ('ohlcv_bar', 'bar_view', 'bar_count', 'bar_stored', 'note') \
    union all select 'oid', oid::text, '', '', '', '', '' from pg_class where relname = 'ohlcv_bar' \
    union all select 'column', attname, attacl::text, format_type(atttypid, atttypmod), attnotnull::text, \
        col_description(attrelid, attnum), attstorage::text from pg_attribute where attrelid = 'ohlcv_bar'::regclass \
    union all select 'view', viewname, definition, '', '', '', '' from pg_views where schemaname = 'public' \
    union all select 'stored', matviewname, definition, '', '', '', '' from pg_matviews where schemaname = 'public' \
    union all select 'index', indexname, indexdef, obj_description(indexname::text::regclass, 'pg_class'), '', '', '' from pg_indexes \
        where tablename = 'ohlcv_bar' and schemaname = 'public' \
    union all select 'constraint', conname, pg_get_constraintdef(oid), convalidated::text, '', '', '' from pg_constraint \
        where conrelid = 'ohlcv_bar'::regclass or confrelid = 'ohlcv_bar'::regclass \
    union all select 'trigger', tgname, pg_get_triggerdef(oid), tgenabled::text, '', '', '' from pg_trigger \
        where tgrelid = 'ohlcv_bar'::regclass and not tgisinternal \
    union all select 'policy', policyname, roles::text, cmd, qual, with_check, permissive from pg_policies \
    union all select 'publication', pubname, tablename, '', '', '', '' from pg_publication_tables \
    union all select 'statistics', stxname, pg_get_statisticsobjdef(oid), '', '', '', '' from pg_statistic_ext \
    order by 1, 2, 3, 4";
/// The hypertables' numbers, to which their policies refer, their chunks and policies.
const HYPERTABLES: &str = "select hypertable.id, table_name, compression_state, column_name, interval_length, \
    (select string_agg(concat(proc_name, job.config), ' ') from _timescaledb_config.bgw_job as job \
    where hypertable_id = hypertable.id) from _timescaledb_catalog.hypertable \
    join _timescaledb_catalog.dimension on dimension.hypertable_id = hypertable.id \
    where table_name in ('ohlcv_bar', 'ohlcv_bar_revision') order by table_name";
const CATALOGUE_OF_SQLITE: &str =
    "select type, name, tbl_name, sql, rootpage from sqlite_schema where name not like '%bars_next%' order by 1, 2";

fn catalogue(bench: &Bench, name: &str) -> Vec<Vec<Option<String>>> {
    let mut found = bench.query(if name.ends_with("SQLite") { CATALOGUE_OF_SQLITE } else { CATALOGUE });
    if name.ends_with("TimescaleDB") {
        found.extend(bench.query(HYPERTABLES));
    }
    found
}

#[test]
fn a_side_table_and_its_revisions_have_the_chunks_of_the_live_tables() {
    let Some(bench) = timescale() else { return };
    differ(&bench);
    let chunks = |table: &str| {
        bench.query(&format!(
            "select column_name, time_interval::text from timescaledb_information.dimensions \
             where hypertable_name = '{table}'"
        ))
    };
    for suffix in ["", "_revision"] {
        let live = chunks(&format!("ohlcv_bar{suffix}"));
        assert_eq!((live.len(), chunks(&format!("bars_next{suffix}"))), (1, live.clone()), "`{suffix}`");
    }
}

#[test]
fn an_exchange_keeps_all_that_people_attached_to_the_table() {
    for (name, bench) in benches() {
        let (is_sqlite, role) = (name.ends_with("SQLite"), unique("reader"));
        differ(&bench);
        run_all(&bench, BUILT);
        let built = if is_sqlite { BUILT_ON_SQLITE } else { BUILT_ON_POSTGRES };
        run_all(&bench, &built.replace("ROLE", &role));
        if name.ends_with("TimescaleDB") {
            run_all(&bench, POLICY);
            assert_eq!(bench.query(HYPERTABLES).len(), 2);
        }
        let before = [catalogue(&bench, name), table(&bench, "ohlcv_bar"), table(&bench, "bars_next")];

        let said = swap(&bench, &["--dry-run"]);
        assert!(said.contains("would add 1, change 2 and remove 10 rows of `ohlcv_bar`"), "on {name}: {said}");
        assert_eq!(catalogue(&bench, name), before[0], "a dry run changes nothing on {name}");
        let tables = [table(&bench, "ohlcv_bar"), table(&bench, "bars_next")];
        assert_eq!(tables, before[1..], "a dry run changes no row on {name}");

        let said = swap(&bench, &[]);
        assert!(said.contains("added 1, changed 2, vanished 10"), "on {name}: {said}");
        assert_eq!(catalogue(&bench, name), before[0], "on {name}");
        // The rows have changed places. The side table took the live rows whole.
        assert_eq!(table(&bench, "ohlcv_bar"), before[2], "on {name}");
        assert_eq!(table(&bench, "bars_next"), before[1], "on {name}");
        assert_eq!(
            bench.number("select count(*) as n from ohlcv_bar where remark = 'mine ' || close"),
            29,
            "on {name}"
        );

        let flagged = "select count(*) as n from ohlcv_bar where cast(flags as text) like '%odd%'";
        assert_eq!(bench.number(flagged), 0, "on {name}");

        // All of it works.
        assert_eq!(bench.number("select n from bar_count"), 30, "the view shows the new rows on {name}");
        assert_eq!(bench.number("select count(*) as n from bar_view where close < 10"), 0, "on {name}");
        let log =
            "select operation, cast(count(*) as text), cast(min(close) as text) from bar_log group by 1 order by 1";
        let logged = [["delete", "10", "0"], ["insert", "1", "30"], ["update", "2", "38"]];
        let fired = bench.query(log);
        let fired: Vec<Vec<&str>> = fired
            .iter()
            .map(|row| row.iter().map(|text| text.as_deref().unwrap().trim_end_matches(".0")).collect())
            .collect();
        assert_eq!(fired, logged, "the triggers fire for what differs on {name}");
        let orphan = "insert into note values ('test', 'NONE', '1d', '2024-01-01T00:00:00.000000Z')";
        assert!(bench.try_execute(orphan).is_err(), "the foreign key to the table works on {name}");
        assert_eq!(bench.number("select count(*) as n from note natural join ohlcv_bar"), 1, "on {name}");
        if !is_sqlite {
            uses_of_postgres(&bench, &role);
        }
        send_records(&bench, "ohlcv_bar", &[bar("NEW", 0, 60.0, 9, 9).into()]);
        consume(&bench);
        assert_eq!(bench.number("select count(*) as n from bar_log where close = 60"), 1, "on {name}");
        if !is_sqlite {
            bench.execute(&format!("drop owned by {role}"));
            bench.execute(&format!("drop role {role}"));
        }
    }
}

/// Uses the grants, the policy and the foreign key from the table.
fn uses_of_postgres(bench: &Bench, role: &str) {
    block_on(async {
        let mut store = bench.database.store("test");
        store.rows(format!("set role {role}"), &[]).await.unwrap();
        let seen = store.rows("select distinct symbol from ohlcv_bar".to_owned(), &[]).await.unwrap();
        assert_eq!(seen, [[Some("MSFT".to_owned())]], "the policy filters");
        assert!(store.rows("select volume from ohlcv_bar".to_owned(), &[]).await.is_err(), "other columns stay hidden");
    });
    assert!(bench.try_execute("delete from bar_source").is_err(), "the foreign key from the table works");
    bench.execute("refresh materialized view bar_stored");
    assert_eq!(bench.number("select n from bar_stored"), 30);
}

#[test]
fn an_exchange_that_cannot_keep_something_is_refused_with_the_list_of_it() {
    for (name, bench) in benches() {
        let is_sqlite = name.ends_with("SQLite");
        differ(&bench);
        let columns = if is_sqlite { "text" } else { "text collate \"C\"" };
        let time = if is_sqlite { "text" } else { "timestamptz" };
        bench.execute(&format!(
            "create table note (source {columns}, symbol {columns}, bar_interval {columns}, ts_start {time}, \
             constraint noted foreign key ({KEY}) references ohlcv_bar ({KEY}) on delete cascade)"
        ));
        run_all(&bench, &format!("insert into note select {KEY} from ohlcv_bar where close < 3"));
        let is_plain = name.ends_with("PostgreSQL");
        if is_plain {
            bench.execute("create rule bar_rule as on delete to ohlcv_bar do instead nothing");
            bench.execute("create table bar_child () inherits (ohlcv_bar)");
        }
        let before = [table(&bench, "ohlcv_bar"), table(&bench, "bars_next")];
        let unchanged = || {
            assert_eq!([table(&bench, "ohlcv_bar"), table(&bench, "bars_next")], before, "on {name}");
            assert_eq!(bench.number("select count(*) as n from note"), 3, "on {name}");
        };
        let said = refused(&bench);
        assert!(said.contains("`ohlcv_bar` is not exchanged, nothing is changed: "), "on {name}: {said}");
        assert!(said.contains("3 rows of ") && said.contains("refer to rows that vanish"), "on {name}: {said}");
        if is_plain {
            assert!(said.contains("rule `bar_rule` rewrites") && said.contains("`bar_child` inherits"), "{said}");
            bench.execute("drop rule bar_rule on ohlcv_bar");
            bench.execute("drop table bar_child");
        }
        unchanged();
        let dry = [&["replay", "ohlcv_bar", "--swap", "--dry-run"], &SIDE[..]].concat();
        let said = fail("consumer", &dry, &bench.environment);
        assert!(said.contains("refer to rows that vanish"), "on {name}: {said}");

        // A trigger that leaves rows out would end in a mixture.
        bench.execute("update note set symbol = null");
        let leave_out = if is_sqlite {
            "create trigger keeps before delete on ohlcv_bar when old.close < 5 begin select raise(ignore); end;\n"
        } else {
            "create function keep() returns trigger language plpgsql as $$ begin
                return case when old.close < 5 then null else old end; end $$;
            create trigger keeps before delete on ohlcv_bar for each row execute function keep();\n"
        };
        run_all(&bench, leave_out);
        let said = refused(&bench);
        assert!(said.contains("wrote 5 of 10 rows, because a trigger leaves rows out (keeps)"), "on {name}: {said}");
        unchanged();
        bench.execute(if is_sqlite { "drop trigger keeps" } else { "drop trigger keeps on ohlcv_bar" });
        swap(&bench, &[]);
        assert_eq!(table(&bench, "ohlcv_bar"), before[1], "on {name}");
        assert_eq!(bench.number("select count(*) as n from note"), 3, "on {name}");
    }
}

#[test]
fn an_exchange_under_row_security_is_refused_instead_of_seeing_a_part() {
    let Some(bench) = postgres() else { return };
    differ(&bench);
    let role = unique("owner");
    let statements = "create role ROLE login;
        grant all on all tables in schema public to ROLE;
        grant create on schema public to ROLE;
        alter table ohlcv_bar owner to ROLE;
        alter table bars_next owner to ROLE;
        alter table ohlcv_bar enable row level security;
        alter table ohlcv_bar force row level security;
        create policy half on ohlcv_bar using (symbol = 'MSFT');\n";
    run_all(&bench, &statements.replace("ROLE", &role));
    let before = table(&bench, "ohlcv_bar");
    let address = bench.database.address().expose().replace("tapedeck@", &format!("{role}@"));
    let environment = bench.with(&[("TAPEDECK_DATABASE_URL", &address)]);
    let said = fail("consumer", &[&["replay", "ohlcv_bar", "--swap"], &SIDE[..]].concat(), &environment);
    assert!(said.lines().last().unwrap().contains("row security binds this role (policies: half)"), "{said}");
    assert_eq!(table(&bench, "ohlcv_bar"), before);
    bench.execute("alter table ohlcv_bar no force row level security");
    succeed("consumer", &[&["replay", "ohlcv_bar", "--swap"], &SIDE[..]].concat(), &environment);
    assert_eq!(bench.number("select count(*) as n from ohlcv_bar where close < 10"), 0);
    bench.execute(&format!("reassign owned by {role} to current_user"));
    bench.execute(&format!("drop owned by {role}"));
    bench.execute(&format!("drop role {role}"));
}

#[test]
fn a_kill_in_the_middle_of_an_exchange_leaves_everything_as_it_was() {
    let benches = [Some(("SQLite", embedded())), postgres().map(|bench| ("PostgreSQL", bench))];
    for (name, bench) in benches.into_iter().flatten() {
        differ(&bench);
        let before = [table(&bench, "ohlcv_bar"), table(&bench, "bars_next")];
        let is_sqlite = name == "SQLite";
        // The exchange stops in the insert, after deletes and updates.
        run_all(
            &bench,
            if is_sqlite {
                "create trigger stops after insert on ohlcv_bar begin select count(*) from
                (with recursive n(i) as (select 1 union all select i + 1 from n limit 3000000000) select i from n); end;\n"
            } else {
                "create function stop() returns trigger language plpgsql as $$ begin
                perform pg_sleep(600); return null; end $$;
            create trigger stops after insert on ohlcv_bar for each row execute function stop();\n"
            },
        );
        let arguments = [&["replay", "ohlcv_bar", "--swap"], &SIDE[..]].concat();
        let mut running = Running::start(command("consumer", &arguments, &bench.environment));
        let asleep = "select count(*) as n from pg_stat_activity where wait_event = 'PgSleep' \
            and datname = current_database()";
        until("the exchange is in its insert", || match is_sqlite {
            true => is_locked_for_a_second(&bench),
            false => bench.number(asleep) == 1,
        });
        running.signal("KILL");
        assert!(!running.wait());
        if !is_sqlite {
            bench.execute("select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'");
        }
        assert_eq!([table(&bench, "ohlcv_bar"), table(&bench, "bars_next")], before, "on {name}");
        bench.execute(if is_sqlite { "drop trigger stops" } else { "drop trigger stops on ohlcv_bar" });
        swap(&bench, &[]);
        assert_eq!([table(&bench, "bars_next"), table(&bench, "ohlcv_bar")], before, "on {name}");
    }
}

/// Whether a process holds the write lock; before the insert the exchange takes some milliseconds.
fn is_locked_for_a_second(bench: &Bench) -> bool {
    block_on(async {
        let options = SqliteConnectOptions::from_str(bench.database.address().expose()).unwrap();
        let mut connection = options.busy_timeout(Duration::from_secs(1)).connect().await.unwrap();
        connection.execute("begin immediate").await.is_err()
    })
}
