//! The state machine without Kafka and database: single rules, then seeded sequences of events against a model.

use super::*;

mod model;
mod steady;

use steady::CatchUp;

/// Sequences of events that the model goes through.
const SEEDS: u64 = 1000;
/// Events of a sequence before all failures end.
const EVENTS: usize = 300;

const SECOND: Duration = Duration::from_secs(1);

fn rules() -> Rules {
    Rules {
        limits: Limits { rows: 4, bytes: 1000, age: SECOND },
        max_held: Size { records: 1000, bytes: 100_000 },
        writers: 1,
        pause_after: Some(2 * SECOND),
        breaker_percent: 5,
        schema_interval: 2 * SECOND,
        unknown_patience: 10 * SECOND,
        away_patience: None,
        once: true,
    }
}

/// A machine that has these partitions, each from offset 0 on.
fn machine(rules: Rules, partitions: i32) -> (State, Instant) {
    let mut state = State::new(rules);
    state.on_assigned((0..partitions).map(|number| (number, 0)).collect::<Vec<_>>().into_iter());
    (state, Instant::now())
}

fn take(state: &mut State, partition: i32, offsets: std::ops::Range<i64>, now: Instant) {
    for offset in offsets {
        assert!(state.expects(partition, offset), "{partition}/{offset}");
        state.breakers(partition).unwrap().accept("good");
        state.on_taken(partition, offset, 10, now);
    }
}

fn actions(state: &mut State) -> Vec<Action> {
    std::iter::from_fn(|| state.next_action()).collect()
}

/// The chunk of the only action.
fn only_chunk(state: &mut State) -> ChunkId {
    let all = actions(state);
    let [Action::Write { chunk, .. }] = all[..] else { panic!("{all:?}") };
    chunk
}

fn write(partition: i32, number: u64, from: i64, to: i64) -> Action {
    Action::Write { partition, chunk: ChunkId::numbered(number), from, to }
}

#[test]
fn a_chunk_is_handed_over_when_it_is_full_or_old_or_at_the_end() {
    let (mut state, now) = machine(rules(), 3);
    take(&mut state, 0, 0..3, now);
    assert_eq!(actions(&mut state), []);
    take(&mut state, 0, 3..4, now);
    assert_eq!(actions(&mut state), [write(0, 1, 0, 4)]);
    take(&mut state, 1, 0..1, now);
    state.on_tick(now + SECOND / 2);
    assert_eq!(actions(&mut state), []);
    state.on_tick(now + SECOND);
    assert_eq!(actions(&mut state), [write(1, 2, 0, 1)]);
    state.on_committed(0, ChunkId::numbered(1), 4, now);
    assert_eq!(actions(&mut state), [Action::Report { partition: 0, next_offset: 4 }]);
    take(&mut state, 2, 0..2, now);
    state.on_end(2, now);
    assert_eq!(actions(&mut state), [write(2, 3, 0, 2)]);
}

#[test]
fn a_full_partition_that_cannot_be_written_blocks_and_is_paused_after_a_while() {
    let (mut state, now) = machine(rules(), 1);
    take(&mut state, 0, 0..4, now);
    let chunk = only_chunk(&mut state);
    take(&mut state, 0, 4..8, now);
    assert!(state.is_blocked());
    state.on_tick(now + SECOND);
    assert_eq!(actions(&mut state), []);
    state.on_tick(now + 2 * SECOND);
    assert_eq!(actions(&mut state), [Action::Pause { partition: 0 }]);
    assert!(!state.is_blocked(), "the others must be polled");
    state.on_committed(0, chunk, 4, now);
    let report = Action::Report { partition: 0, next_offset: 4 };
    assert_eq!(actions(&mut state), [report, write(0, 2, 4, 8), Action::Resume { partition: 0 }]);
}

#[test]
fn an_idle_writer_takes_the_largest_chunk_while_nothing_can_be_added() {
    let (mut state, now) = machine(Rules { writers: 2, ..rules() }, 3);
    take(&mut state, 0, 0..4, now);
    let chunk = only_chunk(&mut state);
    take(&mut state, 1, 0..1, now);
    take(&mut state, 2, 0..3, now);
    take(&mut state, 0, 4..8, now);
    assert_eq!(actions(&mut state), [write(2, 2, 0, 3)], "one writer was idle");
    state.on_committed(0, chunk, 4, now);
    assert!(!state.is_blocked());
}

/// Three partitions that may hold ten records, of which each chunk may have five.
fn crowded() -> (State, Instant) {
    let max_held = Size { records: 10, bytes: 100_000 };
    machine(Rules { limits: Limits { rows: 5, ..rules().limits }, max_held, ..rules() }, 3)
}

