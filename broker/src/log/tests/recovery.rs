//! Starting after a kill, a power cut or damage.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use tempfile::{TempDir, tempdir};

use super::*;

/// A killed log with 30 batches in several segments. All before `synced` is on disk for sure.
fn killed(synced: i64) -> (TempDir, Vec<Vec<u8>>) {
    let folder = tempdir().unwrap();
    let (log, partition) = one(folder.path(), small());
    let mut batches = Vec::new();
    for n in 0..30 {
        if n == synced {
            log.maintain(1_000_000);
        }
        partition.append(&plain(1, 500), 1).unwrap();
        batches.push(stamped(&plain(1, 500), n, 0, None));
    }
    (folder, batches)
}

fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
}

/// Starts and checks that exactly the first batches are left, and that appending and another start work.
fn expect(folder: &Path, batches: &[Vec<u8>]) {
    let log = open(folder);
    let partition = super::partition(&log);
    assert_eq!(read_all(&partition, 0, 1), batches.concat());
    let end = i64::try_from(batches.len()).unwrap();
    assert_eq!(partition.append(&plain(1, 9), 1).unwrap().base_offset, end);
    let all = [batches.concat(), stamped(&plain(1, 9), end, log.epoch(), None)].concat();
    drop((log, partition));
    assert_eq!(read_all(&super::partition(&open(folder)), 0, 1 << 20), all);
}

#[test]
fn a_kill_loses_nothing() {
    for synced in [0, 7, 29] {
        let (folder, batches) = killed(synced);
        assert!(files(folder.path(), "log").len() > 3);
        expect(folder.path(), &batches);
    }
}

#[test]
fn lost_index_and_snapshot_files_are_built_again() {
    for content in [None, Some("garbage")] {
        let (folder, batches) = killed(15);
        for path in ["index", "producers"].into_iter().flat_map(|extension| files(folder.path(), extension)) {
            match content {
                None => fs::remove_file(path).unwrap(),
                Some(content) => fs::write(path, content).unwrap(),
            }
        }
        expect(folder.path(), &batches);
        assert!(files(folder.path(), "index").len() > 3);
    }
}

#[test]
fn a_torn_tail_is_cut() {
    let (probe, batches) = killed(0);
    let last = files(probe.path(), "log").pop().unwrap();
    let length = fs::metadata(&last).unwrap().len();
    let size = batches[29].len() as u64;
    for left in [0, 1, 11, 60, 61, size - 1] {
        let (folder, batches) = killed(20);
        let last = files(folder.path(), "log").pop().unwrap();
        OpenOptions::new().write(true).open(last).unwrap().set_len(length - size + left).unwrap();
        expect(folder.path(), &batches[..29]);
    }
    // After a power cut the file may be longer than its data.
    let (folder, batches) = killed(20);
    let last = files(folder.path(), "log").pop().unwrap();
    OpenOptions::new().write(true).open(last).unwrap().set_len(length + 5_000).unwrap();
    expect(folder.path(), &batches);
}

#[test]
fn a_flipped_bit_in_the_tail_cuts_all_that_follows() {
    let size = killed(0).1[0].len() as u64;
    // The length, the count, a time, the checksum, a record.
    for at in [3, 10, 16, 18, 24, 40, 58, 200] {
        let (folder, batches) = killed(7);
        // The second segment begins with batch 7: the fault hits batch 8, later segments go too.
        let second = &files(folder.path(), "log")[1];
        assert!(second.to_str().unwrap().ends_with("00000000000000000007.log"), "{second:?}");
        flip(second, size + at);
        expect(folder.path(), &batches[..8]);
    }
}

