//! One story that calls every query, told on SQLite and on PostgreSQL.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;

use engine::clock::Clock;
use engine::db::branches::{self, BranchOrder};
use engine::db::commits::{self, CommitFilter, CommitInfo, CommitResult, CommitState, NewCommit};
use engine::db::diffs::{self, DiffSource, StoredDiff};
use engine::db::journal::{self, Step, Verdict};
use engine::db::measures::{self, Bin, Measure, MeasureKind, Series};
use engine::db::members::{self, MemberFilter, Standing};
use engine::db::owners;
use engine::db::pulls::{self, PullFacts, PullFilter, PullState};
use engine::db::repos::{self, NewRepo, PrivateRepos, RepoFilter};
use engine::db::test_runs::{self, Outcome, TestRun, TestRunFilter};
use engine::db::tokens::{self, NewApiToken, UploadToken};
use engine::db::uploads::{
    self, CarriedUpload, Envelope, NewUpload, UploadKind, UploadState, UploadType,
};
use engine::db::{Conn, Db, Key, Page, Part, Place, Side, flags, sessions, settings, yamls};
use engine::id::{CommitId, FlagId, JournalId, OwnerId, RepoId, TestRunId, TokenId, UploadId};
use engine::model::Totals;
use engine::secret::hash_token;
use engine::testing::{Certificate, PostgresServer};
use engine::{Error, Result, testing};

const START_US: i64 = 1_790_000_000_000_000;

#[tokio::test]
async fn story_on_sqlite() {
    let test = testing::temp_sqlite(Clock::manual(START_US)).await;
    story(&test.db).await;
}

#[tokio::test]
async fn story_on_postgres() {
    let test = testing::postgres(Clock::manual(START_US)).await;
    story(&test.db).await;
}

#[tokio::test]
async fn migration_may_run_again_and_at_once_on_sqlite() {
    let test = testing::temp_sqlite(Clock::manual(START_US)).await;
    let other = Db::open(&test.url, Clock::manual(START_US)).await.unwrap();
    let (one, two) = tokio::join!(test.db.migrate(), other.migrate());
    assert!(one.is_ok() && two.is_ok());
}

#[tokio::test]
async fn migration_may_run_again_and_at_once_on_postgres() {
    let test = testing::postgres(Clock::manual(START_US)).await;
    let other = Db::open(&test.url, Clock::manual(START_US)).await.unwrap();
    let (one, two) = tokio::join!(test.db.migrate(), other.migrate());
    assert!(one.is_ok() && two.is_ok());
}

#[tokio::test]
async fn database_of_a_newer_program_is_refused() {
    let test = testing::temp_sqlite(Clock::manual(START_US)).await;
    let mut raw = sqlx::SqlitePool::connect(&test.url)
        .await
        .unwrap()
        .acquire()
        .await
        .unwrap();
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (9999, 'later', true, x'00', 0)",
    )
    .execute(&mut *raw)
    .await
    .unwrap();
    let refused = test.db.migrate().await.unwrap_err();
    assert!(
        matches!(&refused, Error::Migrate(why) if why.contains("9999") && why.contains("newer"))
    );
}

#[tokio::test]
async fn wrong_url_is_refused_with_the_right_form() {
    let refused = Db::open("mysql://here", Clock::system())
        .await
        .err()
        .unwrap();
    assert!(refused.to_string().contains("sqlite://path or postgres://"));
}

async fn story(db: &Db) {
    db.ping().await.unwrap();
    write(db, |conn| Box::pin(async move { tell(conn).await }))
        .await
        .unwrap();
}

async fn write<T: Send + 'static>(
    db: &Db,
    closure: impl for<'c> FnOnce(&'c mut Conn) -> futures_util::future::BoxFuture<'c, Result<T>>
    + Send
    + 'static,
) -> Result<T> {
    db.write(closure).await
}

async fn tell(conn: &mut Conn) -> Result<()> {
    let repo = owners_and_repos(conn).await?;
    tokens_open_what_they_should(conn, repo).await?;
    let commit = commits_and_branches(conn, repo).await?;
    pulls_keep_the_users_base(conn, repo).await?;
    a_providers_diff_outranks_a_clients(conn, repo).await?;
    a_stand_in_is_older_and_merged(conn, repo).await?;
    people_have_standings(conn, repo).await?;
    test_runs_are_found(conn, repo).await?;
    uploads_merge_once(conn, repo, commit).await?;
    uploads_are_carried_once(conn, repo, commit).await?;
    yamls_belong_to_owners_repositories_and_commits(conn, repo, commit).await?;
    measures_become_bins(conn, repo, commit).await?;
    journal_and_settings(conn, repo).await
}

