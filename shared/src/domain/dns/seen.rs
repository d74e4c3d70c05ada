//! Names as they are asked for on the wire ([`DnsSeen`], in all [`DnsClient`]), and what a capture heard of them before it is
//! known who asked ([`DnsHeard`], which stays in the agent). Source: packets, while flows are captured; who asks and who answers
//! is joined by `model::seen`.
//!
//! A question counts once, on the first link that shows it: on `lo` of the container where its engine's resolver answers, else
//! on the cable of who asks. The same question with the same number on further links is on its way, also behind a translation.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::network::LinkKey;

/// Identifies a name that somebody asks a server for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DnsSeenKey {
    /// Network namespace of who asks; `None` for an address that nothing here has.
    pub netns: Option<u64>,
    /// Address of the server; `127.0.0.11` is the engine's own.
    pub server: String,
    /// The name in lower case without a dot at its end; bytes that are no letters as `\ddd`; `.` is the root.
    pub name: String,
    /// What is asked for: `A`, `AAAA`, `PTR`, `TYPE4711`.
    pub record: String,
}

/// Identifies who asks which server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DnsClientKey {
    /// As in [`DnsSeenKey`].
    pub netns: Option<u64>,
    /// As in [`DnsSeenKey`].
    pub server: String,
}

/// Questions and what came of them, since the capture began or the name was last forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DnsCounts {
    /// Questions.
    pub queries: u64,
    /// Questions sent again before an answer came; not among `queries`.
    pub repeats: u64,
    /// Answers with records.
    pub answers: u64,
    /// The name exists, but has no such record.
    pub nodata: u64,
    /// No such name.
    pub nxdomain: u64,
    /// The server could not find out.
    pub servfail: u64,
    /// The server does not want to.
    pub refused: u64,
    /// Answers with another code.
    pub failed: u64,
    /// No answer within five seconds.
    pub timeouts: u64,
    /// Answers that did not fit and are to be asked for over TCP; also counted as what they are.
    pub truncated: u64,
}

impl DnsCounts {
    /// Questions that were answered or given up.
    pub fn finished(&self) -> u64 {
        self.answers + self.nodata + self.nxdomain + self.failures()
    }

    /// Questions that nobody could answer; that there is no such name is an answer.
    pub fn failures(&self) -> u64 {
        self.servfail + self.refused + self.failed + self.timeouts
    }

    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.queries += other.queries;
        self.repeats += other.repeats;
        self.answers += other.answers;
        self.nodata += other.nodata;
        self.nxdomain += other.nxdomain;
        self.servfail += other.servfail;
        self.refused += other.refused;
        self.failed += other.failed;
        self.timeouts += other.timeouts;
        self.truncated += other.truncated;
    }
}

/// What somebody gets for a name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DnsSeen {
    /// Id of the container that asks, the owner of its namespace; `None` for the host and who is no container.
    pub container: Option<String>,
    /// How often and how it turned out.
    pub counts: DnsCounts,
    /// Questions per second; derived, `None` on the first sample.
    pub queries_per_sec: Option<f32>,
    /// From the last answered question to its answer, seconds; `None` without an answer.
    pub latency_secs: Option<f32>,
    /// The mean of all of them; as above.
    pub latency_mean_secs: Option<f32>,
    /// The longest; as above.
    pub latency_max_secs: Option<f32>,
    /// Addresses of the last answer that had some, at most eight, in their order.
    pub addresses: Vec<String>,
    /// Shortest time to live in that answer, seconds; `None` without one.
    pub ttl_secs: Option<u32>,
    /// The engine asks that on behalf of the container, which asked `127.0.0.11`: no question of its own.
    pub forwarded: bool,
    /// When it was last asked, nanoseconds since the epoch.
    pub asked_at: u64,
    /// When it was last answered; `None` when it never was.
    pub answered_at: Option<u64>,
}