#[test]
fn damage_below_the_recovery_point_is_refused() {
    let damages: [fn(&Path); 4] = [
        // The last segment is shorter than the recovery point.
        |folder| {
            let path = files(folder, "log").pop().unwrap();
            OpenOptions::new().write(true).open(path).unwrap().set_len(100).unwrap();
        },
        |folder| fs::remove_file(files(folder, "log").pop().unwrap()).unwrap(),
        |folder| fs::remove_file(&files(folder, "log")[0]).unwrap(),
        |folder| {
            let path = &files(folder, "log")[1];
            flip(path, 10);
            fs::remove_file(path.with_extension("index")).unwrap();
        },
    ];
    for (n, damage) in damages.into_iter().enumerate() {
        for is_clean in [true, false] {
            let (folder, _) = killed(0);
            let log = open(folder.path());
            if is_clean {
                log.close().unwrap();
            }
            drop(log);
            damage(folder.path());
            let before: Vec<u64> =
                files(folder.path(), "log").iter().map(|path| fs::metadata(path).unwrap().len()).collect();
            let error = format!("{:#}", Log::open(folder.path(), Options::default()).unwrap_err());
            assert!(error.contains("restore") && error.contains("topic t, partition 0"), "{n}: {error}");
            let after: Vec<u64> =
                files(folder.path(), "log").iter().map(|path| fs::metadata(path).unwrap().len()).collect();
            assert_eq!(before, after, "damaged data stays untouched");
        }
    }
}

#[test]
fn an_interrupted_deletion_is_finished() {
    let (folder, batches) = killed(20);
    let log = open(folder.path());
    super::partition(&log).delete_before(10).unwrap();
    drop(log);
    let first = files(folder.path(), "log").remove(0);
    assert!(first.ends_with("00000000000000000007.log"));
    // The crash came before the first segment was deleted.
    fs::write(first.with_file_name("00000000000000000000.log"), batches[..7].concat()).unwrap();
    fs::write(first.with_file_name("start.tmp"), "x").unwrap();
    let log = open(folder.path());
    let partition = super::partition(&log);
    assert_eq!((partition.start(), partition.end()), (10, 30));
    assert_eq!(files(folder.path(), "log").remove(0), first);
    assert!(files(folder.path(), "tmp").is_empty());
    assert_eq!(read_all(&partition, 10, 1), batches[10..].concat());
}

/// Names the folder for the process that [`a_killed_process_loses_nothing_acknowledged`] kills.
const FOLDER: &str = "TAPEDECK_TEST_KILLED_FOLDER";

/// Appends until it is killed, and prints the end after each append.
#[test]
#[ignore = "run by a_killed_process_loses_nothing_acknowledged"]
fn appends_until_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let log = open(Path::new(&folder));
    let partition = match log.topic("t") {
        Some(topic) => topic.partition(0).unwrap(),
        None => log.create_topic("t", 1, small()).unwrap().partition(0).unwrap(),
    };
    for n in 0..1_000_000 {
        let first = i32::try_from(partition.end()).unwrap();
        let appended = partition.append(&idempotent(1, 0, first, 3), 1).unwrap();
        assert!(!appended.is_duplicate);
        log.maintain(n * 100);
        println!("end {}", appended.end);
    }
}

#[test]
fn a_killed_process_loses_nothing_acknowledged() {
    let folder = tempdir().unwrap();
    let mut acknowledged = 0;
    for lines in [1, 30, 200] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "log::tests::recovery::appends_until_killed", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let ends = output.filter_map(|line| line.unwrap().strip_prefix("end ")?.parse::<i64>().ok());
        acknowledged = ends.take(lines).last().unwrap().max(acknowledged + 1);
        child.kill().unwrap();
        child.wait().unwrap();
        let log = open(folder.path());
        let partition = super::partition(&log);
        assert!(partition.end() >= acknowledged && partition.end() % 3 == 0);
        let last = i32::try_from(partition.end()).unwrap() - 3;
        let again = partition.append(&idempotent(1, 0, last, 3), 1).unwrap();
        assert_eq!((again.is_duplicate, again.base_offset), (true, i64::from(last)));
        for (n, header) in (0..).zip(batches_of(&read_all(&partition, 0, 4_096))) {
            assert_eq!((header.base_offset, header.base_sequence), (3 * i64::from(n), 3 * n));
        }
    }
}