async fn owners_and_repos(conn: &mut Conn) -> Result<RepoId> {
    let id = OwnerId::generate(START_US);
    let acme = owners::upsert_owner(conn, id, "github", "Acme", START_US).await?;
    let again =
        owners::upsert_owner(conn, OwnerId::generate(START_US), "github", "ACME", 5).await?;
    assert_eq!(
        (again.id, again.username.as_str(), again.created_us),
        (id, "ACME", START_US)
    );
    assert!(acme.upload_token_required);
    owners::set_upload_token_required(conn, id, false).await?;
    assert!(!owners::get_owner(conn, id).await?.upload_token_required);
    assert_eq!(
        owners::find_owner(conn, "github", "aCmE")
            .await?
            .unwrap()
            .id,
        id
    );
    assert!(owners::find_owner(conn, "gitlab", "acme").await?.is_none());
    assert!(
        owners::get_owner(conn, OwnerId(7))
            .await
            .unwrap_err()
            .is_not_found()
    );
    assert_eq!(
        owners::list_owners(conn, "github", None, Page::first(9))
            .await?
            .count,
        Some(1)
    );

    let mut ids = Vec::new();
    for (name, private) in [("Widgets", false), ("gad_gets", false), ("secret", true)] {
        let new = NewRepo {
            id: RepoId::generate(START_US),
            owner_id: id,
            name: name.into(),
            private,
        };
        ids.push(repos::upsert_repo(conn, &new, START_US).await?.id);
    }
    let (owner, widgets) = repos::find_repo(conn, "github", "acme", "widgets")
        .await?
        .unwrap();
    assert_eq!(
        (owner.id, widgets.id, widgets.active, widgets.activated),
        (id, ids[0], false, true)
    );
    assert_eq!(widgets.default_branch, "main");
    repos::activate_repo(conn, widgets.id, START_US + 1).await?;
    repos::set_repo_info(conn, widgets.id, Some("trunk"), None, START_US + 2).await?;
    let widgets = repos::get_repo(conn, widgets.id).await?;
    assert_eq!(
        (widgets.active, widgets.default_branch.as_str()),
        (true, "trunk")
    );
    assert_eq!(
        repos::list_repos_named(conn, "ACME", "Widgets").await?,
        std::slice::from_ref(&widgets)
    );

    let page = Page::first(10);
    let all = RepoFilter {
        private: PrivateRepos::All,
        ..RepoFilter::default()
    };
    let found = |rows: &[repos::Repo]| rows.iter().map(|repo| repo.id).collect::<Vec<_>>();
    let listed = repos::list_repos(
        conn,
        id,
        &all,
        Page {
            limit: 2,
            offset: 1,
        },
    )
    .await?;
    assert_eq!(
        (found(&listed.rows), listed.count),
        (vec![ids[1], ids[0]], Some(3))
    );
    let listed = repos::list_repos(conn, id, &RepoFilter::default(), page).await?;
    assert_eq!(found(&listed.rows), [ids[1], ids[0]]);
    let active = RepoFilter {
        active: Some(true),
        ..RepoFilter::default()
    };
    assert_eq!(
        found(&repos::list_repos(conn, id, &active, page).await?.rows),
        [ids[0]]
    );
    let search = RepoFilter {
        search: Some("D_G".into()),
        ..all.clone()
    };
    assert_eq!(
        found(&repos::list_repos(conn, id, &search, page).await?.rows),
        [ids[1]]
    );
    let named = RepoFilter {
        names: vec!["SECRET".into(), "widgets".into(), "none".into()],
        ..all
    };
    assert_eq!(
        found(&repos::list_repos(conn, id, &named, page).await?.rows),
        [ids[2], ids[0]]
    );
    Ok(ids[0])
}

async fn tokens_open_what_they_should(conn: &mut Conn, repo: RepoId) -> Result<()> {
    let token = UploadToken {
        id: TokenId::generate(START_US),
        repo_id: Some(repo),
        owner_id: None,
    };
    let hash = hash_token("0f9a2b4c-1d3e-4f50-8a61-72b8c9d0e1f2");
    tokens::insert_upload_token(conn, &token, &hash, START_US).await?;
    assert_eq!(tokens::find_upload_token(conn, &hash).await?, Some(token));
    tokens::revoke_upload_token(conn, token.id, START_US).await?;
    assert_eq!(tokens::find_upload_token(conn, &hash).await?, None);
    assert!(
        tokens::revoke_upload_token(conn, token.id, START_US)
            .await
            .unwrap_err()
            .is_not_found()
    );
    let next = UploadToken {
        id: TokenId::generate(START_US),
        ..token
    };
    tokens::insert_upload_token(conn, &next, &hash_token("next"), START_US).await?;
    assert_eq!(
        tokens::revoke_upload_tokens_of_repo(conn, repo, START_US).await?,
        1
    );
    assert_eq!(tokens::get_token_generation(conn, repo).await?, 1);

    let hash = hash_token("hl_x");
    let new = NewApiToken {
        id: TokenId::generate(START_US),
        hash,
        owner_id: None,
        name: "ci".into(),
        scope: "read".into(),
        expires_us: Some(START_US + 10),
    };
    tokens::insert_api_token(conn, &new, START_US).await?;
    tokens::touch_api_token(conn, new.id, START_US + 3).await?;
    let found = tokens::find_api_token(conn, &hash, START_US + 9)
        .await?
        .unwrap();
    assert_eq!(
        (found.name.as_str(), found.last_used_us),
        ("ci", Some(START_US + 3))
    );
    assert!(
        tokens::find_api_token(conn, &hash, START_US + 10)
            .await?
            .is_none()
    );
    assert_eq!(
        tokens::list_api_tokens(conn, None, Page::first(9))
            .await?
            .rows,
        [found]
    );
    let others = Some(OwnerId(1));
    let hers = tokens::list_api_tokens(conn, others, Page::first(9)).await?;
    assert_eq!(hers.count, Some(0));
    let refused = tokens::revoke_api_token(conn, new.id, others, START_US).await;
    assert!(refused.unwrap_err().is_not_found());
    tokens::revoke_api_token(conn, new.id, None, START_US).await?;
    assert!(
        tokens::find_api_token(conn, &hash, START_US)
            .await?
            .is_none()
    );
    Ok(())
}

