//! Bars by week and month, the latest prices and the summary of a day, after corrections, deletions and an exchange.

use contract::Record;
use contract::records::OhlcvBar;
use tests::broker::{Bench, benches, block_on};
use tests::message::{bar, send_records};
use tests::process::{fail, succeed};

/// 2024-01-29, a Monday: two weeks from there are in two months.
const MONDAY: u32 = 28;

fn consume(bench: &Bench) {
    succeed("consumer", &["run", "ohlcv_bar", "--once"], &bench.environment);
}

/// Loads bars of a day, known at that time.
fn load(bench: &Bench, bars: &[(&str, u32, f64)], known_at: i64) {
    let record = |(symbol, day, close): &(&str, u32, f64)| Record::from(bar(symbol, *day, *close, known_at, known_at));
    send_records(bench, "ohlcv_bar", &bars.iter().map(record).collect::<Vec<_>>());
    consume(bench);
}

/// The rows of a query, as one line each.
fn lines(bench: &Bench, query: &str) -> Vec<String> {
    let line = |row: Vec<Option<String>>| row.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>().join(" ");
    bench.query(query).into_iter().map(line).collect()
}

fn latest(bench: &Bench) -> Vec<String> {
    lines(bench, "select symbol, date, close, previous_close from latest_price order by symbol")
}

fn summary(bench: &Bench) -> Vec<String> {
    lines(bench, "select date, symbols, advancing, declining from market_summary order by date desc limit 2")
}

fn refresh(bench: &Bench) -> String {
    succeed("consumer", &["refresh"], &bench.environment)
}

#[test]
fn bars_latest_prices_and_summaries_are_right_after_a_correction_a_deletion_and_an_exchange() {
    for (name, bench) in benches() {
        let is_postgres = !name.contains("SQLite");
        // Monday to Friday, and the next Monday and Tuesday; the second symbol falls on the last day.
        let days = [0, 1, 2, 3, 4, 7, 8].map(|day| MONDAY + day);
        let bars: Vec<(&str, u32, f64)> = days
            .iter()
            .zip([10.0, 11.0, 12.0, 13.0, 14.0, 20.0, 21.0])
            .map(|(day, close)| ("A", *day, close))
            .collect();
        load(&bench, &[&bars[..], &[("B", MONDAY + 7, 5.0), ("B", MONDAY + 8, 4.0)]].concat(), 10);
        bench.execute("create view of_a_user as select symbol, close from latest_price");
        let said = refresh(&bench);
        assert_eq!(said.contains("refreshed `latest_price`"), is_postgres, "{said}");
        assert_eq!(latest(&bench), ["A 2024-02-06 21 20", "B 2024-02-06 4 5"], "on {name}");
        assert_eq!(summary(&bench), ["2024-02-06 2 1 1", "2024-02-05 2 1 0"], "on {name}");
        let weeks = "select week_start, date, open, high, low, close, volume, trading_days from weekly_bars where symbol = 'A' order by week_start";
        let first = "2024-01-29 2024-02-02 10 15 9 14 5000 5";
        assert_eq!(lines(&bench, weeks), [first, "2024-02-05 2024-02-06 20 22 19 21 2000 2"], "on {name}");
        let months = "select month_start, date, open, high, low, close, volume, trading_days from monthly_bars where symbol = 'A' order by month_start";
        let january = "2024-01-01 2024-01-31 10 13 9 12 3000 3";
        assert_eq!(lines(&bench, months), [january, "2024-02-01 2024-02-06 13 22 12 21 4000 4"], "on {name}");

        // The last day of A was wrong, and B has no such day.
        load(&bench, &[("A", MONDAY + 8, 15.0)], 20);
        let day = ["--where", "symbol=B", "--from", "2024-02-06", "--to", "2024-02-07", "--yes"];
        succeed("producer", &[&["delete", "ohlcv_bar"], &day[..]].concat(), &bench.environment);
        consume(&bench);
        assert_eq!(lines(&bench, weeks), [first, "2024-02-05 2024-02-06 20 21 14 15 2000 2"], "on {name}");
        if is_postgres {
            assert_eq!(
                latest(&bench),
                ["A 2024-02-06 21 20", "B 2024-02-06 4 5"],
                "stored until the refresh on {name}"
            );
        }
        refresh(&bench);
        assert_eq!(latest(&bench), ["A 2024-02-06 15 20", "B 2024-02-05 5 "], "on {name}");
        assert_eq!(summary(&bench), ["2024-02-06 1 0 1", "2024-02-05 2 1 0"], "on {name}");

        // An exchange moves rows: the views stay, ours and a user's.
        let swap = ["replay", "ohlcv_bar", "--into", "bars_next", "--rule", "close <> 20", "--swap"];
        succeed("consumer", &swap, &bench.environment);
        refresh(&bench);
        assert_eq!(latest(&bench), ["A 2024-02-06 15 14", "B 2024-02-05 5 "], "on {name}");
        assert_eq!(lines(&bench, weeks), [first, "2024-02-05 2024-02-06 15 16 14 15 1000 1"], "on {name}");
        assert_eq!(lines(&bench, "select symbol, close from of_a_user order by symbol"), ["A 15", "B 5"], "on {name}");
    }
}

#[test]
fn a_view_cannot_be_a_side_table_and_an_unknown_one_cannot_be_refreshed() {
    for (name, bench) in benches() {
        load(&bench, &[("A", 0, 1.0)], 10);
        let error = fail("consumer", &["replay", "ohlcv_bar", "--into", "ohlcv"], &bench.environment);
        assert!(error.contains("`ohlcv` cannot be a side table"), "on {name}: {error}");
        let error = fail("consumer", &["refresh", "latest"], &bench.environment);
        assert!(error.contains("there is no view `latest`"), "on {name}: {error}");
        block_on(bench.database.migrate_down(0, &|_| {})).unwrap();
        if !name.contains("SQLite") {
            let error = fail("consumer", &["refresh"], &bench.environment);
            assert!(error.contains("view `latest_price` is not refreshed"), "on {name}: {error}");
        }
    }
}

#[test]
fn days_of_a_week_are_those_of_the_calendar_in_every_year() {
    for (name, bench) in benches() {
        let bars: Vec<Record> =
            (0..1500).map(|day| OhlcvBar { symbol: "A".into(), ..bar("A", day, 1.0, 10, 10) }.into()).collect();
        send_records(&bench, "ohlcv_bar", &bars);
        consume(&bench);
        // 2024-01-01 was a Monday.
        let first = lines(&bench, "select week_start, date from weekly_bars order by week_start limit 1");
        assert_eq!(first, ["2024-01-01 2024-01-07"], "on {name}");
        let whole = "select count(*) as n from weekly_bars where trading_days = 7 and week_start <= date";
        assert_eq!(bench.number(whole), 1500 / 7, "on {name}");
        let months = lines(&bench, "select month_start, trading_days from monthly_bars order by month_start limit 3");
        assert_eq!(months, ["2024-01-01 31", "2024-02-01 29", "2024-03-01 31"], "on {name}");
    }
}
