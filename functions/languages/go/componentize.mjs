// Makes a component of a core module, by jco: `node componentize.mjs WIT CORE OUT`, with the folder
// of npm's packages in NODE_MODULES.
import { readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.NODE_MODULES}/any.js`);
const jco = await import(pathToFileURL(require.resolve("@bytecodealliance/jco")));
const [wit, core, out] = process.argv.slice(2);

// One text with all packages: jco cannot read folders here.
const read = (file) => readFile(`${wit}/${file}`, "utf8");
const contract = await Promise.all(
  ["types", "triggers"].map((part) => read(`deps/verge-edge/${part}.wit`)),
);
const name = /^package (.*);$/m;
const [, edge] = contract[0].match(name);
const interfaces = contract.map((text) => text.replace(name, "")).join("\n");
const witSource = `${await read("world.wit")}\npackage ${edge} {\n${interfaces}\n}\n`;

const binary = await jco.componentEmbed({ binary: await readFile(core), witSource, world: "function" });
const adapter = await readFile(jco.preview1AdapterReactorPath());
const component = await jco.componentNew(binary, [["wasi_snapshot_preview1", adapter]]);
await writeFile(out, component);
