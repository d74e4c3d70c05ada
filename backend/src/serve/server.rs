//! The HTTP server: binds, routes, drains.
//!
//! From the command line's address and the hub to everybody who connects.

use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{DefaultBodyLimit, Query, State, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::IncomingStream;
use axum::{Router, middleware};
use glasshull_shared::snapshot::{Topic, TopicSet};
use glasshull_shared::wire::MAX_CLIENT_BYTES;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::guard::{self, Guard};
use super::hub::Hub;
use super::listen::Bounded;
use super::login::{self, Login};
use super::socket::{self, Format};
use super::wire::{self, OwnEnds};
use super::{FILES, HEALTH, IMAGE_FILES, NAMES, SOCKET, WIRE, WIRE_FILE, archive, asset, dns, download};

/// Clients served at a time: a bound on descriptors and memory, far above any use.
const MAX_CLIENTS: u32 = 1000;
/// Sessions and requests get this long to end.
const DRAIN: Duration = Duration::from_millis(800);
/// The login form is the only body anybody may send.
const MAX_BODY_BYTES: usize = 4096;
/// Clients send little; the library's default of 128 KiB each would be most of our memory.
const READ_BUFFER_BYTES: usize = 4096;
/// A token file is one line.
const MOST_TOKEN_FILE_BYTES: u64 = 4096;
/// A token shorter than this can be guessed.
const MIN_TOKEN_BYTES: usize = 16;

/// Where to listen and whom to answer.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Address and port; port 0 takes a free one.
    pub(crate) bind: SocketAddr,
    /// Names besides localhost and the address itself under which browsers may know us.
    pub(crate) allow_hosts: Vec<String>,
    /// File whose first line is the token. `None`: no token on loopback, a random one elsewhere.
    pub(crate) token_file: Option<PathBuf>,
}

/// A server that listens but does not answer yet.
pub(crate) struct Server {
    listener: TcpListener,
    address: SocketAddr,
    guard: Guard,
    token: Option<String>,
    own: OwnEnds,
}

impl Server {
    /// Takes the port.
    ///
    /// # Errors
    /// When it is taken or not permitted, a token cannot be read or made, or a name is none; says what to do.
    pub(crate) async fn bind(config: &Config) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(config.bind).await.map_err(|error| explain(config.bind, error))?;
        let address = listener.local_addr().context("the listener has no address")?;
        let (login, token) = match &config.token_file {
            Some(file) => (Some(Login::new(read_token(file)?, address.port())), None),
            None if address.ip().to_canonical().is_loopback() => (None, None),
            None => {
                let token = login::random_hex().context("cannot make a token: no random numbers")?;
                (Some(Login::new(token.clone(), address.port())), Some(token))
            }
        };
        let guard = Guard::new(&config.allow_hosts, login)
            .map_err(|why| anyhow::anyhow!("--allow-host: {why}; give a name like box.lan"))?;
        let own = OwnEnds::default();
        if !address.ip().is_unspecified() {
            own.add(address);
        }
        Ok(Self { listener, address, guard, token, own })
    }

    /// Where it listens, with the port really taken.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it is reached, as far as connections have shown.
    pub(crate) fn own_ends(&self) -> OwnEnds {
        self.own.clone()
    }

    /// The random token made for this run, to be printed once; `None` when none is needed or it came from a file.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Serves until `shutdown` is ready, then tells all clients and returns within a second.
    ///
    /// # Errors
    /// When the server itself fails.
    pub(crate) async fn run(self, hub: Arc<Hub>, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let (stop, stopped) = watch::channel(false);
        let (alive, mut ended) = mpsc::channel::<()>(1);
        let app = router(Arc::new(self.guard), Sockets { hub, stop: stopped.clone(), alive });
        let app = app.into_make_service_with_connect_info::<Peer>();
        let mut drained = stopped;
        let graceful = async move {
            // An error means that the sender below is gone, which is the same.
            let _ = drained.wait_for(|stop| *stop).await;
        };
        let serving = axum::serve(Bounded::new(self.listener, self.own), app)
            .with_graceful_shutdown(graceful)
            .into_future();
        tokio::pin!(serving);
        tokio::select! {
            result = &mut serving => return result.context("the server failed"),
            () = shutdown => {}
        }
        stop.send_replace(true);
        let drain = async {
            let result = serving.await.context("the server failed");
            // Every session holds a sender; `None` comes when the last has ended.
            let _ = ended.recv().await;
            result
        };
        // A request that is still not done is cut off: its peer is hanging, we are not.
        timeout(DRAIN, drain).await.unwrap_or(Ok(()))
    }
}

/// What the upgrade needs.
#[derive(Clone)]
pub(super) struct Sockets {
    pub(super) hub: Arc<Hub>,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) alive: mpsc::Sender<()>,
}

