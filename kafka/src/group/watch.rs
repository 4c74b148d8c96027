//! Watches whether the topic is still the one whose partitions were assigned.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, ConsumerContext};

use crate::error::KafkaError;
use crate::topic_id::Question;

/// How often to ask for the topic's id. Until the answer, a consumer can read on in a topic that was created again; it
/// reads everything of that topic afterwards.
const INTERVAL: Duration = Duration::from_secs(5);

/// The question that is on its way, and when the last one was asked.
pub(super) struct Watch<C: ConsumerContext> {
    question: RefCell<Option<Question<Arc<BaseConsumer<C>>>>>,
    asked_at: Cell<Instant>,
}

impl<C: ConsumerContext> Watch<C> {
    pub(super) fn new() -> Watch<C> {
        Watch { question: RefCell::default(), asked_at: Cell::new(Instant::now()) }
    }

    /// Asks when it is time, and looks for an answer; never waits.
    ///
    /// # Errors
    ///
    /// [`KafkaError::Retry`] when the topic has another id than `assigned`.
    pub(super) fn check(
        &self,
        consumer: &Arc<BaseConsumer<C>>,
        topic: &str,
        assigned: Option<&str>,
    ) -> Result<(), KafkaError> {
        let mut question = self.question.borrow_mut();
        if let Some(asked) = &*question {
            let Some(answer) = asked.answer(Duration::ZERO) else { return Ok(()) };
            *question = None;
            // A topic that is gone has no id, and may be created again. A failure is told by reading, if it lasts.
            if let (Ok(Some(id)), Some(assigned)) = (answer, assigned)
                && id != assigned
            {
                let what =
                    format!("topic `{topic}` was deleted and created again: its id was `{assigned}` and is `{id}`");
                return Err(KafkaError::Retry(what));
            }
        } else if assigned.is_some() && self.asked_at.get().elapsed() >= INTERVAL {
            self.asked_at.set(Instant::now());
            *question = Some(Question::ask(Arc::clone(consumer), topic));
        }
        Ok(())
    }
}
