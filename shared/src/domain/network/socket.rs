//! Sockets of every network namespace: what each is ([`Socket`]), how it fares ([`SocketStat`]), and TCP connections that
//! ended ([`ClosedSocket`]). Source: `sock_diag` in each namespace, `/proc/PID/net` where that is not permitted; owners from
//! `/proc/PID/fd`, containers joined by `model::socket`.

use serde::{Deserialize, Serialize};

/// A socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SocketKey {
    /// The namespace it was made in, as in [`super::NetnsKey`]; where that is hidden, the inode of `/proc/PID/net/dev`, which is
    /// of one namespace too and never the same number.
    pub netns: u64,
    /// The kernel's cookie, given once. Read from `/proc`, which does not tell it: 2⁵² and the inode, or a hash of both
    /// ends when there is none.
    pub cookie: u64,
}

/// What a socket speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SocketProtocol {
    /// TCP over IPv4 or IPv6.
    #[default]
    Tcp,
    /// UDP over IPv4 or IPv6.
    Udp,
    /// Any protocol over IPv4 or IPv6; its number stands in the place of the port.
    Raw,
    /// Within the host (`AF_UNIX`).
    Unix,
    /// Frames as the wire has them (`AF_PACKET`): captures, DHCP clients.
    Packet,
}

impl SocketProtocol {
    /// As scripts see it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Raw => "raw",
            Self::Unix => "unix",
            Self::Packet => "packet",
        }
    }
}

/// How a socket carries what is put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SocketKind {
    /// `SOCK_STREAM`: bytes in order.
    #[default]
    Stream,
    /// `SOCK_DGRAM`: messages.
    Dgram,
    /// `SOCK_SEQPACKET`: messages in order.
    Seqpacket,
    /// `SOCK_RAW`: packets with their heads.
    Raw,
}

/// State of a socket, named as `ss` prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum SocketState {
    /// Waits for connections.
    #[serde(rename = "LISTEN")]
    Listen,
    /// Connected.
    #[serde(rename = "ESTAB")]
    Established,
    /// Asked for a connection, no answer yet.
    #[serde(rename = "SYN-SENT")]
    SynSent,
    /// Was asked, has answered, waits for the last word.
    #[serde(rename = "SYN-RECV")]
    SynRecv,
    /// Closed here; the other end has not confirmed that.
    #[serde(rename = "FIN-WAIT-1")]
    FinWait1,
    /// Closed here, confirmed; the other end may still send.
    #[serde(rename = "FIN-WAIT-2")]
    FinWait2,
    /// The other end has closed, this program has not.
    #[serde(rename = "CLOSE-WAIT")]
    CloseWait,
    /// Closed by both, waits for the confirmation.
    #[serde(rename = "LAST-ACK")]
    LastAck,
    /// Both closed at once.
    #[serde(rename = "CLOSING")]
    Closing,
    /// Over; kept a minute for packets that come late. Belongs to no process.
    #[serde(rename = "TIME-WAIT")]
    TimeWait,
    /// Not connected: usual for UDP.
    #[default]
    #[serde(rename = "UNCONN")]
    Unconnected,
}

impl SocketState {
    /// As `ss` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Listen => "LISTEN",
            Self::Established => "ESTAB",
            Self::SynSent => "SYN-SENT",
            Self::SynRecv => "SYN-RECV",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::LastAck => "LAST-ACK",
            Self::Closing => "CLOSING",
            Self::TimeWait => "TIME-WAIT",
            Self::Unconnected => "UNCONN",
        }
    }

    /// The kernel's number (`TCP_ESTABLISHED` is 1); numbers this version does not know are `None`.
    pub fn from_kernel(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Established,
            2 => Self::SynSent,
            3 | 12 => Self::SynRecv,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Unconnected,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            _ => return None,
        })
    }

    /// Whether the other end has closed: its FIN came.
    pub fn other_end_closed(self) -> bool {
        match self {
            Self::CloseWait | Self::LastAck | Self::Closing | Self::TimeWait => true,
            Self::Listen
            | Self::Established
            | Self::SynSent
            | Self::SynRecv
            | Self::FinWait1
            | Self::FinWait2
            | Self::Unconnected => false,
        }
    }
}

/// What a socket is, and whose.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Socket {
    /// What it speaks.
    pub protocol: SocketProtocol,
    /// How it carries it.
    pub kind: SocketKind,
    /// This end: `172.18.0.2:80`, `[::]:80`; of unix sockets the path, `@name` for abstract ones, empty without a name; of packet
    /// sockets `*` or the ethernet protocol (`0x0806`).
    pub local: String,
    /// The other end, as above; `None` when it has none, and for unix sockets whose other end has no name.
    pub remote: Option<String>,
    /// State, as `ss` prints it.
    pub state: SocketState,
    /// Takes IPv6 alone (`IPV6_V6ONLY`); `None` when it is no IPv6 socket or is not told.
    pub v6_only: Option<bool>,
    /// User that made it, on the host; `None` when not told (unix sockets before Linux 5.3).
    pub uid: Option<u32>,
    /// Inode in `sockfs`, as in `/proc/PID/fd`; `None` for sockets that no process has any more.
    pub inode: Option<u64>,
    /// Inode of the other end of a unix socket, whatever its namespace.
    pub peer_inode: Option<u64>,
    /// The process that has it open, on the host: the oldest of several. Not always one of the container: the listeners on
    /// 127.0.0.11 in a container are the engine's. `None` when no process has it (TIME-WAIT), it is hidden, or not found yet.
    pub pid: Option<u32>,
    /// Start of that process, as in `ProcessKey`.
    pub start_time: Option<u64>,
    /// Its name.
    pub comm: Option<String>,
    /// Further processes that have it open.
    pub more_holders: u32,
    /// Id of the container of its process; without a process that of its namespace's only container; `None` on the host, when
    /// the process is none of a container, and when several containers share the namespace. Derived by `model::socket`.
    pub container: Option<String>,
    /// Link it is bound to (`SO_BINDTODEVICE`), or that its address is of (link-local IPv6).
    pub ifindex: Option<u32>,
}

