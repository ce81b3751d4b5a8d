import { assertEquals, assertRejects } from "../../tests/assert.ts";
import { compileFor, MACHINES } from "../../tests/support/abi.ts";
import { closeFd, pageSizeBytes } from "./libc.ts";
import { Epoll, epollEventLayout } from "./epoll.ts";

// libc is opened once and stays open by design: here, or the first test to use it is taken for one that leaks.
pageSizeBytes();

Deno.test("epollEventLayout() is each machine's struct epoll_event, as the kernel's header has it", async () => {
  for (const machine of MACHINES) {
    const { bytes, dataAt } = epollEventLayout(machine);
    const check = (bytes: number, dataAt: number) => `
      #include <linux/eventpoll.h>
      _Static_assert(sizeof(struct epoll_event) == ${bytes}, "size");
      _Static_assert(__builtin_offsetof(struct epoll_event, data) == ${dataAt}, "offset of data");
    `;
    await compileFor(machine, check(bytes, dataAt), "-fsyntax-only");
    await assertRejects(() => compileFor(machine, check(28 - bytes, 12 - dataAt), "-fsyntax-only"), Error, "size");
  }
});

Deno.test("Epoll.wait() gives back the tags of several descriptors at once", async () => {
  using stack = new DisposableStack();
  const libc = Deno.dlopen("libc.so.6", { eventfd: { parameters: ["u32", "i32"], result: "i32" } });
  stack.defer(() => libc.close());
  const epoll = stack.use(new Epoll());
  const tags = [7, 1_000_000, 0xfedc_ba98];
  for (const tag of tags) {
    // A count of 1 makes it readable from the start.
    const fd = libc.symbols.eventfd(1, 0);
    stack.defer(() => closeFd(fd));
    epoll.add(fd, tag);
  }
  assertEquals((await epoll.wait(1_000)).sort((a, b) => a - b), tags);
});
