//! Names and their addresses in the forms that programs of the host understand: a HOSTALIASES file, lines of a hosts file,
//! arguments of curl, environment variables, JSON. Pure; what a form cannot say is told beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;

use crate::delta::Table;
use crate::domain::dns::{DnsName, DnsNameKey, DnsRecord};

/// A form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// File for the variable HOSTALIASES (hostname(7)).
    HostAliases,
    /// Lines for `/etc/hosts` (hosts(5)).
    Hosts,
    /// `curl --resolve NAME:PORT:ADDRESS`.
    Curl,
    /// `curl --connect-to NAME::ADDRESS:`, for any port.
    ConnectTo,
    /// `NAME=ADDRESS` lines.
    Env,
    /// An object of lists.
    Json,
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::HostAliases, Self::Hosts, Self::Curl, Self::ConnectTo, Self::Env, Self::Json];

    /// From its word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.name() == name)
    }

    /// Its word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::HostAliases => "hostaliases",
            Self::Hosts => "hosts",
            Self::Curl => "curl",
            Self::ConnectTo => "connect-to",
            Self::Env => "env",
            Self::Json => "json",
        }
    }
}

/// Wildcard domain of HOSTALIASES until another is chosen.
pub const PROVIDER: &str = "sslip.io";
/// Ports of `curl --resolve` until others are chosen.
pub const PORTS: [u16; 2] = [80, 443];

/// More make no sense in one command.
const PORTS_AT_MOST: usize = 20;

/// What HOSTALIASES can do and what not: goes at the head of such a file.
pub const HOSTALIASES_LIMITS: &str = "\
# For HOSTALIASES=FILE PROGRAM. Only glibc reads it, and not in setuid or static programs; only for names without
# a dot, and after /etc/hosts. Its values are names: a resolver that is asked for them must answer with the address in them.
";

/// A name with what it resolves to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// As the container calls it.
    pub name: String,
    /// Where it leads.
    pub addresses: Vec<IpAddr>,
}

/// How to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// The form.
    pub form: Form,
    /// Wildcard domain whose names hold an address: `sslip.io`, or one's own.
    pub provider: String,
    /// Ports for `curl --resolve`, which takes no other.
    pub ports: Vec<u16>,
}

impl Wish {
    /// From the words of an address or a form: ports apart by commas; what is not given is as usual.
    ///
    /// # Errors
    /// The word that is none, and what would be one.
    pub fn parse(form: Option<&str>, provider: Option<&str>, ports: Option<&str>) -> Result<Self, String> {
        let form = match form {
            None => Form::Hosts,
            Some(word) => Form::from_name(word)
                .ok_or_else(|| format!("format is one of {}", Form::ALL.map(Form::name).join(", ")))?,
        };
        let provider = match provider {
            None => PROVIDER.to_owned(),
            Some(text) => parse_provider(text)?,
        };
        let ports = ports.map_or_else(|| Ok(PORTS.to_vec()), parse_ports)?;
        Ok(Self { form, provider, ports })
    }

    /// The query of an address that [`Wish::parse`] reads, without what is as usual or of no use to the form.
    pub fn query(&self) -> String {
        let mut query = format!("format={}", self.form.name());
        if self.form == Form::HostAliases && self.provider != PROVIDER {
            let _ = write!(query, "&provider={}", self.provider);
        }
        if self.form == Form::Curl && self.ports != PORTS {
            let ports: Vec<String> = self.ports.iter().map(u16::to_string).collect();
            let _ = write!(query, "&port={}", ports.join(","));
        }
        query
    }
}

/// A wildcard domain; a dot at its end says no more.
///
/// # Errors
/// When it is none.
pub fn parse_provider(text: &str) -> Result<String, String> {
    let domain = text.trim().trim_matches('.');
    if is_host_name(domain) {
        Ok(domain.to_owned())
    } else {
        Err("provider is the name of a domain, as sslip.io".into())
    }
}

