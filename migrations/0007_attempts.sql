-- Builds that run again, and what a commit waits for.
-- attempt: how often the CI has run the build, from 1, where it is told.
-- superseded: whether a newer attempt of the same job takes the upload's place; it is no part of the report then.
alter table upload add column attempt bigint;
alter table upload add column superseded boolean not null default false;

-- expected_uploads: how many uploads a client said that the commit will have.
alter table commits add column expected_uploads bigint;
