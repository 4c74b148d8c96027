//! Roles with no more rights than they need. They have no login: an operator grants them to the users that log in.

use contract::dataset;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use super::Session;
use crate::migrations::{self, Migration, TABLE};
use crate::outcome::StoreError;
use crate::postgres::fault::classify;

/// Owns the tables: migrates them and refreshes views.
const OWNER: &str = "tapedeck_owner";
/// What consumers need.
const SINK: &str = "tapedeck_sink";
/// Reads datasets and views, for a service that serves them.
const API: &str = "tapedeck_api";
/// Reads everything.
const READER: &str = "tapedeck_reader";

/// The dataset with the original bytes of refused records, which may be anybody's.
const REFUSED: &str = "dead_letter";
/// End of the name of a table with a dataset's earlier versions.
const REVISION: &str = "_revision";

/// What kind of table or view it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    /// Records of a dataset.
    Records,
    /// Refused records.
    Refused,
    /// Rows of other tables.
    View,
    /// Positions, ledger and other accounts of the sinks.
    Accounts,
    /// Which migrations were applied.
    Migrations,
}

impl Content {
    fn of(name: &str, is_view: bool) -> Content {
        match name {
            _ if is_view => Content::View,
            TABLE => Content::Migrations,
            REFUSED => Content::Refused,
            name if dataset(name.strip_suffix(REVISION).unwrap_or(name)).is_some() => Content::Records,
            _ => Content::Accounts,
        }
    }

    /// Who gets which rights.
    fn grants(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Content::Records => &[("select, insert, update", SINK), ("select", API), ("select", READER)],
            Content::Refused => &[("select, insert, update", SINK), ("select", READER)],
            Content::View => &[("select", API), ("select", READER)],
            Content::Accounts => &[("select, insert, update, delete", SINK), ("select", READER)],
            Content::Migrations => &[("select", SINK), ("select", READER)],
        }
    }
}

/// Whether the tables of this database have been given to the owner's role.
pub(super) async fn are_used(session: &mut Session<'_>) -> Result<bool, StoreError> {
    let owns = format!(
        "exists (select from pg_class where relname = '{TABLE}' and relnamespace = current_schema()::regnamespace \
         and pg_get_userbyid(relowner) = '{OWNER}')"
    );
    session.holds(&owns).await
}

/// Creates the roles that are missing, and gives each its rights. Changes nothing when they have them.
pub(super) async fn create(session: &mut Session<'_>, migrations: &[Migration]) -> Result<(), StoreError> {
    for role in [OWNER, SINK, API, READER] {
        let create = format!(
            "do $$ begin if not exists (select from pg_roles where rolname = '{role}') then create role {role}; end if; \
             exception when duplicate_object or unique_violation then null; end $$"
        );
        session.patiently("a role", &[&create]).await?;
    }
    // Only a member of the role can give it a table.
    let join = format!(
        "do $$ begin if not pg_has_role(current_user, '{OWNER}', 'member') then \
         execute format('grant {OWNER} to %I', current_user); end if; end $$"
    );
    let schema = format!(
        "do $$ begin execute format('grant usage on schema %I to {SINK}, {API}, {READER}', current_schema()); \
         execute format('grant usage, create on schema %I to {OWNER}', current_schema()); end $$"
    );
    session.patiently("the roles", &[&join]).await?;
    session.patiently("the roles", &[&schema]).await?;
    grant(session, migrations).await
}

/// Gives each role its rights on our tables and views, and the owner our functions and types.
pub(super) async fn grant(session: &mut Session<'_>, migrations: &[Migration]) -> Result<(), StoreError> {
    for (name, is_view, is_owned) in objects(session, migrations).await? {
        let what = format!("the rights on `{name}`");
        if !is_owned {
            session.patiently(&what, &[&format!("alter table {name} owner to {OWNER}")]).await?;
        }
        for (rights, role) in Content::of(&name, is_view).grants() {
            session.patiently(&what, &[&format!("grant {rights} on {name} to {role}")]).await?;
        }
    }
    for statement in routines(session, migrations).await? {
        session.patiently("a function", &[&statement]).await?;
    }
    Ok(())
}

/// The statements that give our functions and types to the owner's role; none for those that it has.
async fn routines(session: &mut Session<'_>, migrations: &[Migration]) -> Result<Vec<String>, StoreError> {
    let names: Vec<String> = migrations.iter().flat_map(|one| migrations::routines(&one.up.sql)).collect();
    let query = format!(
        "select concat('alter function ', oid::regprocedure, ' owner to {OWNER}') from pg_proc \
         where pronamespace = current_schema()::regnamespace and proname::text = any($1) \
         and pg_get_userbyid(proowner) <> '{OWNER}' \
         union all select concat('alter type ', oid::regtype, ' owner to {OWNER}') from pg_type \
         where typnamespace = current_schema()::regnamespace and typname::text = any($1) \
         and pg_get_userbyid(typowner) <> '{OWNER}' order by 1"
    );
    let found = sqlx::query_scalar(AssertSqlSafe(query)).bind(&names).fetch_all(&mut session.connection).await;
    found.map_err(classify)
}

/// Our tables and views that there are: name, whether it is a view, whether the owner's role has it.
async fn objects(session: &mut Session<'_>, migrations: &[Migration]) -> Result<Vec<(String, bool, bool)>, StoreError> {
    let ours = migrations::objects(migrations);
    let query = format!(
        "select relname::text, relkind in ('v', 'm'), pg_get_userbyid(relowner) = '{OWNER}' from pg_class \
         where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p', 'v', 'm') order by relname"
    );
    let rows = session.connection.fetch_all(AssertSqlSafe(query)).await.map_err(classify)?;
    let object = |row: &sqlx::postgres::PgRow| (row.get::<String, _>(0), row.get(1), row.get(2));
    let is_ours = |(name, ..): &(String, bool, bool)| {
        name == TABLE || ours.contains(name) || name.strip_suffix(REVISION).is_some_and(|name| dataset(name).is_some())
    };
    Ok(rows.iter().map(object).filter(is_ours).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sink_gets_rights_to_write_and_only_on_accounts_to_delete() {
        let all = [Content::Records, Content::Refused, Content::View, Content::Accounts, Content::Migrations];
        for (content, (rights, role)) in all.iter().flat_map(|one| one.grants().iter().map(move |grant| (one, grant))) {
            assert!(*rights == "select" || *role == SINK, "{role} on {content:?}: {rights}");
            assert!(!rights.contains("delete") || *content == Content::Accounts, "{role} on {content:?}: {rights}");
        }
        let of = |name| Content::of(name, false);
        assert_eq!([of("filing"), of("filing_revision")], [Content::Records; 2]);
        assert_eq!([of("dead_letter"), of(TABLE)], [Content::Refused, Content::Migrations]);
        assert_eq!([of("dead_letter_outbox"), of("sink_chunk")], [Content::Accounts; 2]);
    }
}
