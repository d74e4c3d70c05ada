//! What stands before every request: is it meant for us, does it come from our own page, may this person see anything.
//!
//! From the listener to every route. A page of another site can make a browser talk to a loopback port: by a name of
//! its own that resolves to 127.0.0.1 (DNS rebinding) or by a cross-site WebSocket. The `Host` and `Origin` checks
//! end both. Who connects over a network needs a token besides, see [`super::login`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::uri::{Authority, Scheme};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::login::{self, Login};
use super::{HEALTH, Peer, SOCKET, WIRE};

/// Everything from ourselves, nothing inline; WebAssembly may be compiled. `'self'` covers our own WebSocket.
const CSP: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Of a host (RFC 1035), in text.
const LONGEST_NAME_BYTES: usize = 253;

/// Headers of every answer that does not set its own.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CSP),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("x-frame-options"), "DENY"),
];

/// Decides about requests.
pub(crate) struct Guard {
    /// Names we answer to besides localhost, lower case.
    allowed: Vec<String>,
    /// `None` when no token is asked for.
    pub(crate) login: Option<Login>,
}

impl Guard {
    /// A guard that also answers to the names of `allowed` (`--allow-host`; a port in them is ignored).
    ///
    /// # Errors
    /// A name that cannot stand in a `Host` header; the text is for people.
    pub(crate) fn new(allowed: &[String], login: Option<Login>) -> Result<Self, String> {
        let name = |given: &String| host_name(given).ok_or_else(|| format!("{given:?} is not a host name"));
        Ok(Self { allowed: allowed.iter().map(name).collect::<Result<_, _>>()?, login })
    }

    /// Why a request must be turned away; `None` when it is meant for us and comes from no other site. A target may name a
    /// server as well (`GET http://box/`), and then counts more than `Host`: both must be right.
    fn objection(&self, target: &Uri, headers: &HeaderMap, local: Option<IpAddr>) -> Option<String> {
        let host = match only(headers, header::HOST) {
            Ok(Some(host)) => host,
            Ok(None) | Err(()) => return Some("exactly one Host header is needed".into()),
        };
        let origin = only(headers, header::ORIGIN);
        let named = target.authority().map(|authority| ("target", authority.as_str()));
        named.into_iter().chain([("Host header", host)]).find_map(|(place, authority)| {
            let Some(name) = host_name(authority) else { return Some(format!("the {place} is malformed")) };
            if !self.is_ours(&name, local) {
                return Some(format!(
                    "{name} is no name of this server. If it should be, start it with --allow-host {name}"
                ));
            }
            origin.transpose().and_then(|origin| self.objection_to(origin, authority, &name))
        })
    }

    /// Why the page that a request comes from is not ours; `Err` is an `Origin` that is no text, or several.
    fn objection_to(&self, origin: Result<&str, ()>, authority: &str, name: &str) -> Option<String> {
        match origin.ok().and_then(|origin| own_page(origin, authority)) {
            None => Some("requests from other sites are not answered".into()),
            // We speak no TLS. What does, before us, has a name of its own.
            Some(scheme) if scheme == Scheme::HTTPS && !self.is_allowed(name) => Some(format!(
                "no page over HTTPS is this server's own. For a proxy's start it with --allow-host {name}"
            )),
            Some(_) => None,
        }
    }

    /// Whether a name was given with `--allow-host`.
    fn is_allowed(&self, name: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed == name)
    }

    /// Whether we answer to a name: loopback, the very address the connection came to, or one allowed.
    fn is_ours(&self, name: &str, local: Option<IpAddr>) -> bool {
        if name == "localhost" || self.is_allowed(name) {
            return true;
        }
        let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
        let Ok(address) = bare.parse::<IpAddr>() else { return false };
        let address = address.to_canonical();
        address == Ipv4Addr::LOCALHOST
            || address == Ipv6Addr::LOCALHOST
            || local.is_some_and(|local| local.to_canonical() == address)
    }
}

