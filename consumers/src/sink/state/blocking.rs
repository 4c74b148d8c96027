//! When polling is blocked, and what is paused so that it continues.

use std::time::Instant;

use super::{Action, State};
use crate::sink::partition::{Intake, Parked};

impl State {
    /// Whether polling is blocked, because there may be no room for the polled message.
    pub(crate) fn is_blocked(&self) -> bool {
        self.full > 0 || (self.held.is_used_up() && !self.is_held_up)
    }

    /// Notes since when polling has been blocked. Once there is room again, resumes what was paused for the lack of it.
    pub(super) fn note_room(&mut self, now: Instant) {
        if self.is_held_up && !self.held.is_used_up() {
            self.resume_all();
        }
        if self.is_blocked() {
            self.blocked_since.get_or_insert(now);
        } else {
            self.blocked_since = None;
        }
    }

    /// Pauses the partitions that have blocked polling for too long: the full ones, or all when the memory is used up.
    /// Polling must continue before `max.poll.interval.ms`, or Kafka revokes the partitions.
    pub(super) fn pause_blocked(&mut self, now: Instant) {
        let Some(pause_after) = self.rules.pause_after else { return };
        if self.blocked_since.is_none_or(|since| now.duration_since(since) < pause_after) {
            return;
        }
        let pauses_all = self.held.is_used_up() && !self.is_held_up;
        for (number, partition) in &mut self.partitions {
            let was_full = partition.pause();
            let action = match partition.intake {
                Intake::Paused { .. } if was_full => Action::Pause { partition: *number },
                Intake::Reading | Intake::AtEnd if pauses_all => Action::Pause { partition: *number },
                // It may have been resumed to try its message again.
                Intake::Parked(Parked { offset, .. }) if pauses_all => Action::HoldAt { partition: *number, offset },
                _ => continue,
            };
            self.actions.push_back(action);
        }
        self.is_held_up |= pauses_all;
        (self.full, self.blocked_since) = (0, None);
    }

    /// There is room again: resumes the partitions that were paused for the lack of it alone.
    fn resume_all(&mut self) {
        self.is_held_up = false;
        for (number, partition) in &self.partitions {
            match partition.intake {
                Intake::Reading | Intake::AtEnd | Intake::Full { .. } => {
                    self.actions.push_back(Action::Resume { partition: *number });
                }
                // One is resumed with its hand-over, the other is tried by the clock.
                Intake::Paused { .. } | Intake::Parked(_) => {}
            }
        }
    }
}
