//! The host's load and our own cost: fills `host_stat`, `cpu`, `agent`.

use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::agent::{AgentStat, Single};
use glasshull_shared::domain::host::{CpuKey, CpuStat, HostStat};
use glasshull_shared::snapshot::Snapshot;

use super::Raw;
use crate::agent::live::Serving;
use crate::agent::source::Troubles;
use crate::collect::{self, own_cost};
use crate::model::rate;
use crate::sys::clock;
use crate::sys::root::Root;

/// Readings of the host as a whole, and of ourselves.
#[derive(Default)]
pub(crate) struct HostPart {
    load: Raw<Single, HostStat>,
    cpu: Table<CpuKey, CpuStat>,
    agent: Option<(u64, AgentStat)>,
}

impl HostPart {
    /// Reads the load. `short_lived` is the number of processes too short for a tick, when somebody counts them.
    pub(crate) fn read(
        &mut self,
        root: &Root,
        next: &mut Snapshot,
        began: u64,
        short_lived: Option<u64>,
        troubles: &mut Troubles,
    ) {
        match collect::host::read_load(root) {
            Ok(mut reading) => {
                if let Some(row) = reading.stat.get_mut(&Single) {
                    Arc::make_mut(row).short_lived = short_lived;
                }
                next.cpu = rate::rate_cpus(&self.cpu, &reading.cpu);
                self.cpu = reading.cpu;
                next.host_stat = self.load.advance(began, reading.stat, rate::rate_host);
                troubles.none(collect::HOST);
            }
            Err(error) => troubles.stale(collect::HOST, format!("{error:#}")),
        }
    }

    /// Reads what we cost ourselves, this tick included: the last thing a tick does.
    pub(crate) fn read_own_cost(&mut self, next: &mut Snapshot, began: u64, serving: Serving) {
        let mut row = own_cost::read();
        (row.clients, row.sent_bytes) = (serving.clients, serving.sent_bytes);
        if let Some((at, before)) = &self.agent {
            rate::rate_agent(before, &mut row, began.saturating_sub(*at));
        }
        row.tick_nanos = clock::monotonic().saturating_sub(began);
        self.agent = Some((began, row.clone()));
        next.agent = [(Single, Arc::new(row))].into();
    }
}
