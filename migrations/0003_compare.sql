-- What comparing commits needs: which base a pull request has, and the diffs between commits. `diff.hash` names the text in
-- the object store; `source` says who gave it, the git provider or a client; `commits` are those between the two, as JSON.

alter table pull add column compared_to text;
alter table pull add column base_branch text;
alter table pull add column author_id bigint references owner (id) on delete set null;
alter table pull add column patch text;

create table diff (
    repo_id bigint not null references repo (id) on delete cascade,
    base_sha text not null,
    head_sha text not null,
    source text not null,
    hash text not null,
    size_bytes bigint not null,
    commits text,
    created_us bigint not null,
    primary key (repo_id, base_sha, head_sha)
);
