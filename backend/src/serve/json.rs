//! The debugging form of the wire (`/ws?format=json`): frames as JSON text, messages of the client as JSON.
//!
//! From a session, which has the binary frame like all others, to a person with a WebSocket tool. Made per client and
//! slow on purpose: nobody should build on it where the binary form will do.

use glasshull_shared::snapshot::table_json;
use glasshull_shared::wire::{ClientMessage, ServerFrame, WireError, decode, unpack};
use serde_json::{Map, Value, json};

/// A frame as JSON: `{"Hello": {…}}`, `{"Answer": {…}}`, `{"Notice": {…}}`, or
/// `{"Tick": {…}, "tables": {"process": {"full": …, "changed": […], "removed": […]}}}`.
///
/// # Errors
/// When the frame is none.
pub(crate) fn text(frame: &[u8]) -> Result<String, WireError> {
    let payload = unpack(frame)?;
    let value = match decode(&payload)? {
        ServerFrame::Message(message) => serde_json::to_value(message)?,
        ServerFrame::Tick(head, frames) => {
            let mut tables = Map::new();
            for table in frames {
                let rows = table_json(table.topic, table.full, table.bytes)?;
                tables.insert(table.topic.name().to_owned(), rows);
            }
            json!({ "Tick": head, "tables": Value::Object(tables) })
        }
    };
    Ok(value.to_string())
}

/// A client's message from JSON: `"Resync"`, `{"Subscribe": {"topics": [3, 4]}}`, `{"Ask": {…}}`.
///
/// # Errors
/// When it is none.
pub(crate) fn message(text: &str) -> Result<ClientMessage, WireError> {
    Ok(serde_json::from_str(text)?)
}
