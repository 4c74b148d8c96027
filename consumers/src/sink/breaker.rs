//! Trips when a sink refuses too many records of one publisher, so that its quarantine begins. Pure.

use contract::Text;
use store::chunk::MIN_REFUSED;
use store::quarantine::{OTHERS, UNREADABLE};

/// How many of a publisher's last records in a partition are counted.
pub const WINDOW: usize = 2000;
/// Most publishers that are told apart in a partition; further ones are counted as one.
pub const MAX_PUBLISHERS: usize = 64;

/// Counts the refused among the last [`WINDOW`] records of a publisher in a partition.
#[derive(Debug, Clone, Default)]
struct Breaker {
    /// Whether each of the last records was refused; empty until the first is.
    window: Vec<bool>,
    /// Accepted records before the first refused one, at most [`WINDOW`].
    accepted: usize,
    next: usize,
    refused: usize,
}

impl Breaker {
    fn note(&mut self, refused: bool) {
        if self.window.is_empty() {
            if !refused {
                self.accepted = (self.accepted + 1).min(WINDOW);
                return;
            }
            self.window = vec![false; self.accepted];
        }
        if self.window.len() < WINDOW {
            self.window.push(refused);
        } else {
            self.refused -= usize::from(std::mem::replace(&mut self.window[self.next], refused));
            self.next = (self.next + 1) % WINDOW;
        }
        self.refused += usize::from(refused);
    }

    /// Counts a refused record. Returns (refused, counted) and starts again when they are too many.
    fn refuse(&mut self, percent: usize) -> Option<(usize, usize)> {
        self.note(true);
        let counts = (self.refused, self.window.len());
        let is_tripped = counts.0 >= MIN_REFUSED && counts.0 * 100 > counts.1 * percent;
        is_tripped.then(|| {
            *self = Breaker::default();
            counts
        })
    }
}

/// The breakers of a partition, one for each publisher.
#[derive(Debug, Clone)]
pub struct Breakers {
    percent: usize,
    publishers: Vec<(Text, Breaker)>,
    /// Of [`UNREADABLE`]: it counts the records of all publishers, because any of them may have sent what has no name.
    unreadable: Breaker,
    /// The publisher of the last record.
    last: usize,
}

impl Breakers {
    /// Each trips when more than `percent` of a publisher's records are refused, and at least [`MIN_REFUSED`].
    pub fn new(percent: usize) -> Breakers {
        Breakers { percent, publishers: Vec::new(), unreadable: Breaker::default(), last: 0 }
    }

    /// Counts an accepted record.
    pub fn accept(&mut self, publisher: &str) {
        let at = self.find(publisher);
        self.publishers[at].1.note(false);
        self.unreadable.note(false);
    }

    /// Counts a refused record. Returns the name under which its publisher is counted, and (refused, counted) when too
    /// many of its records are refused; then the count starts again.
    pub fn refuse(&mut self, publisher: &str) -> (Text, Option<(usize, usize)>) {
        if publisher == UNREADABLE {
            return (UNREADABLE.into(), self.unreadable.refuse(self.percent));
        }
        self.unreadable.note(false);
        let at = self.find(publisher);
        let (name, breaker) = &mut self.publishers[at];
        (name.clone(), breaker.refuse(self.percent))
    }

    /// The place of a publisher. Neighbouring records are mostly of the same.
    fn find(&mut self, publisher: &str) -> usize {
        let is = |(name, _): &(Text, Breaker), wanted: &str| *name == *wanted;
        if self.publishers.get(self.last).is_some_and(|one| is(one, publisher)) {
            return self.last;
        }
        let name = match self.publishers.iter().position(|one| is(one, publisher)) {
            Some(at) => {
                self.last = at;
                return at;
            }
            None if self.publishers.len() < MAX_PUBLISHERS => publisher,
            None => OTHERS,
        };
        let found = self.publishers.iter().position(|one| is(one, name));
        self.last = found.unwrap_or_else(|| {
            self.publishers.push((name.into(), Breaker::default()));
            self.publishers.len() - 1
        });
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(breakers: &mut Breakers, publisher: &str, refused: bool) -> Option<(usize, usize)> {
        match refused {
            true => breakers.refuse(publisher).1,
            false => {
                breakers.accept(publisher);
                None
            }
        }
    }

    /// What trips the breaker of one publisher first.
    fn after(percent: usize, records: impl IntoIterator<Item = bool>) -> Option<(usize, usize)> {
        let mut breakers = Breakers::new(percent);
        records.into_iter().find_map(|refused| note(&mut breakers, "one", refused))
    }

    #[test]
    fn it_trips_at_fifty_refused_records_when_they_are_more_than_the_share() {
        assert_eq!(after(5, vec![true; 49]), None);
        assert_eq!(after(5, vec![true; 50]), Some((50, 50)));
        assert_eq!(after(100, vec![true; 5000]), None, "100 percent is never exceeded");
        assert_eq!(after(5, (0..100_000).map(|at| at % 20 == 19)), None, "5 percent is not more than 5 percent");
        assert_eq!(after(5, (0..100_000).map(|at| at % 19 == 18)), Some((50, 950)));
    }

    #[test]
    fn it_forgets_what_was_refused_longer_ago() {
        let records = std::iter::repeat_n(true, 49).chain(std::iter::repeat_n(false, WINDOW));
        assert_eq!(after(1, records.chain(std::iter::repeat_n(true, 49))), None);
        let late = std::iter::repeat_n(false, 10 * WINDOW).chain(std::iter::repeat_n(true, 101));
        assert_eq!(after(5, late), Some((101, WINDOW)), "what was accepted longer ago counts only once");
    }

    #[test]
    fn records_of_one_publisher_count_for_no_other() {
        let mut breakers = Breakers::new(5);
        let bad = (0..100).filter_map(|at| note(&mut breakers, ["bad", "good"][at % 2], at % 2 == 0));
        assert_eq!(bad.collect::<Vec<_>>(), [(50, 50)]);
        assert_eq!((0..49).find_map(|_| note(&mut breakers, "bad", true)), None, "the count has started again");
        assert_eq!((0..49).find_map(|_| note(&mut breakers, "good", true)), None);
    }

    #[test]
    fn unreadable_records_are_measured_against_those_of_everybody() {
        let mut breakers = Breakers::new(5);
        let few =
            (0..100_000).find_map(|at| note(&mut breakers, ["a", UNREADABLE][usize::from(at % 25 == 0)], at % 25 == 0));
        assert_eq!(few, None, "4 percent of all");
        let many = (0..100_000).find_map(|at| note(&mut breakers, ["a", UNREADABLE][at % 2], at % 2 == 1));
        assert!(many.is_some_and(|(refused, seen)| refused * 100 > seen * 5), "{many:?}");
    }

    #[test]
    fn publishers_without_number_are_counted_as_one() {
        let mut breakers = Breakers::new(5);
        let tripped = (0..10_000).map(|at| breakers.refuse(&format!("{at}"))).find(|(_, tripped)| tripped.is_some());
        assert_eq!(tripped, Some((OTHERS.into(), Some((MIN_REFUSED, MIN_REFUSED)))));
        assert_eq!(breakers.publishers.len(), MAX_PUBLISHERS + 1);
    }
}
