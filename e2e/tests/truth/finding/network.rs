//! Rules about the network, in namespaces of the case's own: no sysctl, rule or neighbour of the host's is touched.

use anyhow::{Context as _, Result, ensure};
use glasshull_shared::domain::finding::{Rule, Severity, Subject};
use glasshull_shared::domain::network::LinkKey;
use serde_json::Value;

use super::judged::{Judged, Own, of, of_container, of_netns};
use crate::nat::Router;
use crate::network::{inode, run};
use crate::runner::Context;

/// Named namespaces; gone when dropped, and with the lab in any case.
struct Named(Vec<String>);

impl Named {
    fn add(context: &Context, names: &[&str]) -> Result<Self> {
        let stem = &context.lab.state().stem;
        let mut added = Self(Vec::new());
        for name in names.iter().map(|name| format!("{stem}-{name}")) {
            run(&["ip", "netns", "add", &name])?;
            added.0.push(name);
        }
        Ok(added)
    }

    fn ip(&self, at: usize, words: &str) -> Result<String> {
        run(&["ip", "-n", &self.0[at]].into_iter().chain(words.split(' ')).collect::<Vec<_>>())
    }

    fn inside(&self, at: usize, words: &[&str]) -> Result<String> {
        run(&[&["ip", "netns", "exec", &self.0[at]], words].concat())
    }

    fn netns(&self, at: usize) -> Result<u64> {
        inode(&format!("/run/netns/{}", self.0[at]))
    }

    fn link(&self, at: usize, name: &str) -> Result<LinkKey> {
        let told: Value = serde_json::from_str(&self.ip(at, &format!("-j link show {name}"))?)?;
        let ifindex = told[0]["ifindex"].as_u64().context("ifindex")?;
        Ok(LinkKey { netns: self.netns(at)?, ifindex: u32::try_from(ifindex)? })
    }

    /// Lays a veth pair between the first two: 10.84.0.1 (v0) – 10.84.0.2 (v1).
    fn lay(&self) -> Result<()> {
        self.ip(0, &format!("link add v0 type veth peer name v1 netns {}", self.0[1]))?;
        for (at, link, address) in [(0, "v0", "10.84.0.1"), (1, "v1", "10.84.0.2")] {
            self.ip(at, &format!("address add {address}/24 dev {link}"))?;
            self.ip(at, &format!("link set {link} up"))?;
        }
        Ok(())
    }

    /// Sends a datagram: the kernel asks who has the address, or the gateway before it.
    fn ask(&self, at: usize, address: &str) -> Result<()> {
        self.inside(at, &["bash", "-c", &format!("echo > /dev/udp/{address}/9")]).map(drop)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = run(&["ip", "netns", "delete", name]);
        }
    }
}

/// A container's link on a bridge in a namespace where nothing is forwarded, until it is.
pub(crate) fn forwarding_off(context: &mut Context) -> Result<()> {
    let judged = Judged::start(context, &[])?;
    let router = Named::add(context, &["forward"])?;
    let own = Own::run(context, "behind", &["--network", "none"], &["sleep", "600"])?;
    let forward = |value: &str| {
        router.inside(0, &["sysctl", "-q", "-w", &format!("net.ipv4.ip_forward={value}")]).map(drop)
    };
    forward("0")?;
    router.ip(0, "link add br0 type bridge")?;
    router.ip(0, "address add 10.83.0.1/24 dev br0")?;
    router.ip(0, "link set br0 up")?;
    let by = of_netns(router.netns(0)?);
    judged.quiet(Rule::ForwardingOff, &by)?; // a bridge without containers
    router.ip(0, &format!("link add p0 type veth peer name eth0 netns {}", own.init()?))?;
    router.ip(0, "link set p0 master br0 up")?;
    let told = judged.raised(Rule::ForwardingOff, &by)?.is(Severity::Trouble)?;
    ensure!(told.value("bridges of containers")? == "br0", "{:?}", told.row.evidence);
    let check = told.row.check(Rule::ForwardingOff);
    let printed = run(&["sh", "-c", &format!("{check}; true")])?;
    ensure!(printed.starts_with("net.ipv4.ip_forward = 0"), "{check} prints {printed}");
    forward("1")?;
    judged.cleared(&told)
}

