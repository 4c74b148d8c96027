//! The mapping of an item: its file, its dataset, and where each field comes from.

use chrono_tz::Tz;
use contract::dataset::{FLAGS, OBSERVED_AT, SOURCE as SOURCE_FIELD};
use contract::{Dataset, Field, Kind, Value, dataset};

use super::cell::{Cell, Format, read};
use super::decimal_sign::DecimalSign;
use super::{DATASETS, SOURCE};
use crate::parse::body::excerpt;
use crate::parse::percent::percent_decoded;
use crate::response::PageError;

/// Longest item: with the endpoint's name and a hash it is the id of a dead letter, at most 512 bytes.
const MAX_ITEM_BYTES: usize = 480;
/// Longest name of a source.
const MAX_SOURCE_BYTES: usize = 64;
/// Name of the constant that is not a field: the zone of times without one.
const ZONE: &str = "zone";
/// Name of the constant that is not a field: the sign before decimals, the same in the whole file.
const DECIMAL: &str = "decimal";
/// The dataset whose date and time follow from each other, and their names.
const SESSION: (&str, &str, &str) = ("ohlcv_bar", "trading_date", "ts_start");

/// A parsed item.
#[derive(Debug)]
pub(super) struct Item {
    /// Path below the folder.
    pub(super) file: String,
    /// Dataset of its rows.
    pub(super) dataset: &'static Dataset,
    /// Zone of times without one.
    pub(super) zone: Tz,
    /// The sign before decimals, where the item declares it.
    pub(super) decimal: Option<DecimalSign>,
    /// Columns to look for, without duplicates.
    pub(super) slots: Vec<Slot>,
    /// Where each field of the dataset comes from.
    pub(super) origins: Vec<Origin>,
    /// Positions of the date and the time that follow from each other.
    pub(super) session: Option<(usize, usize)>,
    /// Positions of the required fields.
    pub(super) needed: Vec<usize>,
}

/// A column to look for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// Its name.
    pub(super) name: String,
    /// Whether the item names it: then the column must exist, with exactly this name. Otherwise it is the name of a
    /// field, in any case.
    pub(super) is_named: bool,
}

impl Slot {
    /// Whether a column of that name matches where none has exactly this name.
    pub(super) fn is_like(&self, name: &str) -> bool {
        !self.is_named && self.name.eq_ignore_ascii_case(name)
    }
}

/// Where a field comes from.
#[derive(Debug)]
pub(super) enum Origin {
    /// The column of that slot, in that format.
    Slot(usize, Format),
    /// A constant.
    Constant(Value),
    /// The time of receipt.
    Received,
}

impl Item {
    /// Reads an item, and checks all of it.
    pub(super) fn parse(item: &str) -> Result<Item, PageError> {
        read_item(item).map_err(|reason| PageError::Skip(format!("`{}`: {reason}", excerpt(item.as_bytes()))))
    }

    /// The index of the column of each slot; an error if a required one is missing.
    pub(super) fn places<S: AsRef<str>>(&self, columns: &[S]) -> Result<Vec<Option<usize>>, PageError> {
        let shown = || {
            let names: Vec<&str> = columns.iter().map(AsRef::as_ref).collect();
            excerpt(names.join(", ").as_bytes())
        };
        let mut places = Vec::with_capacity(self.slots.len());
        for slot in &self.slots {
            let place = only(columns, |name| name == slot.name).and_then(|place| match place {
                None => only(columns, |name| slot.is_like(name)),
                found => Ok(found),
            });
            let place = place.map_err(|()| PageError::Skip(format!("two columns are called `{}`", slot.name)))?;
            if place.is_none() && slot.is_named {
                return Err(PageError::Skip(format!("there is no column `{}`; there are {}", slot.name, shown())));
            }
            places.push(place);
        }
        match self.missing(&places) {
            None => Ok(places),
            Some(field) => Err(PageError::Skip(format!(
                "no column is called `{field}`, which `{}` needs: write `{field}=<column>` or `{field}:=<value>`; there are {}",
                self.dataset.name,
                shown()
            ))),
        }
    }