fn new_commit(repo: RepoId, sha: &str, parent: Option<&str>, timestamp_us: i64) -> NewCommit {
    NewCommit {
        id: CommitId::generate(START_US),
        repo_id: repo,
        sha: sha.into(),
        parent_sha: parent.map(str::to_owned),
        branch: None,
        pull_id: None,
        message: None,
        author_id: None,
        timestamp_us,
        state: None,
    }
}

async fn commits_and_branches(conn: &mut Conn, repo: RepoId) -> Result<CommitId> {
    for (sha, parent, age_us) in [
        ("c", Some("b"), 0),
        ("b", Some("a"), 10),
        ("a", Some("unknown"), 20),
    ] {
        commits::upsert_commit(
            conn,
            &new_commit(repo, sha, parent, START_US - age_us),
            START_US,
        )
        .await?;
    }
    let c = commits::find_commit(conn, repo, "c").await?.unwrap();
    let filling = NewCommit {
        branch: Some("main".into()),
        ..new_commit(repo, "c", Some("x"), 0)
    };
    let filled = commits::upsert_commit(conn, &filling, START_US).await?;
    assert_eq!(
        (
            filled.id,
            filled.parent_sha.as_deref(),
            filled.branch.as_deref()
        ),
        (c.id, Some("b"), Some("main"))
    );
    let other = NewCommit {
        branch: Some("topic".into()),
        ..new_commit(repo, "c", None, 0)
    };
    assert_eq!(
        commits::upsert_commit(conn, &other, START_US)
            .await?
            .branch
            .as_deref(),
        Some("main")
    );
    let overwritten = commits::overwrite_commit(conn, &other, START_US).await?;
    assert_eq!(
        (
            overwritten.branch.as_deref(),
            overwritten.parent_sha.as_deref()
        ),
        (Some("topic"), Some("b"))
    );

    let shas = |rows: &[commits::Commit]| {
        rows.iter()
            .map(|commit| commit.sha.clone())
            .collect::<Vec<_>>()
    };
    let all = CommitFilter::default();
    let page = Page {
        limit: 2,
        offset: 1,
    };
    let listed = commits::list_commits(conn, repo, &all, page).await?;
    assert_eq!(
        (shas(&listed.rows), listed.count),
        (vec!["b".to_owned(), "a".to_owned()], Some(3))
    );
    for (filter, found) in [
        (branch_filter("topic"), vec!["c"]),
        (branch_filter("none"), vec![]),
        (
            CommitFilter {
                since_us: Some(START_US - 15),
                until_us: Some(START_US - 5),
                ..all.clone()
            },
            vec!["b"],
        ),
        (
            CommitFilter {
                state: Some(CommitState::Error),
                ..all.clone()
            },
            vec![],
        ),
        (
            CommitFilter {
                author: Some(OwnerId(1)),
                pull: Some(1),
                ..all.clone()
            },
            vec![],
        ),
    ] {
        let listed = commits::list_commits(conn, repo, &filter, Page::first(9)).await?;
        assert_eq!(shas(&listed.rows), found, "{filter:?}");
    }
    windows_of_commits_go_both_ways(conn, repo).await?;
    assert_eq!(
        shas(&commits::list_parents(conn, repo, "c", None, 9).await?),
        ["b", "a"]
    );
    assert_eq!(
        shas(&commits::list_parents(conn, repo, "c", None, 1).await?),
        ["b"]
    );

    commits::set_commit_report_created(conn, c.id, START_US).await?;
    commits::set_commit_state(conn, c.id, CommitState::Pending, START_US).await?;
    commits::lock_commit(conn, c.id).await?;
    let result = |fold: &str| CommitResult {
        state: CommitState::Complete,
        totals: Some("{}".into()),
        fold: Some(fold.into()),
    };
    assert!(commits::set_commit_result(conn, c.id, None, &result("one"), START_US).await?);
    assert!(!commits::set_commit_result(conn, c.id, None, &result("late"), START_US).await?);
    assert!(commits::set_commit_result(conn, c.id, Some("one"), &result("two"), START_US).await?);
    let c = commits::get_commit(conn, c.id).await?;
    assert_eq!(
        (c.fold.as_deref(), c.state, c.report_created),
        (Some("two"), Some(CommitState::Complete), true)
    );
    let branch = c.branch.as_deref();
    repos::set_repo_info(conn, repo, branch, None, START_US).await?;
    let settled = commits::list_default_totals(conn, &[repo], c.timestamp_us).await?;
    assert_eq!(settled.get(&repo), c.totals.as_ref());
    let earlier = commits::list_default_totals(conn, &[repo], c.timestamp_us - 1).await?;
    assert!(earlier.is_empty() && branch.is_some());

    branches::touch_branch(conn, repo, "main", "c", START_US, START_US).await?;
    branches::touch_branch(conn, repo, "main", "a", START_US - 20, START_US + 1).await?;
    branches::touch_branch(conn, repo, "dev", "b", START_US - 10, START_US - 5).await?;
    assert_eq!(
        branches::find_branch(conn, repo, "main")
            .await?
            .unwrap()
            .head,
        "c"
    );
    for (order, names) in [
        (BranchOrder::Name, ["dev", "main"]),
        (BranchOrder::NameDescending, ["main", "dev"]),
        (BranchOrder::Updated, ["dev", "main"]),
        (BranchOrder::UpdatedDescending, ["main", "dev"]),
    ] {
        let listed = branches::list_branches(conn, repo, None, order, Page::first(1)).await?;
        assert_eq!(
            (listed.rows[0].name.as_str(), listed.count),
            (names[0], Some(2))
        );
        let from = None;
        let part = Part::Beside { limit: 1, from };
        let from = branches::list_branches(conn, repo, None, order, part)
            .await?
            .after;
        let part = Part::Beside { limit: 1, from };
        let second = branches::list_branches(conn, repo, None, order, part).await?;
        assert_eq!(
            (second.rows[0].name.as_str(), second.after),
            (names[1], None)
        );
    }
    let nobodys = Some(OwnerId(1));
    let none = branches::list_branches(conn, repo, nobodys, BranchOrder::Name, Page::first(1));
    assert_eq!(none.await?.count, Some(0));
    Ok(c.id)
}