/// Query of `/ws`.
#[derive(Debug, Default, Deserialize)]
struct SocketQuery {
    /// `json` for the debugging form.
    format: Option<String>,
    /// Names of tables to begin with, separated by commas; unknown ones are ignored.
    tables: Option<String>,
}

fn router(guard: Arc<Guard>, sockets: Sockets) -> Router {
    let login = Router::new()
        .route(login::PAGE, get(login::show).post(login::enter))
        .route(login::STYLE, get(login::style))
        .with_state(Arc::clone(&guard));
    let files = Router::new()
        .route(WIRE_FILE, get(download::wire))
        .route(NAMES, get(dns::names))
        .route(FILES, get(archive::container))
        .route(IMAGE_FILES, get(archive::image))
        .route_layer(middleware::from_fn(guard::own_site));
    Router::new()
        .route(SOCKET, get(upgrade))
        .route(WIRE, get(upgrade_wire))
        .merge(files)
        .route(HEALTH, get(async || "ok\n"))
        .with_state(sockets)
        .merge(login)
        .fallback_service(get(asset::serve))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(guard, guard::check))
}

async fn upgrade(
    socket: WebSocketUpgrade,
    Query(query): Query<SocketQuery>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    State(sockets): State<Sockets>,
) -> Response {
    let Some(client) = sockets.hub.admit(MAX_CLIENTS) else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many clients\n").into_response();
    };
    let format = if query.format.as_deref() == Some("json") { Format::Json } else { Format::Binary };
    let tables = query.tables.unwrap_or_default();
    let topics: TopicSet = tables.split(',').filter_map(Topic::from_name).collect();
    socket
        // One more than a message: the version in front of it.
        .max_message_size(MAX_CLIENT_BYTES + 1)
        .max_frame_size(MAX_CLIENT_BYTES + 1)
        .read_buffer_size(READ_BUFFER_BYTES)
        .on_upgrade(move |socket| async move {
            socket::serve(socket, sockets.hub, peer.remote, format, topics, sockets.stop).await;
            drop((client, sockets.alive));
        })
}

async fn upgrade_wire(socket: WebSocketUpgrade, State(sockets): State<Sockets>) -> Response {
    let Some(client) = sockets.hub.admit(MAX_CLIENTS) else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many clients\n").into_response();
    };
    socket
        .max_message_size(MAX_CLIENT_BYTES + 1)
        .max_frame_size(MAX_CLIENT_BYTES + 1)
        .read_buffer_size(READ_BUFFER_BYTES)
        .on_upgrade(move |socket| async move {
            wire::serve(socket, sockets.hub, sockets.stop).await;
            drop((client, sockets.alive));
        })
}

/// Both ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// Theirs.
    pub(crate) remote: SocketAddr,
    /// Ours; `None` when the connection was gone at once.
    pub(crate) local: Option<SocketAddr>,
}

impl Connected<IncomingStream<'_, Bounded>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        Self { remote: *stream.remote_addr(), local: stream.io().local_addr().ok() }
    }
}

/// Why a port could not be had, and what to do.
fn explain(address: SocketAddr, error: std::io::Error) -> anyhow::Error {
    let port = address.port();
    let kind = error.kind();
    let hint = if kind == std::io::ErrorKind::AddrInUse {
        format!(
            "{address} is taken, perhaps by another glasshull; see who has it with `ss -ltnp 'sport = :{port}'`, \
             or choose another port"
        )
    } else if kind == std::io::ErrorKind::PermissionDenied {
        format!("{address} is not permitted: ports below 1024 need root or CAP_NET_BIND_SERVICE")
    } else if kind == std::io::ErrorKind::AddrNotAvailable {
        format!("{} is no address of this host", address.ip())
    } else {
        format!("cannot listen on {address}")
    };
    anyhow::Error::new(error).context(hint)
}

fn read_token(file: &Path) -> anyhow::Result<String> {
    let shown = file.display();
    let failed = || format!("cannot read the token file {shown}");
    if !std::fs::metadata(file).with_context(failed)?.is_file() {
        anyhow::bail!("the token file {shown} is no regular file");
    }
    let mut text = String::new();
    let open = std::fs::File::open(file).with_context(failed)?;
    open.take(MOST_TOKEN_FILE_BYTES).read_to_string(&mut text).with_context(failed)?;
    let token = text.lines().next().unwrap_or_default().trim();
    if token.len() < MIN_TOKEN_BYTES {
        anyhow::bail!(
            "the first line of {shown} is no token: at least {MIN_TOKEN_BYTES} characters are needed; make one with \
             `head -c 16 /dev/urandom | base64 > {shown}`"
        );
    }
    Ok(token.to_owned())
}
