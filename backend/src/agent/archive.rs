//! Files of containers: between who asks (`serve`) and the engines (`collect::container::archive`). Names come from the tables
//! as they are now; each transfer is a task of its own, and there are few at a time.

use std::sync::Arc;
use std::time::Duration;

use glasshull_shared::archive::Refusal;
use glasshull_shared::domain::engine::{EngineKey, EngineState};
use glasshull_shared::snapshot::{Snapshot, Topic, TopicSet};
use glasshull_shared::subject;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep, timeout};

use crate::collect::container::archive::{Form, Inside, Of, Source, Taken};
use crate::serve::archive::{Head, Part, Subject, Wanted, Wish};
use crate::serve::hub::Hub;

/// Transfers at a time.
const AT_MOST: usize = 4;
/// How long the engines may take to tell of their containers, when nobody else watches.
const TABLES_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks at whether they have.
const TABLES_STEP: Duration = Duration::from_millis(50);
/// The whole of one transfer.
const TRANSFER_WITHIN: Duration = Duration::from_secs(3600);
/// How long a client may take nothing.
const READER_WITHIN: Duration = Duration::from_secs(60);

/// What the command line says about files.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// Engines were named by a person.
    pub(crate) given: bool,
    /// Bytes for one answer.
    pub(crate) limit: u64,
}

/// Answers everybody who wants files, as long as somebody may come.
pub(crate) async fn run(mut wanted: mpsc::Receiver<Wanted>, hub: Arc<Hub>, setting: Setting) {
    let permits = Arc::new(Semaphore::new(AT_MOST));
    while let Some(one) = wanted.recv().await {
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            one.wish.refuse(Refusal::Busy);
            continue;
        };
        tokio::spawn(answer(one, permit, Arc::clone(&hub), setting.clone()));
    }
}

async fn answer(wanted: Wanted, permit: OwnedSemaphorePermit, hub: Arc<Hub>, setting: Setting) {
    let Wanted { subject, engine, path, wish, alive } = wanted;
    let inside = match find(&hub, &subject, engine.as_deref()).await {
        Ok((of, endpoints)) => open(&of, endpoints, &setting).await,
        Err(refusal) => Err(refusal),
    };
    match inside {
        Ok(inside) => {
            serve(&inside, &path, wish).await;
            inside.close().await;
        }
        Err(refusal) => wish.refuse(refusal),
    }
    drop((permit, alive));
}

/// Until it is done, the client has gone, or it takes too long.
async fn serve(inside: &Inside, path: &str, wish: Wish) {
    match wish {
        Wish::List(mut told) => {
            let listing = tokio::select! {
                listing = within(inside.list(path)) => listing,
                () = told.closed() => return,
            };
            // Whoever has gone does not miss it.
            drop(told.send(listing));
        }
        Wish::Take { tar, told, parts } => {
            let form = if tar { Form::Tar } else { Form::File };
            let taken = tokio::select! {
                taken = within(inside.take(path, form)) => taken,
                () = parts.closed() => return,
            };
            match taken {
                Ok(taken) => {
                    drop(told.send(Ok(Head { name: taken.name.clone(), size: taken.size })));
                    pump(taken, &parts).await;
                }
                Err(refusal) => drop(told.send(Err(refusal))),
            }
        }
    }
}

async fn within<T>(work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    timeout(TRANSFER_WITHIN, work).await.unwrap_or_else(|_| Err(Refusal::Engine("that took too long".into())))
}

