//! Compressed bodies that are small, and huge once they are unpacked.

use std::io::Write as _;
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::GzEncoder;

/// Zeros in one member of a gzip file; any number of members is one file.
const MEMBER_BYTES: usize = 4 << 20;
/// Members that unpack to more than a gigabyte.
pub(super) const MEMBERS: usize = 320;

static MEMBER: LazyLock<Vec<u8>> = LazyLock::new(|| packed(&vec![0; MEMBER_BYTES]));
static NESTED: LazyLock<Vec<u8>> = LazyLock::new(|| packed(&MEMBER.repeat(MEMBERS)));

/// A member, a thousandth of its unpacked size.
pub(super) fn member() -> &'static [u8] {
    &MEMBER
}

/// All members, compressed once more.
pub(super) fn nested() -> &'static [u8] {
    &NESTED
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("writing to memory cannot fail");
    encoder.finish().expect("writing to memory cannot fail")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::MultiGzDecoder;

    use super::*;

    #[test]
    fn a_megabyte_and_a_half_unpacks_to_more_than_a_gigabyte() {
        assert!(MEMBERS * member().len() < 3 << 19, "{}", member().len());
        const { assert!(MEMBERS * MEMBER_BYTES > 1_000_000_000) };
        let two = [member(), member()].concat();
        let mut unpacked = Vec::new();
        MultiGzDecoder::new(&two[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked.len(), 2 * MEMBER_BYTES);
        assert!(nested().len() < 20_000, "{}", nested().len());
    }
}