/// A rule that leads to nobody, until it is deleted; a container's port that nobody listens on, until somebody does.
pub(crate) fn stale_dnat(context: &mut Context) -> Result<()> {
    let judged = Judged::start(context, &[])?;
    let router = Router::lay()?;
    router.publish("iptables", "8082", "192.0.2.7:80")?;
    let by = of_netns(router.netns()?);
    judged.quiet(Rule::StaleDnat, &by)?; // far away, and perhaps there
    router.publish("iptables", "8081", "10.79.2.9:80")?;
    let told = judged.raised(Rule::StaleDnat, &by)?.is(Severity::Attention)?;
    ensure!(told.row.evidence.len() == 1, "{:?}", told.row.evidence);
    ensure!(told.row.evidence[0].label.ends_with(":8081/tcp"), "{:?}", told.row.evidence);
    router.inside(0, &["iptables", "-t", "nat", "-D", "PREROUTING", "1"])?;
    ensure!(
        !router.inside(0, &["iptables-save", "-t", "nat"])?.contains("192.0.2.7"),
        "the wrong rule stays"
    );
    judged.wait("the other rule alone", |tables| tables.finding.contains_key(&told.key))?;
    router.inside(0, &["iptables", "-t", "nat", "-F", "PREROUTING"])?;
    judged.cleared(&told)?;

    let serve = "httpd -p 80 -h /www; sleep 600";
    let options = ["--network", "lab", "--publish", "127.0.0.1::80"];
    let own = Own::run(context, "served", &options, &["sh", "-c", serve])?;
    let by = of_container(&own.id);
    judged.quiet(Rule::StaleDnat, &by)?;
    context.lab.exec(own.name, &["sh", "-c", "kill $(pidof httpd)"])?;
    let told = judged.raised(Rule::StaleDnat, &by)?.is(Severity::Attention)?;
    ensure!(told.row.evidence[0].value.starts_with("no listener"), "{:?}", told.row.evidence);
    context.lab.exec(own.name, &["httpd", "-p", "80", "-h", "/www"])?;
    judged.cleared(&told)
}

/// A gateway that answers no more, and one that answers with another hardware address.
pub(crate) fn gateway(context: &mut Context) -> Result<()> {
    let judged = Judged::start(context, &[])?;
    let ends = Named::add(context, &["asks", "answers"])?;
    ends.lay()?;
    ends.ip(0, "route add default via 10.84.0.2")?;
    let v0 = ends.link(0, "v0")?;
    let by = of(Subject::Link(v0));
    ends.ask(0, "10.84.0.2")?;
    ends.ask(0, "10.84.0.77")?; // nobody is there, and no gateway
    let state = || Ok::<_, anyhow::Error>(ends.ip(0, "neighbour show 10.84.0.77")?.contains("FAILED"));
    judged.wait("FAILED for who is no gateway", |_| state().unwrap_or(false))?;
    judged.quiet(Rule::NeighbourTrouble, &by)?;

    ends.ip(1, "address delete 10.84.0.2/24 dev v1")?;
    ends.ip(0, "neighbour flush dev v0")?;
    ends.ask(0, "192.0.2.1")?;
    let told = judged.raised(Rule::NeighbourTrouble, &by)?.is(Severity::Attention)?;
    ensure!(told.value("gateway 10.84.0.2")?.contains("FAILED"), "{:?}", told.row.evidence);
    ends.ip(1, "address add 10.84.0.2/24 dev v1")?;
    ends.ask(0, "192.0.2.1")?;
    judged.cleared(&told)?;

    let link: Value = serde_json::from_str(&ends.ip(1, "-j link show v1")?)?;
    let before = link[0]["address"].as_str().context("no hardware address")?;
    ends.ip(1, "link set v1 address 02:00:00:00:84:02")?;
    // Who asks tells where it is, too.
    ends.ip(1, "neighbour flush dev v1")?;
    ends.ask(1, "10.84.0.1")?;
    let told = judged.raised(Rule::NeighbourTrouble, &by)?.is(Severity::Attention)?;
    let changed = told.value("10.84.0.2 changed")?;
    ensure!(changed == format!("{before} → 02:00:00:00:84:02"), "{changed}");
    let mend = told.row.mend(Rule::NeighbourTrouble);
    let line = mend.split("; ").nth(1).and_then(|rest| rest.split(" makes ").next()).context("no line")?;
    ensure!(line.ends_with("ip neighbour flush dev v0"), "{mend}");
    run(&["sh", "-c", line])?;
    judged.cleared(&told)?;
    ends.ask(0, "10.84.0.2")?;
    judged.quiet(Rule::NeighbourTrouble, &by)
}

