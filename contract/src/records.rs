// Generated from schemas/*.avsc: `UPDATE=1 cargo test --release` writes it anew. Do not edit.

//! The record type of each dataset.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use serde::Serialize;

use crate::encode::{put_bytes, put_decimal, put_double, put_long, put_optional, put_texts};
use crate::text::Text;
use crate::topic::put_key_part;
use crate::value::{Value, next};

/// Day 0 of Avro's dates.
const EPOCH: NaiveDate = NaiveDate::from_ymd_opt(1970, 1, 1).expect("a date");

fn put_date(date: NaiveDate, out: &mut Vec<u8>) {
    put_long(date.signed_duration_since(EPOCH).num_days(), out);
}

fn put_timestamp(timestamp: DateTime<Utc>, out: &mut Vec<u8>) {
    put_long(timestamp.timestamp_micros(), out);
}

/// The declarations, as in `schemas/`.
pub(crate) const DECLARATIONS: &[&str] = &[
    include_str!("../../schemas/analyst_rating.avsc"),
    include_str!("../../schemas/company.avsc"),
    include_str!("../../schemas/corporate_action.avsc"),
    include_str!("../../schemas/dead_letter.avsc"),
    include_str!("../../schemas/etf_flow.avsc"),
    include_str!("../../schemas/exchange.avsc"),
    include_str!("../../schemas/fetch_log.avsc"),
    include_str!("../../schemas/filing.avsc"),
    include_str!("../../schemas/financial_ratio.avsc"),
    include_str!("../../schemas/financial_statement.avsc"),
    include_str!("../../schemas/industry.avsc"),
    include_str!("../../schemas/insider_transaction.avsc"),
    include_str!("../../schemas/instrument.avsc"),
    include_str!("../../schemas/model_performance.avsc"),
    include_str!("../../schemas/news_article.avsc"),
    include_str!("../../schemas/observation.avsc"),
    include_str!("../../schemas/observation_vintage.avsc"),
    include_str!("../../schemas/ohlcv_bar.avsc"),
    include_str!("../../schemas/option_quote.avsc"),
    include_str!("../../schemas/prediction.avsc"),
    include_str!("../../schemas/sector.avsc"),
    include_str!("../../schemas/series.avsc"),
    include_str!("../../schemas/series_vintage.avsc"),
    include_str!("../../schemas/technical_indicator.avsc"),
    include_str!("../../schemas/xbrl_fact.avsc"),
];

/// Their earlier versions, as in `schemas/past/`.
pub(crate) const PAST: &[&str] = &[
    include_str!("../../schemas/past/analyst_rating.14.avsc"),
    include_str!("../../schemas/past/company.12.avsc"),
    include_str!("../../schemas/past/corporate_action.5.avsc"),
    include_str!("../../schemas/past/dead_letter.4.avsc"),
    include_str!("../../schemas/past/etf_flow.7.avsc"),
    include_str!("../../schemas/past/exchange.13.avsc"),
    include_str!("../../schemas/past/exchange.2147483661.avsc"),
    include_str!("../../schemas/past/fetch_log.21.avsc"),
    include_str!("../../schemas/past/fetch_log.21.first.avsc"),
    include_str!("../../schemas/past/filing.16.avsc"),
    include_str!("../../schemas/past/financial_ratio.11.avsc"),
    include_str!("../../schemas/past/financial_statement.10.avsc"),
    include_str!("../../schemas/past/insider_transaction.15.avsc"),
    include_str!("../../schemas/past/model_performance.20.avsc"),
    include_str!("../../schemas/past/news_article.9.avsc"),
    include_str!("../../schemas/past/observation.2.avsc"),
    include_str!("../../schemas/past/observation_vintage.6.avsc"),
    include_str!("../../schemas/past/ohlcv_bar.1.avsc"),
    include_str!("../../schemas/past/option_quote.8.avsc"),
    include_str!("../../schemas/past/prediction.19.avsc"),
    include_str!("../../schemas/past/series.3.avsc"),
    include_str!("../../schemas/past/series_vintage.22.avsc"),
    include_str!("../../schemas/past/technical_indicator.18.avsc"),
    include_str!("../../schemas/past/xbrl_fact.17.avsc"),
];

/// A record of any dataset; boxed, because otherwise each would be as wide as the widest.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Record {
    /// A record of `analyst_rating`.
    AnalystRating(Box<AnalystRating>),
    /// A record of `company`.
    Company(Box<Company>),
    /// A record of `corporate_action`.
    CorporateAction(Box<CorporateAction>),
    /// A record of `dead_letter`.
    DeadLetter(Box<DeadLetter>),
    /// A record of `etf_flow`.
    EtfFlow(Box<EtfFlow>),
    /// A record of `exchange`.
    Exchange(Box<Exchange>),
    /// A record of `fetch_log`.
    FetchLog(Box<FetchLog>),
    /// A record of `filing`.
    Filing(Box<Filing>),
    /// A record of `financial_ratio`.
    FinancialRatio(Box<FinancialRatio>),
    /// A record of `financial_statement`.
    FinancialStatement(Box<FinancialStatement>),
    /// A record of `industry`.
    Industry(Box<Industry>),
    /// A record of `insider_transaction`.
    InsiderTransaction(Box<InsiderTransaction>),
    /// A record of `instrument`.
    Instrument(Box<Instrument>),
    /// A record of `model_performance`.
    ModelPerformance(Box<ModelPerformance>),
    /// A record of `news_article`.
    NewsArticle(Box<NewsArticle>),
    /// A record of `observation`.
    Observation(Box<Observation>),
    /// A record of `observation_vintage`.
    ObservationVintage(Box<ObservationVintage>),
    /// A record of `ohlcv_bar`.
    OhlcvBar(Box<OhlcvBar>),
    /// A record of `option_quote`.
    OptionQuote(Box<OptionQuote>),
    /// A record of `prediction`.
    Prediction(Box<Prediction>),
    /// A record of `sector`.
    Sector(Box<Sector>),
    /// A record of `series`.
    Series(Box<Series>),
    /// A record of `series_vintage`.
    SeriesVintage(Box<SeriesVintage>),
    /// A record of `technical_indicator`.
    TechnicalIndicator(Box<TechnicalIndicator>),
    /// A record of `xbrl_fact`.
    XbrlFact(Box<XbrlFact>),
}

impl Record {
    /// Name of the record's dataset.
    pub fn dataset(&self) -> &'static str {
        match self {
            Record::AnalystRating(_) => "analyst_rating",
            Record::Company(_) => "company",
            Record::CorporateAction(_) => "corporate_action",
            Record::DeadLetter(_) => "dead_letter",
            Record::EtfFlow(_) => "etf_flow",
            Record::Exchange(_) => "exchange",
            Record::FetchLog(_) => "fetch_log",
            Record::Filing(_) => "filing",
            Record::FinancialRatio(_) => "financial_ratio",
            Record::FinancialStatement(_) => "financial_statement",
            Record::Industry(_) => "industry",
            Record::InsiderTransaction(_) => "insider_transaction",
            Record::Instrument(_) => "instrument",
            Record::ModelPerformance(_) => "model_performance",
            Record::NewsArticle(_) => "news_article",
            Record::Observation(_) => "observation",
            Record::ObservationVintage(_) => "observation_vintage",
            Record::OhlcvBar(_) => "ohlcv_bar",
            Record::OptionQuote(_) => "option_quote",
            Record::Prediction(_) => "prediction",
            Record::Sector(_) => "sector",
            Record::Series(_) => "series",
            Record::SeriesVintage(_) => "series_vintage",
            Record::TechnicalIndicator(_) => "technical_indicator",
            Record::XbrlFact(_) => "xbrl_fact",
        }
    }

    /// Appends the Avro body of its message.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Record::AnalystRating(record) => record.encode(out),
            Record::Company(record) => record.encode(out),
            Record::CorporateAction(record) => record.encode(out),
            Record::DeadLetter(record) => record.encode(out),
            Record::EtfFlow(record) => record.encode(out),
            Record::Exchange(record) => record.encode(out),
            Record::FetchLog(record) => record.encode(out),
            Record::Filing(record) => record.encode(out),
            Record::FinancialRatio(record) => record.encode(out),
            Record::FinancialStatement(record) => record.encode(out),
            Record::Industry(record) => record.encode(out),
            Record::InsiderTransaction(record) => record.encode(out),
            Record::Instrument(record) => record.encode(out),
            Record::ModelPerformance(record) => record.encode(out),
            Record::NewsArticle(record) => record.encode(out),
            Record::Observation(record) => record.encode(out),
            Record::ObservationVintage(record) => record.encode(out),
            Record::OhlcvBar(record) => record.encode(out),
            Record::OptionQuote(record) => record.encode(out),
            Record::Prediction(record) => record.encode(out),
            Record::Sector(record) => record.encode(out),
            Record::Series(record) => record.encode(out),
            Record::SeriesVintage(record) => record.encode(out),
            Record::TechnicalIndicator(record) => record.encode(out),
            Record::XbrlFact(record) => record.encode(out),
        }
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        match self {
            Record::AnalystRating(record) => record.message_key(),
            Record::Company(record) => record.message_key(),
            Record::CorporateAction(record) => record.message_key(),
            Record::DeadLetter(record) => record.message_key(),
            Record::EtfFlow(record) => record.message_key(),
            Record::Exchange(record) => record.message_key(),
            Record::FetchLog(record) => record.message_key(),
            Record::Filing(record) => record.message_key(),
            Record::FinancialRatio(record) => record.message_key(),
            Record::FinancialStatement(record) => record.message_key(),
            Record::Industry(record) => record.message_key(),
            Record::InsiderTransaction(record) => record.message_key(),
            Record::Instrument(record) => record.message_key(),
            Record::ModelPerformance(record) => record.message_key(),
            Record::NewsArticle(record) => record.message_key(),
            Record::Observation(record) => record.message_key(),
            Record::ObservationVintage(record) => record.message_key(),
            Record::OhlcvBar(record) => record.message_key(),
            Record::OptionQuote(record) => record.message_key(),
            Record::Prediction(record) => record.message_key(),
            Record::Sector(record) => record.message_key(),
            Record::Series(record) => record.message_key(),
            Record::SeriesVintage(record) => record.message_key(),
            Record::TechnicalIndicator(record) => record.message_key(),
            Record::XbrlFact(record) => record.message_key(),
        }
    }

    /// The record of that dataset with these values, one for each field in order. It takes texts and lists out of `values`.
    ///
    /// None when there is no such dataset, or a value is missing or of another kind.
    pub fn from_values(dataset: &str, values: &mut [Value]) -> Option<Record> {
        Some(match dataset {
            "analyst_rating" => AnalystRating::from_values(values)?.into(),
            "company" => Company::from_values(values)?.into(),
            "corporate_action" => CorporateAction::from_values(values)?.into(),
            "dead_letter" => DeadLetter::from_values(values)?.into(),
            "etf_flow" => EtfFlow::from_values(values)?.into(),
            "exchange" => Exchange::from_values(values)?.into(),
            "fetch_log" => FetchLog::from_values(values)?.into(),
            "filing" => Filing::from_values(values)?.into(),
            "financial_ratio" => FinancialRatio::from_values(values)?.into(),
            "financial_statement" => FinancialStatement::from_values(values)?.into(),
            "industry" => Industry::from_values(values)?.into(),
            "insider_transaction" => InsiderTransaction::from_values(values)?.into(),
            "instrument" => Instrument::from_values(values)?.into(),
            "model_performance" => ModelPerformance::from_values(values)?.into(),
            "news_article" => NewsArticle::from_values(values)?.into(),
            "observation" => Observation::from_values(values)?.into(),
            "observation_vintage" => ObservationVintage::from_values(values)?.into(),
            "ohlcv_bar" => OhlcvBar::from_values(values)?.into(),
            "option_quote" => OptionQuote::from_values(values)?.into(),
            "prediction" => Prediction::from_values(values)?.into(),
            "sector" => Sector::from_values(values)?.into(),
            "series" => Series::from_values(values)?.into(),
            "series_vintage" => SeriesVintage::from_values(values)?.into(),
            "technical_indicator" => TechnicalIndicator::from_values(values)?.into(),
            "xbrl_fact" => XbrlFact::from_values(values)?.into(),
            _ => return None,
        })
    }
}

