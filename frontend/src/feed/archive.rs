//! Gets files and lists of containers from the agent, beside the socket: from its addresses below `/files/` to whoever asks in
//! the inspector. A transfer ends with whoever waits for it.

use js_sys::{Reflect, Uint8Array};
use leptos::prelude::window;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortController, ReadableStreamDefaultReader, RequestInit, Response};

use crate::store::archive::{Fetch, Fetched};

/// The way there.
pub const FETCH: Fetch = Fetch(|address, most| Box::pin(fetch(address, most)));

/// Ends what is still on its way.
struct Abort(AbortController);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn fetch(address: String, most: usize) -> Fetched {
    let mut fetched = Fetched::default();
    // A browser tells pages nothing about why; what came until then is told apart by its status.
    fetched.broken = read(&address, most, &mut fetched).await.is_err();
    fetched
}

async fn read(address: &str, most: usize, into: &mut Fetched) -> Result<(), JsValue> {
    let abort = Abort(AbortController::new()?);
    let init = RequestInit::new();
    init.set_signal(Some(&abort.0.signal()));
    let asked = JsFuture::from(window().fetch_with_str_and_init(address, &init));
    let response: Response = asked.await?.unchecked_into();
    into.status = response.status();
    let Some(body) = response.body() else {
        into.whole = true;
        return Ok(());
    };
    let reader: ReadableStreamDefaultReader = body.get_reader().unchecked_into();
    loop {
        let part = JsFuture::from(reader.read()).await?;
        if Reflect::get(&part, &JsValue::from_str("done"))?.is_truthy() {
            into.whole = true;
            return Ok(());
        }
        let part: Uint8Array = Reflect::get(&part, &JsValue::from_str("value"))?.unchecked_into();
        let room = u32::try_from(most.saturating_sub(into.bytes.len())).unwrap_or(u32::MAX);
        if part.length() > room {
            into.bytes.extend(part.subarray(0, room).to_vec());
            return Ok(());
        }
        into.bytes.extend(part.to_vec());
    }
}
