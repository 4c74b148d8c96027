//! What the queries are asked of: bars, and what market capitalisations are computed from.

use anyhow::ensure;
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection};

use super::ask::mixed;
use crate::setup::Progress;

/// One bar in so many was revised.
const REVISED_EVERY: u64 = 50;
/// Revisions per row of the symbols for as-of reads.
pub(super) const LEVELS: [u64; 3] = [1, 10, 1_000];
/// Bars of each such symbol: a year.
pub(super) const REVISED_DAYS: u64 = 250;
/// Most such symbols of a level, and one in so many symbols is one.
const MOST_REVISED: u64 = 4;
const REVISED_OF: u64 = 500;
/// Days between the first and the last revision of such a bar.
const REVISED_OVER: u64 = 600;
/// Moments of as-of reads: few, so that what they read is warm.
const MOMENTS: u64 = 4;
/// Symbols that are filled in one statement.
const PER_STATEMENT: u64 = 100;
/// Fewest and most trading days of a symbol.
const DAYS: std::ops::RangeInclusive<u64> = 300..=5_000;
/// Trading days of a quarter.
const QUARTER: u64 = 65;
/// Statements of a quarter: three, and three of the year in the last.
const STATEMENTS: u64 = 3;

/// The tables that are filled.
const TABLES: [&str; 6] =
    ["ohlcv_bar", "ohlcv_bar_revision", "company", "corporate_action", "financial_statement", "xbrl_fact"];

/// The first trading day.
const FIRST_DAY: &str = "date '2016-01-04'";

/// The columns that each statement fills after the values.
const INTERNAL: &str =
    "known_at, observed_at, flags, content_hash, deleted, topic_incarnation, topic_partition, topic_offset";

/// How much there is.
pub(super) struct Data {
    pub(super) symbols: u64,
    /// Trading days of each.
    pub(super) days: u64,
}

impl Data {
    pub(super) fn new(bars: u64, symbols: u64) -> anyhow::Result<Data> {
        let days = bars / symbols;
        ensure!(
            DAYS.contains(&days),
            "{bars} bars of {symbols} symbols are {days} days of each: expected {} to {}",
            DAYS.start(),
            DAYS.end()
        );
        Ok(Data { symbols, days })
    }

    pub(super) fn bars(&self) -> u64 {
        self.symbols * self.days
    }

    /// The trading day with that number: Monday to Friday.
    pub(super) fn day(number: u64) -> NaiveDate {
        let first = NaiveDate::from_ymd_opt(2016, 1, 4).expect("it is a date");
        first + Days::new(number / 5 * 7 + number % 5)
    }

    /// The day so many days before the last one.
    pub(super) fn days_ago(&self, days: i64) -> NaiveDate {
        Data::day(self.days - 1) - TimeDelta::days(days)
    }

    /// Trading days since then.
    pub(super) fn days_within(&self, days: i64) -> usize {
        let since = self.days_ago(days);
        (0..self.days).filter(|number| Data::day(*number) > since).count()
    }

    pub(super) fn symbols_on_each_day(&self) -> usize {
        self.symbols as usize
    }

    pub(super) fn statements_of_each(&self) -> usize {
        (STATEMENTS * (self.quarters() + self.quarters() / 4)) as usize
    }

    /// One of the symbols.
    pub(super) fn symbol(&self, round: u64) -> String {
        format!("S{:05}", mixed(round) % self.symbols)
    }

    /// So many of them, spread over all.
    pub(super) fn some_symbols(&self, round: u64, count: u64) -> impl Iterator<Item = String> {
        let (symbols, first) = (self.symbols, mixed(round));
        (0..count).map(move |at| format!("S{:05}", (first % symbols + at * symbols / count) % symbols))
    }

    /// A symbol whose every bar has so many revisions.
    pub(super) fn revised_symbol(&self, revisions: u64, round: u64) -> String {
        format!("R{revisions:05}_{}", round % self.revised_symbols())
    }

    fn revised_symbols(&self) -> u64 {
        (self.symbols / REVISED_OF).clamp(1, MOST_REVISED)
    }

    /// A moment between the first and the last revision of such a symbol.
    pub(super) fn moment(number: u64) -> DateTime<Utc> {
        let first: DateTime<Utc> = "2024-02-01T00:00:00Z".parse().expect("it is a time");
        first + TimeDelta::days(((number % MOMENTS) * (REVISED_OVER / MOMENTS)).cast_signed())
    }

    fn quarters(&self) -> u64 {
        self.days / QUARTER
    }

