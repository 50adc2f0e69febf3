// Generates a picture with the provider of promptfoo, and prints the result as JSON.
// The provider has a constant for its base URL, so requests to it are sent to the emulator.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [folder, baseUrl] = process.argv.slice(2);
const send = globalThis.fetch;
globalThis.fetch = (target, options) =>
  send(String(target?.url ?? target).replace("https://modelslab.com/api", baseUrl), options);

const { exports } = JSON.parse(readFileSync(`${folder}/package.json`));
const { loadApiProvider } = await import(pathToFileURL(`${folder}/${exports["."].import}`));
const provider = await loadApiProvider("modelslab:image:flux", {
  options: { config: { apiKey: "any-key" } },
});
const result = await provider.callApi("a cat");
const links = [...(result.output ?? "").matchAll(/\((http[^)]*)\)/g)].map((found) => found[1]);
console.log(JSON.stringify([{ call: "image", status: result.error ?? "success", links }]));
process.exit(0);
