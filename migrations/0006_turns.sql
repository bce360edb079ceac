-- Work of many repositories in turn.
-- lane: whose work a job is, for jobs that wait in turn with others'; null for the rest.
-- rank_us: due jobs are claimed in this order. In a lane, each comes a turn after the one before it.
alter table job add column lane bigint;
alter table job add column rank_us bigint not null default 0;
update job set rank_us = due_us;

create index job_rank on job (rank_us, id) where state <> 'dead';
create index job_lane on job (lane, rank_us) where lane is not null;
