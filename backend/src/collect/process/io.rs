//! What a process moved to and from storage, from `/proc/PID/io`: read when it may have moved anything.

use glasshull_shared::domain::process::ProcessStat;
use rustix::io::Errno;

use super::{ACTIVE_TICKS, ProcessReader, ProcessReading, STAT_BYTES, Tracked, stat};
use crate::sys::procfile;

/// Quiet processes have `io` read every so many ticks.
const QUIET_IO_TICKS: u64 = 4;

impl ProcessReader {
    pub(super) fn read_io(
        &mut self,
        tracked: &mut Tracked,
        row: &mut ProcessStat,
        new: bool,
        now: u64,
        reading: &mut ProcessReading,
    ) {
        let pid = tracked.key.pid;
        let active = self.tick <= tracked.active_until;
        if tracked.io_hidden && !self.turn(pid) {
            reading.hidden_io += 1;
            return;
        }
        // Who is watched for sleep comes here only after it ran.
        let watched = tracked.sleeper.is_watching();
        if !new && !active && !watched && !(self.tick + u64::from(pid)).is_multiple_of(QUIET_IO_TICKS) {
            if tracked.io_fd.take().is_some() {
                self.kept -= 1;
            }
            return;
        }
        let mut buffer = std::mem::take(&mut self.small);
        let result = self.io_bytes(tracked, active, &mut buffer);
        let counters = stat::parse_io(&buffer);
        self.small = buffer;
        tracked.io_hidden = matches!(result, Err(Errno::ACCESS | Errno::PERM));
        if tracked.io_hidden {
            reading.hidden_io += 1;
            (row.read_bytes, row.write_bytes) = (None, None);
        }
        let (Ok(()), Some((read, write))) = (result, counters) else { return };
        if (Some(read), Some(write)) != (row.read_bytes, row.write_bytes) {
            tracked.active_until = self.tick + ACTIVE_TICKS;
        }
        (row.read_bytes, row.write_bytes) = (Some(read), Some(write));
        // Asleep it read and wrote nothing: all growth is of the last interval then.
        if !new && !watched && tracked.io_tick + 1 < self.tick {
            reading.io_gap.insert(tracked.key, now.saturating_sub(tracked.io_at));
        }
        (tracked.io_tick, tracked.io_at) = (self.tick, now);
    }

    fn io_bytes(&mut self, tracked: &mut Tracked, active: bool, buffer: &mut Vec<u8>) -> Result<(), Errno> {
        if let Some(fd) = &tracked.io_fd {
            return procfile::reread(fd, buffer, STAT_BYTES);
        }
        let fd = procfile::open_kept(&self.root.proc_path(format!("{}/io", tracked.key.pid)))?;
        procfile::reread(&fd, buffer, STAT_BYTES)?;
        if active && self.kept < self.keep_at_most {
            self.kept += 1;
            tracked.io_fd = Some(fd);
        }
        Ok(())
    }
}
