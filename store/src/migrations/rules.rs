//! What a new migration of PostgreSQL may do to tables with rows.

use super::statements::{is_gentle, split, words};
use super::{Migration, POSTGRES, is_contracting, of_files};

/// The last migration from before the rules. A file that was released never changes.
const FREE: i64 = 5;

/// What a migration does that stops a busy database or an older executable.
fn broken(migration: &Migration) -> Vec<String> {
    let script = &migration.up;
    let mut made: Vec<String> = Vec::new();
    let mut found = Vec::new();
    let statements = split(&script.sql);
    for (at, &statement) in statements.iter().enumerate() {
        let all = words(statement);
        let text = all.join(" ");
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let table = match all.as_slice() {
            ["create", "table", "if", "not", "exists", table, ..] | ["create" | "alter", "table", table, ..] => *table,
            ["drop", "table", table, ..] => *table,
            ["create", "materialized", "view", view, ..] => *view,
            words => words.iter().skip_while(|word| **word != "on").nth(1).copied().unwrap_or_default(),
        };
        if text.starts_with("create table") || text.starts_with("create materialized view") {
            made.push(table.to_owned());
        }
        if made.iter().any(|name| name == table) {
            continue;
        }
        let is_index = text.starts_with("create index") || text.starts_with("create unique index");
        let mut rule = |is_broken: bool, what: &str| {
            if is_broken {
                found.push(format!("{what}: {}", statement.lines().next().unwrap_or_default()));
            }
        };
        rule(is_index && !is_gentle(statement), "not concurrently");
        let is_hypertable = contract::dataset(table).is_some_and(|dataset| dataset.time.is_some());
        // On a hypertable the runner leaves it to the next statement.
        let is_made = statements.get(at + 1).is_some_and(|next| {
            next.starts_with("do ") && next.contains("primary key using index") && next.contains("primary key (")
        });
        rule(
            is_hypertable && text.starts_with("create unique index") && !is_made,
            "a unique index of a hypertable that the next statement does not make its key",
        );
        let adds_check =
            text.starts_with("alter table") && [" check (", " references "].iter().any(|word| text.contains(word));
        rule(adds_check && !text.contains("not valid"), "a check that is not `not valid`");
        let removals = ["drop column", "rename", "alter column"];
        let removes = text.starts_with("alter table") && removals.iter().any(|word| text.contains(word));
        let removes = removes || text.starts_with("drop table");
        rule(removes && !is_contracting(&migration.description), "not named `contract`");
        let repeats = ["if not exists", "if exists", "validate"].iter().any(|word| text.contains(word));
        let repeats = repeats || ["update", "delete", "do", "comment"].contains(&all[0]);
        rule(!script.in_transaction && !repeats, "cannot run twice");
        rule(script.in_transaction && is_gentle(statement), "needs `-- no-transaction`");
    }
    found
}

#[test]
fn every_new_migration_leaves_a_busy_database_and_an_older_executable_working() {
    for migration in of_files(POSTGRES.iter().copied()).iter().filter(|migration| migration.version > FREE) {
        assert_eq!(broken(migration), [""; 0], "{}", migration.shown());
    }
}

#[test]
fn a_migration_that_stops_others_is_found() {
    let found = |name: &str, sql: &str| broken(&of_files([(name, sql)])[0]).join("; ");
    let good = "-- no-transaction\ncreate index concurrently if not exists a_b on a (b);\n\
        alter table a drop constraint if exists c, add constraint c check (b > 0) not valid;\n\
        alter table a validate constraint c;\ncreate table if not exists d (x bigint);\ncreate index d_x on d (x);\n\
        alter table a add column if not exists e text;\n\
        create unique index concurrently if not exists k on ohlcv_bar (b);\n\
        do $$ begin alter table ohlcv_bar add primary key using index k; /* or */ primary key (b); end $$;";
    assert_eq!(found("6_x.up.sql", good), "");
    assert_eq!(found("6_contract_x.up.sql", "alter table a drop column b;"), "");
    for (sql, expected) in [
        ("create index a_b on a (b)", "not concurrently"),
        ("create unique index a_b on a (b)", "not concurrently"),
        ("create index concurrently if not exists a_b on a (b)", "needs `-- no-transaction`"),
        (
            "-- no-transaction\ncreate unique index concurrently if not exists a_b on ohlcv_bar (b)",
            "a unique index of a h",
        ),
        ("alter table a add check (b > 0)", "a check that is not `not valid`"),
        ("alter table a add column b bigint check (b > 0)", "a check that is not `not valid`"),
        ("drop table a", "not named `contract`"),
        ("alter table a rename to b", "not named `contract`"),
        ("-- no-transaction\nalter table a add column b bigint", "cannot run twice"),
    ] {
        assert!(found("6_x.up.sql", sql).starts_with(expected), "{sql}: {}", found("6_x.up.sql", sql));
    }
}
