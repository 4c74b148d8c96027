//! The table against `kafka-protocol`: random requests from the table, changed bytes, and a process of little memory.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as m;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};
use proptest::prelude::*;

use super::super::versions::APIS;
use super::*;

/// Decodes a body with the crate and encodes it again; returns the bytes that the crate left over, too.
fn round_trip<M: Decodable + Encodable>(body: &[u8], version: i16) -> anyhow::Result<(usize, Vec<u8>)> {
    let mut rest = Bytes::copy_from_slice(body);
    let message = M::decode(&mut rest, version)?;
    let mut again = BytesMut::new();
    message.encode(&mut again, version)?;
    Ok((rest.len(), again.to_vec()))
}

/// Runs `$function::<Request>` for the request type of an API.
macro_rules! of_api {
    ($api:expr, $function:ident, $($argument:expr),*) => {
        match $api {
            ApiKey::Produce => $function::<m::ProduceRequest>($($argument),*),
            ApiKey::Fetch => $function::<m::FetchRequest>($($argument),*),
            ApiKey::ListOffsets => $function::<m::ListOffsetsRequest>($($argument),*),
            ApiKey::Metadata => $function::<m::MetadataRequest>($($argument),*),
            ApiKey::OffsetCommit => $function::<m::OffsetCommitRequest>($($argument),*),
            ApiKey::OffsetFetch => $function::<m::OffsetFetchRequest>($($argument),*),
            ApiKey::FindCoordinator => $function::<m::FindCoordinatorRequest>($($argument),*),
            ApiKey::JoinGroup => $function::<m::JoinGroupRequest>($($argument),*),
            ApiKey::Heartbeat => $function::<m::HeartbeatRequest>($($argument),*),
            ApiKey::LeaveGroup => $function::<m::LeaveGroupRequest>($($argument),*),
            ApiKey::SyncGroup => $function::<m::SyncGroupRequest>($($argument),*),
            ApiKey::DescribeGroups => $function::<m::DescribeGroupsRequest>($($argument),*),
            ApiKey::ListGroups => $function::<m::ListGroupsRequest>($($argument),*),
            ApiKey::ApiVersions => $function::<m::ApiVersionsRequest>($($argument),*),
            ApiKey::CreateTopics => $function::<m::CreateTopicsRequest>($($argument),*),
            ApiKey::DeleteTopics => $function::<m::DeleteTopicsRequest>($($argument),*),
            ApiKey::DeleteRecords => $function::<m::DeleteRecordsRequest>($($argument),*),
            ApiKey::InitProducerId => $function::<m::InitProducerIdRequest>($($argument),*),
            ApiKey::OffsetForLeaderEpoch => $function::<m::OffsetForLeaderEpochRequest>($($argument),*),
            ApiKey::DescribeConfigs => $function::<m::DescribeConfigsRequest>($($argument),*),
            ApiKey::CreatePartitions => $function::<m::CreatePartitionsRequest>($($argument),*),
            ApiKey::DeleteGroups => $function::<m::DeleteGroupsRequest>($($argument),*),
            ApiKey::IncrementalAlterConfigs => $function::<m::IncrementalAlterConfigsRequest>($($argument),*),
            ApiKey::OffsetDelete => $function::<m::OffsetDeleteRequest>($($argument),*),
            ApiKey::DescribeCluster => $function::<m::DescribeClusterRequest>($($argument),*),
            ApiKey::ConsumerGroupHeartbeat => $function::<m::ConsumerGroupHeartbeatRequest>($($argument),*),
            other => panic!("no request type for {other:?}"),
        }
    };
}

fn decode(api: ApiKey, version: i16, body: &[u8]) -> anyhow::Result<(usize, Vec<u8>)> {
    of_api!(api, round_trip, body, version)
}

/// Every API with each of its versions.
fn served() -> impl Iterator<Item = (ApiKey, i16)> {
    APIS.iter().flat_map(|api| (api.min..=api.max).map(|version| (api.key, version)))
}