#[test]
fn the_largest_chunks_are_handed_over_once_the_memory_is_used_up() {
    let (mut state, now) = crowded();
    take(&mut state, 0, 0..4, now);
    take(&mut state, 1, 0..2, now);
    take(&mut state, 2, 0..3, now);
    assert_eq!(actions(&mut state), [], "each may grow to its limit");
    take(&mut state, 1, 2..3, now);
    let all = actions(&mut state);
    assert_eq!(all[0], write(0, 1, 0, 4), "ten records are held");
    assert_eq!(all.len(), 2, "as many as the writer has room for");
    assert!(state.is_blocked(), "what is being written is held too");
    state.on_committed(0, ChunkId::numbered(1), 4, now);
    assert!(!state.is_blocked());
}

#[test]
fn bytes_use_up_the_memory_too() {
    let max_held = Size { records: 1000, bytes: 100 };
    let (mut state, now) = machine(Rules { max_held, ..rules() }, 4);
    (0..3).for_each(|partition| take(&mut state, partition, 0..3, now));
    assert_eq!((actions(&mut state), state.is_blocked()), (vec![], false));
    take(&mut state, 3, 0..1, now);
    assert_eq!(actions(&mut state).len(), 2);
    assert!(state.is_blocked());
}

#[test]
fn all_partitions_are_paused_while_the_memory_stays_used_up_and_resumed_once_there_is_room() {
    let (mut state, now) = crowded();
    take(&mut state, 0, 0..5, now);
    state.on_schema_missing(1, 0, Lack::Away, now).unwrap();
    take(&mut state, 0, 5..10, now);
    let held = Action::HoldAt { partition: 1, offset: 0 };
    assert_eq!(actions(&mut state), [write(0, 1, 0, 5), held], "the other chunk waits for it");
    state.on_tick(now + SECOND);
    assert_eq!((actions(&mut state), state.is_blocked()), (vec![], true));
    state.on_tick(now + 3 * SECOND);
    let [pause, resume] = [|partition| Action::Pause { partition }, |partition| Action::Resume { partition }];
    // The second may have been resumed by now, to try its message again.
    assert_eq!(actions(&mut state), [pause(0), held, pause(2)]);
    assert!(!state.is_blocked(), "polling returns nothing, and the group keeps its member");
    state.on_tick(now + 9 * SECOND);
    assert_eq!(actions(&mut state), [], "a message has no room when its schema is there");
    state.on_committed(0, ChunkId::numbered(1), 5, now + 9 * SECOND);
    let report = Action::Report { partition: 0, next_offset: 5 };
    assert_eq!(
        actions(&mut state),
        [report, write(0, 2, 5, 10), resume(0), resume(2)],
        "an empty chunk is no obstacle"
    );
    state.on_tick(now + 9 * SECOND);
    assert_eq!(actions(&mut state), [resume(1)]);
}

#[test]
fn chunks_that_are_written_for_the_owner_before_are_held_too() {
    let (mut state, now) = crowded();
    take(&mut state, 0, 0..5, now);
    take(&mut state, 1, 0..4, now);
    state.on_revoked();
    state.on_assigned([(2, 0)].into_iter());
    take(&mut state, 2, 0..4, now);
    assert!(!state.is_blocked(), "what was built is dropped");
    take(&mut state, 2, 4..5, now);
    assert!(state.is_blocked());
    state.on_committed(0, ChunkId::numbered(1), 5, now);
    assert!(!state.is_blocked());
}

#[test]
fn chunks_stay_large_however_many_partitions_fill_evenly() {
    for (partitions, least) in [(1, 10_000.0), (4, 8_000.0), (12, 4_000.0), (64, 1_000.0)] {
        for (run, bytes) in [(1, 100), (50, 100), (1000, 800)] {
            let mut sink = CatchUp::new(steady::rules(), partitions, bytes);
            sink.read(400_000, run);
            let average = sink.average_chunk();
            let least = if bytes > 100 { least / 2.0 } else { least };
            assert!(average >= least, "{partitions} partitions, runs of {run}: chunks of {average}");
            let (most, held) = (MAX_HELD, sink.most_held);
            assert!(held.records <= most.records && held.bytes < most.bytes + bytes, "{partitions}: {held:?} are held");
        }
    }
}

#[test]
fn a_partition_whose_chunk_takes_a_minute_holds_up_the_others_for_two_seconds_at_most() {
    for partitions in [4, 64] {
        let mut sink = CatchUp::new(steady::rules(), partitions, 100);
        sink.delays.insert(0, 60 * SECOND);
        sink.read(1_000_000, 50);
        let longest = sink.longest_wait;
        assert!(longest < 2 * SECOND + SECOND / 2, "{partitions} partitions: {longest:?} without a commit");
        assert!(sink.rate() > 30_000.0, "{partitions} partitions: {} records/s", sink.rate());
    }
}

