use super::*;

fn refused(item: &str) -> String {
    match Item::parse(item) {
        Err(PageError::Skip(reason)) => reason,
        other => panic!("{item}: {other:?}"),
    }
}

fn slot<'a>(item: &'a Item, field: &str) -> &'a str {
    match &item.origins[item.dataset.position(field).unwrap()] {
        Origin::Slot(slot, _) => &item.slots[*slot].name,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_item_names_the_file_the_dataset_and_what_is_not_called_as_its_field() {
    let item = "history/a%3Fb.csv?ohlcv_bar&symbol=Ticker%26&ts_start=Date|%m/%d/%Y&trading_date=Date&bar_interval:=1d\
            &zone:=America/New_York&source:=stooq";
    let item = Item::parse(item).unwrap();
    assert_eq!((item.file.as_str(), item.dataset.name.as_str()), ("history/a?b.csv", "ohlcv_bar"));
    assert_eq!(item.zone, chrono_tz::America::New_York);
    assert_eq!((slot(&item, "symbol"), slot(&item, "ts_start"), slot(&item, "close")), ("Ticker&", "Date", "close"));
    let constant = |field: &str| match &item.origins[item.dataset.position(field).unwrap()] {
        Origin::Constant(Value::Text(text)) => text.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((constant("bar_interval").as_str(), constant("source").as_str()), ("1d", "stooq"));
    assert_eq!(item.slots.iter().filter(|slot| slot.name == "Date").count(), 1);
}

#[test]
fn an_item_that_cannot_be_one_says_why() {
    for (item, words) in [
        ("prices.csv", "expected `<path>?<dataset>"),
        ("prices.csv?", "expected `<path>?<dataset>"),
        ("prices.csv?prices", "`prices` is not a dataset; the datasets are analyst_rating, "),
        ("letters.csv?dead_letter", "`dead_letter` is not a dataset"),
        ("a.csv?ohlcv_bar&shut=Close", "`shut` is not a field of `ohlcv_bar`"),
        ("a.csv?ohlcv_bar&flags=F", "`flags` is not a field of `ohlcv_bar` that can be given"),
        ("a.csv?ohlcv_bar&close=A&close=B", "`close` is given twice"),
        ("a.csv?ohlcv_bar&close", "expected `<path>?<dataset>"),
        ("a.csv?ohlcv_bar&close=", "`close` is given no column"),
        ("a.csv?ohlcv_bar&close:=", "`close` is given no value"),
        ("a.csv?ohlcv_bar&close:=1,5", "`1,5` is not a number"),
        ("a.csv?ohlcv_bar&close=Close|%Y", "`close` is not a date or time"),
        ("a.csv?ohlcv_bar&ts_start=Date|%Q", "`%Q` is not a format"),
        ("a.csv?ohlcv_bar&zone:=Mars/Olympus", "`Mars/Olympus` is not a time zone"),
        ("a.csv?ohlcv_bar&zone=Zone", "write `zone:=America/New_York`"),
        ("a.csv?ohlcv_bar&decimal:=;", "write `decimal:=,` for numbers such as `1.611,25`"),
        ("a.csv?ohlcv_bar&decimal=Sign", "write `decimal:=,` for numbers such as `1.611,25`"),
        ("a.csv?ohlcv_bar&source:=Stooq", "`Stooq` is not the name of a source"),
        ("a.csv?ohlcv_bar&symbol=%ff", "the percent-encoded bytes are not printable UTF-8"),
        ("a.csv?ohlcv_bar&symbol=%0a", "the percent-encoded bytes are not printable UTF-8"),
    ] {
        let reason = refused(item);
        assert!(reason.contains(words) && !reason.contains('\n'), "{item}: {reason}");
    }
    assert!(refused(&format!("a?ohlcv_bar&symbol={}", "x".repeat(480))).contains("at most 480 bytes"));
}

#[test]
fn columns_are_found_by_their_very_name_then_in_any_case() {
    let item = Item::parse("a.csv?ohlcv_bar&symbol=Ticker&bar_interval:=1d").unwrap();
    let columns = ["CLOSE", "close", "Trading_Date", "Ticker"];
    let places = item.places(&columns).unwrap();
    let place = |field: &str| match &item.origins[item.dataset.position(field).unwrap()] {
        Origin::Slot(slot, _) => places[*slot],
        _ => None,
    };
    assert_eq!((place("close"), place("trading_date"), place("symbol")), (Some(1), Some(2), Some(3)));
    assert_eq!((place("ts_start"), place("open")), (None, None));
}

#[test]
fn a_column_that_must_be_there_and_is_not_is_named() {
    let item = Item::parse("a.csv?ohlcv_bar&symbol=Ticker&bar_interval:=1d").unwrap();
    for (columns, words) in [
        (vec!["close", "trading_date"], "there is no column `Ticker`; there are close, trading_date"),
        (vec!["Ticker", "trading_date"], "no column is called `close`, which `ohlcv_bar` needs"),
        (vec!["Ticker", "close"], "no column is called `ts_start`"),
        (vec!["Ticker", "Ticker", "close", "ts_start"], "two columns are called `Ticker`"),
        (vec!["Ticker", "CLOSE", "Close", "ts_start"], "two columns are called `close`"),
    ] {
        let error = item.places(&columns).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn no_dataset_has_a_field_that_is_called_as_a_constant_that_is_no_field() {
    let is_free = |name: &str| contract::datasets().iter().all(|dataset| dataset.position(name).is_none());
    assert!(is_free(ZONE) && is_free(DECIMAL));
}
