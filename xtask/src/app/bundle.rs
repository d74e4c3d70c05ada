//! What wasm-bindgen made + styles + page → files with hashed names → `frontend/dist`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use super::{hash, page};

/// File name below `frontend/dist` (with `/`) → content.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// Style sheets in the order of the cascade: single files and folders.
const STYLES: &[&str] = &["style/token.css", "style/base.css", "style/widget", "style/view"];

/// The glue's import of JavaScript that crates bring along.
const SNIPPETS: &str = "./snippets/";

/// Names everything by its content, so that browsers may keep it for ever.
pub(super) fn gather(bound: &Path, root: &Path) -> Result<Files> {
    let mut files = Files::new();
    let wasm = read(&bound.join("app_bg.wasm"))?;
    let wasm_name = add(&mut files, "app", "wasm", wasm);
    let glue = add_snippets(&mut files, bound)?;
    let glue_name = add(&mut files, "app", "js", glue);
    // No inline script: the content security policy allows files of our own only.
    let boot = format!("import init from \"/{glue_name}\";\ninit({{ module_or_path: \"/{wasm_name}\" }});\n");
    let boot_name = add(&mut files, "boot", "js", boot.into_bytes());
    let style_name = add(&mut files, "app", "css", styles(root)?.into_bytes());
    let template = root.join("frontend/index.html");
    let text = fs::read_to_string(&template).with_context(|| template.display().to_string())?;
    let names = page::Names { style: &style_name, glue: &glue_name, wasm: &wasm_name, boot: &boot_name };
    files.insert("index.html".to_owned(), page::fill(&text, &names)?.into_bytes());
    Ok(files)
}

/// Adds `stem-HASH.extension`; gives the name.
fn add(files: &mut Files, stem: &str, extension: &str, content: Vec<u8>) -> String {
    let name = format!("{stem}-{}.{extension}", &hash(&content)[..12]);
    files.insert(name.clone(), content);
    name
}

/// Adds the crates' own JavaScript under a hashed folder; gives the glue that imports it from there.
fn add_snippets(files: &mut Files, bound: &Path) -> Result<Vec<u8>> {
    let glue = String::from_utf8(read(&bound.join("app.js"))?).context("the glue is not UTF-8")?;
    let glue = minifier::js::minify(&glue).to_string();
    let folder = bound.join("snippets");
    if !folder.is_dir() {
        return Ok(glue.into_bytes());
    }
    let mut contents = Files::new();
    for path in files_below(&folder)? {
        let name = path.strip_prefix(&folder)?.to_string_lossy().into_owned();
        contents.insert(name, read(&path)?);
    }
    let all: Vec<u8> =
        contents.iter().flat_map(|(name, content)| [name.as_bytes(), content].concat()).collect();
    let to = format!("snippets-{}", &hash(&all)[..12]);
    files.extend(contents.into_iter().map(|(name, content)| (format!("{to}/{name}"), content)));
    Ok(glue.replace(SNIPPETS, &format!("./{to}/")).into_bytes())
}

/// All style sheets in one, without comments and white space.
fn styles(root: &Path) -> Result<String> {
    let mut all = String::new();
    for path in STYLES.iter().map(|path| root.join(path)) {
        let sheets = if path.extension().is_some() { vec![path] } else { files_below(&path)? };
        for sheet in sheets.iter().filter(|sheet| sheet.extension().is_some_and(|kind| kind == "css")) {
            all += &fs::read_to_string(sheet).with_context(|| sheet.display().to_string())?;
            all.push('\n');
        }
    }
    let small = minifier::css::minify(&all).map_err(|why| anyhow!("the style sheets: {why}"))?;
    Ok(small.to_string())
}

/// Writes what differs and removes what is no longer part of the app.
/// Files that stay the same keep their time: the agent relinks only when the app has changed.
pub(super) fn write(dist: &Path, files: &Files) -> Result<()> {
    for (name, content) in files {
        let path = dist.join(name);
        if fs::read(&path).is_ok_and(|old| old == *content) {
            continue;
        }
        fs::create_dir_all(path.parent().unwrap_or(dist))?;
        fs::write(&path, content).with_context(|| path.display().to_string())?;
    }
    for path in files_below(dist)? {
        let name = path.strip_prefix(dist)?.to_string_lossy().into_owned();
        if !files.contains_key(&name) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Every file below `folder`, sorted; none when there is no such folder.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop().filter(|folder| folder.is_dir()) {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, name: &str, content: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn checkout() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        put(root.path(), "frontend/index.html", "<head><!-- app --></head>");
        for (name, content) in
            [("token", "1"), ("base", "2"), ("widget/table", "3"), ("view/a", "4"), ("view/b", "5")]
        {
            put(
                root.path(),
                &format!("style/{name}.css"),
                &format!("/* {name} */\na {{\n  order: {content};\n}}\n"),
            );
        }
        put(root.path(), "bound/app_bg.wasm", "wasm");
        put(root.path(), "bound/app.js", "import { f } from './snippets/x-1/inline0.js';");
        put(root.path(), "bound/snippets/x-1/inline0.js", "export const f = 1;");
        root
    }

    #[test]
    fn the_page_leads_to_every_file() {
        let root = checkout();
        let files = gather(&root.path().join("bound"), root.path()).unwrap();
        let text: String = files.values().map(|content| String::from_utf8_lossy(content)).collect();
        for name in files.keys().filter(|name| *name != "index.html") {
            assert!(text.contains(name.as_str()), "nothing names {name}");
        }
        let style = files.iter().find(|(name, _)| name.ends_with(".css")).unwrap();
        let order = |n: u8| style.1.windows(7).position(|found| found == format!("order:{n}").as_bytes());
        assert!((1..5).all(|n| order(n).is_some() && order(n) < order(n + 1)), "{:?}", style.1);
    }

    #[test]
    fn writing_touches_only_what_changed_and_removes_what_went() {
        let root = checkout();
        let dist = root.path().join("dist");
        let time = |name: &str| fs::metadata(dist.join(name)).unwrap().modified().unwrap();
        let mut files = Files::from([("a".to_owned(), b"1".to_vec()), ("s/b".to_owned(), b"2".to_vec())]);
        write(&dist, &files).unwrap();
        let before = time("a");
        files.remove("s/b");
        files.insert("c".to_owned(), b"3".to_vec());
        write(&dist, &files).unwrap();
        assert_eq!(time("a"), before);
        assert!(dist.join("c").exists() && !dist.join("s/b").exists());
    }
}
