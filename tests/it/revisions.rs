//! Revisions on real brokers: `verify --deep` proves them, and a replay fills in what an earlier executable did not keep.

use tests::broker::{Bench, benches};
use tests::message::{bar, insertion, publish};
use tests::process::{fail, succeed};

use crate::verify::{by_hand, consume, verify};

/// Versions of a bar, in the order of their offsets: (known, close).
const VERSIONS: [(i64, f64); 5] = [(20, 2.0), (40, 4.0), (10, 1.0), (30, 3.0), (40, 4.0)];

/// One bar in five records, of which the last repeats the second.
fn load(bench: &Bench) {
    let records = VERSIONS.map(|(known, close)| insertion(&bar("S", 0, close, known, known)));
    publish(bench, "ohlcv_bar", &records);
    consume(bench);
}

/// The closes of all revisions, in the order of their versions.
fn revisions(bench: &Bench) -> Vec<String> {
    let query = "select cast(cast(close as integer) as text) as close from ohlcv_bar_revision order by known_at";
    bench.query(query).into_iter().flatten().flatten().collect()
}

#[test]
fn a_revision_that_was_changed_by_hand_is_named_with_its_key_and_version() {
    for (name, bench) in benches() {
        load(&bench);
        assert_eq!(revisions(&bench), ["1", "2", "3"], "on {name}");
        let (is_good, said) = verify(&bench, &["ohlcv_bar", "--deep"]);
        assert!(is_good && said.contains("1 rows and 3 revisions"), "on {name}: {said}");
        let of = |what: &str| format!("{what} ohlcv_bar_revision");
        let one = "where close = 2";
        let steps = [
            (
                of("update") + " set close = 9 " + one,
                "has other values than",
                of("update") + " set close = 2 where close = 9",
            ),
            (
                of("update") + " set topic_offset = topic_offset + 1 " + one,
                "is said to be at",
                of("update") + " set topic_offset = topic_offset - 1 " + one,
            ),
            (
                of("update") + " set content_hash = content_hash + 1 " + one,
                "is of no record",
                of("update") + " set content_hash = content_hash - 1 " + one,
            ),
        ];
        for (wrong, expected, right) in steps {
            by_hand(&bench, &wrong);
            let (is_good, said) = verify(&bench, &["ohlcv_bar", "--deep"]);
            assert!(!is_good && said.contains(expected), "on {name}, {wrong}: {said}");
            assert!(said.contains("test|S|1d|"), "on {name}: the key is not named: {said}");
            assert!(said.contains("known at "), "on {name}: the version is not named: {said}");
            by_hand(&bench, &right);
            assert!(verify(&bench, &["ohlcv_bar", "--deep"]).0, "on {name}, {right}");
        }
        by_hand(&bench, &format!("{} {one}", of("delete from")));
        let (is_good, said) = verify(&bench, &["ohlcv_bar", "--deep"]);
        assert!(!is_good && said.contains("has no revision known at "), "on {name}: {said}");
    }
}

#[test]
fn a_replay_fills_in_the_revisions_that_an_earlier_executable_did_not_keep() {
    for (name, bench) in benches() {
        load(&bench);
        // So are the tables after a migration.
        bench.execute("delete from ohlcv_bar_revision");
        bench.execute("update sink_chunk set records_kept = null");
        bench.execute("update ohlcv_bar set topic_incarnation = null, topic_partition = null, topic_offset = null");
        let (is_good, said) = verify(&bench, &["ohlcv_bar", "--deep"]);
        assert!(is_good && said.contains("of 3 earlier versions there are no revisions"), "on {name}: {said}");
        succeed("consumer", &["replay", "ohlcv_bar"], &bench.environment);
        assert_eq!(revisions(&bench), ["1", "2", "3"], "on {name}");
        let places = "select count(*) as n from ohlcv_bar where topic_offset is not null";
        assert_eq!(bench.number(places), 1, "on {name}");
        let (is_good, said) = verify(&bench, &["ohlcv_bar", "--deep"]);
        assert!(is_good && !said.contains("there are no revisions"), "on {name}: {said}");
        assert_eq!(bench.number("select count(*) as n from sink_chunk where records_kept is null"), 0, "on {name}");
    }
}

#[test]
fn a_replay_corrects_the_place_of_a_row_that_an_earlier_executable_replaced() {
    for (name, bench) in benches() {
        load(&bench);
        // It replaces the row and leaves its place: that of the version before.
        by_hand(&bench, "update ohlcv_bar set topic_offset = 0");
        bench.execute("update sink_chunk set records_kept = null");
        succeed("consumer", &["replay", "ohlcv_bar"], &bench.environment);
        assert_eq!(bench.number("select topic_offset as n from ohlcv_bar"), 1, "on {name}");
        let (is_good, said) = verify(&bench, &["ohlcv_bar", "--deep"]);
        assert!(is_good, "on {name}: {said}");
    }
}

/// Rows of a chunk: as many as PostgreSQL needs to try the faster statement.
const MANY: i64 = 500;

#[test]
fn a_row_that_is_replaced_may_be_a_revision_already() {
    for (name, bench) in benches() {
        for known in [10, 20] {
            let records: Vec<_> =
                (0..MANY).map(|day| insertion(&bar("S", day as u32, known as f64, known, known))).collect();
            publish(&bench, "ohlcv_bar", &records);
        }
        let environment = bench.with(&[("TAPEDECK_CHUNK_ROWS", &MANY.to_string())]);
        succeed("consumer", &["replay", "ohlcv_bar"], &environment);
        let count = |table: &str| bench.number(&format!("select count(*) as n from {table}"));
        let counts = || ["ohlcv_bar", "ohlcv_bar_revision"].map(count);
        assert_eq!(counts(), [MANY, MANY], "on {name}");
        bench.execute("delete from ohlcv_bar");
        succeed("consumer", &["replay", "ohlcv_bar"], &environment);
        assert_eq!(counts(), [MANY, MANY], "on {name}");
        let closes = "select count(*) as n from ohlcv_bar where close = 20";
        assert_eq!(bench.number(closes), MANY, "on {name}");
    }
}

#[test]
fn a_side_table_takes_its_revisions_through_the_exchange() {
    for (name, bench) in benches() {
        load(&bench);
        by_hand(&bench, "delete from ohlcv_bar_revision where close = 2");
        succeed("consumer", &["replay", "ohlcv_bar", "--into", "bars"], &bench.environment);
        succeed("consumer", &["replay", "ohlcv_bar", "--into", "bars", "--swap"], &bench.environment);
        assert_eq!(revisions(&bench), ["1", "2", "3"], "on {name}");
        assert!(verify(&bench, &["ohlcv_bar", "--deep"]).0, "on {name}");
        assert_eq!(bench.number("select count(*) as n from bars_revision"), 2, "on {name}: the earlier state is kept");
        let said = fail("consumer", &["replay", "ohlcv_bar", "--into", "bars_revision"], &bench.environment);
        assert!(said.contains("cannot be a side table"), "on {name}: {said}");
    }
}
