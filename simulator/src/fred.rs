//! FRED's API: observations, descriptions and vintages of a few series.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use chrono::{Days, Months, NaiveDate};
use serde_json::json;

use crate::calendar::{BEFORE, END, day, days, is_trading_day, months};
use crate::random::Random;
use crate::range::Range;
use crate::reply::Reply;

/// The key that the demo uses; any other of 32 lower-case letters and digits will do.
pub const FRED_API_KEY: &str = "simulatedsimulatedsimulated00000";

const LAST_MODIFIED: &str = "Wed, 31 Dec 2025 13:16:02 GMT";
/// The same before the last release of GDP.
const LAST_MODIFIED_BEFORE: &str = "Thu, 27 Nov 2025 13:31:02 GMT";
/// Most rows in one response of FRED.
const MAX_LIMIT: usize = 100_000;
/// Most vintage dates in one response of FRED.
const MAX_DATES: usize = 10_000;
/// Most vintages with rows in one response of FRED.
const MAX_VINTAGES: usize = 2000;
/// The first and the last day that FRED knows.
const FIRST_DAY: &str = "1776-07-04";
const LAST_DAY: &str = "9999-12-31";
/// Start of the archive: earlier values are a vintage of that day.
const ARCHIVE: NaiveDate = NaiveDate::from_ymd_opt(1991, 12, 4).expect("a date");

/// A series of the simulated world.
struct Series {
    id: &'static str,
    title: &'static str,
    frequency: Frequency,
    units: &'static str,
    seasonal_adjustment: &'static str,
    start: (i32, u32, u32),
    popularity: i64,
    first_value: f64,
    /// Growth per period, and the spread of values around it, both relative.
    growth: f64,
    noise: f64,
}

#[derive(Clone, Copy)]
enum Frequency {
    Daily,
    Monthly,
    Quarterly,
}

impl Frequency {
    fn name(self) -> &'static str {
        match self {
            Frequency::Daily => "Daily",
            Frequency::Monthly => "Monthly",
            Frequency::Quarterly => "Quarterly",
        }
    }

    /// First days of the periods; daily series have weekdays, holidays included.
    fn dates(self, start: NaiveDate) -> Vec<NaiveDate> {
        use chrono::{Datelike as _, Weekday};
        match self {
            Frequency::Daily => {
                days(start).filter(|date| !matches!(date.weekday(), Weekday::Sat | Weekday::Sun)).collect()
            }
            Frequency::Monthly => months(start, 1).collect(),
            Frequency::Quarterly => months(start, 3).collect(),
        }
    }

    /// The days on which the value of a period is published or revised, up to the end of the simulated world.
    fn releases(self, period: NaiveDate) -> Vec<NaiveDate> {
        let (months, days): (u32, &[u64]) = match self {
            Frequency::Daily => (0, &[1]),
            Frequency::Monthly => (1, &[12, 43]),
            Frequency::Quarterly => (3, &[28, 58, 86]),
        };
        let end = period.checked_add_months(Months::new(months)).expect("a date of this world");
        let releases = days.iter().map(|days| end.checked_add_days(Days::new(*days)).expect("a date of this world"));
        releases.filter(|release| *release <= END).collect()
    }
}

