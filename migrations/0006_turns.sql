-- Work of many repositories in turn.
-- lane: whose work a job is, for jobs that wait in turn with others'; null for the rest, which are claimed before.
-- rank_us: the order in which due jobs of lanes are claimed. In a lane, each comes a turn after the one before it.
alter table job add column lane bigint;
alter table job add column rank_us bigint not null default 0;

create index job_running on job (due_us) where state = 'running';
create index job_laneless on job (due_us, id) where lane is null and state <> 'dead';
create index job_rank on job (rank_us, id) where lane is not null and state <> 'dead';
create index job_lane on job (lane, rank_us) where lane is not null and state = 'ready';
