//! Settings of a database and of ours: what works all the same, and what ends a process with one line.

use contract::Record;
use tests::broker::{block_on, embedded, postgres};
use tests::message::{BAR_SCHEMA_ID, Message, bar, encode, send};
use tests::process::{fail, succeed};

fn bars(days: std::ops::Range<u32>) -> Vec<Message> {
    let value = |day| encode(BAR_SCHEMA_ID, &Record::from(bar("A", day, 1.0, 0, 0)));
    days.map(|day| (Some(day as i32 % 4), None, Some(value(day)))).collect()
}

#[test]
fn a_database_with_other_defaults_is_filled_all_the_same() {
    let Some(bench) = postgres() else { return };
    let name = bench.query("select current_database()::text")[0][0].clone().unwrap();
    for setting in ["standard_conforming_strings = off", "default_transaction_isolation = 'serializable'"] {
        bench.execute(&format!("alter database {name} set {setting}"));
    }
    // No statement of today has a backslash in a literal, and a chunk that cannot be serialized is written again: so the
    // session itself is asked.
    let asked = "select '\\' || current_setting('transaction_isolation')".to_owned();
    let mut store = bench.database.store("test");
    assert_eq!(block_on(store.rows(asked, &[])).unwrap(), [[Some(r"\read committed".to_owned())]]);
    send(&bench, "ohlcv_bar", &bars(0..20));
    succeed("consumer", &["run", "ohlcv_bar", "--once"], &bench.environment);
    assert_eq!(bench.number("select count(*) as n from ohlcv_bar"), 20);
    succeed("consumer", &["verify", "ohlcv_bar", "--deep"], &bench.environment);
}

#[test]
fn a_number_out_of_range_ends_a_consumer_with_one_line_that_states_the_range() {
    let bench = embedded();
    for (name, value, range) in [
        ("TAPEDECK_CHUNK_ROWS", "0", "from 1 to 1000000"),
        ("TAPEDECK_CHUNK_BYTES", "-1", "from 1 to 1073741824"),
        ("TAPEDECK_CHUNK_AGE_MS", "1.5", "from 1 to 3600000"),
        ("TAPEDECK_FETCH_BYTES", "7", "from 1024 to 1073741824"),
        ("TAPEDECK_WRITERS", "65", "from 1 to 64"),
        ("TAPEDECK_BREAKER_PERCENT", "101", "from 0 to 100"),
        ("TAPEDECK_SCHEMA_PATIENCE_S", "soon", "from 0 to 86400"),
        ("TAPEDECK_WATCHDOG_S", "86401", "from 0 to 86400"),
        ("TAPEDECK_TOPIC_PARTITIONS", "0", "from 1 to 1024"),
        ("TAPEDECK_TOPIC_REPLICATION", "17", "from -1 to 16"),
    ] {
        let said = fail("consumer", &["run", "ohlcv_bar"], &bench.with(&[(name, value)]));
        let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
        let expected = format!("`{name}` is `{value}`, which is not a whole number {range}");
        assert!(errors.len() == 1 && errors[0].contains(&expected), "{name}: {said}");
    }
}
