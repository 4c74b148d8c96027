//! Reads the complete rows of a window; the last row may continue in the next window.

use memchr::memchr;

use super::page::{PAGE_ROWS, Page, Row};
use crate::parse::fault::Fault;
use crate::response::{PageError, Request};

/// What a format finds at the beginning of the remaining bytes.
pub(super) enum Step {
    /// A row of that many bytes and lines, including its line feed.
    Row(usize, u64),
    /// Not a row; that many bytes were examined to see it.
    Odd(Fault, usize),
    /// The beginning of a row that continues beyond the window.
    Unfinished,
}

/// A format of rows.
pub(super) trait Rows<'a> {
    /// Finds a row, which must end within its first line if `is_one_line`.
    fn next(&mut self, rest: &'a [u8], is_one_line: bool) -> Step;

    /// Adds the row that was found last.
    fn add(&mut self, page: &mut Page<'a>, row: Row<'a>);
}

/// A part of a file.
pub(super) struct Window<'a> {
    /// The bytes.
    pub(super) body: &'a [u8],
    /// Length of the header before the rows.
    pub(super) header: usize,
    /// Lines before the first row of the file.
    pub(super) header_lines: u64,
    /// Length of a full window: the file may continue after it.
    pub(super) most: usize,
}

impl<'a> Window<'a> {
    /// Adds all complete rows to the page; returns the offset of the next window.
    pub(super) fn read(&self, request: &Request<'_>, rows: &mut impl Rows<'a>, page: &mut Page<'a>) -> Option<u64> {
        let (body, is_full) = (self.body, self.body.len() >= self.most);
        let Some(start) = self.start(request) else {
            return is_full.then(|| self.offset(request, body.len()));
        };
        let (mut at, mut line, mut one_line_until) = (start, self.header_lines + 1, 0);
        while at < body.len() {
            if page.rows() >= PAGE_ROWS {
                return Some(self.offset(request, at));
            }
            let (number, unit) = if request.offset == 0 { (line, "line") } else { (self.offset(request, at), "byte") };
            let row = |end: usize| Row { text: &body[at..end], number, unit };
            match rows.next(&body[at..], at < one_line_until) {
                Step::Row(length, lines) => {
                    rows.add(page, row(at + length));
                    (at, line) = (at + length, line + lines);
                }
                Step::Unfinished if is_full && at > start => return Some(self.offset(request, at)),
                // The line is refused. The following lines are tried one by one up to the byte that was examined, so no
                // byte is examined more than twice.
                step => {
                    let first_line = memchr(b'\n', &body[at..]).map(|end| at + end + 1);
                    let (fault, looked) = match step {
                        Step::Odd(fault, looked) => (fault, at + looked),
                        _ => (self.unfinished(is_full, first_line.is_some()), body.len()),
                    };
                    let end = first_line.unwrap_or(body.len());
                    page.refuse(row(end), fault, &body[at..end]);
                    (at, line, one_line_until) = (end, line + 1, one_line_until.max(looked));
                }
            }
        }
        is_full.then(|| self.offset(request, body.len()))
    }

    fn unfinished(&self, is_full: bool, has_line: bool) -> Fault {
        match (is_full, has_line) {
            (true, _) => Fault("too_long", format!("is longer than {} bytes, or a quote is never closed", self.most)),
            (false, true) => Fault("quote", "has a quote that is never closed".to_owned()),
            (false, false) => Fault("cut_off", "ends without a line feed, so its last value may be short".to_owned()),
        }
    }

    /// Offset of the first row; None if the whole window continues a row that was too long.
    fn start(&self, request: &Request<'_>) -> Option<usize> {
        match self.body.get(self.header) {
            // The window begins with the byte before it.
            Some(b'\n') if request.offset > 0 => Some(self.header + 1),
            Some(_) if request.offset > 0 => memchr(b'\n', &self.body[self.header..]).map(|end| self.header + end + 1),
            _ => Some(self.header),
        }
    }

    /// Offset in the file of an offset in the body.
    fn offset(&self, request: &Request<'_>, at: usize) -> u64 {
        match request.offset.checked_sub(1) {
            None => at as u64,
            Some(before) => before + (at - self.header) as u64,
        }
    }
}

/// Checks that a body is text; `what` names the expected format.
pub(super) fn check_text(body: &[u8], what: &str) -> Result<(), PageError> {
    if body.trim_ascii().is_empty() {
        return Err(PageError::Skip("the file is empty".to_owned()));
    }
    if body.starts_with(b"\xff\xfe") || body.starts_with(b"\xfe\xff") {
        return Err(PageError::Skip(format!("expected {what} in UTF-8, found UTF-16: save it as UTF-8")));
    }
    Ok(())
}
