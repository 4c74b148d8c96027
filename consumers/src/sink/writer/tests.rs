//! Writers on a store with scripted failures.

use store::chunk::{ChunkBuilder, SinkPartition, Target};
use store::{Outcome, RetryClass};

use super::*;

/// What a store does with a chunk.
#[derive(Debug, Clone, Copy)]
enum Act {
    Commit,
    Fail,
    Panic,
}

/// A store that does one thing per attempt, and commits when there is nothing left to do.
struct Scripted(Vec<Act>);

impl Commits for Scripted {
    fn commit<'a>(&'a mut self, _: &'a mut Chunk) -> BoxFuture<'a, Result<Commit, StoreError>> {
        let act = if self.0.is_empty() { Act::Commit } else { self.0.remove(0) };
        Box::pin(async move {
            match act {
                Act::Commit => Ok(Commit { outcome: Outcome::default(), already: false, quarantined: Vec::new() }),
                Act::Fail => Err(StoreError::Retry { class: RetryClass::Connection, reason: "away".to_owned() }),
                Act::Panic => panic!("no such\nrow"),
            }
        })
    }
}

/// A chunk of the offsets 5 to 7.
fn chunk() -> Chunk {
    let dataset = contract::dataset("ohlcv_bar").unwrap();
    let partition = SinkPartition { sink: "sink".into(), topic: "topic".into(), incarnation: 0, number: 3 };
    let mut builder = ChunkBuilder::new(partition, Target::live(dataset, "sink".into()), 5);
    builder.passed(7, 100, Instant::now());
    builder.take()
}

/// Leaves out the backtraces of our panics: with RUST_BACKTRACE one alone can take longer than a second.
fn silence_panics() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.to_string().contains("no such") {
            default(info)
        }
    }));
}

/// A writer on that store, with as many chunks in its queue; gives what it answers, and whether nothing is in flight
/// once a revocation has waited for it.
async fn answers(acts: &[Act], chunks: u64) -> (Vec<Written>, bool) {
    let (sender, queue) = queue(8);
    let (answer, answers) = std::sync::mpsc::sync_channel(8);
    let in_flight = Arc::<InFlight>::default();
    let writer = Writer {
        store: Scripted(acts.to_vec()),
        chunks: queue,
        answers: answer,
        in_flight: in_flight.clone(),
        cancelled: CancellationToken::new(),
        meters: None,
    };
    for number in 0..chunks {
        in_flight.begin();
        sender.send((ChunkId::numbered(number), chunk())).await.unwrap();
    }
    drop(sender);
    writer.run().await;
    (answers.try_iter().collect(), in_flight.await_none(Duration::from_secs(5)))
}

#[tokio::test]
async fn a_writer_that_panics_answers_at_once_and_names_the_offsets() {
    silence_panics();
    let began = Instant::now();
    let (answers, is_idle) = answers(&[Act::Panic], 1).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(is_idle, "a revocation would wait for it");
    let [Written { partition: 3, result: Err(error), .. }] = &answers[..] else { panic!("{answers:?}") };
    let WriteError::Panicked(line) = error else { panic!("{error:?}") };
    assert_eq!(line, "the writer of topic[3] panicked at offsets 5 to 7: no such row");
}

#[tokio::test]
async fn a_revocation_does_not_wait_for_a_chunk_whose_writer_panicked_before_it() {
    silence_panics();
    let began = Instant::now();
    let (answers, is_idle) = answers(&[Act::Panic], 2).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!((answers.len(), is_idle), (1, false), "nobody writes the second chunk");
}

#[tokio::test]
async fn a_writer_retries_until_the_database_is_back_and_answers_each_chunk_once() {
    let (answers, is_idle) = answers(&[Act::Fail, Act::Fail, Act::Commit, Act::Commit], 2).await;
    let chunks: Vec<(ChunkId, bool)> = answers.iter().map(|written| (written.chunk, written.result.is_ok())).collect();
    assert_eq!(chunks, [(ChunkId::numbered(0), true), (ChunkId::numbered(1), true)]);
    assert!(is_idle);
}