const SERIES: &[Series] = &[
    Series {
        id: "GDP",
        title: "Gross Domestic Product",
        frequency: Frequency::Quarterly,
        units: "Billions of Dollars",
        seasonal_adjustment: "Seasonally Adjusted Annual Rate",
        start: (1947, 1, 1),
        popularity: 93,
        first_value: 243.164,
        growth: 0.0155,
        noise: 0.01,
    },
    Series {
        id: "CPIAUCSL",
        title: "Consumer Price Index for All Urban Consumers: All Items in U.S. City Average",
        frequency: Frequency::Monthly,
        units: "Index 1982-1984=100",
        seasonal_adjustment: "Seasonally Adjusted",
        start: (1947, 1, 1),
        popularity: 95,
        first_value: 21.48,
        growth: 0.0029,
        noise: 0.002,
    },
    Series {
        id: "UNRATE",
        title: "Unemployment Rate",
        frequency: Frequency::Monthly,
        units: "Percent",
        seasonal_adjustment: "Seasonally Adjusted",
        start: (1948, 1, 1),
        popularity: 94,
        first_value: 3.4,
        growth: 0.0002,
        noise: 0.03,
    },
    Series {
        id: "FEDFUNDS",
        title: "Federal Funds Effective Rate",
        frequency: Frequency::Monthly,
        units: "Percent",
        seasonal_adjustment: "Not Seasonally Adjusted",
        start: (1954, 7, 1),
        popularity: 97,
        first_value: 0.8,
        growth: 0.001,
        noise: 0.05,
    },
    Series {
        id: "DGS10",
        title: "Market Yield on U.S. Treasury Securities at 10-Year Constant Maturity",
        frequency: Frequency::Daily,
        units: "Percent",
        seasonal_adjustment: "Not Seasonally Adjusted",
        start: (1962, 1, 2),
        popularity: 94,
        first_value: 4.06,
        growth: 0.0,
        noise: 0.01,
    },
    Series {
        id: "SP500",
        title: "S&P 500",
        frequency: Frequency::Daily,
        units: "Index",
        seasonal_adjustment: "Not Seasonally Adjusted",
        start: (2016, 1, 4),
        popularity: 84,
        first_value: 2012.66,
        growth: 0.0003,
        noise: 0.012,
    },
];

/// Ids of all series.
pub(crate) fn ids() -> impl Iterator<Item = &'static str> {
    SERIES.iter().map(|series| series.id)
}

/// Ids of the series with vintages; daily series have too many.
pub(crate) fn ids_with_vintages() -> impl Iterator<Item = &'static str> {
    ["GDP", "UNRATE"].into_iter()
}

/// Parameters of the query string.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pub(crate) api_key: Option<String>,
    pub(crate) file_type: Option<String>,
    pub(crate) series_id: Option<String>,
    pub(crate) limit: Option<String>,
    pub(crate) offset: Option<String>,
    pub(crate) realtime_start: Option<String>,
    pub(crate) observation_start: Option<String>,
    pub(crate) observation_end: Option<String>,
}

impl Query {
    fn limit(&self, most: usize) -> usize {
        self.limit.as_deref().and_then(|text| text.parse().ok()).unwrap_or(most).clamp(1, most)
    }

    fn offset(&self) -> usize {
        self.offset.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// The series, if the key and all parameters are valid.
    fn series(&self) -> Result<&'static Series, Reply> {
        let key = self.api_key.as_deref().unwrap_or_default();
        if key.is_empty() {
            return Err(bad_request(
                "Variable api_key is not set.  Read https://fred.stlouisfed.org/docs/api/api_key.html for more information.",
            ));
        }
        if key.len() != 32 || !key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
            return Err(bad_request(
                "The value for variable api_key is not a 32 character alpha-numeric lower-case string.  Read https://fred.stlouisfed.org/docs/api/api_key.html for more information.",
            ));
        }
        let id = self.series_id.as_deref().unwrap_or_default();
        let series = SERIES.iter().find(|series| series.id == id);
        let series = series.ok_or_else(|| bad_request("The series does not exist."))?;
        match self.file_type.as_deref() {
            Some("json") => Ok(series),
            // The default format is XML, which tapedeck does not use.
            _ => Err(Reply::ok(
                "text/xml",
                "<?xml version=\"1.0\" encoding=\"utf-8\" ?>\n<observations></observations>\n".to_owned(),
            )),
        }
    }
}

fn bad_request(message: &str) -> Reply {
    let body = json!({ "error_code": 400, "error_message": format!("Bad Request.  {message}") });
    Reply::json(400, body.to_string())
}

