//! The time zones of exchanges.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::{Africa, America, Asia, Atlantic, Australia, Europe, Tz};

use crate::parse::fault::Fault;
use crate::time::Calendar;

/// Time zones by the codes of exchanges, as EODHD lists them.
///
/// Codes that are not listed have no zone: currencies (`FOREX`), crypto (`CC`), indexes of all countries (`INDX`),
/// funds, bonds. Their days count as UTC days.
const ZONES: &[(Tz, &[&str])] = &[
    (America::New_York, &["US", "NYSE", "NASDAQ", "BATS", "AMEX", "OTCQB", "PINK", "OTCQX", "OTCMKTS", "NMFQS", "OTC"]),
    (America::Toronto, &["TO", "V", "NEO", "CN"]),
    (America::Mexico_City, &["MX"]),
    (America::Sao_Paulo, &["SA"]),
    (America::Argentina::Buenos_Aires, &["BA"]),
    (America::Santiago, &["SN"]),
    (America::Lima, &["LIM"]),
    (Europe::London, &["LSE", "IL"]),
    (Europe::Berlin, &["XETRA", "F", "BE", "DU", "HA", "HM", "MU", "STU"]),
    (Europe::Paris, &["PA"]),
    (Europe::Amsterdam, &["AS"]),
    (Europe::Brussels, &["BR"]),
    (Europe::Luxembourg, &["LU"]),
    (Europe::Lisbon, &["LS"]),
    (Europe::Madrid, &["MC"]),
    (Europe::Rome, &["MI"]),
    (Europe::Zurich, &["SW"]),
    (Europe::Vienna, &["VI"]),
    (Europe::Dublin, &["IR"]),
    (Europe::Athens, &["AT"]),
    (Europe::Oslo, &["OL"]),
    (Europe::Stockholm, &["ST"]),
    (Europe::Copenhagen, &["CO"]),
    (Europe::Helsinki, &["HE"]),
    (Atlantic::Reykjavik, &["IC"]),
    (Europe::Warsaw, &["WAR"]),
    (Europe::Prague, &["PR"]),
    (Europe::Budapest, &["BUD"]),
    (Europe::Bucharest, &["RO"]),
    (Europe::Zagreb, &["ZSE"]),
    (Europe::Istanbul, &["IS"]),
    (Europe::Moscow, &["MCX"]),
    (Asia::Jerusalem, &["TA"]),
    (Asia::Kolkata, &["NSE", "BSE"]),
    (Asia::Karachi, &["KAR"]),
    (Asia::Colombo, &["CM"]),
    (Asia::Bangkok, &["BK"]),
    (Asia::Jakarta, &["JK"]),
    (Asia::Kuala_Lumpur, &["KLSE"]),
    (Asia::Manila, &["PSE"]),
    (Asia::Ho_Chi_Minh, &["VN"]),
    (Asia::Hong_Kong, &["HK"]),
    (Asia::Shanghai, &["SHG", "SHE"]),
    (Asia::Taipei, &["TW", "TWO"]),
    (Asia::Seoul, &["KO", "KQ"]),
    (Asia::Tokyo, &["TSE"]),
    (Australia::Sydney, &["AU"]),
    (Africa::Johannesburg, &["JSE"]),
    (Africa::Cairo, &["EGX"]),
];

/// The time zone of an exchange, by its code.
pub(super) fn of_exchange(code: &str) -> Tz {
    let found = ZONES.iter().find(|(_, codes)| codes.iter().any(|known| known.eq_ignore_ascii_case(code)));
    found.map_or(Tz::UTC, |(zone, _)| *zone)
}

/// The time zone of a symbol.
pub(super) fn of_symbol(symbol: &str) -> Tz {
    of_exchange(symbol.rsplit_once('.').map_or("", |(_, exchange)| exchange))
}

/// When a trading date begins.
pub(super) fn start(date: NaiveDate, calendar: &mut Calendar) -> Result<DateTime<Utc>, Fault> {
    calendar.start(date).ok_or_else(|| Fault("date", format!("{date} never began in {}", calendar.zone())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_is_in_the_zone_of_its_exchange() {
        for (symbol, zone) in [
            ("AAPL.US", America::New_York),
            ("VOD.LSE", Europe::London),
            ("SAP.XETRA", Europe::Berlin),
            ("4FX.F", Europe::Berlin),
            ("AIR.PA", Europe::Paris),
            ("SHOP.TO", America::Toronto),
            ("BRK.B.US", America::New_York),
            ("vod.lse", Europe::London),
            ("EURUSD.FOREX", Tz::UTC),
            ("BTC-USD.CC", Tz::UTC),
            ("X.NOSUCH", Tz::UTC),
            ("X", Tz::UTC),
        ] {
            assert_eq!(of_symbol(symbol), zone, "{symbol}");
        }
    }

    #[test]
    fn an_exchange_has_one_zone() {
        let mut codes: Vec<&str> = ZONES.iter().flat_map(|(_, codes)| codes.iter().copied()).collect();
        let all = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all);
    }
}
