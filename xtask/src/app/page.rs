//! The page: the template with links to the hashed files in place of its mark.

use anyhow::{Result, ensure};

/// Where the links go; stands once in the template's head.
const MARK: &str = "<!-- app -->";

/// Names of the app's files.
pub(super) struct Names<'a> {
    /// Style sheet.
    pub(super) style: &'a str,
    /// JavaScript half of the wasm.
    pub(super) glue: &'a str,
    /// Fetches chunks later; the glue imports it.
    pub(super) loader: &'a str,
    /// The wasm that is needed at once.
    pub(super) wasm: &'a str,
    /// The script that starts it.
    pub(super) boot: &'a str,
}

/// Puts the links into the template.
pub(super) fn fill(template: &str, names: &Names<'_>) -> Result<String> {
    ensure!(template.matches(MARK).count() == 1, "frontend/index.html must hold `{MARK}` exactly once");
    let Names { style, glue, loader, wasm, boot } = names;
    // The preloads let the browser fetch all at once instead of one after the other.
    let links = format!(
        "<link rel=\"stylesheet\" href=\"/{style}\">\n\
         <link rel=\"modulepreload\" href=\"/{glue}\">\n\
         <link rel=\"modulepreload\" href=\"/{loader}\">\n\
         <link rel=\"preload\" href=\"/{wasm}\" as=\"fetch\" type=\"application/wasm\" crossorigin>\n\
         <script type=\"module\" src=\"/{boot}\"></script>"
    );
    Ok(template.replace(MARK, &links))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names<'_> =
        Names { style: "s.css", glue: "g.js", loader: "l.js", wasm: "w.wasm", boot: "b.js" };

    #[test]
    fn the_mark_gives_way_to_five_links_and_no_inline_script() {
        let page = fill("<head>\n<!-- app -->\n</head>", &NAMES).unwrap();
        for name in ["/s.css", "/g.js", "/l.js", "/w.wasm", "src=\"/b.js\"></script>"] {
            assert_eq!(page.matches(name).count(), 1, "{name}");
        }
        assert!(!page.contains(MARK));
    }

    #[test]
    fn a_template_without_the_mark_or_with_two_is_refused() {
        assert!(fill("<head></head>", &NAMES).is_err());
        assert!(fill("<!-- app --><!-- app -->", &NAMES).is_err());
    }
}
