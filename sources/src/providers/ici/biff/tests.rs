use super::*;

fn read(pieces: &[&[u8]]) -> Vec<String> {
    texts(pieces.to_vec())
}

#[test]
fn a_text_is_read_however_it_is_written() {
    assert_eq!(read(&[b"\x04\x00\x00Bond\x02\x00\x01\xe9\x00\x13\x20"]), ["Bond", "é–"]);
    // With runs of formats and phonetic marks, which are left out.
    assert_eq!(read(&[b"\x01\x00\x0c\x02\x00\x03\x00\x00\x00A12345678abc\x01\x00\x00B"]), ["A", "B"]);
    assert_eq!(read(&[b"\x00\x00\x00\x01\x00\x00B"]), ["", "B"]);
}

#[test]
fn a_text_goes_on_in_the_next_record_perhaps_in_wider_characters() {
    assert_eq!(read(&[b"\x04\x00\x00Bo", b"\x01n\x00d\x00\x01\x00\x00X"]), ["Bond", "X"]);
    assert_eq!(read(&[b"\x04\x00\x01B\x00o\x00", b"\x00nd"]), ["Bond"]);
    // Between two texts there is no such mark.
    assert_eq!(read(&[b"\x01\x00\x00A", b"\x01\x00\x00B"]), ["A", "B"]);
}

#[test]
fn a_text_that_is_cut_off_is_none() {
    for piece in [&b"\x04\x00\x00Bon"[..], b"\x04\x00", b"\x01\x00\x08\xff\xffA", b"\x01\x00\x04\xff\xff\xff\xffA"] {
        assert_eq!(read(&[piece]), Vec::<String>::new());
    }
}

#[test]
fn a_short_number_is_whole_or_half_a_double_and_perhaps_in_hundredths() {
    assert_eq!(short_number(1234 << 2 | 2), 1234.0);
    assert_eq!(short_number((-1234_i32 << 2).cast_unsigned() | 2), -1234.0);
    assert_eq!(short_number(1234 << 2 | 3), 12.34);
    assert_eq!(short_number(0x3ff0_0000), 1.0);
    assert_eq!(short_number(0x4059_0001), 1.0);
}

/// A record.
fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap();
    [&kind.to_le_bytes()[..], &length.to_le_bytes(), data].concat()
}

/// A workbook of one sheet of such records.
fn workbook(globals: &[u8], cells: &[u8]) -> Result<Workbook, &'static str> {
    let begin = record(kind::BEGIN, &[0, 6, 5, 0]);
    let end = record(kind::END, &[]);
    let start = u8::try_from(begin.len() + globals.len() + 12 + end.len()).unwrap();
    let sheet = record(kind::SHEET, &[start, 0, 0, 0, 0, 0, 0, 0]);
    Workbook::parse([&begin[..], globals, &sheet, &end, &begin, cells, &end].concat())
}

fn cells(records: &[u8]) -> Vec<(usize, usize, String)> {
    let workbook = workbook(&[], records).unwrap();
    let mut cells = Vec::new();
    for row in workbook.rows(workbook.sheets()[0]).unwrap() {
        for (column, cell) in row.cells {
            let text = match cell {
                Cell::Number(number) => number.to_string(),
                Cell::Text(text) => text.into_owned(),
            };
            cells.push((row.number, column, text));
        }
    }
    cells
}

fn cell(row: usize, column: usize, text: &str) -> (usize, usize, String) {
    (row, column, text.to_owned())
}

#[test]
fn cells_are_read_in_the_order_of_rows_and_columns() {
    let numbers = [2, 0, 1, 0, 0, 0, 14, 0, 0, 0, 0, 0, 22, 0, 0, 0, 2, 0];
    let all = [
        record(kind::NUMBERS, &numbers),
        record(kind::TEXT, b"\0\0\x01\0\0\0\x01\0\0B"),
        record(kind::TEXT, b"\0\0\0\0\0\0\x01\0\0A"),
        record(kind::TEXT, b"\x05\0\0\0\0\0\x01\0\0 "),
        record(kind::BOOLEAN_OR_ERROR, &[1, 0, 0, 0, 0, 0, 7, 1]),
    ];
    let expected = [cell(1, 0, "A"), cell(1, 1, "B"), cell(2, 0, NO_VALUE), cell(3, 1, "3"), cell(3, 2, "5")];
    assert_eq!(cells(&all.concat()), expected);
}

#[test]
fn a_formula_is_its_result() {
    let number = [&[0, 0, 0, 0, 0, 0][..], &2.5_f64.to_le_bytes(), &[0; 8]].concat();
    let text = [&[0, 0, 1, 0, 0, 0][..], &[0, 0, 0, 0, 0, 0, 0xff, 0xff], &[0; 8]].concat();
    let error = [&[0, 0, 2, 0, 0, 0][..], &[2, 0, 7, 0, 0, 0, 0xff, 0xff], &[0; 8]].concat();
    let all = [
        record(kind::FORMULA, &number),
        record(kind::FORMULA, &text),
        record(kind::FORMULA_TEXT, b"\x01\0\0T"),
        record(kind::FORMULA, &error),
    ];
    assert_eq!(cells(&all.concat()), [cell(1, 0, "2.5"), cell(1, 1, "T"), cell(1, 2, NO_VALUE)]);
}

#[test]
fn what_lies_within_a_chart_is_not_a_cell() {
    let number = [&[0, 0, 0, 0, 0, 0][..], &1.0_f64.to_le_bytes()].concat();
    let chart = [record(kind::BEGIN, &[0, 6, 32, 0]), record(kind::NUMBER, &number), record(kind::END, &[])].concat();
    let text = record(kind::TEXT, b"\0\0\x01\0\0\0\x01\0\0B");
    assert_eq!(cells(&[chart, text].concat()), [cell(1, 1, "B")]);
}

#[test]
fn what_is_cut_off_protected_or_older_is_not_read() {
    let reason = |globals: &[u8]| workbook(globals, &[]).err();
    assert_eq!(reason(&record(kind::PASSWORD, &[1, 0])), Some("it is protected by a password"));
    assert_eq!(reason(&record(kind::BEGIN, &[0, 5, 5, 0])), Some("it is older than Excel 97"));
    assert_eq!(reason(&[0x0c, 0, 0xff, 0xff]), Some("a record is cut off"));
    for odd in [
        record(kind::NUMBER, &[0; 13]),
        record(kind::SHARED_TEXT, &[0; 10]),
        record(kind::TEXT, b"\0\0\0\0\0\0\x09\0\0B"),
        record(kind::FORMULA_TEXT, b"\x01\0\0T"),
        record(kind::NUMBERS, &[0]),
    ] {
        let workbook = workbook(&[], &odd).unwrap();
        assert!(workbook.rows(workbook.sheets()[0]).is_err(), "{odd:?}");
    }
}

#[test]
fn days_may_count_from_1904() {
    let epoch = |globals: &[u8]| workbook(globals, &[]).unwrap().epoch.to_string();
    assert_eq!(epoch(&[]), "1899-12-30");
    assert_eq!(epoch(&record(kind::DATE_1904, &[1, 0])), "1904-01-01");
    assert_eq!(epoch(&record(kind::DATE_1904, &[0, 0])), "1899-12-30");
}