/// Writes random values of the table's types.
struct Writer {
    out: Vec<u8>,
    state: u64,
    version: i16,
    flexible: bool,
    /// Writes null instead of the value with this number, counted over lists, strings and bytes.
    null_at: Option<usize>,
    nullable_seen: usize,
    /// The null went into a field that may be null; `None`: not written.
    null_allowed: Option<bool>,
    tags: usize,
}

impl Writer {
    fn request(api: ApiKey, version: i16, seed: u64, null_at: Option<usize>) -> Self {
        let shape = shape(api).unwrap();
        let flexible = version >= shape.flexible;
        let state = seed | 1;
        let (out, null_allowed) = (Vec::new(), None);
        let mut writer = Self { out, state, version, flexible, null_at, nullable_seen: 0, null_allowed, tags: 0 };
        writer.fields(shape.fields);
        writer
    }

    fn random(&mut self, below: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 16) % below
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }

    fn length(&mut self, length: Option<usize>, short: bool) {
        let length = length.map_or(-1, |length| length as i64);
        if self.flexible {
            self.varint((length + 1) as u64);
        } else if short {
            self.out.extend((length as i16).to_be_bytes());
        } else {
            self.out.extend((length as i32).to_be_bytes());
        }
    }

    /// The length of a list, string or bytes; `None` when the writer wrote null.
    fn begin(&mut self, most: u64, short: bool, null: bool) -> Option<usize> {
        let forced = self.null_at == Some(self.nullable_seen);
        self.nullable_seen += 1;
        if forced {
            self.null_allowed = Some(null);
        }
        let length = if forced || null && self.random(4) == 0 { None } else { Some(self.random(most) as usize) };
        self.length(length, short);
        length
    }

    fn kind(&mut self, kind: &Kind) {
        match kind {
            Kind::Bool => {
                let value = self.random(2) as u8;
                self.out.push(value);
            }
            // Not zero: the crate leaves out tagged fields with their default.
            Kind::Fixed(bytes) => (0..*bytes).for_each(|_| {
                let byte = 1 + self.random(100) as u8;
                self.out.push(byte);
            }),
            Kind::Text | Kind::NullText => {
                let length = self.begin(200, true, matches!(kind, Kind::NullText));
                self.out.extend((0..length.unwrap_or(0)).map(|i| b'a' + (i % 26) as u8));
            }
            Kind::Data | Kind::NullData => {
                let length = self.begin(300, false, matches!(kind, Kind::NullData));
                self.out.extend((0..length.unwrap_or(0)).map(|i| i as u8));
            }
            Kind::List(of) | Kind::NullList(of) => {
                let length = self.begin(4, false, matches!(kind, Kind::NullList(_)));
                (0..length.unwrap_or(0)).for_each(|_| self.kind(of));
            }
            Kind::Struct(fields) => self.fields(fields),
        }
    }

    fn fields(&mut self, fields: &[Field]) {
        for field in fields {
            if let Some((_, kind)) = present(field, self.version) {
                self.kind(kind);
            }
        }
        if !self.flexible {
            return;
        }
        let mut known = Vec::new();
        for field in fields {
            if let Field::Tag(since, tag, _, kind) = field
                && self.version >= *since
                && self.random(2) == 0
            {
                // A null tagged field is left out: it is the default.
                known.push((*tag, if matches!(kind, Kind::NullText) { Kind::Text } else { *kind }));
            }
        }
        let unknown = if self.tags < 4 { self.random(3) as usize } else { 0 };
        self.tags += unknown;
        self.varint((known.len() + unknown) as u64);
        for (tag, kind) in known {
            self.varint(u64::from(tag));
            let (out, null_at) = (std::mem::take(&mut self.out), self.null_at.take());
            self.kind(&kind);
            let value = std::mem::replace(&mut self.out, out);
            self.null_at = null_at;
            self.varint(value.len() as u64);
            self.out.extend(value);
        }
        for i in 0..unknown {
            self.varint(100 + i as u64);
            self.varint(3);
            self.out.extend(b"tag");
        }
    }
}

