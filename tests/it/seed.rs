//! Reference data of our own: published once, stored like any other, and corrected by anybody's later record.

use contract::Record;
use contract::records::Exchange;
use tests::broker::{Bench, benches};
use tests::message::{at, send_records};
use tests::process::succeed;

fn seed(bench: &Bench) -> Vec<String> {
    succeed("producer", &["seed"], &bench.environment).lines().map(str::to_owned).collect()
}

fn consume(bench: &Bench) {
    succeed("consumer", &["run", "--once"], &bench.environment);
}

/// The rows of a query, as one line each.
fn lines(bench: &Bench, query: &str) -> Vec<String> {
    let line = |row: Vec<Option<String>>| row.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>().join(" ");
    bench.query(query).into_iter().map(line).collect()
}

/// A record of the key of the Warsaw exchange, known at that many seconds after the start of 2024.
fn correction(name: &str, known_at: i64) -> Record {
    Exchange {
        source: "reference".into(),
        exchange_code: "XWAR".into(),
        name: Some(name.into()),
        country: None,
        country_code: None,
        currency: None,
        time_zone: Some("Europe/Warsaw".into()),
        mic: Some("XWAR".into()),
        opens_at: Some("09:00".into()),
        closes_at: None,
        known_at: at(known_at),
        observed_at: at(known_at),
        flags: Vec::new(),
    }
    .into()
}

#[test]
fn seeds_are_published_once_and_a_later_record_of_anybody_corrects_them() {
    /// Two years in seconds: later than the version of the seeds, which is one year after the start of 2024.
    const LATER: i64 = 2 * 365 * 86_400;
    for (name, bench) in benches() {
        let first = seed(&bench);
        assert_eq!(first.len(), 3, "on {name}: {first:?}");
        assert!(
            first[0].starts_with("published 4") && first[0].ends_with("records of `exchange`"),
            "on {name}: {first:?}"
        );
        consume(&bench);
        let warsaw = "select name, currency, opens_at from exchange where exchange_code = 'XWAR'";
        assert_eq!(lines(&bench, warsaw), ["Warsaw Stock Exchange PLN "], "on {name}");
        let apple = "select i.name, s.name from industry i join sector s on s.source = i.source \
            and s.classification = i.classification and s.sector_code = i.sector_code where i.industry_code = '3571'";
        assert_eq!(lines(&bench, apple), ["Electronic Computers Manufacturing"], "on {name}");

        // An earlier record changes nothing, a later one wins, and seeding again publishes nothing.
        send_records(&bench, "exchange", &[correction("earlier", 10), correction("GPW", LATER)]);
        for one in seed(&bench) {
            assert!(one.starts_with("published 0 of "), "on {name}: {one}");
        }
        consume(&bench);
        assert_eq!(lines(&bench, warsaw), ["GPW  09:00"], "on {name}");
        let views = "select e.name, e.mic, s.name, i.sic from exchanges e, sectors s, industries i \
            where e.code = 'XWAR' and i.name = 'Semiconductors & Related Devices' and s.id = i.sector_id";
        assert_eq!(lines(&bench, views), ["GPW XWAR Manufacturing 3674"], "on {name}");
        succeed("consumer", &["verify", "--deep"], &bench.environment);
    }
}
