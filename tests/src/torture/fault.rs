//! The faults and how to cause each. All end by themselves; recovery is the consumers' work.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};

use super::fleet::{Fleet, Member};
use crate::broker::block_on;
use crate::process::signal_process;
use crate::proxy::{Action, Direction, Mode, Point, Proxy, Trap};
use crate::services::Services;
use crate::workload::Random;

/// Longest that a trap waits for its point; the group may have no consumer just now.
const TRAP_PATIENCE: Duration = Duration::from_secs(30);
/// Longest that a consumer is stopped. After its session of 10 s, others get its partitions; if Kafka restarts meanwhile,
/// the session begins anew.
const STOPPED: Duration = Duration::from_secs(45);
/// Duration of a network outage.
const OUTAGE: Duration = Duration::from_secs(4);

/// A point in the life of a chunk, between two steps of the consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum CrashPoint {
    AfterBegin,
    AfterPosition,
    AfterUpsert,
    AfterDeadLetters,
    BeforeCommit,
    CommittedUnanswered,
    AfterCommit,
}

use CrashPoint::*;

impl CrashPoint {
    /// Its place on the wire; the first five lie between BEGIN and COMMIT.
    fn trap(self) -> Trap {
        match self {
            AfterBegin => Trap::new(Point::Statement("update sink_position"), Action::Kill),
            AfterPosition => Trap::new(Point::Statement("insert into ohlcv_bar"), Action::Kill),
            AfterUpsert => Trap::new(Point::Statement("insert into dead_letter"), Action::Kill),
            AfterDeadLetters => Trap::new(Point::Statement("insert into sink_chunk"), Action::Kill),
            BeforeCommit => Trap::new(Point::Statement("COMMIT"), Action::Kill),
            CommittedUnanswered => Trap::new(Point::CommitAnswered, Action::Kill),
            AfterCommit => Trap::new(Point::CommitAnswered, Action::PassAndKill),
        }
    }

    /// True if it lies within the transaction.
    pub fn is_inside(self) -> bool {
        self <= BeforeCommit
    }
}

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Fault {
    KillConsumer,
    KillConsumerAt(CrashPoint),
    StopConsumer,
    StopConsumerBeforePosition,
    StopConsumerBeforeCommit,
    TerminateBackends,
    RestartDatabase,
    CutDatabase,
    LoseCommitAnswer,
    BlackholeDatabase,
    SlowDatabase,
    HalfOpenToDatabase,
    HalfOpenFromDatabase,
    RebalanceStorm,
    KillKafka,
    LoseProduceAnswer,
    CutKafka,
}

use Fault::*;

/// Every fault on a sink.
pub const ON_SINK: [Fault; 20] = [
    KillConsumer,
    KillConsumerAt(AfterBegin),
    KillConsumerAt(AfterPosition),
    KillConsumerAt(AfterUpsert),
    KillConsumerAt(AfterDeadLetters),
    KillConsumerAt(BeforeCommit),
    KillConsumerAt(CommittedUnanswered),
    KillConsumerAt(AfterCommit),
    StopConsumer,
    StopConsumerBeforePosition,
    StopConsumerBeforeCommit,
    TerminateBackends,
    RestartDatabase,
    CutDatabase,
    LoseCommitAnswer,
    BlackholeDatabase,
    SlowDatabase,
    HalfOpenToDatabase,
    HalfOpenFromDatabase,
    RebalanceStorm,
];

/// Every fault on Kafka.
pub const ON_KAFKA: [Fault; 3] = [LoseProduceAnswer, CutKafka, KillKafka];

