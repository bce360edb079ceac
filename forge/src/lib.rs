//! Where code lives: clients of GitHub, GitLab and Bitbucket, their webhooks, and what is posted to
//! them. Uploads need none of it, so nothing stands here yet.
