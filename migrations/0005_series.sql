-- Counts over time are read from measure alone, as one range of an index, whatever else lies between: it repeats whose a
-- commit is, and its branch and time, which change with it.
alter table measure add column repo_id bigint;
alter table measure add column branch text;
alter table measure add column timestamp_us bigint;

update measure set (repo_id, branch, timestamp_us) = (
    select repo_id, branch, timestamp_us from commits where commits.id = commit_id);

create index measure_by_time on measure (repo_id, kind, name, timestamp_us, branch, hits, lines);
