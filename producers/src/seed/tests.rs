use contract::validate::validate_last;
use contract::{Decoder, Rows};

use super::*;

/// The rows of records, decoded as a consumer decodes them.
fn decoded(name: &str, records: &[Record]) -> Rows {
    let dataset = dataset(name).unwrap();
    let mut rows = Rows::new(dataset);
    let decoder = Decoder::new(dataset, &dataset.schema).unwrap();
    for record in records {
        let mut body = Vec::new();
        record.encode(&mut body);
        decoder.decode(&body, &mut rows).unwrap();
        validate_last(dataset, &mut rows, known_at().timestamp_micros()).unwrap();
    }
    rows
}

#[test]
fn every_record_keeps_the_rules_and_has_a_key_of_its_own() {
    for (name, records, at_least) in
        [("exchange", exchanges(), 40), ("sector", sectors(), 21), ("industry", industries(), 440)]
    {
        assert_eq!(decoded(name, &records).len(), records.len());
        let keys: HashSet<String> = records.iter().map(Record::message_key).collect();
        assert!(keys.len() == records.len() && records.len() >= at_least, "{name}: {} keys", keys.len());
    }
}

#[test]
fn an_exchange_has_the_shape_of_the_standards() {
    let is_upper = |text: &str, length| text.len() == length && text.chars().all(|letter| letter.is_ascii_uppercase());
    for row in rows::<8>(include_str!("../../seed/exchange.tsv")) {
        let [mic, name, country, country_code, currency, zone, opens_at, closes_at] = row;
        assert!(is_upper(mic, 4) && is_upper(country_code, 2) && is_upper(currency, 3), "{row:?}");
        assert!(!name.is_empty() && !country.is_empty() && zone.contains('/'), "{row:?}");
        let is_time = |text: &str| chrono::NaiveTime::parse_from_str(text, "%H:%M").is_ok();
        let has_hours = is_time(opens_at) && is_time(closes_at) && opens_at < closes_at;
        assert!(has_hours || opens_at.is_empty() && closes_at.is_empty(), "{row:?}");
    }
}

#[test]
fn a_code_belongs_to_the_division_that_its_first_two_digits_say() {
    let sector = |wanted: &str| {
        industries().into_iter().find_map(|record| match record {
            Record::Industry(industry) if industry.industry_code.as_str() == wanted => {
                industry.sector_code.map(|code| code.as_str().to_owned())
            }
            _ => None,
        })
    };
    for (code, division) in [
        ("0100", "A"),
        ("1311", "B"),
        ("1531", "C"),
        ("3571", "D"),
        ("4911", "E"),
        ("5045", "F"),
        ("5961", "G"),
        ("6021", "H"),
        ("7372", "I"),
        ("9721", "J"),
    ] {
        assert_eq!(sector(code).as_deref(), Some(division), "{code}");
    }
    assert_eq!(sector("9995"), None, "no division is of those that cannot be classified");
}
