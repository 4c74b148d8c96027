use chrono_tz::America::New_York;

use super::*;

fn field(kind: Kind) -> Field {
    Field { name: "f".to_owned(), kind, nullable: true, doc: String::new(), aliases: Vec::new(), default: None }
}

fn value(kind: Kind, format: &str, zone: Tz, cell: Cell<'_>) -> Result<Value, Fault> {
    let format = if format.is_empty() { Format::Plain } else { Format::parse(format).unwrap() };
    let mut values = Vec::new();
    read(&field(kind), &format, zone, cell, &mut values)?;
    Ok(values.remove(0))
}

fn of_text(kind: Kind, text: &str) -> Result<Value, Fault> {
    value(kind, "", Tz::UTC, Cell::Text(text.into()))
}

fn time(format: &str, zone: Tz, cell: Cell<'_>) -> String {
    match value(Kind::Timestamp, format, zone, cell).unwrap() {
        Value::Long(micros) => DateTime::from_timestamp_micros(micros).unwrap().to_rfc3339(),
        other => panic!("{other:?}"),
    }
}

fn day(format: &str, zone: Tz, cell: Cell<'_>) -> String {
    match value(Kind::Date, format, zone, cell).unwrap() {
        Value::Date(days) => NaiveDate::from_epoch_days(days).unwrap().to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn numbers_are_plain_and_finite() {
    assert_eq!(of_text(Kind::Double, " 1.5e3 "), Ok(Value::Double(1500.0)));
    assert_eq!(
        of_text(Kind::Decimal, "123456789.123456789012"),
        Ok(Value::Decimal(decimal::parse("123456789.123456789012").unwrap()))
    );
    assert_eq!((of_text(Kind::Long, "12"), of_text(Kind::Long, "-12.0")), (Ok(Value::Long(12)), Ok(Value::Long(-12))));
    for text in ["inf", "1e999", "12%", "$5", "0x10", "1_000", "NaN0"] {
        let Fault(class, reason) = of_text(Kind::Double, text).unwrap_err();
        assert_eq!((class, reason), ("number", format!("`f`: `{text}` is not a number")));
    }
    for (text, expected, advice) in [
        (
            "1,000",
            "number",
            "if the comma begins decimals, add `decimal:=,` to the item; if it separates thousands, `decimal:=.`",
        ),
        ("1.000,50", "decimal_comma", "if the file has decimal commas, add `decimal:=,` to the item"),
        ("1,000.50", "number", "if the file separates thousands, add `decimal:=.` to the item"),
    ] {
        let Fault(class, reason) = of_text(Kind::Decimal, text).unwrap_err();
        assert_eq!((class, reason), (expected, format!("`f`: `{text}` is not a number; {advice}")));
    }
    assert!(of_text(Kind::Long, "1.5").is_err() && of_text(Kind::Long, "99999999999999999999").is_err());
}

#[test]
fn a_declared_notation_reads_its_numbers_and_refuses_the_others() {
    let read = |kind: Kind, text: &str| {
        let mut values = Vec::new();
        let format = Format::Number(DecimalSign::Comma);
        read(&field(kind), &format, Tz::UTC, Cell::Text(text.into()), &mut values).map(|()| values.remove(0))
    };
    assert_eq!(read(Kind::Double, "284,19"), Ok(Value::Double(284.19)));
    assert_eq!(
        (read(Kind::Double, "137"), read(Kind::Double, "1.250")),
        (Ok(Value::Double(137.0)), Ok(Value::Double(1250.0)))
    );
    assert_eq!(read(Kind::Long, "1.100"), Ok(Value::Long(1100)));
    assert_eq!(read(Kind::Decimal, "0,10"), Ok(Value::Decimal(decimal::parse("0.10").unwrap())));
    assert_eq!((read(Kind::Double, "NA"), read(Kind::Double, " ")), (Ok(Value::Null), Ok(Value::Null)));
    let refused = Fault("number", "`f`: `1.1` is not a number with a decimal comma".to_owned());
    assert_eq!(read(Kind::Double, "1.1"), Err(refused));
}

#[test]
fn what_is_written_for_nothing_is_null_but_where_it_may_be_a_text() {
    for text in ["", "  ", "NA", "NaN", "null", "None", "-", "N/A"] {
        assert_eq!(of_text(Kind::Double, text), Ok(Value::Null), "{text}");
        assert_eq!(of_text(Kind::Date, text), Ok(Value::Null), "{text}");
    }
    assert_eq!(of_text(Kind::Text, "NA"), Ok(Value::Text("NA".into())));
    assert_eq!(of_text(Kind::Text, " "), Ok(Value::Null));
    assert_eq!(value(Kind::Double, "", Tz::UTC, Cell::Number(f64::NAN)), Ok(Value::Null));
    assert!(value(Kind::Double, "", Tz::UTC, Cell::Number(f64::INFINITY)).is_err());
}

#[test]
fn times_without_a_zone_are_in_the_one_that_is_given() {
    for (text, utc, new_york) in [
        ("2024-07-01", "2024-07-01T00:00:00+00:00", "2024-07-01T04:00:00+00:00"),
        ("20240701", "2024-07-01T00:00:00+00:00", "2024-07-01T04:00:00+00:00"),
        ("2024-07-01 09:30", "2024-07-01T09:30:00+00:00", "2024-07-01T13:30:00+00:00"),
        ("2024-07-01T09:30:00.25", "2024-07-01T09:30:00.250+00:00", "2024-07-01T13:30:00.250+00:00"),
        ("2024-07-01T09:30:00Z", "2024-07-01T09:30:00+00:00", "2024-07-01T09:30:00+00:00"),
        ("2024-07-01 09:30:00-05:00", "2024-07-01T14:30:00+00:00", "2024-07-01T14:30:00+00:00"),
        ("2024-07-01 09:30:00 +0530", "2024-07-01T04:00:00+00:00", "2024-07-01T04:00:00+00:00"),
        ("2024-07-01 09:30:00 UTC", "2024-07-01T09:30:00+00:00", "2024-07-01T09:30:00+00:00"),
    ] {
        assert_eq!(time("", Tz::UTC, Cell::Text(text.into())), utc, "{text}");
        assert_eq!(time("", New_York, Cell::Text(text.into())), new_york, "{text}");
    }
    // A time that comes twice is the first; a skipped time is None.
    assert_eq!(time("", New_York, Cell::Text("2024-11-03 01:30".into())), "2024-11-03T05:30:00+00:00");
    assert!(value(Kind::Timestamp, "", New_York, Cell::Text("2024-03-10 02:30".into())).is_err());
}

#[test]
fn formats_say_how_dates_and_times_are_written() {
    assert_eq!(day("%m/%d/%Y", Tz::UTC, Cell::Text("7/1/2024".into())), "2024-07-01");
    assert_eq!(day("%d.%m.%y", Tz::UTC, Cell::Text("01.07.24".into())), "2024-07-01");
    assert_eq!(day("s", New_York, Cell::Text("1719792000".into())), "2024-06-30");
    assert_eq!(time("%d-%b-%Y %H:%M", New_York, Cell::Text("01-Jul-2024 09:30".into())), "2024-07-01T13:30:00+00:00");
    assert_eq!(time("%m/%d/%Y", New_York, Cell::Text("07/01/2024".into())), "2024-07-01T04:00:00+00:00");
    assert_eq!(
        time("%Y-%m-%d %H:%M:%S %z", New_York, Cell::Text("2024-07-01 00:00:00 +0200".into())),
        "2024-06-30T22:00:00+00:00"
    );
    for (format, cell) in [
        ("s", Cell::Text("1719792000".into())),
        ("ms", Cell::Whole(1_719_792_000_000)),
        ("us", Cell::Number(1_719_792_000e6)),
        ("ns", Cell::Text("1719792000000000000".into())),
    ] {
        assert_eq!(time(format, New_York, cell), "2024-07-01T00:00:00+00:00", "{format}");
    }
    for format in ["", "Date", "%Q", "%"] {
        assert!(Format::parse(format).is_err(), "{format}");
    }
}

#[test]
fn typed_values_are_taken_as_they_are() {
    assert_eq!(day("", New_York, Cell::Date(19_905)), "2024-07-01");
    assert_eq!(day("", New_York, Cell::Instant(1_719_792_000_000_000)), "2024-06-30");
    assert_eq!(day("", New_York, Cell::Local(1_719_792_000_000_000)), "2024-07-01");
    assert_eq!(day("", New_York, Cell::Whole(20_240_701)), "2024-07-01");
    assert_eq!(time("", New_York, Cell::Local(1_719_792_000_000_000)), "2024-07-01T04:00:00+00:00");
    assert_eq!(value(Kind::Text, "", Tz::UTC, Cell::Whole(600_519)), Ok(Value::Text("600519".into())));
    assert_eq!(
        value(Kind::Decimal, "", Tz::UTC, Cell::Number(0.1)),
        Ok(Value::Decimal(decimal::parse("0.1").unwrap()))
    );
    assert_eq!(value(Kind::Long, "", Tz::UTC, Cell::Number(3.0)), Ok(Value::Long(3)));
}

#[test]
fn what_is_no_date_or_lies_where_none_can_be_stored_is_refused() {
    for text in [
        "2024-02-30",
        "01/07/2024",
        "2024-7-1",
        "2024-07-01x",
        "2024-07-01T",
        "0000-01-01",
        "9999-12-31",
        "1719792000",
        "2024-07-01 25:00",
    ] {
        assert!(of_text(Kind::Date, text).is_err(), "{text}");
        assert!(of_text(Kind::Timestamp, text).is_err(), "{text}");
    }
    for cell in [Cell::Instant(i64::MAX), Cell::Local(i64::MIN), Cell::Date(i64::MAX), Cell::Whole(i64::MIN)] {
        assert!(value(Kind::Timestamp, "", New_York, cell.clone()).is_err(), "{cell:?}");

        assert!(value(Kind::Date, "", New_York, cell).is_err());
    }
}

#[test]
fn lists_and_json_are_read_from_their_texts() {
    let list = |texts: &[&str]| Ok(Value::TextList(texts.iter().map(|text| (*text).to_owned()).collect()));
    assert_eq!(of_text(Kind::TextList, "AAPL| MSFT|"), list(&["AAPL", "MSFT"]));
    assert_eq!(of_text(Kind::TextList, r#"["a|b"]"#), list(&["a|b"]));
    assert_eq!(value(Kind::TextList, "", Tz::UTC, Cell::Json(r#"["a","b"]"#)), list(&["a", "b"]));
    assert!(value(Kind::TextList, "", Tz::UTC, Cell::Json("[1]")).is_err());
    assert_eq!(of_text(Kind::Json, r#"{"a":1}"#), Ok(Value::Text(r#"{"a":1}"#.into())));
    assert!(of_text(Kind::Json, "{a:1}").is_err());
}