/// A container that answers for another's address, as one that puts itself between does, until it gives that up.
pub(crate) fn shared_mac(context: &mut Context) -> Result<()> {
    let judged = Judged::start(context, &[])?;
    let [asks, right, false_one] = ["asker", "righteous", "impostor"]
        .map(|name| Own::run(context, name, &["--network", "lab"], &["sleep", "600"]));
    let (asks, right, false_one) = (asks?, right?, false_one?);
    let address = |own: &Own<'_>| {
        let inspected = context.lab.inspect(own.name)?;
        let address = inspected["NetworkSettings"]["Networks"]["lab"]["IPAddress"].as_str();
        Ok::<_, anyhow::Error>(address.context("no address")?.to_owned())
    };
    let (theirs, own) = (address(&right)?, address(&false_one)?);
    let within = |container: &Own<'_>, words: &[&str]| {
        let net = format!("--net=/proc/{}/ns/net", container.init()?);
        run(&[&["nsenter", &net], words].concat())
    };
    let ask =
        |address: &str| within(&asks, &["bash", "-c", &format!("echo > /dev/udp/{address}/9")]).map(drop);
    let by = of_container(&asks.id);
    ask(&theirs)?;
    ask(&own)?;
    judged.quiet(Rule::NeighbourTrouble, &by)?;
    // The one is silenced, the other takes its address and is asked.
    let arp = |container: &Own<'_>, word: &str| {
        within(container, &["ip", "link", "set", "eth0", "arp", word]).map(drop)
    };
    arp(&right, "off")?;
    within(&false_one, &["ip", "address", "add", &format!("{theirs}/16"), "dev", "eth0"])?;
    within(&asks, &["ip", "neighbour", "flush", "dev", "eth0"])?;
    ask(&theirs)?;
    ask(&own)?;
    let told = judged.raised(Rule::NeighbourTrouble, &by)?;
    let names = |told: &super::judged::Told| {
        told.row.evidence.iter().any(|one| {
            one.label.ends_with("answers for")
                && one.value.contains("righteous")
                && one.value.contains("impostor")
        })
    };
    ensure!(names(&told), "{:?}", told.row.evidence);
    within(&false_one, &["ip", "address", "delete", &format!("{theirs}/16"), "dev", "eth0"])?;
    arp(&right, "on")?;
    within(&asks, &["ip", "neighbour", "flush", "dev", "eth0"])?;
    // That it changes once more would be told, too: first it must be seen to be gone.
    judged.cleared(&told)?;
    ask(&theirs)?;
    ask(&own)?;
    judged.quiet(Rule::NeighbourTrouble, &by)
}

/// Frames longer than the other end takes are dropped, until both ends agree.
pub(crate) fn losses(context: &mut Context) -> Result<()> {
    const SENT: u64 = 25;
    let judged = Judged::start(context, &[])?;
    let ends = Named::add(context, &["long", "short"])?;
    let send = || {
        let one = "head -c 4000 /dev/zero > /dev/udp/10.84.0.2/9";
        ends.inside(0, &["bash", "-c", &format!("for i in $(seq {SENT}); do {one}; done")]).map(drop)
    };
    ends.lay()?;
    ends.ip(0, "link set v0 mtu 9000")?;
    ends.ask(0, "10.84.0.2")?;
    let v1 = ends.link(1, "v1")?;
    judged.quiet(Rule::LinkLoses, &of(Subject::Link(v1)))?;
    send()?;
    let told = judged.raised(Rule::LinkLoses, &of(Subject::Link(v1)))?.is(Severity::Attention)?;
    ensure!(told.value("received and dropped")? == "tens of packets", "{:?}", told.row.evidence);
    let link: Value = serde_json::from_str(&ends.ip(1, "-s -j link show v1")?)?;
    ensure!(link[0]["stats64"]["rx"]["dropped"] == SENT, "ip says {}", link[0]["stats64"]);
    // Laid anew it counts anew: nobody needs to wait for the minute to pass.
    ends.ip(0, "link delete v0")?;
    judged.cleared(&told)?;
    ends.lay()?;
    for (at, link) in [(0, "v0"), (1, "v1")] {
        ends.ip(at, &format!("link set {link} mtu 9000"))?;
    }
    ends.ask(0, "10.84.0.2")?;
    send()?;
    judged.quiet(Rule::LinkLoses, &of(Subject::Link(ends.link(1, "v1")?)))
}

/// A namespace with a name and nobody in it, until the name is gone.
pub(crate) fn empty_namespace(context: &mut Context) -> Result<()> {
    let judged = Judged::start(context, &[])?;
    let named = Named::add(context, &["empty"])?;
    let by = of_netns(named.netns(0)?);
    let told = judged.raised(Rule::EmptyNamespace, &by)?.is(Severity::Info)?;
    ensure!(told.row.name == named.0[0], "it is called {}", told.row.name);
    drop(named);
    judged.cleared(&told)
}
