//! Values of the command line but times: from words to what they mean, and what is allowed to those who gave another.

use std::net::SocketAddr;

use glasshull_shared::domain::wire::Limits;

/// Longest path of a socket: the kernel has 108 bytes for it (`sun_path`, unix(7)), the last of them 0.
const SOCKET_PATH_BYTES: usize = 107;

/// A socket: `unix:///path`, or the path alone.
pub(super) fn engine(text: &str) -> Result<String, String> {
    let text = text.trim();
    let path = text.strip_prefix("unix://").unwrap_or(text);
    if !path.starts_with('/') {
        return Err("only unix sockets are supported: give unix:///path/of/the.sock".into());
    }
    if path.len() > SOCKET_PATH_BYTES {
        return Err(format!(
            "a socket's path has at most {SOCKET_PATH_BYTES} bytes: give a shorter link to it"
        ));
    }
    Ok(text.to_owned())
}

/// Of a replay.
pub(super) fn speed(text: &str) -> Result<f32, String> {
    let speed = text.parse().ok().filter(|speed| (0.1..=1000.0).contains(speed));
    speed.ok_or_else(|| "a number from 0.1 to 1000, please".into())
}

/// A port that somebody can listen at.
pub(super) fn port(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|port| *port > 0).ok_or_else(|| "a number from 1 to 65535, please".into())
}

/// Of a list.
pub(super) fn top(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "a number of lines, please: 0, 20, …".into())
}

/// Of a look into a wire, which keeps them.
pub(super) fn packets(text: &str) -> Result<u32, String> {
    let most = Limits::MOST.packets;
    let packets = text.parse().ok().filter(|packets| (1..=most).contains(packets));
    packets.ok_or_else(|| format!("a number from 1 to {most}, please"))
}

/// Of what is taken at most: `512MiB`, `1GiB`, `4096`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let power = match unit.trim() {
        "" | "B" => Some(0),
        "K" | "KiB" => Some(10),
        "M" | "MiB" => Some(20),
        "G" | "GiB" => Some(30),
        "T" | "TiB" => Some(40),
        _ => None,
    };
    let bytes = power.and_then(|power| number.parse::<u64>().ok()?.checked_mul(1 << power));
    bytes.filter(|bytes| *bytes > 0).ok_or_else(|| "a size as 512MiB, 1GiB or 65536, please".into())
}

/// An image's name.
pub(super) fn image(text: &str) -> Result<String, String> {
    let is = glasshull_shared::archive::is_reference(text);
    is.then(|| text.to_owned())
        .ok_or_else(|| "a reference as alpine, registry:5000/name:tag or an id, please".into())
}

/// Where to listen.
pub(super) fn bind(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "an address with its port, please, as 127.0.0.1:7070, 0.0.0.0:7070 or [::1]:7070".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_bounds() {
        assert!(engine("http://box:2375").is_err() && engine("").is_err());
        assert!(engine("/run/docker.sock").is_ok());
        let path = |bytes| format!("unix:///{}", "s".repeat(bytes - 1));
        assert!(engine(&path(SOCKET_PATH_BYTES)).is_ok());
        assert!(engine(&path(SOCKET_PATH_BYTES + 1)).is_err());
        assert_eq!(packets("50000"), Ok(50_000));
        assert_eq!((size("65536"), size("512MiB"), size("1G")), (Ok(65_536), Ok(512 << 20), Ok(1 << 30)));
        assert!(
            ["", "MiB", "1.5GiB", "99999999999999999999", "99999999TiB", "1kB"]
                .iter()
                .all(|bad| size(bad).is_err())
        );
    }
}
