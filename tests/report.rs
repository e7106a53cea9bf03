//! `anodiff report` as a user runs it, and its page as a browser shows it: on a phone, on a desk, in the dark.

mod program;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use program::{World, refused, succeed};
use serde_json::Value;

/// Browsers that have headless mode, by name in PATH; ANODIFF_CHROMIUM names another.
const BROWSERS: [&str; 5] = ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Leaves in `<pre id="probe">` what a person would see: sizes, colours, whether anything is wider than the window.
const PROBE: &str = r#"<script>addEventListener("load", () => {
  const seen = [...document.querySelectorAll("img, svg, table")].map(element => {
    const box = element.getBoundingClientRect();
    const label = element.alt ?? element.getAttribute("aria-label") ?? element.caption?.textContent ?? "";
    return {tag: element.tagName.toLowerCase(), width: box.width, height: box.height, loaded: element.naturalWidth ?? 1, label};
  });
  const result = {
    dark: matchMedia("(prefers-color-scheme: dark)").matches, paper: getComputedStyle(document.body).backgroundColor,
    ink: getComputedStyle(document.body).color, window: innerWidth, page: document.documentElement.scrollWidth, seen,
    fetched: performance.getEntriesByType("resource").filter(entry => !entry.name.startsWith("data:")).length,
  };
  const pre = document.createElement("pre");
  pre.id = "probe";
  pre.textContent = JSON.stringify(result);
  document.body.append(pre);
});</script></body>"#;

impl World {
    /// A run, pairs with intermediates, their quality and an evaluation, all below `all/`.
    fn fill(&self) {
        let model = ["--data", "data", "--model", "model"];
        let train = ["--out", "all/run", "--steps", "30", "--batch-size", "2", "--resolution", "32", "--validate-every", "15"];
        succeed(self.command("train", &[&model[..], &train].concat()));
        for defect in ["dot", "line"] {
            let pairs = ["--learned", "all/run", "--out", "all/pairs", "--object", "plate", "--type", defect, "--count", "3", "--steps", "4"];
            succeed(self.command("generate", &[&model[..], &pairs, &["--save-intermediates"]].concat()));
        }
        succeed(self.command("quality", &["--data", "data", "--generated", "all/pairs", "--out", "all/quality"]));
        let evaluate = ["--data", "data", "--generated", "all/pairs", "--out", "all/evaluation", "--compare", "--seeds", "2", "--resolution", "32"];
        succeed(self.command("evaluate", &[&evaluate[..], &["--width", "2", "--steps", "20", "--batch-size", "4"]].concat()));
    }
}

/// Text between the first `start` and the next `end`.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    Some(rest.split_once(end)?.0)
}

struct Browser(PathBuf);

impl Browser {
    /// None where there is none, which is said; a failure where everything has to be tested.
    fn find() -> Option<Self> {
        let named = env::var_os("ANODIFF_CHROMIUM").map(PathBuf::from);
        let folders: Vec<PathBuf> = env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
        let in_path = || folders.iter().flat_map(|folder| BROWSERS.map(|name| folder.join(name))).find(|path| path.is_file());
        let found = named.or_else(in_path);
        if found.is_none() {
            let strict = env::var_os("CI").is_some() || env::var_os("ANODIFF_CI").is_some_and(|value| value == "1");
            assert!(!strict, "no browser here: install one of {BROWSERS:?} or name it in ANODIFF_CHROMIUM");
            eprintln!("NOT RUN: the report's page in a browser; there is none of {BROWSERS:?} in PATH and none in ANODIFF_CHROMIUM");
        }
        found.map(Self)
    }

    /// What the page shows at a width, and what the browser's console said.
    fn look(&self, page: &Path, width: usize, dark: bool) -> (Value, String) {
        let mut command = Command::new(&self.0);
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom", "--virtual-time-budget=5000"]);
        command.arg(format!("--window-size={width},900")).arg(format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 }));
        let output = command.arg(format!("file://{}", page.display())).output().expect("the browser starts");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        let probe = between(&text, "<pre id=\"probe\">", "</pre>").unwrap_or_else(|| panic!("the page was not shown: {log}"));
        let probe = probe.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        let console = log.lines().filter(|line| line.contains(":CONSOLE")).collect::<Vec<_>>().join("\n");
        (serde_json::from_str(&probe).unwrap(), console)
    }
}

