use proptest::prelude::*;

use super::*;

fn place(topic: u8, partition: i32) -> Place {
    Place { topic: Arc::from(format!("topic-{topic}")), id: Uuid::from_bytes([topic; 16]), partition }
}

fn committed(offset: i64) -> Committed {
    Committed { offset, epoch: 3, metadata: Arc::from(format!("note {offset}")) }
}

fn open(folder: &Path) -> Offsets {
    Offsets::open(folder).unwrap()
}

/// All offsets, in a comparable form.
fn all(offsets: &Offsets) -> BTreeMap<(String, Uuid, i32), Committed> {
    let of_group = |group: &str| {
        let entry = |(place, committed): (Place, &Committed)| {
            ((group.to_owned(), place.id, place.partition), committed.clone())
        };
        offsets.of_group(group).map(entry).collect::<Vec<_>>()
    };
    offsets.groups().flat_map(of_group).collect()
}

/// Three commits; returns where the file ended after each.
fn three_commits(folder: &Path) -> Vec<usize> {
    let mut offsets = open(folder);
    let commit = |at: i64| {
        offsets.commit("g", vec![(place(1, 0), committed(at)), (place(1, at as i32), committed(10 * at))]).unwrap();
        usize::try_from(offsets.end).unwrap()
    };
    (1..=3).map(commit).collect()
}

#[test]
fn offsets_are_there_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    three_commits(folder.path());
    let offsets = open(folder.path());
    assert_eq!(offsets.get("g", place(1, 0).id, 0), Some(&committed(3)));
    assert_eq!(offsets.get("g", place(1, 0).id, 2), Some(&committed(20)));
    assert_eq!(all(&offsets).len(), 4);
}

#[test]
fn a_commit_that_was_cut_off_anywhere_is_as_if_it_had_not_been_made() {
    let folder = tempfile::tempdir().unwrap();
    let ends = three_commits(folder.path());
    let file = folder.path().join(FILE);
    let whole = std::fs::read(&file).unwrap();
    for length in ends[1]..ends[2] {
        std::fs::write(&file, &whole[..length]).unwrap();
        let mut offsets = open(folder.path());
        assert_eq!(offsets.get("g", place(1, 0).id, 0), Some(&committed(2)), "cut at {length}");
        assert_eq!(std::fs::metadata(&file).unwrap().len() as usize, ends[1]);
        offsets.commit("g", vec![(place(2, 7), committed(70))]).unwrap();
        drop(offsets);
        assert_eq!(open(folder.path()).get("g", place(2, 7).id, 7), Some(&committed(70)), "cut at {length}");
    }
    assert!(!folder.path().join(DAMAGED_FILE).exists());
}

#[test]
fn a_file_that_was_cut_off_at_its_beginning_is_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    for length in 0..MAGIC.len() {
        std::fs::write(folder.path().join(FILE), &MAGIC[..length]).unwrap();
        three_commits(folder.path());
        assert_eq!(all(&open(folder.path())).len(), 4);
    }
}

#[test]
fn a_flipped_byte_of_the_last_commit_loses_only_that_commit() {
    let folder = tempfile::tempdir().unwrap();
    let ends = three_commits(folder.path());
    let file = folder.path().join(FILE);
    let whole = std::fs::read(&file).unwrap();
    for at in ends[1]..ends[2] {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        std::fs::write(&file, flipped).unwrap();
        let offsets = open(folder.path());
        assert_eq!(offsets.get("g", place(1, 0).id, 0), Some(&committed(2)), "flipped at {at}");
        assert_eq!(all(&offsets).len(), 3);
    }
    assert!(!folder.path().join(DAMAGED_FILE).exists());
}

#[test]
fn a_flipped_byte_before_the_last_commit_loses_only_its_commit_and_the_file_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let ends = three_commits(folder.path());
    let file = folder.path().join(FILE);
    let whole = std::fs::read(&file).unwrap();
    for at in ends[0]..ends[1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        std::fs::write(&file, &flipped).unwrap();
        let offsets = open(folder.path());
        assert_eq!(offsets.get("g", place(1, 0).id, 0), Some(&committed(3)), "flipped at {at}");
        assert_eq!(offsets.get("g", place(1, 0).id, 2), None);
        assert_eq!(offsets.get("g", place(1, 0).id, 1), Some(&committed(10)));
        assert_eq!(std::fs::read(folder.path().join(DAMAGED_FILE)).unwrap(), flipped);
        std::fs::remove_file(folder.path().join(DAMAGED_FILE)).unwrap();
        drop(offsets);
        assert_eq!(all(&open(folder.path())).len(), 3, "repaired");
        assert!(!folder.path().join(DAMAGED_FILE).exists());
    }
}

#[test]
fn a_foreign_file_is_refused_and_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE);
    std::fs::write(&file, "tapedeck offsets 2\nsomething").unwrap();
    let refused = Offsets::open(folder.path()).unwrap_err().to_string();
    assert!(refused.contains("not a file of committed offsets"), "{refused}");
    assert_eq!(std::fs::read(&file).unwrap(), b"tapedeck offsets 2\nsomething");
}

