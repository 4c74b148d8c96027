use super::*;
use crate::fixture::date;

fn strike(symbol: &str) -> String {
    parse(symbol).unwrap().strike.to_string()
}

#[test]
fn a_symbol_is_root_expiration_type_and_strike() {
    let call = parse("AAPL250905C00110000").unwrap();
    assert_eq!((call.root, call.expiration_date, call.option_type), ("AAPL", date("2025-09-05"), "call"));
    assert_eq!(call.strike.to_string(), "110");
    let put = parse("SPXW261231P06012500").unwrap();
    assert_eq!((put.root, put.expiration_date, put.option_type), ("SPXW", date("2026-12-31"), "put"));
}

#[test]
fn a_strike_is_exact_to_the_thousandth() {
    assert_eq!(strike("F251219C00012820"), "12.82");
    assert_eq!(strike("F251219C00000001"), "0.001");
    assert_eq!(strike("SPX251219C12345675"), "12345.675");
    assert_eq!(strike("F251219C00000000"), "0");
}

#[test]
fn a_root_has_any_length_and_may_hold_digits_and_the_letters_of_a_type() {
    for (symbol, root) in [("C251219C00070000", "C"), ("PCP251219P00070000", "PCP"), ("TSLA1251219C00070000", "TSLA1")]
    {
        assert_eq!(parse(symbol).unwrap().root, root);
    }
    let longest = format!("{}251219C00070000", "R".repeat(25));
    assert_eq!(parse(&longest).unwrap().root.len(), 25);
    assert!(parse(&format!("R{longest}")).is_err());
}

#[test]
fn a_leap_day_is_one_only_in_a_leap_year() {
    assert_eq!(parse("VIX280229C00020000").unwrap().expiration_date, date("2028-02-29"));
    assert!(parse("VIX270229C00020000").is_err());
}

#[test]
fn what_is_no_symbol_is_refused_with_its_words() {
    for symbol in [
        "",
        "AAPL",
        "250905C00110000",
        "AAPL250905X00110000",
        "AAPL250905c00110000",
        "AAPL251305C00110000",
        "AAPL250905C0011000",
        "AAPL250905C+0110000",
        "AAPL+50905C00110000",
        "AAPL  250905C00110000",
        "AÄPL250905C00110000",
        "AAPL250905C0011000é",
    ] {
        assert!(parse(symbol).is_err(), "{symbol}");
    }
    let Fault(class, reason) = parse("AAPL\n").unwrap_err();
    assert_eq!((class, reason.contains('\n')), ("contract", false));
}
