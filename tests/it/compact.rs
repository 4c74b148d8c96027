//! The ledger stays small, and what it proves stays the same.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use store::chunk::SinkPartition;
use store::{Database, LEDGER_FINE};
use tests::broker::{Bench, benches, block_on};
use tests::message::{bar, send_records};
use tests::process::{Running, command, run, succeed, until};

/// A generator of numbers that a seed repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, end: i64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as i64 % end
    }

    fn is(&mut self, percent: i64) -> bool {
        self.below(100) < percent
    }
}

/// An entry of one partition's ledger, as it was written.
struct Entry {
    from: i64,
    to: i64,
    counts: [i64; 6],
    committed_at: DateTime<Utc>,
}

/// The ledger of one partition.
struct Ledger {
    partition: SinkPartition,
    entries: Vec<Entry>,
    gaps: Vec<(i64, i64)>,
}

fn start() -> DateTime<Utc> {
    "2026-01-20T05:00:00Z".parse().unwrap()
}

/// A ledger with markers of transactions, gaps that are recorded and that are not, overlaps, chunks whose counts do not
/// fit their range, pauses of days, and days of many chunks.
fn ledger(partition: SinkPartition, chunks: usize, random: &mut Random) -> Ledger {
    let (mut entries, mut gaps) = (Vec::<Entry>::new(), Vec::new());
    let (mut offset, mut time) = (random.below(50), start());
    for _ in 0..chunks {
        if random.is(2) {
            let end = offset + 1 + random.below(9);
            if random.is(50) {
                gaps.push((offset, end));
            }
            offset = end;
        }
        let last = entries.last().map(|last| last.from);
        let from = if random.is(2) { last.map_or(offset, |last| offset.min(last + 1)) } else { offset };
        let to = from.max(offset) + 1 + random.below(30);
        let read = (to - from - random.below(3).min(to - from)) + if random.is(1) { 5 } else { 0 };
        let mut counts = [read, 0, 0, 0, 0, 0];
        for _ in 0..read {
            counts[1 + random.below(5) as usize] += 1;
        }
        let seconds = if random.is(1) { random.below(400_000) } else { random.below(8_640_000 / chunks as i64) };
        time += TimeDelta::seconds(seconds);
        entries.push(Entry { from, to, counts, committed_at: time });
        offset = to;
    }
    Ledger { partition, entries, gaps }
}

