//! What lies in `contrib` for monitors.

use crate::metrics::{page, with_promtool};
use crate::openmetrics;
use crate::support::{Mount, Needs, run, trial};
use libtest_mimic::Trial;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub fn trials() -> Vec<Trial> {
    vec![
        trial("the_dashboard_and_the_alerts_name_metrics_that_there_are", Needs::Fuse, names),
        trial("the_dashboard_is_one_that_grafana_takes", Needs::Nothing, dashboard),
        trial("prometheus_is_served_by_a_script", Needs::Fuse, served),
        with_promtool("promtool_finds_no_fault_with_the_alerts", Needs::Nothing, alerts),
    ]
}

fn contrib(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib").join(path)
}

/// All words that begin as names of metrics do.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.starts_with("evsfs_")).map(str::to_owned).collect()
}

fn names() {
    let there = page(&Mount::new()).sample_names();
    for file in ["grafana/evsfs.json", "prometheus/evsfs.rules.yml", "prometheus/evsfs.test.yml"] {
        let text = std::fs::read_to_string(contrib(file)).unwrap();
        let named = metrics_in(&text);
        assert!(named.len() > 4, "{file}: {named:?}");
        let missing: Vec<&String> = named.difference(&there).collect();
        assert!(missing.is_empty(), "{file} names {missing:?}");
    }
    let readme = std::fs::read_to_string(contrib("../README.md")).unwrap();
    let missing: Vec<_> = metrics_in(&readme).difference(&there).cloned().collect();
    assert!(missing.is_empty(), "README.md names {missing:?}");
}

fn dashboard() {
    let text = std::fs::read_to_string(contrib("grafana/evsfs.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "panels with one id");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().unwrap();
        assert!(!panel["description"].as_str().unwrap().is_empty(), "{title}");
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let opened = query.matches(['(', '{', '[']).count();
            assert_eq!(opened, query.matches([')', '}', ']']).count(), "{title}: {query}");
            assert!(query.contains("$instance"), "{title} does not keep to the host");
        }
        let place = &panel["gridPos"];
        assert!(place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap() <= 24, "{title}");
    }
}

fn served() {
    let mount = Mount::new();
    let script = contrib("prometheus/evsfs-metrics");
    let mut server = match Command::new("python3")
        .arg(script)
        .arg(mount.mountpoint())
        .arg("127.0.0.1:0")
        .stdout(Stdio::piped())
        .spawn()
    {
        Ok(server) => server,
        Err(error) => return eprintln!("skipped: python3: {error}"),
    };
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
    let get = |path: &str| {
        let mut connection = TcpStream::connect(&address).unwrap();
        write!(connection, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer
    };
    let answers = [get("/metrics"), get("/"), {
        mount.stop();
        get("/metrics")
    }];
    server.kill().unwrap();
    server.wait().unwrap();
    let (head, body) = answers[0].split_once("\r\n\r\n").unwrap();
    assert!(
        head.contains(" 200 OK") && head.contains("application/openmetrics-text; version=1.0.0")
    );
    assert!(openmetrics::parse(body).families.len() > 25);
    assert!(answers[1].contains(" 404 ") && answers[2].contains(" 503 "), "{answers:?}");
}

fn alerts(promtool: &str) {
    for (verb, file) in [("check", "evsfs.rules.yml"), ("test", "evsfs.test.yml")] {
        let file = contrib("prometheus").join(file);
        let checked = run(promtool, &[verb, "rules", file.to_str().unwrap()]);
        assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);
    }
}
