import { assertEquals, assertMatch } from "../../tests/assert.ts";
import { compileFor, MACHINES } from "../../tests/support/abi.ts";
import { addressOf, cString, formatVaList, keepAlive, pageSizeBytes } from "./libc.ts";
import type { Machine } from "../wire/syscalls.ts";

// libc is opened once and stays open by design: here, or the first test to use it is taken for one that leaks.
pageSizeBytes();

/** A `va_list` whose arguments all wait on the stack, as after more arguments than registers hold; by machine. */
const VA_LISTS: Record<Machine, (stack: bigint) => Uint8Array<ArrayBuffer>> = {
  x86_64(stack) {
    // u32 gp_offset; u32 fp_offset; void *overflow_arg_area; void *reg_save_area
    const list = new DataView(new ArrayBuffer(24));
    list.setUint32(0, 48, true);
    list.setUint32(4, 176, true);
    list.setBigUint64(8, stack, true);
    return new Uint8Array(list.buffer);
  },
  aarch64(stack) {
    // void *stack; void *gr_top; void *vr_top; int gr_offs; int vr_offs: no register is left where these are not
    // negative
    const list = new DataView(new ArrayBuffer(32));
    list.setBigUint64(0, stack, true);
    return new Uint8Array(list.buffer);
  },
};

Deno.test("formatVaList() takes the arguments out of this machine's va_list", () => {
  const word = cString("three");
  const stack = new BigUint64Array([1n, 0xffff_ffff_ffff_fffen, addressOf(word)]);
  const format = cString("%d %ld %s");
  const list = VA_LISTS[Deno.build.arch as Machine](addressOf(stack));
  assertEquals(formatVaList(Deno.UnsafePointer.of(format), Deno.UnsafePointer.of(list)), "1 -2 three");
  [word, stack, format, list].forEach(keepAlive);
});

Deno.test("a va_list is handed on as one pointer by each machine, of the size that VA_LISTS gives it", async () => {
  for (const machine of MACHINES) {
    const source = `
      typedef __builtin_va_list va_list;
      _Static_assert(sizeof(va_list) == ${VA_LISTS[machine](0n).length}, "size");
      int vsnprintf(char *, unsigned long, const char *, va_list);
      int print(int level, const char *format, va_list args) { char text[8]; return vsnprintf(text, 8, format, args); }
    `;
    const code = await compileFor(machine, source, "-S", "-emit-llvm", "-fno-builtin");
    const parameters = /^define .*@print\((.*)\) /m.exec(code)![1].split(/, /);
    assertEquals(parameters.length, 3);
    // "ptr" since clang 15, "%struct.__va_list_tag*" before; by value it would say byval, or be an array of words.
    assertMatch(parameters[2], /^(ptr|%\S*va_list\S*\*)( (nocapture|noundef|readonly|captures\(\w+\)))* %\w+$/);
  }
});