#[test]
fn every_served_version_has_the_header_and_versions_of_the_crate() {
    fn is_flexible<M: HeaderVersion>(version: i16) -> bool {
        M::header_version(version) >= 2
    }
    for (api, version) in served() {
        let flexible = version >= shape(api).unwrap().flexible;
        assert_eq!(of_api!(api, is_flexible, version), flexible, "{api:?} {version}");
        let valid = api.valid_versions();
        assert!((valid.min..=valid.max).contains(&version), "{api:?} {version}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_random_request_is_accepted_and_the_crate_reads_the_same(seed: u64) {
        for (api, version) in served() {
            let body = Writer::request(api, version, seed, None).out;
            let walked = walk(api, version, &body);
            prop_assert_eq!(walked.map(|walked| walked.bytes), Ok(body.len()), "{:?} {}", api, version);
            let (left, again) = decode(api, version, &body).unwrap();
            prop_assert_eq!(left, 0, "{:?} {}", api, version);
            prop_assert_eq!(again, body, "{:?} {}", api, version);
        }
    }

    #[test]
    fn null_is_accepted_exactly_where_the_crate_accepts_it(seed: u64, at in 0_usize..12) {
        for (api, version) in served() {
            let writer = Writer::request(api, version, seed, Some(at));
            let Some(allowed) = writer.null_allowed else { continue };
            prop_assert_eq!(walk(api, version, &writer.out).is_ok(), allowed, "{:?} {}", api, version);
            prop_assert_eq!(decode(api, version, &writer.out).is_ok(), allowed, "{:?} {}", api, version);
        }
    }

    #[test]
    fn a_truncated_request_is_refused(seed: u64, cut: u64) {
        for (api, version) in served() {
            let body = Writer::request(api, version, seed, None).out;
            if let Some(cut) = cut.checked_rem(body.len() as u64) {
                prop_assert!(walk(api, version, &body[..cut as usize]).is_err(), "{:?} {}", api, version);
            }
        }
    }

    #[test]
    fn the_crate_decodes_every_changed_request_that_the_walk_accepts(
        seed: u64,
        changes in prop::collection::vec((any::<u64>(), prop_oneof![Just(0_u8), Just(0x7f), Just(0xff), any::<u8>()]), 1..4),
    ) {
        for (api, version) in served() {
            let mut body = Writer::request(api, version, seed, None).out;
            if body.is_empty() {
                continue;
            }
            for (at, byte) in &changes {
                let at = (*at % body.len() as u64) as usize;
                body[at] = *byte;
            }
            check(api, version, &body);
        }
    }

    #[test]
    fn the_crate_decodes_all_garbage_that_the_walk_accepts(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for (api, version) in served() {
            check(api, version, &body);
        }
    }

    #[test]
    fn a_header_of_garbage_is_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        for (api, version) in served() {
            if let Ok((client_id, taken)) = header(api, version, &bytes) {
                prop_assert!(client_id.map_or(0, str::len) + 2 <= taken && taken <= bytes.len());
            }
        }
    }
}

/// What the walk accepts, the crate decodes up to the same byte.
fn check(api: ApiKey, version: i16, body: &[u8]) {
    if let Ok(walked) = walk(api, version, body) {
        let decoded = of_api!(api, left_over, body, version);
        assert_eq!(decoded.ok(), Some(body.len() - walked.bytes), "{api:?} {version} {body:?}");
    }
}

fn left_over<M: Decodable>(body: &[u8], version: i16) -> anyhow::Result<usize> {
    let mut rest = Bytes::copy_from_slice(body);
    M::decode(&mut rest, version)?;
    Ok(rest.len())
}

