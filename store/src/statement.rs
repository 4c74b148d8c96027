//! A statement with its parameters, in the same form for both databases.

use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Encode, Type};

/// The value of a parameter.
#[derive(Debug, Clone)]
pub(crate) enum Parameter {
    Text(Option<String>),
    Number(Option<i64>),
}

impl From<&str> for Parameter {
    fn from(text: &str) -> Parameter {
        Parameter::Text(Some(text.to_owned()))
    }
}

impl From<String> for Parameter {
    fn from(text: String) -> Parameter {
        Parameter::Text(Some(text))
    }
}

impl From<Option<String>> for Parameter {
    fn from(text: Option<String>) -> Parameter {
        Parameter::Text(text)
    }
}

impl From<i32> for Parameter {
    fn from(number: i32) -> Parameter {
        Parameter::Number(Some(number.into()))
    }
}

impl From<i64> for Parameter {
    fn from(number: i64) -> Parameter {
        Parameter::Number(Some(number))
    }
}

impl From<Option<i64>> for Parameter {
    fn from(number: Option<i64>) -> Parameter {
        Parameter::Number(number)
    }
}

/// A statement and the values of its parameters `$1`, `$2`, ..
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) text: String,
    pub(crate) parameters: Vec<Parameter>,
    /// Whether the connection caches the prepared statement.
    pub(crate) is_kept: bool,
}

impl Statement {
    /// A statement that runs often, so that the connection caches it.
    pub(crate) fn new(text: &str) -> Statement {
        Statement { text: text.to_owned(), parameters: Vec::new(), is_kept: true }
    }

    /// A statement that runs once.
    pub(crate) fn once(text: String) -> Statement {
        Statement { text, parameters: Vec::new(), is_kept: false }
    }

    /// The statement as sqlx's query.
    pub(crate) fn into_query<DB>(self) -> Query<'static, DB, DB::Arguments>
    where
        DB: sqlx::Database + sqlx::database::HasStatementCache,
        Option<String>: Encode<'static, DB> + Type<DB>,
        Option<i64>: Encode<'static, DB> + Type<DB>,
    {
        let query = sqlx::query(AssertSqlSafe(self.text)).persistent(self.is_kept);
        self.parameters.into_iter().fold(query, |query, parameter| match parameter {
            Parameter::Text(text) => query.bind(text),
            Parameter::Number(number) => query.bind(number),
        })
    }

    /// Adds the value of the next parameter.
    pub(crate) fn bind(mut self, parameter: impl Into<Parameter>) -> Statement {
        self.parameters.push(parameter.into());
        self
    }
}
