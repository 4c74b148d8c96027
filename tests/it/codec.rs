//! The wire format, compared with apache-avro, and what it refuses.

#![expect(deprecated, reason = "the plain functions are shorter, and the readers behind them are the same")]

use apache_avro::types::Value;
use apache_avro::{Schema, from_avro_datum, to_avro_datum};
use contract::decode::{SchemaError, split_header};
use contract::encode;
use contract::{Column, Dataset, DecodeError, Decoder, Rows, datasets};
use proptest::prelude::*;

/// Any value of a field, as an apache-avro value.
fn value(schema: &Schema) -> BoxedStrategy<Value> {
    match schema {
        Schema::String => any::<String>().prop_map(Value::String).boxed(),
        Schema::Long => any::<i64>().prop_map(Value::Long).boxed(),
        Schema::Double => any::<f64>().prop_map(Value::Double).boxed(),
        Schema::Bytes => any::<Vec<u8>>().prop_map(Value::Bytes).boxed(),
        Schema::Decimal(_) => (any::<i64>(), 0..=contract::decimal::SCALE).prop_map(decimal).boxed(),
        Schema::Date => any::<i32>().prop_map(Value::Date).boxed(),
        Schema::TimestampMicros => any::<i64>().prop_map(Value::TimestampMicros).boxed(),
        Schema::Array(_) => {
            let texts = proptest::collection::vec(any::<String>().prop_map(Value::String), 0..4);
            texts.prop_map(Value::Array).boxed()
        }
        Schema::Union(union) => {
            let inner = value(&union.variants()[1]).prop_map(|value| Value::Union(1, Box::new(value)));
            prop_oneof![Just(Value::Union(0, Box::new(Value::Null))), inner].boxed()
        }
        other => panic!("no strategy for {other:?}"),
    }
}

/// The decimal of a number with that many digits after the point.
fn decimal((number, scale): (impl Into<i128>, u32)) -> Value {
    let unscaled: i128 = number.into() * 10_i128.pow(contract::decimal::SCALE - scale);
    let bytes = unscaled.to_be_bytes();
    let needless = bytes.windows(2).take_while(|pair| matches!(pair, [0, 0..=0x7f] | [0xff, 0x80..=0xff])).count();
    Value::Decimal(bytes[needless..].into())
}

fn record(schema: &Schema) -> BoxedStrategy<Value> {
    let Schema::Record(record) = schema else { panic!("not a record") };
    let fields = record.fields.iter().map(|field| {
        let name = field.name.clone();
        value(&field.schema).prop_map(move |value| (name.clone(), value)).boxed()
    });
    fields.collect::<Vec<_>>().prop_map(Value::Record).boxed()
}

/// A record of any dataset.
fn any_record() -> impl Strategy<Value = (&'static Dataset, Schema, Value)> {
    (0..datasets().len()).prop_flat_map(|at| {
        let dataset = &datasets()[at];
        let schema = Schema::parse_str(&dataset.schema).unwrap();
        record(&schema).prop_map(move |value| (dataset, schema.clone(), value))
    })
}

fn decode(dataset: &Dataset, body: &[u8]) -> Result<Rows, DecodeError> {
    let mut rows = Rows::new(dataset);
    Decoder::new(dataset, &dataset.schema).unwrap().decode(body, &mut rows)?;
    Ok(rows)
}

/// A row that we decoded, as an apache-avro value.
pub(crate) fn as_avro(dataset: &Dataset, rows: &Rows) -> Value {
    let wrap = |nullable: bool, value: Option<Value>| match (nullable, value) {
        (true, None) => Value::Union(0, Box::new(Value::Null)),
        (true, Some(value)) => Value::Union(1, Box::new(value)),
        (false, value) => value.unwrap(),
    };
    let field = |at: usize| {
        let value = match rows.column(at) {
            Column::Text(values) | Column::Json(values) => values[0].clone().map(Value::String),
            Column::Decimal(values) => values[0].map(|value| decimal((value.mantissa(), value.scale()))),
            Column::Long(values) => values[0].map(Value::Long),
            Column::Double(values) => values[0].map(Value::Double),
            Column::Date(values) => values[0].map(Value::Date),
            Column::Timestamp(values) => values[0].map(Value::TimestampMicros),
            Column::Bytes(values) => values[0].clone().map(Value::Bytes),
            Column::TextList(values) => Some(Value::Array(values[0].iter().cloned().map(Value::String).collect())),
        };
        (dataset.fields[at].name.clone(), wrap(dataset.fields[at].nullable, value))
    };
    Value::Record((0..dataset.fields.len()).map(field).collect())
}

