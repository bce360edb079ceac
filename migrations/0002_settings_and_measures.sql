-- Each codecov.yml as it was written, once; owners, repositories and commits name theirs by its hash (BLAKE3, hex).
create table yaml (
    hash text primary key,
    text text not null,
    created_us bigint not null
);

alter table owner add column yaml_hash text;
alter table repo drop column yaml;
alter table repo add column yaml_hash text;
alter table repo add column yaml_sha text;
alter table commits add column yaml_hash text;

-- What is wrong with a commit as a whole, such as its codecov.yml.
create table commit_error (
    id bigint primary key,
    commit_id bigint not null references commits (id) on delete cascade,
    code text not null,
    params text not null,
    created_us bigint not null,
    unique (commit_id, code)
);

-- joined: whether the upload joins what others say of a line, or only adds lines that they lack.
-- source_id: of a carried upload, the one of commit carried_from that it stands for.
alter table upload add column joined boolean not null default true;
alter table upload add column carried_from text;
alter table upload add column source_id bigint;

create unique index upload_by_source on upload (commit_id, source_id) where source_id is not null;
create index commits_by_parent on commits (repo_id, parent_sha) where parent_sha is not null;

-- What was counted of a commit: kind 'report' (name ''), 'flag' or 'component' (name: its id).
create table measure (
    commit_id bigint not null references commits (id) on delete cascade,
    kind text not null,
    name text not null,
    files bigint not null,
    lines bigint not null,
    hits bigint not null,
    misses bigint not null,
    partials bigint not null,
    primary key (commit_id, kind, name)
);
