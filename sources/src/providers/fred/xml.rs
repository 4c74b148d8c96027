//! FRED's XML, its default format: the members of the JSON, as attributes.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};

use super::body::{Body, Row};
use crate::parse::body::MAX_ROWS;
use crate::parse::raw::Written;

/// Reads a body whose rows are in the element `list`; the error says what is wrong with it.
pub(super) fn read<'a>(text: &'a str, list: &str) -> Result<Body<'a>, String> {
    let mut reader = Reader::from_str(text);
    // Reports `<a/>` as `<a></a>`: one case less.
    reader.config_mut().expand_empty_elements = true;
    let root = loop {
        match next(&mut reader)? {
            Event::Start(root) => break root,
            Event::Eof => return Err("XML without an element".to_owned()),
            _ => {}
        }
    };
    let is_error = root.name().as_ref() == b"error";
    if !is_error && root.name().as_ref() != list.as_bytes() {
        return Err(format!("expected JSON or `<{list}>`, received markup"));
    }
    let mut body = Body::default();
    for (name, value) in attributes(&root)? {
        let name = if is_error { format!("error_{name}") } else { name.into_owned() };
        if !body.keep(name, Cow::Owned(value)) {
            return Err(format!("`<{list}>` has too many attributes"));
        }
    }
    let rows = rows(&mut reader, text)?;
    body.rows = (!is_error).then_some(rows);
    Ok(body)
}

fn next<'a>(reader: &mut Reader<&'a [u8]>) -> Result<Event<'a>, String> {
    reader.read_event().map_err(|error| error.to_string())
}

/// Name and value of each attribute.
type Attributes<'e> = Vec<(Cow<'e, str>, String)>;

fn attributes<'e>(element: &'e BytesStart<'_>) -> Result<Attributes<'e>, String> {
    let mut found = Vec::new();
    // The check for duplicate names takes quadratic time; of duplicates the last one counts, as in JSON.
    for attribute in element.attributes().with_checks(false) {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let name = String::from_utf8_lossy(attribute.key.into_inner());
        // XML would turn a line break in a value into a space. FRED sends the notes of a series so, and means the break.
        let value = String::from_utf8_lossy(&attribute.value);
        let value = unescape(&value).map_err(|error| error.to_string())?.into_owned();
        found.push((name, value));
    }
    Ok(found)
}

/// The elements up to the end of the root. Without that end, some may have been cut off.
fn rows<'a>(reader: &mut Reader<&'a [u8]>, text: &'a str) -> Result<Vec<Row<'a>>, String> {
    let mut rows = Vec::new();
    loop {
        let start = reader.buffer_position();
        match next(reader)? {
            Event::Start(_) if rows.len() == MAX_ROWS => return Err(format!("a list of more than {MAX_ROWS} rows")),
            Event::Start(element) => {
                let attributes = attributes(&element)?;
                let content = content(reader)?;
                let json = if attributes.is_empty() {
                    Written::text(content.trim())
                } else {
                    Written::object(attributes.iter().map(|(name, value)| (name.as_ref(), value.as_str())))
                };
                let place = start as usize..reader.buffer_position() as usize;
                rows.push(Row::Written(Box::new((json, text.get(place).unwrap_or_default()))));
            }
            Event::End(_) => return Ok(rows),
            Event::Eof => return Err("XML that ends within its root".to_owned()),
            _ => {}
        }
    }
}

/// The text of an element, up to its end.
fn content(reader: &mut Reader<&[u8]>) -> Result<String, String> {
    let mut content = String::new();
    let mut depth = 1_usize;
    while depth > 0 {
        match next(reader)? {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth -= 1,
            Event::Text(text) => content.push_str(&text.decode().map_err(|error| error.to_string())?),
            Event::Eof => return Err("XML that ends within a row".to_owned()),
            _ => {}
        }
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::time::{Duration, Instant};

    use super::*;

    /// Looking for duplicates among all names before took time by the square of their number (RUSTSEC-2026-0194).
    #[test]
    fn a_start_tag_of_eighty_thousand_attributes_is_read_at_once() {
        let mut text = "<observations><observation".to_owned();
        for at in 0..80_000 {
            write!(text, " a{at}=\"1\"").unwrap();
        }
        text.push_str("/></observations>");
        let began = Instant::now();
        let body = read(&text, "observations").unwrap();
        assert_eq!(body.rows.map(|rows| rows.len()), Some(1));
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
}
