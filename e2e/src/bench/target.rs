//! What is to be reached, and whether it was.

use serde::Serialize;

use super::report::{Measured, Report};
use super::{HUNDRED, MAP, NOBODY, NOBODY_AGAIN, ONE, Phase};

/// One figure against its limit.
#[derive(Debug, Clone, Serialize)]
pub struct Target {
    /// What is compared.
    pub name: &'static str,
    /// The most it may be.
    pub limit: f64,
    /// Unit of both; empty for a ratio.
    pub unit: &'static str,
    /// What it was.
    pub value: Measured<f64>,
}

impl Target {
    /// Whether it was reached; `None` when it could not be measured.
    pub fn is_reached(&self) -> Option<bool> {
        self.value.got().map(|value| *value <= self.limit)
    }
}

/// All targets with what was measured.
pub(super) fn targets(report: &Report) -> Vec<Target> {
    let idle = |name: &str| report.phases.iter().find(|p| p.name == name && !p.busy);
    let against_top = |names: &[&str]| {
        let ratios = names.iter().map(|name| idle(name).map_or_else(missing, Phase::against_top));
        ratios.reduce(worse).unwrap_or_else(missing)
    };
    let crowd = match (idle(HUNDRED), idle(ONE)) {
        (Some(many), Some(one)) if one.agent.cpu_nanos > 0 => {
            Measured::Got(many.agent.cpu_ratio / one.agent.cpu_ratio)
        }
        (_, _) => missing(),
    };
    let peak = report.phases.iter().map(|p| p.memory.peak_bytes).max();
    let wire = idle(ONE).and_then(|p| Some(p.traffic.as_ref()?.bytes_per_sec_each));
    vec![
        Target {
            name: "one client watches all processes: CPU ÷ that of `top`",
            limit: 0.5,
            unit: "",
            value: against_top(&[ONE]),
        },
        Target {
            name: "nobody watches: CPU ÷ that of `top`",
            limit: 0.05,
            unit: "",
            value: against_top(&[NOBODY, NOBODY_AGAIN]),
        },
        Target {
            name: "resident memory, greatest peak of all phases",
            limit: 50.0,
            unit: "MB",
            value: scaled(peak.map(|b| b as f64), 1e6),
        },
        Target {
            name: "wire, one client on all processes, idle lab",
            limit: 5.0,
            unit: "kB/s",
            value: scaled(wire, 1e3),
        },
        Target { name: "100 clients: CPU ÷ that with one", limit: 2.0, unit: "", value: crowd },
        Target {
            name: "the map open, no traffic: share of a core (wanted with 200 containers)",
            limit: 3.0,
            unit: "%",
            value: idle(MAP).map_or_else(missing, |p| Measured::Got(p.agent.cpu_ratio * 100.0)),
        },
        Target {
            name: "all namespaces found the first time: CPU ÷ that of one `lsns`",
            limit: 3.0,
            unit: "",
            value: report.namespaces.map(|n| n.first_millis / n.lsns_millis),
        },
        Target {
            name: "the same at a tick where nothing changed",
            limit: 0.1,
            unit: "",
            value: report.namespaces.map(|n| n.tick_millis / n.lsns_millis),
        },
        Target {
            name: "the app's first download (wasm + js + css), brotli",
            limit: 350.0,
            unit: "kB",
            value: report.bundle.map(|b| b.first_bytes as f64 / 1e3),
        },
    ]
}

impl Phase {
    /// The agent's CPU time as a part of what `top` used in the same seconds.
    pub fn against_top(&self) -> Measured<f64> {
        match &self.top {
            Measured::Got(top) if top.cpu_nanos > 0 => Measured::Got(self.agent.cpu_ratio / top.cpu_ratio),
            Measured::Got(_) => Measured::Not("`top` used no CPU time".into()),
            Measured::Not(why) => Measured::Not(format!("top: {why}")),
        }
    }
}

/// Of two phases the worse counts, and one that was not measured is the worst.
fn worse(a: Measured<f64>, b: Measured<f64>) -> Measured<f64> {
    match (a.got(), b.got()) {
        (None, _) => a,
        (Some(one), Some(other)) if one >= other => a,
        (Some(_), _) => b,
    }
}

fn scaled(value: Option<f64>, unit: f64) -> Measured<f64> {
    value.map_or_else(missing, |value| Measured::Got(value / unit))
}

fn missing() -> Measured<f64> {
    Measured::Not("its phase did not run".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worse_phase_counts() {
        let not = || Measured::Not("why".into());
        assert_eq!(worse(Measured::Got(1.0), Measured::Got(2.0)).got(), Some(&2.0));
        assert_eq!(worse(Measured::Got(2.0), Measured::Got(1.0)).got(), Some(&2.0));
        assert_eq!(worse(Measured::Got(1.0), not()).got(), None);
        assert_eq!(worse(not(), Measured::Got(1.0)).got(), None);
    }

    #[test]
    fn what_was_not_measured_is_neither_reached_nor_missed() {
        let target = |value| Target { name: "t", limit: 0.5, unit: "", value };
        assert_eq!(target(Measured::Got(0.5)).is_reached(), Some(true));
        assert_eq!(target(Measured::Got(0.51)).is_reached(), Some(false));
        assert_eq!(target(missing()).is_reached(), None);
    }
}