/// Analysts' ratings of one company, summed up on a day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnalystRating {
    /// Provider the record was received from, e.g. `eodhd`.
    pub source: Text,
    /// The provider's symbol, e.g. `AAPL`.
    pub symbol: Text,
    /// Day (UTC) on which it was received: the provider serves the present state alone.
    pub rated_on: NaiveDate,
    /// Mean, from 1 (strong sell) to 5 (strong buy); null when not stated.
    pub rating: Option<f64>,
    /// Mean target price in the currency of the quotes; null when not stated.
    pub target_price: Option<Decimal>,
    /// Number of analysts; null when not stated.
    pub strong_buy: Option<i64>,
    /// Number of analysts; null when not stated.
    pub buy: Option<i64>,
    /// Number of analysts; null when not stated.
    pub hold: Option<i64>,
    /// Number of analysts; null when not stated.
    pub sell: Option<i64>,
    /// Number of analysts; null when not stated.
    pub strong_sell: Option<i64>,
    /// The time of receipt.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<AnalystRating> for Record {
    fn from(record: AnalystRating) -> Record {
        Record::AnalystRating(Box::new(record))
    }
}

impl AnalystRating {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.symbol.as_bytes(), out);
        put_date(self.rated_on, out);
        put_optional(self.rating, out, put_double);
        put_optional(self.target_price, out, put_decimal);
        put_optional(self.strong_buy, out, put_long);
        put_optional(self.buy, out, put_long);
        put_optional(self.hold, out, put_long);
        put_optional(self.sell, out, put_long);
        put_optional(self.strong_sell, out, put_long);
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.symbol, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<AnalystRating> {
        let values = &mut values.iter_mut();
        Some(AnalystRating {
            source: next(values)?,
            symbol: next(values)?,
            rated_on: next(values)?,
            rating: next(values)?,
            target_price: next(values)?,
            strong_buy: next(values)?,
            buy: next(values)?,
            hold: next(values)?,
            sell: next(values)?,
            strong_sell: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// A company or fund: what it is and where it is listed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Company {
    /// Provider the record was received from, e.g. `eodhd`.
    pub source: Text,
    /// The provider's symbol. For the SEC, a ticker (its row has name and number only), or `CIK` and ten digits for the filer itself (with all other fields).
    pub symbol: Text,
    /// Name as the provider writes it.
    pub name: Text,
    /// Number at the SEC, ten digits; null when not stated.
    pub cik: Option<Text>,
    /// International securities identification number; null when not stated.
    pub isin: Option<Text>,
    /// CUSIP; null when not stated.
    pub cusip: Option<Text>,
    /// Legal entity identifier; null when not stated.
    pub lei: Option<Text>,
    /// Kind of entity or instrument as the provider states it, e.g. `Common Stock`; null where it does not.
    pub kind: Option<Text>,
    /// Where it is listed, as the provider states it; null when not stated.
    pub exchange: Option<Text>,
    /// Currency of its quotes; null when not stated.
    pub currency: Option<Text>,
    /// Country as the provider states it; null when not stated.
    pub country: Option<Text>,
    /// Sector as the provider states it; null when not stated.
    pub sector: Option<Text>,
    /// Industry as the provider states it; null when not stated.
    pub industry: Option<Text>,
    /// Standard industrial classification, four digits; null when not stated.
    pub sic: Option<Text>,
    /// What it does; null when not stated.
    pub description: Option<Text>,
    /// Its address; null when not stated.
    pub website: Option<Text>,
    /// Full-time employees; null when not stated.
    pub employees: Option<i64>,
    /// Date of its listing; null when not stated.
    pub listed_on: Option<NaiveDate>,
    /// Date of its delisting, may lie in the future; null when not stated.
    pub delisted_on: Option<NaiveDate>,
    /// End of its fiscal year as the provider states it; null when not stated.
    pub fiscal_year_end: Option<Text>,
    /// Number of shares; null when not stated.
    pub shares_outstanding: Option<Decimal>,
    /// Market capitalisation in `currency`; null when not stated.
    pub market_cap: Option<Decimal>,
    /// Names it had before.
    pub former_names: Vec<String>,
    /// The provider's other fields; null when there are none.
    pub other: Option<String>,
    /// `Last-Modified` of a file (sec_edgar), else the time of receipt.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<Company> for Record {
    fn from(record: Company) -> Record {
        Record::Company(Box::new(record))
    }
}

impl Company {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.symbol.as_bytes(), out);
        put_bytes(self.name.as_bytes(), out);
        put_optional(self.cik.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.isin.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.cusip.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.lei.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.kind.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.exchange.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.currency.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.country.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.sector.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.industry.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.sic.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.description.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.website.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.employees, out, put_long);
        put_optional(self.listed_on, out, put_date);
        put_optional(self.delisted_on, out, put_date);
        put_optional(self.fiscal_year_end.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.shares_outstanding, out, put_decimal);
        put_optional(self.market_cap, out, put_decimal);
        put_texts(&self.former_names, out);
        put_optional(self.other.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.symbol, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<Company> {
        let values = &mut values.iter_mut();
        Some(Company {
            source: next(values)?,
            symbol: next(values)?,
            name: next(values)?,
            cik: next(values)?,
            isin: next(values)?,
            cusip: next(values)?,
            lei: next(values)?,
            kind: next(values)?,
            exchange: next(values)?,
            currency: next(values)?,
            country: next(values)?,
            sector: next(values)?,
            industry: next(values)?,
            sic: next(values)?,
            description: next(values)?,
            website: next(values)?,
            employees: next(values)?,
            listed_on: next(values)?,
            delisted_on: next(values)?,
            fiscal_year_end: next(values)?,
            shares_outstanding: next(values)?,
            market_cap: next(values)?,
            former_names: next(values)?,
            other: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// A dividend, split or distribution of capital gains of one instrument.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CorporateAction {
    /// Provider the record was received from, e.g. `yahoo`.
    pub source: Text,
    /// The provider's symbol, e.g. `AAPL`.
    pub symbol: Text,
    /// `dividend`, `split` or `capital_gain`.
    pub action_type: Text,
    /// First trading date without the right to it; of a split the first one with the new shares.
    pub ex_date: NaiveDate,
    /// Cash per share in `currency`, adjusted for later splits where the provider adjusts; null for a split.
    pub amount: Option<Decimal>,
    /// Cash per share as it was paid; null when not stated.
    pub unadjusted_amount: Option<Decimal>,
    /// The provider's currency code; null when not stated.
    pub currency: Option<Text>,
    /// Number of new shares; null unless a split.
    pub split_to: Option<Decimal>,
    /// Number of old shares that they replace; null unless a split.
    pub split_from: Option<Decimal>,
    /// How often it is paid, as the provider states it, e.g. `Quarterly`; null where it does not.
    pub period: Option<Text>,
    /// Date of declaration; null where not published.
    pub declared_on: Option<NaiveDate>,
    /// Date on which holders are recorded; null where not published.
    pub record_date: Option<NaiveDate>,
    /// Date of payment; null where not published.
    pub paid_on: Option<NaiveDate>,
    /// The time of receipt: the providers do not state when they published it.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<CorporateAction> for Record {
    fn from(record: CorporateAction) -> Record {
        Record::CorporateAction(Box::new(record))
    }
}

impl CorporateAction {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.symbol.as_bytes(), out);
        put_bytes(self.action_type.as_bytes(), out);
        put_date(self.ex_date, out);
        put_optional(self.amount, out, put_decimal);
        put_optional(self.unadjusted_amount, out, put_decimal);
        put_optional(self.currency.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.split_to, out, put_decimal);
        put_optional(self.split_from, out, put_decimal);
        put_optional(self.period.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.declared_on, out, put_date);
        put_optional(self.record_date, out, put_date);
        put_optional(self.paid_on, out, put_date);
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.symbol, &mut key);
        put_key_part(&self.action_type, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<CorporateAction> {
        let values = &mut values.iter_mut();
        Some(CorporateAction {
            source: next(values)?,
            symbol: next(values)?,
            action_type: next(values)?,
            ex_date: next(values)?,
            amount: next(values)?,
            unadjusted_amount: next(values)?,
            currency: next(values)?,
            split_to: next(values)?,
            split_from: next(values)?,
            period: next(values)?,
            declared_on: next(values)?,
            record_date: next(values)?,
            paid_on: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// A refused record, with the reason and where it came from: a row that a producer could not read, or a message that a consumer could not store.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DeadLetter {
    /// Who refused the record: a provider's name (producer, stage `parse`) or a consumer group (all other stages).
    pub source: Text,
    /// The coordinate `topic/incarnation/partition/offset` of a message, or `endpoint/item/hash of the fragment` of a provider's row; a repeated refusal has the same id.
    pub dead_letter_id: Text,
    /// Stage that refused the record: `parse` (provider's row), `decode` (wire format), `validate` (a rule), `store` (the database).
    pub stage: Text,
    /// Class of the failure, for counting by cause, e.g. `truncated`, `rule`, `unknown_schema`.
    pub error_class: Text,
    /// The database's five-character code; null unless the database refused it.
    pub sqlstate: Option<Text>,
    /// One line for a person: what is wrong with the record.
    pub reason: Text,
    /// Dataset that the record was meant for.
    pub dataset: Text,
    /// Topic of the message; null for a provider's row.
    pub kafka_topic: Option<Text>,
    /// How often the topic had been recreated or truncated before, counted by the consumer; null for a provider's row.
    pub kafka_incarnation: Option<i64>,
    /// Partition of the message; null for a provider's row.
    pub kafka_partition: Option<i64>,
    /// Offset of the message; null for a provider's row.
    pub kafka_offset: Option<i64>,
    /// Kafka's timestamp of the message in milliseconds since 1970; null for a provider's row.
    pub record_timestamp_ms: Option<i64>,
    /// Key bytes of the message, unchanged; null when it had none.
    pub record_key: Option<Vec<u8>>,
    /// Value bytes of the message, unchanged, or the raw fragment of the provider's row; null for a tombstone.
    pub record_value: Option<Vec<u8>>,
    /// Headers of the message, each as name length, name, value length, value (4-byte big-endian lengths, -1 for a null value); null when it had none.
    pub record_headers: Option<Vec<u8>>,
    /// When the record was refused.
    pub known_at: DateTime<Utc>,
    /// When the record was refused.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<DeadLetter> for Record {
    fn from(record: DeadLetter) -> Record {
        Record::DeadLetter(Box::new(record))
    }
}

impl DeadLetter {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.dead_letter_id.as_bytes(), out);
        put_bytes(self.stage.as_bytes(), out);
        put_bytes(self.error_class.as_bytes(), out);
        put_optional(self.sqlstate.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_bytes(self.reason.as_bytes(), out);
        put_bytes(self.dataset.as_bytes(), out);
        put_optional(self.kafka_topic.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.kafka_incarnation, out, put_long);
        put_optional(self.kafka_partition, out, put_long);
        put_optional(self.kafka_offset, out, put_long);
        put_optional(self.record_timestamp_ms, out, put_long);
        put_optional(self.record_key.as_deref(), out, put_bytes);
        put_optional(self.record_value.as_deref(), out, put_bytes);
        put_optional(self.record_headers.as_deref(), out, put_bytes);
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.dead_letter_id, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<DeadLetter> {
        let values = &mut values.iter_mut();
        Some(DeadLetter {
            source: next(values)?,
            dead_letter_id: next(values)?,
            stage: next(values)?,
            error_class: next(values)?,
            sqlstate: next(values)?,
            reason: next(values)?,
            dataset: next(values)?,
            kafka_topic: next(values)?,
            kafka_incarnation: next(values)?,
            kafka_partition: next(values)?,
            kafka_offset: next(values)?,
            record_timestamp_ms: next(values)?,
            record_key: next(values)?,
            record_value: next(values)?,
            record_headers: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// Net flow of money into a category of funds over a week or a month.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EtfFlow {
    /// Provider the record was received from, e.g. `ici`.
    pub source: Text,
    /// `combined`, `etf` (net issuance) or `mutual_fund` (net new cash flow): two definitions of flow.
    pub report: Text,
    /// `weekly` (estimates) or `monthly` (actual); the weeks of a month never add up to it.
    pub frequency: Text,
    /// Last day of the period: mostly a Wednesday, or the end of the month.
    pub period_end: NaiveDate,
    /// `total`, `equity`, `equity_domestic`, `equity_world`, `hybrid`, `bond`, `bond_taxable`, `bond_municipal` or `commodity`.
    pub category: Text,
    /// Net flow in millions of US dollars; negative: money was taken out.
    pub net_flow_millions: i64,
    /// How far the parts of this category in the same row of the file are from it, in millions of US dollars, without sign; up to 2 is rounding; null for a category without parts.
    pub parts_deviation_millions: Option<i64>,
    /// Name of the file it is from; the provider overwrites it in place.
    pub source_file: Text,
    /// `Last-Modified` of the file, else the time of receipt.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<EtfFlow> for Record {
    fn from(record: EtfFlow) -> Record {
        Record::EtfFlow(Box::new(record))
    }
}

impl EtfFlow {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.report.as_bytes(), out);
        put_bytes(self.frequency.as_bytes(), out);
        put_date(self.period_end, out);
        put_bytes(self.category.as_bytes(), out);
        put_long(self.net_flow_millions, out);
        put_optional(self.parts_deviation_millions, out, put_long);
        put_bytes(self.source_file.as_bytes(), out);
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.report, &mut key);
        put_key_part(&self.frequency, &mut key);
        put_key_part(&self.category, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<EtfFlow> {
        let values = &mut values.iter_mut();
        Some(EtfFlow {
            source: next(values)?,
            report: next(values)?,
            frequency: next(values)?,
            period_end: next(values)?,
            category: next(values)?,
            net_flow_millions: next(values)?,
            parts_deviation_millions: next(values)?,
            source_file: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// A stock exchange as a provider names it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Exchange {
    /// Provider the record was received from, e.g. `eodhd`.
    pub source: Text,
    /// The provider's code, e.g. `NASDAQ`, `NYSE ARCA`.
    pub exchange_code: Text,
    /// Its name, where that is another text than its code; null when not stated.
    pub name: Option<Text>,
    /// Country as the provider states it; null when not stated.
    pub country: Option<Text>,
    /// Two letters (ISO 3166); null when not stated.
    pub country_code: Option<Text>,
    /// Currency of most of its quotes; null when not stated, because one listing's currency tells nothing about the others.
    pub currency: Option<Text>,
    /// Its time zone (IANA); null when not stated.
    pub time_zone: Option<Text>,
    /// Market identifier code (ISO 10383), e.g. `XNYS`; null when not stated.
    pub mic: Option<Text>,
    /// Start of its regular session, `HH:MM` in its time zone; null when not stated.
    pub opens_at: Option<Text>,
    /// End of its regular session, the closing auction included, `HH:MM` in its time zone; null when not stated.
    pub closes_at: Option<Text>,
    /// The time of receipt: the providers do not state when they changed it.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<Exchange> for Record {
    fn from(record: Exchange) -> Record {
        Record::Exchange(Box::new(record))
    }
}

impl Exchange {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.exchange_code.as_bytes(), out);
        put_optional(self.name.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.country.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.country_code.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.currency.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.time_zone.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.mic.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.opens_at.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.closes_at.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.exchange_code, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<Exchange> {
        let values = &mut values.iter_mut();
        Some(Exchange {
            source: next(values)?,
            exchange_code: next(values)?,
            name: next(values)?,
            country: next(values)?,
            country_code: next(values)?,
            currency: next(values)?,
            time_zone: next(values)?,
            mic: next(values)?,
            opens_at: next(values)?,
            closes_at: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// One poll of one item of an endpoint: its outcome and its cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FetchLog {
    /// Provider the record was received from, e.g. `yahoo`.
    pub source: Text,
    /// Endpoint of the source, e.g. `chart`.
    pub endpoint: Text,
    /// The item, e.g. `AAPL`.
    pub item: Text,
    /// When the last response was received.
    pub fetched_at: DateTime<Utc>,
    /// `answered`, `unchanged` (nothing new since the last response), or why it failed: `skipped` (the provider does not have the item), `given_up` (until the next round), `halted` (no item of the source can be fetched).
    pub outcome: Text,
    /// Records published.
    pub records: i64,
    /// How many of `records` correct a record published before; null in records older than this field.
    pub corrections: Option<i64>,
    /// Records received but not published, because they were already published; null in records older than this field.
    pub unchanged: Option<i64>,
    /// Rows that the producer could not read.
    pub rejects: i64,
    /// Requests made, retries included.
    pub calls: i64,
    /// Bytes of the responses' bodies.
    pub bytes: i64,
    /// From the first request to the last response, in milliseconds.
    pub duration_ms: i64,
    /// The provider's error message; null when it answered.
    pub error: Option<Text>,
    /// As `fetched_at`.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<FetchLog> for Record {
    fn from(record: FetchLog) -> Record {
        Record::FetchLog(Box::new(record))
    }
}

impl FetchLog {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.endpoint.as_bytes(), out);
        put_bytes(self.item.as_bytes(), out);
        put_timestamp(self.fetched_at, out);
        put_bytes(self.outcome.as_bytes(), out);
        put_long(self.records, out);
        put_optional(self.corrections, out, put_long);
        put_optional(self.unchanged, out, put_long);
        put_long(self.rejects, out);
        put_long(self.calls, out);
        put_long(self.bytes, out);
        put_long(self.duration_ms, out);
        put_optional(self.error.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.endpoint, &mut key);
        put_key_part(&self.item, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<FetchLog> {
        let values = &mut values.iter_mut();
        Some(FetchLog {
            source: next(values)?,
            endpoint: next(values)?,
            item: next(values)?,
            fetched_at: next(values)?,
            outcome: next(values)?,
            records: next(values)?,
            corrections: next(values)?,
            unchanged: next(values)?,
            rejects: next(values)?,
            calls: next(values)?,
            bytes: next(values)?,
            duration_ms: next(values)?,
            error: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// A filing with the SEC.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Filing {
    /// Provider the record was received from, e.g. `sec_edgar`.
    pub source: Text,
    /// The filer's number, ten digits.
    pub cik: Text,
    /// The filing's number, e.g. `0000320193-24-000123`; filers can share one.
    pub accession_number: Text,
    /// Form, e.g. `10-K`, `4/A`.
    pub form: Text,
    /// Date of the filing.
    pub filed_on: NaiveDate,
    /// Date that it reports on; null when not stated.
    pub reported_on: Option<NaiveDate>,
    /// When it was accepted; null when not stated, or when nothing tells whether the stated time is in UTC or New York's.
    pub accepted_at: Option<DateTime<Utc>>,
    /// Act under which it was filed, e.g. `34`; null when not stated.
    pub act: Option<Text>,
    /// File number; null when not stated.
    pub file_number: Option<Text>,
    /// Film number; null when not stated.
    pub film_number: Option<Text>,
    /// Items of an 8-K; null when not stated.
    pub items: Option<Text>,
    /// Size in bytes; null when not stated.
    pub size_bytes: Option<i64>,
    /// File name of the document; null when not stated.
    pub primary_document: Option<Text>,
    /// What that is; null when not stated.
    pub primary_document_description: Option<Text>,
    /// The form as the SEC groups it; null when not stated.
    pub core_type: Option<Text>,
    /// 1 when it holds XBRL, else 0; null when not stated.
    pub is_xbrl: Option<i64>,
    /// 1 when it holds inline XBRL, else 0; null when not stated.
    pub is_inline_xbrl: Option<i64>,
    /// When the SEC published it: 06:00 in New York on the next business day if it was accepted after 17:30 (forms 3, 4, 5 and 144: after 22:00). Without a time, the end of `filed_on` in New York; of letters and drafts, the time of receipt.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<Filing> for Record {
    fn from(record: Filing) -> Record {
        Record::Filing(Box::new(record))
    }
}

impl Filing {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.cik.as_bytes(), out);
        put_bytes(self.accession_number.as_bytes(), out);
        put_bytes(self.form.as_bytes(), out);
        put_date(self.filed_on, out);
        put_optional(self.reported_on, out, put_date);
        put_optional(self.accepted_at, out, put_timestamp);
        put_optional(self.act.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.file_number.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.film_number.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.items.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.size_bytes, out, put_long);
        put_optional(self.primary_document.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.primary_document_description.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.core_type.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.is_xbrl, out, put_long);
        put_optional(self.is_inline_xbrl, out, put_long);
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.cik, &mut key);
        put_key_part(&self.accession_number, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<Filing> {
        let values = &mut values.iter_mut();
        Some(Filing {
            source: next(values)?,
            cik: next(values)?,
            accession_number: next(values)?,
            form: next(values)?,
            filed_on: next(values)?,
            reported_on: next(values)?,
            accepted_at: next(values)?,
            act: next(values)?,
            file_number: next(values)?,
            film_number: next(values)?,
            items: next(values)?,
            size_bytes: next(values)?,
            primary_document: next(values)?,
            primary_document_description: next(values)?,
            core_type: next(values)?,
            is_xbrl: next(values)?,
            is_inline_xbrl: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// Ratios and key metrics of one company for one period.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FinancialRatio {
    /// Provider the record was received from, e.g. `fmp`.
    pub source: Text,
    /// The provider's symbol, e.g. `AAPL`.
    pub symbol: Text,
    /// The provider's set: `ratios`, `key_metrics` or `fundamentals`.
    pub ratio_set: Text,
    /// `FY`, `Q1` to `Q4`, `Q`, or `TTM`: the last twelve months.
    pub period: Text,
    /// Last day of the period.
    pub period_end: NaiveDate,
    /// Fiscal year as the provider counts it; null when not stated.
    pub fiscal_year: Option<i64>,
    /// Currency of amounts; null when not stated.
    pub currency: Option<Text>,
    /// Market capitalisation; null where not in the set.
    pub market_cap: Option<Decimal>,
    /// Price by earnings; null where not in the set.
    pub price_earnings: Option<f64>,
    /// Price by book value; null where not in the set.
    pub price_book: Option<f64>,
    /// Net income by shareholders' equity, as a fraction; null where not in the set.
    pub return_on_equity: Option<f64>,
    /// Debt by shareholders' equity; null where not in the set.
    pub debt_to_equity: Option<f64>,
    /// Current assets by current liabilities; null where not in the set.
    pub current_ratio: Option<f64>,
    /// Net income by revenue, as a fraction; null where not in the set.
    pub net_margin: Option<f64>,
    /// All numbers under the provider's own names.
    pub metrics: String,
    /// The time of receipt: the providers do not state when they computed it.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<FinancialRatio> for Record {
    fn from(record: FinancialRatio) -> Record {
        Record::FinancialRatio(Box::new(record))
    }
}

impl FinancialRatio {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.symbol.as_bytes(), out);
        put_bytes(self.ratio_set.as_bytes(), out);
        put_bytes(self.period.as_bytes(), out);
        put_date(self.period_end, out);
        put_optional(self.fiscal_year, out, put_long);
        put_optional(self.currency.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.market_cap, out, put_decimal);
        put_optional(self.price_earnings, out, put_double);
        put_optional(self.price_book, out, put_double);
        put_optional(self.return_on_equity, out, put_double);
        put_optional(self.debt_to_equity, out, put_double);
        put_optional(self.current_ratio, out, put_double);
        put_optional(self.net_margin, out, put_double);
        put_bytes(self.metrics.as_bytes(), out);
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.symbol, &mut key);
        put_key_part(&self.ratio_set, &mut key);
        put_key_part(&self.period, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<FinancialRatio> {
        let values = &mut values.iter_mut();
        Some(FinancialRatio {
            source: next(values)?,
            symbol: next(values)?,
            ratio_set: next(values)?,
            period: next(values)?,
            period_end: next(values)?,
            fiscal_year: next(values)?,
            currency: next(values)?,
            market_cap: next(values)?,
            price_earnings: next(values)?,
            price_book: next(values)?,
            return_on_equity: next(values)?,
            debt_to_equity: next(values)?,
            current_ratio: next(values)?,
            net_margin: next(values)?,
            metrics: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// A financial statement of one company for one period.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FinancialStatement {
    /// Provider the record was received from, e.g. `fmp`.
    pub source: Text,
    /// The provider's symbol, e.g. `AAPL`.
    pub symbol: Text,
    /// `income`, `balance_sheet` or `cash_flow`.
    pub statement: Text,
    /// `FY`, `Q1` to `Q4`, or `Q` where the provider does not number its quarters.
    pub period: Text,
    /// Last day of the fiscal period.
    pub period_end: NaiveDate,
    /// Fiscal year as the provider counts it; null when not stated.
    pub fiscal_year: Option<i64>,
    /// Currency of all amounts; null when not stated.
    pub currency: Option<Text>,
    /// The filer's number at the SEC, ten digits; null when not stated.
    pub cik: Option<Text>,
    /// Date of the filing; null when not stated.
    pub filed_on: Option<NaiveDate>,
    /// When the SEC accepted the filing; null when not stated or evidently false.
    pub accepted_at: Option<DateTime<Utc>>,
    /// Address of the filing; null when not stated.
    pub link: Option<Text>,
    /// Revenue of the period; null where not in this statement.
    pub revenue: Option<Decimal>,
    /// Operating income of the period; null like `revenue`.
    pub operating_income: Option<Decimal>,
    /// Net income of the period; null like `revenue`.
    pub net_income: Option<Decimal>,
    /// Diluted earnings per share; null like `revenue`.
    pub eps_diluted: Option<Decimal>,
    /// Total assets at `period_end`; null where not in this statement.
    pub total_assets: Option<Decimal>,
    /// Total liabilities at `period_end`; null like `total_assets`.
    pub total_liabilities: Option<Decimal>,
    /// Shareholders' equity at `period_end`; null like `total_assets`.
    pub total_equity: Option<Decimal>,
    /// Cash from operations in the period; null where not in this statement.
    pub operating_cash_flow: Option<Decimal>,
    /// Cash from operations less capital expenditure, as the provider states it; null like `operating_cash_flow`.
    pub free_cash_flow: Option<Decimal>,
    /// All amounts under the provider's own names, in units of `currency` (not thousands). A 0 of FMP may mean that nothing is known.
    pub metrics: String,
    /// When the SEC published the filing: 06:00 in New York on the next business day if it was accepted after 17:30. Else the end of `filed_on` at the exchange, else the time of receipt. A restatement in place keeps it and wins by `observed_at`.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<FinancialStatement> for Record {
    fn from(record: FinancialStatement) -> Record {
        Record::FinancialStatement(Box::new(record))
    }
}

impl FinancialStatement {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.symbol.as_bytes(), out);
        put_bytes(self.statement.as_bytes(), out);
        put_bytes(self.period.as_bytes(), out);
        put_date(self.period_end, out);
        put_optional(self.fiscal_year, out, put_long);
        put_optional(self.currency.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.cik.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.filed_on, out, put_date);
        put_optional(self.accepted_at, out, put_timestamp);
        put_optional(self.link.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.revenue, out, put_decimal);
        put_optional(self.operating_income, out, put_decimal);
        put_optional(self.net_income, out, put_decimal);
        put_optional(self.eps_diluted, out, put_decimal);
        put_optional(self.total_assets, out, put_decimal);
        put_optional(self.total_liabilities, out, put_decimal);
        put_optional(self.total_equity, out, put_decimal);
        put_optional(self.operating_cash_flow, out, put_decimal);
        put_optional(self.free_cash_flow, out, put_decimal);
        put_bytes(self.metrics.as_bytes(), out);
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.symbol, &mut key);
        put_key_part(&self.statement, &mut key);
        put_key_part(&self.period, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<FinancialStatement> {
        let values = &mut values.iter_mut();
        Some(FinancialStatement {
            source: next(values)?,
            symbol: next(values)?,
            statement: next(values)?,
            period: next(values)?,
            period_end: next(values)?,
            fiscal_year: next(values)?,
            currency: next(values)?,
            cik: next(values)?,
            filed_on: next(values)?,
            accepted_at: next(values)?,
            link: next(values)?,
            revenue: next(values)?,
            operating_income: next(values)?,
            net_income: next(values)?,
            eps_diluted: next(values)?,
            total_assets: next(values)?,
            total_liabilities: next(values)?,
            total_equity: next(values)?,
            operating_cash_flow: next(values)?,
            free_cash_flow: next(values)?,
            metrics: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// An industry in one classification.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Industry {
    /// Who published the record, `reference` for those of `tapedeck seed`.
    pub source: Text,
    /// `sic` (Standard Industrial Classification, as in `company.sic`), or one of your own.
    pub classification: Text,
    /// Its code, e.g. `3571`.
    pub industry_code: Text,
    /// Its name, e.g. `Electronic Computers`.
    pub name: Text,
    /// Its sector in the same classification; null when it belongs to none.
    pub sector_code: Option<Text>,
    /// When it was published; a fixed time in records of `tapedeck seed`.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<Industry> for Record {
    fn from(record: Industry) -> Record {
        Record::Industry(Box::new(record))
    }
}

impl Industry {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.classification.as_bytes(), out);
        put_bytes(self.industry_code.as_bytes(), out);
        put_bytes(self.name.as_bytes(), out);
        put_optional(self.sector_code.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.classification, &mut key);
        put_key_part(&self.industry_code, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<Industry> {
        let values = &mut values.iter_mut();
        Some(Industry {
            source: next(values)?,
            classification: next(values)?,
            industry_code: next(values)?,
            name: next(values)?,
            sector_code: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// One line of a report of insiders' holdings and transactions (SEC forms 3, 4 and 5).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InsiderTransaction {
    /// Provider the record was received from, e.g. `sec_edgar`.
    pub source: Text,
    /// Accession number, table and row of the line; a hash of the line where the provider gives none of them.
    pub transaction_id: Text,
    /// Ticker of the issuer; null when not stated.
    pub symbol: Option<Text>,
    /// The issuer's number at the SEC, ten digits; null when not stated.
    pub issuer_cik: Option<Text>,
    /// The filing; null when not stated.
    pub accession_number: Option<Text>,
    /// `3`, `4` or `5`, with `/A` for an amendment; null when not stated.
    pub form: Option<Text>,
    /// `non_derivative` or `derivative`, with `_holding` for a line that is no transaction; null when not stated.
    pub table_name: Option<Text>,
    /// Who holds; several are joined by `; `.
    pub owner_name: Text,
    /// Number at the SEC of the first of them, ten digits; null when not stated.
    pub owner_cik: Option<Text>,
    /// Office or relation to the issuer; null when not stated.
    pub owner_title: Option<Text>,
    /// What is held, e.g. `Class A Common Stock`; null when not stated.
    pub security_title: Option<Text>,
    /// Date of the transaction; null for a holding.
    pub transaction_date: Option<NaiveDate>,
    /// The form's code, e.g. `P` (purchase), `S` (sale); null for a holding.
    pub transaction_code: Option<Text>,
    /// Number of shares or units; null when not stated.
    pub shares: Option<Decimal>,
    /// Price per share in US dollars; null where it is in a footnote alone.
    pub price: Option<Decimal>,
    /// `A` or `D`; null for a holding.
    pub acquired_disposed: Option<Text>,
    /// Holding after the transaction; null when not stated.
    pub shares_after: Option<Decimal>,
    /// `D` (direct) or `I` (indirect); null when not stated.
    pub ownership: Option<Text>,
    /// Date of the report; null when not stated.
    pub reported_on: Option<NaiveDate>,
    /// Address of the filing; null when not stated.
    pub link: Option<Text>,
    /// When the SEC published the filing: 06:00 in New York on the next business day if it was accepted after 22:00. Else the end of `reported_on` in New York where that is the day of filing, else the time of receipt.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<InsiderTransaction> for Record {
    fn from(record: InsiderTransaction) -> Record {
        Record::InsiderTransaction(Box::new(record))
    }
}

impl InsiderTransaction {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.transaction_id.as_bytes(), out);
        put_optional(self.symbol.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.issuer_cik.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.accession_number.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.form.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.table_name.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_bytes(self.owner_name.as_bytes(), out);
        put_optional(self.owner_cik.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.owner_title.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.security_title.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.transaction_date, out, put_date);
        put_optional(self.transaction_code.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.shares, out, put_decimal);
        put_optional(self.price, out, put_decimal);
        put_optional(self.acquired_disposed.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.shares_after, out, put_decimal);
        put_optional(self.ownership.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.reported_on, out, put_date);
        put_optional(self.link.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.transaction_id, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<InsiderTransaction> {
        let values = &mut values.iter_mut();
        Some(InsiderTransaction {
            source: next(values)?,
            transaction_id: next(values)?,
            symbol: next(values)?,
            issuer_cik: next(values)?,
            accession_number: next(values)?,
            form: next(values)?,
            table_name: next(values)?,
            owner_name: next(values)?,
            owner_cik: next(values)?,
            owner_title: next(values)?,
            security_title: next(values)?,
            transaction_date: next(values)?,
            transaction_code: next(values)?,
            shares: next(values)?,
            price: next(values)?,
            acquired_disposed: next(values)?,
            shares_after: next(values)?,
            ownership: next(values)?,
            reported_on: next(values)?,
            link: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// What a provider's prices of a symbol are: on which exchange, in which currency and unit, adjusted for what.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Instrument {
    /// Provider the record was received from, e.g. `yahoo`.
    pub source: Text,
    /// The provider's symbol, as in `ohlcv_bar`, e.g. `VOD.L`.
    pub symbol: Text,
    /// Market identifier code (ISO 10383) of its exchange, e.g. `XLON`; null where the provider's code stands for none or for several.
    pub mic: Option<Text>,
    /// Its symbol at that exchange, e.g. `VOD`. Exchange and ticker are the same at every provider. Null without `mic`.
    pub ticker: Option<Text>,
    /// International securities identification number; null when not stated.
    pub isin: Option<Text>,
    /// Its exchange as the provider names it, e.g. `LSE`; null when not stated.
    pub exchange: Option<Text>,
    /// `share`, `etf`, `fund`, `index`, `currency`, `crypto`, `future`, `option` or `bond`; null for another kind.
    pub kind: Option<Text>,
    /// Currency of its prices (ISO 4217), e.g. `GBP` where the prices are in pence; null when not stated.
    pub currency: Option<Text>,
    /// Unit of its prices: the currency's code, the code of its hundredth or thousandth, e.g. `GBX` for pence, or `points` for an index; null when not stated.
    pub unit: Option<Text>,
    /// How many units make one of the currency: 1, or 100 for pence; null where prices are no amounts of money.
    pub units_per_currency: Option<f64>,
    /// What open, high, low and close are adjusted for: `none`, `splits`, or `all` (dividends too); null when not known.
    pub price_adjustment: Option<Text>,
    /// What the adjusted close is adjusted for; null without one.
    pub adjusted_close_adjustment: Option<Text>,
    /// What the volume is adjusted for: `none` or `splits`; null when not known.
    pub volume_adjustment: Option<Text>,
    /// The time of receipt: the providers do not state when they changed it.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<Instrument> for Record {
    fn from(record: Instrument) -> Record {
        Record::Instrument(Box::new(record))
    }
}

impl Instrument {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.symbol.as_bytes(), out);
        put_optional(self.mic.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.ticker.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.isin.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.exchange.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.kind.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.currency.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.unit.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.units_per_currency, out, put_double);
        put_optional(self.price_adjustment.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.adjusted_close_adjustment.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.volume_adjustment.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.symbol, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<Instrument> {
        let values = &mut values.iter_mut();
        Some(Instrument {
            source: next(values)?,
            symbol: next(values)?,
            mic: next(values)?,
            ticker: next(values)?,
            isin: next(values)?,
            exchange: next(values)?,
            kind: next(values)?,
            currency: next(values)?,
            unit: next(values)?,
            units_per_currency: next(values)?,
            price_adjustment: next(values)?,
            adjusted_close_adjustment: next(values)?,
            volume_adjustment: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// How well a model performed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelPerformance {
    /// Provider the record was received from, e.g. `dashboard`.
    pub source: Text,
    /// Name and version of the model.
    pub model: Text,
    /// What was measured, e.g. `accuracy`, `rmse`.
    pub metric: Text,
    /// When it was evaluated.
    pub evaluated_at: DateTime<Utc>,
    /// The measured value.
    pub value: f64,
    /// Number of predictions; null when not stated.
    pub sample_count: Option<i64>,
    /// Time of the first of them; null when not stated.
    pub sample_start: Option<DateTime<Utc>>,
    /// Time of the last of them; null when not stated.
    pub sample_end: Option<DateTime<Utc>>,
    /// When it was published.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<ModelPerformance> for Record {
    fn from(record: ModelPerformance) -> Record {
        Record::ModelPerformance(Box::new(record))
    }
}

impl ModelPerformance {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.model.as_bytes(), out);
        put_bytes(self.metric.as_bytes(), out);
        put_timestamp(self.evaluated_at, out);
        put_double(self.value, out);
        put_optional(self.sample_count, out, put_long);
        put_optional(self.sample_start, out, put_timestamp);
        put_optional(self.sample_end, out, put_timestamp);
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.model, &mut key);
        put_key_part(&self.metric, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<ModelPerformance> {
        let values = &mut values.iter_mut();
        Some(ModelPerformance {
            source: next(values)?,
            model: next(values)?,
            metric: next(values)?,
            evaluated_at: next(values)?,
            value: next(values)?,
            sample_count: next(values)?,
            sample_start: next(values)?,
            sample_end: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// A news article: its address, text and sentiment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NewsArticle {
    /// Provider the record was received from, e.g. `newsapi`.
    pub source: Text,
    /// Normalised address of the article, or a hash where there is none or it is longer than 500 bytes.
    pub article_id: Text,
    /// When it was published; null when not stated.
    pub published_at: Option<DateTime<Utc>>,
    /// Headline.
    pub title: Text,
    /// Address as received; null where there is none.
    pub url: Option<Text>,
    /// Name of the publisher; null when not stated.
    pub publisher: Option<Text>,
    /// Author, as received: may hold addresses; null when not stated.
    pub author: Option<Text>,
    /// Summary; null where there is none.
    pub description: Option<Text>,
    /// Text, often cut off by the provider; null where there is none.
    pub content: Option<Text>,
    /// Address of its picture; null where there is none.
    pub image_url: Option<Text>,
    /// Language code; null when not stated.
    pub language: Option<Text>,
    /// Symbols that the article is about, according to the provider.
    pub symbols: Vec<String>,
    /// Subjects as the provider names them.
    pub tags: Vec<String>,
    /// From -1 (bad) to 1 (good); null where nobody scored it.
    pub sentiment_score: Option<f64>,
    /// Share of bad words, 0 to 1; null like `sentiment_score`.
    pub sentiment_negative: Option<f64>,
    /// Share of neutral words, 0 to 1; null like `sentiment_score`.
    pub sentiment_neutral: Option<f64>,
    /// Share of good words, 0 to 1; null like `sentiment_score`.
    pub sentiment_positive: Option<f64>,
    /// Who scored it: `provider`, or name and version of our scorer; null like `sentiment_score`.
    pub sentiment_scorer: Option<Text>,
    /// `published_at`; the end of its date in the last time zone if its time is 00:00 UTC, which stands for a date alone. Else the time of receipt.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<NewsArticle> for Record {
    fn from(record: NewsArticle) -> Record {
        Record::NewsArticle(Box::new(record))
    }
}

impl NewsArticle {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.article_id.as_bytes(), out);
        put_optional(self.published_at, out, put_timestamp);
        put_bytes(self.title.as_bytes(), out);
        put_optional(self.url.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.publisher.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.author.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.description.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.content.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.image_url.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.language.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_texts(&self.symbols, out);
        put_texts(&self.tags, out);
        put_optional(self.sentiment_score, out, put_double);
        put_optional(self.sentiment_negative, out, put_double);
        put_optional(self.sentiment_neutral, out, put_double);
        put_optional(self.sentiment_positive, out, put_double);
        put_optional(self.sentiment_scorer.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.article_id, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<NewsArticle> {
        let values = &mut values.iter_mut();
        Some(NewsArticle {
            source: next(values)?,
            article_id: next(values)?,
            published_at: next(values)?,
            title: next(values)?,
            url: next(values)?,
            publisher: next(values)?,
            author: next(values)?,
            description: next(values)?,
            content: next(values)?,
            image_url: next(values)?,
            language: next(values)?,
            symbols: next(values)?,
            tags: next(values)?,
            sentiment_score: next(values)?,
            sentiment_negative: next(values)?,
            sentiment_neutral: next(values)?,
            sentiment_positive: next(values)?,
            sentiment_scorer: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// The current value of an economic series for one period.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Observation {
    /// Provider the record was received from, e.g. `fred`.
    pub source: Text,
    /// The provider's identifier of the series, e.g. `GDP`.
    pub series_id: Text,
    /// First day of the period the value is for; may lie in the future (projections).
    pub observation_date: NaiveDate,
    /// The value in the series' `units`; null where the provider has none (FRED's `.`), which can also withdraw a value.
    pub value: Option<f64>,
    /// When the provider last updated the series' data (`Last-Modified`), else the time of receipt; never FRED's default `realtime_start`, which is a cache artefact.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<Observation> for Record {
    fn from(record: Observation) -> Record {
        Record::Observation(Box::new(record))
    }
}

impl Observation {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.series_id.as_bytes(), out);
        put_date(self.observation_date, out);
        put_optional(self.value, out, put_double);
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.series_id, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<Observation> {
        let values = &mut values.iter_mut();
        Some(Observation {
            source: next(values)?,
            series_id: next(values)?,
            observation_date: next(values)?,
            value: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// A value of an economic series with the dates between which it was the published one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObservationVintage {
    /// Provider the record was received from, e.g. `fred`.
    pub source: Text,
    /// The provider's identifier of the series, e.g. `GDP`.
    pub series_id: Text,
    /// First day of the period the value is for.
    pub observation_date: NaiveDate,
    /// First day on which it was the published value.
    pub realtime_start: NaiveDate,
    /// Last day on which it was the published value; null while it still is, or when the response's window ends first.
    pub realtime_end: Option<NaiveDate>,
    /// The value in the series' `units`; null where the provider had none (FRED's `.`).
    pub value: Option<f64>,
    /// The end of `realtime_start` in Washington; of a value that was replaced, of the day after `realtime_end`, when that became known.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<ObservationVintage> for Record {
    fn from(record: ObservationVintage) -> Record {
        Record::ObservationVintage(Box::new(record))
    }
}

impl ObservationVintage {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.series_id.as_bytes(), out);
        put_date(self.observation_date, out);
        put_date(self.realtime_start, out);
        put_optional(self.realtime_end, out, put_date);
        put_optional(self.value, out, put_double);
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.series_id, &mut key);
        put_key_part(self.realtime_start, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<ObservationVintage> {
        let values = &mut values.iter_mut();
        Some(ObservationVintage {
            source: next(values)?,
            series_id: next(values)?,
            observation_date: next(values)?,
            realtime_start: next(values)?,
            realtime_end: next(values)?,
            value: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// Open, high, low, close and volume of one instrument over one interval.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OhlcvBar {
    /// Provider the record was received from, e.g. `yahoo`.
    pub source: Text,
    /// The provider's symbol, e.g. `AAPL`, `^GSPC`, `VIX`.
    pub symbol: Text,
    /// Length of the bar: `1m` to `90m`, `1h`, `1d`, `5d`, `1wk`, `1mo`, `3mo`.
    pub bar_interval: Text,
    /// Inclusive start of the bar. A bar of a day or longer starts at 00:00 of its first trading date in the exchange's time zone.
    pub ts_start: DateTime<Utc>,
    /// Session date in the exchange's time zone; the first one of a bar longer than a day.
    pub trading_date: NaiveDate,
    /// First price, in `currency` or index points; null where the provider publishes closes only.
    pub open: Option<f64>,
    /// Highest price; null like `open`.
    pub high: Option<f64>,
    /// Lowest price; null like `open`.
    pub low: Option<f64>,
    /// Last price, adjusted for splits where the provider adjusts (Yahoo).
    pub close: f64,
    /// Units traded; null where there is no such thing (indexes).
    pub volume: Option<f64>,
    /// Close adjusted for splits and dividends as of the time of receipt; rewritten by every later dividend; null where not published.
    pub adjusted_close: Option<f64>,
    /// The provider's currency code, e.g. `USD`, `GBp` (pence); null for index points.
    pub currency: Option<Text>,
    /// When the provider made the value public: `Last-Modified` of a file (cboe), else the time of receipt.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<OhlcvBar> for Record {
    fn from(record: OhlcvBar) -> Record {
        Record::OhlcvBar(Box::new(record))
    }
}

impl OhlcvBar {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.symbol.as_bytes(), out);
        put_bytes(self.bar_interval.as_bytes(), out);
        put_timestamp(self.ts_start, out);
        put_date(self.trading_date, out);
        put_optional(self.open, out, put_double);
        put_optional(self.high, out, put_double);
        put_optional(self.low, out, put_double);
        put_double(self.close, out);
        put_optional(self.volume, out, put_double);
        put_optional(self.adjusted_close, out, put_double);
        put_optional(self.currency.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.symbol, &mut key);
        put_key_part(&self.bar_interval, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<OhlcvBar> {
        let values = &mut values.iter_mut();
        Some(OhlcvBar {
            source: next(values)?,
            symbol: next(values)?,
            bar_interval: next(values)?,
            ts_start: next(values)?,
            trading_date: next(values)?,
            open: next(values)?,
            high: next(values)?,
            low: next(values)?,
            close: next(values)?,
            volume: next(values)?,
            adjusted_close: next(values)?,
            currency: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// A quote of one option contract with its greeks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OptionQuote {
    /// Provider the record was received from, e.g. `cboe`.
    pub source: Text,
    /// OCC symbol: root, date, `C` or `P`, strike in thousandths, e.g. `AAPL250905C00110000`.
    pub contract_symbol: Text,
    /// Time of the quote as the provider states it, else the time of receipt; mostly delayed by 15 minutes.
    pub quoted_at: DateTime<Utc>,
    /// The provider's symbol of the underlying, e.g. `AAPL`; an index has `^` before it, e.g. `^VIX`, also where the request says `_VIX` (cboe).
    pub underlying_symbol: Text,
    /// Last day on which the contract can be exercised.
    pub expiration_date: NaiveDate,
    /// Strike price in `currency` or index points.
    pub strike: Decimal,
    /// `call` or `put`.
    pub option_type: Text,
    /// Highest price offered; null where not published.
    pub bid: Option<f64>,
    /// Lowest price asked; null where not published.
    pub ask: Option<f64>,
    /// Contracts offered for at `bid`; null where not published.
    pub bid_size: Option<f64>,
    /// Contracts offered at `ask`; null where not published.
    pub ask_size: Option<f64>,
    /// Price of the last trade; null where not published.
    pub last_price: Option<f64>,
    /// Time of the last trade; null when it was never traded.
    pub last_traded_at: Option<DateTime<Utc>>,
    /// Change of `last_price` since the previous close.
    pub change: Option<f64>,
    /// The same in percent.
    pub change_percent: Option<f64>,
    /// First price of the session; null where not published.
    pub open: Option<f64>,
    /// Highest price of the session; null like `open`.
    pub high: Option<f64>,
    /// Lowest price of the session; null like `open`.
    pub low: Option<f64>,
    /// Close of the session before; null where not published.
    pub previous_close: Option<f64>,
    /// Contracts traded in this session; null when not stated.
    pub volume: Option<f64>,
    /// Open contracts after the session before.
    pub open_interest: Option<f64>,
    /// Annual volatility as a fraction; null where the provider has computed none.
    pub implied_volatility: Option<f64>,
    /// Change of the price by that of the underlying; null where not published.
    pub delta: Option<f64>,
    /// Change of `delta` by that of the underlying; null where not published.
    pub gamma: Option<f64>,
    /// Change of the price by a day; null where not published.
    pub theta: Option<f64>,
    /// Change of the price by a point of volatility; null where not published.
    pub vega: Option<f64>,
    /// Change of the price by a point of interest; null where not published.
    pub rho: Option<f64>,
    /// The provider's model price; null where not published.
    pub theoretical_price: Option<f64>,
    /// Price of the underlying at the time of the quote; null where not published.
    pub underlying_price: Option<f64>,
    /// The provider's currency code; null when not stated.
    pub currency: Option<Text>,
    /// Kind of contract as the provider states it, e.g. `REGULAR`; null where it does not.
    pub contract_size: Option<Text>,
    /// The provider's time of the answer (cboe), else the time of receipt.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<OptionQuote> for Record {
    fn from(record: OptionQuote) -> Record {
        Record::OptionQuote(Box::new(record))
    }
}

impl OptionQuote {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.contract_symbol.as_bytes(), out);
        put_timestamp(self.quoted_at, out);
        put_bytes(self.underlying_symbol.as_bytes(), out);
        put_date(self.expiration_date, out);
        put_decimal(self.strike, out);
        put_bytes(self.option_type.as_bytes(), out);
        put_optional(self.bid, out, put_double);
        put_optional(self.ask, out, put_double);
        put_optional(self.bid_size, out, put_double);
        put_optional(self.ask_size, out, put_double);
        put_optional(self.last_price, out, put_double);
        put_optional(self.last_traded_at, out, put_timestamp);
        put_optional(self.change, out, put_double);
        put_optional(self.change_percent, out, put_double);
        put_optional(self.open, out, put_double);
        put_optional(self.high, out, put_double);
        put_optional(self.low, out, put_double);
        put_optional(self.previous_close, out, put_double);
        put_optional(self.volume, out, put_double);
        put_optional(self.open_interest, out, put_double);
        put_optional(self.implied_volatility, out, put_double);
        put_optional(self.delta, out, put_double);
        put_optional(self.gamma, out, put_double);
        put_optional(self.theta, out, put_double);
        put_optional(self.vega, out, put_double);
        put_optional(self.rho, out, put_double);
        put_optional(self.theoretical_price, out, put_double);
        put_optional(self.underlying_price, out, put_double);
        put_optional(self.currency.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_optional(self.contract_size.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.contract_symbol, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<OptionQuote> {
        let values = &mut values.iter_mut();
        Some(OptionQuote {
            source: next(values)?,
            contract_symbol: next(values)?,
            quoted_at: next(values)?,
            underlying_symbol: next(values)?,
            expiration_date: next(values)?,
            strike: next(values)?,
            option_type: next(values)?,
            bid: next(values)?,
            ask: next(values)?,
            bid_size: next(values)?,
            ask_size: next(values)?,
            last_price: next(values)?,
            last_traded_at: next(values)?,
            change: next(values)?,
            change_percent: next(values)?,
            open: next(values)?,
            high: next(values)?,
            low: next(values)?,
            previous_close: next(values)?,
            volume: next(values)?,
            open_interest: next(values)?,
            implied_volatility: next(values)?,
            delta: next(values)?,
            gamma: next(values)?,
            theta: next(values)?,
            vega: next(values)?,
            rho: next(values)?,
            theoretical_price: next(values)?,
            underlying_price: next(values)?,
            currency: next(values)?,
            contract_size: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// A model's prediction about one instrument.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// Provider the record was received from, e.g. `dashboard`.
    pub source: Text,
    /// Name and version of the model.
    pub model: Text,
    /// The provider's symbol, e.g. `AAPL`.
    pub symbol: Text,
    /// How far ahead, e.g. `1d`.
    pub horizon: Text,
    /// When it was made.
    pub made_at: DateTime<Utc>,
    /// What is predicted, e.g. `close`, `return`, `direction`.
    pub target: Text,
    /// The predicted value.
    pub value: f64,
    /// Lower bound; null where the model gives none.
    pub lower: Option<f64>,
    /// Upper bound; null like `lower`.
    pub upper: Option<f64>,
    /// From 0 to 1; null where the model gives none.
    pub confidence: Option<f64>,
    /// What it was made from; null when not stated.
    pub features: Option<String>,
    /// When it was published.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<Prediction> for Record {
    fn from(record: Prediction) -> Record {
        Record::Prediction(Box::new(record))
    }
}

impl Prediction {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.model.as_bytes(), out);
        put_bytes(self.symbol.as_bytes(), out);
        put_bytes(self.horizon.as_bytes(), out);
        put_timestamp(self.made_at, out);
        put_bytes(self.target.as_bytes(), out);
        put_double(self.value, out);
        put_optional(self.lower, out, put_double);
        put_optional(self.upper, out, put_double);
        put_optional(self.confidence, out, put_double);
        put_optional(self.features.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.model, &mut key);
        put_key_part(&self.symbol, &mut key);
        put_key_part(&self.horizon, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<Prediction> {
        let values = &mut values.iter_mut();
        Some(Prediction {
            source: next(values)?,
            model: next(values)?,
            symbol: next(values)?,
            horizon: next(values)?,
            made_at: next(values)?,
            target: next(values)?,
            value: next(values)?,
            lower: next(values)?,
            upper: next(values)?,
            confidence: next(values)?,
            features: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// A sector of the economy in one classification.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sector {
    /// Who published the record, `reference` for those of `tapedeck seed`.
    pub source: Text,
    /// `sic` (Standard Industrial Classification: its divisions), `provider` (the sectors that Yahoo, FMP and EODHD name in `company`), or one of your own.
    pub classification: Text,
    /// Its code, e.g. `D`; of `provider` its name.
    pub sector_code: Text,
    /// Its name, e.g. `Manufacturing`.
    pub name: Text,
    /// When it was published; a fixed time in records of `tapedeck seed`.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<Sector> for Record {
    fn from(record: Sector) -> Record {
        Record::Sector(Box::new(record))
    }
}

impl Sector {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.classification.as_bytes(), out);
        put_bytes(self.sector_code.as_bytes(), out);
        put_bytes(self.name.as_bytes(), out);
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.classification, &mut key);
        put_key_part(&self.sector_code, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<Sector> {
        let values = &mut values.iter_mut();
        Some(Sector {
            source: next(values)?,
            classification: next(values)?,
            sector_code: next(values)?,
            name: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// An economic series: what its observations mean.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// Provider the record was received from, e.g. `fred`.
    pub source: Text,
    /// The provider's identifier of the series, e.g. `GDP`.
    pub series_id: Text,
    /// Title as published.
    pub title: Text,
    /// How often a value is published, as the provider states it, e.g. `Quarterly`.
    pub frequency: Text,
    /// Unit of the observations, as the provider states it, e.g. `Billions of Dollars`.
    pub units: Text,
    /// Whether and how the values are seasonally adjusted, e.g. `Seasonally Adjusted Annual Rate`.
    pub seasonal_adjustment: Text,
    /// First period the provider states; earlier periods without a value may be served all the same.
    pub first_observation_date: NaiveDate,
    /// Last period covered.
    pub last_observation_date: NaiveDate,
    /// The provider's popularity score, 0 to 100; null where it has none.
    pub popularity: Option<i64>,
    /// Free text, may hold line breaks and quotes; null when absent.
    pub notes: Option<Text>,
    /// The time of receipt: the provider states when the data changed, and not the description.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<Series> for Record {
    fn from(record: Series) -> Record {
        Record::Series(Box::new(record))
    }
}

impl Series {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.series_id.as_bytes(), out);
        put_bytes(self.title.as_bytes(), out);
        put_bytes(self.frequency.as_bytes(), out);
        put_bytes(self.units.as_bytes(), out);
        put_bytes(self.seasonal_adjustment.as_bytes(), out);
        put_date(self.first_observation_date, out);
        put_date(self.last_observation_date, out);
        put_optional(self.popularity, out, put_long);
        put_optional(self.notes.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.series_id, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<Series> {
        let values = &mut values.iter_mut();
        Some(Series {
            source: next(values)?,
            series_id: next(values)?,
            title: next(values)?,
            frequency: next(values)?,
            units: next(values)?,
            seasonal_adjustment: next(values)?,
            first_observation_date: next(values)?,
            last_observation_date: next(values)?,
            popularity: next(values)?,
            notes: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// A date on which values of an economic series were published.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeriesVintage {
    /// Provider the record was received from, e.g. `fred`.
    pub source: Text,
    /// The provider's identifier of the series, e.g. `GDP`.
    pub series_id: Text,
    /// Date on which the provider first served the values, new or revised.
    pub vintage_date: NaiveDate,
    /// Its place in the series' list of such dates, from 1 on.
    pub vintage_number: i64,
    /// The end of `vintage_date` in Washington.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<SeriesVintage> for Record {
    fn from(record: SeriesVintage) -> Record {
        Record::SeriesVintage(Box::new(record))
    }
}

impl SeriesVintage {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.series_id.as_bytes(), out);
        put_date(self.vintage_date, out);
        put_long(self.vintage_number, out);
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.series_id, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<SeriesVintage> {
        let values = &mut values.iter_mut();
        Some(SeriesVintage {
            source: next(values)?,
            series_id: next(values)?,
            vintage_date: next(values)?,
            vintage_number: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// A number computed from bars.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TechnicalIndicator {
    /// Provider the record was received from, e.g. `tapedeck`.
    pub source: Text,
    /// The provider's symbol, e.g. `AAPL`.
    pub symbol: Text,
    /// Length of the bars it was computed from, as in `ohlcv_bar`.
    pub bar_interval: Text,
    /// Name with its parameters, e.g. `rsi_14`.
    pub indicator: Text,
    /// Start of the last bar that it was computed from.
    pub ts_start: DateTime<Utc>,
    /// The value; null while there are too few bars.
    pub value: Option<f64>,
    /// The latest `known_at` of the bars it was computed from.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<TechnicalIndicator> for Record {
    fn from(record: TechnicalIndicator) -> Record {
        Record::TechnicalIndicator(Box::new(record))
    }
}

impl TechnicalIndicator {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.symbol.as_bytes(), out);
        put_bytes(self.bar_interval.as_bytes(), out);
        put_bytes(self.indicator.as_bytes(), out);
        put_timestamp(self.ts_start, out);
        put_optional(self.value, out, put_double);
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.symbol, &mut key);
        put_key_part(&self.bar_interval, &mut key);
        put_key_part(&self.indicator, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<TechnicalIndicator> {
        let values = &mut values.iter_mut();
        Some(TechnicalIndicator {
            source: next(values)?,
            symbol: next(values)?,
            bar_interval: next(values)?,
            indicator: next(values)?,
            ts_start: next(values)?,
            value: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}

/// A fact that a company reported in a filing, in XBRL.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct XbrlFact {
    /// Provider the record was received from, e.g. `sec_edgar`.
    pub source: Text,
    /// The filer's number, ten digits.
    pub cik: Text,
    /// Taxonomy, e.g. `us-gaap`.
    pub taxonomy: Text,
    /// Concept, e.g. `Assets`.
    pub concept: Text,
    /// Unit, e.g. `USD`, `shares`, `USD/shares`, `pure`.
    pub unit: Text,
    /// `instant` or `duration`.
    pub period_type: Text,
    /// First day of a duration; of an instant its day.
    pub period_start: NaiveDate,
    /// Last day of a duration; of an instant its day.
    pub period_end: NaiveDate,
    /// The filing that reports it: later filings repeat the same period, with another value when it was restated.
    pub accession_number: Text,
    /// The value in `unit`.
    pub value: Decimal,
    /// Fiscal year of the filing, not of the fact; null when not stated.
    pub fiscal_year: Option<i64>,
    /// Fiscal period of the filing, `FY` or `Q1` to `Q3`, not of the fact; null when not stated.
    pub fiscal_period: Option<Text>,
    /// Form of the filing, e.g. `10-K`.
    pub form: Text,
    /// Date of the filing.
    pub filed_on: NaiveDate,
    /// The SEC's name of the period, on one of the copies; null on the others.
    pub frame: Option<Text>,
    /// The end of `filed_on` in New York.
    pub known_at: DateTime<Utc>,
    /// When the record was received.
    pub observed_at: DateTime<Utc>,
    /// The expectations that the record breaks, mostly none; set by the consumer.
    pub flags: Vec<String>,
}

impl From<XbrlFact> for Record {
    fn from(record: XbrlFact) -> Record {
        Record::XbrlFact(Box::new(record))
    }
}

impl XbrlFact {
    /// Appends its Avro body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(self.source.as_bytes(), out);
        put_bytes(self.cik.as_bytes(), out);
        put_bytes(self.taxonomy.as_bytes(), out);
        put_bytes(self.concept.as_bytes(), out);
        put_bytes(self.unit.as_bytes(), out);
        put_bytes(self.period_type.as_bytes(), out);
        put_date(self.period_start, out);
        put_date(self.period_end, out);
        put_bytes(self.accession_number.as_bytes(), out);
        put_decimal(self.value, out);
        put_optional(self.fiscal_year, out, put_long);
        put_optional(self.fiscal_period.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_bytes(self.form.as_bytes(), out);
        put_date(self.filed_on, out);
        put_optional(self.frame.as_ref(), out, |value, out| put_bytes(value.as_bytes(), out));
        put_timestamp(self.known_at, out);
        put_timestamp(self.observed_at, out);
        put_texts(&self.flags, out);
    }

    /// Key of its message: the natural key without the time.
    pub fn message_key(&self) -> String {
        let mut key = String::new();
        put_key_part(&self.source, &mut key);
        put_key_part(&self.cik, &mut key);
        put_key_part(&self.taxonomy, &mut key);
        put_key_part(&self.concept, &mut key);
        put_key_part(&self.unit, &mut key);
        put_key_part(&self.period_type, &mut key);
        put_key_part(self.period_start, &mut key);
        put_key_part(&self.accession_number, &mut key);
        key
    }

    fn from_values(values: &mut [Value]) -> Option<XbrlFact> {
        let values = &mut values.iter_mut();
        Some(XbrlFact {
            source: next(values)?,
            cik: next(values)?,
            taxonomy: next(values)?,
            concept: next(values)?,
            unit: next(values)?,
            period_type: next(values)?,
            period_start: next(values)?,
            period_end: next(values)?,
            accession_number: next(values)?,
            value: next(values)?,
            fiscal_year: next(values)?,
            fiscal_period: next(values)?,
            form: next(values)?,
            filed_on: next(values)?,
            frame: next(values)?,
            known_at: next(values)?,
            observed_at: next(values)?,
            flags: next(values)?,
        })
    }
}
