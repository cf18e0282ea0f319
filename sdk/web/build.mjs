// Builds the bundle into dist. Same sources and same node_modules give the same bytes on every machine.
import { build } from "esbuild";
import { readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "dist");

// The validation rules in the contracts are the sidecar's to check; a browser needs the file's name only, to resolve the
// import, not its 115 kB of descriptors.
const withoutValidationRules = {
  name: "without-validation-rules",
  setup(b) {
    b.onLoad({ filter: /[\\/]gen[\\/]buf[\\/]validate[\\/]validate_pb\.ts$/ }, () => ({
      loader: "ts",
      resolveDir: join(here, "src"),
      contents: `
        import { create, toBinary } from "@bufbuild/protobuf";
        import { fileDesc } from "@bufbuild/protobuf/codegenv2";
        import { base64Encode } from "@bufbuild/protobuf/wire";
        import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
        export const file_buf_validate_validate = fileDesc(base64Encode(toBinary(FileDescriptorProtoSchema,
          create(FileDescriptorProtoSchema, { name: "buf/validate/validate.proto", package: "buf.validate", syntax: "proto2" }))));`,
    }));
  },
};

await rm(out, { recursive: true, force: true });
const result = await build({
  absWorkingDir: here,
  entryPoints: { hanse: "src/index.ts" },
  outdir: "dist",
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "browser",
  target: ["es2022"],
  minify: true,
  legalComments: "none",
  charset: "utf8",
  entryNames: "[name]",
  chunkNames: "chunks/[hash]",
  metafile: true,
  logLevel: "warning",
  plugins: [withoutValidationRules],
});
await writeFile(join(out, "LICENSES.txt"), await licences(Object.keys(result.metafile.inputs)));

// The licences of what was bundled, which their terms want passed on.
async function licences(inputs) {
  const packages = new Set();
  for (const input of inputs) {
    const match = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (match) packages.add(match[1]);
  }
  const parts = [];
  for (const name of [...packages].sort()) {
    const folder = join(here, "node_modules", name);
    const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    const text = await readFile(join(folder, "LICENSE"), "utf8").catch(() => "");
    parts.push(`${name} ${version} (${license})\n\n${text.trim()}`.trim());
  }
  return parts.join("\n\n----\n\n") + "\n";
}
