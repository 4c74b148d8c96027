//! One connection through the proxy.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::kafka::Kafka;
use super::postgres::Postgres;
use super::{Action, Control, Direction, Mode, Protocol, Trap, lock};
use crate::process::signal_process;

/// State shared by the connection's two directions.
enum Speech {
    Postgres(Postgres),
    Kafka(Kafka),
}

/// Why a connection ends.
enum End {
    /// One side closed it.
    Closed,
    /// It must be reset on both sides.
    Reset,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> End {
        End::Reset
    }
}

/// Passes bytes on until a side closes or the connection is cut.
pub(super) async fn run(client: TcpStream, server: TcpStream, control: Arc<Control>) {
    for side in [&client, &server] {
        let _ = side.set_nodelay(true);
    }
    let speech = Mutex::new(match control.protocol {
        Protocol::Postgres => Speech::Postgres(Postgres::default()),
        Protocol::Kafka => Speech::Kafka(Kafka::default()),
    });
    let mut epoch = control.epoch.subscribe();
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let link = Link { control: &control, speech: &speech };
    let end = tokio::select! {
        end = link.pump(Direction::ToServer, &mut from_client, &mut to_server) => end,
        end = link.pump(Direction::ToClient, &mut from_server, &mut to_client) => end,
        _ = epoch.changed() => End::Reset,
    };
    if matches!(end, End::Reset) {
        for half in [&to_client, &to_server] {
            let _ = half.as_ref().set_zero_linger();
        }
    }
}

struct Link<'a> {
    control: &'a Control,
    speech: &'a Mutex<Speech>,
}

impl Link<'_> {
    async fn pump(&self, direction: Direction, from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) -> End {
        let mut buffer = Vec::with_capacity(1 << 16);
        loop {
            match from.read_buf(&mut buffer).await {
                Ok(0) => {
                    // In a black hole, neither side notices when the other one dies.
                    self.gate(direction).await;
                    return End::Closed;
                }
                Ok(_) => {}
                Err(_) => return End::Reset,
            }
            self.gate(direction).await;
            if let Err(end) = self.pass(direction, &mut buffer, to).await {
                return end;
            }
        }
    }

    /// Waits as the mode requires.
    async fn gate(&self, direction: Direction) {
        let mut mode = self.control.mode.subscribe();
        let now = *mode.borrow_and_update();
        if let Mode::Latency(latency) = now {
            tokio::time::sleep(latency).await;
        }
        if now.holds(direction) {
            // The sender is in `control`: it cannot be gone.
            let _ = mode.wait_for(|mode| !mode.holds(direction)).await;
        }
    }

    /// Passes on the whole messages in the buffer.
    async fn pass(&self, direction: Direction, buffer: &mut Vec<u8>, to: &mut OwnedWriteHalf) -> Result<(), End> {
        let mut passed = 0;
        let mut looked_at = 0;
        while let Some(length) = self.length(direction, &buffer[looked_at..]) {
            let end = looked_at + length;
            if end > buffer.len() {
                break;
            }
            if let Some(trap) = self.look(direction, &buffer[looked_at..end]) {
                self.write(&buffer[passed..looked_at], to).await?;
                passed = looked_at;
                if trap.action == Action::PassAndKill {
                    // Together with the next message: the client reads a response only when the server is ready again.
                    self.write(&buffer[passed..], to).await?;
                }
                self.strike(trap).await?;
            }
            looked_at = end;
        }
        self.write(&buffer[passed..looked_at], to).await?;
        buffer.drain(..looked_at);
        Ok(())
    }

    async fn strike(&self, trap: Arc<Trap>) -> Result<(), End> {
        let process = self.control.process.load(Ordering::SeqCst);
        match trap.action {
            Action::Kill | Action::PassAndKill => {
                signal(process, "KILL", trap).await;
                Err(End::Reset)
            }
            Action::Stop => {
                signal(process, "STOP", trap.clone()).await;
                trap.released().await;
                Ok(())
            }
            Action::Cut => {
                trap.has_struck(process);
                Err(End::Reset)
            }
            Action::Hold(time) => {
                trap.has_struck(process);
                tokio::time::sleep(time).await;
                Ok(())
            }
        }
    }

    async fn write(&self, bytes: &[u8], to: &mut OwnedWriteHalf) -> Result<(), End> {
        if bytes.is_empty() {
            return Ok(());
        }
        if let Some(left) = self.spend(bytes.len()) {
            to.write_all(&bytes[..left]).await?;
            return Err(End::Reset);
        }
        Ok(to.write_all(bytes).await?)
    }

    /// Bytes that may still be passed on before the cut; None: all.
    fn spend(&self, bytes: usize) -> Option<usize> {
        let mut budget = lock(&self.control.budget);
        match budget.as_mut() {
            None => None,
            Some(left) if *left > bytes => {
                *left -= bytes;
                None
            }
            Some(_) => budget.take(),
        }
    }

    fn length(&self, direction: Direction, bytes: &[u8]) -> Option<usize> {
        if bytes.is_empty() {
            return None;
        }
        match (&*lock(self.speech), direction) {
            (Speech::Postgres(postgres), Direction::ToServer) => postgres.request_length(bytes),
            (Speech::Postgres(postgres), Direction::ToClient) => postgres.answer_length(bytes),
            (Speech::Kafka(_), _) => Kafka::length(bytes),
        }
    }

    fn look(&self, direction: Direction, message: &[u8]) -> Option<Arc<Trap>> {
        match (&mut *lock(self.speech), direction) {
            (Speech::Postgres(postgres), Direction::ToServer) => postgres.request(message, self.control),
            (Speech::Postgres(postgres), Direction::ToClient) => postgres.answer(message, self.control),
            (Speech::Kafka(kafka), Direction::ToServer) => {
                kafka.request(message, self.control);
                None
            }
            (Speech::Kafka(kafka), Direction::ToClient) => kafka.answer(message, self.control),
        }
    }
}

/// Sends the client a signal. `kill` is a separate process, so that it does not block the runtime's thread. The signal
/// ends the connection, and with it this task; the trap must get its result all the same.
async fn signal(process: u32, name: &'static str, trap: Arc<Trap>) {
    // To `kill`, 0 means the whole process group, including this process.
    assert_ne!(process, 0, "the proxy does not know whom it serves");
    let strike = tokio::task::spawn_blocking(move || {
        signal_process(process, name);
        trap.has_struck(process);
    });
    // An error means that the process had just ended by itself: the trap has not struck.
    let _ = strike.await;
}
