/**
 * The parts of the standard library that the product uses. Those that only tests use are in tests/assert.ts, so that
 * they stay out of the bundle.
 */

// @ts-types="./std.d.ts"
export { parseArgs } from "@std/cli/parse-args";
