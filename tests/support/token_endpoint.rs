//! An OAuth 2.0 authorization server on loopback: tokens for clients, and their introspection for Dovecot.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

/// What a request was, and what its form said.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    pub form: Vec<(String, String)>,
}

impl Asked {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.form.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Default)]
struct State {
    user: String,
    /// Access tokens that Dovecot is told are good.
    good: Vec<String>,
    /// The one refresh token that is good; each use makes another.
    refresh: String,
    expires_in: u64,
    granted: usize,
    pending: usize,
    asked: Vec<Asked>,
    faults: VecDeque<(u16, String)>,
    always: Option<(u16, String)>,
}

/// The running server.
pub struct TokenEndpoint {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl TokenEndpoint {
    /// Starts it with one user, whose first refresh token is `refresh-0`.
    pub fn start(user: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(Mutex::new(State {
            user: user.to_owned(),
            refresh: "refresh-0".to_owned(),
            expires_in: 3600,
            ..State::default()
        }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, state }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The next requests for tokens are answered so, one each.
    pub fn fault(&self, status: u16, body: &str) {
        self.lock().faults.push_back((status, body.to_owned()));
    }

    /// All of them are, until [`Self::no_faults`].
    pub fn fault_always(&self, status: u16, body: &str) {
        self.lock().always = Some((status, body.to_owned()));
    }

    pub fn no_faults(&self) {
        let mut state = self.lock();
        state.faults.clear();
        state.always = None;
    }

    /// Tokens that are granted from now on say that they last so long, in seconds.
    pub fn set_lifetime(&self, seconds: u64) {
        self.lock().expires_in = seconds;
    }

    /// Dovecot is told that no token granted so far is good.
    pub fn revoke_access(&self) {
        self.lock().good.clear();
    }

    /// Puts another refresh token in the place of the one that is good.
    pub fn set_refresh(&self, token: &str) {
        self.lock().refresh = token.to_owned();
    }

    /// So often the person has not typed the code yet.
    pub fn set_pending(&self, times: usize) {
        self.lock().pending = times;
    }

    /// Takes this access token as good.
    pub fn accept(&self, token: &str) {
        self.lock().good.push(token.to_owned());
    }

    /// The requests for tokens so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.lock().asked.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut line = String::new();
    let _ = reader.read_line(&mut line);
    let target = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut length, mut bearer) = (0, String::new());
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).is_err() || header.trim().is_empty() {
            break;
        }
        let Some((name, value)) = header.split_once(':') else { continue };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "authorization" => bearer = value.trim().trim_start_matches("Bearer ").to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    let _ = reader.read_exact(&mut body);
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut form = fields(&String::from_utf8_lossy(&body));
    form.extend(fields(query));
    let (status, body) = {
        let mut state = state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        answer(&mut state, Asked { path: path.to_owned(), form }, &bearer)
    };
    let mut stream = stream;
    let _ = write!(
        stream,
        "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
}

fn answer(state: &mut State, asked: Asked, bearer: &str) -> (u16, String) {
    if asked.path == "/introspect" {
        let token = asked.field("token").or_else(|| asked.field("access_token")).unwrap_or(bearer);
        return match state.good.iter().any(|good| good == token) {
            true => (
                200,
                format!(r#"{{"active":true,"username":"{}","email":"{0}","scope":"mail"}}"#, state.user),
            ),
            false => (200, r#"{"active":false}"#.to_owned()), // RFC 7662 §2.2
        };
    }
    state.asked.push(asked.clone());
    if let Some(fault) = state.faults.pop_front().or_else(|| state.always.clone()) {
        return fault;
    }
    if asked.path == "/device" {
        let body = r#"{"device_code":"device-1","user_code":"WDJB-MJHT","verification_uri":"https://login.example/device","expires_in":900,"interval":1}"#;
        return (200, body.to_owned());
    }
    match asked.field("grant_type") {
        Some("refresh_token") if asked.field("refresh_token") != Some(&state.refresh) => {
            (400, r#"{"error":"invalid_grant","error_description":"the token was used before"}"#.to_owned())
        }
        Some("urn:ietf:params:oauth:grant-type:device_code") if state.pending > 0 => {
            state.pending -= 1;
            (400, r#"{"error":"authorization_pending"}"#.to_owned())
        }
        Some("client_credentials") => grant(state, false),
        Some(_) => grant(state, true),
        None => (400, r#"{"error":"invalid_request"}"#.to_owned()),
    }
}

fn grant(state: &mut State, refresh: bool) -> (u16, String) {
    state.granted += 1;
    let access = format!("access-{}", state.granted);
    state.good.push(access.clone());
    let rotated = if refresh {
        state.refresh = format!("refresh-{}", state.granted);
        format!(r#","refresh_token":"{}""#, state.refresh)
    } else {
        String::new()
    };
    (
        200,
        format!(
            r#"{{"access_token":"{access}","token_type":"Bearer","expires_in":{}{rotated}}}"#,
            state.expires_in
        ),
    )
}

/// The fields of a form, or of a URL's query.
fn fields(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let hex: String = rest.by_ref().take(2).map(char::from).collect();
                bytes.push(u8::from_str_radix(&hex, 16).expect("two hex digits"));
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}
