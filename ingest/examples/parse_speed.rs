//! How fast reports are read: `parse_speed FILE... [runs]`, each file as an upload of its own, with the files of
//! its repository if `FILE.network` lists them.

use std::time::Instant;

use ingest::envelope::{Budget, Envelope, UploadedFile};
use ingest::process_files;
use ingest::settings::Settings;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc; // as the server has it

#[expect(clippy::print_stdout, reason = "printing is what this program does")]
fn main() -> std::io::Result<()> {
    const DEFAULT_RUNS: usize = 10;
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    let runs = match names.last().and_then(|last| last.parse().ok()) {
        Some(runs) => {
            names.pop();
            runs
        }
        None => DEFAULT_RUNS,
    };
    let settings = Settings::parse("codecov: {max_report_age: false}");
    for name in names {
        let content = std::fs::read(&name)?;
        let network = std::fs::read_to_string(format!("{name}.network")).unwrap_or_default();
        let envelope = Envelope {
            network: network.lines().map(Into::into).collect(),
            files: vec![UploadedFile::new("", &content[..])],
            ..Envelope::default()
        };
        let mut best_s = f64::MAX;
        for _ in 0..runs {
            let start = Instant::now();
            let outcome = process_files(&envelope, &Budget::new(content.len()), &settings, &[], 0);
            best_s = best_s.min(start.elapsed().as_secs_f64());
            assert!(outcome.error.is_none(), "{name}: {:?}", outcome.error);
        }
        let mb_per_s = content.len() as f64 / best_s / 1e6;
        println!(
            "{name}: {:.1} ms, {mb_per_s:.0} MB/s (best of {runs})",
            best_s * 1e3
        );
    }
    Ok(())
}
