//! Records with a registry's ids stay readable when the registry is switched off, gone or replaced.

use contract::{Record, declarations};
use store::writer_schemas;
use tests::broker::{Bench, block_on, free_address, postgres, sqlite_beside};
use tests::message::{Message, bar, encode, send};
use tests::process::{Environment, run, succeed};
use tests::table::letters;
use tests::{pages::Pages, service};

const URL: &str = "TAPEDECK_SCHEMA_REGISTRY_URL";

/// PostgreSQL and SQLite beside the same Kafka, and the registry.
fn benches() -> Option<([Bench; 2], String)> {
    let (bench, registry) = (postgres()?, service("TAPEDECK_TEST_REGISTRY")?);
    let sqlite = sqlite_beside(&bench.brokers);
    Some(([bench, sqlite], registry))
}

/// A bar as another program publishes it: with the registry's id and without our header.
fn foreign(id: u32, symbol: &str) -> Message {
    let record = Record::from(bar(symbol, 0, 1.0, 10, 10));
    (Some(0), Some(record.message_key().into_bytes()), Some(encode(id, &record)))
}

fn stored(bench: &Bench) -> String {
    let rows = bench.query("select symbol from ohlcv_bar where close = 1 order by symbol");
    rows.into_iter().flatten().flatten().collect()
}

fn kept(bench: &Bench) -> Vec<(u32, String)> {
    block_on(writer_schemas::all(&mut *bench.database.store("test"))).unwrap()
}

/// As if another registry had given the schema for the id before.
fn keep(bench: &Bench, id: u32, schema: &str) {
    succeed("consumer", &["migrate", "up"], &bench.environment);
    block_on(writer_schemas::keep(&mut *bench.database.store("test"), id, schema)).unwrap();
}

/// Registers one more schema of a bar; returns its id.
fn another(bench: &Bench, registry: &str) -> u32 {
    let client = kafka::Registry::new(registry).unwrap();
    let schema = declarations::dataset("ohlcv_bar").unwrap().schema.replacen("Open,", "Open: ", 1);
    block_on(client.register(&format!("{}-value", bench.topic("ohlcv_bar")), &schema)).unwrap()
}