    /// Fills the tables, symbol after symbol as a backfill does.
    pub(super) async fn load(&self, connection: &mut PgConnection) -> anyhow::Result<()> {
        let mut progress = Progress::new("symbols stored", self.symbols);
        for first in (0..self.symbols).step_by(PER_STATEMENT as usize) {
            let last = (first + PER_STATEMENT).min(self.symbols) - 1;
            for statement in [self.bars_of(first, last), self.facts_of(first, last), self.statements_of(first, last)] {
                connection.execute(AssertSqlSafe(statement)).await?;
            }
            progress.at(last);
        }
        let once = [revisions(), self.revised_bars(), revisions_of_those(), self.companies(), self.actions()];
        let settled = TABLES.map(|table| format!("vacuum (analyze) {table}"));
        for statement in once.into_iter().chain(settled).chain(["checkpoint".to_owned()]) {
            connection.execute(AssertSqlSafe(statement)).await?;
        }
        Ok(())
    }

    fn bars_of(&self, first: u64, last: u64) -> String {
        let days = self.days;
        format!(
            "insert into ohlcv_bar (source, symbol, bar_interval, ts_start, trading_date, open, high, low, close, volume, \
             adjusted_close, currency, {INTERNAL}) \
             select 'bench', symbol, '1d', ts_start, day, close - 0.25, close + 1, close - 1.25, close, 1000000 + number, close, \
             'USD', ts_start + wait, ts_start + wait + interval '1 minute', '{{}}', number, false, 0, at % 12, number \
             from generate_series({first}, {last}) as at cross join lateral \
             (select format('S%s', lpad(at::text, 5, '0')) as symbol, day, at * {days} + number as number, \
             (day::timestamp at time zone 'America/New_York') as ts_start, 50 + at % 400 + number % 100 / 8.0 as close, \
             case when (at * {days} + number) % {REVISED_EVERY} = 0 then interval '3 days' else interval '16 hours' end as wait \
             from (select number, {FIRST_DAY} + (number / 5 * 7 + number % 5) as day \
             from generate_series(0, {days} - 1 + 0 * at) as number) as trading) as bar"
        )
    }

    fn facts_of(&self, first: u64, last: u64) -> String {
        let quarters = self.quarters();
        format!(
            "insert into xbrl_fact (source, cik, taxonomy, concept, unit, period_type, period_start, period_end, \
             accession_number, value, form, filed_on, {INTERNAL}) \
             select 'bench', lpad(at::text, 10, '0'), taxonomy, concept, unit, 'instant', day, day, \
             format('%s-%s', lpad(at::text, 10, '0'), quarter), 1000000 * (at + 1) + quarter, '10-Q', day + 45, \
             day + interval '45 days', day + interval '45 days', '{{}}', at, false, 0, at % 12, at \
             from generate_series({first}, {last}) as at, generate_series(0, {quarters} - 1) as quarter, \
             (values ('dei', 'EntityCommonStockSharesOutstanding', 'shares'), ('us-gaap', 'Assets', 'USD'), \
             ('us-gaap', 'Liabilities', 'USD'), ('us-gaap', 'StockholdersEquity', 'USD'), ('us-gaap', 'Goodwill', 'USD')) \
             as concept(taxonomy, concept, unit), \
             lateral (select (date '2016-04-01' + quarter * interval '3 months')::date - 1 as day) as ended"
        )
    }

    fn statements_of(&self, first: u64, last: u64) -> String {
        let quarters = self.quarters();
        // A provider's statement has some thirty numbers.
        let others: Vec<String> = (0..30).map(|at| format!("\"lineItem{at}\": {}", 1_000_000 + at * 7919)).collect();
        format!(
            "insert into financial_statement (source, symbol, statement, period, period_end, fiscal_year, currency, cik, \
             filed_on, accepted_at, revenue, net_income, total_assets, metrics, {INTERNAL}) \
             select 'bench', format('S%s', lpad(at::text, 5, '0')), statement, period, day, extract(year from day), 'USD', \
             lpad(at::text, 10, '0'), day + 40, day + interval '40 days', 1000000 + at, 1000 + at, 2000000 + at, \
             '{{{}}}'::jsonb || jsonb_build_object('commonStockSharesOutstanding', 1000000 * (at + 1), \
             'weightedAverageShsOut', 1000000 * (at + 1)), \
             day + interval '40 days', day + interval '40 days', '{{}}', at, false, 0, at % 12, at \
             from generate_series({first}, {last}) as at, generate_series(0, {quarters} - 1) as quarter, \
             (values ('income'), ('balance_sheet'), ('cash_flow')) as kind(statement), \
             lateral (select (date '2016-04-01' + quarter * interval '3 months')::date - 1 as day) as ended, \
             lateral (select 'Q' || quarter % 4 + 1 as period union all select 'FY' where quarter % 4 = 3) as reported",
            others.join(", ")
        )
    }

