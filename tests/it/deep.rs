//! `verify --deep` of a large table beside a consumer: bounded memory, short transactions, no false difference.

use std::io::Read as _;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use contract::Record;
use tests::broker::{Bench, postgres};
use tests::message::{bar, send_records};
use tests::process::{Running, command, peak_kib, run, succeed, until};

/// Keys of the table.
const KEYS: u32 = 1_000_000;
/// Keys that are sent at once.
const BATCH: u32 = 50_000;
/// Most memory of the comparison, in KiB. A map of all keys alone would need as much.
const MEMORY_KIB: u64 = 160 * 1024;
/// Oldest transaction that it may have, in seconds.
const TRANSACTION_S: f64 = 3.0;

fn load(bench: &Bench) {
    for first in (0..KEYS).step_by(BATCH as usize) {
        let record = |number: u32| {
            let mut bar = bar("", number % 1000, f64::from(number), 10, 10);
            bar.symbol = format!("S{}", number / 1000).into();
            Record::from(bar)
        };
        let records: Vec<Record> = (first..first + BATCH).map(record).collect();
        send_records(bench, "ohlcv_bar", &records);
    }
    succeed("consumer", &["run", "ohlcv_bar", "--once"], &bench.environment);
}

/// Corrections of keys everywhere in the table, and new keys, until it is told to stop.
fn correct(bench: &Bench, is_over: &AtomicBool) {
    for round in 0.. {
        let record = |number: u32| {
            let mut bar = bar("", number * 37 % 1000, f64::from(round), 20 + i64::from(round), 20 + i64::from(round));
            bar.symbol = format!("S{}", number * 7919 % 1000).into();
            if number.is_multiple_of(10) {
                bar.symbol = format!("S{number}N{round}").into();
            }
            Record::from(bar)
        };
        send_records(bench, "ohlcv_bar", &(0..200).map(record).collect::<Vec<_>>());
        if is_over.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// Compares the table while a consumer writes; returns what it said, its most memory, and its oldest transaction.
fn compare_beside_a_consumer(bench: &Bench) -> (String, u64, f64) {
    let consumer = Running::start(command("consumer", &["run", "ohlcv_bar"], &bench.environment));
    let (rows, late) = ("select count(*) as n from ohlcv_bar", AtomicBool::new(false));
    let measured = std::thread::scope(|scope| {
        scope.spawn(|| correct(bench, &late));
        until("the consumer stores corrections", || bench.number(rows) > i64::from(KEYS));
        let mut verify = command("consumer", &["verify", "ohlcv_bar", "--deep"], &bench.environment);
        let mut child = verify.stdout(Stdio::piped()).spawn().unwrap();
        let (mut peak, mut oldest) = (0, 0.0_f64);
        while child.try_wait().unwrap().is_none() {
            peak = peak_kib(child.id()).unwrap_or(peak);
            let age = "select cast(coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0) as text) as age \
                 from pg_stat_activity where application_name = 'tapedeck/verify' and datname = current_database()";
            oldest = oldest.max(bench.query(age)[0][0].as_deref().unwrap().parse().unwrap());
        }
        late.store(true, Ordering::Relaxed);
        let mut said = String::new();
        child.stdout.unwrap().read_to_string(&mut said).unwrap();
        (said, peak, oldest)
    });
    drop(consumer);
    measured
}

#[test]
fn a_million_keys_are_compared_beside_a_consumer_in_bounded_memory_and_short_transactions() {
    let Some(bench) = postgres() else { return };
    load(&bench);
    let (said, peak, oldest) = compare_beside_a_consumer(&bench);
    println!("{peak} KiB, oldest transaction {oldest} s\n{said}");
    assert!(said.ends_with("\nverified\n"), "{said}");
    assert!(peak < MEMORY_KIB, "{peak} KiB");
    assert!(oldest < TRANSACTION_S, "a transaction was {oldest} s old");

    // What is wrong is found among a million, wherever it is.
    let of = |number: u32| format!("symbol = 'S{}' and close = {number}", number / 1000);
    bench.execute(&format!("delete from ohlcv_bar where {}", of(123_001)));
    bench.execute(&format!("update ohlcv_bar set volume = 7 where {}", of(456_001)));
    bench.execute(&format!("update ohlcv_bar set known_at = known_at - interval '1 s' where {}", of(789_001)));
    bench.execute(&format!("update ohlcv_bar set symbol = 'NOBODY' where {}", of(999_001)));
    let verified = run("consumer", &["verify", "ohlcv_bar", "--deep"], &bench.environment);
    let said = String::from_utf8(verified.stdout).unwrap();
    let lines: Vec<&str> = said.lines().filter(|line| line.contains(": ohlcv_bar: `")).collect();
    assert_eq!(lines.len(), 5, "{said}");
    let places =
        ["missing: ohlcv_bar: `test|S123|", "missing: ohlcv_bar: `test|S999|", "extra: ohlcv_bar: `test|NOBODY|"];
    let words = ["`test|S456|1d|", "`test|S789|1d|", "has other values than", "has an older version than"];
    for word in places.iter().chain(&words) {
        assert!(lines.iter().any(|line| line.contains(word)), "`{word}` is not in {said}");
    }
}

#[test]
fn a_folder_for_temporary_files_that_does_not_exist_is_named_when_it_is_needed() {
    let Some(bench) = postgres() else { return };
    succeed("consumer", &["run", "series", "--once"], &bench.environment);
    // Nothing is written: a small table is compared in memory.
    let said = succeed("consumer", &["verify", "series", "--deep", "--temp-dir", "/no/such"], &bench.environment);
    assert!(said.ends_with("verified\n"), "{said}");
}
