//! The token that whoever connects over a network must know, and the sessions of browsers that have shown it.
//!
//! From `--token-file` or the kernel's random numbers to the guard. A browser shows the token once, in a form, and
//! gets a cookie with a random number for it; scripts send it as `Authorization: Bearer`. It never is in an address,
//! which histories and logs keep.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Form;
use axum::extract::{ConnectInfo, State};
use axum::http::header::{self, HeaderMap};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use super::Peer;
use super::guard::Guard;

/// Path of the form.
pub(crate) const PAGE: &str = "/login";
/// Path of its style sheet.
pub(crate) const STYLE: &str = "/login.css";
const PAGE_HTML: &str = include_str!("login.html");
const STYLE_CSS: &str = include_str!("login.css");

/// Browsers that may be logged in at a time; the one unused for the longest makes room.
const SESSIONS_KEPT: usize = 64;
/// A session unused for that long ends.
const SESSION_IDLE: Duration = Duration::from_secs(12 * 3600);
/// Wrong tokens an address may show per [`FAILURE_WINDOW`].
const FAILURES_ALLOWED: u32 = 10;
const FAILURE_WINDOW: Duration = Duration::from_secs(60);
/// Addresses whose failures are remembered at a time.
const ADDRESSES_KEPT: usize = 1024;

/// Knows the token and who has shown it.
pub(crate) struct Login {
    token: String,
    /// Cookies are shared by all ports of a host: each agent needs a name of its own.
    cookie: String,
    sessions: Mutex<VecDeque<Session>>,
    failures: Mutex<HashMap<IpAddr, Failures>>,
}

struct Session {
    id: String,
    used: Instant,
}

struct Failures {
    since: Instant,
    count: u32,
}

/// What the form sends.
#[derive(Deserialize)]
pub(crate) struct Entered {
    token: String,
}

/// A random number of 128 bits, 32 hexadecimal digits.
///
/// # Errors
/// When the kernel has no random numbers.
pub(crate) fn random_hex() -> std::io::Result<String> {
    let mut bytes = [0; 16];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    if filled < bytes.len() {
        return Err(std::io::Error::other("too few random numbers"));
    }
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

impl Login {
    /// Asks for `token`; `port` tells this agent's cookie from others of the same host.
    pub(crate) fn new(token: String, port: u16) -> Self {
        Self {
            token,
            cookie: format!("glasshull_{port}"),
            sessions: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// Whether a request comes with a session or the token; else the status to answer with.
    pub(crate) fn admit(&self, headers: &HeaderMap, address: IpAddr) -> Result<(), StatusCode> {
        if self.cookies(headers).any(|id| self.use_session(id)) {
            return Ok(());
        }
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        match bearer.and_then(|value| value.strip_prefix("Bearer ")) {
            Some(token) => self.check_token(token.trim(), address),
            None => Err(StatusCode::UNAUTHORIZED),
        }
    }

    /// Compares without telling by the time it takes how much was right; counts what was wrong. An address that showed too
    /// many wrong ones waits, also with the right one: else guessing would cost nothing. Other addresses do not wait for it.
    fn check_token(&self, given: &str, address: IpAddr) -> Result<(), StatusCode> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, f| f.since.elapsed() < FAILURE_WINDOW);
        if failures.get(&address).is_some_and(|f| f.count >= FAILURES_ALLOWED) {
            return Err(StatusCode::TOO_MANY_REQUESTS);
        }
        if self.token.as_bytes().ct_eq(given.as_bytes()).into() {
            return Ok(());
        }
        if failures.len() >= ADDRESSES_KEPT && !failures.contains_key(&address) {
            let oldest = failures.iter().min_by_key(|(_, f)| f.since).map(|(address, _)| *address);
            oldest.map(|oldest| failures.remove(&oldest));
        }
        failures.entry(address).or_insert_with(|| Failures { since: Instant::now(), count: 0 }).count += 1;
        tracing::warn!(%address, "a wrong token was shown");
        Err(StatusCode::UNAUTHORIZED)
    }

    /// Values of our cookie; a browser sends one, a hostile page might add others.
    fn cookies<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .filter(|(name, _)| *name == self.cookie)
            .map(|(_, id)| id)
            .take(4)
    }

    fn use_session(&self, id: &str) -> bool {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|s| s.used.elapsed() < SESSION_IDLE);
        let found = sessions.iter_mut().find(|s| s.id.as_bytes().ct_eq(id.as_bytes()).into());
        found.map(|session| session.used = Instant::now()).is_some()
    }

    fn open_session(&self) -> std::io::Result<String> {
        let id = random_hex()?;
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= SESSIONS_KEPT {
            let oldest = sessions.iter().enumerate().min_by_key(|(_, s)| s.used).map(|(i, _)| i);
            oldest.map(|i| sessions.remove(i));
        }
        sessions.push_back(Session { id: id.clone(), used: Instant::now() });
        Ok(id)
    }
}

/// The form, where a token is asked for.
pub(crate) async fn show(State(guard): State<Arc<Guard>>) -> Response {
    if guard.login.is_some() { page(StatusCode::OK, "") } else { home(None) }
}

/// The form's style sheet.
pub(crate) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")], STYLE_CSS)
        .into_response()
}

/// Takes the form: a cookie for the token.
pub(crate) async fn enter(
    State(guard): State<Arc<Guard>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
    Form(entered): Form<Entered>,
) -> Response {
    let Some(login) = &guard.login else { return home(None) };
    if let Err(status) = login.check_token(entered.token.trim(), peer.remote.ip()) {
        let message = match status {
            StatusCode::TOO_MANY_REQUESTS => "Too many wrong tokens. Wait a minute.",
            _ => "That is not the token.",
        };
        return page(status, message);
    }
    let id = match login.open_session() {
        Ok(id) => id,
        Err(error) => {
            tracing::error!(%error, "no session could be opened");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    // Behind a proxy that speaks HTTPS the cookie must not travel in clear; without one, Secure would lose it.
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let secure = if origin.is_some_and(|origin| origin.starts_with("https://")) { "; Secure" } else { "" };
    let cookie = format!("{}={id}; HttpOnly; SameSite=Strict; Path=/{secure}", login.cookie);
    home(HeaderValue::try_from(cookie).ok())
}

fn home(cookie: Option<HeaderValue>) -> Response {
    let to_index = [(header::LOCATION, "/"), (header::CACHE_CONTROL, "no-store")];
    let mut response = (StatusCode::SEE_OTHER, to_index).into_response();
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// The login page with a message.
pub(crate) fn page(status: StatusCode, message: &'static str) -> Response {
    // Under no-referrer a browser sends `Origin: null` with the form, which the guard must refuse.
    let headers = [(header::REFERRER_POLICY, "same-origin"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, Html(PAGE_HTML.replace("{message}", message))).into_response()
}
