//! Forms 3, 4 and 5 as XML: their texts, by name.

use quick_xml::Reader;
use quick_xml::events::{BytesRef, Event};

use crate::parse::body::{MAX_ROWS, excerpt};

/// Deepest nesting: the form has eight levels.
const MAX_DEPTH: usize = 32;
/// Most reporting owners: EDGAR accepts ten.
const MAX_OWNERS: usize = 100;
/// Longest name or title, in bytes: more than EDGAR accepts, and as much as a field can hold.
const MAX_TEXT_BYTES: usize = 4096;

/// Elements that are a line of a table, and our name of the table.
const LINES: &[(&str, &str)] = &[
    ("nonDerivativeTransaction", "non_derivative"),
    ("nonDerivativeHolding", "non_derivative_holding"),
    ("derivativeTransaction", "derivative"),
    ("derivativeHolding", "derivative_holding"),
];
const OWNER: &str = "reportingOwner";
const VALUE: &str = "value";
/// Elements whose text is kept: their own, or that of their `value`.
const TEXTS: &[&str] = &[
    "documentType",
    "issuerCik",
    "issuerTradingSymbol",
    "signatureDate",
    "rptOwnerCik",
    "rptOwnerName",
    "isDirector",
    "isOfficer",
    "isTenPercentOwner",
    "officerTitle",
    "otherText",
    "securityTitle",
    "transactionDate",
    "transactionCode",
    "transactionShares",
    "transactionPricePerShare",
    "transactionAcquiredDisposedCode",
    "sharesOwnedFollowingTransaction",
    "directOrIndirectOwnership",
];
/// A holding of derivatives has no shares of its own, only underlying ones.
const UNDERLYING: &str = "underlyingSecurityShares";

/// Texts by the name of their element; of a duplicate name the last one counts.
#[derive(Debug, Default)]
pub(super) struct Texts(Vec<(&'static str, String)>);

impl Texts {
    /// The text of that name; None if absent or empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| *own == name).map(|(_, text)| text.as_str())
    }

    fn put(&mut self, name: &'static str, text: &str) {
        self.0.retain(|(own, _)| *own != name);
        self.0.push((name, text.to_owned()));
    }
}

/// A line of one of the two tables.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// Name of the table, with `_holding` for a line that is not a transaction.
    pub(super) table: &'static str,
    /// Its number within the table, from 1 on; holdings and transactions are counted together.
    pub(super) number: usize,
    /// Its texts.
    pub(super) texts: Texts,
    /// The line as sent.
    pub(super) raw: &'a [u8],
}

/// A report.
#[derive(Debug, Default)]
pub(super) struct Report<'a> {
    /// Texts about the filing and the issuer.
    pub(super) texts: Texts,
    /// Texts about each owner.
    pub(super) owners: Vec<Texts>,
    /// The lines of its tables.
    pub(super) lines: Vec<Line<'a>>,
}

