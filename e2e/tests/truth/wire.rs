//! Looks into wires: what passes between two namespaces of our own against the file that was sent, `tshark`, and the limits.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is not waited for is passed over, or fails the test"
)]

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use glasshull_e2e::lab::process::wait_until;
use glasshull_e2e::traffic;
use glasshull_e2e::ws::Client;
use glasshull_shared::domain::wire::{Ended, Limits, Order, PacketRow, Piece, Refusal, Side, Sight, Start};
use glasshull_shared::snapshot::Topic;
use glasshull_shared::wire::look::{decode_sight, encode_order};
use tokio::time::timeout;

use crate::runner::Context;

/// Beyond it something hangs.
const HANGS_AFTER: Duration = Duration::from_secs(20);
/// Nothing else says this.
const MARK: &str = "glasshull-marks-this-payload";
const SERVER: &str = "10.97.3.2";

/// Two namespaces with a cable between them and a web server in the second; gone when dropped.
struct Wire {
    near: String,
    far: String,
    folder: tempfile::TempDir,
    file: Vec<u8>,
    server: Child,
}

impl Wire {
    fn lay() -> Result<Self> {
        let id = std::process::id();
        let (near, far) = (format!("gh{id}wn"), format!("gh{id}wf"));
        for name in [&near, &far] {
            let _ = Command::new("ip").args(["netns", "delete", name]).output();
            ip(&["netns", "add", name])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        ip(&["-n", &near, "link", "add", "w0", "type", "veth", "peer", "name", "w1", "netns", &far])?;
        for (name, link, address) in [(&near, "w0", "10.97.3.1/24"), (&far, "w1", "10.97.3.2/24")] {
            ip(&["-n", name, "address", "add", address, "dev", link])?;
            ip(&["-n", name, "link", "set", link, "up"])?;
        }
        let folder = tempfile::tempdir()?;
        // Some that looks like text, and every byte there is, so that nothing in it can be taken for another part.
        let noise = (0u32..180_000).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8);
        let file: Vec<u8> = MARK.bytes().chain(noise).chain(MARK.bytes()).collect();
        fs::write(folder.path().join("file.bin"), &file)?;
        let inside = ["netns", "exec", &far, "busybox", "httpd", "-f", "-p", "8000", "-h"];
        let server = Command::new("ip").args(inside).arg(folder.path()).spawn().context("a web server")?;
        let wire = Self { near, far, folder, file, server };
        let up = || wire.get("file.bin", &[]).is_ok_and(|got| got == wire.file);
        ensure!(wait_until(HANGS_AFTER, up), "the web server does not answer");
        Ok(wire)
    }

    /// What a client on the near side gets.
    fn get(&self, name: &str, more: &[&str]) -> Result<Vec<u8>> {
        let url = format!("http://{SERVER}:8000/{name}");
        let inside = ["netns", "exec", &self.near, "busybox", "wget", "-q", "-O", "-"];
        let output = Command::new("ip").args(inside).args(more).arg(url).output()?;
        ensure!(output.status.success(), "wget: {}", String::from_utf8_lossy(&output.stderr));
        Ok(output.stdout)
    }

    /// Packet sockets on the near side that take packets.
    fn captures(&self) -> usize {
        let output =
            Command::new("ip").args(["netns", "exec", &self.near, "cat", "/proc/net/packet"]).output();
        output.map_or(0, |o| traffic::captures(&String::from_utf8_lossy(&o.stdout)))
    }

    /// The file that is saved of the look while a client gets the other one.
    fn saved(&self, served: &Served, path: &str) -> Result<(String, Vec<u8>)> {
        let closed = || self.captures() == 0;
        ensure!(wait_until(HANGS_AFTER, closed), "a look before is still open");
        std::thread::scope(|scope| {
            let download = scope.spawn(|| served.get(path));
            let open = wait_until(HANGS_AFTER, || self.captures() > 0);
            let got = self.get("file.bin", &[]);
            let saved = download.join().map_err(|_| anyhow::anyhow!("the download failed"))?;
            ensure!(open, "the look was not opened");
            got.and(saved)
        })
    }

    fn netns(&self) -> Result<u64> {
        Ok(fs::metadata(format!("/run/netns/{}", self.near))?.ino())
    }

    fn start(&self, filter: &str, payload: bool) -> Result<Start> {
        let limits = Limits { secs: 20, ..Limits::USUAL };
        Ok(Start { netns: self.netns()?, ifindex: None, filter: filter.into(), limits, payload })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        for name in [&self.near, &self.far] {
            let _ = Command::new("ip").args(["netns", "delete", name]).output();
        }
    }
}