fn branch_filter(branch: &str) -> CommitFilter {
    CommitFilter {
        branch: Some(branch.into()),
        ..CommitFilter::default()
    }
}

/// Three commits in parts of one: forwards to the end, and back again.
async fn windows_of_commits_go_both_ways(conn: &mut Conn, repo: RepoId) -> Result<()> {
    let all = CommitFilter::default();
    let mut from = None;
    for (sha, last) in [("c", false), ("b", false), ("a", true)] {
        let listed =
            commits::list_commits(conn, repo, &all, Part::Beside { limit: 1, from }).await?;
        assert_eq!((listed.rows[0].sha.as_str(), listed.count), (sha, None));
        assert_eq!(listed.after.is_none(), last);
        from = match last {
            false => listed.after,
            true => listed.before,
        };
    }
    for (sha, first) in [("b", false), ("c", true)] {
        let listed =
            commits::list_commits(conn, repo, &all, Part::Beside { limit: 1, from }).await?;
        assert_eq!(
            (listed.rows[0].sha.as_str(), listed.before.is_none()),
            (sha, first)
        );
        from = listed.before;
    }
    Ok(())
}

async fn people_have_standings(conn: &mut Conn, repo: RepoId) -> Result<()> {
    let acme = repos::get_repo(conn, repo).await?.owner_id;
    let ann = OwnerId::generate(START_US);
    let ann = owners::upsert_owner(conn, ann, "github", "ann", START_US)
        .await?
        .id;
    owners::set_owner_names(conn, ann, Some("Ann Lee"), Some("ann@x.org")).await?;
    assert_eq!(members::find_standing(conn, acme, ann).await?, None);
    let belongs = Standing {
        belongs: true,
        ..Standing::default()
    };
    members::set_standing(conn, acme, ann, belongs).await?;
    members::set_activated(conn, acme, ann, true).await?;
    sessions::insert_session(conn, &hash_token("cookie"), ann, START_US, START_US + 9).await?;
    for (filter, count) in [
        (MemberFilter::default(), 1),
        (
            MemberFilter {
                activated: Some(false),
                ..MemberFilter::default()
            },
            0,
        ),
        (
            MemberFilter {
                admin: Some(false),
                search: Some("LEE x.org".into()),
                id: Some(ann),
                ..MemberFilter::default()
            },
            1,
        ),
        (
            MemberFilter {
                search: Some("lee bob".into()),
                ..MemberFilter::default()
            },
            0,
        ),
    ] {
        let listed = members::list_members(conn, acme, &filter, Page::first(9)).await?;
        assert_eq!(listed.count, Some(count), "{filter:?}");
        for member in listed.rows {
            assert_eq!(member.email.as_deref(), Some("ann@x.org"));
            assert_eq!(
                (member.activated, member.session_us),
                (true, Some(START_US + 9))
            );
        }
    }
    let mine = owners::list_owners(conn, "github", Some(ann), Page::first(9)).await?;
    let mine: Vec<_> = mine.rows.iter().map(|owner| owner.id).collect();
    assert_eq!(mine, [acme, ann]);

    members::add_reader(conn, ann, repo).await?;
    members::add_reader(conn, ann, repo).await?;
    assert!(members::is_reader(conn, ann, repo).await?);
    let hers = RepoFilter {
        private: PrivateRepos::ReadBy(ann),
        ..RepoFilter::default()
    };
    let seen = repos::list_repos(conn, acme, &hers, Page::first(9)).await?;
    assert_eq!(seen.count, Some(2));
    members::remove_reader(conn, ann, repo).await?;
    assert!(!members::is_reader(conn, ann, repo).await?);

    let hash = hash_token("cookie");
    let seen = sessions::find_session_owner(conn, &hash, START_US + 8).await?;
    assert_eq!(seen, Some(ann));
    let late = sessions::find_session_owner(conn, &hash, START_US + 9).await?;
    assert_eq!(late, None);
    sessions::delete_session(conn, &hash).await?;
    owners::set_auto_activate(conn, acme, false).await?;
    assert!(!owners::get_owner(conn, acme).await?.auto_activate);
    assert_eq!(
        owners::list_owners_by_id(conn, &[acme, ann]).await?.len(),
        2
    );
    Ok(())
}

