//! Roles of PostgreSQL: what each may do, and what not.

use contract::Record;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tests::broker::{Bench, block_on, embedded, postgres, timescale};
use tests::message::{BAR_SCHEMA_ID, bar, encode, send, send_records};
use tests::process::{fail, succeed};
use tests::unique;

/// The roles that `migrate roles` creates.
const ROLES: [&str; 4] = ["owner", "sink", "api", "reader"];
/// Statements, and the roles that may run them.
const RIGHTS: &[(&str, &[&str])] = &[
    ("select * from ohlcv_bar", &["owner", "sink", "api", "reader"]),
    ("select * from news", &["owner", "api", "reader"]),
    ("select * from latest_price", &["owner", "api", "reader"]),
    ("select * from market_caps(array['A'], array[current_date])", &["owner", "api", "reader"]),
    ("select * from dead_letter", &["owner", "sink", "reader"]),
    ("select * from sink_chunk", &["owner", "sink", "reader"]),
    ("select * from _sqlx_migrations", &["owner", "sink", "reader"]),
    ("update ohlcv_bar set close = close where symbol = 'none'", &["owner", "sink"]),
    ("delete from ohlcv_bar where symbol = 'none'", &["owner"]),
    ("truncate ohlcv_bar", &["owner"]),
    ("update sink_position set next_offset = next_offset where sink = 'none'", &["owner", "sink"]),
    ("delete from sink_chunk where sink = 'none'", &["owner", "sink"]),
    ("insert into writer_schema values (1, 'none', '{}', now())", &["owner", "sink"]),
    ("update _sqlx_migrations set version = version where version = 0", &["owner"]),
    ("alter table ohlcv_bar add column mine text", &["owner"]),
    ("drop view news", &["owner"]),
    ("refresh materialized view latest_price", &["owner"]),
    ("create table of_my_own (x integer)", &["owner"]),
];

/// A user that logs in and has one role.
struct User {
    name: String,
    address: String,
}

impl User {
    fn create(bench: &Bench, role: &str) -> User {
        let name = unique(role);
        bench.execute(&format!("create role {name} login"));
        bench.execute(&format!("grant tapedeck_{role} to {name}"));
        let address = bench.database.address().expose().replacen("//tapedeck@", &format!("//{name}@"), 1);
        assert!(address.contains(&name), "another user in {address}");
        User { name, address }
    }

    /// Whether the database lets the user run a statement, which is rolled back.
    fn may(&self, statement: &str) -> bool {
        block_on(async {
            let mut connection = PgConnection::connect(&self.address).await.unwrap();
            connection.execute("begin").await.unwrap();
            match connection.execute(AssertSqlSafe(statement.to_owned())).await {
                Ok(_) => true,
                Err(error) => {
                    let code = error.as_database_error().and_then(|error| error.code()).map(|code| code.to_string());
                    assert_eq!(code.as_deref(), Some("42501"), "{statement}: {error}");
                    false
                }
            }
        })
    }

    /// What the executables use.
    fn environment(&self, bench: &Bench) -> tests::process::Environment {
        bench.with(&[("TAPEDECK_DATABASE_URL", &self.address)])
    }
}

/// PostgreSQL and TimescaleDB, migrated, with the roles.
fn databases() -> Vec<(&'static str, Bench)> {
    let all = [("PostgreSQL", postgres()), ("TimescaleDB", timescale())];
    let all: Vec<(&str, Bench)> = all.into_iter().filter_map(|(name, bench)| Some((name, bench?))).collect();
    for (name, bench) in &all {
        succeed("consumer", &["migrate"], &bench.environment);
        for time in ["first", "second"] {
            let said = succeed("consumer", &["migrate", "roles"], &bench.environment);
            assert!(said.contains("grant tapedeck_sink to LOGIN"), "{time} time on {name}: {said}");
        }
    }
    all
}

#[test]
fn each_role_may_do_what_it_needs_and_nothing_else() {
    for (name, bench) in databases() {
        for role in ROLES {
            let user = User::create(&bench, role);
            for (statement, roles) in RIGHTS {
                assert_eq!(user.may(statement), roles.contains(&role), "{role} on {name}: {statement}");
            }
            bench.execute(&format!("drop role {}", user.name));
        }
    }
}

#[test]
fn a_consumer_runs_with_the_role_of_a_sink_and_verify_with_that_of_a_reader() {
    for (name, bench) in databases() {
        let (sink, reader) = (User::create(&bench, "sink"), User::create(&bench, "reader"));
        let version = |close: f64, known_at: i64| {
            let bars = (0..2_000).map(|at| bar(&format!("S{}", at % 50), at / 50, close, known_at, known_at).into());
            bars.collect::<Vec<Record>>()
        };
        // New keys, corrections, a deletion, and a record that becomes a dead letter.
        send_records(&bench, "ohlcv_bar", &version(10.0, 10));
        succeed("consumer", &["run", "--once"], &sink.environment(&bench));
        send_records(&bench, "ohlcv_bar", &version(20.0, 20));
        let bad = Record::from(bar("S1", 0, f64::NAN, 30, 30));
        send(&bench, "ohlcv_bar", &[(Some(0), Some(b"test|S1|1d".to_vec()), Some(encode(BAR_SCHEMA_ID, &bad)))]);
        succeed("producer", &["delete", "ohlcv_bar", "--where", "symbol=S2", "--yes"], &bench.environment);
        succeed("consumer", &["run", "--once"], &sink.environment(&bench));
        assert_eq!(bench.number("select count(*) as n from ohlcv where close = 20"), 2_000 - 40, "on {name}");
        assert_eq!(bench.number("select count(*) as n from dead_letter"), 1, "on {name}");
        succeed("consumer", &["verify", "--deep"], &reader.environment(&bench));
        let error = fail("consumer", &["migrate", "down", "--to", "0", "--yes"], &sink.environment(&bench));
        assert!(error.contains("must be owner") || error.contains("permission denied"), "on {name}: {error}");
        let error = fail("consumer", &["run", "--once"], &reader.environment(&bench));
        assert!(error.contains("permission denied"), "on {name}: {error}");
        for user in [sink, reader] {
            bench.execute(&format!("drop role {}", user.name));
        }
    }
}

#[test]
fn tables_of_later_migrations_belong_to_the_owner_too() {
    for (name, bench) in databases() {
        let migrations = block_on(bench.database.migration_status()).unwrap();
        // Another user made those functions that the migrations after it make anew.
        let before = migrations.iter().find(|one| one.description == "point in time").unwrap().version - 1;
        block_on(bench.database.migrate_down(before, &|_| {})).unwrap();
        let owner = User::create(&bench, "owner");
        succeed("consumer", &["migrate"], &owner.environment(&bench));
        let others = "select count(*) as n from pg_class where relkind in ('r', 'v', 'm') \
            and relnamespace = 'public'::regnamespace and pg_get_userbyid(relowner) <> 'tapedeck_owner'";
        assert_eq!(bench.number(others), 0, "on {name}");
        let api = User::create(&bench, "api");
        assert!(api.may("select * from latest_price") && api.may("select * from news"), "on {name}");
        for user in [owner, api] {
            bench.execute(&format!("drop role {}", user.name));
        }
    }
}

#[test]
fn sqlite_has_no_roles_and_says_so() {
    let bench = embedded();
    let error = fail("consumer", &["migrate", "roles"], &bench.environment);
    assert!(error.contains("SQLite has no roles"), "{error}");
}
