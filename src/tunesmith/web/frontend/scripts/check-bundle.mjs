// What a browser loads of all pages together in one language, compressed; too much is an error.
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const LIMIT = 200_000;
const folder = new URL("../dist/assets/", import.meta.url);
const languages = readdirSync(new URL("../src/i18n/", import.meta.url)).filter((name) => /^[a-z]{2}(-[A-Z]{2})?\.ts$/.test(name)).map((name) => name.replace(".ts", "-"));
const sizes = readdirSync(folder).map((name) => [name, gzipSync(readFileSync(new URL(name, folder))).length]);
for (const [name, size] of sizes) console.log(`${(size / 1000).toFixed(1).padStart(7)} kB  ${name}`);
const isWords = (name) => languages.some((language) => name.startsWith(language));
const shared = sizes.filter(([name]) => !isWords(name)).reduce((sum, [, size]) => sum + size, 0);
const words = Math.max(...sizes.filter(([name]) => isWords(name)).map(([, size]) => size));
const total = shared + words;
console.log(`${(total / 1000).toFixed(1).padStart(7)} kB  gzipped with the largest language, of ${LIMIT / 1000} kB`);
if (total > LIMIT) {
  console.error("The bundle is larger than it may be.");
  process.exit(1);
}
