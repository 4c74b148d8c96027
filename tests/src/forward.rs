//! A stretch of network between an executable and a service, which a test can break.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::broker::Bench;
use crate::process::Environment;

/// How connections are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// They are passed on.
    Good,
    /// New and open connections are closed.
    Down,
    /// New ones are accepted but get no response; open ones are closed.
    Silent,
    /// All stay open, and nothing passes any more.
    Hole,
}

/// Passes connections on to a service.
#[derive(Debug)]
pub struct Forward {
    /// Where it listens, `host:port`.
    pub address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    network: Network,
    open: Vec<TcpStream>,
}

impl Forward {
    /// Forwards to the service at that address.
    pub fn to(service: &str) -> Forward {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State { network: Network::Good, open: Vec::new() }));
        let (shared, service) = (state.clone(), service.to_owned());
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let mut state = shared.lock().unwrap();
                match state.network {
                    Network::Down => {}
                    Network::Silent => state.open.push(near),
                    Network::Good | Network::Hole => {
                        let Ok(far) = TcpStream::connect(&service) else { continue };
                        pass(near.try_clone().unwrap(), far.try_clone().unwrap(), &shared);
                        pass(far.try_clone().unwrap(), near.try_clone().unwrap(), &shared);
                        state.open.extend([near, far]);
                    }
                }
            }
        });
        Forward { address, state }
    }

    /// Changes the treatment and closes open connections; a black hole keeps them.
    pub fn set(&self, network: Network) {
        let mut state = self.state.lock().unwrap();
        state.network = network;
        if network == Network::Hole {
            return;
        }
        for stream in state.open.drain(..) {
            // It may have been closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, state: &Arc<Mutex<State>>) {
    let state = Arc::clone(state);
    thread::spawn(move || {
        let mut buffer = [0; 1 << 16];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            while state.lock().unwrap().network == Network::Hole {
                thread::sleep(Duration::from_millis(10));
            }
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}

/// A breakable connection to the bench's PostgreSQL, and an environment with it.
pub fn through(bench: &Bench) -> (Forward, Environment) {
    let address = bench.database.address().expose().to_owned();
    let (user, rest) = address.split_once('@').unwrap();
    let (host, name) = rest.split_once('/').unwrap();
    let forward = Forward::to(host);
    let environment = bench.with(&[("TAPEDECK_DATABASE_URL", &format!("{user}@{}/{name}", forward.address))]);
    (forward, environment)
}