/// Equal, where NaN equals NaN of the same bits.
pub(crate) fn same(left: &Value, right: &Value) -> bool {
    format!("{left:?}") == format!("{right:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_apache_avro_writes_is_decoded_to_the_same_values((dataset, schema, value) in any_record()) {
        let body = to_avro_datum(&schema, value.clone()).unwrap();
        let rows = decode(dataset, &body).unwrap();
        prop_assert!(same(&as_avro(dataset, &rows), &value));
    }

    #[test]
    fn a_record_cut_off_anywhere_is_an_error_and_leaves_no_row(
        (dataset, schema, value) in any_record(), cut in any::<prop::sample::Index>()
    ) {
        let body = to_avro_datum(&schema, value).unwrap();
        let cut = cut.index(body.len());
        prop_assert!(decode(dataset, &body[..cut]).is_err());
        let mut rows = decode(dataset, &body).unwrap();
        let decoder = Decoder::new(dataset, &dataset.schema).unwrap();
        prop_assert!(decoder.decode(&body[..cut], &mut rows).is_err());
        prop_assert_eq!(&rows, &decode(dataset, &body).unwrap());
    }

    #[test]
    fn bytes_after_the_record_are_an_error((dataset, schema, value) in any_record(), more in 1usize..9) {
        let mut body = to_avro_datum(&schema, value).unwrap();
        body.extend(std::iter::repeat_n(0, more));
        prop_assert_eq!(decode(dataset, &body), Err(DecodeError::Trailing { count: more }));
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_what_is_decoded_apache_avro_decodes_too(
        at in 0..datasets().len(), body in any::<Vec<u8>>()
    ) {
        let dataset = &datasets()[at];
        if let Ok(rows) = decode(dataset, &body) {
            let schema = Schema::parse_str(&dataset.schema).unwrap();
            let theirs = from_avro_datum(&schema, &mut body.as_slice(), None).unwrap();
            prop_assert!(same(&as_avro(dataset, &rows), &theirs));
        }
    }
}

#[test]
fn our_records_are_read_by_apache_avro() {
    let bar = tests::message::bar("AAPL", 3, 12.5, 7, 8);
    let mut body = Vec::new();
    bar.encode(&mut body);
    let dataset = contract::dataset("ohlcv_bar").unwrap();
    let schema = Schema::parse_str(&dataset.schema).unwrap();
    let mut input = body.as_slice();
    let Value::Record(fields) = from_avro_datum(&schema, &mut input, None).unwrap() else { panic!("a record") };
    assert!(input.is_empty());
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).unwrap().1.clone();
    assert_eq!(field("symbol"), Value::String("AAPL".to_owned()));
    assert_eq!(field("trading_date"), Value::Date(19_726));
    assert_eq!(field("close"), Value::Double(12.5));
    assert_eq!(field("currency"), Value::Union(1, Box::new(Value::String("USD".to_owned()))));
    assert_eq!(field("adjusted_close"), Value::Union(0, Box::new(Value::Null)));
    assert_eq!(field("known_at"), Value::TimestampMicros(bar.known_at.timestamp_micros()));
}

