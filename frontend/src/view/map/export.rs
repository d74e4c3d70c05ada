//! The map as a file: the picture with every colour and letter written into it, so that it opens without the app.

use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Document, Element};

use super::window::Window;

/// What the style sheet says of a thing and a file must say itself: presentation attributes of SVG by the same names.
const WRITTEN: [&str; 13] = [
    "fill",
    "stroke",
    "stroke-width",
    "stroke-dasharray",
    "stroke-linecap",
    "opacity",
    "visibility",
    "font-family",
    "font-size",
    "font-weight",
    "font-variant-numeric",
    "letter-spacing",
    "text-anchor",
];
const NAME: &str = "glasshull-map.svg";
const SVG: &str = "http://www.w3.org/2000/svg";

/// Draws the whole picture, saves it, and goes back to what can be seen.
pub(super) fn save(window: Window) {
    window.set_whole(true);
    // By the frame after the next all of it is in the page.
    request_animation_frame(move || {
        request_animation_frame(move || {
            let saved = window.node.get_untracked().map(|node| download(&node));
            if let Some(Err(error)) = saved {
                leptos::logging::error!("the map was not saved: {error:?}");
            }
            window.set_whole(false);
        });
    });
}

fn download(node: &Element) -> Result<(), JsValue> {
    let Some(picture) = node.query_selector("svg.map-picture")? else { return Ok(()) };
    let text = text(&picture)?;
    let document = document();
    let parts = js_sys::Array::of1(&JsValue::from_str(&text));
    let kind = web_sys::BlobPropertyBag::new();
    kind.set_type("image/svg+xml");
    let blob = web_sys::Blob::new_with_str_sequence_and_options(&parts, &kind)?;
    let url = web_sys::Url::create_object_url_with_blob(&blob)?;
    let link: web_sys::HtmlAnchorElement = document.create_element("a")?.unchecked_into();
    link.set_href(&url);
    link.set_download(NAME);
    link.click();
    // The download has begun: it holds what it needs.
    set_timeout(move || drop(web_sys::Url::revoke_object_url(&url)), std::time::Duration::from_secs(10));
    Ok(())
}

/// The picture as the text of a file.
fn text(picture: &Element) -> Result<String, JsValue> {
    let copy: Element = picture.clone_node_with_deep(true)?.unchecked_into();
    let (here, there) = (picture.query_selector_all("*")?, copy.query_selector_all("*")?);
    for i in 0..here.length() {
        if let (Some(from), Some(to)) = (here.item(i), there.item(i)) {
            write_out(from.unchecked_ref(), to.unchecked_ref())?;
        }
    }
    write_out(picture, &copy)?;
    let document = document();
    let view_box = picture.get_attribute("viewBox").unwrap_or_default();
    let size: Vec<&str> = view_box.split(' ').skip(2).collect();
    copy.set_attribute("xmlns", SVG)?;
    if let [width, height] = size.as_slice() {
        copy.set_attribute("width", width)?;
        copy.set_attribute("height", height)?;
        let ground = ground(&document, width, height)?;
        copy.insert_before(&ground, copy.first_child().as_ref())?;
    }
    web_sys::XmlSerializer::new()?.serialize_to_string(&copy)
}

/// The page's colour behind the picture.
fn ground(document: &Document, width: &str, height: &str) -> Result<Element, JsValue> {
    let ground = document.create_element_ns(Some(SVG), "rect")?;
    ground.set_attribute("width", width)?;
    ground.set_attribute("height", height)?;
    let body = document.body().and_then(|body| window().get_computed_style(&body).ok().flatten());
    let colour = body.map(|style| style.get_property_value("background-color")).transpose()?;
    ground.set_attribute("fill", &colour.unwrap_or_default())?;
    Ok(ground)
}

/// Writes what the style sheet says of `from` into `to`, and takes out what means nothing outside the app.
fn write_out(from: &Element, to: &Element) -> Result<(), JsValue> {
    if let Some(style) = window().get_computed_style(from)? {
        for name in WRITTEN {
            let value = style.get_property_value(name)?;
            if !value.is_empty() {
                to.set_attribute(name, &value)?;
            }
        }
    }
    for name in ["class", "style", "href", "data-tone", "role"] {
        to.remove_attribute(name)?;
    }
    Ok(())
}
