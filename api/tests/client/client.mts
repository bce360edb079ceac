// Asks a server through the client that openapi-typescript and openapi-fetch make of its description, and prints what
// it says: node client.mjs URL TOKEN HEAD PARENT
import createClient from "openapi-fetch";
import type { paths } from "./api.js";

declare const process: { argv: string[] };

const [url, token, head, base] = process.argv.slice(2);
const api = createClient<paths>({
  baseUrl: `${url}/api/v2`,
  headers: { Authorization: `Bearer ${token}` },
});
const repo = { service: "github", owner: "acme", repo: "widgets" };

const commits = await api.GET("/{service}/{owner}/repos/{repo}/commits/", {
  params: { path: repo, query: { page_size: 1, state: "complete" } },
});
const report = await api.GET("/{service}/{owner}/repos/{repo}/report/", {
  params: { path: repo, query: { sha: head, path: "src/" } },
});
const compared = await api.GET("/{service}/{owner}/repos/{repo}/compare/", {
  params: { path: repo, query: { base, head } },
});
const unknown = await api.GET("/{service}/{owner}/repos/{repo}/commits/{sha}/", {
  params: { path: { ...repo, sha: "0".repeat(40) } },
});
const asked = await api.POST("/{service}/{owner}/repos/{repo}/commits/{sha}/what-if", {
  params: { path: { ...repo, sha: head } },
  body: { yaml: "ignore: [lib]" },
});

const first: string | undefined = commits.data?.results[0]?.commitid;
const coverage: number | null | undefined = report.data?.totals.coverage;
console.log(
  JSON.stringify({
    count: commits.data?.count,
    first,
    coverage,
    files: report.data?.files.map((file) => file.name),
    base: compared.data?.base_commit,
    patch: compared.data?.totals.patch,
    unknown: [unknown.response.status, unknown.error?.detail],
    asked: asked.response.status,
  }),
);
