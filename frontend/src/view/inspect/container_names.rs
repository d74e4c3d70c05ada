//! The names of the container under the inspector: how it finds them, what they lead to, asking for others, and all of them in
//! the form that a program of the host takes.

use glasshull_shared::dns_export::{Form, PORTS, PROVIDER, Wish, export, of_container, with_addresses};
use glasshull_shared::domain::dns::{DnsName, DnsNameKey, DnsRecord, DnsSeen, DnsSeenKey, Resolver};
use glasshull_shared::snapshot::{Snapshot, Topic};
use glasshull_shared::unit;
use glasshull_shared::wire::{Answer, NAMES_AT_ONCE, Question};
use leptos::prelude::*;

use super::container::key;
use super::{in_the_shell, part};
use crate::store::dns::{Said, asked_most, gravity, resolver, said, servers, shell_lines, wrong};
use crate::store::lookup::{container, container_name};
use crate::store::{Selection, Store, use_store};
use crate::widget::copy::CopyButton;
use crate::widget::facts::{Fact, Facts, live_fact};
use crate::widget::segments::Segments;

const TOPICS: [Topic; 3] = [Topic::Resolver, Topic::DnsName, Topic::Container];
/// Names listed at most: the view DNS has them all.
const LISTED: usize = 100;
/// Of those it asks on the wire.
const ASKED: usize = 10;
/// Forms by their words.
const FORMS: &[(&str, &str)] = &[
    ("hosts", "hosts"),
    ("hostaliases", "HOSTALIASES"),
    ("curl", "curl"),
    ("connect-to", "connect-to"),
    ("env", ".env"),
    ("json", "JSON"),
];
type Id = StoredValue<String>;

/// A name and what came for it, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Listed {
    name: String,
    record: String,
    said: Said,
    odd: String,
}

impl Listed {
    fn new(key: &DnsNameKey, row: &DnsName) -> Self {
        let odd = row.marks.iter().map(|mark| format!("{}: {}", mark.oddity.name(), mark.evidence));
        let odd = odd.collect::<Vec<_>>().join("; ");
        Self { name: key.name.clone(), record: key.record.name().into(), said: said(key, row), odd }
    }

    fn seen((key, row): (&DnsSeenKey, &DnsSeen)) -> Self {
        let latency = row.latency_mean_secs.map(|secs| format!(", {}", unit::latency_secs(secs)));
        let text = format!("{}×{}", unit::count(row.counts.queries), latency.unwrap_or_default());
        let title = format!("asked of {}; the mean latency", key.server);
        let tone = if row.counts.failures() > 0 { "trouble" } else { "" };
        let said = Said { text, tone, title };
        Self { name: key.name.clone(), record: key.record.clone(), said, odd: wrong(&row.counts).text }
    }
}

/// The tab.
pub(super) fn names(selection: Selection) -> AnyView {
    let (store, id) = (use_store(), StoredValue::new(key(&selection).id));
    store.want_here(&TOPICS);
    view! {
        {part("How it finds names", way(store, id))}
        {part("Names", list(store, id))}
        {on_the_wire(store, id)}
        {part("Ask for others", inquiry(store, id))}
        {part("Take them with you", take(store, id))}
        {part("In the shell", in_the_shell(move || store.read(&TOPICS, |s| {
            id.with_value(|id| {
                let row = container(s, id);
                let name = of_container(&s.dns_name, id).find(|(key, row)| key.record == DnsRecord::A && !row.answers.is_empty());
                let name = name.map(|(key, _)| key.name.as_str());
                let engine = row.and_then(|row| row.engine.as_deref());
                resolver(s, id).map(|row| shell_lines(id, engine, row, name)).unwrap_or_default()
            })
        })))}
    }
    .into_any()
}