/// Reads a report from its first tag to its last; ignores what follows.
pub(super) fn read(xml: &[u8]) -> Result<Report<'_>, String> {
    let mut reader = Reader::from_reader(xml);
    // Company names may hold an unescaped `&`.
    reader.config_mut().allow_dangling_amp = true;
    let mut reading = Reading::default();
    loop {
        let start = position(&reader);
        match reader.read_event().map_err(|error| excerpt(error.to_string().as_bytes()))? {
            Event::Start(tag) => reading.open(tag.name().as_ref(), start)?,
            Event::End(_) => {
                reading.close(&xml[..position(&reader)])?;
                if reading.path.is_empty() {
                    return Ok(reading.report);
                }
            }
            Event::Text(text) => reading.text.push_str(&String::from_utf8_lossy(&text)),
            Event::CData(text) => reading.text.push_str(&String::from_utf8_lossy(&text)),
            Event::GeneralRef(reference) => reading.text.extend(resolved(&reference)),
            Event::Eof => return Err("ends before its last tag".to_owned()),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

/// A slice has no more bytes than a `usize` can count.
fn position(reader: &Reader<&[u8]>) -> usize {
    reader.buffer_position() as usize
}

/// The character of `&amp;` or `&#38;`; None for a name that XML does not define.
fn resolved(reference: &BytesRef<'_>) -> Option<char> {
    match &**reference {
        b"amp" => Some('&'),
        b"lt" => Some('<'),
        b"gt" => Some('>'),
        b"quot" => Some('"'),
        b"apos" => Some('\''),
        _ => reference.resolve_char_ref().ok().flatten(),
    }
}

/// A report while it is read.
#[derive(Default)]
struct Reading<'a> {
    report: Report<'a>,
    /// Names of the open elements; empty for elements that are ignored.
    path: Vec<&'static str>,
    /// The text since the last tag.
    text: String,
    /// Depth of the open owner.
    owner: Option<usize>,
    /// Depth and start of the open line.
    line: Option<(usize, usize)>,
    /// Number of lines so far, without derivatives and of derivatives.
    numbers: [usize; 2],
    open: Texts,
}

impl<'a> Reading<'a> {
    fn open(&mut self, name: &[u8], start: usize) -> Result<(), String> {
        if self.path.len() == MAX_DEPTH {
            return Err(format!("nested more than {MAX_DEPTH} levels deep"));
        }
        self.text.clear();
        let lines = LINES.iter().map(|(line, _)| *line);
        let mut names = TEXTS.iter().copied().chain(lines).chain([OWNER, VALUE, UNDERLYING]);
        let name = names.find(|known| known.as_bytes() == name).unwrap_or_default();
        if self.owner.is_none() && self.line.is_none() {
            if name == OWNER {
                self.owner = Some(self.path.len());
            } else if LINES.iter().any(|(line, _)| *line == name) {
                self.line = Some((self.path.len(), start));
            }
        }
        self.path.push(name);
        Ok(())
    }

    /// Ends the innermost element; `read` is the text up to and including its closing tag.
    fn close(&mut self, read: &'a [u8]) -> Result<(), String> {
        let name = self.path.pop().unwrap_or_default();
        let depth = self.path.len();
        let leaf = if name == VALUE { self.path.last().copied().unwrap_or_default() } else { name };
        self.keep(leaf);
        if self.owner == Some(depth) {
            self.owner = None;
            if self.report.owners.len() == MAX_OWNERS {
                return Err(format!("has more than {MAX_OWNERS} owners"));
            }
            self.report.owners.push(std::mem::take(&mut self.open));
        }
        if let Some((_, start)) = self.line.filter(|(own, _)| *own == depth) {
            self.line = None;
            self.end_line(name, &read[start..])?;
        }
        Ok(())
    }

    /// Keeps the text of an element, if it is one that is read.
    fn keep(&mut self, leaf: &'static str) {
        let text = self.text.trim();
        if !text.is_empty() && text.len() <= MAX_TEXT_BYTES && (TEXTS.contains(&leaf) || leaf == UNDERLYING) {
            let is_within = self.owner.is_some() || self.line.is_some();
            let texts = if is_within { &mut self.open } else { &mut self.report.texts };
            texts.put(leaf, text);
        }
        self.text.clear();
    }

    fn end_line(&mut self, name: &str, raw: &'a [u8]) -> Result<(), String> {
        if self.report.lines.len() == MAX_ROWS {
            return Err(format!("has more than {MAX_ROWS} lines"));
        }
        let table = LINES.iter().find(|(line, _)| *line == name).map_or("", |(_, table)| table);
        let number = &mut self.numbers[usize::from(table.starts_with("derivative"))];
        *number += 1;
        let line = Line { table, number: *number, texts: std::mem::take(&mut self.open), raw };
        self.report.lines.push(line);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(inner: &str) -> String {
        format!(
            "<ownershipDocument><nonDerivativeTable><nonDerivativeHolding>{inner}</nonDerivativeHolding></nonDerivativeTable></ownershipDocument>"
        )
    }

    #[test]
    fn a_text_is_its_elements_own_or_that_of_its_value() {
        let xml = line(
            "<securityTitle> <value> A &amp; B &#8364; C & D <![CDATA[<E>]]>\n</value><footnoteId id=\"F1\"/></securityTitle><transactionCode>P</transactionCode>",
        );
        let report = read(xml.as_bytes()).unwrap();
        let texts = &report.lines[0].texts;
        assert_eq!(texts.get("securityTitle"), Some("A & B € C & D <E>"));
        assert_eq!((texts.get("transactionCode"), texts.get("transactionShares")), (Some("P"), None));
    }

    #[test]
    fn a_line_is_kept_as_it_was_sent_with_its_number_in_its_table() {
        let xml = "<ownershipDocument><a><nonDerivativeTransaction/><nonDerivativeTransaction><x/></nonDerivativeTransaction>\
            <nonDerivativeHolding>1</nonDerivativeHolding><derivativeHolding></derivativeHolding></a></ownershipDocument>";
        let report = read(xml.as_bytes()).unwrap();
        let lines: Vec<_> = report.lines.iter().map(|line| (line.table, line.number)).collect();
        assert_eq!(lines, [("non_derivative", 1), ("non_derivative_holding", 2), ("derivative_holding", 1)]);
        assert_eq!(report.lines[1].raw, b"<nonDerivativeHolding>1</nonDerivativeHolding>");
    }

    #[test]
    fn what_is_not_whole_or_goes_too_deep_is_refused() {
        let whole = line("<transactionCode>P</transactionCode>");
        assert_eq!(read(&whole.as_bytes()[..whole.len() - 1]).map(|report| report.lines.len()).ok(), None);
        assert!(read(b"<a></b>").is_err());
        assert!(read("<a>".repeat(100_000).as_bytes()).unwrap_err().contains("levels deep"));
        let owners = format!("<a>{}</a>", "<reportingOwner></reportingOwner>".repeat(MAX_OWNERS + 1));
        assert!(read(owners.as_bytes()).unwrap_err().contains("owners"));
    }
}