async fn test_runs_are_found(conn: &mut Conn, repo: RepoId) -> Result<()> {
    for (name, outcome, duration_seconds) in [
        ("one", Outcome::Pass, Some(0.5)),
        ("two", Outcome::Failure, Some(2.0)),
        ("three", Outcome::Skip, None),
    ] {
        let run = TestRun {
            id: TestRunId::generate(START_US),
            repo_id: repo,
            upload_id: None,
            commit_sha: "c".into(),
            branch: Some("main".into()),
            test_id: "ab".into(),
            name: Some(name.into()),
            classname: Some("Cases".into()),
            testsuite: None,
            computed_name: None,
            outcome,
            duration_seconds,
            failure_message: None,
            framework: None,
            filename: None,
            flags: None,
            properties: (name == "two").then(|| "{}".to_owned()),
            timestamp_us: START_US,
        };
        test_runs::insert_test_run(conn, &run).await?;
    }
    let all = TestRunFilter {
        commit_sha: Some("c".into()),
        branch: Some("main".into()),
        ..TestRunFilter::default()
    };
    for (filter, count) in [
        (all.clone(), 3),
        (
            TestRunFilter {
                outcome: Some(Outcome::Pass),
                ..all.clone()
            },
            1,
        ),
        (
            TestRunFilter {
                duration_min: Some(0.5),
                duration_max: Some(1.0),
                ..all
            },
            1,
        ),
    ] {
        let listed = test_runs::list_test_runs(conn, repo, &filter, Page::first(9)).await?;
        assert_eq!(listed.count, Some(count), "{filter:?}");
    }
    let evaluated = test_runs::list_evaluations(conn, repo, "c", Some("Cases")).await?;
    assert_eq!(evaluated.len(), 1);
    Ok(())
}

async fn pulls_keep_the_users_base(conn: &mut Conn, repo: RepoId) -> Result<()> {
    pulls::set_user_base(conn, repo, 12, "a", START_US).await?;
    pulls::upsert_pull(conn, repo, 12, Some("c"), START_US).await?;
    pulls::upsert_pull(conn, repo, 12, None, START_US).await?;
    let pull = pulls::find_pull(conn, repo, 12).await?.unwrap();
    assert_eq!(
        (
            pull.head_sha.as_deref(),
            pull.user_provided_base_sha.as_deref()
        ),
        (Some("c"), Some("a"))
    );
    assert_eq!(pull.state, PullState::Open);
    let facts = PullFacts {
        base_sha: Some("b".into()),
        base_branch: Some("main".into()),
        state: PullState::Merged,
        title: Some("Faster".into()),
        author_id: None,
    };
    pulls::set_pull_facts(conn, repo, 12, &facts, START_US).await?;
    pulls::set_pull_comparison(conn, repo, 12, Some("a"), Some("{}")).await?;
    let pull = pulls::find_pull(conn, repo, 12).await?.unwrap();
    assert_eq!(pull.state, PullState::Merged);
    assert_eq!(pull.user_provided_base_sha.as_deref(), Some("a"));
    assert_eq!(
        (pull.base_sha.as_deref(), pull.compared_to.as_deref()),
        (Some("b"), Some("a"))
    );
    let unknown = pulls::set_pull_facts(conn, repo, 13, &facts, START_US).await;
    assert!(unknown.unwrap_err().is_not_found());

    let wanted = PullFilter {
        state: Some(PullState::Merged),
        since_us: Some(START_US),
        oldest_first: true,
    };
    let listed = pulls::list_pulls(conn, repo, wanted, Page::first(9)).await?;
    let head = commits::find_commit(conn, repo, "c").await?.unwrap();
    assert_eq!(
        (listed.count, &listed.rows[0].head_totals),
        (Some(1), &head.totals)
    );
    let detail = pulls::find_pull_detail(conn, repo, 12).await?.unwrap();
    assert_eq!(detail, listed.rows[0]);
    Ok(())
}

async fn a_providers_diff_outranks_a_clients(conn: &mut Conn, repo: RepoId) -> Result<()> {
    let stored = |source, hash: &str| StoredDiff {
        repo_id: repo,
        base_sha: "a".into(),
        head_sha: "c".into(),
        source,
        hash: hash.into(),
        size_bytes: 1,
        commits: None,
        created_us: START_US,
    };
    assert_eq!(diffs::find_diff(conn, repo, "a", "c").await?, None);
    let order = [
        (DiffSource::Client, "1", "1"),
        (DiffSource::Client, "2", "2"),
        (DiffSource::Provider, "3", "3"),
        (DiffSource::Client, "4", "3"),
        (DiffSource::Provider, "5", "5"),
    ];
    for (source, hash, kept) in order {
        diffs::upsert_diff(conn, &stored(source, hash)).await?;
        let found = diffs::find_diff(conn, repo, "a", "c").await?.unwrap();
        assert_eq!(found.hash, kept);
    }
    Ok(())
}

