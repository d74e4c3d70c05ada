//! Flows by packet capture, and the names asked for in them: fills `flow`, `flow_stat`, `capture`, `dns_seen`, `dns_client`.
//! Captures are open while somebody looks.

use std::net::SocketAddr;

use glasshull_shared::domain::agent::Single;
use glasshull_shared::domain::dns::{DnsClient, DnsClientKey, DnsSeen, DnsSeenKey};
use glasshull_shared::domain::network::{Capture, FlowKey, FlowStat};
use glasshull_shared::domain::source::SourceState;
use glasshull_shared::snapshot::Snapshot;

use super::network::Found;
use super::{Raw, keep_rows};
use crate::agent::source::{Trouble, Troubles, grant};
use crate::collect;
use crate::collect::network::flow::{FlowReader, FlowReading};
use crate::model::flow::{Addresses, begin_flows, join_flows, join_processes, join_true_ends};
use crate::model::rate::begin;
use crate::model::seen::{join_names, join_seen};
use crate::sys::clock;
use crate::sys::root::Root;

/// Readings of flows.
pub(crate) struct FlowPart {
    root: Root,
    served_at: Option<SocketAddr>,
    /// `None` while nobody looks.
    reader: Option<FlowReader>,
    stat: Raw<FlowKey, FlowStat>,
    seen: Raw<DnsSeenKey, DnsSeen>,
    client: Raw<DnsClientKey, DnsClient>,
    /// Wall time of the last reading; `None` before the first.
    last_at: Option<u64>,
}

impl FlowPart {
    /// A part that has opened nothing yet.
    pub(crate) fn new(root: Root) -> Self {
        let (stat, seen, client) = (Raw::default(), Raw::default(), Raw::default());
        Self { root, served_at: None, reader: None, stat, seen, client, last_at: None }
    }

    /// Leaves out the stream of the dashboard that is served there.
    pub(crate) fn served_at(&mut self, address: SocketAddr) {
        self.served_at = Some(address);
    }

    /// Nobody looks at flows: closes the captures and forgets.
    pub(crate) fn release(&mut self) {
        (self.reader, self.last_at, self.stat) = (None, None, Raw::default());
        (self.seen, self.client) = (Raw::default(), Raw::default());
    }

    /// The same while other tables go on being read: flows that nobody counts are not shown as if they stood still.
    pub(crate) fn rest(&mut self, next: &mut Snapshot) {
        if self.reader.is_some() {
            self.release();
            next.flow.clear();
            next.flow_stat.clear();
            next.capture.clear();
            next.dns_seen.clear();
            next.dns_client.clear();
        }
    }

    /// Reads the accounts; `next` must have its namespaces, links, containers and translations already, and its sockets when
    /// they are read at all.
    pub(crate) fn read(
        &mut self,
        found: &Found,
        next: &mut Snapshot,
        with_sockets: bool,
        troubles: &mut Troubles,
    ) {
        let reader = self.reader.get_or_insert_with(|| FlowReader::new(self.root.clone(), self.served_at));
        let now = clock::monotonic();
        let at = clock::now_nanos();
        let reading = match reader.read(&next.netns, &next.link, &found.members) {
            Ok(reading) => reading,
            Err(error) => {
                // Its threads are of no use any longer.
                self.reader = None;
                return troubles.stale(collect::FLOW, format!("capturing packets: {error}"));
            }
        };
        match trouble(&reading) {
            Some(trouble) => troubles.set(collect::FLOW, trouble),
            None => troubles.none(collect::FLOW),
        }
        let FlowReading { mut flow, flow_stat, capture, dns, .. } = reading;
        join_true_ends(&mut flow, &next.flow, &next.translation);
        let addresses = Addresses::new(&next.netns, &next.link, &next.container);
        join_flows(&mut flow, &addresses);
        let (seen, client) = join_seen(&dns, &addresses);
        join_names(&mut flow, &seen, &addresses);
        if with_sockets {
            join_processes(&mut flow, &next.flow, &next.socket);
        }
        next.flow = keep_rows(flow, &next.flow);
        if let Some(last_at) = self.last_at.replace(at) {
            begin_flows(&mut self.stat.rows, &next.flow, last_at);
            begin(&mut self.seen.rows, seen.keys());
            begin(&mut self.client.rows, client.keys());
        }
        self.stat.show(now, flow_stat, &mut next.flow_stat);
        self.seen.show(now, seen, &mut next.dns_seen);
        self.client.show(now, client, &mut next.dns_client);
        next.capture = keep_rows([(Single, capture.into())].into(), &next.capture);
    }
}

fn trouble(reading: &FlowReading) -> Option<Trouble> {
    let Capture { error, links_left_out, dropped, packets_left_out, .. } = &reading.capture;
    let mut reasons: Vec<String> = error.iter().cloned().collect();
    if *links_left_out > 0 {
        reasons.push(format!("{links_left_out} links beyond the bound on captures are not looked at"));
    }
    if *dropped > 0 {
        reasons.push(format!("{dropped} packets came faster than they could be read"));
    }
    if *packets_left_out > 0 {
        reasons.push(format!("{packets_left_out} packets were of flows beyond the bound"));
    }
    if reading.dns_left_out > 0 {
        reasons.push(format!(
            "{} questions for names were not followed: too many at once",
            reading.dns_left_out
        ));
    }
    let capability = reading.refused.then(|| "CAP_NET_RAW".to_owned());
    (!reasons.is_empty()).then(|| Trouble {
        state: SourceState::Limited,
        reason: reasons.join("; "),
        remedy: capability.as_deref().map(grant),
        capability,
        collected_at: None,
    })
}
