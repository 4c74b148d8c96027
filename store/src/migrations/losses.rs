//! What a migration destroys when it is reverted.

use std::fmt;

use super::statements::{split, words};

/// What going down destroys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loss {
    /// A table with all its rows.
    Table(String),
    /// Some rows of a table.
    Rows(String),
    /// A column of a table.
    Column(String, String),
}

impl fmt::Display for Loss {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loss::Table(table) => write!(formatter, "drops table `{table}`"),
            Loss::Rows(table) => write!(formatter, "deletes rows of `{table}`"),
            Loss::Column(table, column) => write!(formatter, "drops column `{column}` of `{table}`"),
        }
    }
}

/// What a down script destroys, as its statements say. A table that is copied, dropped and named again loses rows.
pub(super) fn of(sql: &str) -> Vec<Loss> {
    let mut losses = Vec::new();
    for statement in split(sql) {
        let words = words(statement);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["drop", "table", "if", "exists", table, ..] | ["drop", "table", table, ..] => {
                losses.push(Loss::Table((*table).to_owned()));
            }
            ["delete", "from", table, ..] => losses.push(Loss::Rows((*table).to_owned())),
            ["alter", "table", _, "rename", "to", table] => {
                let dropped = losses.iter_mut().find(|loss| matches!(loss, Loss::Table(name) if name == table));
                if let Some(dropped) = dropped {
                    *dropped = Loss::Rows((*table).to_owned());
                }
            }
            ["alter", "table", table, actions @ ..] => {
                let dropped = actions.windows(3).filter_map(|words| match words {
                    ["drop", "column", column] => Some(*column),
                    _ => None,
                });
                losses.extend(dropped.map(|column| Loss::Column((*table).to_owned(), column.to_owned())));
            }
            _ => {}
        }
    }
    // Made and removed again by the script itself.
    losses.retain(|loss| !matches!(loss, Loss::Table(table) if sql.contains(&format!("create table {table} "))));
    losses
}

/// The tables that an up script creates.
pub(super) fn created(sql: &str) -> Vec<String> {
    let table = |statement| {
        let words = words(statement);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["create", "table", "if", "not", "exists", name, ..] | ["create", "table", name, ..] => {
                Some((*name).to_owned())
            }
            _ => None,
        }
    };
    split(sql).into_iter().filter_map(table).collect()
}

/// What the database knows of the topics of a dropped table. Without it the consumer reads them again from the start.
/// `tables` are those that the database has.
///
/// `!` escapes the underscore, which matches any character.
pub(super) fn forget(losses: &[Loss], tables: &[String]) -> Vec<String> {
    let dropped: Vec<&str> = losses
        .iter()
        .filter_map(|loss| match loss {
            Loss::Table(table) => Some(table.as_str()),
            _ => None,
        })
        .collect();
    // The positions go with their own table, and nothing is left to forget.
    let is_dataset = |table: &&str| contract::dataset(table).is_some();
    if dropped.contains(&"sink_position") || !dropped.iter().any(is_dataset) {
        return Vec::new();
    }
    let datasets: Vec<&str> = dropped.into_iter().filter(is_dataset).collect();
    let topic = |table: &&str| format!("kafka_topic like '%.{}.v%' escape '!'", table.replace('_', "!_"));
    let topics = datasets.iter().map(topic).collect::<Vec<_>>().join(" or ");
    let names = datasets.iter().map(|table| format!("'{table}'")).collect::<Vec<_>>().join(", ");
    let of_sinks = format!("sink in (select sink from sink_position where {topics})");
    let statements = [
        // A replay that has finished would not run again.
        ("replay_run", of_sinks.clone()),
        ("sink_halt", of_sinks.clone()),
        ("quarantine", of_sinks),
        ("parked_record", topics.clone()),
        // A dead letter that was redriven into the dropped table is open again.
        (
            "dead_letter_resolution",
            format!(
                "exists (select 1 from dead_letter as letter where letter.source = dead_letter_resolution.source \
                 and letter.dead_letter_id = dead_letter_resolution.dead_letter_id and letter.dataset in ({names}))"
            ),
        ),
        ("sink_topic", topics.clone()),
        ("sink_chunk", topics.clone()),
        ("sink_gap", topics.clone()),
        ("sink_position", topics),
    ];
    let there = statements.into_iter().filter(|(table, _)| tables.iter().any(|known| known == table));
    there.map(|(table, condition)| format!("delete from {table} where {condition}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_down_script_says_what_it_destroys() {
        let sql = "drop table a; drop table if exists b; create table c_next (x integer) strict;\n\
            insert into c_next select x from c; drop table c; alter table c_next rename to c;\n\
            alter table d drop column e, alter column g set not null, drop column f; drop index h;\n\
            delete from i where deleted; create table j (x integer) strict; drop table j;";
        let named = |name: &str| name.to_owned();
        assert_eq!(
            of(sql),
            [
                Loss::Table(named("a")),
                Loss::Table(named("b")),
                Loss::Rows(named("c")),
                Loss::Column(named("d"), named("e")),
                Loss::Column(named("d"), named("f")),
                Loss::Rows(named("i")),
            ]
        );
    }

    #[test]
    fn nothing_is_forgotten_of_tables_that_stay_nor_when_the_positions_go_too() {
        let table = |name: &str| Loss::Table(name.to_owned());
        let known = created("create table sink_position (x integer); create table sink_gap (x integer) strict");
        assert_eq!(forget(&[Loss::Rows("filing".to_owned()), table("sink_origin")], &known), [""; 0]);
        assert_eq!(forget(&[table("filing"), table("sink_position")], &known), [""; 0]);
        let forgotten = forget(&[table("option_quote"), table("sink_origin")], &known);
        assert_eq!(forgotten.len(), 2, "nothing is deleted from a table that is not there: {forgotten:?}");
        let positions = "delete from sink_position where kafka_topic like '%.option!_quote.v%' escape '!'";
        assert_eq!(forgotten.last().map(String::as_str), Some(positions));
    }
}
