//! A relay that takes everything and keeps nothing, so that it is never what is measured.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// A running sink; it ends with the process.
pub struct Sink {
    pub address: SocketAddr,
    taken: Arc<AtomicUsize>,
    open: Arc<AtomicBool>,
}

impl Sink {
    pub fn start() -> Self {
        let sink = Self::closed();
        sink.open();
        sink
    }

    /// One that hangs up on everybody until it is opened.
    pub fn closed() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let taken = Arc::new(AtomicUsize::new(0));
        let open = Arc::new(AtomicBool::new(false));
        let (counter, is_open) = (Arc::clone(&taken), Arc::clone(&open));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if !is_open.load(Ordering::Relaxed) {
                    continue;
                }
                let counter = Arc::clone(&counter);
                thread::spawn(move || serve(&stream, &counter));
            }
        });
        Self { address, taken, open }
    }

    /// From now on it takes what comes.
    pub fn open(&self) {
        self.open.store(true, Ordering::Relaxed);
    }

    /// Mails taken so far.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

fn serve(stream: &TcpStream, taken: &AtomicUsize) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let (mut reader, mut writer) = (BufReader::new(stream), BufWriter::new(stream));
    let mut say = |words: &str| writer.write_all(words.as_bytes()).and_then(|()| writer.flush()).ok();
    say("220 sink ESMTP\r\n")?;
    let mut line = Vec::new();
    let mut next = move |line: &mut Vec<u8>| {
        line.clear();
        reader.read_until(b'\n', line).ok().filter(|read| *read > 0)
    };
    loop {
        next(&mut line)?;
        match line.get(..4).unwrap_or_default() {
            b"EHLO" => say("250-sink\r\n250-SIZE\r\n250-8BITMIME\r\n250-PIPELINING\r\n250 DSN\r\n")?,
            b"DATA" => {
                say("354 go on\r\n")?;
                while line != b".\r\n" {
                    next(&mut line)?;
                }
                taken.fetch_add(1, Ordering::Relaxed);
                say("250 taken\r\n")?;
            }
            b"QUIT" => return say("221 bye\r\n"),
            _ => say("250 ok\r\n")?,
        }
    }
}
