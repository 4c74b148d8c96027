//! A rule means the same to the consumer and to PostgreSQL.

use contract::dataset::{Field, Kind};
use contract::rule::{Rule, RuleError};
use contract::{Column, Dataset, Decoder, Record, Rows};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use tests::broker::block_on;
use tests::message::bar;
use tests::service;

/// Rules of every shape of the grammar.
const RULES: &[&str] = &[
    "low <= high",
    "low < high",
    "open = close",
    "open <> close",
    "volume >= 0",
    "volume > 0.5",
    "close < 10",
    "currency = 'USD'",
    "currency < 'F'",
    "symbol ~ '^[!-~]{1,40}$'",
    "symbol ~ '^[A-Z]+(=X)?$'",
    "bar_interval ~ '^(1m|1d|1wk)$'",
    "symbol <= currency",
    "ts_start < known_at",
];

/// Few values, with null, so that equal and unequal ones meet.
fn number() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![Just(None), (-4i32..20).prop_map(|number| Some(f64::from(number) / 2.0)), Just(Some(-0.0))]
}

fn records() -> impl Strategy<Value = Record> {
    let texts = prop_oneof![
        Just("A"),
        Just("EURUSD=X"),
        Just("^GSPC"),
        Just("a b"),
        Just("USD"),
        Just("ÄB"),
        Just("1d"),
        Just("")
    ];
    let numbers = (number(), number(), number(), number(), number());
    (texts.clone(), texts.clone(), texts, numbers, 0i64..3).prop_map(
        |(symbol, interval, currency, (open, high, low, close, volume), time)| {
            let mut record = bar(symbol, 0, close.unwrap_or(1.0), time, 0);
            record.bar_interval = interval.into();
            record.currency = Some(currency).filter(|currency| !currency.is_empty()).map(Into::into);
            (record.open, record.high, record.low, record.volume) = (open, high, low, volume);
            Record::from(record)
        },
    )
}

fn rows(dataset: &Dataset, records: &[Record]) -> Rows {
    let decoder = Decoder::new(dataset, &dataset.schema).unwrap();
    let mut rows = Rows::new(dataset);
    for record in records {
        let mut body = Vec::new();
        record.encode(&mut body);
        decoder.decode(&body, &mut rows).unwrap();
    }
    rows
}

/// A value as a PostgreSQL literal.
fn literal(column: &Column, row: usize) -> String {
    // Texts are compared by bytes, as the tables' key columns are declared.
    let text = |text: &str| format!("'{}'::text collate \"C\"", text.replace('\'', "''"));
    match column {
        Column::Text(values) => values[row].as_deref().map_or("null::text".to_owned(), text),
        Column::Double(values) => values[row].map_or("null::float8".to_owned(), |value| format!("'{value}'::float8")),
        Column::Timestamp(values) => format!("to_timestamp({}::float8 / 1e6)", values[row].unwrap()),
        Column::Date(values) => format!("date '1970-01-01' + {}", values[row].unwrap()),
        _ => "null::text".to_owned(),
    }
}

#[test]
fn a_rule_holds_for_the_consumer_exactly_when_it_holds_for_postgres() {
    let Some(address) = service("TAPEDECK_TEST_POSTGRES") else { return };
    let dataset = contract::dataset("ohlcv_bar").unwrap();
    let mut runner = TestRunner::default();
    let strategy = proptest::collection::vec(records(), 400);
    let rows = rows(dataset, &strategy.new_tree(&mut runner).unwrap().current());
    let names: Vec<&str> = dataset.fields.iter().map(|field| field.name.as_str()).collect();
    let value = |row| (0..names.len()).map(|at| literal(rows.column(at), row)).collect::<Vec<_>>().join(", ");
    let values: Vec<String> = (0..rows.len()).map(|row| format!("({row}, {})", value(row))).collect();
    let declared = dataset.rules.iter().chain(&dataset.expectations).map(|rule| rule.text.as_str());
    block_on(async {
        let mut connection = PgConnection::connect(&address).await.unwrap();
        for text in declared.chain(RULES.iter().copied()) {
            let rule = Rule::parse(text, &dataset.fields).unwrap();
            // Like a CHECK: only false is refused.
            let query = format!(
                "select coalesce({text}, true) from (values {}) as bar(place, {}) order by place",
                values.join(", "),
                names.join(", ")
            );
            let held = sqlx::query(AssertSqlSafe(query)).fetch_all(&mut connection).await.unwrap();
            let broken: Vec<bool> = held.iter().map(|row| !row.get::<bool, _>(0)).collect();
            let ours: Vec<bool> = (0..rows.len()).map(|row| rule.is_broken(&rows, row)).collect();
            assert_eq!(ours, broken, "rule `{text}`");
            assert!(broken.contains(&false), "rule `{text}` holds for no row: the test proves nothing");
        }
    });
}

#[test]
fn an_invalid_rule_is_refused_with_the_reason() {
    let fields: Vec<Field> = [("name", Kind::Text), ("count", Kind::Long), ("day", Kind::Date), ("raw", Kind::Bytes)]
        .map(|(name, kind)| Field {
            name: name.to_owned(),
            kind,
            nullable: true,
            doc: String::new(),
            aliases: Vec::new(),
            default: None,
        })
        .into();
    let refused = |text: &str| Rule::parse(text, &fields).unwrap_err();
    assert_eq!(refused("count"), RuleError::Shape);
    assert_eq!(refused("count like 3"), RuleError::Shape);
    assert_eq!(refused("size >= 3"), RuleError::NoField("size".to_owned()));
    assert_eq!(refused("count >= size"), RuleError::NoField("size".to_owned()));
    assert_eq!(refused("count >= 'three'"), RuleError::Kinds);
    assert_eq!(refused("day >= count"), RuleError::Kinds);
    assert_eq!(refused("raw = raw"), RuleError::Kinds);
    assert_eq!(refused("count ~ '^a$'"), RuleError::Kinds);
    assert_eq!(refused("name ~ '^(a$'"), RuleError::Pattern);
}
