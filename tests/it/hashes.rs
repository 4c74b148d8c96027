//! The content hash: which values it tells apart, what changes nothing, and that it stays what it is.

use contract::rows::Value;
use contract::{Dataset, Kind, Rows, dataset, datasets};
use proptest::prelude::*;

/// Dataset, content hash and hash by place of the row that [`plain_row`] makes.
///
/// Stored rows have the first hash: when it must change, `VERSION` in `store/src/rehash.rs` must too. Indexes that
/// producers saved before the hash had names have the second, which never changes.
const GOLDEN: &[(&str, i64, i64)] = &[
    ("ohlcv_bar", -6_267_774_813_208_895_426, -546_988_224_631_568_686),
    ("observation", 2_053_917_398_717_604_675, -1_187_738_822_333_345_470),
    ("series", 833_086_916_507_851_039, -2_823_635_634_242_936_699),
    ("dead_letter", 6_564_742_525_765_328_760, 4_358_481_781_835_367_666),
    ("corporate_action", 6_334_327_693_256_789_172, 4_622_219_810_632_563_519),
    ("observation_vintage", -7_663_109_604_382_434_269, -793_121_234_011_077_639),
    ("etf_flow", -7_834_029_053_088_308_973, 8_401_537_177_006_939_567),
    ("option_quote", 5_865_432_681_050_093_953, 3_243_919_395_241_195_135),
    ("news_article", 4_799_037_762_330_241_165, -5_910_389_320_247_355_162),
    ("financial_statement", 4_785_355_530_756_966_339, -9_080_392_145_414_165_114),
    ("financial_ratio", -738_954_175_966_621_904, -1_825_126_614_867_863_609),
    ("company", -5_230_707_722_484_367_068, -5_264_949_410_575_150_425),
    ("analyst_rating", -5_762_269_674_484_505_049, -5_655_633_664_951_182_102),
    ("insider_transaction", 814_946_584_355_874_774, -2_693_383_568_356_810_116),
    ("filing", 6_217_879_568_929_876_042, 2_332_949_142_695_263_504),
    ("xbrl_fact", 5_098_633_603_435_160_326, -4_712_651_607_947_083_735),
    ("technical_indicator", -532_558_530_048_873_684, 8_120_980_112_373_406_984),
    ("prediction", -6_067_755_367_426_353_834, 3_848_709_751_698_339_987),
    ("model_performance", -4_420_331_680_844_915_372, -965_645_933_880_965_262),
    ("fetch_log", -7_944_040_651_147_085_836, 1_750_556_869_353_566_813),
    ("series_vintage", 452_134_511_889_206_968, -6_123_689_339_164_393_384),
    ("exchange", 5_679_833_049_811_840_640, -5_755_386_392_276_790_088),
    ("sector", 4_876_023_864_699_905_511, 846_183_078_064_442_543),
    ("industry", 8_673_517_589_376_671_422, -8_107_928_539_774_405_498),
    ("instrument", 1_377_776_585_652_542_494, 179_372_009_128_185_740),
];

/// A row with a value in every field.
fn plain_row(dataset: &Dataset) -> Vec<Value> {
    let value = |(at, kind): (usize, Kind)| match kind {
        Kind::Text => Value::Text(format!("text {at}").into()),
        Kind::Long => Value::Long(at as i64 - 7),
        Kind::Double => Value::Double(at as f64 / -4.0),
        Kind::Date => Value::Date(18_000 + at as i32),
        Kind::Timestamp => Value::Long(1_700_000_000_000_000 + at as i64),
        Kind::Decimal => Value::Decimal(format!("{at}.50").parse().unwrap()),
        Kind::Json => Value::Text(r#"{"b": 1.50, "a": [1, "\u00e9"]}"#.into()),
        Kind::Bytes => Value::Bytes(vec![0, at as u8]),
        Kind::TextList => Value::TextList(vec![format!("text {at}"), String::new()]),
    };
    dataset.fields.iter().map(|field| field.kind).enumerate().map(value).collect()
}

fn rows(dataset: &Dataset, values: impl IntoIterator<Item = Value>) -> Rows {
    let mut rows = Rows::new(dataset);
    rows.push_row(values, false);
    rows
}

#[test]
fn the_hashes_of_one_row_of_each_dataset_are_those_that_tables_and_indexes_hold() {
    let hashes = |dataset: &'static Dataset| {
        let rows = rows(dataset, plain_row(dataset));
        (&*dataset.name, rows.content_hash(dataset, 0), rows.hash(dataset.values(), 0))
    };
    let found: Vec<_> = datasets().iter().map(hashes).collect();
    assert_eq!(found, GOLDEN);
}

/// An article with these symbols and tags.
fn article(symbols: &[&str], tags: &[&str]) -> (i64, i64) {
    let dataset = dataset("news_article").unwrap();
    let mut values = vec![Value::Null; dataset.fields.len()];
    for (name, texts) in [("symbols", symbols), ("tags", tags)] {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        values[dataset.position(name).unwrap()] = Value::TextList(texts);
    }
    let rows = rows(dataset, values);
    (rows.content_hash(dataset, 0), rows.hash(dataset.values(), 0))
}