/// Passes bytes on at the client's pace.
async fn pump(mut taken: Taken, parts: &mpsc::Sender<Part>) {
    let until = Instant::now() + TRANSFER_WITHIN;
    loop {
        let next = tokio::select! {
            next = taken.next() => next,
            () = parts.closed() => return,
        };
        let (part, more) = match next {
            Ok(Some(_)) if Instant::now() > until => (Part::Failed("that took too long".into()), false),
            Ok(Some(bytes)) => (Part::Bytes(bytes), true),
            Ok(None) => (Part::Whole, false),
            Err(refusal) => {
                tracing::warn!(why = refusal.text(), "a file was not sent whole");
                (Part::Failed(refusal.text()), false)
            }
        };
        // A client that takes nothing sees its transfer end without the word that it is whole.
        let sent = timeout(READER_WITHIN, parts.send(part)).await;
        if !more || !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

/// The first of the engines that has it.
pub(crate) async fn open(of: &Of, endpoints: Vec<String>, setting: &Setting) -> Result<Inside, Refusal> {
    let mut refused = Refusal::NotFound("no engine answers".into());
    for (number, endpoint) in endpoints.into_iter().enumerate() {
        let source = Source { endpoint, given: setting.given, limit: setting.limit };
        match Inside::open(&source, of.clone()).await {
            Ok(inside) => return Ok(inside),
            // One that has no such image says less than one that failed.
            Err(Refusal::NotFound(_)) if number > 0 => {}
            Err(why) => refused = why,
        }
    }
    Err(refused)
}

/// Whose files are meant, and which engines may have them.
async fn find(hub: &Arc<Hub>, subject: &Subject, engine: Option<&str>) -> Result<(Of, Vec<String>), Refusal> {
    let topics: TopicSet = [Topic::Container, Topic::Engine].into_iter().collect();
    // Collected as long as this lives.
    let _wanted = hub.subscribe(topics);
    let until = Instant::now() + TABLES_WITHIN;
    loop {
        let latest = hub.latest(topics);
        let found = latest.as_ref().map(|snapshot| named(snapshot, subject, engine));
        let told = latest.is_some_and(|snapshot| all_told(&snapshot));
        match found {
            Some(Ok(found)) => return Ok(found),
            Some(Err(refusal)) if told || Instant::now() >= until => return Err(refusal),
            None if Instant::now() >= until => {
                return Err(Refusal::Engine("containers of this host are not known yet; ask again".into()));
            }
            Some(Err(_)) | None => sleep(TABLES_STEP).await,
        }
    }
}

/// Whether each engine has told what it has, or has failed to.
fn all_told(snapshot: &Snapshot) -> bool {
    let mut engines = snapshot.engine.values().peekable();
    engines.peek().is_some() && engines.all(|engine| engine.state != EngineState::Connecting)
}

/// As [`find`], from the tables.
pub(crate) fn named(
    snapshot: &Snapshot,
    subject: &Subject,
    engine: Option<&str>,
) -> Result<(Of, Vec<String>), Refusal> {
    match subject {
        Subject::Container(name) => {
            let (key, row) = subject::find(&snapshot.container, name).map_err(Refusal::NotFound)?;
            let Some(engine) = &row.engine else {
                let why = "no engine that we can ask told of it, and only an engine gives files out";
                return Err(Refusal::NotFound(format!("{}: {why}", row.name)));
            };
            Ok((Of::Container { id: key.id.clone(), name: row.name.clone() }, vec![engine.clone()]))
        }
        Subject::Image(reference) => {
            let answers = |endpoint: &&EngineKey| {
                snapshot.engine.get(*endpoint).is_some_and(|row| row.state == EngineState::Connected)
            };
            let wanted = |key: &&EngineKey| engine.is_none_or(|engine| key.endpoint == engine);
            let all = snapshot.engine.keys().filter(answers).filter(wanted);
            let endpoints: Vec<String> = all.map(|key| key.endpoint.clone()).collect();
            if endpoints.is_empty() {
                let known: Vec<&str> = snapshot.engine.keys().map(|key| key.endpoint.as_str()).collect();
                let known = if known.is_empty() {
                    "none is known".into()
                } else {
                    format!("known: {}", known.join(", "))
                };
                return Err(Refusal::NotFound(format!("no engine to ask for an image answers; {known}")));
            }
            Ok((Of::Image(reference.clone()), endpoints))
        }
    }
}