fn way(store: Store, id: Id) -> AnyView {
    let of = move |name: &'static str, f: fn(&Resolver) -> Fact| {
        live_fact(name, move || {
            let told = id.with_value(|id| store.read(&[Topic::Resolver], |s| resolver(s, id).map(f)));
            told.unwrap_or_else(|| Fact::unknown("it does not run: nobody asks there"))
        })
    };
    view! {
        <Facts>
            {of("asks", |r| match &r.hidden {
                Some(why) => Fact::unknown(why),
                None => Fact::or((!r.nameservers.is_empty()).then(|| unit::printable(&servers(r))), "no nameserver"),
            })}
            {of("search", |r| words(&r.search))}
            {of("options", |r| words(&r.options))}
            {of("order", |r| Fact::or(r.lookup_order.as_deref().map(unit::printable), "no nsswitch.conf, as with musl"))}
            {of("hosts file", |r| {
                let names = r.hosts.iter().map(|line| line.names.len()).sum::<usize>();
                let lines = r.hosts.iter().map(|line| format!("{} {}", line.address, line.names.join(" ")));
                Fact::new(format!("{} names", unit::count(names as u64)))
                    .title(unit::printable(&lines.collect::<Vec<_>>().join("; ")))
            })}
        </Facts>
    }
    .into_any()
}

fn words(all: &[String]) -> Fact {
    Fact::or((!all.is_empty()).then(|| unit::printable(&all.join(" "))), "none")
}

fn list(store: Store, id: Id) -> AnyView {
    let all = Memo::new(move |_| {
        id.with_value(|id| store.read(&[Topic::DnsName], |s| listed(of_container(&s.dns_name, id))))
    });
    let more = move || all.with(|all| all.len().saturating_sub(LISTED));
    let none = move || {
        if store.is_fresh(Topic::DnsName) {
            "Its engine answers for no names on its networks."
        } else {
            "Reading…"
        }
    };
    view! {
        {table(Signal::derive(move || all.with(|all| all.iter().take(LISTED).cloned().collect())))}
        {move || all.with(Vec::is_empty).then(|| view! { <p class="dim">{none}</p> })}
        {move || (more() > 0).then(|| view! { <p class="dim">{format!("and {} more: see the view DNS", more())}</p> })}
    }
    .into_any()
}

/// The odd ones first. That a name has no IPv6 address is not worth a line, nor are addresses' names.
fn listed<'a>(rows: impl Iterator<Item = (&'a DnsNameKey, &'a DnsName)>) -> Vec<Listed> {
    let worth = |(key, row): &(&DnsNameKey, &DnsName)| {
        key.record != DnsRecord::Ptr
            && (key.record != DnsRecord::Aaaa || !row.answers.is_empty() || gravity(row) > 0)
    };
    let mut rows: Vec<_> = rows.filter(worth).collect();
    rows.sort_by_key(|(_, row)| std::cmp::Reverse(gravity(row)));
    rows.into_iter().map(|(key, row)| Listed::new(key, row)).collect()
}

fn table(lines: Signal<Vec<Listed>>) -> AnyView {
    let line = |line: Listed| {
        let Listed { name, record, said, odd } = line;
        let odd = (!odd.is_empty())
            .then(|| view! { <p class="dns-odd" data-tone=said.tone>{unit::printable(&odd)}</p> });
        view! {
            <tr title=unit::printable(&said.title)>
                <th scope="row">{unit::printable(&name)}</th>
                <td>{unit::printable(&record)}</td>
                <td data-tone=said.tone>{unit::printable(&said.text)}{odd}</td>
            </tr>
        }
    };
    view! {
        <table class="plain dns-names">
            <tbody><For each=move || lines.get() key=Listed::clone children=line /></tbody>
        </table>
    }
    .into_any()
}

/// What it asks itself, while somebody has packets captured: nothing is for this alone.
fn on_the_wire(store: Store, id: Id) -> impl IntoView {
    let lines = Memo::new(move |_| {
        id.with_value(|id| {
            store.read(&[Topic::DnsSeen], |s| {
                asked_most(s, id).into_iter().take(ASKED).map(Listed::seen).collect::<Vec<_>>()
            })
        })
    });
    let is_there = Memo::new(move |_| store.is_fresh(Topic::DnsSeen) && lines.with(|all| !all.is_empty()));
    move || is_there.get().then(|| part("Asked most on the wire", table(lines.into())))
}

