use proptest::prelude::*;

use super::*;

fn entries(text: &str) -> Option<Vec<(&str, &str)>> {
    let raw: Raw<'_> = serde_json::from_str(text).unwrap();
    raw.entries().map(|entries| entries.map(|(name, value)| (name.get(), value.get())).collect())
}

#[test]
fn an_object_is_taken_apart_as_it_was_sent() {
    let text =
        "{ \"a\" : -1.5e3 ,\n\t\"b\\\"\\\\\":\"x, \\\"}\\\\\", \"\":[{\"c\":[\"]\"]},\"{\\\\\"],\"d\":{ },\"e\":null}";
    let expected = [
        ("\"a\"", "-1.5e3"),
        ("\"b\\\"\\\\\"", "\"x, \\\"}\\\\\""),
        ("\"\"", "[{\"c\":[\"]\"]},\"{\\\\\"]"),
        ("\"d\"", "{ }"),
        ("\"e\"", "null"),
    ];
    assert_eq!(entries(text).unwrap(), expected);
    assert_eq!(entries("{ }"), Some(Vec::new()));
    assert!(["[]", "\"{}\"", "7", "null"].iter().all(|text| entries(text).is_none()));
}

#[test]
fn the_end_of_a_text_is_found_wherever_it_is() {
    for length in 0..40 {
        // A letter whose highest bit is set, and neighbours of both marks.
        let text = "\u{e9}!#[]\u{a2}".chars().cycle().take(length).collect::<String>();
        for (mark, end) in [("\"", 1), ("\\\"\"", 3), ("\\\\\"", 3)] {
            let whole = format!("{text}{mark}, \"\\");
            assert_eq!(end_of_text(whole.as_bytes(), 0), Some(text.len() + end), "{whole}");
        }
        assert_eq!(end_of_text(text.as_bytes(), 0), None);
    }
}

#[test]
fn what_is_written_is_json_and_says_the_same() {
    let pairs = [("a", "1.5"), ("b\"", "x\\\n"), ("é", "\u{1}")];
    let written = Written::object(pairs.into_iter());
    let expected = serde_json::json!({ "a": "1.5", "b\"": "x\\\n", "é": "\u{1}" });
    assert_eq!(serde_json::from_str::<Value>(written.raw().get()).unwrap(), expected);
    assert_eq!(Written::text("x\"").raw().get(), "\"x\\\"\"");
    assert_eq!(Written::object(std::iter::empty()).raw().get(), "{}");
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[\\x00-\\x7fé😀]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let members = prop::collection::vec(("[a-c\"\\\\{},:\\[\\] ]{0,4}", inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Value::from),
            members.prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn the_parts_of_an_object_are_those_that_serde_finds(value in value(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let text = text.unwrap();
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let part = |(name, value): &(&str, &str)| (read(name).as_str().unwrap().to_owned(), read(value));
        let found = entries(&text).map(|parts| parts.iter().map(part).collect::<Vec<_>>());
        let expected = read(&text).as_object().map(|object| object.clone().into_iter().collect::<Vec<_>>());
        prop_assert_eq!(found, expected);
        let raw: Raw<'_> = serde_json::from_str(&text).unwrap();
        let found = raw.elements().map(|values| values.map(|value| read(value.get())).collect::<Vec<_>>());
        prop_assert_eq!(found, read(&text).as_array().cloned());
    }

    #[test]
    fn any_text_ends_and_does_not_panic(text in "\\PC{0,40}|[{}\\[\\]\",:\\\\ a1]{0,40}") {
        let entries = Entries(Values { text: &text, at: 1 });
        prop_assert!(entries.count() <= text.len());
    }
}
