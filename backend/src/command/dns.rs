//! `glasshull dns CONTAINER [NAME…]`: what names lead to where that container asks, as a table or in the form that a program of
//! the host takes.

use std::fmt::Write as _;
use std::io::Read as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use glasshull_shared::delta::Table;
use glasshull_shared::dns_export::{Form, Named, Wish, export, with_addresses};
use glasshull_shared::domain::dns::{
    DnsName, DnsNameKey, DnsRecord, DnsSource, DnsStatus, Resolver, ResolverKey,
};
use glasshull_shared::snapshot::{Topic, merge};
use glasshull_shared::unit::{self, UNKNOWN, printable};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::who::find_container;
use super::{print_line, tell};
use crate::agent::live::Live;
use crate::agent::sample_twice;
use crate::collect::dns::{Job, run as ask};
use crate::config::{Common, Dns, DnsFormat};
use crate::model::dns::{Plan, may_be_asked, questions, told};

/// Between the two samples that tell of containers; only the second counts.
const SAMPLES: Duration = Duration::from_millis(200);
/// Names taken from a file: this asks for each, one after the other.
const NAMES_AT_MOST: usize = 1000;
/// Read of such a file, which might have no end: twice what so many of the longest names need.
const NAMES_BYTES: u64 = 1 << 19;