#[test]
fn everything_below_a_folder_is_on_one_page_that_a_browser_shows() {
    let world = World::with_test_normal();
    world.fill();
    let output = succeed(world.command("report", &["all", "--data", "data", "--json"]));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    let html = fs::read_to_string(world.path("all/report.html")).unwrap();
    for heading in [
        "Inspection networks: evaluation",
        "Quality of the generated pairs: quality",
        "Generated pairs: pairs",
        "Training: run",
        "Settings and files: run",
        "Settings and files: evaluation",
    ] {
        assert!(html.contains(&format!("<h2>{heading}</h2>")), "{heading}");
    }
    for part in
        ["plate: pixel ROC", "plate: image precision and recall", "Pixel AP, per cent", "Training loss", "found best and worst", "steps a second"]
    {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("http") && !html.contains("<script"), "the page is self-contained");
    // Twins say what the tables say.
    let tables: Value = serde_json::from_slice(&fs::read(world.path("all/report.json")).unwrap()).unwrap();
    assert_eq!(result["tables"], tables);
    assert_eq!(tables["quality-quality"]["rows"].as_array().unwrap().len(), 3);
    let csv = fs::read_to_string(world.path("all/report-evaluation-comparison.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 6, "{csv}");
    assert_eq!(tables.as_object().unwrap().len(), html.matches("<table>").count());
    for name in tables.as_object().unwrap().keys() {
        assert!(world.path(&format!("all/report-{name}.csv")).is_file(), "{name}");
    }

    let Some(browser) = Browser::find() else { return };
    let page = world.path("all/probed.html");
    fs::write(&page, html.replace("</body>", PROBE)).unwrap();
    let mut papers = Vec::new();
    for (width, dark) in [(390, false), (1280, false), (1280, true)] {
        let (seen, console) = browser.look(&page, width, dark);
        assert_eq!(console, "", "at {width} pixels");
        assert_eq!((&seen["dark"], &seen["fetched"]), (&dark.into(), &0.into()));
        assert!(seen["page"].as_f64() <= seen["window"].as_f64(), "the page is wider than its window of {width} pixels: {}", seen["page"]);
        let elements = seen["seen"].as_array().unwrap();
        assert!(elements.len() > 20, "{seen}");
        for element in elements {
            let size = |side: &str| element[side].as_f64().unwrap();
            assert!(size("width") > 100.0 && size("height") > 40.0 && size("loaded") > 0.0, "not to be seen at {width} pixels: {element}");
            assert!(!element["label"].as_str().unwrap().is_empty(), "without words for those who cannot see it: {element}");
        }
        papers.push((seen["paper"].clone(), seen["ink"].clone()));
    }
    assert_eq!(papers[0], papers[1]);
    assert!(papers[2].0 != papers[1].0 && papers[2].1 != papers[1].1, "dark mode has its own colours: {papers:?}");
}

#[test]
fn what_is_no_result_is_refused_by_name() {
    let world = World::with_test_normal();
    refused(world.command("report", &["data"]), &["data", "nothing to report"]);
    refused(world.command("report", &["nowhere"]), &["nowhere"]);
    refused(world.command("report", &["data", "--data", "nowhere"]), &["--data nowhere"]);
    for name in ["results.json", "quality.json"] {
        let folder = world.path(name.split('.').next().unwrap());
        fs::create_dir(&folder).unwrap();
        for content in ["{\"rows\": 3}", "not JSON"] {
            fs::write(folder.join(name), content).unwrap();
            refused(world.command("report", &[folder.to_str().unwrap()]), &[name]);
        }
    }
    let folder = world.path("settings");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("config.toml"), "[train]\ndata = \"/home/someone/data\"\nsteps = 3\n").unwrap();
    succeed(world.command("report", &["settings"]));
    let html = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(html.contains("…/data") && !html.contains("someone"), "no names of folders on this machine");
}
