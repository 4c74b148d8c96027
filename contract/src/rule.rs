//! Rules and expectations: a small subset of SQL, so that one text is both the consumer's check and the table's
//! `CHECK`.
//!
//! A rule is `column op column`, `column op literal` (a number, or a text in single quotes) or `column ~ 'pattern'`;
//! `op` is one of `=`, `<>`, `<`, `<=`, `>`, `>=`. As in SQL, a comparison with null is unknown, and an unknown
//! comparison does not break a rule. Both sides must be of one class: text, number, date or timestamp.

use std::cmp::Ordering;

use regex::Regex;
use thiserror::Error;

use crate::column::Column;
use crate::field::{Field, Kind};
use crate::rows::Rows;

/// A condition on one record: `low <= high`, `series_id ~ '^[A-Z0-9_]{1,40}$'`.
#[derive(Debug)]
pub struct Rule {
    /// The rule as declared; also its name.
    pub text: String,
    left: usize,
    test: Test,
    /// Whether a side is a decimal, which SQLite stores as text.
    is_decimal: bool,
}

#[derive(Debug)]
enum Test {
    Compare(Operator, Operand),
    Matches(Regex),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug)]
enum Operand {
    Column(usize),
    Number(f64),
    Text(String),
}

/// Why a rule cannot be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum RuleError {
    /// Not `column op operand`.
    #[error("expected `column op column|literal`")]
    Shape,
    /// A side names a field that the dataset does not have.
    #[error("`{0}` is not a field")]
    NoField(String),
    /// The two sides cannot be compared.
    #[error("the two sides are of different kinds")]
    Kinds,
    /// The pattern does not compile.
    #[error("the pattern does not compile")]
    Pattern,
}

impl Rule {
    /// Reads a rule on these fields.
    ///
    /// # Errors
    ///
    /// See [`RuleError`]; the text is part of a declaration, so an error is a mistake in `schemas/`.
    pub fn parse(text: &str, fields: &[Field]) -> Result<Rule, RuleError> {
        let mut parts = text.splitn(3, ' ');
        let (Some(left), Some(operator), Some(right)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(RuleError::Shape);
        };
        let position = |name: &str| {
            let found = fields.iter().position(|field| field.name == name);
            found.ok_or_else(|| RuleError::NoField(name.to_owned()))
        };
        let left = position(left)?;
        let quoted = right.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
        let test = if operator == "~" {
            let pattern = quoted.filter(|_| fields[left].kind == Kind::Text).ok_or(RuleError::Kinds)?;
            Test::Matches(Regex::new(pattern).map_err(|_| RuleError::Pattern)?)
        } else {
            let operand = match (quoted, right.parse::<f64>()) {
                (Some(literal), _) => Operand::Text(literal.to_owned()),
                (None, Ok(number)) => Operand::Number(number),
                (None, Err(_)) => Operand::Column(position(right)?),
            };
            let right_kind = match &operand {
                Operand::Column(at) => class(fields[*at].kind),
                Operand::Number(_) => Some(Class::Number),
                Operand::Text(_) => Some(Class::Text),
            };
            if right_kind.is_none() || right_kind != class(fields[left].kind) {
                return Err(RuleError::Kinds);
            }
            Test::Compare(Operator::parse(operator).ok_or(RuleError::Shape)?, operand)
        };
        let is_decimal = |at: usize| fields[at].kind == Kind::Decimal;
        let right = matches!(&test, Test::Compare(_, Operand::Column(right)) if is_decimal(*right));
        Ok(Rule { text: text.to_owned(), left, is_decimal: right || is_decimal(left), test })
    }

    /// Whether the row breaks the rule; false when a side is null.
    ///
    /// `rows` must be rows of the dataset whose fields the rule was read with.
    pub fn is_broken(&self, rows: &Rows, row: usize) -> bool {
        let left = rows.column(self.left);
        match &self.test {
            Test::Matches(pattern) => left.text(row).is_some_and(|text| !pattern.is_match(text)),
            Test::Compare(operator, operand) => {
                let ordering = match operand {
                    Operand::Column(right) => compare(left, rows.column(*right), row),
                    Operand::Number(number) => left.number(row).and_then(|value| value.partial_cmp(number)),
                    Operand::Text(literal) => left.text(row).map(|text| text.cmp(literal)),
                };
                ordering.is_some_and(|ordering| !operator.holds(ordering))
            }
        }
    }

    /// The rule as a condition for SQLite. A pattern needs the operator `regexp`, which its connections here have.
    pub fn in_sqlite(&self) -> String {
        match self.test {
            Test::Matches(_) => self.text.replacen(" ~ ", " regexp ", 1),
            Test::Compare(..) => self.text.clone(),
        }
    }

    /// The rule as a condition for the table's `CHECK`; None when only the consumer checks it.
    ///
    /// Only the consumer checks patterns: PostgreSQL takes about a microsecond for each, so three of them halve the
    /// speed of an upsert, and SQLite has no operator for them. Only the consumer compares decimals, too.
    pub fn check(&self) -> Option<&str> {
        match self.test {
            Test::Matches(_) => None,
            Test::Compare(..) => (!self.is_decimal).then_some(&self.text),
        }
    }
}

#[derive(PartialEq, Eq)]
enum Class {
    Text,
    Number,
    Date,
    Timestamp,
}

fn class(kind: Kind) -> Option<Class> {
    match kind {
        Kind::Text => Some(Class::Text),
        Kind::Long | Kind::Double | Kind::Decimal => Some(Class::Number),
        Kind::Date => Some(Class::Date),
        Kind::Timestamp => Some(Class::Timestamp),
        Kind::Bytes | Kind::TextList | Kind::Json => None,
    }
}

fn compare(left: &Column, right: &Column, row: usize) -> Option<Ordering> {
    match (left, right) {
        (Column::Text(left), Column::Text(right)) => Some(left[row].as_ref()?.cmp(right[row].as_ref()?)),
        (Column::Long(left), Column::Long(right)) | (Column::Timestamp(left), Column::Timestamp(right)) => {
            Some(left[row]?.cmp(&right[row]?))
        }
        (Column::Date(left), Column::Date(right)) => Some(left[row]?.cmp(&right[row]?)),
        _ => left.number(row)?.partial_cmp(&right.number(row)?),
    }
}

impl Operator {
    fn parse(text: &str) -> Option<Operator> {
        Some(match text {
            "=" => Operator::Equal,
            "<>" => Operator::NotEqual,
            "<" => Operator::Less,
            "<=" => Operator::LessOrEqual,
            ">" => Operator::Greater,
            ">=" => Operator::GreaterOrEqual,
            _ => return None,
        })
    }

    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Operator::Equal => ordering.is_eq(),
            Operator::NotEqual => ordering.is_ne(),
            Operator::Less => ordering.is_lt(),
            Operator::LessOrEqual => ordering.is_le(),
            Operator::Greater => ordering.is_gt(),
            Operator::GreaterOrEqual => ordering.is_ge(),
        }
    }
}
