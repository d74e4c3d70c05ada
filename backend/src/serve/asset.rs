//! The browser app, embedded in the binary with its compressed forms.
//!
//! From `build.rs`, which made the list, to the browser: hashed names are kept for ever, everything else is asked for
//! again and mostly answered with 304. Why not memory-serve: see `build.rs`.

use axum::http::header::{self, HeaderMap, HeaderName};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};

use super::guard::accepts_html;

/// One file of the app.
#[derive(Debug)]
struct Asset {
    /// Path from the root, beginning with a slash.
    path: &'static str,
    content_type: &'static str,
    /// Hash of the content, without quotes.
    etag: &'static str,
    plain: &'static [u8],
    /// `None` when not worth it.
    brotli: Option<&'static [u8]>,
    /// As above.
    gzip: Option<&'static [u8]>,
}

static ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Stands in for an app that was not built.
static NOT_BUILT: Asset = Asset {
    path: "/index.html",
    content_type: "text/html; charset=utf-8",
    etag: "not-built",
    plain: include_bytes!("not_built.html"),
    brotli: None,
    gzip: None,
};

/// For a person who went to another path than the app's.
const NOT_FOUND: &str = include_str!("not_found.html");

/// Serves a file of the app, and the app itself at the root: it keeps its views in the query.
pub(crate) async fn serve(uri: Uri, headers: HeaderMap) -> Response {
    match find(ASSETS, uri.path()) {
        Some(asset) => answer(asset, &headers),
        None => not_found(&headers),
    }
}

fn find(assets: &'static [Asset], path: &str) -> Option<&'static Asset> {
    let path = if path == "/" { NOT_BUILT.path } else { path };
    let stand_in = || (path == NOT_BUILT.path).then_some(&NOT_BUILT);
    assets.iter().find(|asset| asset.path == path).or_else(stand_in)
}

/// A page for a person, one line for a program.
fn not_found(request: &HeaderMap) -> Response {
    let uncached = [(header::CACHE_CONTROL, "no-store")];
    if accepts_html(request) {
        (StatusCode::NOT_FOUND, uncached, Html(NOT_FOUND)).into_response()
    } else {
        (StatusCode::NOT_FOUND, uncached, "nothing is here; the dashboard is at /\n").into_response()
    }
}

fn answer(asset: &'static Asset, request: &HeaderMap) -> Response {
    let accepted = list(request, header::ACCEPT_ENCODING);
    let accepts = |coding: &str| accepted.iter().any(|one| accepts_coding(one, coding));
    let (body, coding) = match (asset.brotli, asset.gzip) {
        (Some(bytes), _) if accepts("br") => (bytes, Some("br")),
        (_, Some(bytes)) if accepts("gzip") => (bytes, Some("gzip")),
        (_, _) => (asset.plain, None),
    };
    // Each form has its own tag: they are different bytes.
    let etag = format!("\"{}{}\"", asset.etag, coding.map_or(String::new(), |c| format!("-{c}")));
    let known = list(request, header::IF_NONE_MATCH);
    let not_modified = known.iter().any(|tag| *tag == "*" || tag.trim_start_matches("W/") == etag);
    let mut response = if not_modified {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, asset.content_type)], body).into_response()
    };
    let cache = if is_hashed(asset.path) { "max-age=31536000, immutable" } else { "no-cache" };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(etag) = HeaderValue::try_from(etag) {
        headers.insert(header::ETAG, etag);
    }
    if let (Some(coding), false) = (coding, not_modified) {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    response
}

/// Whether the name holds a hash of the content: eight or more hexadecimal digits between separators, one of them a
/// digit (`app-3f9a1c2b.js`, but not `app-deadbeef.js` by bad luck nor `facade.css`).
fn is_hashed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.split(['-', '.', '_']).any(|part| {
        part.len() >= 8
            && part.bytes().all(|b| b.is_ascii_hexdigit())
            && part.bytes().any(|b| b.is_ascii_digit())
    })
}

/// Whether one item of `Accept-Encoding` names the coding and does not exclude it.
fn accepts_coding(item: &str, coding: &str) -> bool {
    let mut parts = item.split(';').map(str::trim);
    let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(coding));
    let excluded =
        parts.filter_map(|p| p.strip_prefix("q=")).any(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
    named && !excluded
}

/// The items of a header that is a list.
fn list(headers: &HeaderMap, name: HeaderName) -> Vec<&str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    static APP: [Asset; 2] = [
        Asset {
            path: "/index.html",
            content_type: "text/html; charset=utf-8",
            etag: "aa",
            plain: b"<html>",
            brotli: None,
            gzip: None,
        },
        Asset {
            path: "/app-0123abcd_bg.wasm",
            content_type: "application/wasm",
            etag: "bb",
            plain: b"plain",
            brotli: Some(b"br"),
            gzip: Some(b"gz"),
        },
    ];

    fn ask(asset: &'static Asset, headers: &[(HeaderName, &str)]) -> Response {
        let pairs = headers.iter().map(|(n, v)| (n.clone(), HeaderValue::from_str(v).unwrap()));
        answer(asset, &pairs.collect())
    }

    fn header(response: &Response, name: HeaderName) -> &str {
        response.headers().get(name).map_or("", |v| v.to_str().unwrap())
    }

    #[test]
    fn the_root_leads_to_the_app_and_what_is_unknown_nowhere() {
        for root in ["/", "/index.html"] {
            assert_eq!(find(&APP, root).unwrap().etag, "aa", "{root}");
            assert_eq!(find(&[], root).unwrap().etag, "not-built", "{root}");
        }
        assert_eq!(find(&APP, "/app-0123abcd_bg.wasm").unwrap().etag, "bb");
        for unknown in
            ["/containers", "/process/12/x", "/nope.js", "/a/../index.html", "//", "/.", "/%2f", ""]
        {
            assert!(find(&APP, unknown).is_none() && find(&[], unknown).is_none(), "{unknown}");
        }
    }

    #[test]
    fn the_best_accepted_form_is_served() {
        for (accept, coding) in
            [("gzip, deflate, br", "br"), ("gzip, br;q=0", "gzip"), ("GZIP;q=0.5", "gzip"), ("identity", "")]
        {
            let response = ask(&APP[1], &[(header::ACCEPT_ENCODING, accept)]);
            assert_eq!(header(&response, header::CONTENT_ENCODING), coding, "{accept}");
            assert_eq!(header(&response, header::VARY), "accept-encoding");
        }
    }

    #[test]
    fn what_the_browser_has_is_not_sent_again() {
        let first = ask(&APP[1], &[(header::ACCEPT_ENCODING, "br")]);
        let etag = header(&first, header::ETAG).to_owned();
        let again = |accept| {
            ask(
                &APP[1],
                &[(header::ACCEPT_ENCODING, accept), (header::IF_NONE_MATCH, &format!("\"x\", W/{etag}"))],
            )
        };
        assert_eq!(again("br").status(), StatusCode::NOT_MODIFIED);
        assert_eq!(again("gzip").status(), StatusCode::OK, "another form is not the same bytes");
    }

    #[test]
    fn only_hashed_names_are_kept_for_ever() {
        assert!(is_hashed("/app-0123abcd_bg.wasm") && is_hashed("/a/0123456789abcdef.css"));
        assert!(!is_hashed("/index.html") && !is_hashed("/0123abcd/app.js") && !is_hashed("/defacade.js"));
    }
}