fn ip(args: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(args).output()?;
    ensure!(output.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

/// A `glasshull serve`; ended when dropped.
struct Served {
    child: Child,
    address: SocketAddr,
}

impl Served {
    fn start(context: &Context, more: &[&str]) -> Result<Self> {
        let mut child = Command::new(context.agent.program())
            .args(["serve", "--bind", "127.0.0.1:0", "--engine", &context.endpoint()])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let found =
            line.split("http://").nth(1).and_then(|rest| rest.trim().trim_end_matches('/').parse().ok());
        match found {
            Some(address) => Ok(Self { child, address }),
            None => {
                let _ = child.kill();
                bail!("no address in {line:?}")
            }
        }
    }

    /// A file over plain HTTP: status line and body.
    fn get(&self, path: &str) -> Result<(String, Vec<u8>)> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(HANGS_AFTER))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let at = answer.windows(4).position(|w| w == b"\r\n\r\n").context("no head")?;
        Ok((String::from_utf8_lossy(&answer[..at]).into_owned(), answer.split_off(at + 4)))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A look, and every frame it brought.
struct Look {
    client: Client,
    frames: Vec<u8>,
}

impl Look {
    async fn start(served: &Served, start: Start) -> Result<Self> {
        let mut look = Self { client: Client::look(served.address).await?, frames: Vec::new() };
        look.order(&Order::Start(start)).await?;
        Ok(look)
    }

    async fn order(&mut self, order: &Order) -> Result<()> {
        self.client.send_raw(encode_order(order)?).await
    }

    async fn next(&mut self) -> Result<Sight> {
        let frame = timeout(HANGS_AFTER, self.client.next()).await.context("the look says nothing")??;
        let frame = frame.context("the look was closed")?;
        // As it was before it was compressed: what is looked for must not hide.
        self.frames.extend(glasshull_shared::wire::unpack(&frame)?);
        Ok(decode_sight(&frame)?)
    }

    async fn until<T>(&mut self, mut wanted: impl FnMut(Sight) -> Option<T>) -> Result<T> {
        loop {
            if let Some(found) = wanted(self.next().await?) {
                return Ok(found);
            }
        }
    }

    async fn begun(&mut self) -> Result<()> {
        self.until(|sight| match sight {
            Sight::Started { .. } => Some(Ok(())),
            Sight::Refused(why) => Some(Err(anyhow::anyhow!("refused: {why:?}"))),
            _ => None,
        })
        .await?
    }

    /// Lines until both sides of a connection have closed it.
    async fn closed(&mut self) -> Result<Vec<PacketRow>> {
        let (mut rows, mut closed) = (Vec::new(), BTreeSet::new());
        while closed.len() < 2 {
            match self.next().await? {
                Sight::Packets(more) => rows.extend(more),
                Sight::Ended(why) => bail!("it ended before: {why:?}"),
                _ => {}
            }
            let fin = |row: &&PacketRow| row.info.contains("Flags [F");
            closed = rows.iter().filter(fin).map(|row| row.source.clone()).collect();
        }
        Ok(rows)
    }

    /// The lines that are left, and why it ended.
    async fn rest(&mut self) -> Result<(Vec<PacketRow>, Ended)> {
        let mut rows = Vec::new();
        let ended = self
            .until(|sight| match sight {
                Sight::Packets(more) => {
                    rows.extend(more);
                    None
                }
                Sight::Ended(why) => Some(why),
                _ => None,
            })
            .await?;
        Ok((rows, ended))
    }
}

fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// The bytes of the second side are the answer's head and the file; the request is recognised and its secret masked.
pub(crate) fn stream(context: &mut Context) -> Result<()> {
    let wire = Wire::lay()?;
    let served = Served::start(context, &["--allow-payload"])?;
    block_on(async {
        let mut look = Look::start(&served, wire.start("tcp port 8000", true)?).await?;
        look.begun().await?;
        ensure!(
            wire.get("file.bin", &["--header", "Cookie: open-sesame"])? == wire.file,
            "another file came"
        );
        // All has passed when both sides have said that they end.
        let mut rows = timeout(HANGS_AFTER, look.closed()).await.context("no end of both sides")??;
        look.order(&Order::Stop).await?;
        let (more, ended) = look.rest().await?;
        rows.extend(more);
        ensure!(ended == Ended::Stopped, "{ended:?}");
        let request = rows.iter().find(|row| row.protocol == "HTTP" && row.info.contains("GET /file.bin"));
        let conversation = request.and_then(|row| row.conversation).context("no request was listed")?;
        look.order(&Order::Follow { conversation }).await?;
        let (mut said, mut notes, mut fins) = ([Vec::new(), Vec::new()], Vec::new(), 0);
        while fins < 2 {
            let Sight::Chunk(chunk) = look.next().await? else { continue };
            match chunk.piece {
                Piece::Data(data) => said[usize::from(chunk.side == Side::Second)].extend(data),
                Piece::Note(note) => notes.push(note),
                Piece::Fin => fins += 1,
                other => bail!("{other:?} in a stream without loss"),
            }
        }
        let head = said[1].windows(4).position(|w| w == b"\r\n\r\n").context("no head")?;
        ensure!(said[1][head + 4..] == wire.file, "the stream's bytes are not the file's");
        ensure!(notes.iter().any(|n| n.starts_with("GET /file.bin HTTP/1.1")), "{notes:?}");
        ensure!(notes.iter().any(|n| n.starts_with("HTTP/1") && n.contains("200")), "{notes:?}");
        let request = String::from_utf8_lossy(&said[0]);
        ensure!(request.contains("Cookie:*") && !request.contains("open-sesame"), "{request}");
        Ok(())
    })
}

/// `tshark` finds as many packets, the request, the links' names and whose the addresses are.
pub(crate) fn tshark(context: &mut Context) -> Result<()> {
    let wire = Wire::lay()?;
    let served = Served::start(context, &["--allow-payload"])?;
    let path = format!("/wire.pcapng?netns={}&filter=tcp&seconds=8&payload=1", wire.netns()?);
    let (head, body) = wire.saved(&served, &path)?;
    ensure!(head.contains(" 200 ") && head.contains("attachment; filename=\"glasshull-"), "{head}");
    let saved = wire.folder.path().join("seen.pcapng");
    fs::write(&saved, &body)?;
    let fields = ["frame.interface_name", "ip.src_host", "http.request.uri", "tcp.len"];
    let mut command = Command::new("tshark");
    command.args(["-N", "n", "-T", "fields", "-r"]).arg(&saved);
    command.args(fields.iter().flat_map(|field| ["-e", field]));
    let output = command.args(["-d", "tcp.port==8000,http"]).output().context("run tshark")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && !said.contains("appears to be damaged"), "{said}");
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    ensure!(lines.len() >= 8, "only {} packets: {text}", lines.len());
    let column = |i: usize| lines.iter().filter_map(|l| l.get(i).copied()).collect::<BTreeSet<_>>();
    ensure!(column(0) == BTreeSet::from(["w0"]), "links: {:?}", column(0));
    let names = BTreeSet::from([wire.near.as_str(), wire.far.as_str()]);
    ensure!(column(1) == names, "names: {:?}", column(1));
    ensure!(column(2).contains("/file.bin"), "requests: {:?}", column(2));
    let from_server = lines.iter().filter(|l| l.get(1) == Some(&wire.far.as_str()));
    let carried: usize = from_server.filter_map(|l| l.get(3)?.parse::<usize>().ok()).sum();
    ensure!(carried > wire.file.len(), "{carried} bytes of {}", wire.file.len());
    Ok(())
}

/// Without `--allow-payload`: asking for it is refused, and neither frames nor the file hold a byte of it.
pub(crate) fn headers_only(context: &mut Context) -> Result<()> {
    let wire = Wire::lay()?;
    let served = Served::start(context, &[])?;
    block_on(async {
        let mut look = Look::start(&served, wire.start("", true)?).await?;
        let why = look.until(|s| if let Sight::Refused(why) = s { Some(why) } else { None }).await?;
        ensure!(why == Refusal::Payload, "{why:?}");
        let mut look = Look::start(&served, wire.start("tcp", false)?).await?;
        look.begun().await?;
        wire.get("file.bin", &["--header", &format!("X-Mark: {MARK}")])?;
        let rows = look.until(|s| if let Sight::Packets(rows) = s { Some(rows) } else { None }).await?;
        for row in &rows {
            look.order(&Order::Detail { number: row.number }).await?;
            let detail = look.until(|s| if let Sight::Detail(d) = s { Some(d) } else { None }).await?;
            ensure!(detail.bytes.is_none() && !detail.layers.is_empty(), "{detail:?}");
        }
        let conversation = rows.iter().find_map(|row| row.conversation).context("no conversation")?;
        look.order(&Order::Follow { conversation }).await?;
        look.order(&Order::Stop).await?;
        let (_, ended) = look.rest().await?;
        ensure!(ended == Ended::Stopped, "{ended:?}");
        let holds = |bytes: &[u8]| bytes.windows(MARK.len()).any(|w| w == MARK.as_bytes());
        ensure!(!holds(&look.frames), "payload left in a frame");
        ensure!(!String::from_utf8_lossy(&look.frames).contains("GET /"), "a request left in a frame");
        let path = format!("/wire.pcapng?netns={}&seconds=8", wire.netns()?);
        let (head, _) = served.get(&format!("{path}&payload=1"))?;
        ensure!(head.contains("403"), "{head}");
        let (_, body) = wire.saved(&served, &path)?;
        ensure!(body.len() > 800 && !holds(&body), "{} bytes, payload in them: {}", body.len(), holds(&body));
        Ok(())
    })
}

/// The compiler's words reach whoever typed the filter; packets and bytes end a look by themselves.
pub(crate) fn filter_and_limits(context: &mut Context) -> Result<()> {
    let wire = Wire::lay()?;
    let served = Served::start(context, &[])?;
    block_on(async {
        let mut look = Look::start(&served, wire.start("tcp prot 80", false)?).await?;
        let why = look.until(|s| if let Sight::Refused(why) = s { Some(why) } else { None }).await?;
        ensure!(matches!(&why, Refusal::Filter(text) if text.contains("syntax error")), "{why:?}");
        let usual = wire.start("tcp", false)?;
        for (limits, expected) in [
            (Limits { packets: 5, ..Limits::USUAL }, Ended::Packets),
            (Limits { bytes: 400, ..Limits::USUAL }, Ended::Bytes),
            (Limits { secs: 1, ..Limits::USUAL }, Ended::Time),
        ] {
            let mut look = Look::start(&served, Start { limits, ..usual.clone() }).await?;
            look.begun().await?;
            if expected != Ended::Time {
                wire.get("file.bin", &[])?;
            }
            let (rows, ended) = look.rest().await?;
            ensure!(ended == expected, "{ended:?} instead of {expected:?}");
            ensure!(rows.len() <= 5 || expected != Ended::Packets, "{} packets", rows.len());
        }
        Ok(())
    })
}

/// Others' connections on loopback are listed, those of the dashboard are not.
pub(crate) fn own_stream(context: &mut Context) -> Result<()> {
    let served = Served::start(context, &[])?;
    let other = TcpListener::bind("127.0.0.1:0")?;
    let (own, there) = (served.address, other.local_addr()?);
    let netns = fs::metadata("/proc/self/ns/net")?.ino();
    let limits = Limits { secs: 20, ..Limits::USUAL };
    block_on(async {
        let start = Start { netns, ifindex: None, filter: "tcp".into(), limits, payload: false };
        let mut look = Look::start(&served, start).await?;
        look.begun().await?;
        let _visit = TcpStream::connect(there)?;
        // Somebody watches processes meanwhile: the dashboard sends all the time.
        let mut client = Client::connect(served.address, &[Topic::Process, Topic::ProcessStat]).await?;
        for _ in 0..2 {
            client.next().await?;
        }
        let _again = TcpStream::connect(there)?;
        look.order(&Order::Stop).await?;
        let (rows, _) = look.rest().await?;
        let names = |end: SocketAddr| {
            let end = end.to_string();
            rows.iter().filter(|row| row.source == end || row.destination == end).count()
        };
        ensure!(names(there) >= 3, "the other connection was not seen");
        ensure!(names(own) == 0, "{} packets of the dashboard", names(own));
        Ok(())
    })
}

/// When the last that kept a namespace alive goes, the look ends and the namespace with it.
pub(crate) fn namespace_ends(context: &mut Context) -> Result<()> {
    let name = format!("gh{}gone", std::process::id());
    ip(&["netns", "add", &name])?;
    let netns = fs::metadata(format!("/run/netns/{name}"))?.ino();
    let served = Served::start(context, &[])?;
    let ended = block_on(async {
        let mut look = Look::start(&served, Start { netns, ..Start::default() }).await?;
        let begun = look.begun().await;
        ip(&["netns", "delete", &name])?;
        begun?;
        look.rest().await
    })?;
    ensure!(ended.1 == Ended::Gone, "{:?}", ended.1);
    Ok(())
}