#[test]
fn a_partition_waits_for_its_schema_and_is_tried_again() {
    let (mut state, now) = machine(rules(), 2);
    take(&mut state, 0, 0..1, now);
    assert_eq!(state.on_schema_missing(0, 1, Lack::Unknown, now), Ok(true));
    assert_eq!(actions(&mut state), [Action::HoldAt { partition: 0, offset: 1 }]);
    assert!(!state.expects(0, 2), "what was fetched ahead comes again");
    take(&mut state, 1, 0..1, now);
    // An end that was fetched ahead does not count: the parked message is still to come.
    state.on_end(0, now);
    state.on_tick(now + 2 * SECOND);
    assert!(actions(&mut state).contains(&Action::Resume { partition: 0 }));
    assert!(state.expects(0, 1));
    assert_eq!(state.on_schema_missing(0, 1, Lack::Unknown, now + 2 * SECOND), Ok(false));
    let waited = 10 * SECOND;
    let halt = Halt::Schema { waited, lack: Lack::Unknown };
    assert_eq!(state.on_schema_missing(0, 1, Lack::Unknown, now + waited), Err(halt));
    assert_eq!(state.on_schema_missing(0, 1, Lack::Away, now + waited), Ok(false), "a registry is waited for");
    take(&mut state, 0, 1..3, now);
    assert!(state.expects(0, 3));
}

#[test]
fn a_command_does_not_wait_for_ever_for_a_registry() {
    let (mut state, now) = machine(Rules { away_patience: Some(SECOND), ..rules() }, 1);
    assert_eq!(state.on_schema_missing(0, 0, Lack::Away, now), Ok(true));
    let halt = Halt::Schema { waited: SECOND, lack: Lack::Away };
    assert_eq!(state.on_schema_missing(0, 0, Lack::Away, now + SECOND), Err(halt));
}

#[test]
fn refused_records_trip_the_breaker_of_their_publisher_in_their_partition() {
    let (mut state, now) = machine(Rules { limits: Limits { rows: 1000, ..rules().limits }, ..rules() }, 2);
    take(&mut state, 0, 0..100, now);
    let mut refuse = |partition| state.breakers(partition).unwrap().refuse("bad").1;
    let tripped: Vec<_> = (0..50).map(|_| refuse(0)).collect();
    assert_eq!(tripped[49], Some((50, 50)), "the 100 good records are of another");
    assert_eq!(tripped[..49], [None; 49]);
    assert_eq!((0..49).find_map(|_| refuse(1)), None);
}

#[test]
fn the_answer_to_a_chunk_of_before_the_revocation_frees_nothing() {
    let (mut state, now) = machine(rules(), 1);
    take(&mut state, 0, 0..4, now);
    let old = only_chunk(&mut state);
    state.on_revoked();
    state.on_assigned(vec![(0, 0)].into_iter());
    take(&mut state, 0, 0..4, now);
    let new = only_chunk(&mut state);
    take(&mut state, 0, 4..8, now);
    state.on_committed(0, old, 4, now);
    assert_eq!(actions(&mut state), [Action::Report { partition: 0, next_offset: 4 }], "the new chunk is in flight");
    state.on_committed(0, new, 4, now);
    assert!(actions(&mut state).contains(&write(0, 3, 4, 8)));
}

#[test]
fn an_end_that_comes_while_the_chunk_is_full_is_not_forgotten() {
    let (mut state, now) = machine(rules(), 1);
    take(&mut state, 0, 0..4, now);
    let first = only_chunk(&mut state);
    take(&mut state, 0, 4..8, now);
    state.on_end(0, now);
    state.on_committed(0, first, 4, now);
    assert!(!state.is_done());
    state.on_committed(0, ChunkId::numbered(2), 8, now);
    assert!(state.is_done());
}

#[test]
fn what_is_built_is_handed_over_at_the_end_however_young() {
    let (mut state, now) = machine(rules(), 2);
    take(&mut state, 0, 0..1, now);
    assert!(!state.is_drained());
    state.on_stop(now);
    assert_eq!(actions(&mut state), [write(0, 1, 0, 1)]);
    state.on_committed(0, ChunkId::numbered(1), 1, now);
    assert!(state.is_drained());
}

#[test]
fn a_full_partition_that_waits_for_a_schema_blocks_nobody() {
    let (mut state, now) = machine(rules(), 1);
    take(&mut state, 0, 0..8, now);
    assert!(state.is_blocked());
    state.on_schema_missing(0, 8, Lack::Away, now).unwrap();
    assert!(!state.is_blocked());
}

#[test]
fn it_is_done_only_once_it_knows_its_partitions() {
    let mut state = State::new(rules());
    assert!(!state.is_done());
    state.on_assigned(Vec::new().into_iter());
    assert!(state.is_done(), "another member has all partitions");
    state.on_revoked();
    assert!(!state.is_done());
}

#[test]
fn whatever_the_order_of_events_nothing_is_lost_doubled_or_stuck() {
    for seed in 0..SEEDS {
        model::World::run(seed, EVENTS);
    }
}
