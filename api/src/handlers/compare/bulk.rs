//! Many comparisons in one call, for those who would ask one by one: each with its counts, or why there are none.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::Response;
use engine::db::owners::Owner;
use engine::db::repos::Repo;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::super::rest::report::{Batches, answer_list};
use super::super::rest::{Detail, RepoKey};
use super::asked::{CompareQuery, Pair};
use super::bodies::{ImpactedFile, TotalsBody};
use super::made::{Compared, Extent};
use crate::app::App;
use crate::auth::viewer::Viewer;
use crate::error::{Error, Result};

/// Comparisons of one call, at most.
const PAIRS_MAX: usize = 100;
/// Comparisons that are made at once.
const AT_ONCE: usize = 4;

/// What to compare.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PairsBody {
    /// At most 100.
    #[schema(max_items = 100)]
    pairs: Vec<PairKey>,
}

/// The commits of a pull request, or any two.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PairKey {
    /// The number of a pull request; its base and head are compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pullid: Option<i64>,
    /// The commit or branch that is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    base: Option<String>,
    /// The commit or branch that is compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    head: Option<String>,
}

/// What came of all of them, in their order.
#[derive(Serialize, ToSchema)]
struct BulkBody {
    #[schema(value_type = Vec<PairBody>)]
    results: [(); 0],
}

/// What came of one.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum PairBody {
    /// It was made.
    Made(Box<Made>),
    /// It could not be made.
    Failed(Failed),
}

/// A comparison.
#[derive(Serialize, ToSchema)]
struct Made {
    /// What was asked.
    asked: PairKey,
    /// The hash of the commit that is compared with.
    base_commit: String,
    /// The hash of the commit that is compared.
    head_commit: String,
    /// Counts of both reports and of the lines that the diff adds.
    totals: TotalsBody,
    /// Files that the comparison bears on.
    impacted_files: usize,
}

/// Why there is no comparison.
#[derive(Serialize, ToSchema)]
struct Failed {
    /// What was asked.
    asked: PairKey,
    /// The status that the call for this one would answer.
    status: u16,
    /// And its body.
    #[schema(value_type = Object)]
    error: Value,
}

/// `POST …/compare/bulk`: the counts of many comparisons. The answer begins with the first few and goes on as
/// the others are made.
#[utoipa::path(post, path = "/{service}/{owner}/repos/{repo}/compare/bulk", tag = "compare", params(RepoKey),
    request_body = PairsBody,
    responses((status = 200, body = BulkBody), (status = 400, body = Vec<String>), (status = 401, body = Detail),
        (status = 403, body = Detail), (status = 404, body = Detail)))]
pub async fn compare_many(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<RepoKey>,
    body: Bytes,
) -> Result<Response> {
    let (conn, owner, repo) = viewer
        .readable_repo(&app, &key.service, &key.owner, &key.repo)
        .await?;
    drop(conn);
    let PairsBody { pairs } = serde_json::from_slice(&body).map_err(|error| {
        Error::List(format!(
            "{error}; send {{\"pairs\": [{{\"base\": …, \"head\": …}}, {{\"pullid\": …}}]}} as JSON"
        ))
    })?;
    if pairs.len() > PAIRS_MAX {
        let why = format!("{} pairs; send at most {PAIRS_MAX} at once", pairs.len());
        return Err(Error::List(why));
    }
    let made = Bulk {
        app,
        owner,
        repo,
        pairs,
        next: 0,
    };
    answer_list(&BulkBody { results: [] }, "results", made).await
}

/// Comparisons that are still to be made.
struct Bulk {
    app: App,
    owner: Owner,
    repo: Repo,
    pairs: Vec<PairKey>,
    next: usize,
}

impl Batches for Bulk {
    fn is_done(&self) -> bool {
        self.next == self.pairs.len()
    }

    async fn write_batch(&mut self, out: &mut Vec<u8>) -> engine::Result<()> {
        let end = self.pairs.len().min(self.next + AT_ONCE);
        let batch = &self.pairs[self.next..end];
        for body in join_all(batch.iter().map(|asked| self.compare(asked))).await {
            if self.next > 0 {
                out.push(b',');
            }
            self.next += 1;
            serde_json::to_writer(&mut *out, &body)
                .map_err(|e| engine::Error::invalid("answer", e))?;
        }
        Ok(())
    }
}

impl Bulk {
    async fn compare(&self, asked: &PairKey) -> PairBody {
        match self.made(asked).await {
            Ok(made) => PairBody::Made(Box::new(made)),
            Err(error) => {
                let (status, error) = error.told();
                PairBody::Failed(Failed {
                    asked: asked.clone(),
                    status: status.as_u16(),
                    error,
                })
            }
        }
    }

    async fn made(&self, asked: &PairKey) -> Result<Made> {
        let query = CompareQuery {
            pullid: asked.pullid,
            base: asked.base.clone(),
            head: asked.head.clone(),
            has_diff: None,
        };
        let conn = self.app.db.read().await?;
        let names = (self.owner.clone(), self.repo.clone());
        let pair = Pair::of(&self.app, conn, names, &query).await?;
        let compared = Compared::new(&self.app, &pair, Extent::All).await?;
        Ok(Made {
            asked: asked.clone(),
            totals: compared.all_totals(&pair),
            impacted_files: match pair.base_uploads.is_empty() {
                true => 0,
                false => ImpactedFile::list(&compared).len(),
            },
            base_commit: pair.base.sha,
            head_commit: pair.head.sha,
        })
    }
}
