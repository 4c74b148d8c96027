//! Progress on standard error: a bar per source on a terminal, plain lines elsewhere.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Deserialize;

/// A line that a producer prints with `--progress`.
#[derive(Debug, Clone, Deserialize)]
pub struct Report {
    pub source: String,
    #[serde(default)]
    pub endpoint: String,
    #[serde(default)]
    pub item: String,
    #[serde(default)]
    pub items_done: u64,
    #[serde(default)]
    pub items_total: u64,
    #[serde(default)]
    pub published: u64,
    #[serde(default)]
    pub rejected: u64,
    #[serde(default)]
    pub error: Option<String>,
    /// With `done`: the items of the round.
    #[serde(default)]
    pub items: u64,
    #[serde(default)]
    pub done: bool,
    /// Seconds until a stopped source is tried again.
    #[serde(default)]
    pub next_try_seconds: Option<u64>,
}

/// Shows progress on standard error.
pub(crate) struct Progress {
    bars: Option<MultiProgress>,
    sources: HashMap<String, Shown>,
    stored: Option<ProgressBar>,
    /// By source, why its last failed item failed.
    reasons: HashMap<String, String>,
    /// By source that is stopped and will be tried again, why.
    stopped: HashMap<String, String>,
    /// Sources that have finished a round.
    done: BTreeSet<String>,
}

#[derive(Default)]
struct Shown {
    bar: Option<ProgressBar>,
    published: u64,
    rejected: u64,
}

impl Progress {
    /// Shows bars if standard error is a terminal.
    pub(crate) fn new() -> Progress {
        let bars = io::stderr().is_terminal().then(MultiProgress::new);
        let stored = bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner().with_style(style("  {prefix:<8} {spinner} {msg}")));
            bar.set_prefix("stored");
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Progress {
            bars,
            sources: HashMap::new(),
            stored,
            reasons: HashMap::new(),
            stopped: HashMap::new(),
            done: BTreeSet::new(),
        }
    }

    /// Prints a line above the bars.
    pub(crate) fn say(&self, line: &str) {
        match &self.bars {
            Some(bars) => drop(bars.println(line)),
            None => eprintln!("{line}"),
        }
    }

    /// Shows a producer's report.
    pub(crate) fn report(&mut self, report: &Report) {
        if let Some(error) = &report.error {
            self.failed(report, error);
        } else if report.done && self.stopped.remove(&report.source).is_some() {
            self.say(&format!("{}: polled again", report.source));
        }
        let bars = self.bars.as_ref();
        let shown = self.sources.entry(report.source.clone()).or_insert_with(|| Shown {
            bar: bars.map(|bars| {
                let bar = bars.insert(0, ProgressBar::new(0));
                bar.set_prefix(report.source.clone());
                bar.with_style(style("  {prefix:<8} {bar:28} {pos}/{len} {msg}"))
            }),
            ..Shown::default()
        });
        if report.done {
            self.done.insert(report.source.clone());
            let (published, rejected) = (shown.published, shown.rejected);
            if let Some(bar) = &shown.bar {
                bar.abandon();
            }
            if bars.is_none() && report.error.is_none() {
                let source = &report.source;
                self.say(&match report.items {
                    0 => format!("{source}: nothing is due"),
                    _ => format!("{source}: polled, {published} records published, {rejected} refused"),
                });
            }
            return;
        }
        shown.published += report.published;
        shown.rejected += report.rejected;
        if let Some(bar) = &shown.bar {
            bar.set_length(report.items_total);
            bar.set_position(report.items_done);
            bar.set_message(format!("{} published, {} refused", shown.published, shown.rejected));
        }
    }

    /// Number of sources that have finished a round, or were stopped.
    pub(crate) fn done(&self) -> usize {
        self.done.len()
    }

    /// Shows why an item or a source failed, once: an item that stops its source has the reason of both.
    fn failed(&mut self, report: &Report, error: &str) {
        let Report { source, endpoint, item, next_try_seconds, .. } = report;
        // A source that is tried again and again says so only once.
        if self.stopped.get(source).is_some_and(|reason| reason == error) {
            return;
        }
        if !report.done {
            self.say(&format!("{source}: {endpoint} {item}: {error}"));
            self.reasons.insert(source.clone(), error.to_owned());
            return;
        }
        let is_said = self.reasons.get(source).is_some_and(|reason| reason == error);
        let reason = if is_said { String::new() } else { format!(": {error}") };
        match next_try_seconds {
            Some(seconds) => {
                self.say(&format!("{source}: stopped{reason}; the next try is in {seconds} s, and the others go on"));
                self.stopped.insert(source.clone(), error.to_owned());
            }
            None if is_said => {}
            None => self.say(&format!("{source}: stopped{reason}")),
        }
    }

    /// Shows how much is stored.
    pub(crate) fn stored(&self, rows: u64, rows_per_second: f64) {
        if let Some(bar) = &self.stored {
            bar.set_message(format!("{rows} rows, {rows_per_second:.0} rows/s"));
        }
    }

    /// Removes the bars.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.stored {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is well-formed")
}