/// One question for names that a person types.
fn inquiry(store: Store, id: Id) -> AnyView {
    let typed = RwSignal::new(String::new());
    let outcome = RwSignal::new(None::<Signal<Option<Answer>>>);
    let owner = Owner::current();
    let submit = move |event: leptos::ev::SubmitEvent| {
        event.prevent_default();
        let names: Vec<String> = typed.with_untracked(|text| {
            text.split([' ', ',', '\n', '\t']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
        });
        if !names.is_empty() {
            let question = Question::Names { container: id.get_value(), names };
            let ask = || store.ask(question);
            // Asked under this tab: the question lives as long as that.
            outcome.set(Some(match owner.as_ref() {
                Some(owner) => owner.with(ask),
                None => ask(),
            }));
        }
    };
    // `None` before it is asked, then while nothing came.
    let answer = move || {
        let names = |answer: Answer| {
            answer.opened(|answer| if let Answer::Names(rows) = answer { Some(rows) } else { None })
        };
        outcome.get().map(|answer| answer.get().and_then(names))
    };
    let came = Signal::derive(move || match answer() {
        Some(Some(Ok(rows))) => listed_all(&rows),
        Some(Some(Err(_)) | None) | None => Vec::new(),
    });
    let said = move || match answer() {
        Some(None) => "asking…".to_owned(),
        Some(Some(Err(why))) => unit::printable(&why),
        Some(Some(Ok(_))) | None => String::new(),
    };
    view! {
        <form class="dns-ask" on:submit=submit>
            <input
                type="text"
                aria-label="Names to ask for"
                placeholder="name, another.example, 172.18.0.2"
                autocomplete="off"
                spellcheck="false"
                maxlength="4000"
                prop:value=move || typed.get()
                on:input=move |event| typed.set(event_target_value(&event))
            />
            <button type="submit">"Ask"</button>
        </form>
        {table(came)}
        <p class="dim" role="status">{said}</p>
        <p class="dim">
            {format!("Asked once of its own resolver, up to {NAMES_AT_ONCE} names. What its engine does not know is passed on: such a question leaves this host.")}
        </p>
    }
    .into_any()
}

fn listed_all(rows: &[(DnsNameKey, DnsName)]) -> Vec<Listed> {
    let worth =
        |(key, row): &&(DnsNameKey, DnsName)| key.record != DnsRecord::Aaaa || !row.answers.is_empty();
    rows.iter().filter(worth).map(|(key, row)| Listed::new(key, row)).collect()
}

/// All names in a form, to copy, to download, and as an address for scripts.
fn take(store: Store, id: Id) -> AnyView {
    let form = RwSignal::new(Form::Hosts);
    let (provider, ports) =
        (RwSignal::new(PROVIDER.to_owned()), RwSignal::new(PORTS.map(|port| port.to_string()).join(",")));
    // As the address for scripts reads it: what it refuses is said here, and the text stays that of the last wish.
    let parsed = Memo::new(move |_| {
        let form = form.get().name();
        provider.with(|provider| ports.with(|ports| Wish::parse(Some(form), Some(provider), Some(ports))))
    });
    let wish = Memo::new(move |before: Option<&Wish>| {
        let usual = || Wish { form: form.get(), provider: PROVIDER.into(), ports: PORTS.to_vec() };
        let last = || Wish { form: form.get(), ..before.cloned().unwrap_or_else(usual) };
        parsed.get().unwrap_or_else(|_| last())
    });
    let wrong = move || parsed.with(|parsed| parsed.as_ref().err().map(|why| unit::printable(why)));
    let out = Memo::new(move |_| {
        wish.with(|wish| {
            id.with_value(|id| {
                store
                    .read(&[Topic::DnsName], |s| export(wish, &with_addresses(of_container(&s.dns_name, id))))
            })
        })
    });
    let text = Signal::derive(move || out.with(|out| out.text.clone()));
    let left = move || {
        out.with(|out| {
            let left = out.left_out.iter().map(|(name, why)| format!("{}: {why}", unit::printable(name)));
            let left: Vec<String> = left.take(5).collect();
            (!left.is_empty()).then(|| format!("Left out: {}", left.join("; ")))
        })
    };
    let path = Memo::new(move |_| {
        wish.with(|wish| id.with_value(|id| store.read(&[Topic::Container], |s| path(s, id, wish))))
    });
    let address = Signal::derive(move || {
        let origin = window().location().origin().unwrap_or_default();
        format!("curl -s '{origin}{}'", path.get())
    });
    let choose = move |word: &str| form.set(Form::from_name(word).unwrap_or(Form::Hosts));
    view! {
        <Segments
            label="Form"
            options=FORMS
            value=Signal::derive(move || form.get().name().to_owned())
            on_choose=Callback::new(choose)
        />
        <p class="dns-wish" hidden=move || form.get() != Form::HostAliases>
            <label>"wildcard domain "<input type="text" list="dns-providers" prop:value=move || provider.get() on:input=move |e| provider.set(event_target_value(&e)) /></label>
            <datalist id="dns-providers">
                <option value="sslip.io"></option>
                <option value="nip.io"></option>
                <option value="traefik.me"></option>
            </datalist>
        </p>
        <p class="dns-wish" hidden=move || form.get() != Form::Curl>
            <label>"ports "<input type="text" prop:value=move || ports.get() on:input=move |e| ports.set(event_target_value(&e)) /></label>
        </p>
        <div class="dns-export">
            <pre tabindex="0" aria-label="Names in this form">{text}</pre>
            <CopyButton text=text label="copy the names" />
        </div>
        <p class="missed" role="status">{wrong}</p>
        <p class="missed">{left}</p>
        <p class="dns-url">
            <a href=move || path.get() download=move || file_name(form.get())>"Download"</a>
            <code>{address}</code>
            <CopyButton text=address label="copy the command" />
        </p>
    }
    .into_any()
}

/// The address that scripts ask, by the container's name where that can stand in one.
fn path(s: &Snapshot, id: &str, wish: &Wish) -> String {
    let name = container_name(s, id);
    let unique = s.container.values().filter(|row| row.name == name).count() == 1;
    let plain = |name: &str| {
        unique
            && name != "."
            && name != ".."
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let subject = if plain(&name) { name } else { unit::short_id(id).to_owned() };
    format!("/dns/{subject}?{}", wish.query())
}

fn file_name(form: Form) -> &'static str {
    match form {
        Form::Hosts => "hosts",
        Form::HostAliases => "hostaliases",
        Form::Curl => "curl-resolve.txt",
        Form::ConnectTo => "curl-connect-to.txt",
        Form::Env => "names.env",
        Form::Json => "names.json",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glasshull_shared::domain::container::{Container, ContainerKey};
    use std::sync::Arc;

    #[test]
    fn only_a_name_that_means_one_container_stands_in_the_address() {
        let mut s = Snapshot::default();
        let id = |n: u8| format!("{n}").repeat(64);
        for (n, name) in [(1, "db"), (2, "twin"), (3, "twin"), (4, "../x?y")] {
            let row = Container { name: name.into(), ..Container::default() };
            s.container.insert(ContainerKey { id: id(n) }, Arc::new(row));
        }
        let wish = Wish { form: Form::Curl, provider: PROVIDER.into(), ports: vec![80, 81] };
        assert_eq!(path(&s, &id(1), &wish), "/dns/db?format=curl&port=80,81");
        assert_eq!(path(&s, &id(2), &wish), "/dns/222222222222?format=curl&port=80,81");
        assert_eq!(path(&s, &id(4), &wish), "/dns/444444444444?format=curl&port=80,81");
        let wish = Wish { form: Form::HostAliases, provider: "lab.test".into(), ports: Vec::new() };
        assert_eq!(path(&s, &id(1), &wish), "/dns/db?format=hostaliases&provider=lab.test");
    }
}
