//! Odd JSON, CSV and XML against every endpoint: an error or the exact values, never a panic, and never
//! for long.

use std::time::{Duration, Instant};

use contract::Record;

use crate::conformance::{Fixture, Promises, assert_outcome};

/// Longest that a busy machine may need to read or refuse a body of ten megabytes.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most values of a page that are replaced by odd ones.
const PLACES: usize = 40;
/// Length of a value that is too long.
const LONG: usize = 10_000_000;

/// Odd texts in the place of a JSON value.
const ODD: &[&str] = &[
    "1e999",
    "-1e999",
    "NaN",
    "Infinity",
    "-0",
    "0.1000000000000000055511151231257827",
    "123456789012345678901234567890123456789012345678901234567890",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"a\\u0000b\"",
    "\"\u{0}\"",
    "\"0000-00-00\"",
    "\"9999-12-31\"",
    "\"2038-01-19T03:14:08Z\"",
    "\"2026-03-08T02:30:00\"",
    "\"2026-02-30\"",
    "\"=1+1\"",
    "-62135596801",
    "253402300800",
    "true",
    "{}",
    "[[]]",
];

fn is_json(fixture: &Fixture) -> bool {
    fixture.path.extension().is_some_and(|extension| extension == "json")
}

fn is_text_in_columns(fixture: &Fixture) -> bool {
    fixture.path.extension().is_some_and(|extension| extension == "csv" || extension == "tsv")
}

fn check(fixture: &Fixture, what: &str, body: &[u8]) -> Vec<Record> {
    let begin = Instant::now();
    let outcome = fixture.parse(body);
    let took = begin.elapsed();
    assert!(took < PATIENCE, "{} with {what} took {took:?}", fixture.path.display());
    assert_outcome(&fixture.request(), &outcome);
    outcome.map(|page| page.records).unwrap_or_default()
}

/// Start and end of each value of a JSON text: numbers, texts, words.
fn values(body: &[u8]) -> Vec<(usize, usize)> {
    let (mut values, mut at) = (Vec::new(), 0);
    while at < body.len() {
        let begin = at;
        match body[at] {
            b'"' => {
                at += 1;
                while at < body.len() && body[at] != b'"' {
                    at += 1 + usize::from(body[at] == b'\\');
                }
                at = (at + 1).min(body.len());
                // A name is not a value.
                let rest = body[at..].iter().find(|byte| !byte.is_ascii_whitespace());
                if rest != Some(&b':') {
                    values.push((begin, at));
                }
            }
            b'-' | b'0'..=b'9' | b'a'..=b'z' => {
                while at < body.len() && (body[at].is_ascii_alphanumeric() || b"+-.".contains(&body[at])) {
                    at += 1;
                }
                values.push((begin, at));
            }
            _ => at += 1,
        }
    }
    values
}

#[test]
fn an_odd_value_anywhere_in_a_page_spoils_at_most_its_row() {
    let mut tried = 0;
    for (fixture, page) in Promises::ours().pages().into_iter().filter(|(fixture, _)| is_json(fixture)) {
        let values = values(&fixture.body);
        let step = values.len().div_ceil(PLACES).max(1);
        for (begin, end) in values.into_iter().step_by(step) {
            for odd in ODD {
                let body = [&fixture.body[..begin], odd.as_bytes(), &fixture.body[end..]].concat();
                let records = check(&fixture, odd, &body);
                assert!(records.len() <= page.records.len() + page.rejects.len() + 1, "{}", fixture.path.display());
                tried += 1;
            }
        }
    }
    assert!(tried > 10_000, "{tried}");
}

#[test]
fn another_encoding_is_refused_or_decoded() {
    for (fixture, page) in Promises::ours().pages() {
        let Ok(text) = std::str::from_utf8(&fixture.body) else { continue };
        if fixture.source.is_local() && !is_json(&fixture) {
            // A file's first bytes are its header, whatever they are.
            continue;
        }
        let wide = |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> { text.encode_utf16().flat_map(bytes).collect() };
        let bodies = [
            ("a byte order mark", [b"\xef\xbb\xbf".as_slice(), &fixture.body].concat()),
            ("UTF-16, little end first", [b"\xff\xfe".as_slice(), &wide(u16::to_le_bytes)].concat()),
            ("UTF-16, big end first", [b"\xfe\xff".as_slice(), &wide(u16::to_be_bytes)].concat()),
            ("UTF-16 without a mark", wide(u16::to_le_bytes)),
        ];
        for (what, body) in bodies {
            let records = check(&fixture, what, &body);
            let strange = records.iter().find(|record| !page.records.contains(record));
            assert_eq!(strange, None, "{} in {what}", fixture.path.display());
        }
    }
}

