//! The smallest `.xls` that readers accept: one sheet of texts and numbers (BIFF8) in a container (OLE2) of one stream.

/// Bytes of a sector of the container.
const SECTOR: usize = 512;
/// Smallest stream that lies in sectors of its own.
const MIN_STREAM_BYTES: usize = 4096;
/// Marks in the table of sectors: nothing there, end of a chain, the table itself.
const FREE: u32 = 0xffff_ffff;
const END_OF_CHAIN: u32 = 0xffff_fffe;
const TABLE: u32 = 0xffff_fffd;
/// Sectors of the table that the header has room for.
const MAX_TABLE_SECTORS: usize = 109;

/// What is in a cell; texts are ASCII.
pub(super) enum Cell {
    Text(String),
    Number(f64),
}

/// Cells with their columns.
pub(super) type Row = Vec<(u16, Cell)>;

/// A workbook of one sheet.
pub(super) fn workbook(sheet: &str, rows: &[Row]) -> Vec<u8> {
    let begin = |kind: u8| record(0x0809, &[0, 6, kind, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let end = record(0x000a, &[]);
    let globals = begin(5);
    // Kind, length, place, visible, of cells, length of the name, how it is written.
    let start = globals.len() + 4 + 4 + 2 + 2 + sheet.len() + end.len();
    let name = [&[0, 0, length(sheet.len()), 0][..], sheet.as_bytes()].concat();
    let sheet = record(0x0085, &[&number(start).to_le_bytes()[..], &name].concat());
    let mut stream = [globals, sheet, end.clone(), begin(0x10)].concat();
    for (number, row) in rows.iter().enumerate() {
        for (column, cell) in row {
            stream.extend(cell_record(length(number), *column, cell));
        }
    }
    stream.extend(end);
    container(stream)
}

fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &length::<u16>(data.len()).to_le_bytes(), data].concat()
}

fn cell_record(row: u16, column: u16, cell: &Cell) -> Vec<u8> {
    let place = [row, column, 0].map(u16::to_le_bytes).concat();
    match cell {
        Cell::Text(text) => {
            let length: u16 = length(text.len());
            record(0x0204, &[&place[..], &length.to_le_bytes(), &[0], text.as_bytes()].concat())
        }
        Cell::Number(number) => record(0x0203, &[&place[..], &number.to_le_bytes()].concat()),
    }
}

/// Puts the stream first, then the directory, then the table of sectors.
fn container(mut stream: Vec<u8>) -> Vec<u8> {
    stream.resize(stream.len().max(MIN_STREAM_BYTES), 0);
    let size = stream.len();
    let sectors = size.div_ceil(SECTOR);
    stream.resize(sectors * SECTOR, 0);
    // Each sector of the table has room for 128 numbers, its own among them.
    let tables = (sectors + 1).div_ceil(SECTOR / 4 - 1);
    let chain = (1..sectors).map(number).chain([END_OF_CHAIN, END_OF_CHAIN]);
    let mut table: Vec<u32> = chain.chain(std::iter::repeat_n(TABLE, tables)).collect();
    table.resize(tables * SECTOR / 4, FREE);
    [header(sectors, tables), stream, directory(size), table.into_iter().flat_map(u32::to_le_bytes).collect()].concat()
}

fn header(sectors: usize, tables: usize) -> Vec<u8> {
    let mut header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
    header.resize(24, 0);
    // Version 3, in little-endian order, with sectors of 2^9 bytes and small ones of 2^6.
    header.extend([0x3e_u16, 3, 0xfffe, 9, 6].into_iter().flat_map(u16::to_le_bytes));
    header.resize(44, 0);
    let directory = number(sectors);
    let small = [0, number(MIN_STREAM_BYTES), END_OF_CHAIN, 0];
    let more_tables = [END_OF_CHAIN, 0];
    let mut numbers = [&[number(tables), directory][..], &small, &more_tables].concat();
    numbers.extend((1..=tables).map(|table| directory + number(table)));
    numbers.resize(numbers.len() + MAX_TABLE_SECTORS.saturating_sub(tables), FREE);
    header.extend(numbers.into_iter().flat_map(u32::to_le_bytes));
    header
}

/// The root and the stream; no others.
fn directory(size: usize) -> Vec<u8> {
    let entry = |name: &str, kind: u8, child: u32, start: u32, size: usize| {
        let mut entry: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        entry.resize(64, 0);
        entry.extend([length(2 * (name.len() + 1)), 0, kind, 1]);
        entry.extend([FREE, FREE, child].into_iter().flat_map(u32::to_le_bytes));
        entry.resize(116, 0);
        entry.extend([start, number(size), 0].into_iter().flat_map(u32::to_le_bytes));
        entry
    };
    let mut directory = [entry("Root Entry", 5, 1, END_OF_CHAIN, 0), entry("Workbook", 2, FREE, 0, size)].concat();
    directory.resize(SECTOR, 0);
    directory
}

fn number(number: usize) -> u32 {
    length(number)
}

/// A length; this crate makes none that is too large.
fn length<T: TryFrom<usize>>(length: usize) -> T {
    T::try_from(length).unwrap_or_else(|_| panic!("{length} is too long for a workbook"))
}