#[test]
fn a_renamed_field_counts_under_its_first_name() {
    let renamed = include_str!("../../schemas/series.avsc")
        .replace(r#"{ "name": "title","#, r#"{ "name": "headline", "aliases": ["title", "caption"],"#);
    let (old, new) = (dataset("series").unwrap(), Dataset::parse(&renamed).unwrap());
    assert!(new.position("headline").is_some(), "the schema is written in another way");
    let hash = |dataset: &Dataset| rows(dataset, plain_row(dataset)).content_hash(dataset, 0);
    assert_eq!(hash(&new), hash(old));
}

#[test]
fn a_text_that_moves_from_one_list_to_the_other_changes_the_hash() {
    let (both, one_each) = (article(&["A", "B"], &[]), article(&["A"], &["B"]));
    assert_ne!(both.0, one_each.0);
    assert_eq!(both.1, one_each.1, "by place they were the same, and the producer swallowed the correction");
}

/// A dataset with fields of every kind, all of them optional where Avro allows it.
fn every_kind() -> serde_json::Value {
    let optional = |name: &str, avro: serde_json::Value| serde_json::json!({"name": name, "type": ["null", avro], "default": null, "doc": "x"});
    let logical = |avro: &str, logical: &str| serde_json::json!({"type": avro, "logicalType": logical});
    let decimal = serde_json::json!({"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 12});
    let needed = |name: &str, avro: serde_json::Value| serde_json::json!({"name": name, "type": avro, "doc": "x"});
    let list = serde_json::json!({"type": "array", "items": "string"});
    let micros = logical("long", "timestamp-micros");
    serde_json::json!({
        "type": "record", "name": "every_kind", "namespace": "tapedeck", "doc": "x", "version": 1, "schema_id": 9002,
        "key": ["source"], "rules": [], "expectations": [],
        "fields": [
            needed("source", "string".into()), optional("one", "string".into()), optional("two", "string".into()),
            needed("first", list.clone()), needed("second", list.clone()), optional("count", "long".into()),
            optional("ratio", "double".into()), optional("raw", "bytes".into()), optional("price", decimal),
            optional("more", logical("string", "json")), optional("day", logical("int", "date")),
            optional("at", micros.clone()), needed("known_at", micros.clone()), needed("observed_at", micros),
            needed("flags", list),
        ],
    })
}

/// Few texts that contain each other, so that a wrong boundary between two values is met often.
fn text() -> impl Strategy<Value = String> {
    let part = proptest::sample::select(vec!["A", "B", "\u{1f}", ",", "\0", "\u{1}"]);
    proptest::collection::vec(part, 0..3).prop_map(|parts| parts.concat())
}

fn value(kind: Kind) -> BoxedStrategy<Value> {
    let some = match kind {
        Kind::Text => text().prop_map(|text| Value::Text(text.into())).boxed(),
        Kind::Json => {
            proptest::sample::select(vec!["1", "\"A\"", "[]"]).prop_map(|text| Value::Text(text.into())).boxed()
        }
        Kind::Long | Kind::Timestamp => (0..3_i64).prop_map(Value::Long).boxed(),
        Kind::Double => (0..3_i32).prop_map(|number| Value::Double(number.into())).boxed(),
        Kind::Date => (0..3).prop_map(Value::Date).boxed(),
        Kind::Decimal => (0..3_i64).prop_map(|number| Value::Decimal(number.into())).boxed(),
        Kind::Bytes => text().prop_map(|text| Value::Bytes(text.into_bytes())).boxed(),
        Kind::TextList => return proptest::collection::vec(text(), 0..4).prop_map(Value::TextList).boxed(),
    };
    prop_oneof![Just(Value::Null), some].boxed()
}

fn some_row(dataset: &Dataset) -> impl Strategy<Value = Vec<Value>> + use<> {
    dataset.fields.iter().map(|field| value(field.kind)).collect::<Vec<_>>()
}

fn parse(declaration: &serde_json::Value) -> Dataset {
    Dataset::parse(&declaration.to_string()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn rows_have_the_same_hash_exactly_when_their_values_are_the_same(
        left in some_row(&parse(&every_kind())),
        right in some_row(&parse(&every_kind())),
        change in 0..4, at in 0..15_usize,
    ) {
        let dataset = parse(&every_kind());
        let [one, two, first, second] = ["one", "two", "first", "second"].map(|name| dataset.position(name).unwrap());
        let mut other = left.clone();
        match change {
            0 => other.swap(one, two),
            1 => other.swap(first, second),
            2 => other[at] = right[at].clone(),
            _ => {
                // The last text of one list becomes the first of the other.
                let [Value::TextList(from), Value::TextList(to)] = other.get_disjoint_mut([first, second]).unwrap() else {
                    unreachable!("both are lists")
                };
                to.splice(0..0, from.pop());
            }
        }
        let right = other;
        let is_same = dataset.values().all(|at| left[at] == right[at]);
        let hash = |values: &[Value]| rows(&dataset, values.to_vec()).content_hash(&dataset, 0);
        prop_assert_eq!(hash(&left) == hash(&right), is_same);
    }

    #[test]
    fn a_new_optional_field_changes_no_hash_wherever_it_is_declared(
        values in some_row(&parse(&every_kind())), at in 0..=15_usize, is_list in any::<bool>(), turn in 0..15_usize,
    ) {
        let mut declaration = every_kind();
        let old = parse(&declaration);
        let fields = declaration["fields"].as_array_mut().unwrap();
        let list = serde_json::json!({"name": "added", "type": {"type": "array", "items": "string"}, "doc": "x"});
        let text = serde_json::json!({"name": "added", "type": ["null", "string"], "doc": "x"});
        fields.insert(at, if is_list { list } else { text });
        // The order of the declaration does not count either.
        fields.rotate_left(turn);
        let new = parse(&declaration);
        let place = |name: &str| old.position(name).map_or(Value::Null, |at| values[at].clone());
        let moved = new.fields.iter().map(|field| place(&field.name));
        let (before, after) = (rows(&old, values.clone()), rows(&new, moved));
        prop_assert_eq!(before.content_hash(&old, 0), after.content_hash(&new, 0));
    }
}