/// All that somebody asks a server.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DnsClient {
    /// As in [`DnsSeen`].
    pub container: Option<String>,
    /// Id of the container that is the server; `None` when none is.
    pub server_container: Option<String>,
    /// What to call the server: `dns.front` (container and network), `host`, `engine`; `None` when nothing here is it.
    pub server_name: Option<String>,
    /// How often and how it turned out.
    pub counts: DnsCounts,
    /// Questions per second; derived, `None` on the first sample.
    pub queries_per_sec: Option<f32>,
    /// Questions per second that end in NXDOMAIN; derived, as above.
    pub nxdomain_per_sec: Option<f32>,
    /// Questions per second that nobody could answer; derived, as above.
    pub failures_per_sec: Option<f32>,
    /// Share of failures among finished questions; `None` when none is finished.
    pub failure_ratio: Option<f32>,
    /// As in [`DnsSeen`].
    pub latency_secs: Option<f32>,
    /// As in [`DnsSeen`].
    pub latency_mean_secs: Option<f32>,
    /// As in [`DnsSeen`].
    pub latency_max_secs: Option<f32>,
    /// Questions that wait for an answer now.
    pub outstanding: u32,
    /// Names known of it, by kind of record.
    pub names: u32,
    /// Questions for names for which there was no room, or that were forgotten for others.
    pub queries_left_out: u64,
    /// All of it the engine asks on behalf of the container.
    pub forwarded: bool,
    /// When it last asked, nanoseconds since the epoch.
    pub asked_at: u64,
}

/// Counts with their times, as a capture has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DnsTally {
    /// How often.
    pub counts: DnsCounts,
    /// Answers that came in time, of any kind.
    pub answered: u64,
    /// Time from question to answer of all of them, nanoseconds.
    pub latency_sum_nanos: u64,
    /// Of the last one.
    pub latency_last_nanos: u64,
    /// The longest.
    pub latency_max_nanos: u64,
    /// Instant of the last question, nanoseconds since the epoch.
    pub asked_at: u64,
    /// Instant of the last answer; 0 before the first.
    pub answered_at: u64,
}

impl DnsTally {
    /// Adds what another link or family of addresses heard of the same.
    pub fn add(&mut self, other: &Self) {
        self.counts.add(&other.counts);
        self.answered += other.answered;
        self.latency_sum_nanos += other.latency_sum_nanos;
        self.latency_max_nanos = self.latency_max_nanos.max(other.latency_max_nanos);
        if other.answered_at > self.answered_at {
            self.latency_last_nanos = other.latency_last_nanos;
        }
        self.asked_at = self.asked_at.max(other.asked_at);
        self.answered_at = self.answered_at.max(other.answered_at);
    }
}

/// What one link shows of one address asking one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsHeard {
    /// The link. Another namespace may have heard the same, on a link of its own.
    pub on: LinkKey,
    /// Who asks.
    pub client: IpAddr,
    /// Who is asked.
    pub server: IpAddr,
    /// How often, of all names.
    pub tally: DnsTally,
    /// Questions that wait for an answer.
    pub outstanding: u32,
    /// As in [`DnsClient`].
    pub queries_left_out: u64,
    /// By name and kind of record.
    pub names: Vec<DnsHeardName>,
}

/// What came of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsHeardName {
    /// The name, as in [`DnsSeenKey`].
    pub name: Arc<str>,
    /// Number of the kind of record.
    pub record: u16,
    /// How often.
    pub tally: DnsTally,
    /// As in [`DnsSeen`].
    pub addresses: Vec<IpAddr>,
    /// As in [`DnsSeen`].
    pub ttl_secs: Option<u32>,
}

/// What `dig` calls a kind of record.
pub fn record_name(number: u16) -> String {
    let known = match number {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        12 => "PTR",
        15 => "MX",
        16 => "TXT",
        28 => "AAAA",
        33 => "SRV",
        35 => "NAPTR",
        43 => "DS",
        48 => "DNSKEY",
        64 => "SVCB",
        65 => "HTTPS",
        252 => "AXFR",
        255 => "ANY",
        other => return format!("TYPE{other}"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_keep_the_latest_and_the_longest() {
        let one = DnsTally {
            counts: DnsCounts { queries: 3, answers: 2, timeouts: 1, ..DnsCounts::default() },
            answered: 2,
            latency_sum_nanos: 30,
            latency_last_nanos: 10,
            latency_max_nanos: 20,
            asked_at: 5,
            answered_at: 6,
        };
        let mut sum = DnsTally { latency_last_nanos: 7, latency_max_nanos: 7, answered_at: 9, ..one };
        sum.add(&one);
        assert_eq!((sum.counts.queries, sum.answered, sum.latency_sum_nanos), (6, 4, 60));
        assert_eq!((sum.latency_last_nanos, sum.latency_max_nanos, sum.answered_at), (7, 20, 9));
        assert_eq!((sum.counts.finished(), sum.counts.failures()), (6, 2));
    }

    #[test]
    fn kinds_of_records_are_called_as_dig_does() {
        assert_eq!([1, 28, 65, 4711].map(record_name), ["A", "AAAA", "HTTPS", "TYPE4711"]);
    }
}