#[test]
fn counts_beyond_the_bytes_and_beyond_the_limit_are_refused() {
    // The five bytes that abort the crate.
    let refused = walk(ApiKey::Metadata, 0, &[0x7f, 0xff, 0xff, 0xff, 0]).unwrap_err();
    assert_eq!(refused, Refusal { field: "topics", reason: "more elements than bytes" });
    assert_eq!(refused.to_string(), "field `topics`: more elements than bytes");

    for (count, accepted) in [(MAX_ELEMENTS, true), (MAX_ELEMENTS + 1, false)] {
        let mut body = (count as i32).to_be_bytes().to_vec();
        body.resize(4 + 2 * count, 0);
        assert_eq!(walk(ApiKey::Metadata, 0, &body).is_ok(), accepted, "{count}");
    }
    for (count, accepted) in [(MAX_UNKNOWN_TAGS, true), (MAX_UNKNOWN_TAGS + 1, false)] {
        let mut body = vec![0, count as u8];
        (0..count).for_each(|tag| body.extend([50 + tag as u8, 0]));
        assert_eq!(walk(ApiKey::DescribeCluster, 0, &body).is_ok(), accepted, "{count}");
    }
}

#[test]
fn a_known_tag_of_another_size_or_of_a_later_version_is_refused() {
    let reason = |version: i16, size: u8| {
        let mut body = vec![0; if version >= 15 { 21 } else { 25 }];
        body.extend([1, 1, 1, 1, 1, size]);
        body.extend([0; 13]);
        walk(ApiKey::Fetch, version, &body).map(|walked| walked.bytes == body.len()).map_err(|refusal| refusal.reason)
    };
    assert_eq!(reason(15, 13), Ok(true));
    assert_eq!(reason(15, 12), Err("tagged field of another size"));
    assert_eq!(reason(14, 13), Err("tag of a later version"));
}

#[test]
fn numbers_of_more_than_32_bits_are_refused() {
    assert!(walk(ApiKey::DescribeCluster, 0, &[0, 0xff, 0xff, 0xff, 0xff, 0x1f]).is_err());
    assert!(walk(ApiKey::DescribeCluster, 0, &[0, 0x80, 0x80, 0x80, 0x80, 0x80, 0]).is_err());
    assert!(walk(ApiKey::DescribeCluster, 0, &[0, 0x80, 0x80, 0]).is_ok());
}

/// Bytes of address space for [`decoding_allocates_little`].
const LITTLE_KIB: usize = 512 << 10;

/// Runs the largest accepted requests and counts of every size in a process whose memory the shell limits.
#[test]
fn decoding_allocates_little() {
    if std::env::var_os("WALK_IN_LITTLE_MEMORY").is_some() {
        hostile_counts();
        println!("survived");
        return;
    }
    let exe = std::env::current_exe().unwrap();
    let test = "wire::walk::tests::decoding_allocates_little";
    let script = format!("ulimit -v {LITTLE_KIB}; exec \"$0\" --exact {test} --nocapture --test-threads 1");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &script]).arg(exe).env("WALK_IN_LITTLE_MEMORY", "1");
    let output = command.output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stdout.contains("survived"), "{stdout}{stderr}");
}

/// Overwrites every position of random requests with counts of every size, and fills frames with small elements.
fn hostile_counts() {
    for (api, version) in served() {
        for seed in 1..3 {
            let body = Writer::request(api, version, seed * 0x9e37_79b9, None).out;
            for at in 0..body.len().min(60) {
                for bits in (1..32).step_by(3) {
                    let mut changed = body.clone();
                    let fixed = (1_u32 << bits).to_be_bytes();
                    changed.splice(at..(at + 4).min(body.len()), fixed);
                    check(api, version, &changed);
                    let mut changed = body.clone();
                    let varint = [0xff, 0xff, 0xff, 0xff, 1 << (bits % 4)];
                    changed.splice(at..at, varint.into_iter().skip(bits % 5));
                    check(api, version, &changed);
                }
            }
        }
        for fill in [0, 1, 2] {
            for prefix in 0..24 {
                for count in [[0, 0, 0x55, 0xf0].as_slice(), &[0xf1, 0xab, 1]] {
                    let mut body = vec![fill; prefix];
                    body.extend(count);
                    body.resize(48 << 10, fill);
                    check(api, version, &body);
                }
            }
        }
    }
}