async fn a_stand_in_is_older_and_merged(conn: &mut Conn, repo: RepoId) -> Result<()> {
    let new = NewCommit {
        branch: Some("trunk".into()),
        ..new_commit(repo, "stand", None, START_US)
    };
    let stand = commits::upsert_commit(conn, &new, START_US).await?;
    let new = NewCommit {
        branch: Some("trunk".into()),
        pull_id: Some(77),
        ..new_commit(repo, "unmerged", None, START_US + 5)
    };
    commits::upsert_commit(conn, &new, START_US).await?;
    let found = commits::find_stand_in(conn, repo, "trunk", START_US + 9).await?;
    assert_eq!(found.unwrap().id, stand.id);
    let found = commits::find_stand_in(conn, repo, "trunk", START_US).await?;
    assert_eq!(found, None);
    let shas = ["unmerged", "unheard", "stand"].map(str::to_owned);
    let found = commits::list_commits_of(conn, repo, &shas).await?;
    assert_eq!(found.len(), 2);
    let none = commits::list_commits_of(conn, repo, &[]).await?;
    assert!(none.is_empty());
    let info = CommitInfo {
        message: Some("why".into()),
        author_id: None,
        timestamp_us: START_US - 7,
        parent_sha: Some("a".into()),
    };
    commits::set_commit_info(conn, stand.id, &info, START_US).await?;
    let told = commits::get_commit(conn, stand.id).await?;
    assert_eq!(told.message.as_deref(), Some("why"));
    assert_eq!(told.timestamp_us, START_US - 7);
    Ok(())
}

fn new_upload(repo: RepoId, commit: CommitId, flags: &[&str]) -> NewUpload {
    let id = UploadId::generate(START_US);
    NewUpload {
        id,
        external_id: format!("external-{id}"),
        repo_id: repo,
        commit_id: commit,
        kind: UploadKind::Coverage,
        upload_type: UploadType::Uploaded,
        provider: Some("github-actions".into()),
        build_code: None,
        build_url: None,
        job_code: None,
        name: None,
        env: None,
        storage_path: format!("raw/{id}"),
        envelope: Envelope::V1,
        attempt: None,
        uploader: None,
        flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
    }
}

async fn uploads_merge_once(conn: &mut Conn, repo: RepoId, commit: CommitId) -> Result<()> {
    let unit = new_upload(repo, commit, &["unit", "linux", "unit"]);
    let plain = new_upload(repo, commit, &[]);
    let broken = new_upload(repo, commit, &["unit"]);
    for new in [&unit, &plain, &broken] {
        assert_eq!(
            uploads::insert_upload(conn, new, START_US).await?.state,
            UploadState::Started
        );
    }
    assert_eq!(flags::list_flags(conn, repo).await?.len(), 2);
    let flag = flags::upsert_flag(conn, FlagId(1), repo, "unit").await?;
    assert!(flag.id != FlagId(1) && !flag.deleted);
    assert_eq!(
        uploads::find_upload(conn, &unit.external_id)
            .await?
            .unwrap()
            .id,
        unit.id
    );
    assert_eq!(
        uploads::find_upload_by_path(conn, &unit.storage_path)
            .await?
            .unwrap()
            .id,
        unit.id
    );
    assert_eq!(
        uploads::list_upload_flags(conn, unit.id).await?,
        ["linux", "unit"]
    );

    assert!(uploads::mark_uploaded(conn, unit.id, 10, "hash", START_US).await?);
    assert!(!uploads::mark_uploaded(conn, unit.id, 11, "other", START_US).await?);
    assert!(uploads::mark_merged(conn, plain.id, "pack-p", None, true, START_US).await?);
    assert!(uploads::mark_merged(conn, unit.id, "pack-u", Some("{}"), false, START_US).await?);
    assert!(!uploads::mark_merged(conn, unit.id, "pack-x", None, true, START_US).await?);
    assert!(uploads::mark_error(conn, broken.id, "report_empty", "{}", START_US).await?);
    assert!(!uploads::mark_error(conn, unit.id, "report_empty", "{}", START_US).await?);
    uploads::insert_upload_error(conn, broken.id, "warning", "{}", START_US).await?;
    let stored = uploads::get_upload(conn, unit.id).await?;
    assert_eq!(
        (
            stored.order_number,
            stored.size_bytes,
            stored.pack.as_deref()
        ),
        (Some(1), Some(10), Some("pack-u"))
    );

    let packs = uploads::list_packs(conn, commit).await?;
    let packs: Vec<_> = packs
        .iter()
        .map(|pack| (pack.pack.as_str(), pack.flags.len()))
        .collect();
    assert_eq!(packs, [("pack-p", 0), ("pack-u", 2)]);
    let listed =
        uploads::list_uploads(conn, commit, Some(UploadKind::Coverage), Page::first(9)).await?;
    let rows: Vec<_> = listed
        .rows
        .iter()
        .map(|row| (row.upload.id, row.flags.len(), row.errors.len()))
        .collect();
    assert_eq!(
        (rows, listed.count),
        (
            vec![(unit.id, 2, 0), (plain.id, 0, 0), (broken.id, 1, 2)],
            Some(3)
        )
    );
    let counted = HashMap::from([(UploadState::Merged, 2), (UploadState::Error, 1)]);
    assert_eq!(uploads::count_by_state(conn, commit).await?, counted);

    let results = NewUpload {
        kind: UploadKind::TestResults,
        ..new_upload(repo, commit, &[])
    };
    uploads::insert_upload(conn, &results, START_US).await?;
    let all = uploads::list_uploads(conn, commit, None, Page::first(9)).await?;
    assert_eq!((all.rows.len(), all.count), (4, Some(4)));
    let names = uploads::list_external_ids(conn, commit, plain.id, broken.id).await?;
    assert_eq!((names.len(), &names[&plain.id]), (2, &plain.external_id));
    assert!(uploads::mark_processed(conn, results.id, None, START_US).await?);
    assert!(
        uploads::get_upload(conn, UploadId(1))
            .await
            .unwrap_err()
            .is_not_found()
    );
    Ok(())
}

