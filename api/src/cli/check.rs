//! `hitline check`: whether the coverage here is good enough by the statuses of the codecov.yml. The rules are those that
//! a server applies; the exit code says it to CI.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::bail;
use clap::Args;
use engine::compare::{FileComparison, compare};
use engine::pack::{Pack, Selected};
use engine::status::{Facts, Outcome, Rounding, Rule, Verdict, evaluate, is_merge_queue, rules};
use ingest::filter::PathPatterns;
use serde_json::json;

use super::offline::{BaseArgs, Change, Head, HeadArgs};
use super::print;
use super::upload::{branch_and_pull, git};

/// Arguments of `check`.
#[derive(Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    head: HeadArgs,

    #[command(flatten)]
    base: BaseArgs,

    /// The branch that is judged [default: the CI's, else the checkout's]
    #[arg(long, short = 'B')]
    branch: Option<String>,

    /// The pull request that is judged [default: the CI's, else none]
    #[arg(long = "pr", short = 'P')]
    pull: Option<String>,

    /// Judge all statuses, those of other branches and of pull requests, too
    #[arg(long)]
    all: bool,

    /// Print the statuses as JSON
    #[arg(long)]
    json: bool,
}

/// Applies each rule and prints its verdict. Errors: a status that failed.
pub(super) fn run(args: &CheckArgs) -> anyhow::Result<()> {
    let head = args.head.read()?;
    let base = args.base.read(&head, &args.head.flags)?;
    let change = args.base.change(&head.root)?;
    let flags: BTreeSet<String> = args.head.flags.iter().cloned().collect();
    let mut rules = rules(&head.yaml.effective, &flags);
    if !args.all {
        let place = Place::find(args, &head.root);
        rules.retain(|rule| place.wants(rule));
    }
    let verdicts = evaluate_all(&rules, &flags, &head, base.as_ref(), &change)?;
    match args.json {
        true => print(&json_of(&verdicts)?)?,
        false => verdicts.iter().try_for_each(|(rule, verdict)| {
            let (context, outcome) = (rule.context(), verdict.outcome.as_str());
            let note = match rule.informational {
                true => " (informational)",
                false => "",
            };
            print(&format!(
                "{outcome:<8} {context}: {}{note}",
                verdict.message
            ))
        })?,
    }
    let fails = |(rule, verdict): &&(&Rule, Verdict)| {
        !rule.informational && matches!(verdict.outcome, Outcome::Failure | Outcome::Error)
    };
    match verdicts.iter().filter(fails).count() {
        0 => Ok(()),
        failed => bail!("{failed} of {} statuses failed", verdicts.len()),
    }
}

/// What the coverage is of: a rule may be for some branches or for pull requests alone.
struct Place {
    branch: Option<String>,
    has_pull: bool,
}

impl Place {
    /// As the arguments say, else as an upload would tell it.
    fn find(args: &CheckArgs, root: &Path) -> Place {
        let (branch, pull) = branch_and_pull();
        let checked_out = || git::Checkout::find(root).ok()?.branch();
        let branch = args.branch.clone().or(branch).or_else(checked_out);
        let is_queued = branch.as_deref().is_some_and(is_merge_queue);
        Place {
            has_pull: args.pull.is_some() || pull.is_some() || is_queued,
            branch,
        }
    }

    /// Whether a server would judge by the rule; says so where it would not.
    fn wants(&self, rule: &Rule) -> bool {
        let why = match &self.branch {
            Some(branch) if !PathPatterns::new(&rule.branches).includes(branch) => {
                format!("it is not for the branch {branch}")
            }
            _ if rule.only_pulls && !self.has_pull => "it is for pull requests alone".into(),
            _ => return true,
        };
        eprintln!("hitline: {} is not checked: {why}", rule.context());
        false
    }
}

/// The verdict of each rule that can be judged here: one of flags that these reports do not have cannot.
fn evaluate_all<'a>(
    rules: &'a [Rule],
    flags: &BTreeSet<String>,
    head: &Head,
    base: Option<&Pack>,
    change: &Change,
) -> anyhow::Result<Vec<(&'a Rule, Verdict)>> {
    let nothing = engine::pack::encode::<&str>(&[], 0)?;
    let both = |keep: &dyn Fn(&str) -> bool| {
        let before = Selected::new(base.unwrap_or(&nothing), keep);
        let after = Selected::new(&head.pack, keep);
        compare(&before, &after, &change.diff)
    };
    let whole = both(&|_| true)?;
    let files: &[FileComparison] = match base {
        Some(_) => &whole.files,
        None => &[],
    };
    let mut verdicts = Vec::new();
    for rule in rules {
        if !rule.flags.is_empty() && !rule.flags.iter().any(|flag| flags.contains(flag)) {
            eprintln!(
                "hitline: {} is not checked: none of its flags is given with --flag",
                rule.context()
            );
            continue;
        }
        let patterns = PathPatterns::new(&rule.paths);
        let part = both(&|path| patterns.includes(path))?;
        let facts = Facts {
            head: Some(part.head),
            base: base.map(|_| part.base),
            patch: change.is_known.then_some(part.patch),
            files,
            base_sha: change.base_sha.as_deref(),
            head_sha: change.head_sha.as_deref().unwrap_or("head"),
            rounding: Rounding::of(&head.yaml.effective),
        };
        verdicts.push((rule, evaluate(rule, &facts)));
    }
    Ok(verdicts)
}

fn json_of(verdicts: &[(&Rule, Verdict)]) -> anyhow::Result<String> {
    let statuses = verdicts.iter().map(|(rule, verdict)| {
        json!({
            "context": rule.context(),
            "state": verdict.outcome.as_str(),
            "message": verdict.message,
            "informational": rule.informational,
        })
    });
    Ok(serde_json::to_string_pretty(&statuses.collect::<Vec<_>>())?)
}
