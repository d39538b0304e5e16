//! The views of a run: its report in a browser, its events, `watch` in another terminal.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::program::{Bench, Folder, TINY, command, finish, number, run};

/// The scalars of an event file: (tag, step) to value. Every checksum is verified.
fn events(bytes: &[u8]) -> BTreeMap<(String, u64), f32> {
    let mut scalars = BTreeMap::new();
    let mut rest = bytes;
    let mut is_first = true;
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        assert_eq!(
            masked_sum(&rest[..8]),
            u32::from_le_bytes(rest[8..12].try_into().unwrap()),
            "sum of a length"
        );
        let data = &rest[12..12 + length];
        let sum = u32::from_le_bytes(rest[12 + length..16 + length].try_into().unwrap());
        assert_eq!(masked_sum(data), sum, "sum of an event");
        rest = &rest[16 + length..];
        let fields = fields(data);
        if is_first {
            assert_eq!(fields[&3][0], b"brain.Event:2");
            is_first = false;
            continue;
        }
        let step = fields.get(&2).map_or(0, |step| u64::from_le_bytes(step[0][..].try_into().unwrap()));
        let time = f64::from_le_bytes(fields[&1][0][..].try_into().unwrap());
        assert!(time > 1.7e9, "{time} is no time of ours");
        for value in self::fields(&fields[&5][0]).remove(&1).unwrap_or_default() {
            let value = self::fields(&value);
            let tag = String::from_utf8(value[&1][0].clone()).unwrap();
            let number = f32::from_le_bytes(value[&2][0][..].try_into().unwrap());
            let before = scalars.insert((tag.clone(), step), number);
            assert!(before.is_none(), "{tag} of step {step} comes twice");
        }
    }
    scalars
}

/// The fields of a protocol buffer by number; numbers as eight or four bytes.
fn fields(mut data: &[u8]) -> BTreeMap<u64, Vec<Vec<u8>>> {
    fn varint(data: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = data.split_first().unwrap();
            *data = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }
    let mut fields: BTreeMap<u64, Vec<Vec<u8>>> = BTreeMap::new();
    while !data.is_empty() {
        let key = varint(&mut data);
        let content = match key & 7 {
            0 => varint(&mut data).to_le_bytes().to_vec(),
            wire => {
                let length = match wire {
                    1 => 8,
                    5 => 4,
                    2 => varint(&mut data) as usize,
                    _ => panic!("wire type {wire}"),
                };
                let (content, rest) = data.split_at(length);
                data = rest;
                content.to_vec()
            }
        };
        fields.entry(key >> 3).or_default().push(content);
    }
    fields
}

/// The checksum by long division, bit by bit.
fn masked_sum(data: &[u8]) -> u32 {
    let mut sum = !0u32;
    for byte in data {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 };
        }
    }
    (!sum).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn event_file(folder: &Folder) -> Vec<u8> {
    let names: Vec<String> = crate::program::names(&folder.0);
    let files: Vec<&String> = names.iter().filter(|name| name.starts_with("events.out.tfevents.")).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    folder.bytes(files[0])
}

/// Fails unless the events have exactly the scalars of `metrics.jsonl`.
fn assert_events_are_the_metrics(folder: &Folder) {
    let mut events = events(&event_file(folder));
    for row in folder.rows("metrics.jsonl") {
        let stage = row["stage"].as_str().unwrap();
        let prefix = match row["kind"].as_str() {
            Some("eval") => format!("eval.{stage}/{}.{}", row["task"].as_str().unwrap(), row["level"]),
            _ => stage.to_owned(),
        };
        let step = row["step"].as_u64().unwrap();
        for (name, value) in row.as_object().unwrap().iter().filter(|(name, _)| *name != "step") {
            if let Some(value) = value.as_f64() {
                let found = events.remove(&(format!("{prefix}/{name}"), step));
                assert_eq!(found, Some(value as f32), "{prefix}/{name} of step {step}");
            }
        }
    }
    let left: Vec<_> =
        events.keys().filter(|(tag, _)| !tag.contains("_ci95/") && tag.matches('/').count() < 2).collect();
    assert!(left.iter().all(|(tag, _)| tag.contains("rewards/")), "more events than metrics: {left:?}");
}

