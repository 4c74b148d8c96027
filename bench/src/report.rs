//! How a benchmark shows what it measured.

use anyhow::bail;
use serde::Serialize;

/// Prints a report, as one line of JSON or for the eye.
pub(crate) fn print(report: &(impl Serialize + std::fmt::Debug), json: bool) -> anyhow::Result<()> {
    println!("{}", if json { serde_json::to_string(report)? } else { format!("{report:#?}") });
    Ok(())
}

/// Says what is not as it is wanted.
pub(crate) fn told(missed: &[String], check: bool) -> anyhow::Result<()> {
    if missed.is_empty() {
        return Ok(());
    }
    let text = format!("it costs more than is wanted: {}", missed.join("; "));
    if check {
        bail!(text);
    }
    eprintln!("{text}");
    Ok(())
}
