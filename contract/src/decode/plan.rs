//! How the records of one writer's schema become rows: one step for each of the writer's fields.

use serde_json::Value as Json;

use super::avro::{Avro, Types};
use super::input::Input;
use super::skip::Skipper;
use super::{DecodeError, SchemaError};
use crate::dataset::Dataset;
use crate::field::Kind;
use crate::rows::Rows;
use crate::value::Value;

/// How the records of one writer's schema become rows.
#[derive(Debug, PartialEq)]
pub(super) struct Plan {
    steps: Vec<Step>,
    /// The fields that the writer does not have, and their values.
    absent: Vec<(usize, Value)>,
    /// Of each record type that is skipped, the types of its fields.
    records: Vec<Vec<Avro>>,
}

/// What to do with the writer's next field.
#[derive(Debug, PartialEq)]
struct Step {
    name: String,
    avro: Avro,
    /// Position in the dataset; None when the dataset does not have the field.
    target: Option<usize>,
}

impl Plan {
    pub(super) fn new(dataset: &Dataset, writer_schema: &str) -> Result<Plan, SchemaError> {
        let json: Json =
            serde_json::from_str(writer_schema).map_err(|error| SchemaError::Unreadable(error.to_string()))?;
        let mut types = Types::default();
        let fields = types.fields(&json).map_err(SchemaError::Unreadable)?;
        let names: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
        let sources: Vec<Option<usize>> =
            (0..dataset.fields.len()).map(|position| source(dataset, position, &names)).collect();
        let incompatible = |position: usize, what| SchemaError::Incompatible {
            dataset: dataset.name.clone(),
            field: dataset.fields[position].name.clone(),
            what,
        };
        let mut steps = Vec::with_capacity(fields.len());
        for (at, (name, avro)) in fields.into_iter().enumerate() {
            let target = sources.iter().position(|source| *source == Some(at));
            let avro = match target {
                None => avro,
                Some(position) => {
                    let field = &dataset.fields[position];
                    let resolved = avro.resolved(field.kind, field.nullable);
                    resolved.ok_or_else(|| incompatible(position, "is of another type"))?
                }
            };
            steps.push(Step { name, avro, target });
        }
        let mut absent = Vec::new();
        for (position, _) in sources.iter().enumerate().filter(|(_, source)| source.is_none()) {
            let field = &dataset.fields[position];
            let is_optional = field.nullable || field.kind == Kind::TextList;
            let value = field.default.clone().or(is_optional.then_some(Value::Null));
            absent.push((position, value.ok_or_else(|| incompatible(position, "is absent"))?));
        }
        Ok(Plan { steps, absent, records: types.records })
    }

    /// Appends the record as one row; after an error the rows are as before.
    pub(super) fn decode(&self, body: &[u8], rows: &mut Rows) -> Result<(), DecodeError> {
        let len = rows.len();
        let outcome = self.append(body, rows);
        if outcome.is_err() {
            rows.truncate(len);
        }
        outcome
    }

    #[inline]
    fn append(&self, body: &[u8], rows: &mut Rows) -> Result<(), DecodeError> {
        let mut input = Input::new(body);
        let mut skipper = Skipper::new(&self.records);
        let columns = rows.columns_mut();
        for step in &self.steps {
            let read = match step.target {
                Some(position) => input.read(&step.avro, &mut columns[position]),
                None => skipper.skip(&mut input, &step.avro, 0),
            };
            read.map_err(|fault| fault.in_field(&step.name))?;
        }
        for (position, value) in &self.absent {
            columns[*position].push(value.clone());
        }
        if input.remaining() > 0 {
            return Err(DecodeError::Trailing { count: input.remaining() });
        }
        rows.finish_row(false);
        Ok(())
    }
}

/// Which of the writer's fields a field of the dataset is: the one of its name, else the first that is an alias of it.
fn source(dataset: &Dataset, position: usize, writers: &[String]) -> Option<usize> {
    let field = &dataset.fields[position];
    std::iter::once(&field.name).chain(&field.aliases).find_map(|name| writers.iter().position(|other| other == name))
}
