//! Address translation: fills `nat_rule`, `published_port`, `translation`.

use std::collections::HashMap;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::network::{NatRule, NatRuleKey};
use glasshull_shared::domain::source::SourceState;
use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet};

use super::{keep_of, keep_rows};
use crate::agent::source::{Trouble, Troubles, grant};
use crate::collect;
use crate::collect::network::nat::{Ask, Listener, NatReader, NatReading, Unread, Want};
use crate::model::nat::{
    Known, Listening, Places, Wanted, join_ports, join_rules, join_translations, wanted,
};
use crate::sys::netns::Target;
use crate::sys::root::Root;

/// Ticks between two readings: rules change rarely, and each namespace is entered for them.
const SLOW_TICKS: u64 = 2;

/// Readings of address translation.
pub(crate) struct NatPart {
    root: Root,
    reader: NatReader,
    /// What the last reading was asked for.
    last: Want,
}

impl NatPart {
    /// A part that has read nothing yet.
    pub(crate) fn new(root: Root) -> Self {
        Self { reader: NatReader::new(root.clone()), root, last: Want::default() }
    }

    /// Forgets what was read.
    pub(crate) fn release(&mut self) {
        *self = Self::new(self.root.clone());
    }

    /// Reads rules and translations of these namespaces; `next` must have its links joined already.
    pub(crate) fn read(
        &mut self,
        targets: &[Target],
        next: &mut Snapshot,
        (demand, ticks): (TopicSet, u64),
        troubles: &mut Troubles,
    ) {
        let ports = demand.contains(Topic::PublishedPort);
        let want = Want {
            rules: ports || demand.contains(Topic::NatRule),
            // True ends of flows come from them.
            translations: demand.contains(Topic::Translation) || demand.contains(Topic::Flow),
        };
        let more = (want.rules && !self.last.rules) || (want.translations && !self.last.translations);
        if !ticks.is_multiple_of(SLOW_TICKS) && !more {
            return;
        }
        self.last = want;
        let mut reading = match self.reader.read(targets, want) {
            Ok(reading) => reading,
            Err(error) => return troubles.stale(collect::NAT, format!("reading rules: {error}")),
        };
        match trouble(&reading) {
            Some(trouble) => troubles.set(collect::NAT, trouble),
            None => troubles.none(collect::NAT),
        }
        keep_of(&reading.failed, |key| key.netns, &next.nat_rule, &mut reading.rules);
        keep_of(&reading.failed, |key| key.netns, &next.translation, &mut reading.translations);
        let places = Places::new(next);
        join_rules(&mut reading.rules, &places);
        join_translations(&mut reading.translations, &places);
        let published = ports.then(|| {
            let known = Known { read: reading.read, listeners: self.listeners(&reading.rules, &places) };
            join_ports(&reading.rules, &known, &places)
        });
        if want.rules {
            next.nat_rule = keep_rows(reading.rules, &next.nat_rule);
        }
        if want.translations {
            next.translation = keep_rows(reading.translations, &next.translation);
        }
        if let Some(published) = published {
            next.published_port = keep_rows(published, &next.published_port);
        }
    }

    fn listeners(
        &mut self,
        rules: &Table<NatRuleKey, NatRule>,
        places: &Places<'_>,
    ) -> HashMap<u64, Vec<Listening>> {
        let ask = |wanted: Wanted| Ask {
            netns: wanted.netns,
            pid: wanted.pid,
            ports: wanted.ports,
            candidates: wanted.candidates,
        };
        let asks: Vec<Ask> = wanted(rules, places).into_iter().map(ask).collect();
        let found = self.reader.listeners(&asks).into_iter();
        let listening = |row: Listener| Listening {
            protocol: row.protocol,
            address: row.address,
            port: row.port,
            pid: row.pid,
        };
        found.map(|(netns, rows)| (netns, rows.into_iter().map(listening).collect())).collect()
    }
}

fn trouble(reading: &NatReading) -> Option<Trouble> {
    let mut reasons = reading.notices.clone();
    let lacks = match (reading.refused, reading.closed) {
        (0, 0) => None,
        (0, _) => Some("CAP_SYS_ADMIN"),
        (..) => Some("CAP_NET_ADMIN"),
    };
    if lacks.is_some() {
        reasons.push(format!(
            "rules and translations of {} network namespaces are hidden",
            reading.refused + reading.closed
        ));
    }
    if reading.translations_left_out > 0 {
        reasons.push(format!("{} more translations are left out", reading.translations_left_out));
    }
    reasons.extend(unread(&reading.unread));
    (!reasons.is_empty()).then(|| Trouble {
        state: SourceState::Limited,
        reason: reasons.join("; "),
        capability: lacks.map(str::to_owned),
        remedy: lacks.map(grant),
        collected_at: None,
    })
}

/// How many connections were not looked at, in all namespaces together.
fn unread(all: &[Unread]) -> Option<String> {
    let counted = |one: &Unread| match one {
        Unread::Counted(more) => Some(*more),
        Unread::Unknown => None,
    };
    let more = all.iter().filter_map(counted).fold(0_u64, u64::saturating_add);
    let uncounted = all.iter().filter(|one| counted(one).is_none()).count();
    match (more, uncounted) {
        (0, 0) => None,
        (0, _) => Some(format!("connections of {uncounted} network namespaces are not all looked at")),
        (more, 0) => Some(format!("{more} more connections are tracked than are looked at")),
        (more, _) => Some(format!("more than {more} more connections are tracked than are looked at")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_are_not_looked_at_are_told() {
        let told = |unread: &[Unread]| {
            let reading = NatReading { unread: unread.to_vec(), ..NatReading::default() };
            trouble(&reading).map(|trouble| trouble.reason)
        };
        assert_eq!(told(&[]), None);
        let counted = [Unread::Counted(5), Unread::Counted(7)];
        assert_eq!(told(&counted).unwrap(), "12 more connections are tracked than are looked at");
        assert!(told(&[Unread::Unknown]).unwrap().contains("not all looked at"));
        assert!(told(&[counted[0], Unread::Unknown]).unwrap().starts_with("more than 5 more"));
    }
}
