use super::*;

fn with<T>(text: &str, read: impl FnOnce(Object<'_>) -> T) -> T {
    read(serde_json::from_str(text).unwrap())
}

fn date(text: &str) -> Option<NaiveDate> {
    Some(text.parse().unwrap())
}

#[test]
fn numbers_are_read_with_and_without_quotes_and_never_through_a_double() {
    with(r#"{"a":"1.50","b":1234567890.123456789,"c":12.0,"d":-3e2,"e":"7"}"#, |object| {
        assert_eq!(object.decimal("a").unwrap().unwrap().to_string(), "1.5");
        assert_eq!(object.decimal("b").unwrap().unwrap().to_string(), "1234567890.123456789");
        assert_eq!((object.whole("c").unwrap(), object.number("d").unwrap()), (Some(12), Some(-300.0)));
        assert_eq!((object.whole("e").unwrap(), object.number("e").unwrap()), (Some(7), Some(7.0)));
    });
}

#[test]
fn a_number_of_few_digits_is_read_as_rust_reads_it() {
    let texts =
        ["0", "-0", "-0.0", "17.240000", "0.1", "007.50", "999999999999999", "-1.23456789012", "0.0000000000001"];
    for text in texts {
        assert_eq!(short(text).map(f64::to_bits), Some(text.parse::<f64>().unwrap().to_bits()), "{text}");
    }
    for number in (0..10_000_u64).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
        let digits = (number >> 17).to_string();
        for at in 1..digits.len().min(13) {
            let text = format!("{}.{}", &digits[..at], &digits[at..digits.len().min(14)]);
            assert_eq!(short(&text).map(f64::to_bits), Some(text.parse::<f64>().unwrap().to_bits()), "{text}");
        }
    }
    for text in ["", "-", ".", ".5", "5.", "1e5", "+1", "1.2.3", "--1", "inf", "1234567890123456"] {
        assert_eq!(short(text), None, "{text}");
    }
}

#[test]
fn what_providers_write_for_nothing_is_none() {
    for value in ["null", "\"\"", "\" \"", "\"NA\"", "\"0000-00-00\"", "\"Infinity\""] {
        with(&format!("{{\"a\":{value}}}"), |object| {
            assert_eq!((object.number("a").unwrap(), object.decimal("a").unwrap()), (None, None), "{value}");
            assert_eq!((object.whole("a").unwrap(), object.date("a").unwrap()), (None, None), "{value}");
        });
    }
    with("{}", |object| assert_eq!(object.text("a").unwrap(), None));
}

#[test]
fn a_value_of_another_kind_is_a_fault_that_says_what_is_there() {
    with(r#"{"a":[1],"b":"x","c":"inf","d":1.5,"e":"2024-13-01","f":{}}"#, |object| {
        assert_eq!(object.number("a").unwrap_err().1, "`a` `[1]` is not a number");
        assert_eq!(object.decimal("b").unwrap_err().1, "`b` `\"x\"` is not a number");
        assert!(object.number("c").is_err());
        assert_eq!(object.whole("d").unwrap_err().1, "`d` `1.5` is not a whole number");
        assert_eq!(object.date("e").unwrap_err().0, "date");
        assert_eq!(object.text("f").unwrap_err().1, "`f` `{}` is not a text");
        assert_eq!(object.needed_text("g").unwrap_err(), absent("g"));
    });
}

#[test]
fn dates_and_times_are_read_in_the_forms_that_providers_use() {
    let text = r#"{"a":"2024-12-31","b":"2024-12-31 00:00:00","c":"2024-12-31T10:20:30+00:00","d":"2024-12-31x"}"#;
    with(text, |object| {
        assert_eq!(object.date("a").unwrap(), date("2024-12-31"));
        assert_eq!(object.date("b").unwrap(), date("2024-12-31"));
        assert_eq!(object.instant("c").unwrap().unwrap().to_rfc3339(), "2024-12-31T10:20:30+00:00");
        assert_eq!(object.local_time("b").unwrap().unwrap().to_string(), "2024-12-31 00:00:00");
        assert!(object.date("d").is_err());
    });
}

#[test]
fn a_date_has_ten_characters() {
    assert_eq!(year_month_day("2024-02-29"), NaiveDate::from_ymd_opt(2024, 2, 29));
    for text in ["", "2023-02-29", "2024-2-29", "+024-02-29", "2024-02-29 ", "2024/02/29", "20240229", "é024-02-2"] {
        assert_eq!(year_month_day(text), None, "{text}");
    }
}

#[test]
fn what_is_kept_of_an_object_has_the_text_that_was_sent() {
    with(r#"{"a":1.50,"b\n":"\u00e9","c":null,"d":[1, 2]}"#, |object| {
        assert_eq!(object.json(|name, _| name != "c").unwrap(), r#"{"a":1.50,"b\n":"\u00e9","d":[1, 2]}"#);
        assert_eq!(object.json(|_, value| value.get().starts_with('{')), None);
        let other: Object<'_> = object.iter().filter(|(name, _)| *name == "a").map(|(_, value)| ("z", value)).collect();
        assert_eq!(other.number("z").unwrap(), Some(1.5));
    });
}

#[test]
fn names_and_texts_may_have_escapes_and_the_last_of_a_name_counts() {
    with(r#"{"\u0061":1,"a":"x\"y"}"#, |object| {
        assert_eq!(object.text("a").unwrap().unwrap(), "x\"y");
        assert_eq!(object.iter().count(), 2);
    });
}