    /// A required field without a column or constant, if there is one.
    fn missing(&self, places: &[Option<usize>]) -> Option<&str> {
        let has = |field: usize| match &self.origins[field] {
            Origin::Slot(slot, _) => places[*slot].is_some(),
            Origin::Constant(_) | Origin::Received => true,
        };
        let [known_at, _] = self.dataset.version_fields;
        let follows = |field: usize| match self.session {
            Some((date, time)) => (field == date && has(time)) || (field == time && has(date)) || field == known_at,
            None => field == known_at,
        };
        let needed = |(at, field): &(usize, &contract::Field)| {
            !field.nullable && field.kind != Kind::TextList && !has(*at) && !follows(*at)
        };
        self.dataset.fields.iter().enumerate().find(needed).map(|(_, field)| field.name.as_str())
    }
}

/// The one matching column; an error if there are several.
fn only<S: AsRef<str>>(columns: &[S], holds: impl Fn(&str) -> bool) -> Result<Option<usize>, ()> {
    let mut found = (0..columns.len()).filter(|at| holds(columns[*at].as_ref()));
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(()),
        (found, None) => Ok(found),
    }
}

/// One mapping of an item, decoded.
enum Given<'a> {
    Column(&'a str),
    Constant(&'a str),
}

fn read_item(item: &str) -> Result<Item, String> {
    if item.len() > MAX_ITEM_BYTES || item.contains(char::is_control) {
        return Err(format!("an item has at most {MAX_ITEM_BYTES} bytes and no control characters"));
    }
    let shape =
        "expected `<path>?<dataset>&<field>=<column>&<field>:=<value>`, e.g. `prices.csv?ohlcv_bar&ts_start=Date`";
    let (file, mapping) = item.split_once('?').ok_or(shape)?;
    let mut parts = mapping.split('&');
    let name = parts.next().filter(|name| !name.is_empty()).ok_or(shape)?;
    let dataset = dataset(name).filter(|_| DATASETS.contains(&name));
    let dataset =
        dataset.ok_or_else(|| format!("`{name}` is not a dataset; the datasets are {}", DATASETS.join(", ")))?;
    let mut given: Vec<(&str, Given<'_>)> = Vec::new();
    for part in parts {
        let (field, value) = part.split_once('=').ok_or(shape)?;
        let (field, value) = match field.strip_suffix(':') {
            Some(field) => (field, Given::Constant(value)),
            None => (field, Given::Column(value)),
        };
        if given.iter().any(|(other, _)| *other == field) {
            return Err(format!("`{field}` is given twice"));
        }
        given.push((field, value));
    }
    let zone = zone(&given)?;
    let decimal = decimal(&given)?;
    given.retain(|(field, _)| *field != ZONE && *field != DECIMAL);
    let mut slots = Vec::new();
    let mut origins = own_origins(dataset, decimal, &mut slots);
    for (name, given) in given {
        let at = dataset.position(name).filter(|_| name != OBSERVED_AT && name != FLAGS);
        let at = at.ok_or_else(|| format!("`{name}` is not a field of `{}` that can be given", dataset.name))?;
        origins[at] = origin(dataset, at, &given, (zone, decimal), &mut slots)?;
    }
    let (session_of, date, time) = SESSION;
    let session = dataset.position(date).zip(dataset.position(time)).filter(|_| dataset.name == session_of);
    let is_needed = |field: &Field| !field.nullable && field.kind != Kind::TextList;
    let needed = (0..dataset.fields.len()).filter(|at| is_needed(&dataset.fields[*at])).collect();
    let slots = used(slots, &mut origins);
    Ok(Item { file: decoded(file)?, dataset, zone, decimal, slots, origins, session, needed })
}

fn zone(given: &[(&str, Given<'_>)]) -> Result<Tz, String> {
    match given.iter().find(|(field, _)| *field == ZONE) {
        None => Ok(Tz::UTC),
        Some((_, Given::Constant(name))) => {
            let name = decoded(name)?;
            name.parse().map_err(|_| format!("`{name}` is not a time zone such as `America/New_York`"))
        }
        Some((_, Given::Column(_))) => {
            Err(format!("write `{ZONE}:=America/New_York`: a zone is the same for all rows"))
        }
    }
}

fn decimal(given: &[(&str, Given<'_>)]) -> Result<Option<DecimalSign>, String> {
    let Some((_, given)) = given.iter().find(|(field, _)| *field == DECIMAL) else { return Ok(None) };
    let sign = match given {
        Given::Constant(sign) => DecimalSign::parse(&decoded(sign)?),
        Given::Column(_) => None,
    };
    sign.map(Some)
        .ok_or_else(|| format!("write `{DECIMAL}:=,` for numbers such as `1.611,25`, `{DECIMAL}:=.` for `1,611.25`"))
}

/// How the numbers of a file are written, and everything else plainly.
fn unformatted(kind: Kind, decimal: Option<DecimalSign>) -> Format {
    match (kind, decimal) {
        (Kind::Double | Kind::Decimal | Kind::Long, Some(sign)) => Format::Number(sign),
        _ => Format::Plain,
    }
}

/// The origin of a field that the item does not mention.
fn own_origins(dataset: &Dataset, decimal: Option<DecimalSign>, slots: &mut Vec<Slot>) -> Vec<Origin> {
    let own = |field: &contract::Field| match field.name.as_str() {
        SOURCE_FIELD => Origin::Constant(Value::Text(SOURCE.name.into())),
        OBSERVED_AT => Origin::Received,
        FLAGS => Origin::Constant(Value::Null),
        name => {
            slots.push(Slot { name: name.to_owned(), is_named: false });
            Origin::Slot(slots.len() - 1, unformatted(field.kind, decimal))
        }
    };
    dataset.fields.iter().map(own).collect()
}

fn origin(
    dataset: &Dataset,
    at: usize,
    given: &Given<'_>,
    (zone, decimal): (Tz, Option<DecimalSign>),
    slots: &mut Vec<Slot>,
) -> Result<Origin, String> {
    let field = &dataset.fields[at];
    match given {
        Given::Constant(text) => {
            let text = decoded(text)?;
            let mut values = Vec::new();
            let cell = Cell::Text(text.as_str().into());
            read(field, &unformatted(field.kind, Some(DecimalSign::Point)), zone, cell, &mut values)
                .map_err(|fault| fault.1)?;
            let value = values.pop().filter(|value| *value != Value::Null);
            let value = value.ok_or_else(|| format!("`{}` is given no value", field.name))?;
            if field.name == SOURCE_FIELD && !is_source(&text) {
                return Err(format!("`{text}` is not the name of a source: small letters, digits, `_` and `.`"));
            }
            Ok(Origin::Constant(value))
        }
        Given::Column(text) => {
            let (column, format) = match text.split_once('|') {
                None => (*text, unformatted(field.kind, decimal)),
                Some(_) if !matches!(field.kind, Kind::Date | Kind::Timestamp) => {
                    return Err(format!("`{}` is not a date or time, so it has no format", field.name));
                }
                Some((column, format)) => (column, Format::parse(&decoded(format)?)?),
            };
            let name = decoded(column)?;
            if name.is_empty() {
                return Err(format!("`{}` is given no column", field.name));
            }
            let slot = Slot { name, is_named: true };
            let place = slots.iter().position(|other| *other == slot).unwrap_or_else(|| {
                slots.push(slot);
                slots.len() - 1
            });
            Ok(Origin::Slot(place, format))
        }
    }
}

fn is_source(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'.';
    name.len() <= MAX_SOURCE_BYTES && name.bytes().all(is_part)
}

/// The slots that a field uses.
fn used(slots: Vec<Slot>, origins: &mut [Origin]) -> Vec<Slot> {
    let mut kept = Vec::new();
    for (place, slot) in slots.into_iter().enumerate() {
        let mut is_used = false;
        for origin in origins.iter_mut() {
            // Slots that were moved already have smaller numbers than the current one.
            if let Origin::Slot(own, _) = origin
                && *own == place
            {
                (*own, is_used) = (kept.len(), true);
            }
        }
        if is_used {
            kept.push(slot);
        }
    }
    kept
}

fn decoded(text: &str) -> Result<String, String> {
    let text = percent_decoded(text).filter(|text| !text.contains(char::is_control));
    text.ok_or_else(|| "the percent-encoded bytes are not printable UTF-8".to_owned())
}

#[cfg(test)]
mod tests;
