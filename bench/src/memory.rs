//! The memory of a process, as the kernel counts it.

use anyhow::Context as _;

/// Peak resident memory of a process, in MB.
pub(crate) fn resident_mb(process: Option<u32>) -> anyhow::Result<f64> {
    memory_mb(process, "VmHWM:")
}

/// A measure of a process's memory, in MB, under the kernel's name for it.
pub(crate) fn memory_mb(process: Option<u32>, name: &str) -> anyhow::Result<f64> {
    let id = process.context("the process has ended")?;
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line =
        status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name} in /proc"))?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kilobytes / 1024.0)
}
