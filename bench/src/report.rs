//! Prints the results of a benchmark.

use anyhow::bail;
use serde::Serialize;

/// Prints a report as one line of JSON, or in many lines for reading.
pub(crate) fn print(report: &(impl Serialize + std::fmt::Debug), json: bool) -> anyhow::Result<()> {
    println!("{}", if json { serde_json::to_string(report)? } else { format!("{report:#?}") });
    Ok(())
}

/// Names the limits that were exceeded; an error with `--check`.
pub(crate) fn check_limits(missed: &[String], check: bool) -> anyhow::Result<()> {
    if missed.is_empty() {
        return Ok(());
    }
    let text = format!("over the limit: {}", missed.join("; "));
    if check {
        bail!(text);
    }
    eprintln!("{text}");
    Ok(())
}
