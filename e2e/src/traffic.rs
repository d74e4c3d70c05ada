//! Known traffic between two network namespaces of their own: [`Wire`] lays a veth pair and takes it away again, the program
//! `glasshull-traffic` ([`run`]) sends and receives in them.

use std::io::{IoSlice, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Subcommand;
use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};
use rustix::process::{Pid, Signal};

/// Address of the far end, IPv4.
pub const FAR: &str = "10.79.0.2";
/// Address of the far end, IPv6.
pub const FAR6: &str = "fd79::2";
/// An address behind the wire that nobody has: what is sent there passes the wire and ends.
pub const NOBODY: &str = "10.79.0.9";

/// Two named namespaces with a veth pair between them: `v0` in the near one, `v1` in the far one. Gone when dropped.
#[derive(Debug)]
pub struct Wire {
    /// Name of the one that sends.
    pub near: String,
    /// Name of the other.
    pub far: String,
}

impl Wire {
    /// Lays it.
    ///
    /// # Errors
    /// When `ip` fails (not root).
    pub fn lay(tag: &str) -> Result<Self> {
        let id = std::process::id();
        let wire = Self { near: format!("gh{id}{tag}near"), far: format!("gh{id}{tag}far") };
        for name in [&wire.near, &wire.far] {
            ip(&["netns", "add", name])?;
            // The fewer words the kernel says by itself, the better others are counted.
            let quiet = "for f in default all; do echo 0 > /proc/sys/net/ipv6/conf/$f/router_solicitations; \
                 echo 0 > /proc/sys/net/ipv6/conf/$f/accept_dad; done";
            let _ = Command::new("ip").args(["netns", "exec", name, "sh", "-c", quiet]).output();
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        ip(&[
            "-n", &wire.near, "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", &wire.far,
        ])?;
        for (name, link, v4, v6) in [
            (&wire.near, "v0", "10.79.0.1/24", "fd79::1/64"),
            (&wire.far, "v1", "10.79.0.2/24", "fd79::2/64"),
        ] {
            ip(&["-n", name, "address", "add", v4, "dev", link])?;
            ip(&["-n", name, "address", "add", v6, "dev", link, "nodad"])?;
            // Datagrams handed over as one are cut apart before they pass, as a capture must see them.
            ip(&["-n", name, "link", "set", link, "gso_max_segs", "1"])?;
            ip(&["-n", name, "link", "set", link, "up"])?;
        }
        ip(&["-n", &wire.near, "neighbour", "add", NOBODY, "lladdr", "02:00:00:00:00:99", "dev", "v0"])?;
        Ok(wire)
    }

    /// A program inside one of them.
    pub fn inside(name: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", name]).arg(program).stdin(Stdio::null());
        command
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for name in [&self.near, &self.far] {
            let _ = Command::new("ip").args(["netns", "delete", name]).output();
        }
    }
}

fn ip(words: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(words).output().context("run ip")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {}: {}", words.join(" "), said.trim());
    Ok(())
}

/// Packet sockets that take packets, of what `/proc/net/packet` says. One is listed from the moment it is made, well before its ring is
/// laid out and it is bound to a protocol: what passes until then is lost to it.
#[must_use]
pub fn captures(proc_net_packet: &str) -> usize {
    let takes = |line: &&str| {
        let mut fields = line.split_ascii_whitespace().skip(3);
        let (protocol, _link, running) = (fields.next(), fields.next(), fields.next());
        protocol.is_some_and(|number| number != "0000") && running == Some("1")
    };
    proc_net_packet.lines().skip(1).filter(takes).count()
}

/// A child that is ended with the value.
#[derive(Debug)]
pub struct Ended(pub Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A program with all that it starts, in a process group of its own; they end when it is dropped.
#[derive(Debug)]
pub struct EndedGroup(Child);

impl EndedGroup {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command) -> std::io::Result<Self> {
        command.process_group(0).spawn().map(Self)
    }
}

impl Drop for EndedGroup {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

/// What `glasshull-traffic` does.
#[derive(Debug, Clone, Subcommand)]
pub enum Work {
    /// Take what comes to a port, TCP and UDP, until it is ended; prints "ready" when it does
    Sink {
        /// The port
        port: u16,
    },
    /// Send bytes over one TCP connection
    Tcp {
        /// To whom
        to: SocketAddr,
        /// How many
        bytes: u64,
    },
    /// Send datagrams from one socket
    Udp {
        /// To whom
        to: SocketAddr,
        /// How many
        count: u64,
        /// Bytes in each
        size: usize,
    },
    /// Send datagrams for some seconds, print how many and how long it took
    Flood {
        /// To whom
        to: IpAddr,
        /// For how long, seconds
        seconds: f64,
        /// Bytes in each
        size: usize,
        /// Ports they go to, in turn: as many flows
        ports: u16,
        /// Datagrams per second; 0 for as many as can be
        rate: u64,
        /// Datagrams handed to the kernel in one call, which cuts them apart: each port then gets as many at once.
        /// Needs a link of [`Wire`]
        #[arg(default_value_t = 1)]
        at_once: u16,
    },
    /// No traffic: mount a file system there that never says how full it is; prints "ready" when it is
    Mute {
        /// An empty folder
        folder: PathBuf,
    },
    /// Answer questions for names at port 53, UDP and TCP, as each name says; prints "ready" when it does, then each question
    Resolver {
        /// Where
        listen: IpAddr,
    },
}

/// First of the ports of a flood.
const FIRST_PORT: u16 = 2000;
/// Datagrams sent between two looks at the clock.
const BURST: u64 = 64;

/// Does it.
///
/// # Errors
/// What sockets say.
pub fn run(work: &Work) -> Result<()> {
    match *work {
        Work::Mute { ref folder } => crate::mute::run(folder),
        Work::Resolver { listen } => crate::resolver::run(listen),
        Work::Sink { port } => sink(port),
        Work::Tcp { to, bytes } => tcp(to, bytes),
        Work::Udp { to, count, size } => udp(to, count, size),
        Work::Flood { to, seconds, size, ports, rate, at_once } => {
            let (sent, took) = flood(to, seconds, size, ports.max(1), rate, at_once.max(1))?;
            Ok(writeln!(std::io::stdout(), "{sent} {took}")?)
        }
    }
}

fn sink(port: u16) -> Result<()> {
    let udp = UdpSocket::bind(("::", port))?;
    let listener = TcpListener::bind(("::", port))?;
    writeln!(std::io::stdout(), "ready")?;
    std::thread::spawn(move || {
        let mut room = vec![0; 64 << 10];
        while udp.recv(&mut room).is_ok() {}
    });
    for stream in listener.incoming() {
        let mut stream = stream?;
        std::thread::spawn(move || {
            let mut room = vec![0; 64 << 10];
            while stream.read(&mut room).is_ok_and(|n| n > 0) {}
        });
    }
    Ok(())
}

fn tcp(to: SocketAddr, bytes: u64) -> Result<()> {
    let mut stream = TcpStream::connect(to)?;
    let data = vec![b'x'; 64 << 10];
    let mut left = bytes;
    while left > 0 {
        let part = left.min(data.len() as u64) as usize;
        stream.write_all(data.get(..part).unwrap_or_default())?;
        left -= part as u64;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    // The other end closes when it has all.
    let mut rest = [0; 16];
    while stream.read(&mut rest).is_ok_and(|n| n > 0) {}
    Ok(())
}

fn udp(to: SocketAddr, count: u64, size: usize) -> Result<()> {
    let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
    socket.connect(to)?;
    let data = vec![b'x'; size];
    for n in 0..count {
        socket.send(&data)?;
        if n % BURST == BURST - 1 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

fn flood(to: IpAddr, seconds: f64, size: usize, ports: u16, rate: u64, at_once: u16) -> Result<(u64, f64)> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    let one = (ports == 1).then(|| socket.connect((to, FIRST_PORT))).transpose()?;
    let data = vec![b'x'; size * usize::from(at_once)];
    let (began, mut sent) = (Instant::now(), 0_u64);
    loop {
        let elapsed = began.elapsed().as_secs_f64();
        if elapsed >= seconds {
            return Ok((sent, elapsed));
        }
        if rate > 0 && sent as f64 > elapsed * rate as f64 {
            std::hint::spin_loop();
            continue;
        }
        for _ in 0..(BURST / u64::from(at_once)).max(1) {
            let port = FIRST_PORT + (sent / u64::from(at_once) % u64::from(ports)) as u16;
            let result = match one {
                _ if at_once > 1 => send_cut(&socket, (to, port).into(), &data, size),
                Some(()) => socket.send(&data),
                None => socket.send_to(&data, (to, port)),
            };
            match result {
                Ok(_) => sent += u64::from(at_once),
                // No room now, or the far end has refused one before.
                Err(error) if error.raw_os_error().is_some() => {}
                Err(error) => bail!(error),
            }
        }
    }
}

/// Sends `data` as datagrams of `size` bytes each. Source: udp(7) `UDP_SEGMENT`.
fn send_cut(socket: &UdpSocket, to: SocketAddr, data: &[u8], size: usize) -> std::io::Result<usize> {
    let size = u16::try_from(size).map_err(std::io::Error::other)?;
    let cut = [ControlMessage::UdpGsoSegments(&size)];
    let to = SockaddrStorage::from(to);
    Ok(sendmsg(socket.as_raw_fd(), &[IoSlice::new(data)], &cut, MsgFlags::empty(), Some(&to))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_counts_once_it_is_bound() {
        let head = "sk               RefCnt Type Proto  Iface R Rmem   User   Inode\n";
        let line = |proto, running| {
            format!("0000000000000000 3      2    {proto}   0     {running} 0      0      4711\n")
        };
        assert_eq!(captures(&format!("{head}{}{}", line("0003", 1), line("0000", 0))), 1);
        assert_eq!(captures(&format!("{head}{}", line("0003", 0))), 0);
        assert_eq!(captures(head) + captures(""), 0);
    }
}
