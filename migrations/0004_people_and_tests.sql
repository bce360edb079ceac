-- Who belongs where and may read what; their sessions; indexes for lists; runs of tests.

alter table owner add column email text;
alter table owner add column auto_activate boolean not null default true;

-- user_id's standing with owner_id: belongs (the provider says so), activated (may read private repositories), admin.
create table member (
    owner_id bigint not null references owner (id) on delete cascade,
    user_id bigint not null references owner (id) on delete cascade,
    belongs boolean not null,
    activated boolean not null,
    admin boolean not null,
    primary key (owner_id, user_id)
);

create index member_by_user on member (user_id, owner_id);

-- Private repositories of others that a user may read.
create table reader (
    user_id bigint not null references owner (id) on delete cascade,
    repo_id bigint not null references repo (id) on delete cascade,
    primary key (user_id, repo_id)
);

create index reader_by_repo on reader (repo_id);

create table login_session (
    id bigint primary key,
    hash bytea not null unique,
    owner_id bigint not null references owner (id) on delete cascade,
    created_us bigint not null,
    expires_us bigint not null
);

create index login_session_by_owner on login_session (owner_id, expires_us);

-- Counts how often the repository's upload tokens were revoked: the token that can be shown again follows from it.
alter table repo add column token_generation bigint not null default 0;

create index repo_by_owner on repo (owner_id, id);

create index pull_by_state on pull (repo_id, state, number);

create index commits_by_state on commits (repo_id, state, timestamp_us desc, id) where state is not null;
create index commits_by_pull on commits (repo_id, pull_id, timestamp_us desc, id) where pull_id is not null;
create index commits_by_author on commits (repo_id, author_id, timestamp_us desc, id) where author_id is not null;

create index api_token_by_owner on api_token (owner_id, id);

-- One run of one test. flags and properties are JSON.
create table test_run (
    id bigint primary key,
    repo_id bigint not null references repo (id) on delete cascade,
    upload_id bigint references upload (id) on delete cascade,
    commit_sha text not null,
    branch text,
    test_id text not null,
    name text,
    classname text,
    testsuite text,
    computed_name text,
    outcome text not null,
    duration_seconds double precision,
    failure_message text,
    framework text,
    filename text,
    flags text,
    properties text,
    timestamp_us bigint not null
);

create index test_run_by_time on test_run (repo_id, timestamp_us desc, id);
create index test_run_by_commit on test_run (repo_id, commit_sha, timestamp_us desc, id);
create index test_run_by_upload on test_run (upload_id) where upload_id is not null;
