//! The migrations as a script for `psql`.

use std::fmt::Write as _;

use contract::datasets;

use super::{CREATE_TABLE, LOCK_TIMEOUT, checksum, chunks, comments};
use crate::hypertables::declared;
use crate::migrations::{Index, Migration, Script, TABLE, index_of, per_chunk, split};
use crate::sql;

/// Stops at the first error: the script can be run again, and continues after what was done.
const HEAD: &str = "-- For psql. It skips what is done: after an error, such as a lock that is held, run it again.\n\
    \\set ON_ERROR_STOP on\n\
    set client_min_messages = warning;\n\
    set statement_timeout = 0;\n";

/// The script that applies the migrations above `from` up to `to`, or reverts those above `to`.
pub(in super::super) fn script(migrations: &[Migration], from: i64, to: i64) -> String {
    let mut text = format!("{HEAD}set lock_timeout = {};\n{CREATE_TABLE};\n", LOCK_TIMEOUT.as_millis());
    for migration in migrations.iter().filter(|one| one.version > from && one.version <= to) {
        part(&mut text, migration, "not exists", &migration.up, &[], &migration.record(checksum));
    }
    for migration in migrations.iter().rev().filter(|one| one.version > to && one.version <= from) {
        if let Some(down) = &migration.down {
            text += &migration.warning();
            part(&mut text, migration, "exists", down, &migration.forget(), &migration.unrecord());
        }
    }
    let is_complete = migrations.last().is_some_and(|last| last.version == to) && to > from;
    for one in declared().filter(|_| is_complete) {
        text += &format!("{};\n", one.arrange());
    }
    for dataset in datasets().iter().filter(|_| is_complete) {
        for (column, comment) in sql::comments(dataset) {
            text += &format!("{};\n", comments::statement(dataset, column, &comment));
        }
    }
    text
}

/// One direction of a migration, unless it is done.
fn part(text: &mut String, migration: &Migration, when: &str, script: &Script, before: &[String], record: &str) {
    // Not `shown`: psql runs what stands in backticks.
    let name = format!("migration {}: {}", migration.version, migration.description);
    let condition = format!("{when} (select from {TABLE} where version = {})", migration.version);
    write!(text, "\n\\echo {name}\nselect {condition} as due \\gset\n\\if :due\n").expect("a string takes everything");
    let before: String = before.iter().map(|statement| format!("{statement};\n")).collect();
    if script.in_transaction {
        *text += &format!("begin;\n{before}{}\n{record};\ncommit;\n\\endif\n", ended(&script.sql));
        return;
    }
    *text += &before;
    for statement in split(&script.sql) {
        if let Some(index) = index_of(statement) {
            *text += &built(&index, statement);
        } else {
            *text += &format!("{statement};\n");
        }
    }
    *text += &format!("{record};\n\\endif\n");
}

/// The index that the statement creates concurrently.
fn built(index: &Index, statement: &str) -> String {
    let Index { name, table, is_unique } = index;
    let (installed, invalid) = (chunks::IS_INSTALLED, chunks::is_invalid(name));
    // A unique one is left to the next statement, as in a migration.
    let chunked = if *is_unique { String::new() } else { format!("{};\n", per_chunk(statement)) };
    let hypertable = chunks::is_hypertable(table);
    format!(
        "select {invalid} as interrupted \\gset\n\\if :interrupted\ndrop index concurrently {name};\n\\endif\n\
         \\set hypertable false\nselect {installed} as installed \\gset\n\
         \\if :installed\nselect {hypertable} as hypertable \\gset\n\\endif\n\
         \\if :hypertable\n{chunked}\\else\n{statement};\n\\endif\n"
    )
}

/// The last statement of a file may lack its semicolon, and a comment may follow it.
fn ended(sql: &str) -> String {
    let is_ended = sql.trim_end().ends_with(';');
    format!("{}{}", sql.trim_end(), if is_ended { "" } else { "\n;" })
}