/// Asks and prints.
///
/// # Errors
/// When the container is not known, does not run, or has no resolver that can be read.
pub(crate) async fn run(common: Common, args: Dns) -> Result<ExitCode> {
    let given = given(&args.names, std::io::stdin())?;
    let wake = Arc::new(Notify::new());
    let mut live = Live::new(common, Arc::clone(&wake))?;
    let demand = [Topic::Container, Topic::Process, Topic::Resolver].into_iter().collect();
    let sample = sample_twice(&mut live, &wake, demand, SAMPLES).await;
    let (key, container) = find_container(&sample.snapshot, &args.container)?;
    let resolver = sample.snapshot.resolver.get(&ResolverKey { container: key.id.clone() });
    let Some(resolver) = resolver else { bail!("{} does not run: nobody asks there", container.name) };
    if let Some(why) = resolver.hidden.as_ref().filter(|_| resolver.nameservers.is_empty()) {
        bail!("how {} finds names cannot be read: {why}", container.name);
    }
    let plan = live.dns().plan(&key.id).cloned().unwrap_or_default();
    // Engines and events are not needed any more.
    drop(live);
    let names = if given.is_empty() { known(&plan, resolver) } else { given };
    if names.is_empty() {
        let why = "it is on no network whose engine answers for names";
        bail!("no names are known to {}: {why}; give names to ask for", container.name);
    }
    let rows = tokio::task::block_in_place(|| answers(&key.id, resolver, &plan, &names, args.timeout))?;
    let named = named(&rows, &names);
    match if args.json { DnsFormat::Json } else { args.format } {
        DnsFormat::Table => print_line(table(&container.name, resolver, &rows).trim_end())?,
        DnsFormat::Json => print_line(&document(&key.id, &container.name, resolver, &rows)?.to_string())?,
        DnsFormat::Hostaliases => print_export(Form::HostAliases, &args, &named)?,
        DnsFormat::Hosts => print_export(Form::Hosts, &args, &named)?,
        DnsFormat::Curl => print_export(Form::Curl, &args, &named)?,
        DnsFormat::ConnectTo => print_export(Form::ConnectTo, &args, &named)?,
        DnsFormat::Env => print_export(Form::Env, &args, &named)?,
    }
    Ok(if complain(&container.name, &rows, &named) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Names of the command line; `-` stands for those on standard input, apart by blanks or lines.
fn given(words: &[String], mut input: impl std::io::Read) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for word in words {
        if word == "-" {
            let mut text = String::new();
            let read = input.by_ref().take(NAMES_BYTES).read_to_string(&mut text);
            if read.context("reading names from standard input")? as u64 == NAMES_BYTES {
                bail!("that is too much on standard input; at most {NAMES_AT_MOST} names at once");
            }
            names.extend(text.split_whitespace().map(str::to_owned));
        } else {
            names.push(word.clone());
        }
    }
    if names.len() > NAMES_AT_MOST {
        bail!("{} names are too many; at most {NAMES_AT_MOST} at once", names.len());
    }
    // The root of all names has no address, and the question would leave the host.
    if names.iter().any(|name| name.trim_matches('.').is_empty()) {
        bail!("one of the names is empty");
    }
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    Ok(names)
}

/// Names the engine answers for, and those of the hosts file.
fn known(plan: &Plan, resolver: &Resolver) -> Vec<String> {
    let in_hosts = resolver.names_in_hosts().into_iter().map(str::to_owned);
    let mut names: Vec<String> = plan.expected.keys().cloned().chain(in_hosts).collect();
    names.sort();
    names.dedup();
    names.truncate(NAMES_AT_MOST);
    names
}

fn answers(
    id: &str,
    resolver: &Resolver,
    plan: &Plan,
    names: &[String],
    patience: Duration,
) -> Result<Table<DnsNameKey, DnsName>> {
    let job = Job::new(id, resolver, questions(names, plan, resolver));
    let job = job.context("the container's network namespace is hidden; it takes CAP_SYS_PTRACE")?;
    let outcome = ask(&Job { patience, ..job });
    if let Some(why) = outcome.refused {
        bail!("the container's network namespace cannot be entered: {why}; it takes CAP_SYS_ADMIN");
    }
    Ok(told(id, names, plan, resolver, outcome.rows))
}

/// Names with their addresses, in the order they were given; those without any are left out.
fn named(rows: &Table<DnsNameKey, DnsName>, names: &[String]) -> Vec<Named> {
    let mut all = with_addresses(rows.iter().map(|(key, row)| (key, &**row)));
    all.sort_by_key(|one| names.iter().position(|name| *name == one.name));
    all
}

fn print_export(form: Form, args: &Dns, named: &[Named]) -> Result<()> {
    let wish = Wish { form, provider: args.provider.clone(), ports: args.port.clone() };
    let out = export(&wish, named);
    for (name, why) in &out.left_out {
        tell(&format!("{name} is left out: {why}"));
    }
    if out.text.is_empty() { Ok(()) } else { print_line(out.text.trim_end()) }
}

fn document(id: &str, name: &str, resolver: &Resolver, rows: &Table<DnsNameKey, DnsName>) -> Result<Value> {
    let rows = rows.iter().map(|(key, row)| merge(&[json!(key), json!(row)]));
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    Ok(json!({"container": id, "name": name, "resolver": resolver, "names": rows}))
}

fn table(container: &str, resolver: &Resolver, rows: &Table<DnsNameKey, DnsName>) -> String {
    let mut out = String::new();
    let list = |all: &[String]| if all.is_empty() { UNKNOWN.to_owned() } else { all.join(" ") };
    let behind = match &resolver.upstreams[..] {
        [] => String::new(),
        upstreams => format!(" (the engine's; behind it {})", upstreams.join(" ")),
    };
    let _ = writeln!(out, "{container} asks {}{behind}", list(&resolver.nameservers));
    let order = resolver.lookup_order.as_deref().unwrap_or(UNKNOWN);
    let (search, options) = (list(&resolver.search), list(&resolver.options));
    let _ = writeln!(out, "search {search}, options {options}, order {order}");
    let width = rows.keys().map(|key| key.name.chars().count()).max().unwrap_or(0).clamp(4, 60);
    let _ = writeln!(
        out,
        "{:<width$} {:<6} {:>6} {:>8} {:<6} ANSWER",
        "NAME", "RECORD", "TTL", "LATENCY", "SOURCE"
    );
    for (key, row) in rows {
        // That a name has no IPv6 address is not worth a line.
        if key.record == DnsRecord::Aaaa && row.answers.is_empty() {
            continue;
        }
        let ttl = row.ttl_secs.map_or_else(|| UNKNOWN.to_owned(), |ttl| format!("{ttl} s"));
        let latency = row.latency_secs.map(unit::latency_secs);
        let latency = latency.unwrap_or_else(|| UNKNOWN.into());
        let answer =
            if row.answers.is_empty() { row.status.name().to_owned() } else { row.answers.join(" ") };
        let (name, source) = (printable(&key.name), row.source.name());
        let record = key.record.name();
        let _ = writeln!(out, "{name:<width$} {record:<6} {ttl:>6} {latency:>8} {source:<6} {answer}");
        for mark in &row.marks {
            let _ = writeln!(out, "{:width$} {}: {}", "", mark.oddity.name(), mark.evidence);
        }
    }
    out
}

/// Tells of each name without an answer; whether there was one.
fn complain(container: &str, rows: &Table<DnsNameKey, DnsName>, named: &[Named]) -> bool {
    let mut failed = false;
    let asked = rows.iter().filter(|(key, _)| matches!(key.record, DnsRecord::A | DnsRecord::Ptr));
    for (key, row) in asked {
        let answered = named.iter().any(|one| one.name == key.name) || !row.answers.is_empty();
        if !answered {
            failed = true;
            tell(&format!("{container} gets no answer for {}: {}", key.name, why(key, row)));
        }
    }
    failed
}

fn why(key: &DnsNameKey, row: &DnsName) -> String {
    let server = row.server.as_deref().unwrap_or("its resolver");
    match row.status {
        DnsStatus::NxDomain => format!("{server} knows no such name (NXDOMAIN)"),
        DnsStatus::NoData | DnsStatus::NoError => format!("{server} knows the name, but no address of it"),
        DnsStatus::ServFail => format!("{server} could not find out (SERVFAIL)"),
        DnsStatus::Refused => format!("{server} refuses to answer"),
        DnsStatus::Timeout => format!("{server} did not answer in time"),
        DnsStatus::Lied => format!("what came from {server} were no answers to the question"),
        DnsStatus::Unreachable => format!("nobody listens at {server}"),
        DnsStatus::NotAsked if !may_be_asked(&key.name) => "it is no name that a host may have".into(),
        DnsStatus::NotAsked if row.source == DnsSource::Hosts => "the hosts file has no address of it".into(),
        DnsStatus::NotAsked => "it was not asked: no resolver, or one that did not answer before".into(),
        DnsStatus::Failed => "the question failed".into(),
        DnsStatus::Pending => "no answer yet".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_both_places_each_once_and_not_without_end() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(given(&words(&["a", "-", "b"]), &b"b c\n\n a\td"[..]).unwrap(), ["a", "b", "c", "d"]);
        assert!(given(&words(&["a"]), &b"b"[..]).unwrap() == ["a"], "only when asked for");
        let many: String = (0..=NAMES_AT_MOST).map(|n| format!("n{n}\n")).collect();
        assert!(given(&words(&["-"]), many.as_bytes()).unwrap_err().to_string().contains("1001 names"));
        let without_end = given(&words(&["-"]), std::io::repeat(b'a')).unwrap_err().to_string();
        assert!(without_end.contains("too much on standard input"), "{without_end}");
        assert!(given(&words(&["-"]), &b"\xff"[..]).is_err());
        for empty in ["", ".", ".."] {
            assert!(
                given(&words(&["a", empty]), &b""[..]).unwrap_err().to_string().contains("empty"),
                "{empty}"
            );
        }
    }
}