/// How a socket fares. What a protocol or its state does not have is `None`; so is all but the queues without `sock_diag`.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct SocketStat {
    /// Bytes that came and the program has not read; `None` for listeners.
    pub receive_queue_bytes: Option<u64>,
    /// Bytes that were sent and the other end has not confirmed (unix: not read); `None` for listeners.
    pub send_queue_bytes: Option<u64>,
    /// Connections that wait to be accepted; listeners only.
    pub backlog: Option<u32>,
    /// How many may wait; listeners only.
    pub backlog_limit: Option<u32>,
    /// Datagrams thrown away because the queue was full (`SK_MEMINFO_DROPS`), since it was made.
    pub dropped: Option<u32>,
    /// Time to the other end and back, smoothed. Source: `tcpi_rtt`.
    pub rtt_nanos: Option<u64>,
    /// Its variation. Source: `tcpi_rttvar`.
    pub rtt_var_nanos: Option<u64>,
    /// Segments sent again since the beginning. Source: `tcpi_total_retrans`.
    pub retransmits: Option<u32>,
    /// Segments held for lost now. Source: `tcpi_lost`.
    pub lost: Option<u32>,
    /// Congestion window, segments. Source: `tcpi_snd_cwnd`.
    pub cwnd: Option<u32>,
    /// Largest segment it sends, bytes. Source: `tcpi_snd_mss`.
    pub mss_bytes: Option<u32>,
    /// Bytes of the stream sent, each counted once. Source: `tcpi_bytes_sent` − `tcpi_bytes_retrans`; before Linux 4.19
    /// `tcpi_bytes_acked`.
    pub sent_bytes: Option<u64>,
    /// Bytes of the stream received. Source: `tcpi_bytes_received`, less one when the other end has closed: the kernel counts the
    /// FIN.
    pub received_bytes: Option<u64>,
    /// Derived; `None` on the first sample and after a counter went back.
    pub sent_bytes_per_sec: Option<f32>,
    /// Derived; as above.
    pub received_bytes_per_sec: Option<f32>,
    /// How fast the other end confirmed at the last measurement. Source: `tcpi_delivery_rate`.
    pub delivery_bytes_per_sec: Option<u64>,
}

/// Key of [`ClosedSocket`]: the order in which the ends were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClosedSocketKey {
    /// Counts from 1 since the agent began to listen.
    pub sequence: u64,
}

/// A TCP connection that ended, however short it was; the newest thousand are kept. Source: `SKNLGRP_INET_TCP_DESTROY` and
/// `SKNLGRP_INET6_TCP_DESTROY` in each namespace that has a process.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ClosedSocket {
    /// Its namespace.
    pub netns: u64,
    /// As in [`SocketKey`].
    pub cookie: u64,
    /// This end.
    pub local: String,
    /// The other end.
    pub remote: String,
    /// Process that had it; for a connection too short to be looked at, the one that listens at this end; `None` when neither is
    /// known.
    pub pid: Option<u32>,
    /// Start of that process, as in `ProcessKey`.
    pub start_time: Option<u64>,
    /// Its name.
    pub comm: Option<String>,
    /// As [`Socket::container`].
    pub container: Option<String>,
    /// As [`SocketStat::sent_bytes`].
    pub sent_bytes: Option<u64>,
    /// Bytes of the stream received. Source: `tcpi_bytes_received`; the kernel counts the other end's FIN as one byte when it
    /// came, which is taken off where the other end is known to have sent one less, or this one was seen to be closed.
    pub received_bytes: Option<u64>,
    /// Time to the other end and back, smoothed; `None` when it was not measured.
    pub rtt_nanos: Option<u64>,
    /// Segments sent again.
    pub retransmits: Option<u32>,
    /// When the kernel told that it is gone, nanoseconds since the epoch.
    pub closed_at: u64,
}

/// Port of an end of TCP or UDP as [`Socket::local`] tells it; `None` for other sockets and for any port (`*`).
pub fn port_of(end: &str) -> Option<u16> {
    end.rsplit_once(':')?.1.parse().ok()
}

/// Address of an end of TCP or UDP as [`Socket::local`] tells it, without port and brackets.
pub fn address_of(end: &str) -> Option<&str> {
    let address = end.rsplit_once(':')?.0;
    Some(address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_an_address_and_a_port() {
        assert_eq!((address_of("10.0.0.2:80"), port_of("10.0.0.2:80")), (Some("10.0.0.2"), Some(80)));
        assert_eq!((address_of("[fd77::2]:443"), port_of("[fd77::2]:443")), (Some("fd77::2"), Some(443)));
        assert_eq!((address_of("0.0.0.0:*"), port_of("0.0.0.0:*")), (Some("0.0.0.0"), None));
        assert_eq!((address_of("/run/docker.sock"), port_of("@bus")), (None, None));
    }

    #[test]
    fn every_state_of_the_kernel_has_a_name_of_ss() {
        for number in 1..=12 {
            assert!(SocketState::from_kernel(number).is_some_and(|state| !state.name().is_empty()));
        }
        assert_eq!(SocketState::from_kernel(0), None);
        assert_eq!(SocketState::from_kernel(13), None);
        let json = |state: SocketState| serde_json::to_value(state).ok();
        for number in 1..=11 {
            let state = SocketState::from_kernel(number).unwrap_or_default();
            assert_eq!(json(state), Some(state.name().into()));
        }
    }
}