#[test]
fn what_avro_does_not_allow_is_refused_by_field() {
    let dataset = contract::dataset("observation").unwrap();
    let text = |text: &[u8]| [&[text.len() as u8 * 2], text].concat();
    let refused = |body: Vec<u8>| decode(dataset, &body).unwrap_err();
    let malformed = |field: &str, what| DecodeError::Malformed { field: field.to_owned(), what };
    let key = [text(b"fred"), text(b"GDP"), vec![2]].concat();
    assert_eq!(refused(text(&[0xff])), malformed("source", "a text is not UTF-8"));
    assert_eq!(refused(vec![1]), malformed("source", "a length is negative"));
    assert_eq!(refused(vec![0xff; 11]), malformed("source", "a number has more than 64 bits"));
    assert_eq!(refused([key.clone(), vec![4]].concat()), malformed("value", "a union has no such branch"));
    assert_eq!(refused([key.clone(), vec![1]].concat()), malformed("value", "a union has no such branch"));
    let wide = [text(b"fred"), text(b"GDP"), vec![0x80, 0x80, 0x80, 0x80, 0x10]].concat();
    assert_eq!(refused(wide), malformed("observation_date", "an int has more than 32 bits"));
    let bomb = [key, vec![0, 2, 2], vec![0xfe, 0xff, 0xff, 0xff, 0x0f]].concat();
    assert_eq!(refused(bomb), malformed("flags", "a list has more than 10,000 items"));
}

#[test]
fn a_message_without_magic_byte_and_schema_id_is_refused() {
    assert_eq!(split_header(&[]), Err(DecodeError::Empty));
    assert_eq!(split_header(&[0, 0, 0, 1]), Err(DecodeError::Header));
    assert_eq!(split_header(&[1, 0, 0, 0, 1, 2]), Err(DecodeError::Header));
    assert_eq!(split_header(&[0, 0, 0, 1, 2, 7]), Ok((258, [7].as_slice())));
    let mut header = Vec::new();
    encode::put_header(258, &mut header);
    assert_eq!(header, [0, 0, 0, 1, 2]);
}

#[test]
fn a_writers_schema_with_other_order_more_fields_and_fewer_optional_ones_is_read_by_name() {
    let dataset = contract::dataset("observation").unwrap();
    let schema = r#"{"type":"record","name":"observation","fields":[
        {"name":"note","type":["null",{"type":"map","values":"long"}]},
        {"name":"observed_at","type":{"type":"long","logicalType":"timestamp-micros"}},
        {"name":"known_at","type":{"type":"long","logicalType":"timestamp-micros"}},
        {"name":"observation_date","type":{"type":"int","logicalType":"date"}},
        {"name":"series_id","type":"string"},
        {"name":"source","type":["string"]}]}"#;
    let body = [&[2, 2, 2, b'n', 6, 0, 4, 6, 8, 2, b'X', 0, 2][..], b"y"].concat();
    let mut rows = Rows::new(dataset);
    Decoder::new(dataset, schema).unwrap().decode(&body, &mut rows).unwrap();
    let text = |name: &str| rows.column(dataset.position(name).unwrap()).text(0).map(str::to_owned);
    assert_eq!(text("series_id"), Some("X".to_owned()));
    assert_eq!(text("source"), Some("y".to_owned()));
    assert_eq!(rows.column(dataset.position("value").unwrap()), &Column::Double(vec![None]));
    assert_eq!(rows.column(dataset.position("known_at").unwrap()), &Column::Timestamp(vec![Some(3)]));
    assert_eq!(rows.column(dataset.flags), &Column::TextList(vec![vec![]]));
}

#[test]
fn a_writers_schema_that_does_not_fit_is_refused_with_the_field() {
    let dataset = contract::dataset("observation").unwrap();
    let incompatible = |schema: String| match Decoder::new(dataset, &schema).unwrap_err() {
        SchemaError::Incompatible { field, what, .. } => (field, what),
        other => panic!("{other}"),
    };
    let with = |from: &str, to: &str| dataset.schema.replace(from, to);
    assert_eq!(
        incompatible(with("\"series_id\", \"type\"", "\"series\", \"type\"")),
        ("series_id".to_owned(), "is absent")
    );
    assert_eq!(incompatible(with("[\"null\", \"double\"]", "[\"null\", \"string\"]")).0, "value");
    let millis = with("timestamp-micros", "timestamp-millis");
    assert_eq!(incompatible(millis).1, "is of another type", "millis read as micros");
    assert!(matches!(Decoder::new(dataset, "{}"), Err(SchemaError::Unreadable(_))));
    assert!(matches!(Decoder::new(dataset, "no"), Err(SchemaError::Unreadable(_))));
}
