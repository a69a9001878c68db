//! A TCP proxy that cuts, stalls, delays and drips on command: the network between us and a real server.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// How bytes travel, in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Traffic {
    Flowing,
    /// Nothing arrives and nothing is closed: a half-dead peer.
    Stalled,
    /// Every piece arrives this much later.
    Delayed(Duration),
    /// This many bytes at a time, with a pause after each.
    Dripping(usize, Duration),
}

struct State {
    traffic: Traffic,
    accepts: bool,
    /// Cuts everything once this many bytes have come from the server.
    cut_after: Option<usize>,
    connections: usize,
    open: Vec<TcpStream>,
    over: bool,
}

/// The running proxy; dropping it cuts everything.
pub struct Proxy {
    state: Arc<Mutex<State>>,
    address: SocketAddr,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Proxy {
    /// Starts a proxy on a free loopback port; every connection to it becomes one to `server`.
    pub fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(Mutex::new(State {
            traffic: Traffic::Flowing,
            accepts: true,
            cut_after: None,
            connections: 0,
            open: Vec::new(),
            over: false,
        }));
        let proxy = Self { state: state.clone(), address };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mut now = lock(&state);
                if now.over {
                    break;
                }
                now.connections += 1;
                if !now.accepts {
                    continue;
                }
                let Ok(server) = TcpStream::connect(server) else { continue };
                for stream in [&client, &server] {
                    let _ = stream.set_nodelay(true);
                    now.open.extend(stream.try_clone());
                }
                drop(now);
                if let (Ok(client2), Ok(server2)) = (client.try_clone(), server.try_clone()) {
                    let (up, down) = (state.clone(), state.clone());
                    thread::spawn(move || pump(&up, client, server2, false));
                    thread::spawn(move || pump(&down, server, client2, true));
                }
            }
        });
        proxy
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes how bytes travel from now on.
    pub fn set(&self, traffic: Traffic) {
        lock(&self.state).traffic = traffic;
    }

    /// Closes every open connection; new ones are taken.
    pub fn cut(&self) {
        for stream in lock(&self.state).open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Closes every open connection once this many more bytes have come from the server.
    pub fn cut_after(&self, bytes: usize) {
        lock(&self.state).cut_after = Some(bytes);
    }

    /// Closes every new connection at once, or takes them again.
    pub fn accept(&self, accepts: bool) {
        lock(&self.state).accepts = accepts;
    }

    /// How many connections there have been, refused ones included.
    pub fn connections(&self) -> usize {
        lock(&self.state).connections
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        lock(&self.state).over = true;
        self.cut();
        let _ = TcpStream::connect(self.address); // wakes the listener, which then sees that it is over
    }
}

fn pump(state: &Mutex<State>, mut from: TcpStream, mut to: TcpStream, from_server: bool) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            let (traffic, over) = {
                let now = lock(state);
                (now.traffic, now.over)
            };
            let mut size = rest.len();
            match traffic {
                _ if over => return,
                Traffic::Flowing => {}
                Traffic::Stalled => {
                    thread::sleep(Duration::from_millis(2));
                    continue;
                }
                Traffic::Delayed(time) => thread::sleep(time),
                Traffic::Dripping(bytes, pause) => {
                    size = bytes.clamp(1, size);
                    thread::sleep(pause);
                }
            }
            let mut cuts = false;
            if let (true, Some(left)) = (from_server, &mut lock(state).cut_after) {
                size = size.min(*left);
                *left -= size;
                cuts = *left == 0;
            }
            let (piece, later) = rest.split_at(size);
            if to.write_all(piece).is_err() {
                return;
            }
            if cuts {
                let mut now = lock(state);
                now.cut_after = None;
                for stream in now.open.drain(..) {
                    let _ = stream.shutdown(Shutdown::Both);
                }
                return;
            }
            rest = later;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