#[test]
fn a_run_leaves_its_picture_and_its_events() {
    let bench = Bench::new(TINY);
    let folder = bench.trained("run", &[]);
    assert_events_are_the_metrics(&folder);
    let loads = folder.metrics("grpo", "grpo").iter().filter(|row| row.get("expert_load").is_some()).count();
    assert!(loads > 0, "no row has the load of each expert");

    // Written again from the folder alone, in another place.
    let moved = bench.path("moved");
    fs::rename(&folder.0, &moved).unwrap();
    let moved = Folder(moved);
    let kept = moved.bytes("report.html");
    fs::remove_file(moved.0.join("report.html")).unwrap();
    let path = moved.0.to_str().unwrap();
    run(&["report", path]).expect(0);
    assert!(kept == moved.bytes("report.html"), "the report differs from the one that the run wrote");

    let (page, figures, table) = (bench.path("page.html"), bench.path("figures"), bench.path("table.csv"));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let output =
        run(&["report", path, "--out", &text(&page), "--png", &text(&figures), "--csv", &text(&table)])
            .expect(0);
    assert!(output.stdout.lines().all(|line| Path::new(line).is_file()), "{}", output.stdout);
    assert!(output.stdout.lines().count() > 20, "{}", output.stdout);
    let rows = moved.rows("metrics.jsonl").len();
    assert_eq!(fs::read_to_string(table).unwrap().lines().count(), rows + 1);
}

#[test]
fn a_resumed_run_has_every_event_once() {
    let bench = Bench::new(TINY);
    bench.trained("run", &["--set", "stage.grpo.steps=6"]);
    let folder = Folder(bench.path("run"));
    // As if the run was killed in its fourth step, in the middle of a row and of an event.
    let last = folder.checkpoints();
    for name in last.iter().filter(|name| *name != "pretrain-40" && *name != "grpo-4") {
        fs::remove_dir_all(folder.0.join("checkpoints").join(name)).unwrap();
    }
    for name in crate::program::names(&folder.0).iter().filter(|name| name.starts_with("events.out")) {
        let bytes = folder.bytes(name);
        fs::write(folder.0.join(name), &bytes[..bytes.len() - 5]).unwrap();
    }
    fs::remove_file(folder.0.join("summary.json")).unwrap();
    bench.train("run", &["--set", "stage.grpo.steps=6", "--resume"]).expect(0);
    assert_events_are_the_metrics(&folder);
}

#[test]
fn folders_that_cannot_be_shown_give_an_error() {
    let bench = Bench::new(TINY);
    let missing = bench.path("missing");
    let missing = missing.to_str().unwrap();
    let error = run(&["report", missing]).expect(2).stderr;
    assert!(error.contains("no such folder") && !error.contains("panicked"), "{error}");
    let here = bench.recipe.parent().unwrap().to_str().unwrap();
    assert!(run(&["report", here]).expect(2).stderr.contains("metrics.jsonl"));
    fs::write(bench.path("metrics.jsonl"), "").unwrap();
    assert!(run(&["report", here]).expect(1).stderr.contains("no rows"));
    fs::write(bench.path("metrics.jsonl"), "{\"kind\":\"grpo\",\"step\":1,\"reward_mean\":0.5}\n").unwrap();
    run(&["report", here]).expect(0);
    assert!(run(&["watch", missing, "--once"]).expect(2).stderr.contains("metrics.jsonl"));
}