/// Answers `fred/series`.
pub(crate) fn series(query: &Query) -> Reply {
    let series = match query.series() {
        Ok(series) => series,
        Err(reply) => return reply,
    };
    let (year, month, start_day) = series.start;
    let body = json!({
        "realtime_start": END, "realtime_end": END,
        "seriess": [{
            "id": series.id, "realtime_start": END, "realtime_end": END, "title": series.title,
            "observation_start": day(year, month, start_day),
            "observation_end": series.frequency.dates(day(year, month, start_day)).last(),
            "frequency": series.frequency.name(), "frequency_short": &series.frequency.name()[..1],
            "units": series.units, "units_short": series.units,
            "seasonal_adjustment": series.seasonal_adjustment, "seasonal_adjustment_short": series.seasonal_adjustment,
            "last_updated": "2025-12-31 07:16:02-06", "popularity": series.popularity,
            "notes": "Made by tapedeck's simulator.\n\nThe \"values\" are not real.",
        }],
    });
    Reply::json(200, body.to_string()).last_modified(LAST_MODIFIED)
}

/// Answers `fred/series/observations`: the current values, or with a start of the window all vintages.
pub(crate) fn observations(seed: u64, query: &Query, is_corrected: bool) -> Reply {
    let series = match query.series() {
        Ok(series) => series,
        Err(reply) => return reply,
    };
    let has_window = query.realtime_start.as_deref() == Some(FIRST_DAY);
    let (from, to) =
        if has_window { (FIRST_DAY.to_owned(), LAST_DAY.to_owned()) } else { (END.to_string(), END.to_string()) };
    let mut rows: Vec<Row> = if has_window {
        match vintages(seed, series) {
            Ok(rows) if is_corrected => rows,
            Ok(rows) => before(rows),
            Err(reply) => return reply,
        }
    } else {
        let row = |(date, value)| Row { from: to.clone(), to: to.clone(), date, value };
        let values = values(seed, series).into_iter();
        if is_corrected { values.map(row).collect() } else { values_before(seed, series, values).map(row).collect() }
    };
    let (start, end) = (query.observation_start.as_deref(), query.observation_end.as_deref());
    let range = Range::new(start, end);
    if range.is_bounded() {
        rows.retain(|row| range.holds(&row.date.to_string()));
    }
    let (limit, offset) = (query.limit(MAX_LIMIT), query.offset());
    let mut text = String::new();
    for Row { from, to, date, value } in rows.iter().skip(offset).take(limit) {
        let comma = if text.is_empty() { "" } else { "," };
        write!(
            text,
            "{comma}{{\"realtime_start\":\"{from}\",\"realtime_end\":\"{to}\",\"date\":\"{date}\",\"value\":\"{value}\"}}"
        )
        .expect("writing to a string cannot fail");
    }
    let body = format!(
        "{{\"realtime_start\":\"{from}\",\"realtime_end\":\"{to}\",\"observation_start\":\"{}\",\
         \"observation_end\":\"{}\",\"units\":\"lin\",\"output_type\":1,\"file_type\":\"json\",\
         \"order_by\":\"observation_date\",\"sort_order\":\"asc\",\"count\":{},\"offset\":{offset},\"limit\":{limit},\
         \"observations\":[{text}]}}",
        start.unwrap_or("1600-01-01"),
        end.unwrap_or("9999-12-31"),
        rows.len()
    );
    Reply::json(200, body).last_modified(if is_corrected { LAST_MODIFIED } else { LAST_MODIFIED_BEFORE })
}

/// A value, and the first and last day on which it was the published one.
struct Row {
    from: String,
    to: String,
    date: NaiveDate,
    value: String,
}

/// The days on which the value of a period was published: those before the archive began are one.
fn archived(series: &Series, period: NaiveDate) -> Vec<NaiveDate> {
    let mut releases = series.frequency.releases(period);
    releases.iter_mut().for_each(|release| *release = (*release).max(ARCHIVE));
    releases.dedup();
    releases
}

