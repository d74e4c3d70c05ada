//! One question to one server: over UDP, over TCP when the answer says that it was cut off. What is no answer to the question is
//! passed over until the time is up, so that nobody else's packet passes for one, and told then.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use glasshull_shared::domain::dns::{DnsRecord, DnsStatus};

use super::message::{Asked, Reply, Said};
use crate::sys::own_question;

/// Longest message: what TCP's two bytes of length can say.
const MESSAGE_BYTES: usize = 65_535;
/// Packets that are no answer before we stop listening.
const STRANGE_AT_MOST: usize = 64;
/// So often it is looked whether the namespace still has a process: our thread must not keep it alive.
const LOOK: Duration = Duration::from_millis(100);

/// Asks; `None` when `alive` says that the namespace has lost its process meanwhile.
pub(crate) fn ask(
    server: SocketAddr,
    name: &str,
    record: DnsRecord,
    wait: Duration,
    alive: &dyn Fn() -> bool,
) -> Option<Reply> {
    let until = Instant::now() + wait;
    let Some(asked) = id().and_then(|id| Asked::new(id, name, record)) else {
        return Some(Reply::without(DnsStatus::Failed));
    };
    match asked.over_udp(server, until, alive) {
        Ok(Heard::Answer(reply)) => Some(reply),
        Ok(Heard::Cut) => match asked.over_tcp(server, until, alive) {
            Ok(heard) => heard.reply(),
            Err(error) => Some(Reply::without(failure(&error))),
        },
        Ok(Heard::Gone) => None,
        Err(error) => Some(Reply::without(failure(&error))),
    }
}

/// One that nobody can guess.
fn id() -> Option<u16> {
    let mut id = [0; 2];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty()).ok()?;
    Some(u16::from_ne_bytes(id))
}

enum Heard {
    Answer(Reply),
    /// The answer did not fit: ask over TCP.
    Cut,
    Gone,
}

impl From<Said> for Heard {
    fn from(said: Said) -> Self {
        match said {
            Said::Answer(reply) => Self::Answer(reply),
            Said::Cut => Self::Cut,
        }
    }
}

impl Heard {
    fn reply(self) -> Option<Reply> {
        match self {
            Self::Answer(reply) => Some(reply),
            Self::Cut => Some(Reply::without(DnsStatus::Lied)), // over TCP everything fits
            Self::Gone => None,
        }
    }
}

impl Asked {
    fn over_udp(&self, server: SocketAddr, until: Instant, alive: &dyn Fn() -> bool) -> io::Result<Heard> {
        let any = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
        socket.connect(server)?; // others' packets do not reach us
        own_question::mark(socket.local_addr()?.port(), self.id());
        socket.send(&self.message)?;
        let mut buffer = vec![0; MESSAGE_BYTES];
        let mut strange = 0;
        while let Some(left) = left(until).filter(|_| strange < STRANGE_AT_MOST) {
            socket.set_read_timeout(Some(left))?;
            match socket.recv(&mut buffer) {
                Ok(length) => match self.read(buffer.get(..length).unwrap_or_default()) {
                    Some(said) => return Ok(said.into()),
                    None => strange += 1,
                },
                Err(error) if is_time(&error) => {}
                Err(error) => return Err(error),
            }
            if !alive() {
                return Ok(Heard::Gone);
            }
        }
        let status = if strange == 0 { DnsStatus::Timeout } else { DnsStatus::Lied };
        Ok(Heard::Answer(Reply::without(status)))
    }

    fn over_tcp(&self, server: SocketAddr, until: Instant, alive: &dyn Fn() -> bool) -> io::Result<Heard> {
        let wait = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let mut stream = TcpStream::connect_timeout(&server, wait)?;
        own_question::mark(stream.local_addr()?.port(), self.id());
        let length = u16::try_from(self.message.len()).unwrap_or(u16::MAX);
        stream.write_all(&[&length.to_be_bytes()[..], &self.message].concat())?;
        let mut message = Vec::new();
        let mut buffer = vec![0; 16 << 10];
        while let Some(left) = left(until) {
            stream.set_read_timeout(Some(left))?;
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(Heard::Answer(Reply::without(DnsStatus::Lied))), // broke off
                Ok(more) => message.extend_from_slice(buffer.get(..more).unwrap_or_default()),
                Err(error) if is_time(&error) => {}
                Err(error) => return Err(error),
            }
            if let Some((length, rest)) = message.split_first_chunk::<2>()
                && let Some(whole) = rest.get(..usize::from(u16::from_be_bytes(*length)))
            {
                let lied = || Heard::Answer(Reply::without(DnsStatus::Lied));
                return Ok(self.read(whole).map_or_else(lied, Heard::from));
            }
            if !alive() {
                return Ok(Heard::Gone);
            }
        }
        Ok(Heard::Answer(Reply::without(DnsStatus::Timeout)))
    }
}

/// How long to listen before looking up again; `None` when the time is up.
fn left(until: Instant) -> Option<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    (!left.is_zero()).then(|| left.min(LOOK))
}

fn is_time(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

fn failure(error: &io::Error) -> DnsStatus {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkDown, NetworkUnreachable, TimedOut};
    let kind = error.kind();
    if matches!(kind, ConnectionRefused | HostUnreachable | NetworkDown | NetworkUnreachable) {
        DnsStatus::Unreachable
    } else if kind == TimedOut {
        DnsStatus::Timeout
    } else {
        DnsStatus::Failed
    }
}

#[cfg(test)]
#[path = "ask_test.rs"]
mod tests;