async fn uploads_are_carried_once(conn: &mut Conn, repo: RepoId, parent: CommitId) -> Result<()> {
    let new = NewCommit {
        id: CommitId::generate(START_US),
        repo_id: repo,
        sha: "child".into(),
        parent_sha: Some(commits::get_commit(conn, parent).await?.sha),
        branch: None,
        pull_id: None,
        message: None,
        author_id: None,
        timestamp_us: START_US,
        state: None,
    };
    let child = commits::upsert_commit(conn, &new, START_US).await?.id;
    let parent_sha = new.parent_sha.unwrap();
    let children = commits::list_children(conn, repo, &parent_sha, 9).await?;
    assert!(children.contains(&child));
    let source = uploads::list_packs(conn, parent).await?.pop().unwrap();
    assert_eq!((source.joined, source.source), (false, None));
    let carried = CarriedUpload {
        source: source.upload_id,
        from_sha: parent_sha.clone(),
        name: "CF[1] - unit".into(),
        pack: "pack-c".into(),
        totals: "{}".into(),
        joined: true,
    };
    uploads::insert_carried(conn, child, &carried, START_US).await?;
    uploads::insert_carried(conn, child, &carried, START_US).await?;
    let packs = uploads::list_packs(conn, child).await?;
    assert_eq!(packs.len(), 1);
    assert_eq!(packs[0].flags, ["linux", "unit"]);
    assert_eq!(packs[0].source, Some(source.upload_id));
    let row = uploads::get_upload(conn, packs[0].upload_id).await?;
    assert_eq!(
        (row.order_number, row.carried_from),
        (Some(0), Some(parent_sha))
    );
    let original = uploads::find_upload_by_path(conn, &row.storage_path).await?;
    assert_eq!(original.unwrap().id, source.upload_id);
    uploads::delete_carried(conn, source.upload_id).await?;
    uploads::get_upload(conn, source.upload_id).await?;
    uploads::delete_carried(conn, row.id).await?;
    assert!(uploads::list_packs(conn, child).await?.is_empty());

    assert!(flags::set_flag_deleted(conn, repo, "linux", true).await?);
    assert!(!flags::set_flag_deleted(conn, repo, "unheard", true).await?);
    assert!(
        flags::list_deleted_flags(conn, repo)
            .await?
            .contains("linux")
    );
    let shown = flags::page_flags(conn, repo, Page::first(9)).await?;
    assert_eq!(
        (shown.rows[0].name.as_str(), shown.count),
        ("unit", Some(1))
    );
    let beside = flags::page_flags(
        conn,
        repo,
        Part::Beside {
            limit: 9,
            from: None,
        },
    )
    .await?;
    assert_eq!((beside.rows, beside.count), (shown.rows, None));
    assert!(flags::set_flag_deleted(conn, repo, "linux", false).await?);
    Ok(())
}

async fn yamls_belong_to_owners_repositories_and_commits(
    conn: &mut Conn,
    repo: RepoId,
    commit: CommitId,
) -> Result<()> {
    let owner = repos::get_repo(conn, repo).await?.owner_id;
    assert_eq!(yamls::find_owner_yaml(conn, owner).await?, None);
    let hash = yamls::insert_yaml(conn, "comment: false", START_US).await?;
    assert_eq!(yamls::insert_yaml(conn, "comment: false", 5).await?, hash);
    assert_eq!(yamls::get_yaml(conn, &hash).await?, "comment: false");
    assert!(
        yamls::get_yaml(conn, "none")
            .await
            .unwrap_err()
            .is_not_found()
    );
    yamls::set_owner_yaml(conn, owner, Some(&hash)).await?;
    yamls::set_repo_yaml(conn, repo, Some(&hash), Some("sha"), START_US).await?;
    yamls::set_commit_yaml(conn, commit, Some(&hash)).await?;
    let text = yamls::find_owner_yaml(conn, owner).await?;
    assert_eq!(text.as_deref(), Some("comment: false"));
    let hashes = yamls::get_commit_yamls(conn, commit).await?;
    let same = Some(hash);
    assert_eq!(
        (&hashes.owner_hash, &hashes.repo_hash, &hashes.commit_hash),
        (&same, &same, &same)
    );
    let of_repo = yamls::get_repo_yamls(conn, repo).await?;
    assert_eq!(
        (of_repo.repo_sha.as_deref(), of_repo.commit_hash),
        (Some("sha"), None)
    );
    for params in ["{}", "{\"line\":1}"] {
        yamls::upsert_commit_error(conn, commit, "invalid_yaml", params, START_US).await?;
    }
    let errors = yamls::list_commit_errors(conn, commit).await?;
    assert_eq!(
        (errors.len(), errors[0].params.as_str()),
        (1, "{\"line\":1}")
    );
    yamls::delete_commit_error(conn, commit, "invalid_yaml").await?;
    assert!(yamls::list_commit_errors(conn, commit).await?.is_empty());
    Ok(())
}