impl Fault {
    /// Causes it on a sink and ends it; false if there was no occasion.
    pub fn strike_sink(self, fleet: &Arc<Fleet>, services: &Services, random: &mut Random) -> bool {
        let member = &fleet.members[random.below(fleet.members.len())];
        match self {
            KillConsumer => {
                member.kill();
                true
            }
            KillConsumerAt(point) => spring(fleet, point.trap()).is_some(),
            StopConsumer => {
                let is_stopped = member.signal("STOP");
                let is_replaced = await_replacement(fleet);
                member.signal("CONT");
                is_stopped && is_replaced
            }
            StopConsumerBeforePosition => stop_at(fleet, "update sink_position"),
            StopConsumerBeforeCommit => stop_at(fleet, "COMMIT"),
            TerminateBackends => terminate_backends(fleet),
            RestartDatabase => {
                services.crash(fleet.service);
                services.restart(fleet.service);
                true
            }
            CutDatabase => {
                let bytes = 1 + random.below(2_000);
                fleet.members.iter().for_each(|member| member.proxy.cut_after(bytes));
                let is_pending = || fleet.members.iter().all(|member| member.proxy.is_cut_pending());
                let is_cut = wait_while(TRAP_PATIENCE, is_pending);
                fleet.members.iter().for_each(|member| member.proxy.spare());
                is_cut
            }
            LoseCommitAnswer => spring(fleet, Trap::new(Point::CommitAnswered, Action::Cut)).is_some(),
            BlackholeDatabase => outage(member, Mode::Blackhole),
            SlowDatabase => {
                let slow = |mode| fleet.members.iter().for_each(|member| member.proxy.set(mode));
                slow(Mode::Latency(Duration::from_millis(200)));
                std::thread::sleep(OUTAGE);
                slow(Mode::Pass);
                true
            }
            HalfOpenToDatabase => outage(member, Mode::HalfOpen(Direction::ToServer)),
            HalfOpenFromDatabase => outage(member, Mode::HalfOpen(Direction::ToClient)),
            RebalanceStorm => storm(fleet),
            KillKafka | LoseProduceAnswer | CutKafka => false,
        }
    }

    /// Causes it on Kafka and ends it; false if there was no occasion.
    pub fn strike_kafka(self, proxy: &Proxy, services: &Services) -> bool {
        match self {
            KillKafka => {
                services.crash("kafka");
                services.restart("kafka");
                true
            }
            LoseProduceAnswer => {
                let trap = Arc::new(Trap::new(Point::ProduceAnswered, Action::Cut));
                proxy.arm(&trap);
                trap.await_strike(TRAP_PATIENCE).is_some()
            }
            CutKafka => {
                proxy.cut();
                true
            }
            _ => false,
        }
    }

    /// Its group in the summary.
    pub fn family(self) -> String {
        format!("{self:?}")
    }
}

/// Sets a trap for all consumers of a sink; returns the process that sprang it.
fn spring(fleet: &Fleet, trap: Trap) -> Option<u32> {
    let trap = Arc::new(trap);
    arm(fleet, &trap);
    trap.await_strike(TRAP_PATIENCE)
}

fn arm(fleet: &Fleet, trap: &Arc<Trap>) {
    fleet.members.iter().for_each(|member| member.proxy.arm(trap));
}

/// Stops a consumer before a statement until others own its partitions; then lets both continue.
fn stop_at(fleet: &Fleet, statement: &'static str) -> bool {
    let trap = Arc::new(Trap::new(Point::Statement(statement), Action::Stop));
    arm(fleet, &trap);
    let Some(process) = trap.await_strike(TRAP_PATIENCE) else {
        return false;
    };
    let is_replaced = await_replacement(fleet);
    signal_process(process, "CONT");
    trap.release();
    is_replaced
}

/// Waits until every partition has moved on, also those of the stopped consumer, so that its pending commit is stale.
/// False after a timeout.
fn await_replacement(fleet: &Fleet) -> bool {
    let mut before = None;
    wait_while(STOPPED, || {
        let Some(now) = fleet.positions() else {
            return true;
        };
        let before = before.get_or_insert_with(|| now.clone());
        now.iter().any(|(partition, position)| before.get(partition).is_none_or(|before| before >= position))
    })
}

fn terminate_backends(fleet: &Fleet) -> bool {
    let query = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
        where datname = current_database() and application_name like 'tapedeck/%'";
    let terminate = || {
        block_on(async {
            let mut connection = PgConnection::connect(&fleet.database).await.ok()?;
            sqlx::query_scalar::<_, i64>(query).fetch_one(&mut connection).await.ok()
        })
    };
    wait_while(TRAP_PATIENCE, || terminate().is_none_or(|count| count == 0))
}

/// Interrupts the network between a consumer and its database for a while, then resets the connections, as the kernel
/// does after its retries.
fn outage(member: &Member, mode: Mode) -> bool {
    member.proxy.set(mode);
    std::thread::sleep(OUTAGE);
    if mode != Mode::Blackhole {
        member.proxy.cut();
    }
    member.proxy.set(Mode::Pass);
    true
}

/// Members leave and join, one after the other.
fn storm(fleet: &Fleet) -> bool {
    let mut left = 0;
    for _ in 0..2 {
        for member in &fleet.members {
            left += usize::from(member.leave());
            std::thread::sleep(Duration::from_millis(1_500));
        }
    }
    left > 1
}

/// Waits while a condition holds; false after a timeout.
pub fn wait_while(patience: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    while is_so() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}
