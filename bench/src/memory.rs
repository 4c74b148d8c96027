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

/// Bytes of the nameless files that a process has open, as those of a comparison are.
pub(crate) fn temporary_bytes(process: Option<u32>) -> anyhow::Result<u64> {
    let id = process.context("the process has ended")?;
    let mut bytes = 0;
    for entry in std::fs::read_dir(format!("/proc/{id}/fd"))? {
        let path = entry?.path();
        // A file may be closed meanwhile. Following the link also finds a file without a name.
        let is_nameless = std::fs::read_link(&path).is_ok_and(|to| to.to_string_lossy().ends_with(" (deleted)"));
        let size = std::fs::metadata(&path).ok().filter(|found| is_nameless && found.is_file());
        bytes += size.map_or(0, |found| found.len());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_without_a_name_counts_until_it_is_closed() {
        let own = Some(std::process::id());
        let path = std::env::temp_dir().join(format!("tapedeck_bench_{}", std::process::id()));
        let before = temporary_bytes(own).unwrap();
        let mut file = File::create(&path).unwrap();
        file.write_all(&[0; 5000]).unwrap();
        assert_eq!(temporary_bytes(own).unwrap(), before);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(temporary_bytes(own).unwrap(), before + 5000);
        drop(file);
        assert_eq!(temporary_bytes(own).unwrap(), before);
    }
}
