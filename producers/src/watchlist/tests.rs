use sources::source;

use super::*;

fn items<'a>(watchlist: &'a Watchlist, source_name: &str, endpoint: &str) -> &'a [String] {
    let source = source(source_name).unwrap();
    watchlist.items(source, source.endpoint(endpoint).unwrap())
}

#[test]
fn a_watchlist_gives_the_items_of_each_endpoint() {
    let watchlist = Watchlist::parse("[yahoo]\nchart = [\"AAPL\", \"^GSPC@1wk\"]\n[fred]\nseries = []\n").unwrap();
    assert_eq!(items(&watchlist, "yahoo", "chart"), ["AAPL", "^GSPC@1wk"]);
    assert!(items(&watchlist, "fred", "series").is_empty());
    assert!(items(&watchlist, "cboe", "index_history").is_empty());
}

#[test]
fn monthly_data_may_be_polled_in_the_first_week_only() {
    let text = "[fred]\nobservations = [\"GDP\", { item = \"UNRATE\", days = [1, 7] }]";
    let watchlist = Watchlist::parse(text).unwrap();
    assert_eq!(items(&watchlist, "fred", "observations"), ["GDP", "UNRATE"]);
    let fred = source("fred").unwrap();
    let endpoint = fred.endpoint("observations").unwrap();
    let words = |item: &str| watchlist.schedule(fred, endpoint, item).words();
    assert_eq!(words("GDP"), endpoint.schedule.words());
    assert_eq!(words("UNRATE"), "every 1 h from day 1 to 7 of a month in America/New_York");
}

#[test]
fn errors_of_the_watchlist_have_one_line() {
    for (text, expected) in [
        (
            "[fred]\nreleases = []",
            "watchlist: unknown endpoint `releases` of source `fred`; its endpoints are `observations`, `series`, `vintages`, `vintage_dates`",
        ),
        ("[yahoo]\nchart = [\"A B\"]", "watchlist: `yahoo.chart`: `A B` is not a symbol, such as `AAPL`"),
        ("[yahoo]\nchart = [\"X\", \"X\"]", "watchlist: `yahoo.chart`: `X` is listed twice"),
        (
            "[yahoo]\nchart = [{ item = \"X\", days = [0, 7] }]",
            "watchlist: `yahoo.chart`: invalid days 0 to 7 of `X`: expected two days from 1 to 31, in order",
        ),
        (
            "[yahoo]\nchart = [7]",
            "watchlist, line 2: expected an item in quotes, or `{ item = \"..\", days = [1, 7] }`; expected `[source]`, then `endpoint = [\"item\", ..]`",
        ),
        (
            "[yahoo]\n\nchart = \"AAPL\"",
            "watchlist, line 3: invalid type: string \"AAPL\", expected a sequence; expected `[source]`, then `endpoint = [\"item\", ..]`",
        ),
    ] {
        assert_eq!(Watchlist::parse(text).unwrap_err().to_string(), expected);
    }
    let error = Watchlist::parse("[freddy]\nseries = []").unwrap_err().to_string();
    assert!(error.starts_with("watchlist: unknown source `freddy`; the sources are `cboe`, "), "{error}");
    let error = Watchlist::parse("[yahoo\nchart = []").unwrap_err().to_string();
    assert!(error.starts_with("watchlist, line 1: ") && !error.contains('\n'), "{error}");
}

#[test]
fn the_watchlist_that_comes_with_tapedeck_can_be_polled() {
    let watchlist = Watchlist::parse(include_str!("../../../watchlist.toml")).unwrap();
    // Nobody else has the files.
    for source in sources::SOURCES.iter().filter(|source| !source.is_local()) {
        for endpoint in source.endpoints {
            assert!(!watchlist.items(source, endpoint).is_empty(), "{}.{}", source.name, endpoint.name);
        }
    }
}
