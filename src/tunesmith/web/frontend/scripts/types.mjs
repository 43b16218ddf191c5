// Writes src/api/schema.d.ts, the types of everything that the server answers, from its own description.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import openapiTS, { astToString } from "openapi-typescript";

const python = process.env.PYTHON ?? "python3";
const described = JSON.parse(execFileSync(python, ["-m", "tunesmith.web.openapi"], { encoding: "utf-8", maxBuffer: 1 << 26 }));
// The page asks by path; only the shapes of what comes back are needed.
const { components } = described;
const types = astToString(await openapiTS({ openapi: described.openapi, info: described.info, paths: {}, components }));
const out = process.argv[2] ?? new URL("../src/api/schema.d.ts", import.meta.url);
writeFileSync(out, `// Made by \`npm run types\`; don't edit it by hand.\n${types}`);
