//! Engines that are absent, refuse or hang: real sockets, no engine needed. Real engines are the lab's business.

use std::os::unix::net::UnixListener;

use glasshull_shared::domain::engine::EngineState;

use super::*;

fn quick() -> Options {
    Options {
        deadline: Duration::from_millis(50),
        rescan: Duration::from_millis(20),
        back_off: (Duration::from_millis(10), Duration::from_millis(50)),
        ..Options::default()
    }
}

/// Waits for wakes until `endpoint` is in a state that `wanted` accepts.
async fn until(
    engines: &Engines,
    wake: &Notify,
    endpoint: &str,
    wanted: impl Fn(EngineState) -> bool,
) -> Arc<Engine> {
    loop {
        let reading = engines.read();
        let key = EngineKey { endpoint: endpoint.to_owned() };
        if let Some(engine) = reading.engines.get(&key).filter(|engine| wanted(engine.state)) {
            return Arc::clone(engine);
        }
        wake.notified().await;
    }
}

#[tokio::test]
async fn absent_refusing_and_hanging_engines_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let socket = |name: &str| format!("unix://{}", dir.path().join(name).display());
    let _hanging = UnixListener::bind(dir.path().join("hanging")).unwrap();
    drop(UnixListener::bind(dir.path().join("refusing")).unwrap());
    let wake = Arc::new(Notify::new());
    let given = vec![socket("hanging"), socket("refusing"), socket("absent"), "tcp://localhost:1".to_owned()];
    let engines = Engines::start(given, Arc::clone(&wake), quick());
    let settled = |state| state != EngineState::Connecting;

    let hanging = until(&engines, &wake, &socket("hanging"), settled).await;
    assert_eq!(hanging.state, EngineState::Hanging);
    let refusing = until(&engines, &wake, &socket("refusing"), settled).await;
    assert_eq!(refusing.state, EngineState::Failed);
    assert!(refusing.reason.as_deref().unwrap().contains("nobody listens"));
    let absent = until(&engines, &wake, &socket("absent"), settled).await;
    assert!(absent.reason.as_deref().unwrap().contains("no socket"));
    let foreign = until(&engines, &wake, "tcp://localhost:1", settled).await;
    assert!(foreign.reason.as_deref().unwrap().contains("only unix sockets"));
    assert!(engines.read().events.is_empty(), "what never was up cannot go down");
}

#[tokio::test]
async fn an_answer_without_end_costs_so_much_and_no_more() {
    use std::io::{Read as _, Write as _};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("endless");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[");
            // Until the other side has had enough.
            while stream.write_all(&[b' '; 1 << 16]).is_ok() {}
        }
    });
    let wake = Arc::new(Notify::new());
    let endpoint = format!("unix://{}", path.display());
    let options = Options { deadline: Duration::from_secs(60), ..quick() };
    let engines = Engines::start(vec![endpoint.clone()], Arc::clone(&wake), options);
    let engine = until(&engines, &wake, &endpoint, |state| state == EngineState::Failed).await;
    assert!(engine.reason.as_deref().unwrap().contains("16 MiB"), "{engine:?}");
}

#[tokio::test]
async fn a_socket_that_appears_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { root: Root::at(dir.path()), ..quick() };
    let wake = Arc::new(Notify::new());
    let engines = Engines::start(Vec::new(), Arc::clone(&wake), options);
    tokio::task::yield_now().await;
    assert!(engines.read().engines.is_empty());
    std::fs::create_dir(dir.path().join("run")).unwrap();
    let _socket = UnixListener::bind(dir.path().join("run/docker.sock")).unwrap();
    let endpoint = format!("unix://{}/run/docker.sock", dir.path().display());
    until(&engines, &wake, &endpoint, |state| state == EngineState::Hanging).await;
}

#[tokio::test]
async fn readings_of_one_generation_are_the_same_rows() {
    let wake = Arc::new(Notify::new());
    let engines = Engines::start(vec!["tcp://x".to_owned()], Arc::clone(&wake), quick());
    until(&engines, &wake, "tcp://x", |state| state == EngineState::Failed).await;
    let (a, b) = (engines.read(), engines.read());
    assert_eq!(a.generation, b.generation);
    assert!(a.engines.values().zip(b.engines.values()).all(|(a, b)| Arc::ptr_eq(a, b)));
}