#[test]
fn a_failed_write_changes_nothing_and_the_next_one_works() {
    let folder = tempfile::tempdir().unwrap();
    three_commits(folder.path());
    let mut offsets = open(folder.path());
    let before = all(&offsets);
    let writable = std::mem::replace(&mut offsets.file, Arc::new(File::open(folder.path().join(FILE)).unwrap()));
    let refused = offsets.commit("g", vec![(place(1, 0), committed(99))]);
    assert_eq!(refused, Err(ResponseError::CoordinatorNotAvailable));
    assert_eq!(offsets.forget_group("g"), Err(ResponseError::CoordinatorNotAvailable));
    assert_eq!(all(&offsets), before);
    offsets.file = writable;
    offsets.commit("g", vec![(place(1, 0), committed(99))]).unwrap();
    assert_eq!(open(folder.path()).get("g", place(1, 0).id, 0), Some(&committed(99)));
}

#[test]
fn more_bytes_than_the_limit_are_refused_but_old_offsets_can_move_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut offsets = open(folder.path());
    offsets.max_bytes = 2 * weight(&place(1, 0), &committed(1));
    offsets.commit("g", vec![(place(1, 0), committed(1)), (place(1, 1), committed(1))]).unwrap();
    let refused = offsets.commit("g", vec![(place(1, 2), committed(1))]);
    assert_eq!(refused, Err(ResponseError::InvalidCommitOffsetSize));
    offsets.commit("g", vec![(place(1, 0), committed(2)), (place(1, 1), committed(2))]).unwrap();
    assert!(offsets.forget_group("g").unwrap());
    assert_eq!(offsets.bytes, 0);
    offsets.commit("h", vec![(place(1, 2), committed(1))]).unwrap();
}

#[test]
fn the_file_does_not_grow_without_bound() {
    let folder = tempfile::tempdir().unwrap();
    let mut offsets = open(folder.path());
    let metadata: Arc<str> = Arc::from("x".repeat(4_000));
    for at in 0..2_000 {
        let committed = Committed { offset: at, epoch: -1, metadata: metadata.clone() };
        offsets.commit("g", vec![(place(1, 0), committed)]).unwrap();
        assert!(std::fs::metadata(folder.path().join(FILE)).unwrap().len() <= MIN_COMPACTION + 5_000);
    }
    let last = open(folder.path()).get("g", place(1, 0).id, 0).unwrap().offset;
    assert_eq!(last, 1_999);
}

#[derive(Debug, Clone)]
enum Step {
    Commit(u8, Vec<(u8, i32, i64)>),
    ForgetGroup(u8),
    Forget(u8, u8, i32),
    ForgetTopic(u8),
    Reopen,
    Tear(usize),
    Compact,
}

fn step() -> impl Strategy<Value = Step> {
    let offsets = proptest::collection::vec((0..3_u8, 0..3, 0..1_000_i64), 1..4);
    prop_oneof![
        8 => (0..3_u8, offsets).prop_map(|(group, offsets)| Step::Commit(group, offsets)),
        1 => (0..3_u8).prop_map(Step::ForgetGroup),
        1 => (0..3_u8, 0..3_u8, 0..3).prop_map(|(group, topic, partition)| Step::Forget(group, topic, partition)),
        1 => (0..3_u8).prop_map(Step::ForgetTopic),
        1 => Just(Step::Reopen),
        1 => (1..100_usize).prop_map(Step::Tear),
        1 => Just(Step::Compact),
    ]
}

proptest! {
    #[test]
    fn the_file_agrees_with_a_map(steps in proptest::collection::vec(step(), 0..60)) {
        let folder = tempfile::tempdir().unwrap();
        let mut offsets = open(folder.path());
        let mut model: BTreeMap<(String, Uuid, i32), Committed> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Commit(group, all) => {
                    let group = group.to_string();
                    let all: Vec<_> = all.into_iter().map(|(t, p, o)| (place(t, p), committed(o))).collect();
                    offsets.commit(&group, all.clone()).unwrap();
                    model.extend(all.into_iter().map(|(at, to)| ((group.clone(), at.id, at.partition), to)));
                }
                Step::ForgetGroup(group) => {
                    let before = model.len();
                    model.retain(|(of, _, _), _| *of != group.to_string());
                    prop_assert_eq!(offsets.forget_group(&group.to_string()).unwrap(), model.len() < before);
                }
                Step::Forget(group, topic, partition) => {
                    let place = place(topic, partition);
                    offsets.forget(&group.to_string(), vec![(place.id, partition)]).unwrap();
                    model.remove(&(group.to_string(), place.id, partition));
                }
                Step::ForgetTopic(topic) => {
                    offsets.forget_topic(place(topic, 0).id).unwrap();
                    model.retain(|(_, id, _), _| *id != place(topic, 0).id);
                }
                Step::Reopen => offsets = open(folder.path()),
                Step::Tear(length) => {
                    // A commit that was never answered.
                    let group = "torn".to_owned();
                    let record = format::encode(&Change::Commit { group, offsets: vec![(place(1, 1), committed(1))] });
                    let torn = &record[..length.min(record.len() - 1)];
                    offsets.file.write_all_at(torn, offsets.end).unwrap();
                    offsets = open(folder.path());
                }
                Step::Compact => offsets.compact().unwrap(),
            }
            prop_assert_eq!(all(&offsets), model.clone());
        }
        let sum: usize = offsets.groups.values().flat_map(places).map(|(at, to)| weight(&at, to)).sum();
        prop_assert_eq!(offsets.bytes, sum);
        prop_assert_eq!(all(&open(folder.path())), model);
    }

    #[test]
    fn garbage_never_panics(garbage in proptest::collection::vec(any::<u8>(), 0..300)) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), [MAGIC, &garbage].concat()).unwrap();
        let mut offsets = open(folder.path());
        offsets.commit("g", vec![(place(1, 1), committed(1))]).unwrap();
        prop_assert_eq!(all(&open(folder.path())).len(), 1);
    }
}
