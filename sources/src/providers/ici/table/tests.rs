use super::*;

fn row(cells: &[(usize, &'static str)]) -> Row<'static> {
    let cells = cells.iter().map(|(column, text)| (*column, Cell::Text(Cow::Borrowed(*text)))).collect();
    Row { number: 1, cells, epoch: None, line: None }
}

#[test]
fn a_flow_is_read_with_its_commas_brackets_and_signs() {
    let read =
        [("1,234", 1234.0), ("-1,234,567", -1_234_567.0), ("(5)", -5.0), ("\u{2212}12", -12.0), ("1234.5", 1234.5)];
    for (text, expected) in read {
        assert_eq!(number(text), Some(expected), "{text}");
    }
    for text in ["", "x", "1,23", ",123", "1,2345", "12 34", "1e3", "--1", "(1", "1.2.3", "NaN", "inf", "1_000"] {
        assert_eq!(number(text), None, "{text}");
    }
}

#[test]
fn what_stands_for_nothing_is_no_flow() {
    for text in ["-", "N/A", " – ", "."] {
        assert_eq!(millions(&Cell::Text(text.into()), &CATEGORIES[0]), Ok(None), "{text}");
    }
    assert!(millions(&Cell::Number(f64::NAN), &CATEGORIES[0]).is_err());
    assert_eq!(millions(&Cell::Number(-0.4), &CATEGORIES[0]), Ok(Some(0)));
}

#[test]
fn a_section_begins_with_its_name_and_a_footnote_does_not() {
    let named = |text| section(&row(&[(0, text)]));
    assert_eq!(named("Monthly fund flows"), Some("monthly"));
    assert_eq!(named("Estimated weekly fund flows "), Some("weekly"));
    assert_eq!(named("ESTIMATED WEEKLY NET ISSUANCE"), Some("weekly"));
    assert_eq!(named("Note: Weekly fund flows are estimates"), None);
    assert_eq!(named("Weekly fund flows are estimates based on what most funds report to us"), None);
    assert_eq!(named("Actual flows"), None);
    assert_eq!(section(&row(&[(0, "Monthly fund flows"), (3, "1")])), None);
}

fn columns(rows: &[&[(usize, &'static str)]]) -> Option<[Option<usize>; 9]> {
    let mut header = Header::default();
    rows.iter().for_each(|cells| header.add(&row(cells)));
    header.columns().map(|columns| columns.0)
}

#[test]
fn columns_are_found_by_their_words_wherever_they_are() {
    let one_row: &[_] =
        &[(0, "Date"), (2, "Total equity"), (3, "Domestic equity"), (4, "Municipal bonds"), (5, "TOTAL")];
    assert_eq!(columns(&[one_row]), Some([Some(5), Some(2), Some(3), None, None, None, None, Some(4), None]));
    let two_rows: [&[_]; 2] =
        [&[(0, "Date"), (1, "Total"), (3, "Bond")], &[(3, "Total"), (5, "Taxable"), (7, "Bond funds")]];
    assert_eq!(columns(&two_rows), Some([Some(1), None, None, None, None, Some(3), Some(5), None, None]));
}

#[test]
fn a_column_finer_than_a_category_is_none() {
    let rows: [&[_]; 2] =
        [&[(0, "Date"), (1, "Total"), (3, "Domestic"), (5, "World")], &[(3, "Large cap"), (5, "Total world")]];
    assert_eq!(columns(&rows), Some([Some(1), None, None, Some(5), None, None, None, None, None]));
}

#[test]
fn titles_are_no_header() {
    let rows: [&[_]; 2] = [&[(0, "Total bond and equity flows")], &[(0, "Released"), (1, "Total")]];
    assert_eq!(columns(&rows), None);
    let dated: [&[_]; 2] = [&[(0, "Flows"), (1, "11/18/2026")], &[(0, "Date"), (1, "Total"), (2, "Hybrid")]];
    assert!(columns(&dated).is_some());
}