#[test]
fn a_watch_follows_a_run_and_ends_with_it() {
    let bench = Bench::new(TINY);
    let folder = bench.path("run");
    let path = folder.to_str().unwrap();
    // It waits for a folder that does not exist yet.
    let said = bench.path("said");
    let watch = command(&["watch", path])
        .stdout(Stdio::piped())
        .stderr(fs::File::create(&said).unwrap())
        .spawn()
        .unwrap();
    let has_said = || fs::read_to_string(&said).unwrap().contains("waiting for");
    let started = Instant::now();
    while !has_said() {
        assert!(started.elapsed() < Duration::from_secs(60), "nothing was said");
        std::thread::sleep(Duration::from_millis(10));
    }
    let folder = bench.trained("run", &[]);
    let mut output = finish(watch).expect(0);
    output.stderr = fs::read_to_string(&said).unwrap();
    assert!(output.stdout.contains("grpo 6/6") && output.stdout.ends_with("done\n"), "{}", output.stdout);
    assert!(!output.stderr.contains('\u{1b}') && !output.stdout.contains('\u{1b}'), "colour off a terminal");
    let reward = number(folder.metrics("grpo", "grpo").last().unwrap(), "reward_mean");
    assert!(output.stdout.contains(&format!("{reward:.3}")), "{}", output.stdout);
    // A finished run is shown at once; of an unfinished row, nothing is shown.
    assert_eq!(run(&["watch", path]).expect(0).stdout, output.stdout);
    fs::remove_file(folder.0.join("summary.json")).unwrap();
    let metrics = folder.read("metrics.jsonl");
    fs::write(folder.0.join("metrics.jsonl"), &metrics[..metrics.len() - 9]).unwrap();
    assert!(run(&["watch", path, "--once"]).expect(0).stdout.ends_with("running, or killed\n"));
}

#[cfg(unix)]
#[test]
fn an_interrupted_watch_says_so() {
    let bench = Bench::new(TINY);
    let folder = bench.path("never");
    let watch = command(&["watch", folder.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(700));
    Command::new("kill").args(["-INT", &watch.id().to_string()]).status().unwrap();
    finish(watch).expect(130);
}

/// The browser; `None` if there is none and this is not CI.
#[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .flat_map(|folder| ["chromium", "chromium-browser", "google-chrome"].map(|name| folder.join(name)))
        .chain([PathBuf::from("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")])
        .find(|path| path.is_file());
    assert!(found.is_some() || std::env::var("CI").as_deref() != Ok("true"), "chromium is not installed");
    if found.is_none() {
        eprintln!("skipped: the report is not opened, since chromium is not installed");
    }
    found
}

/// Opens a page in a window of this width; returns its content after its scripts, and the browser's log.
fn browse(browser: &Path, bench: &Bench, page: &Path, width: u32) -> (String, String) {
    // A new profile each time: one in use would pass the page to the window that has it.
    let profile = tempfile::tempdir_in(bench.recipe.parent().unwrap()).unwrap();
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
        ])
        .args(["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"])
        .args(["--enable-logging=stderr", "--v=0", "--virtual-time-budget=5000", "--dump-dom"])
        .arg(format!("--window-size={width},900"))
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// Inspects a page from inside: its content, its keyboard focus and its width.
const PROBE: &str = r#"<script>
const errors = [];
addEventListener("error", event => errors.push(String(event.message)));
addEventListener("load", () => {
  const all = selector => [...document.querySelectorAll(selector)];
  const shown = element => { const box = element.getBoundingClientRect(); return box.width > 100 && box.height > 50; };
  const takesFocus = element => { element.focus(); return document.activeElement === element; };
  const summaries = all("summary");
  const closed = summaries.map(one => one.parentElement.open);
  summaries.forEach(one => one.click());
  const toggled = summaries.every((one, at) => one.parentElement.open !== closed[at]);
  // What is folded away takes no focus.
  all("details").forEach(one => { one.open = true; });
  const root = document.documentElement;
  const wide = all("body *").filter(one => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest("svg, .scroll"));
  const result = {
    errors, width: innerWidth, scroll: root.scrollWidth, wide: wide.map(one => one.className || one.tagName),
    figures: all("figure").filter(one => shown(one.querySelector("svg"))).map(one => one.id.slice(7)),
    texts: all("figure").every(one => one.querySelectorAll("svg text").length > 3),
    focus: all("figure, nav a, summary, .column, .scroll").every(takesFocus),
    links: all("nav a").every(one => document.querySelector(one.getAttribute("href"))),
    columns: all(".column").length, completions: all(".completion pre").filter(one => one.textContent).length,
    toggled, loaded: performance.getEntriesByType("resource").length,
    ink: getComputedStyle(document.body).color,
  };
  parent.postMessage(btoa(JSON.stringify(result)), "*");
});
</script>"#;

