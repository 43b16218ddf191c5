// What a browser loads for the first page and all pages together, compressed; too much is an error.
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const LIMIT = 200_000;
const folder = new URL("../dist/assets/", import.meta.url);
const sizes = readdirSync(folder).map((name) => [name, gzipSync(readFileSync(new URL(name, folder))).length]);
const total = sizes.reduce((sum, [, size]) => sum + size, 0);
for (const [name, size] of sizes) console.log(`${(size / 1000).toFixed(1).padStart(7)} kB  ${name}`);
console.log(`${(total / 1000).toFixed(1).padStart(7)} kB  gzipped in all, of ${LIMIT / 1000} kB`);
if (total > LIMIT) {
  console.error("The bundle is larger than it may be.");
  process.exit(1);
}
