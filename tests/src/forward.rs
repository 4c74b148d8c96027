//! A stretch of network between an executable and a service, which a test can break.

use std::io::copy;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// How connections are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// They are passed on.
    Good,
    /// New and open connections are closed.
    Down,
    /// New ones are accepted but get no response; open ones are closed.
    Silent,
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
                    Network::Good => {
                        let Ok(far) = TcpStream::connect(&service) else { continue };
                        pass(near.try_clone().unwrap(), far.try_clone().unwrap());
                        pass(far.try_clone().unwrap(), near.try_clone().unwrap());
                        state.open.extend([near, far]);
                    }
                }
            }
        });
        Forward { address, state }
    }

    /// Changes the treatment and closes open connections.
    pub fn set(&self, network: Network) {
        let mut state = self.state.lock().unwrap();
        state.network = network;
        for stream in state.open.drain(..) {
            // It may have been closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let _ = copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}
