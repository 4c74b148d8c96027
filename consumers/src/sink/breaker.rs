//! Halts a sink that refuses too many records, instead of flooding the dead letters. Pure.

use store::chunk::MIN_REFUSED;

/// How many of a partition's last records are counted.
pub const WINDOW: usize = 2000;

/// Counts the refused among the last [`WINDOW`] records of a partition.
#[derive(Debug, Clone)]
pub struct Breaker {
    window: Vec<bool>,
    next: usize,
    refused: usize,
    percent: usize,
}

impl Breaker {
    /// Trips when more than `percent` of the records are refused, and at least [`MIN_REFUSED`].
    pub fn new(percent: usize) -> Breaker {
        Breaker { window: Vec::new(), next: 0, refused: 0, percent }
    }

    /// Counts a record.
    pub fn note(&mut self, refused: bool) {
        if self.window.len() < WINDOW {
            self.window.push(refused);
        } else {
            self.refused -= usize::from(std::mem::replace(&mut self.window[self.next], refused));
            self.next = (self.next + 1) % WINDOW;
        }
        self.refused += usize::from(refused);
    }

    /// (refused, counted) when too many records are refused.
    pub fn tripped(&self) -> Option<(usize, usize)> {
        let seen = self.window.len();
        let tripped = self.refused >= MIN_REFUSED && self.refused * 100 > seen * self.percent;
        tripped.then_some((self.refused, seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(percent: usize, records: impl IntoIterator<Item = bool>) -> Option<(usize, usize)> {
        let mut breaker = Breaker::new(percent);
        records.into_iter().for_each(|refused| breaker.note(refused));
        breaker.tripped()
    }

    #[test]
    fn it_trips_at_fifty_refused_records_when_they_are_more_than_the_share() {
        assert_eq!(after(5, vec![true; 49]), None);
        assert_eq!(after(5, vec![true; 50]), Some((50, 50)));
        assert_eq!(after(100, vec![true; 5000]), None, "100 percent is never exceeded");
        assert_eq!(after(5, (0..100_000).map(|at| at % 20 == 0)), None, "5 percent is not more than 5 percent");
        assert_eq!(after(5, (0..100_000).map(|at| at % 19 == 0)).map(|(_, seen)| seen), Some(WINDOW));
    }

    #[test]
    fn it_forgets_what_was_refused_longer_ago() {
        let records = std::iter::repeat_n(true, 49).chain(std::iter::repeat_n(false, WINDOW));
        assert_eq!(after(1, records.chain(std::iter::repeat_n(true, 49))), None);
    }
}
