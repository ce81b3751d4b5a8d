/**
 * The door to the standard library at run time. What tests need is behind tests/assert.ts, so that it stays out of the
 * bundle.
 */

// @ts-types="./std.d.ts"
export { parseArgs } from "@std/cli/parse-args";