/// The middleware.
pub(crate) async fn check(
    State(guard): State<Arc<Guard>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let local = peer.local.map(|a| a.ip());
    let mut response = if let Some(why) = guard.objection(request.uri(), request.headers(), local) {
        tracing::debug!(peer = %peer.remote, why, "turned away");
        (StatusCode::FORBIDDEN, format!("{why}\n")).into_response()
    } else {
        match &guard.login {
            Some(login) if !is_open(request.uri().path()) => {
                match login.admit(request.headers(), peer.remote.ip()) {
                    Ok(()) => next.run(request).await,
                    Err(status) => turn_away(status, &request),
                }
            }
            Some(_) | None => next.run(request).await,
        }
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    // Over a network in clear browsers ignore this one and complain about it in their console.
    if peer.local.is_none_or(|local| local.ip().to_canonical().is_loopback()) {
        headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    }
    response
}

/// Keeps files from pages of other sites: an image there sends no Origin, but browsers say where it comes from.
pub(crate) async fn own_site(request: Request, next: Next) -> Response {
    let site = request.headers().get("sec-fetch-site").and_then(|site| site.to_str().ok());
    if matches!(site, Some("cross-site" | "same-site")) {
        return (StatusCode::FORBIDDEN, "requests from other sites are not answered\n").into_response();
    }
    next.run(request).await
}

/// What can be had without a token: the way to enter it, and a sign of life that says nothing.
fn is_open(path: &str) -> bool {
    path == login::PAGE || path == login::STYLE || path == HEALTH
}

/// The login page for a person, one line for a program.
fn turn_away(status: StatusCode, request: &Request) -> Response {
    if status == StatusCode::UNAUTHORIZED
        && request.method() == Method::GET
        && ![SOCKET, WIRE].contains(&request.uri().path())
        && accepts_html(request.headers())
    {
        return login::page(status, "");
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer"), (header::CACHE_CONTROL, "no-store")];
    (status, challenge, "a token is needed: Authorization: Bearer TOKEN\n").into_response()
}

/// Whether it is a browser that wants a page.
pub(super) fn accepts_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// The only value of a header; `Err` when there are several or it is no text.
fn only(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
        (Some(_), Some(_)) => Err(()),
    }
}

/// The name of a `Host` header in lower case, without port and final dot; IPv6 in its brackets.
fn host_name(host: &str) -> Option<String> {
    let authority: Authority = host.parse().ok()?;
    if host.contains('@') {
        return None;
    }
    let name = authority.host();
    let name = name.strip_suffix('.').unwrap_or(name);
    (1..=LONGEST_NAME_BYTES).contains(&name.len()).then(|| name.to_ascii_lowercase())
}

/// The scheme of an `Origin` that is a page of this very server; `None` when it is another's.
fn own_page(origin: &str, authority: &str) -> Option<Scheme> {
    let (scheme, rest) = origin.split_once("://")?;
    let scheme = [Scheme::HTTP, Scheme::HTTPS].into_iter().find(|one| *one == *scheme)?;
    rest.eq_ignore_ascii_case(authority).then_some(scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(allowed: &[&str], headers: &[(&str, &str)], local: &str) -> bool {
        verdict_at("/", allowed, headers, local)
    }

    fn verdict_at(target: &str, allowed: &[&str], headers: &[(&str, &str)], local: &str) -> bool {
        let allowed: Vec<String> = allowed.iter().map(|a| (*a).to_owned()).collect();
        let guard = Guard::new(&allowed, None).unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
        }
        guard.objection(&target.parse().unwrap(), &map, Some(local.parse().unwrap())).is_none()
    }

    #[test]
    fn only_our_own_names_are_answered() {
        for ours in [
            "localhost",
            "LOCALHOST:7070",
            "localhost.",
            "127.0.0.1:7070",
            "[::1]:7070",
            "10.0.0.5:1",
            "box.lan",
        ] {
            assert!(verdict(&["box.lan:7070"], &[("host", ours)], "10.0.0.5"), "{ours}");
        }
        for other in [
            "evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.6",
            "localhost@evil",
            "",
            "a b",
            "[::2]",
            "127.0.0.2",
        ] {
            assert!(!verdict(&["box.lan"], &[("host", other)], "10.0.0.5"), "{other}");
        }
        assert!(!verdict(&[], &[], "127.0.0.1"), "no Host at all");
        assert!(!verdict(&[], &[("host", "localhost"), ("host", "localhost")], "127.0.0.1"), "two Hosts");
    }

    #[test]
    fn a_target_that_names_a_server_must_name_us() {
        let ask = |target, more: &[_]| {
            verdict_at(target, &["box.lan"], &[&[("host", "localhost")], more].concat(), "::1")
        };
        for ours in ["http://localhost/", "http://LOCALHOST:7070/ws?a=b", "http://box.lan/", "localhost:7070"]
        {
            assert!(ask(ours, &[]), "{ours}");
        }
        for other in ["http://evil/", "http://localhost@evil/", "http://10.0.0.5/", "evil:443", "ws://evil"] {
            assert!(!ask(other, &[]), "{other}");
        }
        let own_page = [("origin", "http://localhost")];
        assert!(ask("http://localhost/", &own_page));
        assert!(!ask("http://box.lan/", &own_page), "of a page of localhost, but asked for as another");
        assert!(
            !verdict_at("http://localhost/", &[], &[("host", "evil")], "::1"),
            "the target alone is not enough"
        );
    }

    #[test]
    fn a_name_that_none_can_be_is_not_repeated() {
        let guard = Guard::new(&[], None).unwrap();
        let ask = |bytes| {
            let host = HeaderValue::try_from("a".repeat(bytes)).unwrap();
            let headers = HeaderMap::from_iter([(header::HOST, host)]);
            guard.objection(&Uri::from_static("/"), &headers, None).unwrap()
        };
        assert!(ask(LONGEST_NAME_BYTES).contains("--allow-host aaa"));
        assert_eq!(ask(LONGEST_NAME_BYTES + 1), "the Host header is malformed");
    }

    #[test]
    fn a_mapped_address_is_the_address() {
        assert!(verdict(&[], &[("host", "10.0.0.5:7070")], "::ffff:10.0.0.5"));
    }

    #[test]
    fn only_our_own_page_may_ask() {
        let ask = |origin| verdict(&[], &[("host", "localhost:7070"), ("origin", origin)], "127.0.0.1");
        assert!(ask("http://localhost:7070"));
        for other in [
            "http://localhost:7071",
            "http://127.0.0.1:7070",
            "https://localhost:7070",
            "file://localhost:7070",
            "ws://localhost:7070",
            "//localhost:7070",
            "localhost:7070",
            "null",
            "http://evil.example",
            "file://",
            "",
        ] {
            assert!(!ask(other), "{other}");
        }
    }

    #[test]
    fn a_page_over_https_is_ours_under_an_allowed_name_alone() {
        let ask = |host: &str, scheme: &str, page: &str| {
            let origin = format!("{scheme}://{page}");
            verdict(&["box.lan", "[::1]"], &[("host", host), ("origin", &origin)], "10.0.0.5")
        };
        for ours in ["box.lan", "BOX.lan:8443", "[::1]:1"] {
            assert!(ask(ours, "https", ours) && ask(ours, "http", ours), "{ours}");
        }
        for bare in ["localhost:7070", "127.0.0.1:7070", "10.0.0.5:7070"] {
            assert!(!ask(bare, "https", bare) && ask(bare, "http", bare), "{bare}");
        }
        assert!(!ask("box.lan", "https", "box.lan:8443") && !ask("box.lan", "file", "box.lan"));
    }

    #[test]
    fn a_wrong_name_is_refused_at_start() {
        assert!(Guard::new(&["http://box/".to_owned()], None).is_err());
    }
}