#[test]
fn json_with_too_much_of_anything_is_read_or_refused_soon() {
    let keys: String = (0..1_000_000).map(|number| format!("\"k{number}\":1,")).collect();
    let bodies = [
        ("a million keys", format!("{{{keys}\"last\":1}}")),
        ("a million times one key", format!("{{{}\"a\":1}}", "\"a\":1,".repeat(1_000_000))),
        ("a million nulls", format!("[{}null]", "null,".repeat(1_000_000))),
        ("a million empty objects", format!("[{}{{}}]", "{},".repeat(1_000_000))),
        ("a number of ten megabytes", "9".repeat(LONG)),
        ("a fraction of ten megabytes", format!("[0.{}]", "1".repeat(LONG))),
        ("an exponent of ten megabytes", format!("[1e{}]", "9".repeat(LONG))),
        ("a text of ten megabytes", format!("[\"{}\"]", "x".repeat(LONG))),
        ("ten megabytes of escapes", format!("[\"{}\"]", "\\u0041".repeat(LONG / 6))),
        ("ten megabytes of spaces", " ".repeat(LONG)),
        ("nested objects", "{\"a\":".repeat(100_000)),
        ("nested and closed", format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))),
    ];
    for fixture in Promises::ours().first_fixtures().iter().filter(|fixture| is_json(fixture)) {
        for (what, body) in &bodies {
            check(fixture, what, body.as_bytes());
        }
        // In the place of a value that the endpoint reads and does not skip.
        let values = values(&fixture.body);
        let (begin, end) = values[values.len() / 2];
        for (what, body) in &bodies[..6] {
            check(fixture, what, &[&fixture.body[..begin], body.as_bytes(), &fixture.body[end..]].concat());
        }
    }
}

#[test]
fn columns_quotes_and_line_ends_that_are_odd_cost_no_more_than_their_rows() {
    for (fixture, page) in Promises::ours().pages().into_iter().filter(|(fixture, _)| is_text_in_columns(fixture)) {
        let body = &fixture.body;
        let name = fixture.path.display();
        let first_line = body.iter().position(|byte| *byte == b'\n').map_or(body.len(), |at| at + 1);
        let (header, rows) = body.split_at(first_line);
        check(&fixture, "a header of a million columns", &[header, ",".repeat(1_000_000).as_bytes()].concat());
        let wide = [body.as_slice(), ",".repeat(1_000_000).as_bytes(), b"\n", rows].concat();
        check(&fixture, "a row of a million columns", &wide);
        let open = [body.as_slice(), b"\"", "x,\n".repeat(LONG / 3).as_bytes()].concat();
        check(&fixture, "a quote that is not closed", &open);
        check(&fixture, "zeros", &[body.as_slice(), &vec![0; 1_000_000]].concat());
        check(&fixture, "a formula", &[body.as_slice(), b"=1+1,=cmd|' /C calc'!A0,+2,-2,@x\n"].concat());
        let text = String::from_utf8_lossy(body);
        // Every second line ends as on Windows.
        let lines = text.split_inclusive('\n').enumerate();
        let mixed: String = lines
            .map(|(number, line)| match line.strip_suffix('\n') {
                Some(line) if number % 2 == 0 => format!("{}\r\n", line.trim_end_matches('\r')),
                Some(line) => format!("{}\n", line.trim_end_matches('\r')),
                None => line.to_owned(),
            })
            .collect();
        let records = check(&fixture, "mixed line ends", mixed.as_bytes());
        // What cannot be read may hold a line's end itself.
        assert!(records == page.records || !page.rejects.is_empty(), "{name}: {records:?}");
    }
}

#[test]
fn entities_of_xml_are_not_unfolded() {
    let mut bomb = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\">".to_owned();
    for (name, of) in
        ["b", "c", "d", "e", "f", "g", "h", "i", "j"].iter().zip(["a", "b", "c", "d", "e", "f", "g", "h", "i"])
    {
        bomb += &format!("<!ENTITY {name} \"{}\">", format!("&{of};").repeat(10));
    }
    bomb += "<!ENTITY file SYSTEM \"file:///etc/hostname\">]>";
    let mut tried = 0;
    for (fixture, page) in Promises::ours().pages() {
        let Ok(text) = std::str::from_utf8(&fixture.body) else { continue };
        if fixture.path.extension().is_none_or(|extension| extension != "xml") {
            continue;
        }
        let begin = text.find("?>").map_or(0, |at| at + 2);
        for entity in ["&j;", "&file;", "&none;"] {
            // In the place of some texts and values.
            let places: Vec<usize> =
                text.match_indices(['>', '"']).map(|(at, _)| at + 1).filter(|at| *at > begin).collect();
            for at in places.iter().step_by(places.len().div_ceil(PLACES).max(1)) {
                let body = [&text[..begin], &bomb, &text[begin..*at], entity, &text[*at..]].concat();
                for record in check(&fixture, entity, body.as_bytes()) {
                    let said = serde_json::to_string(&record).unwrap();
                    assert!(!said.contains("aaaaaaaaaa"), "{}: {said}", fixture.path.display());
                }
                tried += 1;
            }
        }
        // A declaration alone changes nothing, or is refused.
        let body = [&text[..begin], &bomb, &text[begin..]].concat();
        let records = check(&fixture, "a declaration", body.as_bytes());
        assert!(records.is_empty() || records == page.records, "{}", fixture.path.display());
    }
    assert!(tried > 100, "{tried}");
}
