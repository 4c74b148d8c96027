//! The table of a file: a header of several rows, then sections of months and of weeks.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use chrono::{Days, NaiveDate};
use contract::Text;
use contract::records::EtfFlow;

use super::NAME;
use super::number::number;
use crate::parse::body::excerpt;
use crate::parse::date::month_day_year;
use crate::parse::duplicates::Keys;
use crate::parse::fault::Fault;
use crate::parse::value::trimmed;
use crate::response::{PageError, Parsed, Reject, Request};

/// Most rows of a table: weeks and months of three centuries. A row has up to nine records.
const MAX_TABLE_ROWS: usize = 20_000;
/// Most rows before the first section: titles and header.
const MAX_HEADER_ROWS: usize = 50;
/// Fewest categories that make a row a header.
const MIN_CATEGORIES: usize = 2;
/// Longest name of a section, in words: a longer text is a footnote that begins alike.
const MAX_SECTION_WORDS: usize = 8;
/// Numbers that can be a date: 1982 to 2123, with either day 0.
const DAYS: std::ops::RangeInclusive<f64> = 30_000.0..=80_000.0;
/// Largest flow, in millions of dollars: more than all dollars that exist.
const MAX_MILLIONS: f64 = 1e9;
/// Texts of a missing value.
const NOTHING: &[&str] = &["-", "--", "–", "—", ".", "n/a", "na", "n.a."];

/// A category of funds.
struct Category {
    name: Text,
    /// Beginning of the word that names it.
    word: &'static str,
    /// The categories that add up to it.
    parts: &'static [usize],
}

static CATEGORIES: [Category; 9] = [
    Category { name: Text::literal("total"), word: "total", parts: &[1, 4, 5, 8] },
    Category { name: Text::literal("equity"), word: "equit", parts: &[2, 3] },
    Category { name: Text::literal("equity_domestic"), word: "domestic", parts: &[] },
    Category { name: Text::literal("equity_world"), word: "world", parts: &[] },
    Category { name: Text::literal("hybrid"), word: "hybrid", parts: &[] },
    Category { name: Text::literal("bond"), word: "bond", parts: &[6, 7] },
    Category { name: Text::literal("bond_taxable"), word: "taxable", parts: &[] },
    Category { name: Text::literal("bond_municipal"), word: "municipal", parts: &[] },
    Category { name: Text::literal("commodity"), word: "commodit", parts: &[] },
];
/// Finest first: `Total domestic` is domestic, `Taxable bond` is taxable.
const BY_WORD: [usize; 9] = [2, 3, 6, 7, 1, 4, 5, 8, 0];

/// A row of a sheet or of a text file.
pub(super) struct Row<'a> {
    /// Counted from 1, as a spreadsheet does.
    pub(super) number: usize,
    /// The cells that are not empty, by column.
    pub(super) cells: Vec<(usize, Cell<'a>)>,
    /// Day 0, where dates are numbers.
    pub(super) epoch: Option<NaiveDate>,
    /// The line of a text file.
    pub(super) line: Option<Line<'a>>,
}

pub(super) struct Line<'a> {
    pub(super) bytes: &'a [u8],
    /// Whether it ends with a line feed; without one its last value may be cut off.
    pub(super) is_whole: bool,
}

pub(super) enum Cell<'a> {
    Text(Cow<'a, str>),
    Number(f64),
}

impl fmt::Display for Cell<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Text(text) => formatter.write_str(text),
            Cell::Number(number) => write!(formatter, "{number}"),
        }
    }
}

impl<'a> Row<'a> {
    fn cell(&self, column: usize) -> Option<&Cell<'a>> {
        // In most rows no earlier cell is empty.
        let in_place = self.cells.get(column).filter(|(own, _)| *own == column);
        in_place.or_else(|| self.cells.iter().find(|(own, _)| *own == column)).map(|(_, cell)| cell)
    }

    pub(super) fn is_cut_off(&self) -> bool {
        self.line.as_ref().is_some_and(|line| !line.is_whole)
    }

    /// The words of a row whose only cell is a text.
    fn only_text(&self) -> Option<&str> {
        match self.cells.as_slice() {
            [(_, Cell::Text(text))] => Some(text),
            _ => None,
        }
    }

    /// The first column as a date.
    fn date(&self) -> Option<NaiveDate> {
        match self.cell(0)? {
            Cell::Text(text) => month_day_year(trimmed(text)),
            Cell::Number(days) if DAYS.contains(days) => self.epoch?.checked_add_days(Days::new(days.trunc() as u64)),
            Cell::Number(_) => None,
        }
    }

    fn reject(&self, fault: Fault) -> Reject {
        let fault = fault.at(format_args!("row {}", self.number));
        match &self.line {
            Some(line) => fault.reject(line.bytes),
            None => {
                let mut text = String::new();
                for (place, (_, cell)) in self.cells.iter().enumerate() {
                    let tab = if place == 0 { "" } else { "\t" };
                    write!(text, "{tab}{cell}").expect("writing to a string cannot fail");
                }
                fault.reject(text.as_bytes())
            }
        }
    }
}

