//! Which migrations a database has, and which it lacks.

use crate::dialect::Connection;
use crate::migrations::{Migration, TABLE, is_contracting, shown};
use crate::outcome::StoreError;
use crate::statement::Statement;
use crate::syntax::Syntax;

/// A row of the table in which sqlx keeps what was applied.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    pub(crate) version: i64,
    pub(crate) description: String,
    pub(crate) installed_on: String,
    pub(crate) checksum: Vec<u8>,
    succeeded: bool,
}

/// Reads what was applied; nothing, where the table does not exist.
pub(crate) async fn read(connection: &mut dyn Connection, syntax: &Syntax) -> Result<Vec<Applied>, StoreError> {
    let exists = Statement::once(syntax.table_exists.to_owned()).bind(TABLE);
    if connection.lines(exists).await?.is_empty() {
        return Ok(Vec::new());
    }
    let query = format!(
        "select version, description, cast(installed_on as text), checksum, success from {TABLE} order by version"
    );
    let lines = connection.lines(Statement::once(query)).await?;
    let applied = |line: &crate::line::Line| Applied {
        version: line.int(0),
        description: line.text(1),
        installed_on: line.text(2),
        checksum: line.bytes(3).unwrap_or_default().to_vec(),
        succeeded: line.int(4) != 0,
    };
    Ok(lines.iter().map(applied).collect())
}

/// Whether this executable can work with a database with that history. It can if a newer one has only added to it.
pub(crate) fn check(migrations: &[Migration], history: &[Applied]) -> Result<(), StoreError> {
    let newest = migrations.last().map_or(0, |migration| migration.version);
    for applied in history {
        let name = shown(applied.version, &applied.description);
        let known = migrations.iter().find(|migration| migration.version == applied.version);
        let problem = match known {
            _ if !applied.succeeded => "is recorded as failed: restore the database, or finish the migration by hand",
            Some(known) if known.up.checksum != applied.checksum => {
                "is not the one that this executable has: use the executable that applied it"
            }
            None if applied.version < newest => "is unknown to this executable: use the executable that applied it",
            None if is_contracting(&applied.description) => {
                "removes what this executable needs: upgrade the executable"
            }
            _ => continue,
        };
        return Err(StoreError::Halt(format!("cannot use the database: its {name} {problem}")));
    }
    Ok(())
}

/// Whether a newer executable has migrated the database.
pub(crate) fn is_newer(migrations: &[Migration], history: &[Applied]) -> bool {
    let newest = migrations.last().map_or(0, |migration| migration.version);
    history.iter().any(|applied| applied.version > newest)
}

/// The migrations to apply, in their order, to come to `to`.
pub(crate) fn pending<'a>(
    migrations: &'a [Migration],
    history: &[Applied],
    to: Option<i64>,
) -> Result<Vec<&'a Migration>, StoreError> {
    check(migrations, history)?;
    let is_wanted = |migration: &&Migration| {
        to.is_none_or(|to| migration.version <= to)
            && history.iter().all(|applied| applied.version != migration.version)
    };
    Ok(migrations.iter().filter(is_wanted).collect())
}

/// The migrations to revert, in their order, to go back to `to`.
pub(crate) fn surplus<'a>(
    migrations: &'a [Migration],
    history: &[Applied],
    to: i64,
) -> Result<Vec<&'a Migration>, StoreError> {
    check(migrations, history)?;
    if is_newer(migrations, history) {
        let reason = "cannot revert: a newer executable has migrated this database; revert with that one";
        return Err(StoreError::Halt(reason.to_owned()));
    }
    let is_surplus = |migration: &&Migration| {
        migration.version > to && history.iter().any(|applied| applied.version == migration.version)
    };
    Ok(migrations.iter().rev().filter(is_surplus).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrations::of_files;

    fn applied(version: i64, description: &str, sql: &str) -> Applied {
        let [file] = &of_files([(format!("{version}_x.sql").as_str(), sql)])[..] else { unreachable!() };
        let (description, checksum) = (description.to_owned(), file.up.checksum.clone());
        Applied { version, description, installed_on: String::new(), checksum, succeeded: true }
    }

    fn problem(history: &[Applied]) -> String {
        let migrations = of_files([("1_x.sql", "one"), ("3_y.sql", "three")]);
        check(&migrations, history).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn an_executable_works_with_a_newer_database_unless_something_was_removed() {
        let ours = applied(1, "x", "one");
        assert_eq!(problem(&[]), "");
        assert_eq!(problem(&[ours.clone(), applied(4, "more", "four")]), "");
        for (wrong, expected) in [
            (applied(4, "contract more", "four"), "migration 4 `contract more` removes what this executable needs"),
            (applied(2, "y", "two"), "migration 2 `y` is unknown"),
            (applied(3, "y", "other"), "migration 3 `y` is not the one that this executable has"),
            (Applied { succeeded: false, ..applied(3, "y", "three") }, "migration 3 `y` is recorded as failed"),
        ] {
            let problem = problem(&[ours.clone(), wrong]);
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn only_the_newest_executable_reverts() {
        let migrations = of_files([("1_x.sql", "one"), ("3_y.sql", "three")]);
        let history = [applied(1, "x", "one"), applied(3, "y", "three")];
        let versions =
            |to| surplus(&migrations, &history, to).unwrap().iter().map(|one| one.version).collect::<Vec<_>>();
        assert_eq!((versions(0), versions(1), versions(3)), (vec![3, 1], vec![3], vec![]));
        let newer = [history.to_vec(), vec![applied(4, "more", "four")]].concat();
        assert!(surplus(&migrations, &newer, 0).is_err());
    }
}
