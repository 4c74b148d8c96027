//! Ratios and key metrics.

use chrono::NaiveDate;
use contract::Text;
use contract::records::FinancialRatio;

use super::{NAME, Page, metrics, period, rows, spelled};
use crate::parse::fault::Fault;
use crate::parse::value::Object;
use crate::response::{PageError, Parsed, Request};

pub(super) fn parse(request: &Request<'_>, body: &[u8], ratio_set: &str) -> Result<Parsed, PageError> {
    let rows = rows(body)?;
    // Nothing tells which of two rows is the later one.
    let mut page: Page<'_, (Text, NaiveDate), ()> = Page::with_capacity(rows.len());
    for row in rows {
        let text = row.get().as_bytes();
        match Object::row(row).and_then(|row| read(request, &row, ratio_set)) {
            Ok(ratio) => page.keep((ratio.period.clone(), ratio.period_end), (), ratio, text),
            Err(fault) => page.parsed.rejects.push(fault.reject(text)),
        }
    }
    Ok(page.parsed)
}

fn read(request: &Request<'_>, row: &Object<'_>, ratio_set: &str) -> Result<FinancialRatio, Fault> {
    let period_end = row.needed_date("date")?;
    let fiscal = period(request, row)?;
    let ratio = |names: &[&str]| row.number(spelled(row, names));
    Ok(FinancialRatio {
        source: NAME,
        symbol: fiscal.symbol,
        ratio_set: ratio_set.into(),
        period: fiscal.period,
        period_end,
        fiscal_year: fiscal.fiscal_year,
        currency: fiscal.currency,
        market_cap: row.decimal("marketCap")?,
        price_earnings: ratio(&["priceToEarningsRatio", "priceEarningsRatio", "peRatio"])?,
        price_book: ratio(&["priceToBookRatio", "priceBookValueRatio", "pbRatio"])?,
        return_on_equity: ratio(&["returnOnEquity", "roe"])?,
        debt_to_equity: ratio(&["debtToEquityRatio", "debtEquityRatio", "debtToEquity"])?,
        current_ratio: ratio(&["currentRatio"])?,
        net_margin: ratio(&["netProfitMargin"])?,
        metrics: metrics(row)?,
        known_at: request.received_at,
        observed_at: request.received_at,
        flags: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use contract::decimal;

    use super::*;
    use crate::fixture::{RECEIVED, at, date, only, parse as parse_file, rejects};
    use crate::providers::fmp::SOURCE;

    fn ratios(parsed: &Parsed) -> Vec<&FinancialRatio> {
        only!(parsed, FinancialRatio)
    }

    #[test]
    fn ratios_have_their_columns_and_every_number_under_its_own_name() {
        let parsed = parse_file(&SOURCE, "ratios", "AAPL.json").unwrap();
        let newest = ratios(&parsed)[0];
        assert_eq!(
            (newest.symbol.as_str(), newest.ratio_set.as_str(), newest.period.as_str()),
            ("AAPL", "ratios", "FY")
        );
        assert_eq!((newest.period_end, newest.fiscal_year), (date("2025-09-27"), Some(2025)));
        assert_eq!((newest.price_earnings, newest.price_book), (Some(34.092882867601105), Some(51.79151546797228)));
        assert_eq!((newest.debt_to_equity, newest.current_ratio), (Some(1.5241072518411023), Some(0.8932929222186667)));
        assert_eq!((newest.net_margin, newest.return_on_equity), (Some(0.2691506412181824), None));
        assert!(newest.metrics.contains("\"priceToEarningsRatio\":34.092882867601105"), "{}", newest.metrics);
        assert_eq!((newest.known_at, newest.observed_at), (at(RECEIVED), at(RECEIVED)));
    }

    #[test]
    fn key_metrics_have_the_market_capitalisation() {
        let parsed = parse_file(&SOURCE, "key_metrics", "AAPL.json").unwrap();
        let newest = ratios(&parsed)[0];
        assert_eq!((newest.ratio_set.as_str(), newest.market_cap), ("key_metrics", decimal::parse("3818743810000")));
        assert_eq!((newest.return_on_equity, newest.currency.as_deref()), (Some(1.5191298333175105), Some("USD")));
    }

    #[test]
    fn v3_is_read_in_its_own_spelling_and_what_it_does_not_know_is_left_out() {
        let parsed = parse_file(&SOURCE, "ratios", "PM~v3.json").unwrap();
        let (newest, before) = (ratios(&parsed)[0], ratios(&parsed)[1]);
        assert_eq!((newest.price_earnings, newest.net_margin, newest.fiscal_year), (None, Some(0.29), None));
        assert!(!newest.metrics.contains("priceEarningsRatio"), "{}", newest.metrics);
        assert_eq!((before.price_earnings, before.debt_to_equity), (Some(15.39412277979146), Some(-4.412031511100501)));
        assert!(!before.metrics.contains("Infinity") && !before.metrics.contains("period"), "{}", before.metrics);
    }

    #[test]
    fn each_odd_row_is_refused_and_the_rest_goes_on() {
        for endpoint in ["ratios", "key_metrics"] {
            let parsed = parse_file(&SOURCE, endpoint, "AAPL~odd_rows.json").unwrap();
            assert_eq!(ratios(&parsed).len(), 1, "{endpoint}");
            let classes: Vec<&str> = rejects(&parsed).iter().map(|(class, _)| *class).collect();
            assert_eq!(classes, ["period", "number", "duplicate", "shape"], "{endpoint}");
        }
    }
}