/// The words of a text, in lowercase.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// The frequency of the section with that title, e.g. `Estimated weekly fund flows`.
fn section(row: &Row<'_>) -> Option<&'static str> {
    let text = row.only_text().filter(|_| !row.is_cut_off())?;
    let words: Vec<String> = words(text).take(MAX_SECTION_WORDS + 1).collect();
    let is_name = ["monthly", "weekly", "estimated", "actual"].contains(&words.first()?.as_str());
    if !is_name || words.len() > MAX_SECTION_WORDS {
        return None;
    }
    let has = |word: &str| words.iter().any(|own| own == word);
    match (has("monthly"), has("weekly")) {
        (true, false) => Some("monthly"),
        (false, true) => Some("weekly"),
        _ => None,
    }
}

/// The category of a column, which each row of the header may refine.
#[derive(Clone, Copy)]
enum Heading {
    /// An index in [`BY_WORD`].
    Category(usize),
    /// Finer than any category, e.g. `Large cap`.
    Finer,
}

/// The columns of the categories by the words of the header, which has one to three rows and empty columns.
#[derive(Default)]
struct Header(Vec<(usize, Heading)>);

impl Header {
    /// Reads one more row; a title or unit is the only cell of its row.
    fn add(&mut self, row: &Row<'_>) {
        if row.cells.len() < 2 {
            return;
        }
        for (column, cell) in row.cells.iter().filter(|(column, _)| *column > 0) {
            let Cell::Text(text) = cell else { continue };
            // Such as a date beside the title.
            if !text.contains(char::is_alphabetic) {
                continue;
            }
            let words: Vec<String> = words(text).collect();
            let is_named = |place: &usize| words.iter().any(|word| word.starts_with(CATEGORIES[BY_WORD[*place]].word));
            let heading = (0..BY_WORD.len()).find(is_named).map_or(Heading::Finer, Heading::Category);
            match self.0.iter_mut().find(|(own, _)| own == column) {
                Some((_, own)) => *own = own.and(heading),
                None => self.0.push((*column, heading)),
            }
        }
    }

    /// The column of each category, the first of several; None if there are too few.
    fn columns(&self) -> Option<Columns> {
        let mut columns = Columns::default();
        for (column, heading) in &self.0 {
            let Heading::Category(place) = heading else { continue };
            let own = &mut columns.0[BY_WORD[*place]];
            *own = Some(own.map_or(*column, |own: usize| own.min(*column)));
        }
        (columns.0.iter().flatten().count() >= MIN_CATEGORIES).then_some(columns)
    }
}

impl Heading {
    fn and(self, other: Heading) -> Heading {
        match (self, other) {
            (Heading::Category(one), Heading::Category(other)) => Heading::Category(one.min(other)),
            _ => Heading::Finer,
        }
    }
}

/// The column of each category, where the file has it.
#[derive(Default)]
struct Columns([Option<usize>; 9]);

impl Columns {
    /// The flows of a row, in millions.
    fn flows(&self, row: &Row<'_>) -> Result<[Option<i64>; 9], Fault> {
        let mut flows = [None; 9];
        for ((flow, column), category) in flows.iter_mut().zip(self.0).zip(&CATEGORIES) {
            let cell = column.and_then(|column| row.cell(column));
            *flow = cell.map(|cell| millions(cell, category)).transpose()?.flatten();
        }
        Ok(flows)
    }

    /// Difference between a category and the sum of its parts. A part without a column counts as 0.
    fn deviation(&self, category: usize, flows: &[Option<i64>; 9]) -> Option<i64> {
        let (mut sum, mut count) = (0, 0);
        for part in CATEGORIES[category].parts.iter().filter(|part| self.0[**part].is_some()) {
            sum += flows[*part]?;
            count += 1;
        }
        flows[category].filter(|_| count > 1).map(|flow| (flow - sum).abs())
    }
}

/// A flow in whole millions, as the sheet displays it; the cell may hold more digits.
fn millions(cell: &Cell<'_>, category: &Category) -> Result<Option<i64>, Fault> {
    let number = match cell {
        Cell::Number(number) => Some(*number),
        Cell::Text(text) => match number(trimmed(text)) {
            None if NOTHING.contains(&text.trim().to_lowercase().as_str()) => return Ok(None),
            number => number,
        },
    };
    let number = number.filter(|number| number.abs() <= MAX_MILLIONS);
    let odd = || {
        Fault(
            "number",
            format!("`{}` `{}` is not a flow in millions", category.name, excerpt(cell.to_string().as_bytes())),
        )
    };
    number.map(|number| Some(number.round() as i64)).ok_or_else(odd)
}

/// What all records of a file share.
pub(super) struct Table<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) report: Text,
    pub(super) source_file: Text,
}

