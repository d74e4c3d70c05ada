//! The whole server over real TCP, with a real WebSocket client.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use glasshull_shared::snapshot::{Topic, TopicSet};
use glasshull_shared::wire::{ClientMessage, ServerMessage, encode_client};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::super::archive::Desk;
use super::super::hub::Hub;
use super::super::server::{Config, Server};
use super::{Mirror, SECOND, live_hub, message, snapshot, topics};

struct Running {
    hub: Arc<Hub>,
    address: SocketAddr,
    token: Option<String>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<anyhow::Result<()>>,
}

async fn start(ip: Ipv4Addr, token_file: Option<std::path::PathBuf>) -> Running {
    let (hub, _asked) = live_hub();
    hub.publish(Arc::new(snapshot(2)), TopicSet::ALL, SECOND, None);
    let config = Config { bind: (ip, 0).into(), allow_hosts: vec!["box.lan".into()], token_file };
    let server = Server::bind(&config).await.unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.address().port()));
    let token = server.token().map(str::to_owned);
    let (stop, stopped) = oneshot::channel();
    let running = tokio::spawn(server.run(Arc::clone(&hub), async move { drop(stopped.await) }));
    Running { hub, address, token, stop, server: running }
}

impl Running {
    /// One request with these header lines besides Host (unless given): status and everything received.
    async fn ask(&self, first: &str, headers: &[&str], body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut request = format!("{first} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|h| h.starts_with("Host:")) {
            request += &format!("Host: {}\r\n", self.address);
        }
        headers.iter().for_each(|header| request += &format!("{header}\r\n"));
        if !body.is_empty() {
            request += &format!(
                "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
                body.len()
            );
        }
        stream.write_all(format!("{request}\r\n{body}").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        (status, text)
    }

    async fn connect(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, u16> {
        let mut request = format!("ws://{}{path}", self.address).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        match tokio_tungstenite::connect_async(request).await {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn other_names_and_other_sites_are_turned_away_everywhere() {
    let running = start(Ipv4Addr::LOCALHOST, None).await;
    assert!(running.token.is_none());
    let port = running.address.port();
    for path in [
        "GET /",
        "GET /healthz",
        "GET /ws",
        "GET /wire",
        "GET /wire.pcapng?netns=1",
        "GET /files/web?path=/",
        "GET /files/image/a/b:1?path=/",
        "POST /login",
        "GET /nothing.js",
    ] {
        let rebound = running.ask(path, &["Host: evil.example"], "").await;
        assert_eq!(rebound.0, 403, "{path}");
        assert!(rebound.1.contains("--allow-host evil.example"), "{}", rebound.1);
        let cross = running.ask(path, &["Origin: http://evil.example"], "").await;
        assert_eq!(cross.0, 403, "{path}");
        assert!(cross.1.contains("content-security-policy: default-src 'none'"), "also on refusals");
    }
    for target in ["GET http://evil.example/", "GET http://evil.example/healthz", "CONNECT evil.example:443"]
    {
        let named = running.ask(target, &[], "").await;
        assert!(named.0 == 403 && named.1.contains("--allow-host evil.example"), "{target}: {}", named.1);
    }
    assert_eq!(running.ask(&format!("GET http://{}/healthz", running.address), &[], "").await.0, 200);
    assert_eq!(running.ask("GET /", &["Host: box.lan"], "").await.0, 200);
    assert_eq!(running.connect("/ws", &[("origin", "http://evil.example")]).await.unwrap_err(), 403);
    assert_eq!(running.connect("/ws", &[("host", "evil.example")]).await.unwrap_err(), 403);
    for scheme in ["https", "file"] {
        let page = format!("{scheme}://127.0.0.1:{port}");
        assert_eq!(running.connect("/ws", &[("origin", page.as_str())]).await.unwrap_err(), 403, "{page}");
    }
    let proxied = [("host", "box.lan"), ("origin", "https://box.lan")];
    assert!(running.connect("/ws", &proxied).await.is_ok(), "behind a proxy that speaks TLS");
    let own = format!("http://127.0.0.1:{port}");
    assert!(running.connect("/ws", &[("origin", own.as_str())]).await.is_ok());
}

#[tokio::test]
async fn files_are_given_only_where_that_is_allowed() {
    let running = start(Ipv4Addr::LOCALHOST, None).await;
    let place = "GET /files/web?path=/etc";
    let recorded = running.ask(place, &[], "").await;
    assert!(recorded.0 == 404 && recorded.1.contains("a recording holds no files"), "{}", recorded.1);
    running.hub.open_desk(Desk { wanted: None });
    for place in [place, "GET /files/image/a/b:1?path=/etc&format=tar"] {
        let refused = running.ask(place, &[], "").await;
        assert!(refused.0 == 403 && refused.1.contains("--allow-files"), "{}", refused.1);
    }
    let running = start(Ipv4Addr::LOCALHOST, None).await;
    let (wanted, asked) = mpsc::channel(1);
    running.hub.open_desk(Desk { wanted: Some(wanted) });
    for site in ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"] {
        assert_eq!(running.ask(place, &[site], "").await.0, 403, "{site}");
    }
    for bad in
        ["GET /files/web", "GET /files/web?path=etc", "GET /files/web?path=%00", "GET /files/image/-a?path=/"]
    {
        assert_eq!(running.ask(bad, &[], "").await.0, 400, "{bad}");
    }
    assert!(asked.is_empty(), "nobody was asked for that");
    // Whoever reads files is busy, or has ended.
    drop(asked);
    assert_eq!(running.ask(place, &[], "").await.0, 503);
}

#[tokio::test]
async fn answers_carry_the_security_headers() {
    let running = start(Ipv4Addr::LOCALHOST, None).await;
    let (status, text) = running.ask("GET /?view=containers", &[], "").await;
    assert_eq!(status, 200);
    for header in [
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "cross-origin-opener-policy: same-origin",
        "cross-origin-resource-policy: same-origin",
        "script-src 'self' 'wasm-unsafe-eval'",
        "cache-control: no-cache",
        "etag: ",
    ] {
        assert!(text.contains(header), "{header} in {text}");
    }
    assert_eq!(running.ask("DELETE /", &[], "").await.0, 405);
    let (status, text) = running.ask("GET /healthz", &[], "").await;
    assert!(status == 200 && text.ends_with("ok\n"));
    let (status, text) = running.ask("GET /login", &[], "").await;
    assert!(status == 303 && text.contains("location: /\r\n"), "no token is asked for: {text}");
}

#[tokio::test]
async fn where_nothing_is_a_person_is_led_to_the_app() {
    let running = start(Ipv4Addr::LOCALHOST, None).await;
    for path in ["/containers", "/etc/passwd", "/nothing.js", "/wire/", "//", "/%2e%2e/"] {
        let (status, text) = running.ask(&format!("GET {path}"), &["Accept: text/html"], "").await;
        assert_eq!(status, 404, "{path}");
        for part in ["Nothing is here", "<a href=\"/\">", "default-src 'none'", "cache-control: no-store"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let (status, text) = running.ask(&format!("GET {path}"), &[], "").await;
        assert!(status == 404 && text.contains("text/plain") && !text.contains('<'), "{text}");
    }
}

#[tokio::test]
async fn a_client_sees_ticks_and_the_end() {
    let running = start(Ipv4Addr::LOCALHOST, None).await;
    let mut socket = running.connect("/ws", &[]).await.unwrap();
    let next = async |socket: &mut WebSocketStream<_>| socket.next().await.unwrap().unwrap().into_data();
    assert!(matches!(message(&next(&mut socket).await), ServerMessage::Hello(_)));
    assert_eq!(running.hub.clients(), 1);
    let subscribe = ClientMessage::Subscribe { topics: vec![Topic::Container.id()] };
    socket.send(Message::Binary(encode_client(&subscribe).unwrap().into())).await.unwrap();
    let mut mirror = Mirror::default();
    assert_eq!(mirror.take(&next(&mut socket).await).full, topics(&[Topic::Container]));

    let Running { hub, stop, server, address, .. } = running;
    stop.send(()).unwrap();
    let end = socket.next().await.unwrap().unwrap();
    let Message::Close(Some(frame)) = end else { panic!("{end:?}") };
    assert_eq!(u16::from(frame.code), 1001);
    assert!(socket.next().await.is_none(), "the handshake is completed");
    server.await.unwrap().unwrap();
    assert_eq!(hub.clients(), 0);
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn peers_that_hang_do_not_delay_the_end() {
    let running = start(Ipv4Addr::LOCALHOST, None).await;
    let _deaf = running.connect("/ws", &[]).await.unwrap();
    let mut half = TcpStream::connect(running.address).await.unwrap();
    half.write_all(b"GET / HTTP/1.1\r\nHost: local").await.unwrap();
    running.stop.send(()).unwrap();
    // A bound on hanging for ever, far above the second that is promised.
    tokio::time::timeout(Duration::from_secs(20), running.server).await.expect("it ends").unwrap().unwrap();
}

#[tokio::test]
async fn garbage_and_oversize_end_in_a_close_code() {
    let running = start(Ipv4Addr::LOCALHOST, None).await;
    for (sent, expected) in [
        (Message::Binary(vec![1, 77].into()), 1002),
        (Message::Binary(vec![1; 200_000].into()), 1002),
        (Message::Text("hello".into()), 1003),
    ] {
        let oversize = sent.len() > 100_000;
        let mut socket = running.connect("/ws", &[]).await.unwrap();
        // The server may close before all of a long message is sent; then the close frame may be lost as well.
        let _ = socket.send(sent).await;
        let mut code = None;
        while let Some(Ok(next)) = socket.next().await {
            if let Message::Close(frame) = next {
                code = frame.map(|f| u16::from(f.code));
            }
        }
        assert!(code == Some(expected) || (oversize && code.is_none()), "{code:?} instead of {expected}");
    }
    // And the server still serves.
    assert_eq!(running.ask("GET /healthz", &[], "").await.0, 200);
}

#[tokio::test]
async fn the_json_form_takes_tables_from_the_address() {
    let running = start(Ipv4Addr::LOCALHOST, None).await;
    let mut socket = running.connect("/ws?format=json&tables=container,unknown", &[]).await.unwrap();
    let mut next = async || {
        let text = socket.next().await.unwrap().unwrap().into_text().unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()
    };
    assert_eq!(next().await["Hello"]["origin"], "live");
    assert_eq!(next().await["tables"]["container"]["changed"][0]["id"], "c1");
}

#[tokio::test]
async fn over_a_network_a_token_is_exchanged_for_a_cookie() {
    let running = start(Ipv4Addr::UNSPECIFIED, None).await;
    let token = running.token.clone().expect("made by itself");
    let page = running.ask("GET /processes", &["Accept: text/html"], "").await;
    assert!(page.0 == 401 && page.1.contains("<form"), "{}", page.1);
    assert!(page.1.contains("referrer-policy: same-origin"), "or browsers send Origin: null with the form");
    assert_eq!(running.ask("GET /app.js", &[], "").await.0, 401);
    assert!(running.ask("GET /login", &[], "").await.1.contains("<form"));
    assert_eq!(running.connect("/ws", &[]).await.unwrap_err(), 401);
    assert_eq!(running.ask("GET /login.css", &[], "").await.0, 200);
    assert_eq!(running.ask("GET /healthz", &[], "").await.0, 200);

    let wrong = running.ask("POST /login", &[], "token=0123456789abcdef").await;
    assert!(wrong.0 == 401 && wrong.1.contains("not the token") && !wrong.1.contains("set-cookie"));
    let origin = format!("Origin: http://{}", running.address);
    let right = running.ask("POST /login", &[&origin], &format!("token={token}")).await;
    assert_eq!(right.0, 303, "{}", right.1);
    let cookie = right.1.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains(&token));
    let session = cookie.split(';').next().unwrap();
    assert_eq!(running.ask("GET /", &[&format!("Cookie: a=b; {session}")], "").await.0, 200);
    assert!(running.connect("/ws", &[("cookie", session)]).await.is_ok());
    assert_eq!(running.connect("/ws", &[("cookie", "glasshull_1=x")]).await.unwrap_err(), 401);

    let bearer = format!("Bearer {token}");
    assert_eq!(running.ask("GET /", &[&format!("Authorization: {bearer}")], "").await.0, 200);
    assert!(running.connect("/ws", &[("authorization", bearer.as_str())]).await.is_ok());
    // In the address it is worth nothing.
    assert_eq!(running.ask(&format!("GET /?token={token}"), &[], "").await.0, 401);
}

#[tokio::test]
async fn guessing_tokens_is_slowed_down() {
    let running = start(Ipv4Addr::UNSPECIFIED, None).await;
    let mut answers = Vec::new();
    for n in 0..12 {
        answers.push(running.ask("POST /login", &[], &format!("token=guess{n}")).await.0);
    }
    assert_eq!(answers[..10], [401; 10]);
    assert_eq!(answers[10..], [429; 2]);
    let token = running.token.clone().unwrap();
    assert_eq!(running.ask("GET /", &[&format!("Authorization: Bearer {token}")], "").await.0, 429);
}

#[tokio::test]
async fn a_token_file_is_asked_for_on_loopback_too() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "short\n").unwrap();
    let config = |bind| Config { bind, allow_hosts: Vec::new(), token_file: Some(file.path().to_owned()) };
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let error = format!("{:#}", Server::bind(&config(loopback)).await.err().unwrap());
    assert!(error.contains("at least 16 characters"), "{error}");
    std::fs::write(file.path(), "a-token-of-24-characters\n").unwrap();
    let running = start(Ipv4Addr::LOCALHOST, Some(file.path().to_owned())).await;
    assert!(running.token.is_none(), "not printed: whoever wrote the file knows it");
    assert_eq!(running.ask("GET /", &[], "").await.0, 401);
    assert_eq!(running.ask("GET /", &["Authorization: Bearer a-token-of-24-characters"], "").await.0, 200);
}

#[tokio::test]
async fn a_taken_port_is_named_with_what_to_do() {
    let running = start(Ipv4Addr::LOCALHOST, None).await;
    let config = Config { bind: running.address, allow_hosts: Vec::new(), token_file: None };
    let error = format!("{:#}", Server::bind(&config).await.err().unwrap());
    assert!(error.contains(&running.address.to_string()) && error.contains("is taken"), "{error}");
    assert!(error.contains("ss -ltnp"), "{error}");
}