/// Puts a page into a frame, since browser windows cannot be as narrow as a phone, and keeps the page's messages.
const FRAME: &str = r#"<!DOCTYPE html><script>
addEventListener("message", event => {
  const out = document.createElement("output");
  out.id = "probe"; out.textContent = event.data; document.body.append(out);
});
</script><body style="margin: 0">"#;

fn probed(browser: &Path, bench: &Bench, page: &Path, width: u32) -> Value {
    let text = fs::read_to_string(page).unwrap();
    // The page allows no scripts, so the inspecting script needs a copy that does.
    let policy = text.find("<meta http-equiv=\"Content-Security-Policy\"").expect("the page has a policy");
    let end = policy + text[policy..].find('>').unwrap() + 1;
    let copy = format!("{}{PROBE}{}", &text[..policy], &text[end..]);
    fs::write(bench.path("probe.html"), copy).unwrap();
    let path = bench.path("frame.html");
    let frame = format!(
        "{FRAME}<iframe src=\"probe.html\" width=\"{width}\" height=\"900\" style=\"border: 0\"></iframe></body>"
    );
    fs::write(&path, frame).unwrap();
    let (dom, log) = browse(browser, bench, &path, 1300);
    let start = dom.find("<output id=\"probe\">").unwrap_or_else(|| panic!("the page did not load:\n{log}"));
    let encoded = &dom[start + 19..];
    let encoded = &encoded[..encoded.find('<').unwrap()];
    serde_json::from_slice(&base64(encoded)).unwrap()
}

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for digit in text.bytes().filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte)) {
        bits = bits << 6 | digit as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

/// Figures of a run with pretraining and RL without a reference.
const FIGURES: [&str; 12] = [
    "reward",
    "accuracy",
    "length",
    "entropy",
    "clip",
    "batch",
    "behaviours",
    "expert-balance",
    "pretrain-loss",
    "experts",
    "reward-flops",
    "cost",
];

#[test]
fn a_browser_shows_the_report() {
    let Some(browser) = chromium() else { return };
    let bench = Bench::new(TINY);
    let folder = bench.trained("one", &[]);
    bench.trained("two", &["--set", "seed=8"]);
    let (one, two) = (folder.0.to_str().unwrap().to_owned(), bench.path("two").to_str().unwrap().to_owned());
    let both = bench.path("both.html");
    run(&["report", &one, &two, "--out", both.to_str().unwrap()]).expect(0);
    for (page, runs) in [(folder.0.join("report.html"), 1), (both, 2)] {
        // As it is: nothing on the console, and the policy is kept.
        let (_, log) = browse(&browser, &bench, &page, 1200);
        assert!(!log.contains("CONSOLE"), "{log}");
        for width in [1200, 390] {
            let seen = probed(&browser, &bench, &page, width);
            assert_eq!(seen["errors"], serde_json::json!([]), "{seen}");
            let shown: Vec<&str> =
                seen["figures"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            for figure in FIGURES.iter().filter(|figure| runs == 1 || **figure != "experts") {
                assert!(shown.contains(figure), "no {figure} at {width}: {shown:?}");
            }
            assert_eq!(seen["width"], width, "{seen}");
            assert!(number(&seen, "scroll") <= f64::from(width), "scrolls sideways: {seen}");
            assert_eq!(seen["wide"], serde_json::json!([]), "{seen}");
            for fact in ["texts", "focus", "links", "toggled"] {
                assert_eq!(seen[fact], true, "{fact} at {width}: {seen}");
            }
            assert_eq!(seen["columns"], 3 * runs, "{seen}");
            assert!(number(&seen, "completions") >= 6.0, "{seen}");
            assert_eq!(seen["loaded"], 0, "loads from elsewhere: {seen}");
        }
    }
}