    fn companies(&self) -> String {
        format!(
            "insert into company (source, symbol, name, cik, currency, shares_outstanding, former_names, {INTERNAL}) \
             select 'bench', format('S%s', lpad(at::text, 5, '0')), format('Company %s', at), lpad(at::text, 10, '0'), 'USD', \
             1000000 * (at + 1), '{{}}', '2016-02-01', '2016-02-01', '{{}}', at, false, 0, at % 12, at \
             from generate_series(0, {} - 1) as at",
            self.symbols
        )
    }

    /// Quarterly dividends of all, and a split of one in ten.
    fn actions(&self) -> String {
        format!(
            "insert into corporate_action (source, symbol, action_type, ex_date, amount, split_to, split_from, {INTERNAL}) \
             select 'bench', format('S%s', lpad(at::text, 5, '0')), kind, day, case kind when 'dividend' then 0.5 end, \
             case kind when 'split' then 2 end, case kind when 'split' then 1 end, day - interval '20 days', \
             day - interval '20 days', '{{}}', at, false, 0, at % 12, at \
             from generate_series(0, {} - 1) as at, generate_series(0, {} - 1) as quarter, \
             lateral (select 'dividend' as kind union all select 'split' where at % 10 = 0 and quarter = 3) as paid, \
             lateral (select (date '2016-03-01' + quarter * interval '3 months')::date as day) as ex",
            self.symbols,
            self.quarters()
        )
    }

    /// The symbols for as-of reads, a year of each.
    fn revised_bars(&self) -> String {
        let levels = LEVELS.map(|level| format!("({level})")).join(", ");
        format!(
            "insert into ohlcv_bar (source, symbol, bar_interval, ts_start, trading_date, open, high, low, close, volume, \
         adjusted_close, currency, {INTERNAL}) \
         select 'bench', format('R%s_%s', lpad(level::text, 5, '0'), at), '1d', day::timestamp at time zone 'America/New_York', \
         day, 1, 3, 0, 2, 1000, 2, 'USD', '2025-11-01', '2025-11-01 00:01', '{{}}', 0, false, 0, 0, 1000000000 \
         from (values {levels}) as revised(level), generate_series(0, {} - 1) as at, \
         generate_series(0, {REVISED_DAYS} - 1) as number, \
         lateral (select {FIRST_DAY} + (number / 5 * 7 + number % 5) as day) as trading",
            self.revised_symbols()
        )
    }
}

/// What the revised bars were before.
fn revisions() -> String {
    format!(
        "insert into ohlcv_bar_revision (source, symbol, bar_interval, ts_start, trading_date, open, high, low, close, \
         volume, adjusted_close, currency, {INTERNAL}) \
         select source, symbol, bar_interval, ts_start, trading_date, open, high, low, close - 0.5, volume, adjusted_close, \
         currency, ts_start + interval '16 hours', ts_start + interval '16 hours 1 minute', flags, -1 - content_hash, deleted, \
         topic_incarnation, topic_partition, topic_offset - 1 from ohlcv_bar where known_at = ts_start + interval '3 days' \
         order by symbol, ts_start"
    )
}

/// All their revisions, from the oldest to the youngest as a topic has them.
fn revisions_of_those() -> String {
    format!(
        "insert into ohlcv_bar_revision (source, symbol, bar_interval, ts_start, trading_date, open, high, low, close, \
         volume, adjusted_close, currency, {INTERNAL}) \
         select source, symbol, bar_interval, ts_start, trading_date, open, high, low, 1 + number % 10 / 10.0, volume, \
         adjusted_close, currency, revised_at, revised_at + interval '1 minute', flags, number, deleted, 0, 0, number \
         from (select bar.*, number, timestamptz '2024-01-01' + (number - 1) * interval '{REVISED_OVER} days' / level as revised_at \
         from ohlcv_bar as bar, lateral (select substr(symbol, 2, 5)::integer as level) as its, \
         generate_series(1, level) as number where symbol like 'R%') as bar \
         order by number, symbol, ts_start"
    )
}