impl Table<'_> {
    /// Reads the rows; None if they have no section below a header.
    pub(super) fn read(&self, rows: Vec<Row<'_>>) -> Result<Option<Parsed>, PageError> {
        let mut rows = rows.into_iter();
        let mut header = Header::default();
        let start = rows.by_ref().take(MAX_HEADER_ROWS).find_map(|row| {
            let start = section(&row).and_then(|frequency| Some((header.columns()?, frequency)));
            header.add(&row);
            start
        });
        let Some((columns, frequency)) = start else { return Ok(None) };
        if rows.len() > MAX_TABLE_ROWS {
            return Err(PageError::Retry(format!("the table has more than {MAX_TABLE_ROWS} rows")));
        }
        let parsed = Parsed::default();
        let mut body = Body { table: self, columns, section: Some(frequency), parsed, keys: Keys::default() };
        for row in rows {
            if let Err(fault) = body.add(&row) {
                body.parsed.rejects.push(row.reject(fault));
            }
        }
        Ok(Some(body.parsed))
    }
}

/// The sections below the header.
struct Body<'a> {
    table: &'a Table<'a>,
    columns: Columns,
    /// Frequency of the section; None after its footnotes have begun.
    section: Option<&'static str>,
    parsed: Parsed,
    keys: Keys<(&'static str, NaiveDate)>,
}

impl Body<'_> {
    fn add(&mut self, row: &Row<'_>) -> Result<(), Fault> {
        if let Some(frequency) = section(row) {
            self.section = Some(frequency);
            return Ok(());
        }
        match (self.section, row.date()) {
            (None, None) => Ok(()),
            (None, Some(date)) => Err(Fault("section", format!("{date} is in no section of months or weeks"))),
            (Some(_), _) if is_footnote(row) => {
                self.section = None;
                Ok(())
            }
            (Some(_), _) if row.is_cut_off() => {
                Err(Fault("cut_off", "ends without a line feed, so its last value may be short".to_owned()))
            }
            (Some(_), None) => Err(bad_date(row)),
            (Some(frequency), Some(date)) => self.flows(row, frequency, date),
        }
    }

    fn flows(&mut self, row: &Row<'_>, frequency: &'static str, period_end: NaiveDate) -> Result<(), Fault> {
        let flows = self.columns.flows(row)?;
        if flows.iter().all(Option::is_none) {
            self.parsed.holes += 1;
            return Ok(());
        }
        if !self.keys.insert((frequency, period_end)) {
            return Err(Fault("duplicate", format!("{period_end} is already in the {frequency} section")));
        }
        let frequency = Text::from(frequency);
        for (category, flow) in flows.iter().enumerate() {
            let Some(net_flow_millions) = *flow else { continue };
            let flow = EtfFlow {
                source: NAME,
                report: self.table.report.clone(),
                frequency: frequency.clone(),
                period_end,
                category: CATEGORIES[category].name.clone(),
                net_flow_millions,
                parts_deviation_millions: self.columns.deviation(category, &flows),
                source_file: self.table.source_file.clone(),
                known_at: self.table.request.last_modified_or_received(),
                observed_at: self.table.request.received_at,
                flags: Vec::new(),
            };
            self.parsed.records.push(flow.into());
        }
        Ok(())
    }
}

/// Whether a row holds only words, and not just a garbled date.
fn is_footnote(row: &Row<'_>) -> bool {
    row.only_text().is_some_and(|text| text.contains(char::is_alphabetic))
}

fn bad_date(row: &Row<'_>) -> Fault {
    let found = row.cell(0).map(Cell::to_string).unwrap_or_default();
    Fault("date", format!("`{}` is not a date like `12/31/2024`", excerpt(found.trim().as_bytes())))
}

#[cfg(test)]
mod tests;
