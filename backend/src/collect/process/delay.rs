//! What processes wait for: the kernel's delay accounting, asked over netlink of those that ran. Fills `process_delay`.

use std::io;
use std::sync::Arc;

use glasshull_shared::delta::Table;
use glasshull_shared::domain::process::{ProcessDelay, ProcessKey};

use super::Awake;
use crate::sys::taskstats::{Delays, TaskstatsSocket};

/// Asks again and again, over one socket.
pub(crate) struct DelayReader {
    socket: TaskstatsSocket,
}

impl DelayReader {
    /// # Errors
    /// `ENOENT` from a kernel without taskstats; as `socket(2)`.
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self { socket: TaskstatsSocket::open()? })
    }

    /// Asks about these processes; rates are still `None`. Who is not among `awake` has not run since `before` was read: a wait
    /// is added when it ends, so its row stands. `awake`: `None` asks about all.
    ///
    /// # Errors
    /// `EPERM` without `CAP_NET_ADMIN`; when the socket fails.
    pub(crate) fn read(
        &mut self,
        processes: impl Iterator<Item = ProcessKey>,
        before: &Table<ProcessKey, ProcessDelay>,
        awake: Option<&Awake>,
    ) -> io::Result<Table<ProcessKey, ProcessDelay>> {
        let mut rows = Table::new();
        for key in processes {
            let slept = awake.is_some_and(|awake| !awake.contains_key(&key.pid));
            match before.get(&key).filter(|_| slept) {
                Some(row) => {
                    rows.insert(key, Arc::clone(row));
                }
                None => {
                    if let Some(delays) = self.socket.of_process(key.pid)? {
                        rows.insert(key, Arc::new(row(delays)));
                    }
                }
            }
        }
        Ok(rows)
    }
}

fn row(delays: Delays) -> ProcessDelay {
    ProcessDelay {
        cpu_wait_nanos: delays.cpu,
        block_wait_nanos: delays.block,
        swap_wait_nanos: delays.swap,
        reclaim_wait_nanos: delays.reclaim,
        thrashing_wait_nanos: delays.thrashing,
        ..ProcessDelay::default()
    }
}