/// Every value that was ever published: the last one of a period is the current one, those before are near it.
fn vintages(seed: u64, series: &Series) -> Result<Vec<Row>, Reply> {
    let count = vintage_days(seed, series).len();
    if count > MAX_VINTAGES {
        return Err(bad_request(&format!(
            "There are {count} vintage dates in the specified real-time period: {FIRST_DAY} to {LAST_DAY}.  \
             This exceeds the maximum number of vintage dates allowed ({MAX_VINTAGES})."
        )));
    }
    let mut random = Random::new(seed, &format!("{} vintages", series.id));
    let mut rows = Vec::new();
    for (date, current) in values(seed, series) {
        let releases = archived(series, date);
        for (place, release) in releases.iter().enumerate() {
            let next = releases.get(place + 1).and_then(|next| next.pred_opt());
            let earlier = current.parse::<f64>().map(|value| format!("{:.3}", value * (1.0 + 0.01 * random.swing())));
            let value = if next.is_some() { earlier.unwrap_or_else(|_| current.clone()) } else { current.clone() };
            let to = next.map_or(LAST_DAY.to_owned(), |next| next.to_string());
            rows.push(Row { from: release.to_string(), to, date, value });
        }
    }
    Ok(rows)
}

/// The vintages that were published before the corrections; the last one of a period is the current one.
fn before(rows: Vec<Row>) -> Vec<Row> {
    let known = rows.into_iter().filter(|row| row.from <= BEFORE.to_string());
    known.map(|row| if row.to < BEFORE.to_string() { row } else { Row { to: LAST_DAY.to_owned(), ..row } }).collect()
}

/// The values before the corrections: of a period that was revised since, the vintage of then.
fn values_before(
    seed: u64,
    series: &Series,
    values: impl Iterator<Item = (NaiveDate, String)>,
) -> impl Iterator<Item = (NaiveDate, String)> {
    let known = before(vintages(seed, series).unwrap_or_default());
    let known: HashMap<NaiveDate, String> = known.into_iter().map(|row| (row.date, row.value)).collect();
    values.map(move |(date, value)| (date, known.get(&date).cloned().unwrap_or(value)))
}

fn vintage_days(seed: u64, series: &Series) -> BTreeSet<NaiveDate> {
    values(seed, series).into_iter().flat_map(|(date, _)| archived(series, date)).collect()
}

/// Answers `fred/series/vintagedates`.
pub(crate) fn vintage_dates(seed: u64, query: &Query) -> Reply {
    let series = match query.series() {
        Ok(series) => series,
        Err(reply) => return reply,
    };
    let (limit, offset) = (query.limit(MAX_DATES), query.offset());
    let days = vintage_days(seed, series);
    let body = json!({
        "realtime_start": FIRST_DAY, "realtime_end": LAST_DAY, "order_by": "vintage_date", "sort_order": "asc",
        "count": days.len(), "offset": offset, "limit": limit,
        "vintage_dates": days.iter().skip(offset).take(limit).collect::<Vec<_>>(),
    });
    Reply::json(200, body.to_string()).last_modified(LAST_MODIFIED)
}

/// All values of a series: `.` on days without trade, and for the four quarters of 1946 that FRED serves of GDP.
fn values(seed: u64, series: &Series) -> Vec<(NaiveDate, String)> {
    let mut random = Random::new(seed, series.id);
    let (year, month, start_day) = series.start;
    let mut values = Vec::new();
    if let Frequency::Quarterly = series.frequency {
        values.extend([1, 4, 7, 10].map(|month| (day(year - 1, month, 1), ".".to_owned())));
    }
    let mut level = series.first_value;
    for date in series.frequency.dates(day(year, month, start_day)) {
        let has_value = !matches!(series.frequency, Frequency::Daily) || is_trading_day(date) && random.below(40) != 0;
        values.push((date, if has_value { format!("{level:.3}") } else { ".".to_owned() }));
        level *= 1.0 + series.growth + series.noise * random.swing();
    }
    values
}