async fn measures_become_bins(conn: &mut Conn, repo: RepoId, commit: CommitId) -> Result<()> {
    let measure = |kind, name: &str, hits, lines| Measure {
        kind,
        name: name.into(),
        totals: Totals {
            hits,
            lines,
            ..Totals::default()
        },
    };
    let counted = [
        measure(MeasureKind::Report, "", 3, 4),
        measure(MeasureKind::Flag, "unit", 1, 4),
    ];
    measures::set_measures(conn, commit, &[measure(MeasureKind::Flag, "gone", 1, 1)]).await?;
    measures::set_measures(conn, commit, &counted).await?;
    let flags = measures::list_measures(conn, commit, MeasureKind::Flag).await?;
    assert_eq!((flags.len(), flags["unit"].lines), (1, 4));
    let commit = commits::get_commit(conn, commit).await?;
    let bin_us = 1_000_000;
    let at = commit.timestamp_us / bin_us;
    let mut series = Series {
        repo,
        kind: MeasureKind::Report,
        name: String::new(),
        branch: commit.branch.clone(),
        origin_us: 0,
        bin_us,
        first_bin: at,
        last_bin: at,
    };
    let bin = Bin {
        bin: at,
        low: 75.0,
        high: 75.0,
        mean: 75.0,
    };
    let page = Page::first(9);
    let listed = measures::list_bins(conn, &series, page).await?;
    assert_eq!((listed.rows, listed.count), (vec![bin], Some(1)));
    for (side, expected) in [(Side::Before, vec![]), (Side::After, vec![bin])] {
        let bin = at - i64::from(side == Side::After);
        let from = Some(Place {
            side,
            key: vec![Key::Int(bin)],
        });
        let beside = Part::Beside { limit: 9, from };
        assert_eq!(
            measures::list_bins(conn, &series, beside).await?.rows,
            expected
        );
    }
    let behind = Page {
        limit: 9,
        offset: 9,
    };
    let listed = measures::list_bins(conn, &series, behind).await?;
    assert_eq!((listed.rows, listed.count), (vec![], Some(1)));
    assert_eq!(measures::find_bin_before(conn, &series).await?, None);
    series.first_bin = at + 1;
    series.last_bin = i64::MAX;
    let listed = measures::list_bins(conn, &series, page).await?;
    assert_eq!((listed.rows, listed.count), (vec![], Some(0)));
    assert_eq!(measures::find_bin_before(conn, &series).await?, Some(at));
    series.branch = Some("unheard".into());
    assert_eq!(measures::find_bin_before(conn, &series).await?, None);

    series.branch = commit.branch.clone();
    for timestamp_us in [commit.timestamp_us + bin_us, commit.timestamp_us] {
        let info = CommitInfo {
            message: None,
            author_id: None,
            timestamp_us,
            parent_sha: None,
        };
        commits::set_commit_info(conn, commit.id, &info, START_US).await?;
        let moved = measures::list_bins(conn, &series, page).await?.rows;
        assert_eq!(moved.len(), usize::from(timestamp_us > commit.timestamp_us));
    }
    Ok(())
}

async fn journal_and_settings(conn: &mut Conn, repo: RepoId) -> Result<()> {
    let step = Step {
        id: JournalId::generate(START_US),
        repo_id: repo,
        commit_sha: "c".into(),
        upload_id: None,
        step: "received".into(),
        verdict: Verdict::Ok,
        code: None,
        message: "received 10 bytes".into(),
        detail: Some("{\"size_bytes\":10}".into()),
        started_us: START_US,
        duration_us: 12,
    };
    journal::insert_step(conn, &step).await?;
    let none = journal::find_step(conn, UploadId(1), "received").await?;
    assert_eq!(none, None, "the step is no upload's");
    let before = step.id.before_us(1);
    assert_eq!(
        journal::list_steps_after(conn, repo, "c", before, 9).await?,
        std::slice::from_ref(&step)
    );
    assert_eq!(
        journal::list_steps_after(conn, repo, "c", step.id, 9).await?,
        []
    );
    let listed = journal::list_steps(conn, repo, "c", Page::first(9)).await?;
    assert_eq!((listed.rows, listed.count), (vec![step], Some(1)));
    assert_eq!(settings::find_setting(conn, "key").await?, None);
    assert_eq!(
        settings::get_or_insert_setting(conn, "key", "one").await?,
        "one"
    );
    assert_eq!(
        settings::get_or_insert_setting(conn, "key", "two").await?,
        "one"
    );
    assert_eq!(
        settings::find_setting(conn, "key").await?.as_deref(),
        Some("one")
    );
    Ok(())
}

#[tokio::test]
async fn postgresql_is_verified_over_tls() {
    let certificate = Certificate::make();
    let server = PostgresServer::start_tls(&certificate).await;
    let open = async |host: &str, root: &std::path::Path| {
        let port = server.address.rsplit(':').next().unwrap();
        let root = root.display();
        let url = format!(
            "postgres://hitline@{host}:{port}/postgres?sslmode=verify-full&sslrootcert={root}"
        );
        Db::open(&url, Clock::system()).await
    };
    let db = open("127.0.0.1", &certificate.file()).await.unwrap();
    db.migrate().await.unwrap();
    db.ping().await.unwrap();
    let other = Certificate::make();
    assert!(
        open("127.0.0.1", &other.file()).await.is_err(),
        "an authority that does not vouch for it"
    );
    assert!(
        open("localhost", &certificate.file()).await.is_err(),
        "a name that is not its own"
    );
}
