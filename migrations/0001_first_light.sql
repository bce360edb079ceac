-- One text for PostgreSQL and SQLite. Times are microseconds since 1970 (`*_us`), JSON is text, ids come from the program.

create table owner (
    id bigint primary key,
    service text not null,
    username text not null,
    username_key text not null,
    name text,
    upload_token_required boolean not null default true,
    created_us bigint not null,
    unique (service, username_key)
);

create table repo (
    id bigint primary key,
    owner_id bigint not null references owner (id) on delete cascade,
    name text not null,
    name_key text not null,
    private boolean not null,
    active boolean not null default false,
    activated boolean not null default true,
    default_branch text not null default 'main',
    language text,
    yaml text,
    created_us bigint not null,
    updated_us bigint not null,
    unique (owner_id, name_key)
);

create index repo_by_name on repo (name_key);

create table upload_token (
    id bigint primary key,
    hash bytea not null unique,
    repo_id bigint references repo (id) on delete cascade,
    owner_id bigint references owner (id) on delete cascade,
    created_us bigint not null,
    revoked_us bigint
);

create table api_token (
    id bigint primary key,
    hash bytea not null unique,
    owner_id bigint references owner (id) on delete cascade,
    name text not null,
    scope text not null,
    created_us bigint not null,
    expires_us bigint,
    last_used_us bigint,
    revoked_us bigint
);

create table branch (
    repo_id bigint not null references repo (id) on delete cascade,
    name text not null,
    head text not null,
    head_timestamp_us bigint not null,
    updated_us bigint not null,
    primary key (repo_id, name)
);

create index branch_by_update on branch (repo_id, updated_us);

create table commits (
    id bigint primary key,
    repo_id bigint not null references repo (id) on delete cascade,
    sha text not null,
    parent_sha text,
    branch text,
    pull_id bigint,
    message text,
    author_id bigint references owner (id) on delete set null,
    timestamp_us bigint not null,
    created_us bigint not null,
    updated_us bigint not null,
    state text,
    ci_passed boolean,
    totals text,
    fold text,
    report_created boolean not null default false,
    unique (repo_id, sha)
);

create index commits_by_time on commits (repo_id, timestamp_us desc, id);
create index commits_by_branch on commits (repo_id, branch, timestamp_us desc, id);

create table pull (
    repo_id bigint not null references repo (id) on delete cascade,
    number bigint not null,
    base_sha text,
    head_sha text,
    user_provided_base_sha text,
    state text not null default 'open',
    title text,
    updated_us bigint not null,
    primary key (repo_id, number)
);

create table flag (
    id bigint primary key,
    repo_id bigint not null references repo (id) on delete cascade,
    name text not null,
    deleted boolean not null default false,
    unique (repo_id, name)
);

create table upload (
    id bigint primary key,
    external_id text not null unique,
    repo_id bigint not null references repo (id) on delete cascade,
    commit_id bigint not null references commits (id) on delete cascade,
    kind text not null,
    state text not null,
    upload_type text not null,
    provider text,
    build_code text,
    build_url text,
    job_code text,
    name text,
    env text,
    order_number bigint,
    storage_path text not null,
    envelope text not null,
    size_bytes bigint,
    body_hash text,
    pack text,
    totals text,
    uploader text,
    created_us bigint not null,
    updated_us bigint not null
);

create index upload_by_commit on upload (commit_id, id);
create index upload_by_path on upload (storage_path);
create index upload_by_pack on upload (pack) where pack is not null;

create table upload_flag (
    upload_id bigint not null references upload (id) on delete cascade,
    flag_id bigint not null references flag (id) on delete cascade,
    primary key (upload_id, flag_id)
);

create index upload_flag_by_flag on upload_flag (flag_id, upload_id);

create table upload_error (
    id bigint primary key,
    upload_id bigint not null references upload (id) on delete cascade,
    code text not null,
    params text not null,
    created_us bigint not null
);

create index upload_error_by_upload on upload_error (upload_id, id);

create table journal (
    id bigint primary key,
    repo_id bigint not null references repo (id) on delete cascade,
    commit_sha text not null,
    upload_id bigint references upload (id) on delete cascade,
    step text not null,
    verdict text not null,
    code text,
    message text not null,
    detail text,
    started_us bigint not null,
    duration_us bigint not null
);

create index journal_by_commit on journal (repo_id, commit_sha, id);
create index journal_by_upload on journal (upload_id);

-- due_us: of a ready job, its earliest start; of a running one, the end of its lease.
create table job (
    id bigint primary key,
    kind text not null,
    dedupe_key text,
    payload text not null,
    state text not null,
    due_us bigint not null,
    attempt bigint not null,
    max_attempts bigint not null,
    worker text,
    reason text,
    created_us bigint not null
);

create unique index job_waiting on job (kind, dedupe_key) where state = 'ready';
create index job_due on job (due_us, id) where state <> 'dead';
create index job_dead on job (id) where state = 'dead';

create table setting (
    name text primary key,
    value text not null
);
