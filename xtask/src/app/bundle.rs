//! What wasm-bindgen and the splitting made + styles + page → files with hashed names → `frontend/dist`.
//! What a page fetches at once lies at the top, what comes later below [`LATER`].

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};

use super::split::{GLUE, LOADER};
use super::{hash, page};

/// File name below `frontend/dist` (with `/`) → content.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// Style sheets in the order of the cascade: single files and folders.
const STYLES: &[&str] = &["style/token.css", "style/base.css", "style/widget", "style/view"];

/// Folder of the chunks that the loader fetches when they are needed.
pub(crate) const LATER: &str = "later";

/// What wasm-bindgen calls the wasm that is fetched at once; the others are chunks.
const FIRST: &str = "app_bg.wasm";

/// The glue's import of JavaScript that crates bring along.
const SNIPPETS: &str = "./snippets/";

/// Names everything by its content, so that browsers may keep it for ever.
pub(super) fn gather(bound: &Path, root: &Path) -> Result<Files> {
    let mut files = Files::new();
    let wasm = read(&bound.join(FIRST))?;
    let wasm_name = add(&mut files, "app", "wasm", wasm);
    let glue = add_snippets(&mut files, bound)?;
    let loader = add_chunks(&mut files, bound)?;
    let (glue_name, loader_name) = add_pair(&mut files, &glue, &loader);
    // No inline script: the content security policy allows files of our own only.
    let boot = format!("import init from \"/{glue_name}\";\ninit({{ module_or_path: \"/{wasm_name}\" }});\n");
    let boot_name = add(&mut files, "boot", "js", boot.into_bytes());
    let style_name = add(&mut files, "app", "css", styles(root)?.into_bytes());
    let template = root.join("frontend/index.html");
    let text = fs::read_to_string(&template).with_context(|| template.display().to_string())?;
    let names = page::Names {
        style: &style_name,
        glue: &glue_name,
        loader: &loader_name,
        wasm: &wasm_name,
        boot: &boot_name,
    };
    files.insert("index.html".to_owned(), page::fill(&text, &names)?.into_bytes());
    Ok(files)
}

/// Adds `stem-HASH.extension`; gives the name.
fn add(files: &mut Files, stem: &str, extension: &str, content: Vec<u8>) -> String {
    let name = format!("{stem}-{}.{extension}", &hash(&content)[..12]);
    files.insert(name.clone(), content);
    name
}

/// Adds glue and loader. Each imports the other by name, so both are named by the hash of the two.
fn add_pair(files: &mut Files, glue: &str, loader: &str) -> (String, String) {
    let both = &hash([glue, loader].concat().as_bytes())[..12];
    let (glue_name, loader_name) = (format!("app-{both}.js"), format!("loader-{both}.js"));
    // Only what is imported: the name in the wasm's own list of imports stays.
    let from = |name: &str| format!("from\"{name}\"");
    let glue = glue.replace(&from(LOADER), &from(&format!("./{loader_name}")));
    let loader = loader.replace(&from(GLUE), &from(&format!("./{glue_name}")));
    files.insert(glue_name.clone(), glue.into_bytes());
    files.insert(loader_name.clone(), loader.into_bytes());
    (glue_name, loader_name)
}

/// Adds the chunks; gives the loader that fetches them by their new names.
fn add_chunks(files: &mut Files, bound: &Path) -> Result<String> {
    let mut loader = script(&bound.join(LOADER))?;
    for path in files_below(bound)?.iter().filter(|path| is_chunk(path)) {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = add(files, &format!("{LATER}/{}", stem.trim_start_matches("split_")), "wasm", read(path)?);
        let old = format!("\"./{stem}.wasm\"");
        ensure!(loader.matches(&old).count() == 1, "the loader does not fetch {stem} exactly once");
        loader = loader.replace(&old, &format!("\"./{name}\""));
    }
    Ok(loader)
}

fn is_chunk(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "wasm") && !path.ends_with(FIRST)
}

/// A script of what was made, without comments and white space.
fn script(path: &Path) -> Result<String> {
    let text = String::from_utf8(read(path)?).with_context(|| format!("{} is not UTF-8", path.display()))?;
    // Imports end with their line, which the minifier takes away.
    let ended = |line: &str| match line.starts_with("import ") && !line.ends_with(';') {
        true => format!("{line};\n"),
        false => format!("{line}\n"),
    };
    Ok(minifier::js::minify(&text.lines().map(ended).collect::<String>()).to_string())
}

/// Adds the crates' own JavaScript under a hashed folder; gives the glue that imports it from there.
fn add_snippets(files: &mut Files, bound: &Path) -> Result<String> {
    let glue = script(&bound.join(GLUE))?;
    let folder = bound.join("snippets");
    if !folder.is_dir() {
        return Ok(glue);
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
    Ok(glue.replace(SNIPPETS, &format!("./{to}/")))
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
        put(
            root.path(),
            "bound/app.js",
            "import * as one from \"./split.js\"\nimport * as two from \"./split.js\"\n\
             import { f } from './snippets/x-1/inline0.js';\nconst imports = { \"./split.js\": one };\n",
        );
        put(
            root.path(),
            "bound/split.js",
            "import { initSync } from \"./app.js\";\nfetch(new URL(\"./split_map.wasm\", import.meta.url));\n\
             fetch(new URL(\"./chunk_2.wasm\", import.meta.url));\n",
        );
        put(root.path(), "bound/split_map.wasm", "map");
        put(root.path(), "bound/chunk_2.wasm", "shared");
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

    /// The file whose name is `STEM-HASH.KIND`, as text.
    fn text<'a>(files: &'a Files, stem: &str, kind: &str) -> (&'a str, &'a str) {
        let is = |name: &str| name.starts_with(&format!("{stem}-")) && name.ends_with(kind);
        let (name, content) = files.iter().find(|(name, _)| is(name)).unwrap();
        (name, std::str::from_utf8(content).unwrap())
    }

    #[test]
    fn glue_and_loader_import_each_other_by_their_new_names() {
        let root = checkout();
        let files = gather(&root.path().join("bound"), root.path()).unwrap();
        let (glue, loader) = (text(&files, "app", ".js"), text(&files, "loader", ".js"));
        assert_eq!(glue.1.matches(&format!("from\"./{}\";", loader.0)).count(), 2, "{}", glue.1);
        assert!(glue.1.contains("{\"./split.js\":one"), "the wasm's own name of it went: {}", glue.1);
        assert!(loader.1.contains(&format!("from\"./{}\";", glue.0)), "{}", loader.1);
    }

    #[test]
    fn another_chunk_is_another_loader_and_another_glue() {
        let root = checkout();
        let bound = root.path().join("bound");
        let before = gather(&bound, root.path()).unwrap();
        put(&bound, "split_map.wasm", "another map");
        let after = gather(&bound, root.path()).unwrap();
        for (stem, kind) in [("later/map", ".wasm"), ("loader", ".js"), ("app", ".js")] {
            assert_ne!(text(&before, stem, kind).0, text(&after, stem, kind).0);
        }
        assert_eq!(text(&before, "later/chunk_2", ".wasm"), text(&after, "later/chunk_2", ".wasm"));
    }

    #[test]
    fn a_chunk_that_nothing_fetches_is_a_mistake() {
        let root = checkout();
        let bound = root.path().join("bound");
        put(&bound, "split_lost.wasm", "lost");
        let why = gather(&bound, root.path()).unwrap_err().to_string();
        assert!(why.contains("split_lost"), "{why}");
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