fn parse_ports(text: &str) -> Result<Vec<u16>, String> {
    let ports: Result<Vec<u16>, _> = text.split(',').map(|port| port.trim().parse()).collect();
    let ports = ports.ok().filter(|ports| ports.len() <= PORTS_AT_MOST && !ports.contains(&0));
    ports.ok_or_else(|| "port is a list as 80,443".into())
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Export {
    /// The text, ending in a line feed unless it is empty.
    pub text: String,
    /// Names that the form cannot hold, and why.
    pub left_out: Vec<(String, &'static str)>,
}

/// Whether a name may stand in a file of names: containers choose theirs, and a line feed would write a line of its own.
pub fn is_host_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    (1..=253).contains(&name.len())
        && !name.starts_with('-')
        && name.split('.').all(|label| (1..=63).contains(&label.len()) && label.bytes().all(plain))
}

/// What is known of the names of one container.
pub fn of_container<'a>(
    names: &'a Table<DnsNameKey, DnsName>,
    id: &'a str,
) -> impl Iterator<Item = (&'a DnsNameKey, &'a DnsName)> + use<'a> {
    let own = names.iter().filter(move |(key, _)| key.container == id);
    own.map(|(key, row)| (key, &**row))
}

/// Names that have addresses, each once, by name.
pub fn with_addresses<'a>(rows: impl Iterator<Item = (&'a DnsNameKey, &'a DnsName)>) -> Vec<Named> {
    let mut all: BTreeMap<&str, Vec<IpAddr>> = BTreeMap::new();
    for (key, row) in rows.filter(|(key, _)| matches!(key.record, DnsRecord::A | DnsRecord::Aaaa)) {
        all.entry(&key.name)
            .or_default()
            .extend(row.answers.iter().filter_map(|one| one.parse::<IpAddr>().ok()));
    }
    let named = all.into_iter().map(|(name, addresses)| Named { name: name.to_owned(), addresses });
    named.filter(|one| !one.addresses.is_empty()).collect()
}

/// Writes names down.
pub fn export(wish: &Wish, named: &[Named]) -> Export {
    let mut out = Export::default();
    if wish.form == Form::Json {
        let names = named.iter().map(|one| (one.name.clone(), serde_json::json!(one.addresses)));
        out.text = format!("{}\n", serde_json::Value::Object(names.collect()));
        return out;
    }
    if wish.form == Form::HostAliases {
        out.text.push_str(HOSTALIASES_LIMITS);
    }
    let mut variables = BTreeSet::new();
    for one in named {
        let line = if is_host_name(&one.name) {
            line(wish, one, &mut variables)
        } else {
            Err("no name that a host may have")
        };
        match line {
            Ok(line) => out.text.push_str(&line),
            Err(why) => out.left_out.push((one.name.clone(), why)),
        }
    }
    out
}

fn line(wish: &Wish, one: &Named, variables: &mut BTreeSet<String>) -> Result<String, &'static str> {
    let name = &one.name;
    let first = one.addresses.first().ok_or("no address")?;
    Ok(match wish.form {
        Form::HostAliases if name.contains('.') => return Err("HOSTALIASES holds only names without a dot"),
        Form::HostAliases => {
            let holds = |address: &&IpAddr| address.is_ipv4() || !only_ipv4(&wish.provider);
            let address = one.addresses.iter().find(holds).ok_or("the provider knows no IPv6")?;
            format!("{name} {}\n", in_name(*address, &wish.provider))
        }
        Form::Hosts => one.addresses.iter().map(|address| format!("{address}\t{name}\n")).collect(),
        Form::Curl => {
            let mut text = String::new();
            for port in &wish.ports {
                // curl takes several addresses for one name; in brackets when IPv6.
                let all: Vec<String> = one.addresses.iter().map(|a| bracketed(*a)).collect();
                let _ = writeln!(text, "--resolve {name}:{port}:{}", all.join(","));
            }
            text
        }
        Form::ConnectTo => format!("--connect-to {name}::{}:\n", bracketed(*first)),
        Form::Env => {
            let variable = variable(name);
            if is_the_shells(&variable) {
                return Err("a shell or the loader goes by a variable of that name");
            }
            if !variables.insert(variable.clone()) {
                return Err("another name gives the same variable");
            }
            format!("{variable}={first}\n")
        }
        Form::Json => return Err("JSON has no lines"),
    })
}

fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

/// Those of the public providers that read no IPv6 address.
fn only_ipv4(provider: &str) -> bool {
    matches!(provider, "nip.io" | "traefik.me")
}

/// `172-18-0-2.sslip.io`, `fd00--2.sslip.io`.
fn in_name(address: IpAddr, provider: &str) -> String {
    let dashed = address.to_string().replace(['.', ':'], "-");
    // A label may neither begin nor end with a dash: `::1` is `0--1`.
    let head = if dashed.starts_with('-') { "0" } else { "" };
    let tail = if dashed.ends_with('-') { "0" } else { "" };
    format!("{head}{dashed}{tail}.{}", provider.trim_matches('.'))
}

/// `my-db.app` as `MY_DB_APP`.
fn variable(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let text: String = name.chars().map(plain).collect();
    if text.starts_with(|c: char| c.is_ascii_digit()) { format!("_{text}") } else { text }
}

/// What a container must not set by calling itself so.
fn is_the_shells(variable: &str) -> bool {
    const TAKEN: [&str; 12] = [
        "PATH",
        "IFS",
        "HOME",
        "ENV",
        "BASH_ENV",
        "SHELL",
        "USER",
        "PWD",
        "TERM",
        "PS1",
        "PS4",
        "PROMPT_COMMAND",
    ];
    TAKEN.contains(&variable) || ["LD_", "BASH_FUNC"].iter().any(|start| variable.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_sets_nothing_that_a_shell_goes_by() {
        let names = ["path", "ld_preload", "IFS", "db"].map(|name| named(name, &["10.0.0.1"]));
        let out = write(Form::Env, "", &names);
        assert_eq!((out.text.as_str(), out.left_out.len()), ("DB=10.0.0.1\n", 3));
    }

    fn named(name: &str, addresses: &[&str]) -> Named {
        Named { name: name.into(), addresses: addresses.iter().map(|a| a.parse().unwrap()).collect() }
    }

    fn write(form: Form, provider: &str, names: &[Named]) -> Export {
        export(&Wish { form, provider: provider.into(), ports: vec![80, 443] }, names)
    }

    #[test]
    fn what_is_no_form_no_port_and_no_domain_is_refused_with_what_is_one() {
        let wish = |form, port| Wish::parse(Some(form), None, port);
        assert!(wish("zone", None).unwrap_err().contains("hosts"));
        assert!(wish("curl", Some("80,http")).unwrap_err().contains("80,443"));
        let (dangling, many) = ("1,".repeat(30), ["1"; 21].join(","));
        for wrong in ["0", "", "65536", &dangling, &many] {
            assert!(wish("curl", Some(wrong)).is_err(), "{wrong:?}");
        }
        assert!(Wish::parse(None, Some("a\nb"), None).unwrap_err().contains("domain"));
        assert!(Wish::parse(None, Some("a&port=1"), None).is_err());
        assert_eq!(wish("curl", Some("80, 8080")).unwrap().ports, [80, 8080]);
        assert_eq!(Wish::parse(None, None, None).unwrap().form, Form::Hosts);
        assert_eq!(Wish::parse(None, Some(" lab.test. "), None).unwrap().provider, "lab.test");
    }

    #[test]
    fn a_wish_is_read_again_from_its_query() {
        let ports = PORTS.to_vec();
        for (form, provider, ports, query) in [
            (Form::Hosts, "lab.test", vec![1], "format=hosts"),
            (Form::HostAliases, PROVIDER, ports.clone(), "format=hostaliases"),
            (Form::HostAliases, "lab.test", ports.clone(), "format=hostaliases&provider=lab.test"),
            (Form::Curl, PROVIDER, vec![80, 81], "format=curl&port=80,81"),
            (Form::Curl, PROVIDER, ports, "format=curl"),
        ] {
            let wish = Wish { form, provider: provider.into(), ports };
            assert_eq!(wish.query(), query);
            let of = |key: &str| query.split('&').find_map(|part| part.strip_prefix(key)?.strip_prefix('='));
            let again = Wish::parse(of("format"), of("provider"), of("port")).unwrap();
            let text = |wish: &Wish| export(wish, &[named("db", &["10.0.0.1"])]).text;
            assert_eq!(text(&again), text(&wish), "{query}");
        }
    }

    #[test]
    fn each_form_is_what_its_program_reads() {
        let names = [named("db", &["172.18.0.2", "fd00::2"])];
        let text = |form| write(form, "sslip.io", &names).text;
        assert_eq!(text(Form::Hosts), "172.18.0.2\tdb\nfd00::2\tdb\n");
        assert_eq!(
            text(Form::Curl),
            "--resolve db:80:172.18.0.2,[fd00::2]\n--resolve db:443:172.18.0.2,[fd00::2]\n"
        );
        assert_eq!(text(Form::ConnectTo), "--connect-to db::172.18.0.2:\n");
        assert_eq!(text(Form::Env), "DB=172.18.0.2\n");
        assert_eq!(text(Form::Json), "{\"db\":[\"172.18.0.2\",\"fd00::2\"]}\n");
        assert_eq!(text(Form::HostAliases), format!("{HOSTALIASES_LIMITS}db 172-18-0-2.sslip.io\n"));
    }

    #[test]
    fn aliases_say_what_they_cannot() {
        let names = [named("db.app", &["172.18.0.2"]), named("six", &["::1"]), named("none", &[])];
        let out = write(Form::HostAliases, "nip.io", &names);
        assert_eq!(out.text, HOSTALIASES_LIMITS);
        assert_eq!(out.left_out.len(), 3);
        let own = write(Form::HostAliases, "my.example.", &names);
        assert!(own.text.ends_with("six 0--1.my.example\n"), "{}", own.text);
        // glibc ends at the first line that has no blank after a word.
        assert!(own.text.lines().all(|line| line.split_whitespace().count() >= 2), "{}", own.text);
    }

    #[test]
    fn a_hostile_name_writes_no_line_of_its_own() {
        for bad in ["a\n1.2.3.4 bank", "a b", "", "-K", "$(x)", "a;b", "a..b", "ü", &"x".repeat(64)] {
            for form in Form::ALL.into_iter().filter(|form| *form != Form::Json) {
                let out = write(form, "sslip.io", &[named(bad, &["172.18.0.2"])]);
                assert!(!out.text.contains("172") && out.left_out.len() == 1, "{bad:?} {form:?}");
            }
            let json = write(Form::Json, "", &[named(bad, &["172.18.0.2"])]).text;
            assert!(json.lines().count() == 1 && serde_json::from_str::<serde_json::Value>(&json).is_ok());
        }
    }

    #[test]
    fn two_names_with_one_variable_are_not_mixed_up() {
        let out = write(Form::Env, "", &[named("a-b", &["10.0.0.1"]), named("a.b", &["10.0.0.2"])]);
        assert_eq!(out.text, "A_B=10.0.0.1\n");
        assert_eq!(out.left_out, [("a.b".into(), "another name gives the same variable")]);
        assert_eq!(write(Form::Env, "", &[named("0f3c", &["10.0.0.1"])]).text, "_0F3C=10.0.0.1\n");
    }
}
