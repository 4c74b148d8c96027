use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::header::HeaderValue;

use super::*;

const LIMIT: usize = 8 << 20;

fn packed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn read(encodings: &[&'static str], pieces: &[&[u8]]) -> Result<Vec<u8>, PageError> {
    let headers = encodings.iter().map(|encoding| (CONTENT_ENCODING, HeaderValue::from_static(encoding)));
    let mut all = HeaderMap::new();
    headers.for_each(|(name, value)| {
        all.append(name, value);
    });
    let mut body = Body::of(&all, LIMIT)?;
    for piece in pieces {
        body.add(piece)?;
    }
    body.done()
}

#[test]
fn a_body_is_decompressed_wherever_it_is_cut_into_pieces() {
    let text: Vec<u8> = (0..20_000_u32).flat_map(u32::to_le_bytes).collect();
    let packed = packed(&text);
    for at in (0..packed.len()).step_by(997) {
        let (one, other) = packed.split_at(at);
        assert_eq!(read(&["gzip"], &[one, other]).as_ref(), Ok(&text), "{at}");
    }
    assert_eq!(read(&[], &[b"as ", b"it is"]).unwrap(), b"as it is");
    assert_eq!(read(&["identity"], &[b"as it is"]).unwrap(), b"as it is");
    assert_eq!(read(&["X-GZIP"], &[&packed]).unwrap(), text);
    assert_eq!(read(&["gzip"], &[]).unwrap(), b"");
}

#[test]
fn a_decompression_bomb_is_refused_before_it_is_large() {
    let bomb = packed(&vec![0; 4 * FREE_BYTES]);
    assert!(bomb.len() < 4 * FREE_BYTES / MAX_RATIO, "{}", bomb.len());
    let mut body = Body::of(&HeaderMap::from_iter([(CONTENT_ENCODING, HeaderValue::from_static("gzip"))]), LIMIT);
    let error = body.as_mut().ok().unwrap().add(&bomb).unwrap_err();
    assert_eq!(error, PageError::GiveUp("the body decompresses to more than 200 times its size".to_owned()));
    let Ok(Body { packing: Packing::Gzip(decoder), .. }) = &body else { panic!("not gzip") };
    assert!(decoder.get_ref().bytes.capacity() <= 4 * FREE_BYTES);
    // A small body may have any ratio.
    assert_eq!(read(&["gzip"], &[&packed(&vec![0; FREE_BYTES])]).unwrap().len(), FREE_BYTES);
}

#[test]
fn no_body_is_larger_than_the_limit() {
    let noise = |bytes: usize| -> Vec<u8> {
        let mut state = 7_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..bytes).map(|_| next()).collect()
    };
    let error = PageError::GiveUp(format!("the body has more than {LIMIT} bytes"));
    assert_eq!(read(&[], &[&noise(LIMIT), b"x"]), Err(error.clone()));
    assert_eq!(read(&["gzip"], &[&packed(&noise(LIMIT + 1))]), Err(error));
    assert_eq!(read(&[], &[&noise(LIMIT)]).unwrap().len(), LIMIT);
    assert_eq!(read(&["gzip"], &[&packed(&noise(LIMIT))]).unwrap().len(), LIMIT);
}

#[test]
fn no_more_memory_is_taken_than_a_body_may_have() {
    let limit = 1_000_000;
    let mut bounded = Bounded { bytes: Vec::new(), limit, allowed: usize::MAX };
    let mut sizes = vec![0];
    while bounded.write_all(&[7; 4096]).is_ok() {
        sizes.push(bounded.bytes.capacity());
    }
    sizes.push(bounded.bytes.capacity());
    sizes.dedup();
    // 4,096 doubled up to half of the limit, and then all of it.
    let doubled: Vec<usize> = (12..19).map(|power| 1 << power).collect();
    assert_eq!(sizes, [&[0][..], &doubled, &[limit + 1]].concat());
    assert_eq!(bounded.bytes.len(), limit + 1);
}

#[test]
fn other_or_repeated_content_encodings_are_refused() {
    for (encodings, shown) in [(&["br"][..], "br"), (&["gzip, gzip"], "gzip, gzip"), (&["gzip", "gzip"], "gzip, gzip")]
    {
        let expected = format!("the body has content encoding `{shown}`; expected gzip or none");
        assert_eq!(read(encodings, &[b"x"]), Err(PageError::Retry(expected)));
    }
}

#[test]
fn invalid_or_truncated_gzip_is_retried() {
    let whole = packed(b"a body that is whole");
    for body in [&b"<html>"[..], &whole[..whole.len() - 1], &whole[..12], &[&whole[..], b"x"].concat()] {
        assert_eq!(read(&["gzip"], &[body]), Err(not_packed()), "{body:?}");
    }
}