/// Runs a command that must succeed; returns its standard error.
fn said(arguments: &[&str], environment: &Environment) -> String {
    let output = run("consumer", arguments, environment);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn history_with_a_registrys_ids_is_readable_on_every_path_when_the_registry_is_off_or_gone() {
    let Some((benches, registry)) = benches() else { return };
    for bench in benches {
        let (on, off) = (bench.with(&[(URL, &registry)]), bench.environment.clone());
        let gone = bench.with(&[(URL, &format!("http://{}", free_address()))]);
        let id = bench.register(&registry, "ohlcv_bar");
        // Before the registry is known, the record is a dead letter.
        send(&bench, "ohlcv_bar", &[foreign(id, "A")]);
        succeed("consumer", &["run", "ohlcv_bar", "--once"], &off);
        let refused = letters(&bench.database);
        let [letter] = refused.as_slice() else { panic!("{} dead letters", refused.len()) };
        assert!(letter.reason.contains("set TAPEDECK_SCHEMA_REGISTRY_URL and redrive"), "{}", letter.reason);
        send(&bench, "ohlcv_bar", &[foreign(id, "B")]);
        succeed("consumer", &["run", "ohlcv_bar", "--once"], &on);
        assert_eq!((stored(&bench), kept(&bench).len()), ("B".to_owned(), 1));
        // From here on without it: shown, redriven, stored, verified, replayed.
        let shown = succeed("consumer", &["dead-letters", "show", &letter.dead_letter_id], &off);
        assert!(shown.contains(r#""symbol":"A""#), "{shown}");
        succeed("consumer", &["dead-letters", "redrive", "--yes"], &off);
        assert_eq!(stored(&bench), "AB");
        for (environment, symbol) in [(&off, "C"), (&gone, "D")] {
            send(&bench, "ohlcv_bar", &[foreign(id, symbol)]);
            succeed("consumer", &["run", "ohlcv_bar", "--once"], environment);
            let all = stored(&bench);
            assert!(all.ends_with(symbol), "{all}");
            succeed("consumer", &["verify", "ohlcv_bar", "--deep"], environment);
            bench.execute("delete from ohlcv_bar");
            succeed("consumer", &["replay", "ohlcv_bar"], environment);
            assert_eq!(stored(&bench), all);
        }
        assert_eq!(letters(&bench.database).len(), 1);
    }
}

#[test]
fn an_empty_database_needs_no_registry_for_the_records_of_our_own_producers() {
    let Some((benches, registry)) = benches() else { return };
    for bench in benches {
        let page = "DATE,OPEN,HIGH,LOW,CLOSE\n01/02/2024,1.5,2.5,1,1\n01/03/2024,1.5,2.5,1,1\n";
        let pages = Pages::of_index("VIX", page.as_bytes());
        let watchlist = bench.folder.path().join("watchlist.toml");
        std::fs::write(&watchlist, "[cboe]\nindex_history = [\"VIX\"]\n").unwrap();
        bench.register(&registry, "ohlcv_bar");
        let (watchlist, off) = (watchlist.to_str().unwrap(), &bench.environment);
        let publishing = [("TAPEDECK_WATCHLIST", watchlist), ("TAPEDECK_CBOE_URL", &pages.url), (URL, &registry)];
        succeed("producer", &["run", "cboe", "--once"], &bench.with(&publishing));
        succeed("consumer", &["run", "--once"], off);
        assert_eq!(stored(&bench), "VIXVIX");
        assert_eq!(bench.number("select count(*) as n from fetch_log"), 1);
        assert_eq!(letters(&bench.database).len(), 0);
        succeed("consumer", &["verify", "--deep"], off);
        // What finds the records to delete reads the topic, too.
        let arguments = ["delete", "ohlcv_bar", "--where", "symbol=VIX", "--yes"];
        let deleted = succeed("producer", &arguments, off);
        assert!(deleted.starts_with("2 records"), "{deleted}");
    }
}

#[test]
fn a_replaced_registry_is_reported_in_one_line_and_no_record_is_read_with_a_wrong_schema() {
    let Some((benches, registry)) = benches() else { return };
    for bench in benches {
        let on = bench.with(&[(URL, &registry)]);
        let schema = |dataset: &str| declarations::dataset(dataset).unwrap().schema.as_str();
        let [foreign_now, changed] = ["filing", "ohlcv_bar"].map(|now| bench.register(&registry, now));
        let exchanged = another(&bench, &registry);
        // The registry of before gave for these ids: what the records have; what fits no bar; two fields exchanged.
        keep(&bench, foreign_now, schema("ohlcv_bar"));
        keep(&bench, changed, schema("observation"));
        let swapped = schema("ohlcv_bar").replace("\"source\"", "\"?\"").replace("\"symbol\"", "\"source\"");
        keep(&bench, exchanged, &swapped.replace("\"?\"", "\"symbol\""));
        send(&bench, "ohlcv_bar", &[foreign(foreign_now, "A"), foreign(changed, "B"), foreign(exchanged, "C")]);
        let said = said(&["run", "ohlcv_bar", "--once"], &on);
        let lines = said.lines().filter(|line| line.contains("gives another schema than before")).count();
        assert_eq!(lines, 3, "{said}");
        assert_eq!(stored(&bench), "AB");
        let refused = letters(&bench.database);
        let [letter] = refused.as_slice() else { panic!("{} dead letters", refused.len()) };
        assert_eq!(&*letter.error_class, "ambiguous");
        let off = succeed("consumer", &["verify", "ohlcv_bar", "--deep"], &bench.environment);
        assert!(off.contains("verified"), "{off}");
    }
}

#[test]
fn a_schema_of_the_registry_that_is_no_bar_costs_its_own_record_only_and_is_not_kept() {
    let Some((benches, registry)) = benches() else { return };
    for bench in benches {
        let (on, off) = (bench.with(&[(URL, &registry)]), bench.environment.clone());
        let (own, other) = (bench.register(&registry, "ohlcv_bar"), bench.register(&registry, "filing"));
        for (environment, symbols) in [(&on, ["A", "B", "C"]), (&off, ["D", "E", "F"])] {
            let messages = [foreign(own, symbols[0]), foreign(other, symbols[1]), foreign(own, symbols[2])];
            send(&bench, "ohlcv_bar", &messages);
            succeed("consumer", &["run", "ohlcv_bar", "--once"], environment);
        }
        assert_eq!(stored(&bench), "ACDF");
        let classes = bench.query("select error_class from dead_letter");
        assert_eq!(classes, vec![vec![Some("unknown_schema".to_owned())]; 2]);
        let kept = kept(&bench);
        assert!(matches!(kept.as_slice(), [(id, _)] if *id == own), "{kept:?}");
    }
}