/// Ledgers of several sinks, partitions and incarnations.
fn ledgers(seed: u64) -> Vec<Ledger> {
    let mut random = Random(seed);
    let names = [("t.bar.a", 0, 0), ("t.bar.a", 0, 1), ("t.bar.a", 1, 0), ("t.bar.b", 0, 0), ("t.x.replay.1", 0, 0)];
    let sizes = [5000, 700, 1, 300, 40];
    let ledger = |((sink, incarnation, number), size): ((&str, i32, i32), usize)| {
        let partition = SinkPartition { sink: sink.into(), topic: "t.bar.v1".into(), incarnation, number };
        ledger(partition, size, &mut random)
    };
    names.into_iter().zip(sizes).map(ledger).collect()
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn names(partition: &SinkPartition) -> String {
    let SinkPartition { sink, topic, incarnation, number } = partition;
    format!("'{sink}', '{topic}', {incarnation}, {number}")
}

fn insert_entries(bench: &Bench, partition: &SinkPartition, entries: &[Entry]) {
    for part in entries.chunks(500) {
        let value = |Entry { from, to, counts, committed_at }: &Entry| {
            let counts = counts.map(|count| count.to_string()).join(", ");
            format!("({}, {from}, {to}, {counts}, '{}')", names(partition), time(*committed_at))
        };
        let values: Vec<String> = part.iter().map(value).collect();
        bench.execute(&format!(
            "insert into sink_chunk (sink, kafka_topic, kafka_incarnation, kafka_partition, from_offset, to_offset, \
             records_read, records_inserted, records_changed, records_unchanged, records_superseded, \
             records_dead_lettered, committed_at) values {}",
            values.join(", ")
        ));
    }
}

fn store(bench: &Bench, ledgers: &[Ledger]) {
    for Ledger { partition, entries, gaps } in ledgers {
        insert_entries(bench, partition, entries);
        let names = names(partition);
        let end = entries.last().unwrap().to;
        bench.execute(&format!(
            "insert into sink_position (sink, kafka_topic, kafka_incarnation, kafka_partition, next_offset, updated_at) \
             values ({names}, {end}, '{}')",
            time(start())
        ));
        for (from, to) in gaps {
            let gap = format!("insert into sink_gap values ({names}, {from}, {to}, 'retention', '{}')", time(start()));
            bench.execute(&gap);
        }
    }
}

/// What `verify` reads of the ledger: sums, ends and breaks of each partition, and the totals.
fn proven(database: &Database, ledgers: &[Ledger]) -> Vec<String> {
    block_on(async {
        let mut audit = database.audit().await.unwrap();
        let mut proven: Vec<String> = audit.ledger().await.unwrap().iter().map(|sums| format!("{sums:?}")).collect();
        for ledger in ledgers {
            proven.push(format!("{:?}", audit.breaks(&ledger.partition, usize::MAX >> 1).await.unwrap()));
        }
        let totals = database.store("test").totals().await.unwrap();
        proven.extend(totals.iter().map(|total| format!("{total:?}")));
        proven
    })
}

/// Checks where entries begin, and the counts from there on, which `verify --deep` uses for a topic that is trimmed.
fn check_entries(bench: &Bench, ledgers: &[Ledger], now: DateTime<Utc>, what: &str) {
    for Ledger { partition, entries, .. } in ledgers {
        let SinkPartition { sink, incarnation, number, .. } = partition;
        let of = format!("sink = '{sink}' and kafka_incarnation = {incarnation} and kafka_partition = {number}");
        let found = bench.query(&format!("select from_offset from sink_chunk where {of} order by 1"));
        let begins: Vec<i64> = found.iter().map(|row| row[0].as_deref().unwrap().parse().unwrap()).collect();
        let fine = entries.iter().filter(|entry| entry.committed_at + LEDGER_FINE >= now).chain(entries.last());
        assert!(
            fine.clone().all(|entry| begins.contains(&entry.from)),
            "{what}: a recent chunk of {partition} is merged"
        );
        block_on(async {
            let mut audit = bench.database.audit().await.unwrap();
            for begin in begins.iter().step_by(begins.len() / 20 + 1) {
                let read = entries.iter().filter(|entry| entry.from >= *begin).map(|entry| entry.counts[0]).sum();
                let since = audit.read_since(partition, *begin).await.unwrap();
                assert_eq!(since, Some((*begin, read)), "{what}: {partition} from {begin} on");
            }
        });
    }
}

fn entries(bench: &Bench) -> i64 {
    bench.number("select count(*) as n from sink_chunk")
}

#[test]
fn whatever_a_ledger_holds_it_proves_the_same_after_old_entries_were_merged() {
    for (name, bench) in benches() {
        for seed in 1..=3 {
            let what = format!("seed {seed} on {name}");
            succeed("consumer", &["migrate"], &bench.environment);
            let ledgers = ledgers(seed);
            store(&bench, &ledgers);
            let before = proven(&bench.database, &ledgers);
            let all = entries(&bench);
            for days in [10, 45, 90, 400] {
                let now = start() + TimeDelta::days(days);
                block_on(bench.database.compact_ledger(now)).unwrap();
                assert_eq!(proven(&bench.database, &ledgers), before, "{what}, after {days} days");
                check_entries(&bench, &ledgers, now, &what);
                assert_eq!(block_on(bench.database.compact_ledger(now)).unwrap(), 0, "{what}: a second time");
            }
            // What is left is what cannot be merged: months, and the faults.
            let left = entries(&bench);
            assert!(left < all / 10, "{what}: {left} of {all} entries are left");
            for table in ["sink_chunk", "sink_gap", "sink_position"] {
                bench.execute(&format!("delete from {table}"));
            }
        }
    }
}

#[test]
fn a_compaction_that_is_killed_anywhere_or_runs_several_times_at_once_changes_no_sum() {
    for (name, bench) in benches() {
        succeed("consumer", &["migrate"], &bench.environment);
        let mut ledgers = ledgers(7);
        // The newest chunks of the first ledger arrive while it is compacted.
        let late = ledgers[0].entries.split_off(4500);
        store(&bench, &ledgers);
        let (begun, sums) = (entries(&bench), |bench: &Bench| proven(&bench.database, &[]));
        let before = sums(&bench);
        let now = start() + TimeDelta::days(400);
        // Each attempt is cut off later than the one before, so that some are cut off in each statement.
        let (mut micros, mut was_cut_between) = (500, false);
        loop {
            let limit = Duration::from_micros(micros);
            let attempt = async { tokio::time::timeout(limit, bench.database.compact_ledger(now)).await };
            let ended = block_on(attempt);
            assert_eq!(sums(&bench), before, "cut off after {micros} us on {name}");
            if ended.is_ok_and(|removed| removed.unwrap() == 0) {
                break;
            }
            was_cut_between |= entries(&bench) < begun;
            micros += micros / 12;
        }
        assert!(was_cut_between, "no attempt was cut off between two pages on {name}");
        let address = bench.database.address().expose().to_owned();
        std::thread::scope(|scope| {
            let compact = || block_on(Database::new(&address).unwrap().compact_ledger(now));
            let others: Vec<_> = (0..3).map(|_| scope.spawn(compact)).collect();
            late.iter().for_each(|entry| insert_entries(&bench, &ledgers[0].partition, std::slice::from_ref(entry)));
            for other in others {
                other.join().unwrap().unwrap();
            }
        });
        ledgers[0].entries.extend(late);
        let after = sums(&bench);
        for table in ["sink_chunk", "sink_gap", "sink_position"] {
            bench.execute(&format!("delete from {table}"));
        }
        store(&bench, &ledgers);
        assert_eq!(after, sums(&bench), "on {name}");
    }
}

#[test]
fn a_running_consumer_merges_the_chunks_of_earlier_days_and_verify_sees_no_difference() {
    for (name, bench) in benches() {
        let chunks = 12;
        for day in 0..chunks {
            send_records(&bench, "ohlcv_bar", &[bar("A", day, f64::from(day), 10, 10).into()]);
            succeed("consumer", &["run", "ohlcv_bar", "--once"], &bench.environment);
        }
        let verify = |arguments: &[&str]| {
            let verified = run("consumer", &[&["verify", "ohlcv_bar"], arguments].concat(), &bench.environment);
            String::from_utf8(verified.stdout).unwrap()
        };
        let before = [verify(&[]), verify(&["--deep"])];
        assert!(before.iter().all(|said| said.ends_with("verified\n")), "on {name}: {before:?}");
        let chunks_left = || entries(&bench);
        assert_eq!(chunks_left(), i64::from(chunks), "on {name}");
        bench.execute("update sink_chunk set committed_at = '2026-01-05T10:00:00.000000Z'");
        let consumer = Running::start(command("consumer", &["run", "ohlcv_bar"], &bench.environment));
        // The last one stays: it shows that its commit was applied.
        until("the ledger is compact", || chunks_left() == 2);
        assert_eq!([verify(&[]), verify(&["--deep"])], before, "on {name}");
        drop(consumer);
    }
}
