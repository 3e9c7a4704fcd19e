// Checks the types of app/web/**/*.js with the TypeScript compiler, part by part: a part's scripts share one scope, and
// app/web/manifest.json says which they are. Nothing is compiled. Exits with 1 where a part has errors.
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, "../..");
const WEB = join(ROOT, "app/web");
const CACHE = join(ROOT, "node_modules/.cache/rediprune");
const COMPILER = join(ROOT, "node_modules/typescript/bin/tsc");
const manifest = JSON.parse(readFileSync(join(WEB, "manifest.json"), "utf8"));

// The scripts of a part in the order in which they are loaded; the same rule as in app/page/web_part.py.
function scriptsOf(part) {
  const functions = part === "explorer/explorer" ? manifest.functions : manifest.functions.slice(0, 1);
  return [...functions, manifest.common, ...(manifest[part] ?? [part + ".js"])];
}

const parts = ["explorer", "cards"].flatMap((folder) =>
  readdirSync(join(WEB, folder))
    .filter((name) => name.endsWith(".html"))
    .map((name) => folder + "/" + name.slice(0, -".html".length)),
);
const seen = new Set(parts.flatMap(scriptsOf));
const files = readdirSync(WEB, { recursive: true }).filter((name) => name.endsWith(".js"));
const unseen = files.filter((name) => !seen.has(name.replaceAll("\\", "/")));
const untyped = files.filter((name) => !readFileSync(join(WEB, name), "utf8").startsWith("// @ts-check\n"));
for (const name of unseen) console.log("app/web/" + name + ": no part loads it");
for (const name of untyped) console.log("app/web/" + name + ": does not begin with // @ts-check");

mkdirSync(CACHE, { recursive: true });
const found = new Set();
for (const part of parts) {
  const config = join(CACHE, part.replace("/", "-") + ".json");
  const included = [join(HERE, "gradio.d.ts"), ...scriptsOf(part).map((name) => join(WEB, name))];
  writeFileSync(config, JSON.stringify({ extends: join(HERE, "tsconfig.base.json"), files: included }));
  const { stdout, stderr, status } = spawnSync(process.execPath, [COMPILER, "--project", config], {
    cwd: ROOT,
    encoding: "utf8",
  });
  const lines = (stdout + stderr).split("\n").filter(Boolean);
  if (status) for (const line of lines.length ? lines : [part + ": the compiler failed"]) found.add(line);
}
for (const line of found) console.log(line); // an error in a script of many parts is printed once
process.exit(unseen.length || untyped.length || found.size ? 1 : 0);
