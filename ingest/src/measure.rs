//! What is counted of a commit beside its report: each of its flags and components.

use std::collections::BTreeMap;

use engine::Result;
use engine::db::measures::{Measure, MeasureKind};
use engine::db::uploads::UploadPack;
use engine::fold::{Folds, PackSet};
use engine::model::Totals;

use crate::components::Component;

/// Flags of one commit that are counted; of more, the first by name.
const FLAGS_MAX: usize = 2_000;

/// Counts the report, whose totals are known, each flag and each component. Folds that the cache has cost a look-up.
pub(crate) async fn measure(
    folds: &Folds,
    uploads: &[UploadPack],
    components: &[Component],
    report: Totals,
) -> Result<Vec<Measure>> {
    let mut measures = vec![Measure {
        kind: MeasureKind::Report,
        name: String::new(),
        totals: report,
    }];
    for (flag, packs) in packs_by_flag(uploads)? {
        measures.push(Measure {
            kind: MeasureKind::Flag,
            name: flag.to_owned(),
            totals: folds.report(&packs).await?.totals(),
        });
    }
    for component in components {
        measures.push(Measure {
            kind: MeasureKind::Component,
            name: component.id.clone(),
            totals: component_totals(folds, uploads, component).await?,
        });
    }
    measures.dedup_by(|later, first| (later.kind, &later.name) == (first.kind, &first.name));
    Ok(measures)
}

fn packs_by_flag(uploads: &[UploadPack]) -> Result<Vec<(&str, PackSet)>> {
    let mut names: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for upload in uploads {
        for flag in &upload.flags {
            names.entry(flag).or_default().push(upload.pack.parse()?);
        }
    }
    let sets = names.into_iter().take(FLAGS_MAX);
    Ok(sets
        .map(|(flag, packs)| (flag, packs.into_iter().collect()))
        .collect())
}

/// Counts of a component in the report of these uploads.
pub async fn component_totals(
    folds: &Folds,
    uploads: &[UploadPack],
    component: &Component,
) -> Result<Totals> {
    let counted: Vec<_> = uploads
        .iter()
        .filter(|upload| component.counts(upload))
        .cloned()
        .collect();
    let packs = match component.names_flags() {
        true => counted
            .iter()
            .map(|upload| upload.pack.parse())
            .collect::<Result<_>>()?,
        false => PackSet::of_uploads(&counted)?,
    };
    let header = folds.report(&packs).await?;
    let mut totals = Totals::default();
    for file in header
        .files
        .iter()
        .filter(|file| component.paths.includes(&file.path))
    {
        totals += file.totals;
        totals.files += u64::from(file.totals.lines > 0);
    }
    totals.sessions = counted.len() as u64;
    Ok(totals)
}
